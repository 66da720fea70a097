"""Each pass of the compiler alone: small graphs, run by the runtimes before and after it, compute the same numbers."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Callable, Sequence

import numpy as np
import pytest
from conftest import skip_without_schema

from compiler.constants import fold_constants
from compiler.graph import (
    Graph,
    Operator,
    Quantization,
    Tensor,
    constant,
    load,
    save,
)
from compiler.passes.broadcasts import drop_broadcasts, shrink_constants
from compiler.passes.dequantize import dequantize
from compiler.passes.folding import drop_neutral, fold_constant_arithmetic, fuse_activations
from compiler.passes.order import integers_first
from compiler.passes.rank import reduce_rank
from compiler.passes.reductions import sums_to_means
from compiler.passes.reshapes import merge_reshapes, sink_reshapes, unify_reshapes
from compiler.passes.sharing import share_equals
from compiler.passes.slices import simplify_slices
from compiler.passes.states import drop_idle_states, merge_counts, reshape_states
from compiler.passes.temporal import dilate_temporal_convolutions
from compiler.rewrite import compile_graph
from compiler.schema import schema
from compiler.storage import store_small
from errors import NotUnderstood
from runtime import choose_runtime

skip_without_schema()

FLOAT = np.dtype(np.float32)
SAME, VALID = schema.Padding.SAME, schema.Padding.VALID
RELU6 = schema.ActivationFunctionType.RELU6


class Net:
    """A graph in the making; every value is a Tensor."""

    def __init__(self) -> None:
        self.graph = Graph("test", {}, {}, [])
        self.random = np.random.default_rng(7)

    def input(self, name: str, *shape: int, dtype: Any = np.float32) -> Tensor:
        self.graph.inputs[name] = Tensor(name, shape, np.dtype(dtype))
        return self.graph.inputs[name]

    def weights(self, *shape: int) -> Tensor:
        return constant(self.random.normal(size=shape).astype(np.float32))

    def add(self, kind: str, inputs: Sequence[Tensor | None], shape: Sequence[int], **options: Any) -> Tensor:
        first = inputs[0]
        assert first is not None
        result = Tensor(kind.lower(), tuple(shape), options.pop("dtype", first.dtype))
        name = "".join(part.capitalize() for part in kind.split("_"))
        name = {
            "Conv2d": "Conv2D",
            "DepthwiseConv2d": "DepthwiseConv2D",
            "Mean": "Reducer",
            "Sum": "Reducer",
            "ReduceMax": "Reducer",
        }.get(name, name)
        made = getattr(schema, f"{name}OptionsT", lambda: None)()
        for key, value in options.items():
            setattr(made, key, value)
        version = 2 if kind == "BROADCAST_TO" else 1  # Its first.
        self.graph.operators.append(Operator(kind, list(inputs), [result], made, version))
        return result

    def reshape(self, value: Tensor, *shape: int) -> Tensor:
        return self.add("RESHAPE", [value, ints(*shape)], shape)

    def convolution(self, value: Tensor, channels: int, activation: int = 0, bias: bool = True) -> Tensor:
        *rest, depth = value.shape
        inputs = [value, self.weights(channels, 1, 1, depth), self.weights(channels) if bias else None]
        return self.add(
            "CONV_2D", inputs, (*rest, channels), padding=SAME, strideH=1, strideW=1, fusedActivationFunction=activation
        )

    def depthwise(self, value: Tensor, kernel: tuple[int, int], shape: Sequence[int], **options: int) -> Tensor:
        inputs = [value, self.weights(1, *kernel, shape[-1]), self.weights(shape[-1])]
        settings = {"padding": VALID, "strideH": 1, "strideW": 1, "depthMultiplier": 1, **options}
        return self.add("DEPTHWISE_CONV_2D", inputs, shape, **settings)

    def output(self, **values: Tensor) -> Graph:
        self.graph.outputs.update(values)
        return self.graph


def ints(*values: int) -> Tensor:
    return constant(np.array(values, np.int32))


def floats(*values: float) -> Tensor:
    return constant(np.array(values, np.float32))


def execute(graph: Graph, runtime: str, steps: int = 3) -> list[dict[str, np.ndarray]]:
    """Runs a fresh stream of random inputs; returns the outputs that aren't states, flat, of each step."""
    interpreter = choose_runtime(runtime).interpreter(model_content=save(graph), num_threads=1)
    interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner(graph.key)
    random = np.random.default_rng(3)
    details = runner.get_input_details()
    values = {name: np.zeros(detail["shape"], detail["dtype"]) for name, detail in details.items()}
    results = []
    for _ in range(steps):
        for name in sorted(graph.inputs):
            if name not in graph.outputs:
                drawn = random.normal(size=int(np.prod(details[name]["shape"])))
                values[name] = drawn.reshape(details[name]["shape"]).astype(details[name]["dtype"])
        given = runner(**values)
        results.append({name: value.ravel().copy() for name, value in given.items() if name not in graph.inputs})
        values.update({name: value.copy() for name, value in given.items() if name in graph.inputs})
    return results


def check(graph: Graph, runtime: str, *passes: Callable[[Graph], None], tolerance: float = 1e-5) -> Graph:
    """Asserts that passes leave the function as it was, on this runtime; returns the graph that they made."""
    before = execute(graph, runtime)
    result = copy.deepcopy(graph)
    for rewrite in passes:
        rewrite(result)
    for expected, got in zip(before, execute(result, runtime)):
        assert expected.keys() == got.keys()
        for name, value in expected.items():
            scale = max(1.0, np.abs(value).max())
            np.testing.assert_allclose(got[name], value, atol=tolerance * scale, rtol=0, err_msg=name)
    return result


