"""The command line: every flag, its unit and default."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Sequence

from clip_format import LAYOUTS
from config import read_config
from errors import UserError
from flags import (
    Formatter,
    Noted,
    Number,
    OrOff,
    Parser,
    address,
    camera_id,
    day,
    jobs,
    limit,
    per_channel,
    size,
    threads,
    timeline,
)
from languages import LANGUAGES
from remote.mqtt_address import parse_url
from runtime import RUNTIMES
from sinks.viewer import CHOICES
from utils import FITS
from web import DEFAULT_ADDRESS, DEFAULT_PORT

DEFAULT_MODEL = "movinet_a0_int8.tflite"

_SWITCH = argparse.BooleanOptionalAction
_PROBABILITY = Number(float, 0, 1, "(a probability)")

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

exit status: 0 ended by itself or by the q key, 1 --doctor found a problem, or
the window's desktop ended, 2 wrong flag, 3 model or labels, 4 source, 5 output,
6 missing package, 130 Ctrl-C, 143 SIGTERM, 129 hangup
"""


def build_parser() -> Parser:
    """Returns the parser of classify.py, with the reference example's flag names as further spellings."""
    parser = Parser(
        prog="classify.py",
        usage="python classify.py [--model FILE] [--source URI] [flag ...]",
        description="Live action recognition with a streaming MoViNet model.",
        epilog=_EPILOG,
        formatter_class=Formatter,
        allow_abbrev=False,
    )
    _add_input(parser.add_argument_group("input"))
    _add_model(parser.add_argument_group("model"))
    _add_clips(parser.add_argument_group("clip models: those that look at several frames at once"))
    _add_display(parser.add_argument_group("display"))
    _add_output(parser.add_argument_group("output"))
    _add_events(parser.add_argument_group("events: actions that began and ended"))
    _add_remote(parser.add_argument_group("from afar"))
    _add_live(parser.add_argument_group("the running program"))
    _add_settings(parser.add_argument_group("settings"))
    return parser


def _add_input(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--source",
        action="append",
        metavar="URI",
        help="csi, usb:0, /dev/video0 or a link to it, video.mp4, clip.gif, a folder of images, rtsp://..., "
        "http://..., demo (default: the Pi camera, else the first USB camera, else demo: a drawn figure); may be given "
        "several times",
    )
    group.add_argument(
        "--jobs", type=jobs, metavar="N",
        help="classify many files in parallel, without a window, N at a time; auto: as many as suit this machine; "
        "--source is then a quoted pattern such as 'videos/**/*.mp4', a folder of videos, or files (default: auto for "
        "a pattern that matches several)",
    )
    group.add_argument(
        "--cluster", metavar="URL", help="the same by the workers of a dask.distributed scheduler, tcp://host:8786"
    )
    group.add_argument(
        "--demo-seed", type=Number(int, 0, 2**31 - 1, "(a seed)"), default=0, metavar="N",
        help="draws another film as the demo; of several demos the second shows that of N + 1 (default: %(default)s)",
    )
    group.add_argument(
        "--list-cameras", action="store_true",
        help="print the cameras that are here, what they offer and what to type for each, and end",
    )
    group.add_argument("--loop", action=_SWITCH, default=False, help="start a file again at its end (default: no)")
    group.add_argument(
        "--width", "--frameWidth", type=Number(int, 16, 8192, "pixels"), metavar="PIXELS",
        help="width asked of a camera (default: 640)",
    )
    group.add_argument(
        "--height", "--frameHeight", type=Number(int, 16, 8192, "pixels"), metavar="PIXELS",
        help="height asked of a camera (default: 480)",
    )
    group.add_argument(
        "--camera-fps", type=Number(float, 0.1, 1000, "frames a second"), metavar="FPS",
        help="frames a second asked of a camera; for a folder of images, its frame rate (default: the source's own)",
    )
    group.add_argument(
        "--rotate", type=int, choices=(0, 90, 180, 270), default=0, metavar="DEGREES",
        help="turn the picture clockwise by 90, 180 or 270 degrees, for a camera that hangs askew (default: 0)",
    )
    group.add_argument(
        "--max-exposure", type=Number(float, 0.0001, 1, "seconds"), metavar="SECONDS",
        help="longest exposure of a Pi camera; short ones blur less and are noisier (default: the camera decides)",
    )
    group.add_argument(
        "--duration", type=Number(float, 0.01, 1e9, "seconds"), metavar="SECONDS",
        help="end after this much of the source's time (default: no end)",
    )
    group.add_argument(
        "--max-frames", type=Number(int, 1, 10**12, "frames"), metavar="N",
        help="end after this many frames of the source (default: no end)",
    )
    group.add_argument(
        "--retry", type=Number(int, 0, 10**9, "openings"), metavar="N",
        help="give a camera up after N failed openings in a row; it is then tried N times at the start, too (default: "
        "at the start once, later for ever)",
    )
    group.add_argument(
        "--read-timeout", type=Number(float, 0.5, 3600, "seconds"), default=5.0, metavar="SECONDS",
        help="open a camera again when it has given no picture for so long (default: %(default)g)",
    )
    group.add_argument(
        "--cameraId", dest="source", action="append", type=camera_id, metavar="N", help=argparse.SUPPRESS
    )


