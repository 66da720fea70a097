"""The flags of python train.py collect."""

from __future__ import annotations

import argparse
from typing import Sequence

from flags import Formatter, Number, Parser
from sinks.viewer import CHOICES
from sources.link import link_to
from teaching.label_folders import check_label
from teaching.review import BACKGROUND

PAUSE = 5.0  # seconds to get ready for a label

_EPILOG = """\
examples:
  python train.py collect --label waving --label "tai chi" --data clips/
      ten clips of each, and of "background": nobody there, nothing happening
  python train.py collect --label waving --source dance.mp4 --display none \\
      --countdown 0
      cuts a video of waving into clips
  python train.py collect --list
  python train.py collect --discard clips/waving/20261121-141530.123.mp4
      moves a clip to clips/.discarded/

Keys in the window: space records the next clip or pauses, r or p replays the
last one, d discards it, n goes on to the next label, f full screen, q or Esc
quits.
Ctrl-C and q keep the clip that is being recorded if there is a second of it.
"""


def parse_collect(arguments: Sequence[str]) -> argparse.Namespace:
    """Parses the subcommand's flags; the namespace also has what `opening.open_sources` wants to know.

    Raises:
        UserError: An unknown flag, or a value that is out of range.
    """
    parser = Parser(
        prog="train.py collect",
        usage="python train.py collect --label NAME [...] [--data FOLDER] [flag ...]",
        description="Records clips to teach from, a few seconds each, label by label.",
        epilog=_EPILOG,
        formatter_class=Formatter,
        allow_abbrev=False,
    )
    _add_clips(parser.add_argument_group("clips"))
    _add_camera(parser.add_argument_group("camera"))
    _add_display(parser.add_argument_group("display"))
    parser.set_defaults(loop=False, read_timeout=5.0, demo_seed=0, max_exposure=None, retry=None)
    options: argparse.Namespace = parser.parse_args(arguments)
    options.label = [check_label(label) for label in options.label or ()]
    return options


def wants_background(options: argparse.Namespace) -> bool:
    """Says whether clips of the background are to be recorded, too: what a file shows, nobody can change."""
    if options.background is not None:
        return bool(options.background)
    return options.source in (None, "demo") or link_to(options.source) is not None


def _add_clips(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--label",
        action="append",
        metavar="NAME",
        help="what is to be seen; may be given several times (default: the labels that have clips already)",
    )
    group.add_argument("--data", default="clips", metavar="FOLDER", help="where the clips go (default: %(default)s)")
    group.add_argument(
        "--background",
        action=argparse.BooleanOptionalAction,
        help=f"also the label {BACKGROUND!r}: nobody there, nothing happening (default: yes; no for a file, which goes "
        "on showing the same)",
    )
    group.add_argument(
        "--clips",
        type=Number(int, 1, 1000, "clips"),
        default=10,
        metavar="N",
        help="clips of each label, those that are there included (default: %(default)s)",
    )
    group.add_argument(
        "--seconds",
        type=Number(float, 1, 60, "seconds"),
        default=3.0,
        metavar="SECONDS",
        help="length of a clip (default: %(default)g)",
    )
    group.add_argument(
        "--countdown",
        type=Number(float, 0, 60, "seconds"),
        default=3.0,
        metavar="SECONDS",
        help="before each clip (default: %(default)g)",
    )
    group.add_argument(
        "--pause",
        type=Number(float, 0, 600, "seconds"),
        metavar="SECONDS",
        help=f"to get ready for a label (default: {PAUSE:g}; none for a file)",
    )
    group.add_argument("--list", action="store_true", help="print how many clips there are, and end")
    group.add_argument(
        "--discard", action="append", metavar="FILE", help="move a clip to the folder .discarded there, and end"
    )


def _add_camera(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--source",
        metavar="URI",
        help="csi, usb:0, video.mp4, rtsp://..., http://..., demo (default: the Pi camera, else the first USB camera)",
    )
    group.add_argument(
        "--width", type=Number(int, 16, 8192, "pixels"), metavar="PIXELS", help="asked of a camera (default: 640)"
    )
    group.add_argument(
        "--height", type=Number(int, 16, 8192, "pixels"), metavar="PIXELS", help="asked of a camera (default: 480)"
    )
    group.add_argument(
        "--camera-fps",
        type=Number(float, 0.1, 1000, "frames a second"),
        metavar="FPS",
        help="frames a second asked of a camera (default: its own)",
    )
    group.add_argument(
        "--rotate",
        type=int,
        choices=(0, 90, 180, 270),
        default=0,
        metavar="DEGREES",
        help="turn the picture clockwise by 90, 180 or 270 degrees; give classify.py the same (default: 0)",
    )


def _add_display(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--display", choices=CHOICES, default="auto", help="where to show the picture (default: %(default)s)"
    )
    group.add_argument(
        "--fullscreen", action=argparse.BooleanOptionalAction, default=False, help="start in full screen (default: no)"
    )
    group.add_argument(
        "--mirror",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="swap left and right on the screen, not in the clips (default: no)",
    )
