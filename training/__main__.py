"""Makes the demo model from nothing: trains, exports, measures, writes its card."""

from __future__ import annotations

import sys

from training.starting import check_packages, use_environment

if __name__ == "__main__":
    check_packages(
        "python -m training",
        ("torch", "litert_torch", "ai_edge_litert", "ai_edge_quantizer", "flatbuffers", "numpy", "cv2", "tqdm"),
        "training/README.md says how",
    )
    use_environment()

import contextlib
import tempfile
import time
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Sequence

from errors import OutputError, UserError
from flags import Formatter, Parser
from signals import Signals
from sources.play import ACTIONS
from training.clips import first_clip
from training.evaluate import NAME, evaluate
from utils import say, write_whole

if TYPE_CHECKING:
    from training.kept import Kept

_COMMAND = "python -m training"
_ROOT = Path(__file__).resolve().parent.parent
_KEPT_EVERY = 100  # steps, one or two minutes
_EPILOG = """\
Ctrl-C keeps what is trained in the file of --weights, and the same command
goes on with it; so it does after a crash, from some minutes before.

exit status: 0 the model is as good as it should be, 1 it falls short of a
figure, 2 wrong flag, 3 file of --weights, or conversion, 5 output, 6 missing
package, 130 Ctrl-C
"""


def main(arguments: Sequence[str]) -> int:
    """Runs the command line and returns its exit status; what a user can cause ends in one line on stderr."""
    try:
        return _make(_parse(arguments))
    except UserError as error:
        say(f"{_COMMAND}: {error}")
        return error.status
    except SystemExit as end:  # --help, or a signal
        return int(end.code or 0)


def _parse(arguments: Sequence[str]) -> Namespace:
    parser = Parser(prog=_COMMAND, description=__doc__, epilog=_EPILOG, formatter_class=Formatter, allow_abbrev=False)
    parser.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="draws the clips and the first weights: 0 to 98 (default: 0, or what --weights was trained from)",
    )
    parser.add_argument(
        "--weights",
        type=Path,
        default=Path("demo.pt"),
        metavar="FILE",
        help="where the trained weights are kept; if they are there, training is skipped (default: demo.pt)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=_ROOT,
        metavar="FOLDER",
        help="where models/ and labels/ are (default: this repository)",
    )
    return parser.parse_args(arguments)


def _make(options: Namespace) -> int:
    """Does all of it; returns 1 if the model falls short of a figure it should reach."""
    start = time.monotonic()
    file, labels = options.out / "models" / f"{NAME}.tflite", options.out / "labels" / f"{NAME}.txt"
    _check_before_work(options, file, labels)

    from training.kept import read_kept

    kept = read_kept(options.weights, options.seed) if options.weights.exists() else None

    from training.card import write_card
    from training.export import export

    signals = Signals()
    kept = _train(kept, options, signals)
    write_whole(labels, "".join(f"{action}\n" for action in ACTIONS).encode())
    export(kept.model(), file)
    scores = evaluate(file, labels, signals)
    scores.save(options.weights.with_suffix(".json"))
    write_card(options.out / "models" / f"{NAME}.md", file, scores, kept.seed, kept.seconds)
    for words, wanted, measured in scores.reached():
        print(f"{words}: {measured:.1%} (wanted: {wanted:.0%}{'' if measured >= wanted else ', NOT REACHED'})")
    print(f"{(time.monotonic() - start) / 60:.0f} minutes")
    return 0 if all(measured >= wanted for _, wanted, measured in scores.reached()) else 1


def _check_before_work(options: Namespace, *outputs: Path) -> None:
    """Finds out now what would be a pity to find out after an hour.

    Raises:
        UserError: No such seed, or files that would be written over each other.
        OutputError: A folder can't be written to.
    """
    first_clip(options.seed or 0)
    for path in (options.weights, *outputs):
        if path.is_dir():
            raise OutputError(f"can't write {path}: it is a folder; give another")
        try:
            tempfile.TemporaryFile(dir=path.parent).close()
        except OSError as error:
            raise OutputError(f"can't write {path}: {error.strerror}; make its folder, or give another") from None
    if options.weights.suffix == ".json":
        raise UserError(f"--weights {options.weights} is where the figures go; let it end in .pt")


def _train(kept: Kept | None, options: Namespace, signals: Signals) -> Kept:
    """Trains, or goes on with what is kept, or finds that all is done.

    Raises:
        OutputError: The file of --weights can't be written.
        SystemExit: A signal came. What is trained is kept.
    """
    from training.train import CURRICULUM, Training

    path = options.weights
    if kept is not None and kept.unfinished is None:
        say(f"{path} is there, trained from seed {kept.seed}: not trained again")
        return kept
    training = Training(kept.seed if kept else options.seed or 0, CURRICULUM)
    if kept:
        training.go_on(kept)
        say(f"{path} is there, trained from seed {kept.seed} for {training.step} of {training.total} steps: going on")
    before = kept.seconds if kept else 0.0
    start = time.monotonic()
    signals.deferred = True
    with contextlib.closing(training.run()) as steps:
        for step in steps:
            stopped = signals.stop.is_set()
            if stopped or step % _KEPT_EVERY == 0 or step == training.total:
                kept = training.kept(before + time.monotonic() - start)
                kept.save(path)
            if stopped:
                break
    signals.deferred = False
    if signals.stop.is_set():  # also if the signal came after the last look
        say(f"stopped after {training.step} of {training.total} steps, kept in {path}: the same command goes on")
        raise SystemExit(signals.status)
    return kept


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
