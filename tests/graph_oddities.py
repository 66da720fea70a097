"""Operations that no published MoViNet has: the compiler must get them right or refuse.

Each takes the network and a float [1, 1, S, S, C] and returns a float of five dimensions. Many look like something that
a compiler knows, but aren't: a reshape that shuffles, a state that is given another state's value.
"""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from compiler.graph import Tensor, constant


def transpose(network: Any, value: Tensor) -> Tensor:
    return network.add("TRANSPOSE", [value, _integers(0, 1, 3, 2, 4)], value.shape)


def transpose_channels_first(network: Any, value: Tensor) -> Tensor:
    _, _, height, width, channels = value.shape
    return network.add("TRANSPOSE", [value, _integers(0, 1, 4, 2, 3)], (1, 1, channels, height, width))


def shuffling_reshape(network: Any, value: Tensor) -> Tensor:
    _, _, height, width, channels = value.shape
    return network.reshape(value, (1, 1, channels, height, width))


def pixels_as_frames(network: Any, value: Tensor) -> Tensor:
    """Not every second dimension is time: the convolution that follows is given it back as rows."""
    _, _, height, width, channels = value.shape
    columns = network.reshape(value, (1, height, width, 1, channels))
    means = network.add("MEAN", [columns, _integers(2)], (1, height, 1, 1, channels), keepDims=True)
    return network.reshape(means, (1, 1, height, 1, channels))


def mirror(network: Any, value: Tensor) -> Tensor:
    return network.add("REVERSE_V2", [value, _integers(3)], value.shape)


def pad(network: Any, value: Tensor) -> Tensor:
    _, _, height, width, channels = value.shape
    edges = constant(np.array([[0, 0], [0, 0], [1, 0], [0, 2], [0, 0]], np.int32))
    return network.add("PAD", [value, edges], (1, 1, height + 1, width + 2, channels))


def tile(network: Any, value: Tensor) -> Tensor:
    _, _, height, width, channels = value.shape
    return network.add("TILE", [value, _integers(1, 1, 2, 1, 1)], (1, 1, 2 * height, width, channels))


def sum_of_channels(network: Any, value: Tensor) -> Tensor:
    total = network.add("SUM", [value, _integers(4)], (*value.shape[:4], 1), keepDims=True)
    return network.add("ADD", [value, total], value.shape)


def mean_of_rows(network: Any, value: Tensor) -> Tensor:
    shape = *value.shape[:3], 1, value.shape[4]
    return network.add("SUB", [value, network.add("MEAN", [value, _integers(-2)], shape, keepDims=True)], value.shape)


def twice_as_high(network: Any, value: Tensor) -> Tensor:
    shape = 1, 1, 2 * value.shape[2], *value.shape[3:]
    return network.add("CONCATENATION", [value, value], shape, axis=2)


def twice_as_wide(network: Any, value: Tensor) -> Tensor:
    shape = *value.shape[:3], 2 * value.shape[3], value.shape[4]
    return network.add("CONCATENATION", [value, value], shape, axis=-2)


