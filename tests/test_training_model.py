"""The model's two forms: the clip form that is trained says what the one-frame form says, frame by frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from memory import Memory, Pool

torch = pytest.importorskip("torch", reason="needs torch: pip install -r training/requirements.txt")

from runtime import choose_runtime, load_interpreter  # noqa: E402
from training.movinet import MoViNet, running_mean  # noqa: E402
from training.one_frame import OneFrame  # noqa: E402

torch.set_num_threads(1)  # Threads that spin while they wait make these tests twenty times slower on a busy machine.


def random_model(classes: int = 7) -> MoViNet:
    """Returns a model, not in training, whose biases and batch statistics are not those of a new one."""
    torch.manual_seed(1)
    model = MoViNet(classes)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.uniform_(-0.3, 0.3)
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.3, 0.3)
            elif isinstance(module, torch.nn.Linear):
                module.bias.uniform_(-0.3, 0.3)
        model.classifier.weight.normal_(std=0.1)
    return model.eval()


@pytest.fixture(scope="module")
def model() -> MoViNet:
    return random_model()


def clips_of(count: int, frames: int, size: int) -> torch.Tensor:
    """Returns float32 [count, frames, 3, size, size] clips of noise, 0..1."""
    return torch.rand(count, frames, 3, size, size, generator=torch.Generator().manual_seed(2))


def classify(model: MoViNet, *arguments: object) -> torch.Tensor:
    with torch.no_grad():
        return model(*arguments)


def stream(model: MoViNet, clip: torch.Tensor, memory: Memory | None = None) -> torch.Tensor:
    """Returns the logits, [T, classes], of a clip, [T, 3, S, S], given to the one-frame form frame by frame."""
    one_frame = OneFrame(model, clip.shape[-1])
    states, logits = one_frame.zero_states(), []
    for frame in clip.permute(0, 2, 3, 1):
        if memory is not None:
            memory.bound({name: state.numpy() for name, state in states.items()})
        with torch.no_grad():
            states = one_frame(frame[None, None].contiguous(), **states)
        logits.append(states.pop("logits")[0])
    return torch.stack(logits)


def assert_close(given: torch.Tensor, expected: torch.Tensor) -> None:
    assert (given - expected).abs().max() <= 1e-4 * expected.abs().max().clamp(min=1)


@pytest.mark.parametrize("size", [64, 112, 172])
def test_both_forms_agree_at_every_size(size: int) -> None:
    model = random_model()
    clips = clips_of(2, 8, size)
    logits = classify(model, clips)
    assert logits.shape == (2, 8, 7)
    assert logits[1].std(dim=0).max() > 1e-3  # frames differ, so there is something to agree on
    assert_close(stream(model, clips[1]), logits[1])


def test_windows_are_the_programs_memory(model: MoViNet) -> None:
    """A memory of 12 frames: the body's pools at 16, the head read at 4 and at 16, the logits averaged."""
    clip = clips_of(1, 24, 64)[0]
    names = [name for name in OneFrame(model, 64).zero_states() if name.endswith("_buffer") and "_pool_" in name]
    long = [Pool(name, name.replace("_buffer", "_frame_count")) for name in names]
    short_head = [Pool(pool.buffer, pool.count, short=pool.buffer == "state_head_pool_buffer") for pool in long]
    streamed = (stream(model, clip, Memory(short_head, 12)) + stream(model, clip, Memory(long, 16))) / 2
    assert_close(streamed, classify(model, clip[None], 16, (4, 16))[0])
    assert (streamed - classify(model, clip[None])[0])[-1].abs().max() > 1e-3  # forgetting makes a difference


@pytest.mark.parametrize("ongoing", [False, True])
@pytest.mark.parametrize("window", [1, 4, 16, 100, None])
def test_running_mean_is_a_plain_loop(window: int | None, ongoing: bool) -> None:
    """From nothing, or from the full pool of an ongoing stream, which was like the first three frames."""
    frames = torch.randn(2, 20, 5, generator=torch.Generator().manual_seed(3))
    mean, expected = frames[:, :3].mean(1), []
    for t in range(20):
        number = window if ongoing and window else min(t + 1, window or t + 1)
        mean = mean * (number - 1) / number + frames[:, t] / number
        expected.append(mean)
    torch.testing.assert_close(running_mean(frames, window, ongoing), torch.stack(expected, 1))


@pytest.mark.parametrize("windows", [(None, (None,)), (16, (4, 16))])
def test_an_answer_sees_no_later_frame_and_no_other_clip(model: MoViNet, windows: tuple) -> None:
    clips = clips_of(2, 9, 64)
    changed = clips.clone()
    changed[1, 5] = 1 - changed[1, 5]
    before, after = classify(model, clips, *windows), classify(model, changed, *windows)
    assert_close(after[0], before[0])
    assert_close(after[1, :5], before[1, :5])
    assert all((after[1, t] - before[1, t]).abs().max() > 1e-3 for t in range(5, 9))


def test_parameters() -> None:
    """2.53 million with 7 classes, of which a class takes 2048 weights and a bias."""
    sizes = [sum(parameter.numel() for parameter in MoViNet(classes).parameters()) for classes in (7, 8)]
    assert 2.525e6 <= sizes[0] < 2.535e6
    assert sizes[1] - sizes[0] == 2049


def test_states_are_those_of_a_published_file(movinet_se_model: Path) -> None:
    interpreter = load_interpreter(movinet_se_model, choose_runtime(), threads=1)
    (signature,) = interpreter.get_signature_list()
    inputs = interpreter.get_signature_runner(signature).get_input_details()
    assert inputs.pop("image")["shape"].tolist() == [1, 1, 172, 172, 3]
    published = {name: (tuple(detail["shape"]), np.dtype(detail["dtype"])) for name, detail in inputs.items()}
    ours = {name: state.numpy() for name, state in OneFrame(MoViNet(7)).zero_states().items()}
    assert len(ours) == 43
    assert {name: (state.shape, state.dtype) for name, state in ours.items()} == published
    assert not any(state.any() for state in ours.values())


def test_one_frame_gives_the_states_that_it_takes_and_leaves_the_model_alone(model: MoViNet) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    one_frame = OneFrame(model.train(), 64)
    assert model.training
    model.eval()
    states = one_frame.zero_states()
    new = one_frame(torch.rand(1, 1, 64, 64, 3), **states)
    assert new.pop("logits").shape == (1, 7)
    assert {name: (state.shape, state.dtype) for name, state in new.items()} == {
        name: (state.shape, state.dtype) for name, state in states.items()
    }
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_it_learns_to_tell_directions_in_time() -> None:
    """Four clips, in two of which the picture grows brighter, in two darker: each frame alone says nothing."""
    torch.manual_seed(0)
    model = MoViNet(2, dropout=0.1).train()
    ramp = torch.linspace(0.2, 0.8, 6)
    levels = torch.stack([ramp, ramp.flip(0), ramp * 0.9, ramp.flip(0) * 0.9])
    clips = levels[:, :, None, None, None] + 0.05 * clips_of(4, 6, 64)
    labels = torch.tensor([0, 1, 0, 1])[:, None].expand(4, 6)
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    losses = []
    for _ in range(25):
        logits = model(clips, 16, (4, 16))
        loss = torch.nn.functional.cross_entropy(logits[:, 2:].flatten(0, 1), labels[:, 2:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    unmoved = [name for name, parameter in model.named_parameters() if not parameter.grad.abs().max() > 0]
    assert not unmoved
    assert losses[-1] < 0.2 * losses[0]