def kinds(graph: Graph) -> list[str]:
    return [operator.kind for operator in graph.operators]


def ranks(graph: Graph, *ignored: str) -> set[int]:
    return {
        len(tensor.shape)
        for operator in graph.operators
        if operator.kind not in ("RESHAPE", *ignored)
        for tensor in (operator.inputs[0], *operator.outputs)
        if tensor is not None
    }


# --- rank


def _five(net: Net) -> Tensor:
    return net.input("x", 1, 1, 4, 6, 3)


def _frames(net: Net) -> Tensor:
    return net.input("x", 1, 3, 4, 5, 2)


FIVE_TO_FOUR: dict[str, Callable[[Net], Tensor]] = {
    "unary": lambda net: net.add("HARD_SWISH", [_five(net)], (1, 1, 4, 6, 3)),
    "binary": lambda net: net.add("MUL", [_five(net), net.input("y", 1, 1, 4, 6, 3)], (1, 1, 4, 6, 3)),
    "by channel": lambda net: net.add("MUL", [_five(net), net.input("y", 1, 1, 1, 1, 3)], (1, 1, 4, 6, 3)),
    "by row": lambda net: net.add("ADD", [_five(net), net.weights(4, 1, 1)], (1, 1, 4, 6, 3)),
    "by one": lambda net: net.add("DIV", [_frames(net), floats(3)], (1, 3, 4, 5, 2)),
    "by frame": lambda net: net.add("SUB", [_frames(net), net.input("y", 1, 3, 1, 1, 1)], (1, 3, 4, 5, 2)),
    "frame and column": lambda net: net.add("ADD", [_frames(net), net.weights(1, 3, 1, 5, 1)], (1, 3, 4, 5, 2)),
    "mean": lambda net: net.add("MEAN", [_five(net), ints(2, 3)], (1, 1, 1, 1, 3), keepDims=True),
    "mean of some": lambda net: net.add("MEAN", [_frames(net), ints(1, -2)], (1, 4, 2)),
    "mean over time": lambda net: net.add("MEAN", [_frames(net), ints(1)], (1, 1, 4, 5, 2), keepDims=True),
    "sum": lambda net: net.add("SUM", [_five(net), ints(1, 2, 3)], (1, 1, 1, 1, 3), keepDims=True),
    "greatest": lambda net: net.add("REDUCE_MAX", [_frames(net), ints(2, 3)], (1, 3, 2)),
    "concatenated in time": lambda net: net.add(
        "CONCATENATION", [_frames(net), net.input("y", 1, 1, 4, 5, 2)], (1, 4, 4, 5, 2), axis=1
    ),
    "concatenated channels": lambda net: net.add(
        "CONCATENATION", [_frames(net), net.input("y", 1, 3, 4, 5, 1)], (1, 3, 4, 5, 3), axis=-1
    ),
    "concatenated rows": lambda net: net.add(
        "CONCATENATION", [_frames(net), net.input("y", 1, 3, 1, 5, 2)], (1, 3, 5, 5, 2), axis=2
    ),
    "last frames": lambda net: net.add(
        "SLICE", [_frames(net), ints(0, 1, 0, 0, 0), ints(1, 2, 4, 5, 2)], (1, 2, 4, 5, 2)
    ),
    "last rows": lambda net: net.add(
        "SLICE", [_frames(net), ints(0, 0, 2, 0, 0), ints(1, 3, 2, 5, 2)], (1, 3, 2, 5, 2)
    ),
    "one row of one frame": lambda net: net.add(
        "SLICE", [_frames(net), ints(0, 2, 1, 0, 0), ints(1, 1, 1, 5, 2)], (1, 1, 1, 5, 2)
    ),
    "a box": lambda net: net.add("SLICE", [_frames(net), ints(0, 1, 1, 2, 1), ints(1, 2, 2, 3, 1)], (1, 2, 2, 3, 1)),
    "padded": lambda net: net.add(
        "PAD", [_five(net), constant(np.array([[0, 0], [0, 0], [1, 2], [0, 1], [0, 0]], np.int32))], (1, 1, 7, 7, 3)
    ),
    "padded in time": lambda net: net.add(
        "PAD", [_frames(net), constant(np.array([[0, 0], [2, 0], [0, 0], [0, 0], [0, 0]], np.int32))], (1, 5, 4, 5, 2)
    ),
    "padded rows": lambda net: net.add(
        "PAD", [_frames(net), constant(np.array([[0, 0], [0, 0], [1, 2], [0, 0], [0, 0]], np.int32))], (1, 3, 7, 5, 2)
    ),
    "padded time and rows": lambda net: net.add(
        "PAD", [_frames(net), constant(np.array([[0, 0], [1, 0], [0, 2], [0, 0], [0, 0]], np.int32))], (1, 4, 6, 5, 2)
    ),
    "time and rows transposed": lambda net: net.add("TRANSPOSE", [_frames(net), ints(0, 2, 1, 3, 4)], (1, 4, 3, 5, 2)),
    "transposed": lambda net: net.add("TRANSPOSE", [_five(net), ints(0, 1, 4, 2, 3)], (1, 1, 3, 4, 6)),
    "time transposed": lambda net: net.add("TRANSPOSE", [_frames(net), ints(0, 2, 3, 1, 4)], (1, 4, 5, 3, 2)),
    "broadcast": lambda net: net.add(
        "BROADCAST_TO", [net.input("x", 1, 1, 1, 1, 3), ints(1, 1, 4, 6, 3)], (1, 1, 4, 6, 3)
    ),
    "softmax": lambda net: net.add("SOFTMAX", [_frames(net)], (1, 3, 4, 5, 2), beta=1.0),
}


