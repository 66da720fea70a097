"""The classifier: what it answers, that it carries its states like a plain loop does, and what it refuses."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any, Callable, Iterator

import cv2
import numpy as np
import pytest
from conftest import skip_without_schema
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from errors import ModelError, UserError
from runtime import choose_runtime
from video_classifier import VideoClassifier, softmax, top_indices

DATA = Path(__file__).resolve().parent / "data"
TINY, TINY_LABELS = DATA / "tiny.tflite", DATA / "tiny.txt"
LABELS = ["red", "green", "blue", "dark", "bright", "moving", "flickering"]


@functools.lru_cache(maxsize=None)
def loaded(model: Path, labels: Path, runtime: str, channel_order: str = "rgb", fit: str = "crop") -> VideoClassifier:
    return VideoClassifier(model, labels, runtime=runtime, channel_order=channel_order, fit=fit, threads=1)


def fresh(model: Path, labels: Path = TINY_LABELS, runtime: str = "auto", **options: str) -> VideoClassifier:
    """A classifier at the start of a stream; loaded only once a session, since each load tries the file in a child."""
    classifier = loaded(model, labels, runtime, **options)
    classifier.reset()
    return classifier


def plain(colour: tuple[int, ...], height: int = 48, width: int = 64) -> np.ndarray:
    return np.full((height, width, len(colour)), colour, np.uint8)


RED, GREEN, BLUE, BLACK, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0), (255, 255, 255)


def noise(number: int, height: int, width: int, seed: int) -> list[np.ndarray]:
    """Frames of big random blocks, so that they differ also after resizing."""
    source = np.random.default_rng(seed)
    blocks = [source.integers(0, 256, (6, 8, 3), np.uint8) for _ in range(number)]
    return [cv2.resize(block, (width, height), interpolation=cv2.INTER_NEAREST) for block in blocks]


def plain_loop(model: Path, runtime: str, frames: list[np.ndarray]) -> list[np.ndarray]:
    """The logits of a stream by the runtime's own signature runner, in float64 where values are converted."""
    interpreter = choose_runtime(runtime).interpreter(model_path=str(model), num_threads=1)
    interpreter.allocate_tensors()  # Else tflite-runtime's runner uses other kernels, which round differently.
    (key,) = interpreter.get_signature_list()
    runner = interpreter.get_signature_runner(key)
    inputs, outputs = runner.get_input_details(), runner.get_output_details()

    def stored(real: np.ndarray, details: dict[str, Any]) -> np.ndarray:
        scale, zero = details["quantization"]
        if scale == 0:
            return real.astype(details["dtype"])
        limits = np.iinfo(details["dtype"])
        return np.clip(np.round(real / scale) + zero, limits.min, limits.max).astype(details["dtype"])

    def real(raw: np.ndarray, details: dict[str, Any]) -> np.ndarray:
        scale, zero = details["quantization"]
        return raw.astype(np.float64) if scale == 0 else (raw.astype(np.float64) - zero) * scale

    height, width = inputs["image"]["shape"][2:4]
    states = {name: stored(np.zeros(one["shape"]), one) for name, one in inputs.items() if name != "image"}
    logits = []
    for frame in frames:
        picture = cv2.resize(frame, (int(width), int(height)), interpolation=cv2.INTER_LINEAR)
        result = runner(image=stored(picture[None, None] / np.float32(255), inputs["image"]), **states)
        logits.append(real(result["logits"][0], outputs["logits"]))
        states = {name: stored(real(result[name], outputs[name]), inputs[name]) for name in states}
    return logits


def assert_parity(classifier: VideoClassifier, model: Path, runtime: str, frames: list[np.ndarray]) -> None:
    got = [classifier.step(frame).logits for frame in frames]
    np.testing.assert_allclose(got, plain_loop(model, runtime, frames), rtol=0, atol=1e-5)


# What it answers


def moving_square() -> list[np.ndarray]:
    frames = [plain(BLACK) for _ in range(10)]
    for place, frame in enumerate(frames):
        frame[16:32, 4 + place * 4 : 20 + place * 4] = 255
    return frames


