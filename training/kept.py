"""The file that a training is kept in: what it goes on from, and then the trained weights."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from errors import ModelError, UserError
from sources.play import ACTIONS
from training.movinet import MoViNet
from utils import write_whole


@dataclass(frozen=True)
class Kept:
    """A training, done or not.

    Attributes:
        seed: What it was begun from.
        seconds: That it took so far.
        weights: The averaged weights: those to export, once it is done.
        unfinished: What it goes on from, beside them; None if it is done.
    """

    seed: int
    seconds: float
    weights: dict[str, Any]
    unfinished: dict[str, Any] | None = None

    def save(self, path: Path) -> None:
        """Writes it, whole or not at all.

        Raises:
            OutputError: The file can't be written.
        """
        content = io.BytesIO()
        torch.save(dict(vars(self)), content)
        write_whole(path, content.getvalue())

    def model(self) -> MoViNet:
        """Returns the model with these weights, not in training."""
        model = MoViNet(len(ACTIONS)).eval()
        model.load_state_dict(self.weights)
        return model


def read_kept(path: Path, seed: int | None) -> Kept:
    """Reads what save() wrote.

    Args:
        path: The file.
        seed: What it should have been begun from; None for any.

    Raises:
        ModelError: There is something else in the file, or it can't be read.
        UserError: It was begun from another seed.
    """
    try:
        kept = Kept(**torch.load(path, weights_only=True))
        kept.model()
    except OSError as error:
        raise ModelError(f"can't read {path}: {error.strerror}; give another --weights FILE") from None
    except Exception:  # Torch has no error of its own for files that it can't read.
        raise ModelError(f"{path} doesn't hold weights of this model; give another --weights FILE") from None
    if seed not in (None, kept.seed):
        raise UserError(
            f"{path} was trained from seed {kept.seed}, not {seed}; give another --weights FILE, or remove it"
        )
    return kept
