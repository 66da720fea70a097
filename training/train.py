"""Trains the demo model from nothing on clips drawn as they are needed, in under an hour on two CPU cores."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Iterator, Sequence

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from memory import horizons
from sources.play import ACTIONS
from training.clips import MEMORY, MIRRORED, Clips, first_clip
from training.kept import Kept
from training.movinet import MoViNet


@dataclass(frozen=True)
class Stage:
    """A part of the curriculum: small pictures first, which cost little and teach the motions.

    Attributes:
        size: Side of the pictures in pixels.
        batch: Clips a step, half of them the mirror images of the others: drawing takes as long as learning.
        frames: Frames a clip.
        steps: Steps.
    """

    size: int
    batch: int
    frames: int
    steps: int


CURRICULUM = (Stage(64, 16, 16, 1200), Stage(112, 8, 16, 800), Stage(172, 8, 16, 700))

_LEARNING_RATE = 3e-3
_WARM_UP = 100  # steps
_WEIGHT_DECAY = 0.02
_SMOOTHING = 0.05
_LARGEST_GRADIENT = 2.0
_AVERAGED = 0.99  # of the averaged weights stay at each step
_FIRST_AGE = 2  # frames of a new action that can't be told yet, not asked about
_ONGOING = 0.6  # of the steps train on streams that have been going on, the others on fresh ones


def train(seed: int, curriculum: Sequence[Stage] = CURRICULUM) -> MoViNet:
    """Trains a model and returns it with averaged weights, ready to export.

    Args:
        seed: The same seed draws the same clips and starts from the same weights.
        curriculum: The stages, one after another.
    """
    training = Training(seed, curriculum)
    for _ in training.run():
        pass
    return training.averaged


class Training:
    """A training that can be kept after any step and gone on with: the model becomes the same.

    It draws from torch's global generator of random numbers.

    Args:
        seed: The same seed draws the same clips and starts from the same weights.
        curriculum: The stages, one after another.

    Attributes:
        averaged: The model with averaged weights, ready to export after the last step.
        step: Steps done.
        total: Steps of the curriculum.
    """

    def __init__(self, seed: int, curriculum: Sequence[Stage] = CURRICULUM) -> None:
        self._seed = seed
        self._first_clip = first_clip(seed)
        self._curriculum = curriculum
        torch.manual_seed(seed)
        self._model = MoViNet(len(ACTIONS)).to(memory_format=torch.channels_last)
        self.averaged = copy.deepcopy(self._model).eval()
        self._optimizer = torch.optim.AdamW(_parameter_groups(self._model), _LEARNING_RATE, betas=(0.9, 0.99))
        self._random = torch.Generator().manual_seed(seed)
        self.step, self.total = 0, sum(stage.steps for stage in curriculum)
        self._right = 0.0

    def run(self) -> Iterator[int]:
        """Trains, shows how far it has come, and yields the number of steps done after each."""
        with tqdm(total=self.total, initial=self.step, unit="step", desc="training") as progress:
            for clips, labels, ages in _batches(self._first_clip, self._curriculum, self.step):
                share = self._learn(clips, labels, ages)
                self._right += (share - self._right) * max(0.02, 1 / self.step)
                progress.set_postfix_str(f"{clips.shape[3]} px, {self._right:.1%} of frames right", refresh=False)
                progress.update()
                yield self.step

    def _learn(self, clips: Tensor, labels: Tensor, ages: Tensor) -> float:
        """Does one step and returns the share of frames that were right before it."""
        for group in self._optimizer.param_groups:
            group["lr"] = _learning_rate(self.step, self.total)
        ongoing = torch.rand((), generator=self._random).item() < _ONGOING
        loss, share = _loss(self._model.train(), clips, labels, ages, ongoing)
        self._optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._model.parameters(), _LARGEST_GRADIENT)
        self._optimizer.step()
        self.step += 1
        _average(self.averaged, self._model, min(_AVERAGED, self.step / (self.step + 20)))
        return share

    def kept(self, seconds: float) -> Kept:
        """Returns what another one goes on from, or the weights if all is done.

        Args:
            seconds: That it took so far.
        """
        unfinished = {
            "step": self.step,
            "right": self._right,
            "model": self._model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "random": self._random.get_state(),
            "torch": torch.get_rng_state(),
        }
        weights = self.averaged.state_dict()
        return Kept(self._seed, seconds, weights, unfinished if self.step < self.total else None)

    def go_on(self, kept: Kept) -> None:
        """Goes on where an unfinished one from the same seed was."""
        state = kept.unfinished
        self.averaged.load_state_dict(kept.weights)
        self._model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._random.set_state(state["random"])
        torch.set_rng_state(state["torch"])
        self.step, self._right = state["step"], state["right"]


def _batches(first: int, curriculum: Sequence[Stage], done: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yields clips float [B, T, 3, S, S] in 0..1, their labels and ages int64 [B, T].

    Args:
        first: The seed of the first clip.
        curriculum: The stages.
        done: Steps to leave out.
    """
    for stage in curriculum:
        drawn = stage.batch // 2
        skipped = min(done, stage.steps)
        done -= skipped
        clips = Clips(first + drawn * skipped, drawn * (stage.steps - skipped), stage.frames, stage.size)
        first += drawn * stage.steps
        if not len(clips):
            continue
        # A loader draws a number when it begins. In a stage that is gone on with, that has been done.
        generator = torch.Generator() if skipped else None
        # Two drawers beside two threads of arithmetic: they are done before the arithmetic asks.
        loader = DataLoader(clips, drawn, num_workers=2, worker_init_fn=_one_thread, generator=generator)
        for frames, labels, ages in loader:
            frames = torch.cat([frames, frames.flip(3)])
            labels = torch.cat([labels, torch.tensor(MIRRORED)[labels]])
            yield frames.permute(0, 1, 4, 2, 3).float() / 255, labels, torch.cat([ages, ages])


def _one_thread(_: int) -> None:
    cv2.setNumThreads(1)


def _loss(model: MoViNet, clips: Tensor, labels: Tensor, ages: Tensor, ongoing: bool) -> tuple[Tensor, float]:
    """Returns the cross entropy over the frames that can be told, and the share of them that were right.

    A frame can be told once its action has been seen for _FIRST_AGE frames.
    """
    short, long = horizons(MEMORY)  # The pools are trained as the program bounds them.
    logits = model(clips, se_window=long, head_windows=(short, long), ongoing=ongoing)
    known = ages >= _FIRST_AGE
    logits, labels = logits[known], labels[known]
    share = (logits.argmax(-1) == labels).float().mean().item()
    return F.cross_entropy(logits, labels, label_smoothing=_SMOOTHING), share


def _learning_rate(step: int, total: int) -> float:
    """Rises for _WARM_UP steps, then falls along half a cosine."""
    return _LEARNING_RATE * min(1, (step + 1) / _WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * step / total)) + 1e-5


def _parameter_groups(model: nn.Module) -> list[dict]:
    """Weights decay; biases and normalizations don't."""
    parameters = list(model.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": _WEIGHT_DECAY},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


@torch.no_grad()
def _average(averaged: nn.Module, model: nn.Module, kept: float) -> None:
    for mean, value in zip(averaged.state_dict().values(), model.state_dict().values()):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - kept)
        else:
            mean.copy_(value)