def _add_model(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--model", metavar="FILE",
        help="a .tflite or .onnx file, or the name of a published model, which is fetched (default: the published one "
        f"that was fetched, {DEFAULT_MODEL} first; for the demo its own)",
    )
    group.add_argument(
        "--labels", "--label", type=OrOff(str), metavar="FILE",
        help="class names, one a line (default: those that belong to the model)",
    )
    group.add_argument(
        "--model-info", metavar="FILE", help="print what a model is, what it wants and its labels, and end"
    )
    group.add_argument("--list-models", action="store_true", help="print the published models and end")
    group.add_argument(
        "--runtime", choices=RUNTIMES, default="auto",
        help="what runs the model; auto takes the first installed of ai-edge-litert, tflite-runtime, tensorflow "
        "(default: auto)",
    )
    group.add_argument(
        "--threads", "--numThreads", type=threads, default="auto", metavar="N",
        help="CPU threads of a step; auto measures once what is fastest here, and remembers (default: auto)",
    )
    group.add_argument(
        "--memory", action=Noted, type=OrOff(Number(float, 0.1, 3600, "seconds (or off)")), default=2.4,
        metavar="SECONDS",
        help="about how long the model remembers what it saw (one that you taught says so itself); off is the "
        "published behaviour, which fades within minutes (default: 2.4)",
    )
    group.add_argument(
        "--compile", action=_SWITCH, default=True,
        help="run the faster form of the model, made at the first use; --no-compile runs the file as it is "
        "(default: yes)",
    )
    group.add_argument(
        "--precision", choices=("auto", "float", "int8"), default="auto",
        help="arithmetic of the compiled model; auto is float, or int8 where that is clearly faster here and says the "
        "same (default: auto)",
    )
    group.add_argument(
        "--sample-fps", type=OrOff(Number(float, 0.1, 120, "frames a second")), metavar="FPS",
        help="frames a second that the model sees (default: what it was trained at, 5)",
    )
    group.add_argument(
        "--idle", action=_SWITCH, default=False,
        help="look once a second only, while nothing in the picture has changed for 5 seconds; back to the full rate "
        "within a frame of motion (default: no)",
    )
    group.add_argument(
        "--max-cpu", type=OrOff(Number(float, 1, 6400, "percent of one core")), metavar="PERCENT",
        help="processor time that the model may take, in percent of one core as top shows it, all cameras together; "
        "it is given fewer frames a second (default: no bound; cameras only)",
    )
    group.add_argument(
        "--fit", action=Noted, choices=FITS, default="crop",
        help="how a frame becomes square (a model that you taught says so itself): its centre, squeezed, or between "
        "borders (default: crop)",
    )
    group.add_argument(
        "--top-k", "--maxResults", type=Number(int, 1, 100, "labels"), default=3, metavar="N",
        help="labels shown, best first (default: %(default)s)",
    )
    group.add_argument(
        "--threshold", type=_PROBABILITY, default=0.0, metavar="P",
        help="show labels from this probability on, 0 to 1 (default: 0)",
    )
    group.add_argument(
        "--lang", choices=("auto", *LANGUAGES), default="auto",
        help="language of the labels that are shown; auto is the system's, from LC_ALL, LC_MESSAGES or LANG, or else "
        "English (default: auto)",
    )
    group.add_argument("--allow", nargs="*", metavar="LABEL", help="show these labels only (default: all)")
    group.add_argument("--deny", nargs="*", metavar="LABEL", help="never show these labels (default: none)")


