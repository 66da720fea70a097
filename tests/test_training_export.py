"""The exported file: the published files' signature, and in the program what the trained model says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

for package in ("torch", "litert_torch", "ai_edge_quantizer"):
    pytest.importorskip(package, reason=f"needs {package}: pip install -r training/requirements.txt")

import torch  # noqa: E402
from test_training_model import random_model  # noqa: E402

from compiled import pools_of  # noqa: E402
from compiler.graph import load  # noqa: E402
from errors import ModelError  # noqa: E402
from metadata import read_metadata  # noqa: E402
from runtime import choose_runtime, load_interpreter  # noqa: E402
from training.export import convert, export, verify  # noqa: E402
from training.movinet import MoViNet  # noqa: E402
from training.one_frame import OneFrame  # noqa: E402
from utils import fit_frame  # noqa: E402
from video_classifier import VideoClassifier  # noqa: E402

pytestmark = pytest.mark.timeout(300)  # two conversions, of 20 to 45 s each

LABELS = list("abcdefg")


@dataclass(frozen=True)
class Exported:
    """A model of random weights, and what was made of it.

    Attributes:
        model: The model.
        real: Its float file.
        file: The file with weights in 8 bits.
    """

    model: MoViNet
    real: Path
    file: Path


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("exported")
    model = random_model()
    (folder / "real.tflite").write_bytes(convert(OneFrame(model)))
    export(model, folder / "model.tflite")
    assert sorted(file.name for file in folder.iterdir()) == ["model.tflite", "real.tflite"]
    return Exported(model, folder / "real.tflite", folder / "model.tflite")


@pytest.fixture(scope="session")
def frames() -> list[np.ndarray]:
    """24 uint8 frames [172, 172, 3], BGR, of a coarse pattern that drifts and then changes."""
    random = np.random.default_rng(4)
    patterns = [random.integers(0, 256, (12, 12, 3), np.uint8) for _ in range(2)]
    large = [fit_frame(pattern, 172, 172, "stretch") for pattern in patterns]
    return [np.roll(large[t >= 14], 5 * t, axis=1) for t in range(24)]


def clip_form(model: MoViNet, frames: list[np.ndarray], *windows: object) -> np.ndarray:
    """Returns the logits, [T, classes], that the form which is trained gives for a clip."""
    clip = torch.from_numpy(np.stack(frames)[None]).permute(0, 1, 4, 2, 3).float() / 255
    with torch.no_grad():
        return model(clip, *windows)[0].numpy()


def streamed(file: Path, frames: list[np.ndarray], **options: object) -> tuple[np.ndarray, list[str]]:
    """Returns the logits, [T, classes], that the program gives, and what it notes."""
    with VideoClassifier(file, LABELS, threads=1, **options) as classifier:
        return np.array([classifier.step(frame).logits for frame in frames]), classifier.notes


def error_of(logits: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(logits - expected).max() / np.abs(expected).max())


def test_signature_is_that_of_a_published_file(exported: Exported, movinet_se_model: Path) -> None:
    signatures = []
    for file in (exported.file, movinet_se_model):
        interpreter = load_interpreter(file, choose_runtime(), threads=1)
        (name,) = interpreter.get_signature_list()
        runner = interpreter.get_signature_runner(name)
        details = runner.get_input_details(), runner.get_output_details()
        signatures.append(
            [{key: (tuple(each["shape"]), each["dtype"]) for key, each in side.items()} for side in details]
        )
    assert len(signatures[0][0]) == len(signatures[0][1]) == 44
    assert signatures[0] == signatures[1]


def test_fits_the_repository(exported: Exported) -> None:
    assert exported.file.stat().st_size <= 3.5e6
    assert exported.file.stat().st_size < 0.3 * exported.real.stat().st_size


def test_operators_are_old_enough_for_the_old_runtime(exported: Exported) -> None:
    """tflite-runtime refuses a version of an operator that came after it; its last release dates from 2023."""
    assert {operator.version for operator in load(exported.file.read_bytes()).operators} <= {1, 2}


def test_pools_are_listed_for_programs_without_the_compiler(exported: Exported) -> None:
    assert "pools" in read_metadata(exported.file.read_bytes())
    pools = pools_of(exported.file.read_bytes())
    states = OneFrame(exported.model).zero_states()
    assert {pool.buffer for pool in pools} == {name for name in states if name.endswith("_pool_buffer")}
    assert {pool.count for pool in pools} == {name for name in states if name.endswith("_pool_frame_count")}


@pytest.mark.parametrize("precision", ["source", "float"])
def test_real_file_in_the_program_is_the_model(
    exported: Exported, frames: list[np.ndarray], runtime: str, precision: str
) -> None:
    logits, _ = streamed(exported.real, frames, runtime=runtime, precision=precision, channel_order="rgb")
    assert error_of(logits, clip_form(exported.model, frames)) < 1e-4


def test_compiled_file_forgets_as_the_model_was_trained_to(
    exported: Exported, frames: list[np.ndarray], runtime: str
) -> None:
    expected = clip_form(exported.model, frames, 16, (4, 16))
    options = {"runtime": runtime, "precision": "float", "memory": 12}
    logits, _ = streamed(exported.real, frames, **options)
    assert error_of(logits, expected) < 1e-4
    logits, notes = streamed(exported.file, frames, **options)
    assert error_of(logits, expected) < 0.1
    assert (logits.argmax(1) == expected.argmax(1)).all()
    assert not [note for note in notes if "not" in note]


def test_file_as_it_is_has_a_bounded_memory_too(exported: Exported, frames: list[np.ndarray], runtime: str) -> None:
    expected = clip_form(exported.model, frames, 12, (12,))
    logits, notes = streamed(exported.file, frames, runtime=runtime, precision="source", memory=12)
    assert error_of(logits, expected) < 0.1
    assert (logits.argmax(1) == expected.argmax(1)).all()
    assert not notes


def test_a_wrong_conversion_is_noticed(exported: Exported) -> None:
    other = OneFrame(exported.model)
    with torch.no_grad():
        other.model.classifier.convolution.bias[3] += 0.5
    verify(OneFrame(exported.model), exported.real.read_bytes())
    with pytest.raises(ModelError, match="off"):
        verify(other, exported.real.read_bytes())