STREAMS: dict[str, list[np.ndarray]] = {
    "red": [plain(RED)] * 8,
    "green": [plain((0, 180, 0))] * 8,
    "blue": [plain(BLUE)] * 8,
    "dark": [plain((9, 9, 9))] * 8,
    "bright": [plain(WHITE)] * 8,
    "moving": moving_square(),
    "flickering": [plain(BLACK), plain(WHITE)] * 4,
}


@pytest.mark.parametrize("answer", STREAMS)
@pytest.mark.parametrize("file", ["tiny.tflite", "tiny_quantized.tflite"])
def test_names_what_the_stream_shows(runtime: str, file: str, answer: str) -> None:
    classifier = fresh(DATA / file, runtime=runtime)
    last = [classifier.step(frame) for frame in STREAMS[answer]][-1]
    assert last.top[0].label == answer
    assert last.top[0].probability > 0.9
    assert last.top[0].index == LABELS.index(answer)


def test_prediction_describes_itself(tiny_model: Path, tiny_labels: Path) -> None:
    with VideoClassifier(tiny_model, tiny_labels, top_k=4) as classifier:
        assert classifier.labels == LABELS
        assert classifier.input_size == (32, 32)
        first = classifier.step(plain(RED), timestamp=12.5)
        second = classifier.step(plain(RED))
    assert (first.timestamp, second.timestamp) == (12.5, None)
    assert (first.step, second.step) == (1, 2)
    assert 0 < first.step_time < 10
    assert first.logits.shape == first.probabilities.shape == (7,)
    assert first.logits.dtype == first.probabilities.dtype == np.float32
    assert len(first.top) == 4
    for category in first.top:
        assert category.label == LABELS[category.index]
        assert category.probability == first.probabilities[category.index]


def test_earlier_predictions_stay_as_they_were(tiny_model: Path) -> None:
    """They are copies, not views of what the next step overwrites."""
    classifier = fresh(tiny_model)
    first = classifier.step(plain(RED))
    before = first.logits.copy()
    classifier.step(plain(BLUE))
    np.testing.assert_array_equal(first.logits, before)


def test_published_model_knows_carving_ice(
    runtime: str, movinet_model: Path, kinetics_labels: Path, carving_ice_video: Path
) -> None:
    classifier = fresh(movinet_model, kinetics_labels, runtime, channel_order="bgr")
    last = [classifier.step(frame) for frame in five_a_second(carving_ice_video)][-1]
    assert 22 <= last.step <= 24
    assert last.top[0].label == "carving ice" and last.top[0].probability > 0.9


def five_a_second(video: Path) -> Iterator[np.ndarray]:
    capture, due = cv2.VideoCapture(str(video)), 0.0
    while True:
        good, frame = capture.read()
        if not good:
            return
        if capture.get(cv2.CAP_PROP_POS_MSEC) >= due - 1e-3:
            due += 200
            yield frame


# States


@settings(max_examples=25, deadline=None)
@given(
    file=st.sampled_from(["tiny.tflite", "tiny_quantized.tflite"]),
    number=st.integers(1, 12),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    seed=st.integers(0, 2**32 - 1),
)
def test_parity_with_a_plain_loop(runtime: str, file: str, number: int, height: int, width: int, seed: int) -> None:
    classifier = fresh(DATA / file, runtime=runtime, fit="stretch")
    assert_parity(classifier, DATA / file, runtime, noise(number, height, width, seed))


def test_parity_over_a_long_stream(runtime: str) -> None:
    """300 frames: the quantized pools fill up on the way, as the published ones do."""
    frames = noise(300, 32, 32, seed=3)
    for file in ("tiny.tflite", "tiny_quantized.tflite"):
        assert_parity(fresh(DATA / file, runtime=runtime, fit="stretch"), DATA / file, runtime, frames)


@pytest.mark.parametrize("fixtures", [("movinet_model", "kinetics_labels"), ("movinet_se_model", "movinet_se_labels")])
def test_parity_on_published_models(request: pytest.FixtureRequest, runtime: str, fixtures: tuple[str, str]) -> None:
    model, labels = (request.getfixturevalue(name) for name in fixtures)
    assert_parity(fresh(model, labels, runtime, fit="stretch"), model, runtime, noise(6, 120, 160, seed=1))