def _add_clips(group: argparse._ArgumentGroup) -> None:
    frames = Number(int, 1, 1024, "frames")
    group.add_argument(
        "--stride", type=frames, metavar="N",
        help="a new prediction every N frames: the clip's length is the batch way, 1 the rolling way (default: the "
        "published model's, else the clip's length)",
    )
    group.add_argument(
        "--clip-length", type=frames, metavar="N", help="frames of a clip, for a file that doesn't say"
    )
    group.add_argument(
        "--clip-size", type=Number(int, 8, 2048, "pixels"), metavar="PIXELS",
        help="width and height of a frame, for a file that doesn't say",
    )
    group.add_argument(
        "--layout", choices=LAYOUTS,
        help="order of the input's axes (t frames, c channels), for a file whose shape leaves it open",
    )
    group.add_argument(
        "--mean", type=per_channel, metavar="R,G,B",
        help="subtracted from the pixels, 0 to 255: one number or three (default: the file's, else 0)",
    )
    group.add_argument(
        "--scale", type=per_channel, metavar="R,G,B",
        help="what the pixels are then multiplied by (default: the file's, else 1 with --mean, 1/255 without)",
    )


def _add_display(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--display", choices=CHOICES, default="auto",
        help="a window on the desktop, also from an ssh login; a console's whole screen where there is no desktop; or "
        "none; auto takes the first that works (default: auto)",
    )
    group.add_argument(
        "--fullscreen", action=_SWITCH, default=False, help="start with the window filling the screen (default: no)"
    )
    group.add_argument(
        "--mirror", action=_SWITCH, default=False,
        help="swap left and right of what is shown and recorded; the model sees the picture as it is (default: no)",
    )


def _add_output(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--record", type=OrOff(str), metavar="FILE", help="write the picture with its labels to a video, out.mp4"
    )
    group.add_argument(
        "--record-limit", type=OrOff(limit), metavar="LIMIT",
        help="end the recording at 10min, 90s, 500MB, 2GB (default: no limit)",
    )
    group.add_argument(
        "--timeline", type=timeline, metavar="FILE",
        help="what the model saw over the whole run: a picture (.png, .svg), or a film of the video beside its chart "
        "(.mp4, .gif)",
    )
    group.add_argument("--jsonl", metavar="FILE", help="append a line of JSON per prediction; - is standard output")
    group.add_argument(
        "--snapshots", default=".", metavar="FOLDER", help="where the s key puts pictures (default: this folder)"
    )


def _add_events(group: argparse._ArgumentGroup) -> None:
    seconds = Number(float, 0, 3600, "seconds")
    group.add_argument(
        "--events", action="append", metavar="FILE",
        help="keep each event, in a SQLite database (events.db) or as lines of JSON (any other name; - is standard "
        "output); may be given several times",
    )
    group.add_argument(
        "--event-on", type=_PROBABILITY, default=0.5, metavar="P",
        help="probability that begins an event (default: %(default)g)",
    )
    group.add_argument(
        "--event-off", type=_PROBABILITY, default=0.3, metavar="P",
        help="probability below which it ends (default: %(default)g)",
    )
    group.add_argument(
        "--event-min", type=seconds, default=1.0, metavar="SECONDS",
        help="an action that is shorter is no event (default: %(default)g)",
    )
    group.add_argument(
        "--event-gap", type=seconds, default=2.0, metavar="SECONDS",
        help="a pause of up to so long doesn't end one (default: %(default)g)",
    )
    group.add_argument("--clips", metavar="FOLDER", help="write a video of each event into this folder")
    group.add_argument(
        "--clips-limit", type=size, default="1GB", metavar="SIZE",
        help="delete the oldest clips so that all together never take more, 1MB at least (default: %(default)s)",
    )
    group.add_argument(
        "--pre-roll", type=Number(float, 0, 30, "seconds"), default=3.0, metavar="SECONDS",
        help="what a clip shows from before its event (default: %(default)g)",
    )
    group.add_argument(
        "--events-report", metavar="FILE", help="print a day of such a database as table and plot, and end"
    )
    group.add_argument("--day", type=day, metavar="YYYY-MM-DD", help="of the report (default: the last with an event)")


