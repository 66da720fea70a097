"""Models of clips, .tflite and .onnx, against the same network computed with numpy from its weights."""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from make_tiny_clip_models import (
    BIASES,
    BLOCK,
    BLOCK_BIAS,
    BYTES,
    KERNEL,
    KERNEL_BIAS,
    LABELS,
    LENGTH,
    MEAN,
    SIGNED,
    SIZE,
    STD,
    WEIGHTS,
    onnx_model,
)

import classifier as classifier_module
from clip_classifier import ClipClassifier, Window
from clip_format import ClipSettings, ClipShape, is_clip_model
from errors import ModelError, UserError
from model_metadata import labels_of

DATA = Path(__file__).parent / "data"
FILES = [
    "clip.tflite",
    "clip_channels_first.tflite",
    "clip_bytes.tflite",
    "clip_signed.tflite",
    "clip.onnx",
    "clip_old.onnx",
]
ONE_OF_EACH = ["clip.tflite", "clip_channels_first.tflite", "clip_bytes.tflite", "clip.onnx"]


def network(clip: np.ndarray) -> np.ndarray:
    """The logits [5] of a clip of real numbers, [T, H, W, 3], in float64."""
    value = np.maximum(
        convolution(np.moveaxis(clip, 3, 0).astype(np.float64), KERNEL, (1, 2, 2)) + bias(KERNEL_BIAS), 0
    )
    padded = np.pad(value, ((0, 0), (1, 1), (1, 1), (1, 1)))
    value = np.maximum(value + convolution(padded, BLOCK, (1, 1, 1)) + bias(BLOCK_BIAS), 0)
    return WEIGHTS.astype(np.float64) @ value.mean((1, 2, 3)) + BIASES


def convolution(value: np.ndarray, kernel: np.ndarray, strides: tuple[int, int, int]) -> np.ndarray:
    """A valid convolution of [channels, T, H, W] with [filters, channels, 3, 3, 3]."""
    windows = np.lib.stride_tricks.sliding_window_view(value, (3, 3, 3), (1, 2, 3))
    windows = windows[:, :: strides[0], :: strides[1], :: strides[2]]
    return np.einsum("cthwijk,fcijk->fthw", windows, kernel.astype(np.float64))


def bias(values: np.ndarray) -> np.ndarray:
    return values[:, None, None, None]


def frames(number: int, height: int = SIZE, width: int = SIZE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (number, height, width, 3), np.uint8)


def real(clip: np.ndarray, name: str = "") -> np.ndarray:
    """Pixels 0..1 as the named file can hold them."""
    values = clip / 255
    stored = {"clip_bytes": BYTES, "clip_signed": SIGNED}.get(name.partition(".")[0])
    if stored is None:
        return values
    limits = np.iinfo(stored[0].lower())
    raw = np.clip(np.rint(values / stored[1]) + stored[2], limits.min, limits.max)
    return (raw - stored[2]) * stored[1]


def load(name: str, **settings: object) -> ClipClassifier:
    arguments = {each: settings.pop(each) for each in list(settings) if each not in vars(ClipSettings())}
    return ClipClassifier(DATA / name, LABELS, clip=ClipSettings(**settings), **arguments)


