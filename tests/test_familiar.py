"""The class "unknown" of a taught file: what it says, in every program, compiled or not, and that it can be taught."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import numpy as np
import pytest
from conftest import DATA, ROOT, SHARED, skip_without_schema
from graph_network import Layer, Recipe
from graphs import make, random_frames

from compiler.build import compile_model
from compiler.graph import Tensor, load, save
from compiler.horizons import add_horizons
from compiler.pools import find_pools
from compiler.unknown import drop_unknown
from errors import NotUnderstood
from runtime import choose_runtime
from sources.play import Play
from teaching.familiar import ACCEPTED, EPSILON, Familiar, choose_least, choose_prototypes, choose_slope
from teaching.network import Backbone, write_model
from teaching.regression import row_weights
from utils import read_labels
from video_classifier import VideoClassifier

skip_without_schema()

BASES = [
    ROOT / "models" / "movinet_a0_demo.tflite",
    DATA / "tiny.tflite",
    pytest.param(
        SHARED / "models" / "movinet_a0_int8.tflite",
        marks=pytest.mark.skipif(not (SHARED / "models" / "movinet_a0_int8.tflite").exists(), reason="needs A0"),
    ),
]
NAMES = ["waving", "jumping", "nobody", "unknown"]
INT8 = Recipe((Layer(temporal=5, stride=2), Layer(squeeze=True)), storage="int8", classes=5, hidden=32)
SLOPE, THRESHOLD = 9.0, 0.3


def film() -> list[np.ndarray]:
    play = Play(3)
    return [play.draw(number / 5, 320, 240) for number in range(24)]


def head(features: np.ndarray) -> tuple[np.ndarray, np.ndarray, Familiar]:
    """A classifier, and three prototypes, one of them a frame of the film."""
    random, size = np.random.default_rng(5), features.shape[1]
    mean = features.mean(axis=0)
    scale = 1 / (features.std(axis=0) + 0.1 * features.std())
    near = (features[-1] - mean) * scale
    prototypes = np.stack([near, *random.normal(size=(2, size))])
    prototypes /= np.linalg.norm(prototypes, axis=1, keepdims=True)
    weights = random.normal(0, 3 / np.sqrt(size), (3, size)).astype(np.float32)
    rounded = prototypes.astype(np.float16).astype(np.float32)
    return weights, np.ones(3, np.float32), Familiar(mean, scale.astype(np.float32), rounded, SLOPE, THRESHOLD)


def law(features: np.ndarray, weights: np.ndarray, bias: np.ndarray, familiar: Familiar) -> np.ndarray:
    """What the file is to say, row by row, by the definition of an angle (EPSILON counts where a row is the mean)."""
    expected = []
    for row in features.astype(np.float64):
        logits = weights @ row + bias
        standard = (row - familiar.mean) * familiar.scale
        length = np.sqrt(standard @ standard + EPSILON * len(standard))
        cosines = [standard @ each / length for each in familiar.prototypes]
        expected.append([*logits, logits.max() + familiar.slope * (THRESHOLD - max(cosines))])
    return np.array(expected)


@functools.lru_cache(maxsize=None)
def seen(base: Path, memory: int | None) -> np.ndarray:
    backbone = Backbone(base, memory=memory)
    return np.array([backbone.step(frame) for frame in film()])


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory):
    @functools.lru_cache(maxsize=None)
    def written(base: Path) -> Path:
        weights, bias, familiar = head(seen(base, 12))
        path = tmp_path_factory.mktemp("unknown") / "mine.tflite"
        return write_model(base, weights, bias, NAMES, path, description={}, familiar=familiar)

    return written


@pytest.mark.parametrize("base", BASES, ids=lambda path: path.stem)
def test_a_plain_signature_runner_says_unknown(base: Path, write, runtime: str) -> None:
    interpreter = choose_runtime(runtime).interpreter(model_path=str(write(base)), num_threads=1)
    runner = interpreter.get_signature_runner()
    inputs = {name: np.zeros(each["shape"], each["dtype"]) for name, each in runner.get_input_details().items()}
    pictures = random_frames(inputs["image"].shape[2], 6, 4)[:, :, : inputs["image"].shape[3]]
    backbone = Backbone(base, memory=None)
    features, given = [], []
    for picture in pictures:
        outputs = runner(**{**inputs, "image": picture[np.newaxis, np.newaxis]})
        given.append(outputs.pop("logits")[0])
        inputs.update(outputs)
        features.append(backbone.step(np.rint(picture[..., ::-1] * 255).astype(np.uint8)).copy())
    expected = law(np.array(features), *head(seen(base, 12)))
    assert read_labels(write(base).with_suffix(".txt")) == NAMES
    np.testing.assert_allclose(given, expected, atol=2e-3 * np.abs(expected).max())


@pytest.mark.parametrize("precision", ["auto", "float"])
@pytest.mark.parametrize("base", BASES, ids=lambda path: path.stem)
def test_the_program_says_unknown_with_two_horizons(base: Path, precision: str, write, runtime: str) -> None:
    live = VideoClassifier(
        write(base), NAMES, memory=12, precision=precision, runtime=runtime, channel_order="bgr", threads=1
    )
    assert not any("not" in note for note in live.notes)
    given = np.array([live.step(frame).logits for frame in film()])
    expected = law(seen(base, 12), *head(seen(base, 12)))
    np.testing.assert_allclose(given, expected, atol=2e-3 * np.abs(expected).max())
    assert {3} < set(expected.argmax(axis=1)) or base.stem == "tiny"  # else the test would prove less


@pytest.mark.parametrize("base", BASES, ids=lambda path: path.stem)
def test_while_nothing_is_forgotten_two_horizons_say_what_one_says(base: Path, write) -> None:
    plain = VideoClassifier(write(base), NAMES, precision="float", channel_order="bgr", threads=1)
    both = VideoClassifier(write(base), NAMES, memory=3600, precision="float", channel_order="bgr", threads=1)
    assert len(both.engine.states) == len(plain.engine.states) + 2
    for frame in film()[:5]:
        expected = plain.step(frame).logits
        np.testing.assert_allclose(both.step(frame).logits, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("base", BASES, ids=lambda path: path.stem)
def test_compiling_it_again_changes_nothing(base: Path, write) -> None:
    content = write(base).read_bytes()
    assert content.startswith(compile_model(content, "float", horizons=False))


@pytest.mark.parametrize("base", BASES, ids=lambda path: path.stem)
def test_it_is_a_base_without_its_unknown(base: Path, write, tmp_path: Path) -> None:
    weights, bias, _ = head(seen(base, 12))
    taught = Backbone(write(base), memory=12)
    assert taught.unknown and not Backbone(base, memory=12).unknown
    np.testing.assert_array_equal(taught.classifier[0], weights)
    np.testing.assert_array_equal(taught.classifier[1], bias)
    np.testing.assert_allclose([taught.step(frame) for frame in film()], seen(base, 12), atol=1e-5)
    again = write_model(write(base), *taught.classifier, NAMES[:3], tmp_path / "again.tflite", description={})
    assert not Backbone(again, memory=None).unknown


def test_prototypes_take_two_bytes_a_number(write) -> None:
    base = BASES[0]
    weights, bias, familiar = head(seen(base, 12))
    head_bytes = 4 * (weights.size + bias.size) + 2 * familiar.prototypes.size + 8 * weights.shape[1]
    assert write(base).stat().st_size <= base.stat().st_size + head_bytes + 4000


def test_an_integer_base_may_stay_one(tmp_path: Path) -> None:
    base = tmp_path / "base.tflite"
    base.write_bytes(make(INT8, seed=0))
    backbone = Backbone(base, memory=None)
    pictures = np.rint(random_frames(INT8.size, 24, 5) * 255).astype(np.uint8)
    features = np.array([backbone.step(picture) for picture in pictures])
    familiar = dataclasses.replace(head(features)[2], slope=1.0)
    weights, bias = (np.float32(0.5) * (each[:3] - each[:3].mean(axis=0)) for each in backbone.classifier)
    path = tmp_path / "int8.tflite"
    write_model(base, weights, bias, NAMES, path, precision="int8", description={}, familiar=familiar)
    expected = law(features, weights, bias, familiar)
    for precision, tolerance in (("float", 1e-3), ("int8", 0.1)):
        live = VideoClassifier(path, NAMES, precision=precision, channel_order="bgr", threads=1)
        assert not any("not" in note for note in live.notes)
        given = np.array([live.step(picture).logits for picture in pictures])
        assert np.abs(given - expected).max() <= tolerance * np.ptp(expected)


def test_only_that_class_is_taken_for_unknown() -> None:
    """A class that is joined to others but not computed from their greatest stays."""
    graph = load((DATA / "tiny.tflite").read_bytes())
    before = save(graph)
    assert not drop_unknown(graph) and save(graph) == before


def test_horizons_are_refused_where_more_than_unknown_is_beside_the_end(write) -> None:
    """The class "unknown", but reading what stands before the rows that are averaged."""
    graph = load(write(BASES[0]).read_bytes())
    [square] = [each for each in graph.operators if each.kind == "REDUCE_MAX"][:1]
    hidden = next(each for each in graph.operators if each.kind == "DIV" and each.outputs[0].shape[-1] > 100)
    other = Tensor("other", square.outputs[0].shape, np.dtype(np.float32))
    before = len(find_pools(graph))
    graph.operators.insert(
        graph.operators.index(square), dataclasses.replace(square, inputs=[hidden.outputs[0], square.inputs[1]])
    )
    graph.operators[graph.operators.index(square) - 1].outputs = [other]
    graph.operators[-2].inputs[1] = other
    with pytest.raises(NotUnderstood):
        add_horizons(graph)
    assert len(find_pools(graph)) == before


def test_prototypes_are_of_all_labels() -> None:
    pytest.importorskip("sklearn", reason="needs scikit-learn (requirements-teach.txt)")
    random = np.random.default_rng(1)
    labels = np.repeat(np.arange(4), [200, 40, 40, 1])
    centres = random.normal(size=(4, 50)) * 8
    features = (centres[labels] + random.normal(size=(len(labels), 50))).astype(np.float32)
    familiar = choose_prototypes(features, labels, row_weights(labels, np.arange(len(labels))))
    assert len(familiar.prototypes) == 19  # six of each, and the one row of the last
    np.testing.assert_allclose(np.linalg.norm(familiar.prototypes, axis=1), 1, atol=1e-2)
    assert familiar.likeness(features).min() > 0.9
    elsewhere = (random.normal(size=(100, 50)) * 8).astype(np.float32)
    assert familiar.likeness(elsewhere).max() < 0.8
    np.testing.assert_array_equal(familiar.prototypes, familiar.prototypes.astype(np.float16))
    many = choose_prototypes(features, np.arange(len(labels)) % 100, np.ones(len(labels)))
    assert len(many.prototypes) == 100


def test_threshold_accepts_known_clips_and_their_views() -> None:
    random = np.random.default_rng(2)
    known, altered = random.normal(0.9, 0.02, 97), random.normal(0.8, 0.05, 400)
    threshold = choose_least(known, altered)
    assert (known >= threshold).mean() >= ACCEPTED and (altered >= threshold).mean() >= ACCEPTED
    assert (altered >= threshold).mean() < ACCEPTED + 0.02
    assert choose_least(altered, known) == threshold


def test_slope_is_the_most_likely_one_and_leaves_known_clips_their_probability() -> None:
    random = np.random.default_rng(3)
    x = random.uniform(-1, 1, 60_000)
    unknown = random.random(len(x)) < 1 / (1 + np.exp(12 * x))
    assert choose_slope(0.5 + x[~unknown], 0.5 + x[unknown], 0.5) == pytest.approx(12, rel=0.05)
    alike = np.full(20, 0.8)
    assert choose_slope(alike, np.full(9, 0.79), 0.7) * 0.1 >= np.log(19) - 1e-6
    assert np.isfinite(choose_slope(alike, alike, 0.8))