@pytest.mark.parametrize("file", ["tiny.tflite", "tiny_quantized.tflite"])
def test_reset_starts_the_stream_anew(runtime: str, file: str) -> None:
    frames = noise(6, 40, 50, seed=5)
    classifier = fresh(DATA / file, runtime=runtime)
    first = [classifier.step(frame).logits for frame in frames]
    carried_on = classifier.step(frames[0])
    classifier.reset()
    again = [classifier.step(frame) for frame in frames]
    np.testing.assert_array_equal([each.logits for each in again], first)
    assert [each.step for each in again] == [1, 2, 3, 4, 5, 6]
    assert carried_on.step == 7 and not np.array_equal(carried_on.logits, first[0])


def test_two_classifiers_do_not_disturb_each_other(tiny_model: Path, tiny_labels: Path, runtime: str) -> None:
    alone = fresh(tiny_model, runtime=runtime)
    want = [alone.step(frame).logits for frame in STREAMS["moving"]]
    with VideoClassifier(tiny_model, tiny_labels, runtime=runtime) as other:
        alone.reset()
        got = []
        for frame in STREAMS["moving"]:
            got.append(alone.step(frame).logits)
            assert other.step(plain(BLUE)).top[0].label == "blue"
    np.testing.assert_array_equal(got, want)


def test_a_refused_frame_leaves_the_stream_alone(tiny_model: Path) -> None:
    classifier = fresh(tiny_model)
    frames = noise(2, 30, 30, seed=2)
    want = [classifier.step(frame).logits for frame in frames]
    classifier.reset()
    classifier.step(frames[0])
    with pytest.raises(TypeError):
        classifier.step(frames[0].astype(float))
    np.testing.assert_array_equal(classifier.step(frames[1]).logits, want[1])


def test_closed_classifier_refuses_to_step(tiny_model: Path, tiny_labels: Path) -> None:
    with VideoClassifier(tiny_model, tiny_labels) as classifier:
        classifier.step(plain(RED))
    classifier.close()
    for use in (lambda: classifier.step(plain(RED)), classifier.reset):
        with pytest.raises(RuntimeError, match="closed"):
            use()


# Frames


def framed(fit: str) -> str:
    """The answer to a red centre square with green at both sides."""
    frame = plain(GREEN, 40, 120)
    frame[:, 40:80] = RED
    return fresh(TINY, fit=fit).step(frame).top[0].label


def test_crop_sees_only_the_centre() -> None:
    assert framed("crop") == "red"


def test_stretch_sees_the_sides() -> None:
    assert framed("stretch") == "green"


def test_pad_adds_black() -> None:
    # White in a third of the picture: mostly black.
    assert fresh(TINY, fit="pad").step(plain(WHITE, 30, 90)).top[0].label == "dark"
    assert fresh(TINY, fit="stretch").step(plain(WHITE, 30, 90)).top[0].label == "bright"


def test_bgr_equals_rgb(runtime: str) -> None:
    for frame in noise(3, 50, 70, seed=8):
        rgb = fresh(TINY, runtime=runtime).step(frame).logits
        bgr = fresh(TINY, runtime=runtime, channel_order="bgr").step(frame[..., ::-1]).logits
        np.testing.assert_array_equal(bgr, rgb)


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_grey_and_alpha_equal_their_three_channels(order: str) -> None:
    frame = noise(1, 50, 70, seed=9)[0]
    grey = frame[..., 1]
    classifier = functools.partial(fresh, TINY, channel_order=order)
    want = classifier().step(frame).logits
    alpha = np.dstack([frame, grey])
    np.testing.assert_array_equal(classifier().step(alpha).logits, want)
    want = classifier().step(np.dstack([grey] * 3)).logits
    np.testing.assert_array_equal(classifier().step(grey).logits, want)
    np.testing.assert_array_equal(classifier().step(grey[..., None]).logits, want)
    padded = classifier(fit="pad").step(grey[..., None]).logits
    np.testing.assert_array_equal(classifier(fit="pad").step(np.dstack([grey] * 3)).logits, padded)


