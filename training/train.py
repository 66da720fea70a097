"""Trains the demo model from nothing on clips drawn as they are needed, in under an hour on two CPU cores."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Iterator

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from memory import horizons
from sources.play import ACTIONS
from training.clips import MEMORY, MIRRORED, Clips
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


def train(seed: int, curriculum: tuple[Stage, ...] = CURRICULUM) -> MoViNet:
    """Trains a model and returns it with averaged weights, ready to export.

    Args:
        seed: The same seed draws the same clips and starts from the same weights.
        curriculum: The stages, one after another.
    """
    torch.manual_seed(seed)
    model = MoViNet(len(ACTIONS)).to(memory_format=torch.channels_last)
    averaged = copy.deepcopy(model).eval()
    optimizer = torch.optim.AdamW(_parameter_groups(model), _LEARNING_RATE, betas=(0.9, 0.99))
    total = sum(stage.steps for stage in curriculum)
    random = torch.Generator().manual_seed(seed)
    step, right = 0, 0.0
    with tqdm(total=total, unit="step", desc="training") as progress:
        for clips, labels, ages in _batches(seed, curriculum):
            for group in optimizer.param_groups:
                group["lr"] = _learning_rate(step, total)
            ongoing = torch.rand((), generator=random).item() < _ONGOING
            loss, share = _loss(model.train(), clips, labels, ages, ongoing)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), _LARGEST_GRADIENT)
            optimizer.step()
            step += 1
            _average(averaged, model, min(_AVERAGED, step / (step + 20)))
            right += (share - right) * max(0.02, 1 / step)
            progress.set_postfix_str(f"{clips.shape[3]} px, {right:.1%} of frames right", refresh=False)
            progress.update()
    return averaged


def _batches(seed: int, curriculum: tuple[Stage, ...]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yields clips float [B, T, 3, S, S] in 0..1, their labels and ages int64 [B, T]."""
    drawn = 0
    for stage in curriculum:
        count = stage.batch // 2 * stage.steps
        clips = Clips((seed + 1) * 10_000_000 + drawn, count, stage.frames, stage.size)
        drawn += count
        # Two drawers beside two threads of arithmetic: they are done before the arithmetic asks.
        for frames, labels, ages in DataLoader(clips, stage.batch // 2, num_workers=2, worker_init_fn=_one_thread):
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