@pytest.mark.parametrize("case", FIVE_TO_FOUR)
def test_five_axes_become_four(case: str, runtime: str) -> None:
    net = Net()
    result = check(net.output(z=FIVE_TO_FOUR[case](net)), runtime, reduce_rank)
    assert max(ranks(result)) <= 4


COMPUTED: dict[str, tuple[Tensor, Sequence[Tensor], tuple[int, ...]]] = {
    # the parameter that is computed; those that aren't; shape
    "MEAN": (ints(2, 3), [], (1, 1, 1, 1, 3)),
    "SLICE": (ints(0, 0, 1, 1, 0), [ints(1, 1, 2, 2, 3)], (1, 1, 2, 2, 3)),
    "PAD": (constant(np.array([[0, 0], [0, 0], [1, 2], [0, 1], [0, 0]], np.int32)), [], (1, 1, 7, 7, 3)),
    "TRANSPOSE": (ints(0, 1, 4, 2, 3), [], (1, 1, 3, 4, 6)),
}


@pytest.mark.parametrize("kind", COMPUTED)
def test_operators_with_computed_parameters_keep_their_axes(kind: str, runtime: str) -> None:
    net = Net()
    parameter, others, shape = COMPUTED[kind]
    zero = net.input("state", *parameter.shape, dtype=np.int32)
    computed = net.add("ADD", [zero, parameter], parameter.shape)
    options = {"keepDims": True} if kind == "MEAN" else {}
    graph = net.output(state=zero, z=net.add(kind, [_five(net), computed, *others], shape, **options))
    assert kinds(check(graph, runtime, reduce_rank)) == ["ADD", kind]


def test_what_has_no_rule_keeps_its_axes(runtime: str) -> None:
    net = Net()
    turned = net.add("REVERSE_V2", [_five(net), ints(3)], (1, 1, 4, 6, 3))
    result = check(net.output(z=net.add("RELU", [turned], turned.shape)), runtime, reduce_rank)
    assert ranks(result, "REVERSE_V2") == {4} and "REVERSE_V2" in kinds(result)


# --- reshapes


def test_reshapes_that_undo_each_other_go(runtime: str) -> None:
    net = Net()
    value = net.reshape(net.reshape(net.input("x", 1, 4, 6), 1, 1, 4, 6), 1, 4, 6)
    value = net.reshape(net.add("EXP", [value], (1, 4, 6)), 2, 12)
    graph = net.output(z=net.add("NEG", [net.reshape(value, 24)], (24,)))
    assert kinds(check(graph, runtime, merge_reshapes)) == ["EXP", "RESHAPE", "NEG"]


def test_squeeze_and_expand_dims_are_reshapes(runtime: str) -> None:
    net = Net()
    value = net.add("SQUEEZE", [net.input("x", 1, 4, 1, 6)], (4, 6), squeezeDims=np.array([0, 2], np.int32))
    value = net.add("EXPAND_DIMS", [value, ints(0)], (1, 4, 6))
    graph = net.output(z=net.add("RESHAPE", [net.add("ABS", [value], (1, 4, 6)), ints(-1, 3)], (8, 3)))
    assert kinds(check(graph, runtime, unify_reshapes, merge_reshapes)) == ["RESHAPE", "ABS", "RESHAPE"]


def test_reshapes_sink_below_elementwise_operators(runtime: str) -> None:
    net = Net()
    value = net.add("HARD_SWISH", [net.reshape(net.input("x", 1, 4, 6), 1, 24)], (1, 24))
    graph = net.output(z=net.reshape(net.add("ABS", [value], (1, 24)), 1, 4, 6))
    assert kinds(check(graph, runtime, sink_reshapes, merge_reshapes)) == ["HARD_SWISH", "ABS"]


# --- slices

STRIDED: dict[str, tuple[tuple, tuple, dict[str, int], list[str]]] = {
    # begin, end, step; shape; masks; the operators wanted
    "last two": (((0, -2, 0), (0, 0, 0), (1, 1, 1)), (2, 2, 4), {"beginMask": 5, "endMask": 7}, ["SLICE"]),
    "all": (((0, 0, 0), (2, 5, 4), (1, 1, 1)), (2, 5, 4), {}, ["RESHAPE"]),
    "one, its axis dropped": (((0, 3, 0), (2, 4, 4), (1, 1, 1)), (2, 4), {"shrinkAxisMask": 2}, ["SLICE", "RESHAPE"]),
    "beyond the end": (((0, 1, 0), (2, 99, 4), (1, 1, 1)), (2, 4, 4), {}, ["SLICE"]),
    "every second": (((0, 0, 0), (2, 5, 4), (1, 2, 1)), (2, 3, 4), {}, ["STRIDED_SLICE"]),
    "backwards": (((0, 4, 0), (2, 0, 4), (1, -1, 1)), (2, 4, 4), {}, ["STRIDED_SLICE"]),
    "all backwards": (((0, 0, 0), (0, 0, 0), (1, -1, 1)), (2, 5, 4), {"beginMask": 7, "endMask": 7}, ["STRIDED_SLICE"]),
    "one backwards": (((0, 4, 0), (2, 3, 4), (1, -1, 1)), (2, 1, 4), {}, ["STRIDED_SLICE"]),
    "axes left out": (((0, 0), (0, 3), (1, 1)), (2, 5, 3), {"ellipsisMask": 1}, ["STRIDED_SLICE"]),
    "a new axis": (((0, 1, 0), (0, 3, 4), (1, 1, 1)), (1, 2, 2, 4), {"newAxisMask": 1}, ["STRIDED_SLICE"]),
}