def assert_same(logits: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", FILES)
def test_a_clip_is_answered_as_the_network_answers_it(name):
    clip = frames(LENGTH)
    with load(name) as classifier:
        *before, prediction = [classifier.step(frame, place / 5) for place, frame in enumerate(clip)]
    assert before == [None] * (LENGTH - 1), "a window that isn't full says nothing"
    assert_same(prediction.logits, network(real(clip, name)))
    assert prediction.logits.dtype == np.float32
    expected = np.exp(network(real(clip, name)))
    expected /= expected.sum()
    np.testing.assert_allclose(prediction.probabilities, expected, atol=1e-4)
    assert [category.label for category in prediction.top] == [LABELS[place] for place in (-expected).argsort()[:3]]
    assert prediction.timestamp == (LENGTH - 1) / 5 and prediction.step == 1


@pytest.mark.parametrize("name", ONE_OF_EACH)
@pytest.mark.parametrize("stride", [1, 4, 5, 16, None])
def test_every_stride_gives_the_window_that_ends_there(name, stride):
    stream = frames(45)
    with load(name, stride=stride) as classifier:
        answers = [classifier.step(frame) for frame in stream]
    step = stride or LENGTH
    ends = list(range(LENGTH - 1, len(stream), step))
    assert [place for place, answer in enumerate(answers) if answer is not None] == ends
    for number, end in enumerate(ends, 1):
        assert_same(answers[end].logits, network(real(stream[end - LENGTH + 1 : end + 1], name)))
        assert answers[end].step == number


@pytest.mark.parametrize("layout", ["nthwc", "ncthw"])
def test_the_window_goes_round(layout):
    shape = ClipShape(5, 3, 4, layout)
    window, stream = Window(shape, np.float32), frames(23, 3, 4).astype(np.float32)
    for count, frame in enumerate(stream, 1):
        window.add(frame)
        if count >= 5:
            target = np.full(shape.axes, -1, np.float32)
            window.write_to(target)
            expected = stream[count - 5 : count]
            np.testing.assert_array_equal(target[0], expected if layout == "nthwc" else expected.transpose(3, 0, 1, 2))


@pytest.mark.parametrize("name", ["clip.tflite", "clip.onnx"])
def test_mean_and_scale_are_those_of_opencvs_example(name):
    """OpenCV's own blob of the published ResNet-34's example, from BGR frames."""
    mean, clip = (114.7748, 107.7354, 99.4750), frames(LENGTH)
    with load(name, mean=mean, scale=(1.0,), channel_order="bgr") as classifier:
        prediction = [classifier.step(frame) for frame in clip][-1]
    blob = cv2.dnn.blobFromImages(list(clip), 1.0, (SIZE, SIZE), mean, swapRB=True, crop=True)  # [T, 3, H, W]
    assert_same(prediction.logits / 100, network(blob.transpose(0, 2, 3, 1)) / 100)


def test_a_mean_alone_leaves_the_pixels_in_0_to_255_and_a_scale_may_differ_by_channel():
    clip = frames(LENGTH)
    with load("clip.tflite", mean=(100.0,)) as classifier:
        assert_same([classifier.step(frame) for frame in clip][-1].logits / 100, network(clip - 100.0) / 100)
    with load("clip.tflite", scale=(0.01, 0.02, 0.005)) as classifier:
        assert_same([classifier.step(frame) for frame in clip][-1].logits, network(clip * [0.01, 0.02, 0.005]))


def test_the_files_metadata_says_which_range_it_wants_and_a_flag_wins():
    clip = frames(LENGTH)
    with load("clip_described.tflite") as classifier:
        assert_same([classifier.step(frame) for frame in clip][-1].logits, network((clip - MEAN) / STD))
    with load("clip_described.tflite", mean=(0.0,), scale=(1 / 255,)) as classifier:
        assert_same([classifier.step(frame) for frame in clip][-1].logits, network(clip / 255))


@pytest.mark.parametrize("name", ["clip_softmax.tflite", "clip_softmax.onnx"])
def test_a_model_that_ends_in_a_softmax_is_not_squashed_twice(name):
    clip = frames(LENGTH)
    expected = np.exp(network(clip / 255))
    with load(name) as classifier:
        probabilities = [classifier.step(frame) for frame in clip][-1].probabilities
    np.testing.assert_allclose(probabilities, expected / expected.sum(), atol=1e-4)


@pytest.mark.parametrize("name", ["clip.tflite", "clip.onnx"])
def test_any_size_and_kind_of_frame_is_taken(name):
    large = frames(LENGTH, 60, 80)
    # The centre square, shrunk, is what a user would do by hand.
    small = np.stack([cv2.resize(frame[:, 10:70], (SIZE, SIZE), interpolation=cv2.INTER_LINEAR) for frame in large])
    with load(name, stride=LENGTH) as classifier:
        rgb = [classifier.step(frame) for frame in large][-1]
        classifier.fit = "stretch"
        stretched = [classifier.step(frame) for frame in large][-1]
        grey = [classifier.step(frame[:, :, 0]) for frame in small][-1]
    assert_same(rgb.logits, network(small / 255))
    assert_same(stretched.logits, network(np.stack([cv2.resize(frame, (SIZE, SIZE)) for frame in large]) / 255))
    assert_same(grey.logits, network(np.repeat(small[..., :1], 3, 3) / 255))
    with load(name, channel_order="bgr") as classifier:
        bgra = np.concatenate([small[..., ::-1], np.zeros_like(small[..., :1])], 3)
        assert_same([classifier.step(frame) for frame in bgra][-1].logits, network(small / 255))


@pytest.mark.parametrize(("stride", "resized"), [(1, 40), (LENGTH, 40), (16, 3 * LENGTH)])
def test_no_frame_is_resized_twice_and_none_for_nothing(monkeypatch, stride, resized):
    calls = []
    fit = classifier_module.fit_frame
    monkeypatch.setattr(classifier_module, "fit_frame", lambda *arguments: calls.append(1) or fit(*arguments))
    with load("clip.tflite", stride=stride) as classifier:
        for frame in frames(40, 20, 20):
            classifier.step(frame)
    assert len(calls) == resized


def test_reset_begins_a_new_window():
    stream = frames(2 * LENGTH)
    with load("clip.tflite", stride=1) as classifier:
        for frame in stream[: LENGTH + 3]:
            classifier.step(frame)
        classifier.reset()
        answers = [classifier.step(frame) for frame in stream[LENGTH:]]
    assert [answer is None for answer in answers] == [True] * (LENGTH - 1) + [False]
    assert_same(answers[-1].logits, network(stream[LENGTH:] / 255))
    assert answers[-1].step == 1


def test_another_classifier_goes_on_with_the_window():
    stream = frames(LENGTH + 3)
    with load("clip.tflite", stride=3) as first, load("clip.tflite", stride=3) as second:
        for frame in stream[:-1]:
            first.step(frame)
        second.resume(first)
        prediction = second.step(stream[-1])
        assert prediction.step == 2
        assert_same(prediction.logits, network(stream[-LENGTH:] / 255))
        second.resume(object())  # of another kind: it starts anew
    with load("clip.onnx") as other, load("clip.tflite") as first:
        first.step(stream[0])
        other.resume(first)
        assert [other.step(frame) is None for frame in stream[:LENGTH]] == [True] * (LENGTH - 1) + [False]


def test_lists_and_threshold_choose_what_is_shown():
    clip = frames(LENGTH)
    order = (-network(clip / 255)).argsort()
    with load("clip.onnx", top_k=2, deny=[LABELS[order[0]].upper()]) as classifier:
        assert [each.index for each in [classifier.step(frame) for frame in clip][-1].top] == list(order[1:3])
        classifier.selection = classifier.select(top_k=5, threshold=1.0, allow=None, deny=None)
        assert [classifier.step(frame) for frame in clip][-1].top == []
        with pytest.raises(UserError, match="did you mean 'left'"):
            classifier.select(top_k=1, threshold=0, allow=["lefd"], deny=None)
    with pytest.raises(RuntimeError, match="closed"):
        classifier.step(clip[0])


def test_a_frame_that_is_none_is_refused_also_where_no_window_has_it():
    with load("clip.tflite", stride=30) as classifier:
        for frame in frames(LENGTH + 1):
            classifier.step(frame)
        for wrong, error in ((frames(1).astype(np.float32)[0], TypeError), (np.zeros((0, 4, 3), np.uint8), ValueError)):
            with pytest.raises(error):
                classifier.step(wrong)


# What the file leaves open


def test_sizes_that_the_file_leaves_open_come_from_the_settings(monkeypatch):
    clip = frames(LENGTH)
    with pytest.raises(ModelError, match="how many frames.*--clip-length"):
        load("clip_open.onnx")
    with pytest.raises(ModelError, match="how large.*--clip-size"):
        load("clip_open.onnx", length=LENGTH)
    try:
        classifier = load("clip_open.onnx", length=LENGTH, size=SIZE)
    except ModelError as error:  # OpenCV 4 asks for whole shapes as it reads the file
        assert cv2.__version__.startswith("4.") and "\n" not in str(error)
        return
    with classifier:
        assert_same([classifier.step(frame) for frame in clip][-1].logits, network(clip / 255))


@pytest.mark.parametrize("name", ["clip_open.tflite", "clip_open_length.tflite"])
def test_a_tflite_file_may_leave_sizes_open(name):
    """As exported from a network that takes any number of frames."""
    clip = frames(LENGTH)
    with pytest.raises(ModelError, match="how many frames.*--clip-length"):
        load(name)
    with load(name, length=LENGTH, size=SIZE) as classifier:
        assert_same([classifier.step(frame) for frame in clip][-1].logits, network(clip / 255))
    with load(name, length=2 * LENGTH, size=SIZE) as classifier:  # the network averages over all frames
        assert classifier.shape.length == 2 * LENGTH
        assert len([shown for shown in map(classifier.step, frames(2 * LENGTH)) if shown]) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"length": 16}, "clips of 8 frames, not 16"),
        ({"size": 112}, "12x12 pixels, not 112"),
        ({"layout": "ncthw"}, "has not 3 channels where --layout ncthw"),
    ],
)
def test_settings_that_contradict_the_file_are_refused(settings, message):
    with pytest.raises(ModelError, match=message) as caught:
        load("clip.tflite", **settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "settings", [{"stride": 0}, {"length": -1}, {"layout": "thwc"}, {"mean": (1.0, 2.0)}, {"scale": (0.0,)}]
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(UserError):
        ClipSettings(**settings)


def test_flags_win_over_the_registry():
    both = ClipSettings(stride=1).over(ClipSettings(stride=16, mean=(1.0,), length=8))
    assert both == ClipSettings(stride=1, mean=(1.0,), length=8)


# Files that are something else


def test_a_shape_behind_the_softmax_changes_nothing(tmp_path):
    (tmp_path / "flat.onnx").write_bytes(onnx_model(softmax=True, flat=True))
    clip = frames(LENGTH)
    with ClipClassifier(tmp_path / "flat.onnx", LABELS) as classifier:
        prediction = [classifier.step(frame) for frame in clip][-1]
    logits = network(clip / 255)
    expected = np.exp(logits - logits.max())
    np.testing.assert_allclose(prediction.probabilities, expected / expected.sum(), rtol=1e-3)


def test_an_input_beyond_all_memory_ends_in_a_line(tmp_path):
    (tmp_path / "large.onnx").write_bytes(onnx_model((1, 3, 100_000, 100_000, 100_000)))
    with pytest.raises(ModelError, match="more than fits into memory"):
        ClipClassifier(tmp_path / "large.onnx", LABELS)


@pytest.mark.parametrize("name", ["clip.tflite", "clip.onnx"])
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5, 0.97])
def test_a_damaged_file_ends_in_a_line(tmp_path, name, kept):
    content = (DATA / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ModelError) as caught:
        ClipClassifier(tmp_path / name, LABELS)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_over_which_opencv_would_crash_ends_in_a_line():
    """OpenCV 5.0 dies of a segmentation fault where a pooling kernel is larger than its input, 4.11 raises an error."""
    with pytest.raises(ModelError, match=r"can't be run by OpenCV \d") as caught:
        load("clip_open.onnx", length=4, size=SIZE)
    assert "\n" not in str(caught.value)


