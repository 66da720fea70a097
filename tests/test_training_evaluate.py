"""What the model card's figures count, and what training clips are; no PyTorch is needed for either."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from errors import UserError
from sources.play import ACTIONS, Play
from training.clips import HELD_OUT, MIRRORED, ages_of, draw_clip, first_clip
from training.evaluate import Run, score


def run(labels: list[int], answers: list[int]) -> Run:
    return Run(np.array(labels), np.array(answers))


def all_actions(wrong: int = -1) -> list[Run]:
    """A fresh clip of ten frames for each action; the answers to one of them are always wrong."""
    return [run([k] * 10, [(k + 1) % 7 if k == wrong else k] * 10) for k in range(7)]


def streams() -> list[Run]:
    """For each action: 30 frames of the one before it, then 30 of it, which are told from its 4th frame on."""
    return [run([k - 1 if k else 6] * 30 + [k] * 30, [k - 1 if k else 6] * 33 + [k] * 27) for k in range(7)]


def test_ages_count_the_frames_of_an_action():
    assert ages_of(np.array([4, 4, 2, 2, 2, 4])).tolist() == [0, 1, 0, 1, 2, 0]
    assert ages_of(np.array([1])).tolist() == [0]


def test_after_a_change_counts_new_actions_only():
    scores = score(all_actions(), streams(), [run([0] * 2000, [0] * 2000)])

    assert scores.changes == 7  # not the 14 actions: the first one of a stream came with a fresh state
    assert scores.after_change[:5] == [0, 0, 0, 1, 1]
    assert scores.whole == pytest.approx(57 / 60, abs=1e-4)
    assert np.array(scores.confusion).sum() == 7 * (21 + 21)  # from the 10th frame of an action on
    assert all(measured == 1 for _, _, measured in scores.reached())


def test_one_action_that_is_never_told_shows():
    scores = score(all_actions(wrong=2), streams(), [run([0] * 2000, [0] * 2000)])

    assert scores.fresh[9] == pytest.approx(6 / 7, abs=1e-4)
    assert scores.fresh_by_action[ACTIONS[2]] == 0
    assert [words for words, wanted, measured in scores.reached() if measured < wanted] == [
        "right at frame 10 from a fresh state",
        "the worst action, at frame 10",
    ]


def test_a_model_that_fades_shows_in_the_long_streams():
    answers = np.zeros(6000, int)
    answers[3000:] = 1
    scores = score(all_actions(), streams(), [run([0] * 6000, list(answers))])
    assert scores.long == [1, 0]
    assert [words for words, wanted, measured in scores.reached() if measured < wanted] == [
        "as often right after 5,000 frames as in the first thousand (0.0%, 100.0%)"
    ]
    assert all(measured >= wanted for _, wanted, measured in replace(scores, long=[0.978, 0.976]).reached())


def test_a_training_clip_is_labelled_with_what_the_play_shows():
    for seed in (5, 6, 7):
        clip = draw_clip(seed, frames=12, size=64)
        assert clip.frames.shape == (12, 64, 64, 3) and clip.frames.dtype == np.uint8
        start = np.random.default_rng(seed).uniform(0, 20)
        play = Play(seed, seconds=(1.6, 4.0))
        assert [ACTIONS[label] for label in clip.labels] == [play.action(start + t / 5) for t in range(12)]
        # The same pictures, up to the size that they were drawn at; RGB, where the play draws BGR.
        drawn = np.stack([play.draw(start + t / 5, 64, 64)[..., ::-1] for t in range(12)])
        difference = np.abs(clip.frames.astype(int) - drawn).mean()
        assert difference < min(14, np.abs(clip.frames[..., ::-1].astype(int) - drawn).mean())


def test_most_training_clips_show_a_change():
    assert sum(len(set(draw_clip(seed, 16, 64).labels)) > 1 for seed in range(12)) >= 7


def test_nothing_is_trained_on_what_is_measured():
    """A training draws 15,600 clips."""
    firsts = [first_clip(seed) for seed in range(99)]
    assert firsts[:2] == [10_000_000, 20_000_000]
    assert all(later - first > 15_600 for first, later in zip(firsts, [*firsts[1:], HELD_OUT]))
    for seed in (-1, 99, 199):
        with pytest.raises(UserError, match=f"--seed {seed} is not between 0 and 98"):
            first_clip(seed)


def test_in_a_mirror_left_is_right():
    names = [ACTIONS[k] for k in MIRRORED]
    assert names[ACTIONS.index("walking left")] == "walking right"
    assert names[ACTIONS.index("walking right")] == "walking left"
    assert [name for name in names if "walking" not in name] == [name for name in ACTIONS if "walking" not in name]