@pytest.mark.parametrize("case", STRIDED)
def test_strided_slices_that_take_a_box_become_slices(case: str, runtime: str) -> None:
    parameters, shape, masks, wanted = STRIDED[case]
    net = Net()
    inputs = [net.input("x", 2, 5, 4), *(ints(*values) for values in parameters)]
    graph = net.output(z=net.add("STRIDED_SLICE", inputs, shape, **masks))
    assert kinds(check(graph, runtime, simplify_slices)) == wanted


def test_slices_whose_place_is_computed_stay(runtime: str) -> None:
    net = Net()
    begin = net.add("ADD", [net.input("begin", 3, dtype=np.int32), ints(0, 0, 0)], (3,))
    sliced = net.add("SLICE", [net.input("x", 2, 5, 4), begin, ints(2, 5, 4)], (2, 5, 4))
    net.graph.inputs["state"] = net.graph.inputs.pop("begin")  # a state, so that it is zero
    graph = net.output(state=begin, z=sliced)
    assert kinds(check(graph, runtime, simplify_slices)) == ["ADD", "SLICE"]


# --- broadcasting


def test_operators_broadcast_themselves(runtime: str) -> None:
    net = Net()
    wide = net.add("BROADCAST_TO", [net.input("x", 1, 1, 3), ints(4, 6, 3)], (4, 6, 3))
    product = net.add("MUL", [wide, net.input("y", 4, 6, 3)], (4, 6, 3))
    assert kinds(check(net.output(z=product), runtime, drop_broadcasts)) == ["MUL"]


def test_a_broadcast_that_makes_the_shape_stays(runtime: str) -> None:
    net = Net()
    wide = net.add("BROADCAST_TO", [net.input("x", 1, 1, 3), ints(4, 6, 3)], (4, 6, 3))
    graph = net.output(z=net.add("MUL", [wide, net.input("y", 1, 6, 1)], (4, 6, 3)))
    assert kinds(check(graph, runtime, drop_broadcasts)) == ["BROADCAST_TO", "MUL"]


@pytest.mark.parametrize(
    "other, wanted", [((4, 6, 3), ["MUL"]), ((4, 1, 1), ["BROADCAST_TO", "MUL"]), (None, ["BROADCAST_TO"])]
)
def test_of_broadcasts_in_a_row_those_stay_that_make_the_shape(
    other: tuple[int, ...] | None, wanted: list[str], runtime: str
) -> None:
    net = Net()
    value = net.add("BROADCAST_TO", [net.input("x", 1, 1, 3), ints(1, 6, 3)], (1, 6, 3))
    value = net.add("BROADCAST_TO", [value, ints(4, 6, 3)], (4, 6, 3))
    if other:
        value = net.add("MUL", [value, net.input("y", *other)], (4, 6, 3))
    assert kinds(check(net.output(z=value), runtime, drop_broadcasts)) == wanted


@pytest.mark.parametrize(
    "shape, left", [((1, 1, 1), (1,)), ((1, 1, 3), (3,)), ((4, 1, 3), (4, 1, 3)), ((4, 6, 1), (4, 6, 1))]
)
def test_constants_keep_what_varies(shape: tuple[int, ...], left: tuple[int, ...], runtime: str) -> None:
    net = Net()
    data = net.weights(*shape).data
    assert data is not None
    full = constant(np.ascontiguousarray(np.broadcast_to(data, (4, 6, 3))))
    graph = net.output(z=net.add("ADD", [net.input("x", 4, 6, 3), full], (4, 6, 3)))
    result = check(graph, runtime, shrink_constants)
    assert result.operators[0].inputs[1].shape == left  # type: ignore[union-attr]


@pytest.mark.parametrize("given, shape, left", [((1, 3), (4, 3), (4, 1)), ((3,), (1, 1, 3), (1, 1, 1))])
def test_a_constant_that_makes_the_shape_keeps_it(
    given: tuple[int, ...], shape: tuple[int, ...], left: tuple[int, ...], runtime: str
) -> None:
    net = Net()
    graph = net.output(z=net.add("ADD", [net.input("x", *given), constant(np.ones(shape, np.float32))], shape))
    assert check(graph, runtime, shrink_constants).operators[0].inputs[1].shape == left  # type: ignore[union-attr]


def test_equal_weights_of_a_convolution_are_no_broadcast(runtime: str) -> None:
    net = Net()
    value = net.convolution(net.input("x", 1, 5, 4, 3), 3)
    net.graph.operators[0].inputs[1] = constant(np.ones((3, 1, 1, 3), np.float32))
    result = check(net.output(z=value), runtime, shrink_constants)
    assert result.operators[0].inputs[1].shape == (3, 1, 1, 3)  # type: ignore[union-attr]


# --- folding


def _fold_case(
    kind: str, operand: Callable[[Net, Tensor], list[Tensor]], activation: int = 0
) -> Callable[[Net], Graph]:
    def build(net: Net) -> Graph:
        value = net.convolution(net.input("x", 1, 5, 4, 3), 6, activation)
        return net.output(z=net.add(kind, operand(net, value), value.shape, fusedActivationFunction=RELU6))

    return build


