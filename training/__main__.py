"""python -m training: makes the demo model from nothing: trains, exports, measures, writes the model card."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

# Set before torch is loaded. Threads that spin while they wait slow each other down on a busy machine, up to tenfold;
# memory that is given back to the system after each step costs a quarter of the time.
_ENVIRONMENT = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    "MALLOC_MMAP_THRESHOLD_": "8589934592",
}
_ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Runs the command line; returns 1 if the model falls short of a figure it should reach."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="draws the clips and the first weights (default: 0)")
    parser.add_argument(
        "--weights", type=Path, default=Path("demo.pt"), metavar="FILE",
        help="where the trained weights are kept; if the file is there, training is skipped (default: demo.pt)",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, default=_ROOT, metavar="FOLDER",
        help="where models/ and labels/ are (default: this repository)",
    )  # fmt: skip
    options = parser.parse_args()

    import torch

    from sources.play import ACTIONS
    from training.card import write_card
    from training.evaluate import NAME, evaluate
    from training.export import export
    from training.movinet import MoViNet
    from training.train import train

    start = time.monotonic()
    if options.weights.exists():
        print(f"{options.weights} is there: not trained again")
        trained = torch.load(options.weights, weights_only=True)
    else:
        weights = train(options.seed).state_dict()
        trained = {"seed": options.seed, "seconds": time.monotonic() - start, "weights": weights}
        torch.save(trained, options.weights)
    model = MoViNet(len(ACTIONS)).eval()
    model.load_state_dict(trained["weights"])

    file, labels = options.out / "models" / f"{NAME}.tflite", options.out / "labels" / f"{NAME}.txt"
    labels.write_text("".join(f"{action}\n" for action in ACTIONS))
    export(model, file)
    scores = evaluate(file, labels)
    scores.save(options.weights.with_suffix(".json"))
    write_card(options.out / "models" / f"{NAME}.md", file, scores, trained["seed"], trained["seconds"])
    for words, wanted, measured in scores.reached():
        print(f"{words}: {measured:.1%} (wanted: {wanted:.0%}{'' if measured >= wanted else ', NOT REACHED'})")
    print(f"{(time.monotonic() - start) / 60:.0f} minutes")
    return 0 if all(measured >= wanted for _, wanted, measured in scores.reached()) else 1


if __name__ == "__main__":
    if any(os.environ.get(name) != value for name, value in _ENVIRONMENT.items()):
        os.execve(sys.executable, [sys.executable, "-m", "training", *sys.argv[1:]], {**os.environ, **_ENVIRONMENT})
    sys.exit(main())