def test_views_and_read_only_frames_are_taken() -> None:
    frame = noise(1, 60, 80, seed=4)[0]
    frame.flags.writeable = False
    for view in (frame[::-1], frame[:, ::-1], frame[::2, ::3], frame.transpose(1, 0, 2)):
        want = fresh(TINY).step(view.copy()).logits
        np.testing.assert_array_equal(fresh(TINY).step(view).logits, want)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 900, 3), (700, 1, 4), (2000, 3000, 3)])
def test_frames_of_any_size(shape: tuple[int, ...]) -> None:
    for fit in ("crop", "stretch", "pad"):
        assert math.isfinite(fresh(TINY, fit=fit).step(np.full(shape, 77, np.uint8)).logits.sum())


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (np.zeros((4, 4, 3), np.float32), "float32"),
        (np.zeros((4, 4, 3), np.int8), "int8"),
        ([[[0, 0, 0]]], "list"),
        (None, "NoneType"),
    ],
)
def test_frame_of_wrong_type(frame: Any, told: str) -> None:
    with pytest.raises(TypeError, match=told):
        fresh(TINY).step(frame)


@pytest.mark.parametrize(
    "shape", [(), (5,), (4, 4, 2), (4, 4, 5), (1, 4, 4, 3), (0, 4, 3), (4, 0, 3), (0, 0), (4, 4, 0)]
)
def test_frame_of_wrong_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=", ".join(str(size) for size in shape) + r"\]"):
        fresh(TINY).step(np.zeros(shape, np.uint8))


# Softmax and the list of the best

LOGITS = st.floats(-1e4, 1e4, width=32) | st.sampled_from([0.0, 1e4, -1e4, 2.0**127, -(2.0**127), -math.inf])


def exact_softmax(logits: np.ndarray) -> np.ndarray:
    """In float64 with math.exp; a difference to the largest beyond float64's range counts as nothing."""
    values = [float(value) for value in logits]
    largest = max(values)
    weights = [1.0 if value == largest else math.exp(value - largest) for value in values]
    return np.array([weight / math.fsum(weights) for weight in weights])


@given(arrays.arrays(np.float32, st.integers(1, 700), elements=LOGITS))
def test_softmax_against_float64(logits: np.ndarray) -> None:
    with np.errstate(all="raise", under="ignore"):
        got = softmax(logits)
    assert got.dtype == np.float32
    assert got.sum(dtype=np.float64) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(got, exact_softmax(np.clip(logits, -1e38, 1e38)), rtol=1e-3, atol=1e-6)


def test_softmax_of_infinite_logits() -> None:
    inf = np.float32(np.inf)
    assert softmax(np.array([1, inf, 2], np.float32)).tolist() == [0, 1, 0]
    assert softmax(np.array([-inf, -inf], np.float32)).tolist() == [0.5, 0.5]


@given(
    arrays.arrays(np.float32, 40, elements=st.sampled_from([0.0, 0.125, 0.25, 0.5]) | st.floats(0, 1, width=32)),
    st.sets(st.integers(0, 39), min_size=1),
    st.integers(1, 50),
)
def test_best_equal_a_full_sort(scores: np.ndarray, candidates: set[int], k: int) -> None:
    want = sorted(sorted(candidates), key=lambda index: -scores[index])[:k]
    assert top_indices(scores, np.array(sorted(candidates)), k).tolist() == want


def best(**options: Any) -> Callable[[np.ndarray], list[str]]:
    classifier = VideoClassifier(TINY, TINY_LABELS, **options)

    def labels(frame: np.ndarray) -> list[str]:
        classifier.reset()
        return [category.label for category in classifier.step(frame).top]

    return labels


def test_top_k_is_capped_at_the_number_of_classes() -> None:
    assert sorted(best(top_k=99)(plain(RED))) == sorted(LABELS)
    assert best(top_k=1)(plain(RED)) == ["red"]


def test_threshold_hides_what_is_unlikely() -> None:
    assert best(threshold=0.5, top_k=7)(plain(GREEN)) == ["green"]
    # Half red, half green, that is yellow: both are equally likely, so none passes.
    assert best(threshold=0.6)(plain((255, 255, 0))) == []