FOLDED = {
    "times one": _fold_case("MUL", lambda net, value: [value, floats(-0.3)]),
    "times channel": _fold_case("MUL", lambda net, value: [net.weights(6), value]),
    "plus channel": _fold_case("ADD", lambda net, value: [value, net.weights(1, 1, 1, 6)]),
    "minus": _fold_case("SUB", lambda net, value: [value, net.weights(6)]),
    "over": _fold_case("DIV", lambda net, value: [value, net.weights(6)]),
}
UNFOLDED = {
    "varies by column": _fold_case("MUL", lambda net, value: [value, net.weights(4, 1)]),
    "activation first": _fold_case("MUL", lambda net, value: [value, net.weights(6)], RELU6),
    "constant minus value": _fold_case("SUB", lambda net, value: [net.weights(6), value]),
    "constant over value": _fold_case("DIV", lambda net, value: [net.weights(6), value]),
    "over zero": _fold_case("DIV", lambda net, value: [value, floats(1, 2, 0, 3, 4, 5)]),
}


@pytest.mark.parametrize("case", FOLDED)
def test_constant_arithmetic_folds_into_a_convolution(case: str, runtime: str) -> None:
    result = check(FOLDED[case](Net()), runtime, fold_constant_arithmetic)
    assert kinds(result) == ["CONV_2D"]
    assert result.operators[0].options.fusedActivationFunction == RELU6


@pytest.mark.parametrize("case", UNFOLDED)
def test_other_arithmetic_stays(case: str, runtime: str) -> None:
    assert len(check(UNFOLDED[case](Net()), runtime, fold_constant_arithmetic).operators) == 2


def test_a_convolution_that_something_else_reads_keeps_its_weights(runtime: str) -> None:
    net = Net()
    value = net.convolution(net.input("x", 1, 5, 4, 3), 6)
    graph = net.output(z=net.add("MUL", [value, net.weights(6)], value.shape), y=value)
    assert kinds(check(graph, runtime, fold_constant_arithmetic)) == ["CONV_2D", "MUL"]


@pytest.mark.parametrize("place, shape", [(1, (6, 1, 1, 3)), (2, (6,))])
def test_arithmetic_stays_behind_a_convolution_of_computed_weights(
    place: int, shape: tuple[int, ...], runtime: str
) -> None:
    net = Net()
    value = net.convolution(net.input("x", 1, 5, 4, 3), 6)
    net.graph.operators[0].inputs[place] = net.input("computed", *shape)
    graph = net.output(z=net.add("MUL", [value, net.weights(6)], value.shape))
    assert kinds(check(graph, runtime, fold_constant_arithmetic)) == ["CONV_2D", "MUL"]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["DEPTHWISE_CONV_2D", "FULLY_CONNECTED"])
def test_constant_arithmetic_folds_into_other_layers(kind: str, bias: bool, runtime: str) -> None:
    net = Net()
    if kind == "FULLY_CONNECTED":
        inputs = [net.input("x", 2, 5), net.weights(6, 5), net.weights(6) if bias else None]
        value = net.add(kind, inputs, (2, 6))
    else:
        value = net.depthwise(net.input("x", 1, 5, 4, 6), (3, 2), (1, 3, 3, 6))
        if not bias:
            net.graph.operators[-1].inputs[2] = constant(np.zeros(6, np.float32))
    value = net.add("ADD", [net.add("MUL", [value, net.weights(6)], value.shape), net.weights(6)], value.shape)
    assert kinds(check(net.output(z=value), runtime, fold_constant_arithmetic)) == [kind]


def test_a_constant_factor_that_makes_the_shape_stays(runtime: str) -> None:
    net = Net()
    rows = net.add("MUL", [net.input("x", 3), net.weights(1, 1, 3)], (1, 1, 3))
    graph = net.output(z=net.add("MUL", [rows, net.weights(3)], (1, 1, 3)))
    assert kinds(check(graph, runtime, fold_constant_arithmetic)) == ["MUL", "MUL"]


@pytest.mark.parametrize(
    "kind, neutral, places", [("MUL", 1, {0, 1}), ("ADD", 0, {0, 1}), ("DIV", 1, {1}), ("SUB", 0, {1})]
)
@pytest.mark.parametrize("place", [0, 1])
def test_neutral_constants_go_from_where_they_change_nothing(
    kind: str, neutral: int, places: set[int], place: int, runtime: str
) -> None:
    net = Net()
    operands = [net.add("ABS", [net.input("x", 3)], (3,))]
    operands.insert(place, floats(neutral))
    graph = net.output(z=net.add("NEG", [net.add(kind, operands, (3,))], (3,)))
    left = [] if place in places else [kind]
    assert kinds(check(graph, runtime, drop_neutral)) == ["ABS", *left, "NEG"]


def test_constant_factors_in_a_row_become_one(runtime: str) -> None:
    net = Net()
    value = net.add("MUL", [net.input("x", 4, 3), floats(1 / 3)], (4, 3))
    graph = net.output(z=net.add("MUL", [floats(3.0), value], (4, 3)))
    assert kinds(check(graph, runtime, fold_constant_arithmetic)) == ["MUL"]
    assert kinds(check(graph, runtime, fold_constant_arithmetic, drop_neutral)) == []


@pytest.mark.parametrize("activation", ["RELU", "RELU6", "RELU_N1_TO_1"])
def test_activations_fuse(activation: str, runtime: str) -> None:
    net = Net()
    value = net.convolution(net.input("x", 1, 5, 4, 3), 6)
    value = net.add(activation, [value], value.shape)
    assert kinds(check(net.output(z=value), runtime, fuse_activations)) == ["CONV_2D"]


