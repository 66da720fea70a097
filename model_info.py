"""What a model file is, what it wants and which labels it has, for people: `classify.py --model-info FILE`."""

from __future__ import annotations

import os
import textwrap
from collections import Counter
from pathlib import Path
from typing import Iterator, Sequence, Tuple, Union

import numpy as np

import models
from clip_engine import load_clip_model
from clip_format import LAYOUTS, ClipSettings, clip_shape, input_shapes, is_clip_model, known_settings
from compiled import pools_of
from errors import ModelError, NotUnderstood, PackageError
from model_metadata import ModelMetadata, labels_of, read_model_metadata
from onnx_header import OnnxHeader, read_onnx_header
from pixel_range import Numbers, mean_and_scale
from runtime import Runtime, choose_runtime, load_content, read_model
from signature import Signature, Tensor, read_signature
from teaching.description import read_teaching
from teaching.taught import as_given, taught_with
from utils import printable, read_labels

_WIDTH = 100  # columns
_KEY = 12  # columns
_DEFAULT_FPS = 5.0  # of a model that the registry doesn't know, as in session.py

Row = Tuple[str, str]  # what it is about, and what there is to say


def describe(
    model: str | os.PathLike[str],
    labels: str | None = None,
    runtime: str = "auto",
    clip: ClipSettings | None = None,
) -> str:
    """Returns what a model is.

    Args:
        model: A .tflite or .onnx file.
        labels: Its label file, if the user named one.
        runtime: One of runtime.RUNTIMES, for a .tflite file.
        clip: What the user and the registry say of a clip model; None for what the registry says.

    Raises:
        ModelError: It is missing, damaged, or no classifier of video.
        PackageError: No such runtime works here.
    """
    path = Path(model)
    settings = clip or known_settings(path)
    rows = list(_onnx(path, settings) if path.suffix.lower() == ".onnx" else _tflite(path, runtime, settings))
    lines = [_row("model", f"{path} ({_size(path)})")]
    lines += [_row(key, text) for key, text in rows]
    lines.append(_row("labels", _labels(path, labels)))
    return "\n".join(lines)


def _tflite(path: Path, runtime_name: str, settings: ClipSettings) -> Iterator[Row]:
    content = read_model(path)
    runtime = choose_runtime(runtime_name)
    try:
        metadata = read_model_metadata(content)
    except ValueError:
        metadata = ModelMetadata(description="(damaged metadata)")
    if is_clip_model(path):
        yield from _tflite_clip(path, content, runtime, settings, metadata)
    else:
        interpreter = load_content(path, content, runtime, threads=1)
        yield from _streaming(path, content, read_signature(interpreter, path), metadata)
    yield from _operators(content)
    yield "runs on", str(runtime)
    yield from _taught(path)
    yield from _about(path, metadata)


def _tflite_clip(
    path: Path, content: bytes, runtime: Runtime, settings: ClipSettings, metadata: ModelMetadata
) -> Iterator[Row]:
    yield "kind", "clip model: looks at a window of frames, remembers nothing"
    mean, scale = mean_and_scale(metadata.normalization)
    settings = settings.over(ClipSettings(mean=mean, scale=scale))
    wants = list(_clip(path, input_shapes(content)[0], settings))
    yield from wants
    if len(wants) == 1:  # what is open can't be run
        return
    interpreter = load_clip_model(path, content, settings, runtime, threads=1)
    image, logits = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    yield "pixels", _pixels(settings.mean, settings.scale, *_storage(image["dtype"], *image["quantization"]))
    yield "gives", f"{int(logits['shape'][-1])} classes, {_storage(logits['dtype'], *logits['quantization'])[0]}"


def _streaming(path: Path, content: bytes, signature: Signature, metadata: ModelMetadata) -> Iterator[Row]:
    yield "kind", "streaming MoViNet: looks at one frame at a time, remembers in states"
    image = signature.image
    yield "wants", f"{image.shape[3]}x{image.shape[2]} pixels RGB, {_rate(path)}"
    yield "pixels", _pixels(*mean_and_scale(metadata.normalization), *_of(image))
    held = sum(int(np.prod(state.shape)) * np.dtype(state.dtype).itemsize for state, _ in signature.states)
    yield "states", f"{len(signature.states)}, {held / 1e3:,.1f} kB"
    try:
        pools = pools_of(content)
        short = sum(pool.short for pool in pools)
        two = f", {short} of them short, for two horizons" if short else ""
        averages = "averages" if len(pools) == 1 else "average"
        yield "pools", f"{len(pools)} that {averages} over time{two}, bounded by --memory"
    except (NotUnderstood, PackageError) as reason:
        yield "pools", f"not known: {reason}"
    yield "gives", f"{signature.logits.shape[1]} classes, {_of(signature.logits)[0]}"


def _onnx(path: Path, settings: ClipSettings) -> Iterator[Row]:
    header = read_onnx_header(path)
    yield "kind", "clip model (ONNX): looks at a window of frames, remembers nothing"
    yield from _clip(path, header.inputs[0][1], settings)
    yield "pixels", _pixels(settings.mean, settings.scale, "float32", None)
    classes = header.outputs[0][1][-1] if header.outputs[0][1] else None
    yield "gives", f"{classes} classes" if classes else "a number of classes that the file doesn't say"
    yield "operators", _counted(Counter(header.operators))
    yield "runs on", "OpenCV's DNN module"
    yield from _about(path, ModelMetadata())
    yield from _notes(header)