def every_second_pixel(network: Any, value: Tensor) -> Tensor:
    _, _, height, width, channels = value.shape
    inputs = [value, _integers(0, 0, 0, 0, 0), _integers(*value.shape), _integers(1, 1, 2, 2, 1)]
    return network.add("STRIDED_SLICE", inputs, (1, 1, -(-height // 2), -(-width // 2), channels))


def without_first_row(network: Any, value: Tensor) -> Tensor:
    _, _, height, width, channels = value.shape
    inputs = [value, _integers(0, 0, -height + 1, 0, 0), _integers(*value.shape), _integers(1, 1, 1, 1, 1)]
    return network.add("STRIDED_SLICE", inputs, (1, 1, height - 1, width, channels))


def squeeze(network: Any, value: Tensor) -> Tensor:
    flat = network.add("SQUEEZE", [value], value.shape[1:], squeezeDims=np.array([1], np.int32))
    return network.add("EXPAND_DIMS", [flat, _integers(1)], value.shape)


def scaled_by_place(network: Any, value: Tensor) -> Tensor:
    """A constant of another value at each pixel can't become part of the convolution before it."""
    result = network.deep(network.convolve(network.flat(value), 6))
    return network.add("MUL", [result, _ramp(result.shape)], result.shape)


def scaled_by_row(network: Any, value: Tensor) -> Tensor:
    result = network.deep(network.convolve(network.flat(value), 6))
    return network.add("MUL", [_ramp((1, 1, result.shape[2], 1, 1)), result], result.shape)


def scaled_by_channel(network: Any, value: Tensor) -> Tensor:
    result = network.deep(network.convolve(network.flat(value), 6))
    return network.add("MUL", [_ramp((6,)), result], result.shape)


def scaled_after_clipping(network: Any, value: Tensor) -> Tensor:
    """A factor, negative here, can't be moved to before the RELU6 that is fused into the convolution."""
    result = network.convolve(network.flat(value), 6)
    network.graph.operators[-1].options.fusedActivationFunction = _RELU6
    return network.deep(network.add("MUL", [result, constant(np.array(-1.5, np.float32))], result.shape))


def scaled_and_clipped(network: Any, value: Tensor) -> Tensor:
    """The MUL has a fused function of its own."""
    result = network.convolve(network.flat(value), 6)
    options = {"fusedActivationFunction": _RELU6}
    return network.deep(network.add("MUL", [result, constant(np.array(4, np.float32))], result.shape, **options))


def scaled_and_plain(network: Any, value: Tensor) -> Tensor:
    """The convolution's result is read without the factor, too."""
    result = network.convolve(network.flat(value), 6)
    scaled = network.add("MUL", [result, constant(np.array(0.3, np.float32))], result.shape)
    return network.deep(network.add("SUB", [result, network.activate(scaled)], result.shape))


def shifted_before_convolution(network: Any, value: Tensor) -> Tensor:
    """With SAME padding, a constant can't be moved past the convolution that follows: the border stays 0."""
    shifted = network.add("ADD", [value, constant(np.array(2, np.float32))], value.shape)
    return network.deep(network.convolve(network.flat(shifted), 6, side=3))


def constant_minus_value(network: Any, value: Tensor) -> Tensor:
    result = network.convolve(network.flat(value), 6)
    return network.deep(network.add("SUB", [constant(np.array(1, np.float32)), result], result.shape))


def constant_over_value(network: Any, value: Tensor) -> Tensor:
    positive = network.add("LOGISTIC", [network.convolve(network.flat(value), 6)], (*value.shape[1:4], 6))
    return network.deep(network.add("DIV", [constant(np.array(1, np.float32)), positive], positive.shape))


def difference_from_last_frame(network: Any, value: Tensor) -> Tensor:
    before = network.input("state_odd_frame", value.shape)
    network.graph.outputs["state_odd_frame"] = value
    return network.add("SUB", [value, before], value.shape)


def frame_before_last(network: Any, value: Tensor) -> Tensor:
    """A state is given another state's value untouched."""
    older, newer = (network.input(f"state_odd_{name}", value.shape) for name in ("older", "newer"))
    network.graph.outputs.update(state_odd_older=newer, state_odd_newer=value)
    return network.add("SUB", [value, older], value.shape)


def state_that_never_changes(network: Any, value: Tensor) -> Tensor:
    """It passes through the graph, but it is read."""
    state = network.input("state_odd_constant", value.shape)
    network.graph.outputs["state_odd_constant"] = state
    shifted = network.add("ADD", [state, constant(np.array(0.5, np.float32))], value.shape)
    return network.add("MUL", [value, shifted], value.shape)


def state_that_is_never_read(network: Any, value: Tensor) -> Tensor:
    network.input("state_odd_unread", value.shape)
    network.graph.outputs["state_odd_unread"] = value
    return value


def state_set_to_a_constant(network: Any, value: Tensor) -> Tensor:
    """0 at the first frame, another value from then on."""
    state = network.input("state_odd_set", (1, 1, 1, 1, 1))
    network.graph.outputs["state_odd_set"] = constant(np.full((1, 1, 1, 1, 1), 0.5, np.float32))
    return network.add("SUB", [value, state], value.shape)


def mean_over_time(network: Any, value: Tensor) -> Tensor:
    frames = _stream(network, value, 2, newest_last=True)
    return network.add("MEAN", [frames, _integers(1)], value.shape, keepDims=True)


def oldest_frame(network: Any, value: Tensor) -> Tensor:
    frames = _stream(network, value, 2, newest_last=True)
    oldest = network.add("SLICE", [frames, _integers(0, 0, 0, 0, 0), _integers(*value.shape)], value.shape)
    return network.add("SUB", [value, oldest], value.shape)


def newest_frame_first(network: Any, value: Tensor) -> Tensor:
    frames = _stream(network, value, 2, newest_last=False)
    kernel = network.weights((1, 3, 1, value.shape[4]), 3)
    return _filter_time(network, frames, kernel)


def dilated_filter(network: Any, value: Tensor) -> Tensor:
    frames = _stream(network, value, 4, newest_last=True)
    return _filter_time(network, frames, network.weights((1, 3, 1, value.shape[4]), 3), dilationHFactor=2)


def filter_of_two_frames(network: Any, value: Tensor) -> Tensor:
    """The stream buffer has the length of a frame."""
    frames = _stream(network, value, 1, newest_last=True)
    return _filter_time(network, frames, network.weights((1, 2, 1, value.shape[4]), 2))


def filter_that_mixes_pixels(network: Any, value: Tensor) -> Tensor:
    """It runs over the rows of pixels put end to end; three frames stay three, with SAME padding."""
    frames = _stream(network, value, 2, newest_last=True)
    _, length, height, width, channels = frames.shape
    rows = network.reshape(frames, (1, length, height * width, channels))
    inputs = [rows, network.weights((1, 3, 3, channels), 9), network.biases(channels)]
    options = {"strideW": 1, "strideH": 1, "depthMultiplier": 1, "padding": _SAME}
    filtered = network.reshape(network.add("DEPTHWISE_CONV_2D", inputs, rows.shape, **options), frames.shape)
    return network.add("MEAN", [filtered, _integers(1)], value.shape, keepDims=True)


def filter_that_doubles_channels(network: Any, value: Tensor) -> Tensor:
    frames = _stream(network, value, 2, newest_last=True)
    kernel = network.weights((1, 3, 1, 2 * value.shape[4]), 3)
    return _filter_time(network, frames, kernel, depthMultiplier=2)


def stream_buffer_read_twice(network: Any, value: Tensor) -> Tensor:
    frames = _stream(network, value, 2, newest_last=True)
    filtered = _filter_time(network, frames, network.weights((1, 3, 1, value.shape[4]), 3))
    before = network.graph.inputs["state_odd_stream_buffer"]
    mean = network.add("MEAN", [before, _integers(1)], value.shape, keepDims=True)
    return network.add("SUB", [filtered, mean], value.shape)


def decaying_state(network: Any, value: Tensor) -> Tensor:
    before = network.input("state_odd_mean", value.shape)
    kept = network.add("MUL", [before, constant(np.array(0.8, np.float32))], value.shape)
    network.graph.outputs["state_odd_mean"] = network.add("ADD", [kept, value], value.shape)
    return network.graph.outputs["state_odd_mean"]


def count_by_two(network: Any, value: Tensor) -> Tensor:
    """This count isn't that of the pools."""
    return _over_count(network, value, network.input("state_odd_frame_count", (1,), np.int32), 2)


def count_of_its_own(network: Any, value: Tensor) -> Tensor:
    """It counts to one and stays there."""
    before = network.input("state_odd_frame_count", (1,), np.int32)
    one = constant(np.array(1, np.int32))
    lowered = network.add("MINIMUM", [before, constant(np.array(0, np.int32))], (1,), np.int32)
    return _over_count(network, value, network.add("MUL", [lowered, one], (1,), np.int32), 1)


def sum_not_mean(network: Any, value: Tensor) -> Tensor:
    """A sum times a number that isn't one over how many were summed up."""
    shape = 1, 1, 1, 1, value.shape[4]
    total = network.add("SUM", [value, _integers(2, 3)], shape, keepDims=True)
    scaled = network.add("MUL", [total, constant(np.array(1 / 50, np.float32))], shape)
    return network.add("SUB", [value, scaled], value.shape)


def sum_read_twice(network: Any, value: Tensor) -> Tensor:
    shape, pixels = (1, 1, 1, 1, value.shape[4]), value.shape[2] * value.shape[3]
    total = network.add("SUM", [value, _integers(2, 3)], shape, keepDims=True)
    mean = network.add("MUL", [total, constant(np.array(1 / pixels, np.float32))], shape)
    logistic = network.add("LOGISTIC", [total], shape)
    return network.add("MUL", [network.add("SUB", [value, mean], value.shape), logistic], value.shape)


def broadcast_by_zeros(network: Any, value: Tensor) -> Tensor:
    """ADD of 0 that isn't neutral: it makes the shape that the convolution needs."""
    shape = 1, 1, 1, 1, value.shape[4]
    mean = network.add("MEAN", [value, _integers(2, 3)], shape, keepDims=True)
    return network.add("ADD", [mean, constant(np.zeros(value.shape, np.float32))], value.shape)


def broadcast_before_convolution(network: Any, value: Tensor) -> Tensor:
    shape = 1, 1, 1, value.shape[3], value.shape[4]
    mean = network.add("MEAN", [value, _integers(2)], shape, keepDims=True)
    wide = network.add("BROADCAST_TO", [mean, constant(np.array(value.shape, np.int64))], value.shape)
    return network.deep(network.convolve(network.flat(wide), 6, side=3))


def relu_read_around(network: Any, value: Tensor) -> Tensor:
    """The convolution's result is read before and after the RELU, which so can't be fused."""
    result = network.convolve(network.flat(value), 6)
    clipped = network.add("RELU", [result], result.shape)
    return network.deep(network.add("SUB", [result, clipped], result.shape))


def two_clippings(network: Any, value: Tensor) -> Tensor:
    result = network.convolve(network.flat(value), 6)
    network.graph.operators[-1].options.fusedActivationFunction = _RELU6
    return network.deep(network.add("RELU_N1_TO_1", [result], result.shape))


def convolutions_alike(network: Any, value: Tensor) -> Tensor:
    """They read the same and have the same weights, but other options: not the same value."""
    inputs = [network.flat(value), network.weights((6, 3, 3, value.shape[4]), 9 * value.shape[4]), network.biases(6)]
    shape = *value.shape[1:4], 6
    clipped, wide, high = (
        network.add("CONV_2D", inputs, shape, strideW=1, strideH=1, **{option: number})
        for option, number in (("fusedActivationFunction", _RELU6), ("dilationWFactor", 2), ("dilationHFactor", 2))
    )
    difference = network.add("SUB", [clipped, wide], shape)
    return network.deep(network.add("SUB", [difference, high], shape))


def mirrored_by_stride(network: Any, value: Tensor) -> Tensor:
    inputs = [value, _integers(0, 0, -1, 0, 0), _integers(*value.shape), _integers(1, 1, -1, 1, 1)]
    return network.add("STRIDED_SLICE", inputs, value.shape, endMask=0b11111, beginMask=0b11011)


def slice_that_drops_a_dimension(network: Any, value: Tensor) -> Tensor:
    inputs = [value, _integers(0, 0, 0, 0, 0), _integers(*value.shape), _integers(1, 1, 1, 1, 1)]
    return network.deep(network.add("STRIDED_SLICE", inputs, value.shape[1:], shrinkAxisMask=0b00010))


def mean_without_dimensions(network: Any, value: Tensor) -> Tensor:
    mean = network.add("MEAN", [value, _integers(2, 3)], (1, 1, value.shape[4]), keepDims=False)
    return network.add("SUB", [value, network.reshape(mean, (1, 1, 1, 1, value.shape[4]))], value.shape)


def _over_count(network: Any, value: Tensor, before: Tensor, step: int) -> Tensor:
    after = network.add("ADD", [before, constant(np.array(step, np.int32))], (1,), np.int32)
    network.graph.outputs["state_odd_frame_count"] = after
    return network.add("DIV", [value, network.add("CAST", [after], (1,))], value.shape)


def _stream(network: Any, value: Tensor, length: int, newest_last: bool) -> Tensor:
    """A stream buffer of some frames together with the new one."""
    before = network.input("state_odd_stream_buffer", (1, length, *value.shape[2:]))
    shape = 1, length + 1, *value.shape[2:]
    frames = network.add("CONCATENATION", [before, value] if newest_last else [value, before], shape, axis=1)
    start, size = _integers(0, int(newest_last), 0, 0, 0), _integers(*before.shape)
    network.graph.outputs["state_odd_stream_buffer"] = network.add("SLICE", [frames, start, size], before.shape)
    return frames


def _filter_time(network: Any, frames: Tensor, kernel: Tensor, **options: int) -> Tensor:
    _, length, height, width, _ = frames.shape
    rows = network.reshape(frames, (1, length, height * width, frames.shape[4]))
    channels = kernel.shape[3]
    options = {"strideW": 1, "strideH": 1, "depthMultiplier": 1, "padding": _VALID, **options}
    inputs = [rows, kernel, network.biases(channels)]
    filtered = network.add("DEPTHWISE_CONV_2D", inputs, (1, 1, height * width, channels), **options)
    return network.reshape(filtered, (1, 1, height, width, channels))


def _ramp(shape: tuple[int, ...]) -> Tensor:
    return constant(np.linspace(-1, 1.3, int(np.prod(shape)), dtype=np.float32).reshape(shape))


def _integers(*values: int) -> Tensor:
    return constant(np.array(values, np.int32))


_RELU6, _SAME, _VALID = 3, 0, 1  # Numbers of the schema.
ODDITIES: dict[str, Callable[[Any, Tensor], Tensor]] = {
    each.__name__: each
    for each in (
        transpose, transpose_channels_first, shuffling_reshape, pixels_as_frames, mirror, pad, tile, sum_of_channels,
        mean_of_rows, twice_as_high, twice_as_wide, every_second_pixel, without_first_row, squeeze, scaled_by_place,
        scaled_by_row, scaled_by_channel, scaled_after_clipping, scaled_and_clipped, scaled_and_plain,
        shifted_before_convolution, constant_minus_value, constant_over_value, difference_from_last_frame,
        frame_before_last, state_that_never_changes, state_that_is_never_read, state_set_to_a_constant,
        mean_over_time, oldest_frame, newest_frame_first, dilated_filter, filter_of_two_frames,
        filter_that_mixes_pixels, filter_that_doubles_channels, stream_buffer_read_twice, decaying_state,
        count_by_two, count_of_its_own, sum_not_mean, sum_read_twice, broadcast_by_zeros,
        broadcast_before_convolution, relu_read_around, two_clippings, convolutions_alike, mirrored_by_stride,
        slice_that_drops_a_dimension, mean_without_dimensions,
    )
}  # fmt: skip