def test_bytes_changed_at_random_never_end_the_process(tmp_path):
    random, content = np.random.default_rng(5), (DATA / "clip.onnx").read_bytes()
    for number in range(6):
        damaged = bytearray(content)
        for place in random.integers(0, 700, 8):
            damaged[place] = random.integers(256)
        (tmp_path / f"{number}.onnx").write_bytes(damaged)
        try:
            ClipClassifier(tmp_path / f"{number}.onnx", LABELS).close()
        except ModelError as error:
            assert "\n" not in str(error)


def test_labels_that_belong_to_another_model_are_refused():
    with pytest.raises(ModelError, match="its list of labels has 2 names, but model .* has 5 classes"):
        ClipClassifier(DATA / "clip.onnx", ["a", "b"])


def test_a_streaming_model_is_none_of_clips():
    with pytest.raises(ModelError, match="no clip model: it takes 6 tensors"):
        ClipClassifier(DATA / "tiny.tflite", LABELS)


@pytest.mark.parametrize(
    ("name", "clips"),
    [(name, True) for name in FILES] + [("tiny.tflite", False), ("tiny_still.tflite", False)],
)
def test_a_look_at_the_file_tells_the_kind(name, clips):
    assert is_clip_model(DATA / name) == clips


def test_the_look_survives_damage(tmp_path):
    content = (DATA / "clip.tflite").read_bytes()
    for kept in range(8, len(content), 97):
        (tmp_path / "model.tflite").write_bytes(content[:kept])
        assert is_clip_model(tmp_path / "model.tflite") in (True, False)
    for missing in ("nothing.tflite", "clip.txt"):
        with pytest.raises(ModelError):
            is_clip_model(DATA / missing)


