"""The training loop learns, from a seed."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs torch: pip install -r training/requirements.txt")

from errors import ModelError, UserError  # noqa: E402
from training.clips import draw_clip  # noqa: E402
from training.kept import Kept, read_kept  # noqa: E402
from training.movinet import MoViNet  # noqa: E402
from training.train import Stage, Training, _loss, train  # noqa: E402

torch.set_num_threads(1)

SHORT = (Stage(64, 2, 6, 2), Stage(80, 2, 6, 2))


@pytest.mark.timeout(300)
def test_the_same_seed_gives_the_same_model_and_another_one_another() -> None:
    one, same, other = (train(seed, SHORT).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


@pytest.mark.timeout(300)
def test_a_training_stopped_at_any_step_becomes_the_same_model(tmp_path: Path) -> None:
    file = tmp_path / "demo.pt"
    whole = train(1, SHORT).state_dict()
    for stop in (1, 2, 3):  # within a stage, between two
        training = Training(1, SHORT)
        next(step for step in training.run() if step == stop)
        training.kept(5.0).save(file)
        torch.manual_seed(99)  # as another process begins
        again, kept = Training(1, SHORT), read_kept(file, 1)
        again.go_on(kept)
        assert list(again.run()) == list(range(stop + 1, 5))
        again.kept(9.0).save(file)
        done = read_kept(file, None)
        assert (kept.seconds, done.seed, done.unfinished) == (5.0, 1, None)
        assert all(torch.equal(whole[name], done.weights[name]) for name in whole)
        assert all(torch.equal(whole[name], value) for name, value in done.model().state_dict().items())


def test_weights_of_another_seed_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "demo.pt"
    Kept(0, 1.0, MoViNet(7).state_dict()).save(file)
    assert read_kept(file, 0).seed == read_kept(file, None).seed == 0
    with pytest.raises(UserError, match="demo.pt was trained from seed 0, not 7; give another"):
        read_kept(file, 7)


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04"])
def test_a_file_that_holds_no_weights_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "demo.pt"
    file.write_bytes(content)
    with pytest.raises(ModelError, match="demo.pt doesn't hold weights of this model"):
        read_kept(file, None)
    torch.save({"seed": 0, "seconds": 1.0, "weights": {}}, file)
    with pytest.raises(ModelError, match="demo.pt doesn't hold weights of this model"):
        read_kept(file, None)


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