def test_allow_and_deny_regardless_of_case() -> None:
    assert set(best(allow=["Blue", " GREEN "])(plain(RED))) == {"blue", "green"}
    assert "red" not in best(deny=["RED"], top_k=7)(plain(RED))
    assert best(allow=["red", "green"], deny=["red"])(plain(RED)) == ["green"]


def test_filtering_does_not_change_probabilities() -> None:
    whole = VideoClassifier(TINY, TINY_LABELS, top_k=7).step(plain(RED))
    part = VideoClassifier(TINY, TINY_LABELS, allow=["dark"]).step(plain(RED))
    assert part.top[0].probability == whole.probabilities[LABELS.index("dark")]


# Refusals


def refused(error: type[Exception], model: Path = TINY, labels: Any = TINY_LABELS, **options: Any) -> str:
    with pytest.raises(error) as caught:
        VideoClassifier(model, labels, **options)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"top_k": 0}, "top_k is 0"),
        ({"threshold": 1.5}, "threshold is 1.5"),
        ({"threshold": math.nan}, "threshold is nan"),
        ({"threads": 0}, "threads is 0"),
        ({"fit": "squash"}, "fit is 'squash'; it must be one of crop, stretch, pad"),
        ({"channel_order": "gbr"}, "rgb, bgr"),
        ({"runtime": "onnx"}, "onnx"),
        ({"allow": ["flikering"]}, "unknown class 'flikering'; did you mean 'flickering'?"),
        ({"deny": ["Braight"]}, "did you mean 'bright'?"),
        ({"allow": ["얼음 조각"]}, "unknown class '얼음 조각'; --model-info FILE lists the names"),
        ({"allow": ["red"], "deny": ["Red"]}, "no class"),
        ({"allow": []}, "no class"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], told: str) -> None:
    assert told in refused(UserError, **options)


def test_labels_of_another_model(tmp_path: Path, tiny_model: Path) -> None:
    path = tmp_path / "short.txt"
    path.write_text("red\ngreen\n")
    text = refused(ModelError, labels=path)
    assert str(path) in text and str(tiny_model) in text and "2 names" in text and "7 classes" in text
    assert "8 names" in refused(ModelError, labels=[*LABELS, "more"])
    assert "0 names" in refused(ModelError, labels=[])


def test_labels_as_names(tiny_model: Path) -> None:
    with VideoClassifier(tiny_model, ("rot", "grün", "blau", "dunkel", "hell", "bewegt", "flackernd")) as classifier:
        assert classifier.step(plain(GREEN)).top[0].label == "grün"


def test_model_that_is_not_streaming() -> None:
    assert "tiny_still.tflite" in refused(ModelError, DATA / "tiny_still.tflite", LABELS[:5])
    assert "no states" in refused(ModelError, DATA / "tiny_still.tflite", LABELS[:5])


def test_model_with_two_signatures() -> None:
    assert "2 signatures, not one" in refused(ModelError, DATA / "tiny_two_signatures.tflite")


@pytest.fixture
def tiny() -> Any:
    skip_without_schema()
    import make_tiny_models

    return make_tiny_models


def built(tiny: Any, folder: Path, tensors: dict[str, tuple[Any, ...]], passes: dict[str, str]) -> Path:
    """A model whose inputs are `tensors` (shape, storage...) and whose outputs are inputs, by `passes`."""
    graph = tiny.Graph()
    for name, (shape, *storage) in tensors.items():
        graph.inputs[name] = graph.tensor(shape, *storage)
    for name, source in passes.items():
        copy = graph.tensor(graph.graph.tensors[graph.inputs[source]].shape, *tensors[source][1:])
        graph.outputs[name] = graph.inputs[source]
        if name not in tensors:
            zero = graph.constant([0] * len(tensors[source][0]))
            size = graph.constant(list(tensors[source][0]))
            graph.outputs[name] = graph.add("SLICE", [graph.inputs[source], zero, size], copy)
    path = folder / "built.tflite"
    path.write_bytes(graph.file(["call"]))
    return path


IMAGE, STATE = ((1, 1, 8, 8, 3),), ((1, 4),)


