"""The model card of the demo model: what it is, what it isn't, and what was measured."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path

from sources.play import ACTIONS
from training.evaluate import Scores
from tuning import cpu_name
from utils import write_whole

_CARD = """\
# {name}

A MoViNet-A0 (causal, streaming, arXiv 2103.11511) of {classes} classes, trained from nothing on drawn clips by
`python -m training` in this repository, so that `python classify.py` has something honest to show on a machine without
a camera or a network.

**It knows the drawn figures of `--source demo` only.** It has never seen a person, and says nothing about one: shown a
real camera picture it names one of its {classes} classes all the same. Don't use it for that.

| | |
|---|---|
| file | `{file}`, {size:,} bytes, sha256 `{sha256}` |
| input | one frame, 172x172, RGB 0..1, at 5 frames a second; 43 states, names and shapes of the published files |
| classes | {actions} |
| storage | weights int8 with a scale for each output channel, arithmetic in float |
| training | seed {seed}; {minutes}; no data but what `sources/play.py` draws |
| licence | that of this repository |

## What was measured

On clips and streams drawn from seeds that training never uses, at 640x480 as `--source demo` shows them, frame by frame
through the .tflite file with the program's default memory ({memory}). The answer is the most probable class.

| | wanted | measured |
|---|---|---|
{reached}

From a fresh state ({clips:,} clips), right at frame:

| {fresh_head} |
|{fresh_rule}|
| {fresh} |

After a change of action ({streams} streams that never reset, {changes:,} changes), right at frame:

| {change_head} |
|{change_rule}|
| {change} |

Over all frames of those streams, with those right after a change: {whole:.1%}.

| action | fresh, frame 10 | 10 frames after a change |
|---|---|---|
{by_action}

Frames by true action (row) and answer (column), from the 10th frame of an action on:

| | {actions_head} |
|---|{actions_rule}|
{confusion}

Machine: {machine}.
"""


def write_card(path: Path, model: Path, scores: Scores, seed: int, trained: float) -> None:
    """Writes the card of a trained model.

    Args:
        path: The Markdown file.
        model: The .tflite file.
        scores: What evaluate() measured.
        seed: What it was trained from.
        trained: Seconds that training took.
    """
    content = model.read_bytes()
    changed = scores.after_change[:5] + [scores.after_change[age] for age in (7, 9, 14, 19)]
    card = _CARD.format(
        name=model.stem,
        file=model.name,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        classes=len(ACTIONS),
        actions=", ".join(ACTIONS),
        seed=seed,
        minutes=f"{trained / 60:.0f} minutes on the machine below",
        memory="2.4 s",
        reached="\n".join(f"| {words} | {wanted:.0%} | {got:.1%} |" for words, wanted, got in scores.reached()),
        clips=scores.clips,
        fresh_head=" | ".join(str(frame) for frame in range(1, 11)),
        fresh_rule="---|" * 9 + "---",
        fresh=_shares(scores.fresh),
        streams=scores.streams,
        changes=scores.changes,
        change_head=" | ".join(str(frame) for frame in (1, 2, 3, 4, 5, 8, 10, 15, 20)),
        change_rule="---|" * 8 + "---",
        change=_shares(changed),
        whole=scores.whole,
        by_action="\n".join(
            f"| {action} | {scores.fresh_by_action[action]:.1%} | {scores.after_change_by_action[action]:.1%} |"
            for action in ACTIONS
        ),
        actions_head=" | ".join(ACTIONS),
        actions_rule="---|" * (len(ACTIONS) - 1) + "---",
        confusion="\n".join(
            f"| {action} | {' | '.join(str(count) for count in row)} |"
            for action, row in zip(ACTIONS, scores.confusion)
        ),
        machine=f"{os.cpu_count()} cores, {cpu_name()}, Python {platform.python_version()}",
    )
    write_whole(path, card.encode())


def _shares(values: list[float]) -> str:
    return " | ".join(f"{value:.1%}" for value in values)
