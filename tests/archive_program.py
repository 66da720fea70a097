"""The archive as a program of its own, for tests that kill it: the flags of classify.py."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import archive  # noqa: E402
from errors import UserError  # noqa: E402
from flags import Parser  # noqa: E402
from options import parse_options  # noqa: E402
from utils import say  # noqa: E402


def read_options(arguments):
    parser = Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--jobs", type=lambda text: text if text == "auto" else int(text))
    parser.add_argument("--cluster")
    own, others = parser.parse_known_args(arguments)
    options = parse_options(others)
    options.jobs, options.cluster = own.jobs, own.cluster
    return options


def main(arguments):
    try:
        options = read_options(arguments)
        assert archive.is_archive(options)
        return archive.run(options)
    except UserError as error:
        say(f"classify.py: {error}")
        return error.status
    except SystemExit as end:
        return end.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