@pytest.mark.parametrize(
    ("tensors", "passes", "told"),
    [
        (
            {"image": IMAGE, "depth": IMAGE, "s": STATE},
            {"s": "s", "logits": "s"},
            "takes depth (float32 [1, 1, 8, 8, 3]), image (float32",
        ),
        ({"s": STATE}, {"s": "s", "logits": "s"}, "takes nothing"),
        ({"image": IMAGE, "s": STATE}, {"s": "s"}, "gives nothing"),
        ({"image": IMAGE, "s": STATE}, {"s": "s", "a": "s", "b": "s"}, "gives a (float32 [1, 4]), b (float32 [1, 4])"),
        (
            {"image": ((1, 8, 8, 3),), "s": STATE},
            {"s": "s", "logits": "s"},
            "image (float32 [1, 8, 8, 3]) is not [1, 1, height",
        ),
        ({"image": ((1, 2, 8, 8, 3),), "s": STATE}, {"s": "s", "logits": "s"}, "image (float32 [1, 2, 8, 8, 3])"),
        ({"image": ((1, 1, 8, 8, 1),), "s": STATE}, {"s": "s", "logits": "s"}, "image (float32 [1, 1, 8, 8, 1])"),
        (
            {"image": ((1, 1, 8, 8, 3), "INT32"), "s": STATE},
            {"s": "s", "logits": "s"},
            "image (int32 [1, 1, 8, 8, 3]) is neither",
        ),
        (
            {"image": ((1, 1, 8, 8, 3), "UINT8"), "s": STATE},
            {"s": "s", "logits": "s"},
            "image (uint8 [1, 1, 8, 8, 3]) is neither",
        ),
        (
            {"image": IMAGE, "s": ((1, 2, 2),)},
            {"s": "s", "logits": "s"},
            "logits (float32 [1, 2, 2]) is not [1, classes]",
        ),
        (
            {"image": IMAGE, "s": STATE, "t": ((1, 5),)},
            {"s": "t", "t": "s", "logits": "s"},
            "state s (float32 [1, 4]) leaves with another shape, [1, 5]",
        ),
        (
            {"image": IMAGE, "s": STATE, "n": ((), "INT32")},
            {"s": "s", "n": "n", "logits": "s"},
            "state n (int32 []) has no dimensions",
        ),
    ],
)
def test_models_of_another_kind(
    tiny: Any, tmp_path: Path, tensors: dict[str, Any], passes: dict[str, str], told: str
) -> None:
    text = refused(ModelError, built(tiny, tmp_path, tensors, passes), list("abcd"))
    assert told in text and "not a streaming video classifier" in text


def test_states_that_hand_over_to_each_other(tiny: Any, tmp_path: Path) -> None:
    """A delay line: each state leaves as what the one before it entered as, without a copy in between."""
    graph = tiny.Graph()
    first, second = (graph.inputs.setdefault(name, graph.tensor((1, 3))) for name in ("first", "second"))
    image = graph.take("image", (1, 1, 8, 8, 3), {})
    colour = graph.mean(graph.reshape(image, (1, 8, 8, 3)), [1, 2], (1, 3))
    graph.outputs.update(first=colour, second=first)
    graph.outputs["logits"] = graph.reshape(second, (1, 3))
    path = tmp_path / "delay.tflite"
    path.write_bytes(graph.file(["call"]))
    with VideoClassifier(path, ["red", "green", "blue"]) as classifier:
        logits = [classifier.step(plain(colour)).logits.tolist() for colour in (RED, GREEN, BLUE, WHITE)]
    assert logits == [[0, 0, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0]]


def test_logits_that_are_not_numbers(tiny: Any, tmp_path: Path) -> None:
    """Damaged weights: said aloud instead of shown as a class."""
    tiny.WEIGHTS, whole = np.full_like(tiny.WEIGHTS, np.nan), tiny.WEIGHTS
    try:
        path = tmp_path / "nan.tflite"
        path.write_bytes(tiny.streaming_model())
    finally:
        tiny.WEIGHTS = whole
    with VideoClassifier(path, LABELS) as classifier, pytest.raises(ModelError, match="not numbers"):
        classifier.step(plain(RED))


def test_committed_models_are_what_the_script_writes(tiny: Any) -> None:
    for name, content in tiny.files().items():
        assert (DATA / name).read_bytes() == content, f"{name}: run python tests/make_tiny_models.py"
