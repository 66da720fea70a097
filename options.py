"""The command line: every flag, its unit and default, and the TOML file that can hold the same flags."""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path
from typing import Any, Callable, Sequence

from errors import UserError
from runtime import RUNTIMES
from sinks.video_file import parse_limit
from sinks.viewer import CHOICES
from utils import FITS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEFAULT_MODEL = "movinet_a0_int8.tflite"

_EPILOG = """\
examples:
  python classify.py --model movinet_a0_int8.tflite
      the Pi camera or a USB camera, with labels, on the attached monitor
  python classify.py --source party.mp4 --record labelled.mp4
      a video file, recorded with its labels
  python classify.py --source usb:0 --display none --jsonl -
      no window, a line of JSON per prediction

The flags of TensorFlow's example work too: --label, --maxResults, --numThreads,
--cameraId, --frameWidth, --frameHeight.

exit status: 0 ended by itself or by the q key, 1 --doctor found a problem,
2 wrong flag, 3 model or labels, 4 source, 5 output, 6 missing package,
130 Ctrl-C, 143 SIGTERM, 129 hangup
"""


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Lists each flag by its first name only."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if action.nargs == 0:
            return action.option_strings[0]
        return f"{action.option_strings[0]} {self._format_args(action, action.dest.upper())}"


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line and suggest the flag that was meant."""

    def error(self, message: str) -> Any:
        raise UserError(f"{message}; see --help")

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:
        options, unknown = self.parse_known_args(args, namespace)
        if unknown:
            flags = [flag for action in self._actions for flag in action.option_strings]
            raise UserError(f"unknown flag {unknown[0]!r}{_nearest(unknown[0].split('=')[0], flags)}; see --help")
        return options


def _nearest(word: str, words: Sequence[str]) -> str:
    matches = difflib.get_close_matches(word, words, 1)
    return f", did you mean {matches[0]!r}?" if matches else ""


def _number(kind: type, low: float, high: float, unit: str) -> Callable[[str], Any]:
    """Returns an argparse type: a number from `low` to `high`."""

    def convert(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number of {unit}") from None
        if not (low <= value <= high):
            raise argparse.ArgumentTypeError(f"{text} is not between {low:g} and {high:g} {unit}")
        return value

    return convert


def _camera_id(text: str) -> str:
    return f"usb:{_number(int, 0, 99, 'camera numbers')(text)}"


def _threads(text: str) -> Any:
    return text if text == "auto" else _number(int, 1, 64, "threads")(text)


def _memory(text: str) -> float | None:
    return None if text == "off" else _number(float, 0.1, 3600, "seconds (or off)")(text)


def _limit(text: str) -> Any:
    try:
        return parse_limit(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of classify.py, with the reference example's flag names as further spellings."""
    parser = _Parser(
        prog="classify.py",
        usage="python classify.py [--model FILE] [--source URI] [flag ...]",
        description="Live action recognition with a streaming MoViNet model.",
        epilog=_EPILOG,
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    switch = argparse.BooleanOptionalAction
    group = parser.add_argument_group("input")
    group.add_argument(
        "--source",
        action="append",
        metavar="URI",
        help="csi, usb:0, /dev/video0, video.mp4, clip.gif, a folder of images, rtsp://..., http://..., demo "
        "(default: the Pi camera, else the first USB camera, else demo: a drawn figure); may be given several times",
    )
    group.add_argument(
        "--demo-seed", type=_number(int, 0, 2**31 - 1, "(a seed)"), default=0, metavar="N",
        help="draws another film as the demo (default: %(default)s)",
    )
    group.add_argument(
        "--list-cameras", action="store_true",
        help="print the cameras that are here, what they offer and what to type for each, and end",
    )
    group.add_argument("--loop", action=switch, default=False, help="start a file again at its end (default: no)")
    group.add_argument(
        "--width", "--frameWidth", type=_number(int, 16, 8192, "pixels"), metavar="PIXELS",
        help="width asked of a camera (default: 640)",
    )
    group.add_argument(
        "--height", "--frameHeight", type=_number(int, 16, 8192, "pixels"), metavar="PIXELS",
        help="height asked of a camera (default: 480)",
    )
    group.add_argument(
        "--camera-fps", type=_number(float, 0.1, 1000, "frames a second"), metavar="FPS",
        help="frames a second asked of a camera; for a folder of images, its frame rate (default: the source's own)",
    )
    group.add_argument(
        "--rotate", type=int, choices=(0, 90, 180, 270), default=0, metavar="DEGREES",
        help="turn the picture clockwise by 90, 180 or 270 degrees, for a camera that hangs askew (default: 0)",
    )
    group.add_argument(
        "--max-exposure", type=_number(float, 0.0001, 1, "seconds"), metavar="SECONDS",
        help="longest exposure of a Pi camera; short ones blur less and are noisier (default: the camera decides)",
    )
    group.add_argument(
        "--duration", type=_number(float, 0.01, 1e9, "seconds"), metavar="SECONDS",
        help="end after this much of the source's time (default: no end)",
    )
    group.add_argument(
        "--max-frames", type=_number(int, 1, 10**12, "frames"), metavar="N",
        help="end after this many frames of the source (default: no end)",
    )
    group.add_argument(
        "--retry", type=_number(int, 0, 10**9, "openings"), metavar="N",
        help="give a camera up after N failed openings in a row; it is then tried N times at the start, too (default: "
        "at the start once, later for ever)",
    )
    group.add_argument(
        "--read-timeout", type=_number(float, 0.5, 3600, "seconds"), default=5.0, metavar="SECONDS",
        help="open a camera again when it has given no picture for so long (default: %(default)g)",
    )
    group.add_argument(
        "--cameraId", dest="source", action="append", type=_camera_id, metavar="N", help=argparse.SUPPRESS
    )

    group = parser.add_argument_group("model")
    group.add_argument(
        "--model", metavar="FILE",
        help="a .tflite file, or the name of a published model, which is fetched (default: the published one that "
        f"was fetched, {DEFAULT_MODEL} first; for the demo its own)",
    )
    group.add_argument(
        "--labels", "--label", metavar="FILE", help="class names, one a line (default: those that belong to the model)"
    )
    group.add_argument("--list-models", action="store_true", help="print the published models and end")
    group.add_argument(
        "--runtime", choices=RUNTIMES, default="auto",
        help="what runs the model; auto takes the first installed of ai-edge-litert, tflite-runtime, tensorflow "
        "(default: auto)",
    )
    group.add_argument(
        "--threads", "--numThreads", type=_threads, default="auto", metavar="N",
        help="CPU threads of a step; auto measures once what is fastest here, and remembers (default: auto)",
    )
    group.add_argument(
        "--memory", type=_memory, default=2.4, metavar="SECONDS",
        help="about how long the model remembers what it saw; off is the published behaviour, which fades within "
        "minutes (default: 2.4)",
    )
    group.add_argument(
        "--compile", action=switch, default=True,
        help="run the faster form of the model, made at the first use; --no-compile runs the file as it is "
        "(default: yes)",
    )
    group.add_argument(
        "--precision", choices=("auto", "float", "int8"), default="auto",
        help="arithmetic of the compiled model; auto is float, or int8 where that is clearly faster here and says the "
        "same (default: auto)",
    )
    group.add_argument(
        "--sample-fps", type=_number(float, 0.1, 120, "frames a second"), metavar="FPS",
        help="frames a second that the model sees (default: what it was trained at, 5)",
    )
    group.add_argument(
        "--idle", action=switch, default=False,
        help="look once a second only, while nothing in the picture has changed for 5 seconds; back to the full rate "
        "within a frame of motion (default: no)",
    )
    group.add_argument(
        "--max-cpu", type=_number(float, 1, 6400, "percent of one core"), metavar="PERCENT",
        help="processor time that the model may take, in percent of one core as top shows it, all cameras together; "
        "it is given fewer frames a second (default: no bound; cameras only)",
    )
    group.add_argument(
        "--fit", choices=FITS, default="crop",
        help="how a frame becomes square: its centre, squeezed, or between borders (default: crop)",
    )
    group.add_argument(
        "--top-k", "--maxResults", type=_number(int, 1, 100, "labels"), default=3, metavar="N",
        help="labels shown, best first (default: %(default)s)",
    )
    group.add_argument(
        "--threshold", type=_number(float, 0, 1, "(a probability)"), default=0.0, metavar="P",
        help="show labels from this probability on, 0 to 1 (default: 0)",
    )
    group.add_argument("--allow", nargs="+", metavar="LABEL", help="show these labels only (default: all)")
    group.add_argument("--deny", nargs="+", metavar="LABEL", help="never show these labels (default: none)")

    group = parser.add_argument_group("display")
    group.add_argument(
        "--display", choices=CHOICES, default="auto",
        help="a window on the desktop, also from an ssh login; a console's whole screen where there is no desktop; or "
        "none; auto takes the first that works (default: auto)",
    )
    group.add_argument(
        "--fullscreen", action=switch, default=False, help="start with the window filling the screen (default: no)"
    )
    group.add_argument(
        "--mirror", action=switch, default=False,
        help="swap left and right of what is shown and recorded; the model sees the picture as it is (default: no)",
    )

    group = parser.add_argument_group("output")
    group.add_argument("--record", metavar="FILE", help="write the picture with its labels to a video, out.mp4")
    group.add_argument(
        "--record-limit", type=_limit, metavar="LIMIT",
        help="end the recording at 10min, 90s, 500MB, 2GB (default: no limit)",
    )
    group.add_argument("--jsonl", metavar="FILE", help="append a line of JSON per prediction; - is standard output")
    group.add_argument(
        "--snapshots", default=".", metavar="FOLDER", help="where the s key puts pictures (default: this folder)"
    )

    group = parser.add_argument_group("settings")
    group.add_argument("--config", metavar="FILE", help="TOML file with flags, such as top-k = 5; flags given here win")
    group.add_argument(
        "--doctor", action="store_true", help="check this machine, say what to do where something isn't right, and end"
    )
    return parser


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Parses a command line, filling what it leaves open from the --config file and then from the defaults.

    Raises:
        UserError: An unknown flag or key, or a value that is out of range.
    """
    parser = build_parser()
    finder = _Parser(add_help=False, allow_abbrev=False)
    finder.add_argument("--config")
    config = finder.parse_known_args(arguments)[0].config
    # What stands in the namespace already is kept over a default, and replaced by a flag.
    values = {} if config is None else _read_config(Path(config).expanduser(), parser)
    sources = values.pop("source", None)  # Otherwise those given here would be added to those of the file.
    options = parser.parse_args(arguments, argparse.Namespace(**values))
    options.source = options.source or sources
    if options.record_limit is not None and options.record is None:
        raise UserError("--record-limit bounds a recording; name its file with --record out.mp4")
    return options


def _read_config(path: Path, parser: argparse.ArgumentParser) -> dict[str, Any]:
    """Returns the values of a TOML file by option name, converted and checked as if they stood on the command line."""
    try:
        with path.open("rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise UserError(f"--config {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"--config {path} is not TOML: {' '.join(str(error).split())}") from None
    actions = {
        flag[2:]: action for action in parser._actions for flag in action.option_strings if not flag.startswith("--no-")
    }
    for key in ("help", "config", "list-models", "list-cameras", "doctor"):
        del actions[key]
    values = {}
    for key, value in table.items():
        flag = key.replace("_", "-")
        if flag not in actions:
            raise UserError(f"--config {path}: unknown key {key!r}{_nearest(flag, list(actions))}")
        try:
            parsed = parser.parse_args(_as_arguments(flag, value, actions[flag]))
        except UserError as error:
            raise UserError(f"--config {path}: {error}") from None
        values[actions[flag].dest] = getattr(parsed, actions[flag].dest)
    return values


def _as_arguments(flag: str, value: Any, action: argparse.Action) -> list[str]:
    """Spells one key of a TOML file as it would stand on the command line."""
    if isinstance(action, argparse.BooleanOptionalAction):
        if not isinstance(value, bool):
            raise UserError(f"{flag} is {value!r}; it must be true or false")
        return [f"--{flag}" if value else f"--no-{flag}"]
    if action.nargs == "+":
        names = value if isinstance(value, list) else [value]
        if not names or not all(isinstance(name, str) and not name.startswith("-") for name in names):
            raise UserError(f"{flag} is {value!r}; it must be a list of labels")
        return [f"--{flag}", *names]
    several = value if action.dest == "source" and isinstance(value, list) else [value]
    if any(isinstance(one, bool) or not isinstance(one, (str, int, float)) for one in several) or not several:
        raise UserError(f"{flag} is {value!r}; it must be a number or a text")
    return [f"--{flag}={one}" for one in several]
