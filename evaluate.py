#!/usr/bin/env python3
"""Measures how often models are right on labelled clips: a folder with a folder of clips for each label.

_evaluate() shows the whole run.
"""

from __future__ import annotations

import sys

from credentials import hide_credentials
from environment import use_venv

if __name__ == "__main__":
    hide_credentials()
    use_venv()

import os
from argparse import Namespace
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Sequence

import models
from errors import OutputError, SourceError, UserError
from evaluation.clips import Clip, find_clips, match
from evaluation.results import write_json
from evaluation.running import TOP, Contestant, Outcome, Runner, run_all
from evaluation.scores import Scores, score
from evaluation.streams import plan_streams
from evaluation.progress import Progress
from evaluation.table import table
from flags import Formatter, Number, Parser
from options import build_parser
from signals import Signals
from tuning import available_cores
from utils import read_labels, say
from video_classifier import VideoClassifier

_DEFAULT_FPS = 5.0  # for a model that the registry doesn't know; every published MoViNet was trained at it
_SHARED = ("memory", "fit", "sample_fps", "runtime", "precision", "compile")  # flags that are classify.py's
# Bytes that a job takes for each model: both classifiers of an A0 in float took 62 MB, larger models take more.
_JOB_BYTES = 100e6
_LISTED = 5  # folders named in a message

_EPILOG = """\
what counts as right: the most probable label after a clip's last frame, from a fresh state on, as the published
accuracies count it; those need --memory off --no-compile, since they are the files' as they are.
examples:
  python evaluate.py --model models/mine.tflite --data clips/ --plot mine.png
      a model that was taught, on clips that it was not taught with
  python evaluate.py --model a0 --model a1 --model a2 --data kinetics600/val --memory off --no-compile --no-stream
      the published accuracies

exit status: 0 measured, 2 wrong flag, 3 model or labels, 4 nothing could be measured, 5 output, 6 missing package,
130 Ctrl-C
"""


def main(arguments: Sequence[str]) -> int:
    """Runs the command line and returns its exit status; what a user can cause ends in one line on stderr."""
    try:
        _evaluate(_parse(arguments))
    except UserError as error:
        say(f"evaluate.py: {error}")
        return error.status
    except SystemExit as end:  # --help
        return end.code
    return 0


def _parse(arguments: Sequence[str]) -> Namespace:
    parser = Parser(
        prog="evaluate.py",
        usage="python evaluate.py --model FILE [--model FILE ...] --data FOLDER [flag ...]",
        description=__doc__.splitlines()[0],
        epilog=_EPILOG,
        formatter_class=Formatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--model", action="append", required=True, metavar="FILE",
        help="a .tflite file, or the name of a published model, which is fetched; several are compared",
    )
    parser.add_argument(
        "--labels", action="append", metavar="FILE",
        help="class names, one a line: one file for all models, or one for each in their order (default: those that "
        "belong to the model)",
    )
    parser.add_argument(
        "--data", type=Path, required=True, metavar="FOLDER",
        help="a folder with a folder for each label, in it videos, GIFs or folders of images",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures, those of each clip too")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw them as a .png (needs matplotlib)")
    parser.add_argument(
        "--limit", type=Number(int, 1, 10**9, "clips"), metavar="N",
        help="of each label only the first N clips by name (default: all)",
    )
    parser.add_argument(
        "--seed", type=Number(int, 0, 2**31 - 1, "(a seed)"), default=0, metavar="N",
        help="of the random order in which clips follow each other in a stream (default: %(default)s)",
    )
    shared = {action.dest: action for action in build_parser()._actions}
    parser.add_argument(
        "--stream", action=type(shared["compile"]), default=True,
        help="also run the clips one after another without a reset; --no-stream halves the time (default: yes)",
    )
    for name in _SHARED:
        parser._add_action(shared[name])
    parser.add_argument(
        "--threads", type=Number(int, 1, 64, "threads"), default=1, metavar="N",
        help="CPU threads of a step; several clips at a time use the cores better (default: %(default)s)",
    )
    parser.add_argument(
        "--jobs", type=Number(int, 1, 256, "jobs"), metavar="N",
        help="streams of clips that are run at a time (default: one a core, fewer where memory is scarce)",
    )
    return parser.parse_args(arguments)


def _evaluate(options: Namespace) -> None:
    if options.plot is not None:
        from evaluation.plot import import_figure

        import_figure()  # better to know now than after an hour
    for path in (options.json, options.plot):
        if path is not None and not path.absolute().parent.is_dir():
            raise OutputError(f"can't write {path}: there is no such folder; make it first")
    clips = find_clips(options.data, options.limit)
    contestants = _open_models(options, clips)
    wanted = [clip for folder in clips.values() for clip in folder if _known(clip, contestants)]
    if not wanted:
        raise SourceError(_nothing_to_do(options.data, clips, contestants))
    _tell_left_out(options.data, clips, contestants)
    streams = plan_streams(wanted, options.seed, **({} if options.stream else {"longest": 1}))
    jobs = min(options.jobs or _default_jobs(len(contestants)), len(streams))
    runners = [Runner(contestants, options.stream) for _ in range(jobs)]
    with Progress(len(wanted)) as progress:
        outcomes = run_all(runners, streams, partial(_tell, progress))
    scores = [score(number, contestant, outcomes) for number, contestant in enumerate(contestants)]
    _check(scores, outcomes)
    print(f"{options.data}: {_how(options)}\n")
    print(table(scores), end="")
    if options.json is not None:
        write_json(options.json, scores, outcomes, _settings(options, clips, contestants))
    if options.plot is not None:
        from evaluation.plot import write_plot

        write_plot(options.plot, scores)


if __name__ == "__main__":
    Signals()
    sys.exit(main(sys.argv[1:]))