def _clip(path: Path, shape: Sequence[Union[int, None]], settings: ClipSettings) -> Iterator[Row]:
    try:
        clip = clip_shape(path, shape, settings)
    except ModelError as reason:
        if None not in shape:
            raise
        yield "wants", f"input [{', '.join(str(size or '?') for size in shape)}]; {str(reason).rpartition(': ')[2]}"
        return
    stride = settings.stride or clip.length
    every = "each frame" if stride == 1 else f"every {stride} frames"
    yield "wants", f"{clip.length} frames of {clip.width}x{clip.height} pixels RGB, {_rate(path)}"
    yield "stride", f"a prediction {every}, unless --stride says otherwise"
    first = "channels last" if clip.layout == LAYOUTS[0] else "channels first"
    yield "layout", f"{clip.layout}, {first}: [{', '.join(map(str, clip.axes))}]"


def _operators(content: bytes) -> Iterator[Row]:
    try:
        from compiler.graph import load

        graph = load(content)
    except (NotUnderstood, PackageError) as reason:
        yield "operators", f"not known: {reason}"
        return
    weights: Counter[str] = Counter()
    for tensor in {id(each): each for operator in graph.operators for each in operator.inputs if each}.values():
        if tensor.data is not None and tensor.dtype not in (np.int32, np.int64):  # those are shapes and biases
            weights[np.dtype(tensor.dtype).name] += tensor.data.size
    most = [f"{kind} {count:,}" for kind, count in weights.most_common()]
    yield "weights", ", ".join(most)
    yield "operators", _counted(Counter(operator.kind for operator in graph.operators))


def _taught(path: Path) -> Iterator[Row]:
    """Says how a model was taught: it wants to see frames as it saw the clips."""
    try:
        taught = read_teaching(path)
        if taught is not None:
            clips = sum(taught["clips"].values())
            seen = " ".join(f"--{name} {as_given(value)}" for name, value in taught_with(path).items())
            yield "taught", _line(f"{taught['date']}, with {clips} clips, seen with {seen}")
    except (ModelError, KeyError, TypeError, ValueError, AttributeError):
        yield "taught", "(damaged)"


def _about(path: Path, metadata: ModelMetadata) -> Iterator[Row]:
    known = models.known_model(path)
    for key in ("name", "version", "author", "description"):
        if getattr(metadata, key):
            yield key, _line(getattr(metadata, key))
    if metadata.licence:
        yield "licence", _line(metadata.licence)
    elif known:
        yield "licence", f"{known.licence} (registry)"
    if known:
        yield "published", known.source


def _notes(header: OnnxHeader) -> Iterator[Row]:
    for key, text in header.metadata.items():
        if text:
            yield _line(key), _line(text)


def _labels(path: Path, given: str | None) -> str:
    try:
        labels = labels_of(path, given)
    except ModelError as reason:
        return f"none: {reason}"
    if isinstance(labels, Path):
        where, names = min(str(labels), os.path.relpath(labels), key=len), read_labels(labels)
    else:
        where, names = "inside the model", labels
    return f"{len(names)}, {where}: {', '.join(map(printable, names))}"


def _pixels(mean: Numbers, scale: Numbers, storage: str, limits: tuple[float, float] | None) -> str:
    """Says what a pixel of 0..255 becomes, and how it is stored."""
    held = "" if limits is None else f", which hold {limits[0]:.3g} to {limits[1]:.3g}"
    if mean is None and scale is None:
        return f"0 to 1, as {storage}{held}"
    less = ", ".join(f"{value:g}" for value in mean or (0,))
    times = ", ".join(f"{value:.4g}" for value in scale or (1,))
    return f"(0..255 - [{less}]) * [{times}], as {storage}{held}"


def _of(tensor: Tensor) -> tuple[str, tuple[float, float] | None]:
    return _storage(tensor.dtype, tensor.scale, tensor.zero_point)


def _storage(dtype: type, scale: float, zero_point: int) -> tuple[str, tuple[float, float] | None]:
    """Returns the type of a tensor, and the real numbers that it holds where it is quantized."""
    name = np.dtype(dtype).name
    if not scale or np.dtype(dtype).kind == "f":
        return name, None
    limits: np.iinfo = np.iinfo(dtype)
    return name, (scale * (limits.min - zero_point), scale * (limits.max - zero_point))


def _rate(path: Path) -> str:
    known = models.known_model(path)
    return f"{known.fps:g} frames a second" if known else f"{_DEFAULT_FPS:g} frames a second (assumed; --sample-fps)"


def _counted(kinds: Counter[str]) -> str:
    # No line ends between the two.
    most = [f"{count}\xa0{kind}" for kind, count in sorted(kinds.items(), key=lambda each: (-each[1], each[0]))]
    return f"{sum(kinds.values())}: {', '.join(most)}"


def _size(path: Path) -> str:
    size = path.stat().st_size
    return f"{size / 1e6:.2f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def _line(text: str) -> str:
    """Returns what is written in a file as one printable line."""
    return textwrap.shorten(printable(text.replace("\n", " ")), 300, placeholder=" ...")


def _row(key: str, text: str) -> str:
    indent = " " * (_KEY + 1)
    lines = textwrap.wrap(text, _WIDTH - len(indent), break_long_words=False, break_on_hyphens=False) or [""]
    return (f"{key.ljust(_KEY)} " + f"\n{indent}".join(lines)).replace("\xa0", " ")
