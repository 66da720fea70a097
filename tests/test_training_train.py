"""The training loop learns, from a seed."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs torch: pip install -r training/requirements.txt")

from training.clips import draw_clip  # noqa: E402
from training.movinet import MoViNet  # noqa: E402
from training.train import Stage, _loss, train  # noqa: E402

torch.set_num_threads(1)


@pytest.mark.timeout(300)
def test_the_same_seed_gives_the_same_model_and_another_one_another() -> None:
    short = (Stage(64, 2, 6, 2), Stage(80, 2, 6, 1))
    one, same, other = (train(seed, short).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


@pytest.mark.timeout(300)
def test_steps_on_one_clip_lower_its_loss() -> None:
    torch.manual_seed(0)
    clip = draw_clip(3, frames=8, size=64)
    clips = torch.from_numpy(clip.frames)[None].permute(0, 1, 4, 2, 3).float() / 255
    labels, ages = torch.from_numpy(clip.labels)[None], torch.from_numpy(clip.ages)[None]
    model = MoViNet(7, dropout=0.0)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    losses = []
    for _ in range(12):
        loss, _ = _loss(model.train(), clips, labels, ages, ongoing=True)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
