"""python -m models list | fetch NAME...

Exit status: 0 if every model asked for is here; 1 if one could not be fetched, after a line on stderr that says why;
2 for a name that is not published; 6 for a missing package; 130 after Ctrl-C, which leaves what is needed to go on from
there.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # python path/to/models
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from environment import use_venv

if __name__ == "__main__":
    use_venv()

import argparse

from errors import UserError
from models.fetch import MIRROR, fetch
from models.progress import ProgressLine
from models.registry import MODELS, Model, published, registry, table


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m models", description="The published models.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="print them, and which are here")
    fetching = commands.add_parser(
        "fetch",
        help=f"download models into {MODELS.name}/",
        epilog=f"With {MIRROR} set to the address of a folder, models are fetched from there instead.",
    )
    fetching.add_argument("names", nargs="+", metavar="NAME", help="name or alias, also comma-separated; all; none")
    options = parser.parse_args(arguments)
    if options.command == "list":
        print(table())
        return 0
    try:
        models = _choose([name for text in options.names for name in text.split(",") if name])
    except KeyError as error:
        fetching.error(f"no published model {error.args[0]!r}; choose from {', '.join(registry())}, all, none")
    try:
        return max([_fetch(model) for model in models], default=0)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from there", file=sys.stderr)
        return 130


def _choose(names: list[str]) -> list[Model]:
    """Returns the models of these names, each once, in the registry's order. Raises KeyError for an unknown one."""
    chosen = set()
    for name in names:
        model = published(name)
        if model:
            chosen.add(model.name)
        elif name == "all":
            chosen.update(registry())
        elif name != "none":
            raise KeyError(name)
    return [model for model in registry().values() if model.name in chosen]


def _fetch(model: Model) -> int:
    try:
        with ProgressLine(model.name) as progress:
            fetch(model, progress=progress)
    except UserError as error:
        print(f"warning: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
