"""The flags of python train.py fit."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Sequence

from flags import Formatter, Number, OrOff, Parser
from runtime import RUNTIMES
from teaching.network import PRECISIONS
from utils import FITS

_EPILOG = """\
examples:
  python train.py fit --data clips/ --out models/mine.tflite
      a folder of clips for each label in clips/; then
      python classify.py --model models/mine.tflite
  python train.py fit --data clips/ --report report/ --dry-run
      only the report, with pictures in report/
  python train.py fit --data clips/ --out models/mine.tflite --keep-labels
      the classes that the model knows stay beside the new ones

classify.py and evaluate.py take --memory and --fit as they were here, unless
you give them there.
"""


def parse_fit(arguments: Sequence[str]) -> argparse.Namespace:
    """Parses the subcommand's flags.

    Raises:
        UserError: An unknown flag, or a value that is out of range.
    """
    parser = Parser(
        prog="train.py fit",
        usage="python train.py fit --data FOLDER --out FILE.tflite [flag ...]",
        description="Teaches a model the actions of your clips, and writes it as a new model file.",
        epilog=_EPILOG,
        formatter_class=Formatter,
        allow_abbrev=False,
    )
    _add_files(parser.add_argument_group("files"))
    _add_teaching(parser.add_argument_group("teaching"))
    _add_model(parser.add_argument_group("model"))
    options: argparse.Namespace = parser.parse_args(arguments)
    if options.out is None and not options.dry_run:
        parser.error("where should the model go? give --out FILE.tflite, or --dry-run for the report only")
    return options


def _add_files(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--data", default="clips", metavar="FOLDER", help="clips/LABEL/... (default: %(default)s)")
    group.add_argument("--out", type=Path, metavar="FILE", help="the .tflite to write; its labels go beside it")
    group.add_argument("--force", action="store_true", help="replace --out if it exists")
    group.add_argument("--dry-run", action="store_true", help="write no model")
    group.add_argument(
        "--report", type=Path, metavar="FOLDER", help="write confusion.png, reliability.png and report.json there"
    )
    group.add_argument(
        "--cache", type=Path, metavar="FOLDER", help="where features are kept (default: the user's cache)"
    )


def _add_teaching(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--keep-labels", action="store_true", help="keep the model's own classes beside the new ones")
    group.add_argument(
        "--background",
        metavar="LABEL",
        help="the label for nobody there, or nothing happening (default: background, nothing or unknown)",
    )
    group.add_argument(
        "--augment",
        type=Number(int, 0, 50, "views"),
        default=4,
        metavar="N",
        help="further views of each clip to learn: nearer, faster, brighter ... (default: %(default)s)",
    )
    group.add_argument(
        "--mirror",
        action=argparse.BooleanOptionalAction,
        help="whether some views may be mirrored (default: unless a label speaks of left or right)",
    )
    group.add_argument(
        "--seed",
        type=Number(int, 0, 2**31 - 1, "(a seed)"),
        default=0,
        metavar="N",
        help="of what chance decides: how clips are altered, and held out together (default: %(default)s)",
    )


def _add_model(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--base", metavar="MODEL", help="the model to start from (default: the published one)")
    group.add_argument("--precision", choices=PRECISIONS, default="float", help="of --out (default: %(default)s)")
    group.add_argument(
        "--memory",
        type=OrOff(Number(float, 0.1, 3600, "seconds (or off)")),
        default=2.4,
        metavar="SECONDS",
        help="how long the model remembers (default: %(default)g)",
    )
    group.add_argument("--fit", choices=FITS, default="crop", help="how a frame becomes square (default: %(default)s)")
    group.add_argument("--runtime", choices=RUNTIMES, default="auto", help="what runs the model (default: %(default)s)")