def _add_remote(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--serve", nargs="?", type=address, const=(DEFAULT_ADDRESS, DEFAULT_PORT), metavar="ADDRESS:PORT",
        help="a web page with the live picture, events and settings (with no value: "
        f"{DEFAULT_ADDRESS}:{DEFAULT_PORT}); an address that others can reach wants a token; 0.0.0.0:8080 is all of "
        "this machine's",
    )
    group.add_argument("--token", metavar="TOKEN", help="what the web page asks for (default: made and printed)")
    group.add_argument(
        "--mqtt", metavar="URL",
        help="tell a broker, and Home Assistant: mqtt://user:password@host:1883/prefix, mqtts://...",
    )
    group.add_argument("--mqtt-ca", metavar="FILE", help="certificate that signed the broker's (default: the system's)")
    group.add_argument(
        "--mqtt-sensors", nargs="*", metavar="LABEL", help="labels that get a sensor of their own in Home Assistant"
    )
    group.add_argument(
        "--control", action=_SWITCH, default=True,
        help="let --live of the same user reach this program, through a Unix socket; --no-control makes none "
        "(default: yes)",
    )
    group.add_argument(
        "--instance", metavar="NAME", help="name of this program, or with --live of the one meant (default: its number)"
    )


def _add_live(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--live", action="store_true",
        help="change the program that runs already: the other flags are applied to it; alone, print its settings",
    )
    group.add_argument("--status", action="store_true", help="with --live: print its statistics")
    group.add_argument("--snapshot", metavar="FILE", help="with --live: save its picture")
    group.add_argument("--reset", action="store_true", help="with --live: let the model start from a fresh state")
    group.add_argument("--quit", action="store_true", help="with --live: end it")


def _add_settings(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--config", metavar="FILE", help="TOML file with flags, such as top-k = 5; flags given here win")
    group.add_argument(
        "--doctor", action="store_true", help="check this machine, say what to do where something isn't right, and end"
    )


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Parses a command line, filling what it leaves open from the --config file and then from the defaults.

    Raises:
        UserError: An unknown flag or key, or a value that is out of range.
    """
    parser = build_parser()
    finder = Parser(add_help=False, allow_abbrev=False)
    finder.add_argument("--config")
    config = finder.parse_known_args(arguments)[0].config
    # What stands in the namespace already is kept over a default, and replaced by a flag.
    values = {} if config is None else read_config(Path(config).expanduser(), parser)
    # Otherwise flags would add to the file's.
    appended = {name: values.pop(name, None) for name in ("source", "events")}
    event_rules = values.pop("event", {})
    options = parser.parse_args(arguments, argparse.Namespace(**values))
    for name, value in appended.items():
        setattr(options, name, getattr(options, name) or value)
    options.event_rules = event_rules
    options.given = {*getattr(options, "given", ()), *values}
    options.allow, options.deny = options.allow or None, options.deny or None
    _check(options)
    return options


def _check(options: argparse.Namespace) -> None:
    """Refuses what doesn't go together."""
    if options.record_limit is not None and options.record is None:
        raise UserError("--record-limit bounds a recording; name its file with --record out.mp4")
    for name in ("status", "snapshot", "reset", "quit"):
        if getattr(options, name) and not options.live:
            raise UserError(f"--{name} asks a running program: python classify.py --live --{name}")
    for name, needed in (("day", "events_report"), ("token", "serve"), ("mqtt_ca", "mqtt"), ("mqtt_sensors", "mqtt")):
        if getattr(options, name) is not None and getattr(options, needed) is None:
            raise UserError(f"--{name.replace('_', '-')} is of use with --{needed.replace('_', '-')} only")
    if options.instance is not None:
        from remote.paths import check_name  # of a room that --no-control does without

        check_name(options.instance)
    if options.mqtt is not None:
        parse_url(options.mqtt)