def test_a_second_activation_stays(runtime: str) -> None:
    net = Net()
    value = net.convolution(net.input("x", 1, 5, 4, 3), 6, RELU6)
    graph = net.output(z=net.add("RELU_N1_TO_1", [value], value.shape))
    assert kinds(check(graph, runtime, fuse_activations)) == ["CONV_2D", "RELU_N1_TO_1"]


def test_sums_are_means_times_their_number(runtime: str) -> None:
    net = Net()
    total = net.add("SUM", [net.input("x", 1, 5, 4, 3), ints(1, -2)], (1, 1, 1, 3), keepDims=True)
    graph = net.output(z=net.add("MUL", [total, floats(0.05)], (1, 1, 1, 3)))
    result = check(graph, runtime, sums_to_means, fold_constant_arithmetic, drop_neutral)
    assert kinds(result) == ["MEAN"]


def test_what_is_known_is_computed(runtime: str) -> None:
    net = Net()
    table = net.add("EXP", [net.weights(3)], (3,))
    graph = net.output(z=net.add("MUL", [net.input("x", 4, 3), table], (4, 3)))
    assert kinds(check(graph, runtime, fold_constants)) == ["MUL"]


# --- sharing and order


def test_equal_work_is_done_once(runtime: str) -> None:
    net = Net()
    x = net.input("x", 4, 3)
    twins = [net.add("MUL", [x, floats(2.0)], (4, 3), fusedActivationFunction=RELU6) for _ in range(2)]
    other = net.add("MUL", [x, floats(2.0)], (4, 3))
    total = net.add("SUB", [net.add("ADD", twins, (4, 3)), other], (4, 3))
    assert kinds(check(net.output(z=total), runtime, share_equals)) == ["MUL", "MUL", "ADD", "SUB"]


def test_integers_come_first(runtime: str) -> None:
    net = Net()
    x, count = net.input("x", 4, 3), net.input("count", 1, dtype=np.int32)
    twice = net.add("ADD", [x, x], (4, 3))
    after = net.add("ADD", [count, ints(1)], (1,))
    cast = net.add("CAST", [after], (1,), dtype=FLOAT, inDataType=schema.TensorType.INT32)
    graph = net.output(z=net.add("DIV", [twice, cast], (4, 3)), count=after)
    result = check(graph, runtime, integers_first)
    assert kinds(result) == ["ADD", "CAST", "ADD", "DIV"] and result.operators[0].outputs[0].dtype == np.int32


# --- states


def _count(net: Net, name: str, step: int = 1) -> Tensor:
    count = net.add("ADD", [net.input(name, 1, dtype=np.int32), ints(step)], (1,))
    net.output(**{name: count})
    return net.add("CAST", [count], (1,), dtype=FLOAT, inDataType=schema.TensorType.INT32)


def test_idle_states_leave_the_signature(runtime: str) -> None:
    net = Net()
    idle, read, x = net.input("idle", 1, 3), net.input("read", 1, 3), net.input("x", 1, 3)
    busy = net.add("ADD", [net.input("busy", 1, 3), x], (1, 3))
    graph = net.output(idle=idle, read=read, busy=busy, z=net.add("ADD", [busy, read], (1, 3)))
    assert set(check(graph, runtime, drop_idle_states).states()) == {"read", "busy"}


def test_equal_counts_become_one(runtime: str) -> None:
    net = Net()
    first, second, double = _count(net, "a"), _count(net, "b"), _count(net, "c", step=2)
    value = net.add("DIV", [net.add("MUL", [net.input("x", 2), first], (2,)), second], (2,))
    graph = net.output(z=net.add("ADD", [value, double], (2,)))
    assert set(check(graph, runtime, merge_counts).states()) == {"a", "c"}
    graph.metadata["pools"] = b"[]"  # Their owner bounds each by a limit of its own.
    assert set(check(graph, runtime, merge_counts).states()) == {"a", "b", "c"}


