"""Arithmetic with constants done once, here: scales and offsets into the weights, activations into their operators."""

from __future__ import annotations

from typing import Callable

import numpy as np

from compiler.constants import is_float, per_channel, scaled
from compiler.graph import Graph, Operator, Tensor, constant
from compiler.operators import CONVOLUTIONS, OUTPUT_CHANNEL_AXIS, has_activation
from compiler.schema import schema

_FUSES_ACTIVATION = CONVOLUTIONS | {"ADD", "SUB", "MUL", "DIV", "AVERAGE_POOL_2D", "MAX_POOL_2D"}
_FUSED = ("RELU", "RELU6", "RELU_N1_TO_1")


def fold_constant_arithmetic(graph: Graph) -> None:
    """Folds adding or multiplying with a constant of one value a channel into the operator before it.

    Into the weights and the bias of a convolution or fully connected layer, or into an operator of the same kind with
    another constant; only where nothing else reads what lies between and no activation comes first.
    """
    _merge_into_producers(graph, _absorb)


def fuse_activations(graph: Graph) -> None:
    """Lets the operator before a RELU, RELU6 or RELU_N1_TO_1 apply it."""
    _merge_into_producers(graph, _fuse_activation)


def drop_neutral(graph: Graph) -> None:
    """Drops multiplying by one and adding zero."""
    for operator in graph.operators:
        neutral = {"MUL": 1, "DIV": 1, "ADD": 0, "SUB": 0}.get(operator.kind)
        if neutral is None or has_activation(operator):
            continue
        for place in (1, 0) if operator.kind in ("MUL", "ADD") else (1,):
            known, other = operator.inputs[place], operator.inputs[1 - place]
            if known is None or other is None or known.data is None or other.shape != operator.outputs[0].shape:
                continue
            if known.quantization is None and (known.data == neutral).all():
                graph.replace(operator.outputs[0], other)
                break
    graph.prune()


def _merge_into_producers(graph: Graph, absorb: Callable[[Operator, Operator], bool]) -> None:
    """Drops each operator that the one before it can absorb: absorb(before, operator) tells whether it did."""
    uses, producers = graph.uses(), graph.producers()
    kept = []
    for operator in graph.operators:
        for tensor in [tensor for tensor in operator.inputs if tensor in producers]:
            before = producers[tensor]
            if uses[tensor] == 1 and not has_activation(before) and absorb(before, operator):
                before.outputs = operator.outputs
                producers[operator.outputs[0]] = before
                break
        else:
            kept.append(operator)
    graph.operators = kept


def _absorb(before: Operator, operator: Operator) -> bool:
    source, known = _split(operator)
    if known is None or source is not before.outputs[0] or source.shape != operator.outputs[0].shape:
        return False
    values = per_channel(known, source.shape[-1]) if source.shape else None
    if values is None:
        return False
    if operator.kind in ("SUB", "DIV"):
        with np.errstate(divide="ignore"):
            values = -values if operator.kind == "SUB" else 1 / values
        if not np.isfinite(values).all():
            return False
    multiplies = operator.kind in ("MUL", "DIV")
    if before.kind in CONVOLUTIONS:
        done = _into_convolution(before, values, multiplies)
    else:
        done = before.kind == ("MUL" if multiplies else "ADD") and _into_same(before, values, multiplies)
    if done:
        before.options.fusedActivationFunction = operator.options.fusedActivationFunction
    return done


def _split(operator: Operator) -> tuple[Tensor | None, Tensor | None]:
    """Returns what is computed and what is constant among the operands of an operator that can be folded."""
    if operator.kind in ("ADD", "SUB", "MUL", "DIV"):
        first, second = operator.inputs
        if is_float(second):
            return first, second
        if is_float(first) and operator.kind in ("ADD", "MUL"):
            return second, first
    return None, None


def _into_convolution(convolution: Operator, values: np.ndarray, multiplies: bool) -> bool:
    weights = convolution.inputs[1]
    bias = convolution.inputs[2] if len(convolution.inputs) > 2 else None
    if not is_float(weights) or bias is not None and not is_float(bias):
        return False
    assert weights is not None
    old = np.zeros(values.shape, np.float32) if bias is None or bias.data is None else bias.data
    if multiplies:
        axis = OUTPUT_CHANNEL_AXIS[convolution.kind]
        product = scaled(weights, values, axis) if weights.shape[axis] == len(values) else None
        if product is None:
            return False
        convolution.inputs[1] = product
    new = old * values if multiplies else old + values
    convolution.inputs[2:] = [constant(new, "bias" if bias is None else bias.name)]
    return True


def _into_same(before: Operator, values: np.ndarray, multiplies: bool) -> bool:
    source, known = _split(before)
    if source is None or known is None or source.shape != before.outputs[0].shape:
        return False
    old = per_channel(known, len(values))
    if old is None:
        return False
    before.inputs = [source, constant(old * values if multiplies else old + values, known.name)]
    return True


def _fuse_activation(before: Operator, operator: Operator) -> bool:
    if operator.kind not in _FUSED or before.kind not in _FUSES_ACTIVATION:
        return False
    if before.outputs[0].dtype != np.float32:
        return False
    before.options.fusedActivationFunction = getattr(schema.ActivationFunctionType, operator.kind)
    return True