# Labels inside


def test_labels_inside_are_used_where_no_file_is_beside(tmp_path):
    model = tmp_path / "clip_described.tflite"
    shutil.copy(DATA / "clip_described.tflite", model)
    assert labels_of(model) == list(LABELS)
    with ClipClassifier(model, labels_of(model)) as classifier:
        assert classifier.labels == list(LABELS)
    model.with_suffix(".txt").write_text("a\nb\nc\nd\ne\n")
    assert labels_of(model) == model.with_suffix(".txt")


def test_labels_inside_can_do_nothing_to_a_terminal(tmp_path):
    model = with_labels(tmp_path / "model.tflite", "up\n\x1b[31mdown\nleft\nright\nstill\n".encode())
    assert labels_of(model) == ["up", "?[31mdown", "left", "right", "still"]


@pytest.mark.parametrize("text", ["oben\nunten\nl\xe4ngs\n".encode("latin-1"), b"up\n\ndown\n"])
def test_damaged_labels_inside_are_called_so(tmp_path, text):
    with pytest.raises(ModelError, match="label file labels.txt inside.*--labels FILE"):
        labels_of(with_labels(tmp_path / "model.tflite", text))


def test_labels_inside_that_cannot_be_unpacked_end_in_a_line(tmp_path):
    model = with_labels(tmp_path / "model.tflite", b"up\ndown\n" * 500)
    content = bytearray(model.read_bytes())
    start = content.rindex(b"PK\x03\x04") + 45
    content[start : start + 8] = b"\xff" * 8
    model.write_bytes(content)
    with pytest.raises(ModelError, match="can't be read.*--labels FILE"):
        labels_of(model)


def with_labels(path, text):
    """Writes the model that has its labels inside, with others."""
    content = (DATA / "clip_described.tflite").read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as inside:
        path.write_bytes(content[: min(each.header_offset for each in inside.infolist())])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.txt", text)
    return path


def test_a_model_without_labels_says_what_to_do(tmp_path):
    for name in ("clip.tflite", "clip.onnx"):
        shutil.copy(DATA / name, tmp_path / name)
        with pytest.raises(ModelError, match="--labels FILE"):
            labels_of(tmp_path / name)
    content = (DATA / "clip_described.tflite").read_bytes()
    (tmp_path / "cut.tflite").write_bytes(content[:-30])
    with pytest.raises(ModelError, match="--labels FILE"):
        labels_of(tmp_path / "cut.tflite")
    with pytest.raises(ModelError, match="no label file 'other'"):
        labels_of(DATA / "clip_described.tflite", "other")


def test_the_400_names_are_in_the_published_order():
    names = (Path(__file__).parent.parent / "labels" / "kinetics400.txt").read_text().splitlines()
    assert len(names) == len(set(names)) == 400
    assert names == sorted(names, key=str.lower)
    assert (names[0], names[5], names[399]) == ("abseiling", "archery", "zumba")