# What leaves as the states "a" and "b", given what enters, and another input.
NO_COUNTS: dict[str, Callable[[Net, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "add what is computed": lambda net, a, b, x: (_sum(net, a, x), _sum(net, b, net.add("MUL", [x, ints(2)], (1,)))),
    "one multiplies": lambda net, a, b, x: (_sum(net, a, ints(1)), net.add("MUL", [b, ints(1)], (1,))),
    "one stays small": lambda net, a, b, x: (
        _sum(net, a, ints(1)),
        _sum(net, b, ints(1), fusedActivationFunction=RELU6),
    ),
    "one is the other's": lambda net, a, b, x: (_sum(net, a, ints(1)), _sum(net, a, ints(1))),
}


def _sum(net: Net, count: Tensor, amount: Tensor, **options: int) -> Tensor:
    return net.add("ADD", [count, amount], (1,), **options)


@pytest.mark.parametrize("case", NO_COUNTS)
def test_states_that_only_look_like_equal_counts_stay(case: str, runtime: str) -> None:
    net = Net()
    entering = [net.input(name, 1, dtype=np.int32) for name in "abx"]
    a, b = NO_COUNTS[case](net, *entering)
    graph = net.output(a=a, b=b, z=net.add("SUB", [a, b], (1,)))
    assert set(check(graph, runtime, merge_counts).states()) == {"a", "b"}


def test_states_take_the_shape_that_is_computed_with(runtime: str) -> None:
    net = Net()
    state, x = net.input("state", 1, 2, 3, 4, 2), net.input("x", 1, 6, 4, 2)
    total = net.add("ADD", [net.reshape(state, 1, 6, 4, 2), x], (1, 6, 4, 2))
    graph = net.output(state=net.reshape(total, 1, 2, 3, 4, 2), z=net.add("ABS", [total], (1, 6, 4, 2)))
    result = check(graph, runtime, reshape_states, merge_reshapes)
    assert kinds(result) == ["ADD", "ABS"] and result.inputs["state"].shape == (1, 6, 4, 2)


# What leaves as a state [2, 3] and as z, given what enters, and its sum with x in [6].
RESHAPED: dict[str, Callable[[Net, Tensor, Tensor], dict[str, Tensor]]] = {
    "it is read as it enters": lambda net, state, total: {
        "state": net.reshape(total, 2, 3), "z": net.add("ABS", [state], (2, 3))
    },
    "it is read as it leaves": lambda net, state, total: {
        "state": (left := net.reshape(total, 2, 3)), "z": net.add("ABS", [left], (2, 3))
    },
    "it leaves in no other shape": lambda net, state, total: {
        "state": net.add("ABS", [net.reshape(total, 2, 3)], (2, 3)), "z": total
    },
    "what is reshaped leaves, too": lambda net, state, total: {"state": net.reshape(total, 2, 3), "z": total},
}  # fmt: skip


@pytest.mark.parametrize("case", RESHAPED)
def test_states_keep_the_shape_that_something_else_wants(case: str, runtime: str) -> None:
    net = Net()
    state, x = net.input("state", 2, 3), net.input("x", 6)
    total = net.add("ADD", [net.reshape(state, 6), x], (6,))
    result = check(net.output(**RESHAPED[case](net, state, total)), runtime, reshape_states)
    assert result.inputs["state"].shape == result.outputs["state"].shape == (2, 3)


@pytest.mark.parametrize("taps, frames", [(3, 3), (2, 4)])
def test_temporal_convolutions_read_frames_as_rows(taps: int, frames: int, runtime: str) -> None:
    net = Net()
    value = net.reshape(net.input("x", 1, frames * 4, 5, 2), 1, frames, 20, 2)
    left = frames - taps + 1
    value = net.depthwise(value, (taps, 1), (1, left, 20, 2), fusedActivationFunction=RELU6)
    graph = net.output(z=net.reshape(value, 1, left * 4, 5, 2))
    assert kinds(check(graph, runtime, dilate_temporal_convolutions, merge_reshapes)) == ["DEPTHWISE_CONV_2D"]


def test_convolutions_over_rows_that_are_no_whole_frames_keep_their_shape(runtime: str) -> None:
    net = Net()
    value = net.reshape(net.input("x", 1, 5, 12, 2), 1, 3, 20, 2)
    result = check(net.output(z=net.depthwise(value, (3, 1), (1, 1, 20, 2))), runtime, dilate_temporal_convolutions)
    assert kinds(result) == ["RESHAPE", "DEPTHWISE_CONV_2D"]


@pytest.mark.parametrize("kernel, shape", [((3, 3), (1, 1, 18, 2)), ((1, 20), (1, 3, 1, 2))])
def test_other_convolutions_keep_their_shape(kernel: tuple[int, int], shape: tuple[int, ...], runtime: str) -> None:
    net = Net()
    value = net.reshape(net.input("x", 1, 12, 5, 2), 1, 3, 20, 2)
    result = check(net.output(z=net.depthwise(value, kernel, shape)), runtime, dilate_temporal_convolutions)
    assert kinds(result) == ["RESHAPE", "DEPTHWISE_CONV_2D"]


# --- dequantize and store


def _quantized(tensor_values: np.ndarray, scales: Any, zero_points: Sequence[int], axis: int = 0) -> Tensor:
    tensor = constant(tensor_values)
    tensor.quantization = Quantization(np.array(scales, np.float32), np.array(zero_points), axis)
    return tensor


def _expected_weights(dtype: Any, by_channel: bool) -> tuple[Tensor, np.ndarray]:
    """Returns quantized weights [40, 1, 1, 9] and, in float64, what they stand for."""
    random = np.random.default_rng(1)
    limits = np.iinfo(dtype)
    raw = random.integers(max(limits.min, -127), min(limits.max, 255), (40, 1, 1, 9)).astype(dtype)
    count = 40 if by_channel else 1
    scales = random.uniform(0.001, 0.02, count).astype(np.float32)
    zero = 0 if by_channel or dtype == np.int16 else 5
    return _quantized(raw, scales, [zero] * count), (raw.astype(np.float64) - zero) * scales.reshape(-1, 1, 1, 1)


@pytest.mark.parametrize("dtype, by_channel", [(np.int8, True), (np.int8, False), (np.uint8, False), (np.int16, False)])
def test_quantized_graphs_compute_with_what_they_stand_for(dtype: Any, by_channel: bool, runtime: str) -> None:
    """Held against the arithmetic in numpy."""
    weights, real = _expected_weights(dtype, by_channel)
    scale = weights.quantization.scales * np.float32(0.05)  # type: ignore[union-attr]
    bias = _quantized(np.arange(40, dtype=np.int64 if dtype == np.int16 else np.int32), scale, [0] * len(scale))
    net = Net()
    x = net.input("x", 1, 3, 2, 9)
    inner = Quantization(np.array([0.05], np.float32), np.array([0]))
    raw = net.add("QUANTIZE", [x], x.shape, dtype=np.dtype(dtype))
    value = net.add("CONV_2D", [raw, weights, bias], (1, 3, 2, 40), padding=SAME, strideH=1, strideW=1)
    raw.quantization = value.quantization = inner
    graph = net.output(z=net.add("DEQUANTIZE", [value], value.shape, dtype=FLOAT))
    dequantize(graph)
    assert kinds(graph) == ["CONV_2D"]
    image = np.random.default_rng(3).normal(size=(1, 3, 2, 9)).astype(np.float32)  # What execute() draws first.
    expected = image.astype(np.float64) @ real.reshape(40, 9).T + np.arange(40) * scale.astype(np.float64)
    for stored in (False, True):
        if stored:
            store_small(graph)
        np.testing.assert_allclose(execute(graph, runtime)[0]["z"], expected.ravel(), atol=1e-5)
    assert ("DEQUANTIZE" in kinds(graph)) == (dtype != np.int16)


def test_quantized_borders_become_float(runtime: str) -> None:
    net = Net()
    given = net.input("state", 1, 3, dtype=np.int8)
    x = net.input("x", 1, 3, dtype=np.int8)
    total = net.add("ADD", [given, x], (1, 3))
    for tensor, scale in ((given, 0.1), (x, 0.02), (total, 0.3)):
        tensor.quantization = Quantization(np.array([scale], np.float32), np.array([4]))
    graph = net.output(state=total, z=net.add("RELU", [total], (1, 3)))
    graph.outputs["z"].quantization = total.quantization
    dequantize(graph)
    assert all(tensor.dtype == FLOAT for tensor in (*graph.inputs.values(), *graph.outputs.values()))
    drawn = np.random.default_rng(3).normal(size=(3, 3))
    got = np.array([step["z"] for step in execute(graph, runtime)])
    np.testing.assert_allclose(got, np.maximum(drawn.cumsum(axis=0), 0), atol=1e-6)


def test_unknown_quantized_operators_are_refused() -> None:
    net = Net()
    x = net.input("x", 1, 3, dtype=np.int8)
    x.quantization = Quantization(np.array([0.1], np.float32), np.array([4]))
    graph = net.output(z=net.add("CUMSUM", [x, ints(1)], (1, 3)))
    with pytest.raises(NotUnderstood, match="CUMSUM"):
        dequantize(graph)


def test_folding_keeps_the_grid_of_stored_weights(runtime: str) -> None:
    """Scaled weights of 8 bits go back into 8 bits, without loss, also by negative factors and by zero."""
    for by_channel in (True, False):
        weights, _ = _expected_weights(np.int8, by_channel)
        if not by_channel:
            weights.quantization = Quantization(weights.quantization.scales, np.array([0]))  # type: ignore[union-attr]
        net = Net()
        factors = net.weights(40)
        factors.data[7] = 0  # type: ignore[index]
        inputs = [net.input("x", 1, 3, 2, 9), weights, net.weights(40)]
        value = net.add("CONV_2D", inputs, (1, 3, 2, 40), padding=SAME, strideH=1, strideW=1)
        graph = net.output(z=net.add("MUL", [value, factors], value.shape))
        dequantize(graph)
        result = check(graph, runtime, fold_constant_arithmetic, store_small)
        assert kinds(result) == ["DEQUANTIZE", "CONV_2D"]
        assert len(save(result)) < len(save(graph)) - 2 * 40 * 9


def test_float16_weights_come_back_as_float16(runtime: str) -> None:
    net = Net()
    data = net.weights(40, 1, 1, 9).data
    assert data is not None
    half = constant(data.astype(np.float16))
    weights = net.add("DEQUANTIZE", [half], half.shape, dtype=FLOAT)
    net.graph.operators[-1].version = 3
    inputs = [net.input("x", 1, 3, 2, 9), weights, net.weights(40)]
    value = net.add("CONV_2D", inputs, (1, 3, 2, 40), padding=SAME, strideH=1, strideW=1)
    graph = net.output(z=net.add("MUL", [value, floats(0.3)], value.shape))
    result = check(graph, runtime, dequantize, fold_constant_arithmetic, store_small)
    (stored,) = [operator.inputs[0] for operator in result.operators if operator.kind == "DEQUANTIZE"]
    assert stored is not None and np.array_equal(stored.data, half.data)  # type: ignore[arg-type]


def test_float32_weights_stay_float32(runtime: str) -> None:
    net = Net()
    graph = net.output(z=net.convolution(net.input("x", 1, 5, 4, 30), 60))
    result = check(graph, runtime, dequantize, store_small, tolerance=0)
    assert kinds(result) == ["CONV_2D"]


# --- the whole


@pytest.mark.parametrize("name", ["movinet_model", "movinet_se_model", "demo_model"])
def test_real_models_compute_what_they_stand_for(name: str, runtime: str, request: pytest.FixtureRequest) -> None:
    """All passes against the first one alone: 30 frames, states carried."""
    path: Path = request.getfixturevalue(name)
    content = path.read_bytes()
    meant, compiled = load(content), compile_graph(load(content))
    dequantize(meant)
    small = save(compiled)
    assert len(small) <= len(content)
    expected = np.array([step["logits"] for step in execute(meant, "auto", 30)])
    got = np.array([step["logits"] for step in execute(load(small), runtime, 30)])
    assert np.abs(got - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("name", ["movinet_model", "movinet_se_model", "demo_model"])
def test_real_models_are_taken_whole_by_xnnpack(name: str, runtime: str, request: pytest.FixtureRequest) -> None:
    content = save(compile_graph(load(request.getfixturevalue(name).read_bytes())))
    interpreter = choose_runtime(runtime).interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    details = interpreter._get_ops_details()
    assert [detail["op_name"] for detail in details].count("DELEGATE") == 1
