"""What is there twice, once."""

from __future__ import annotations

from typing import Any

import numpy as np

from compiler.graph import Graph, Operator, Quantization, Tensor
from compiler.operators import CHANCE


def share_equals(graph: Graph) -> None:
    """Keeps one of several equal constants, and one of several operators that do the same to the same tensors."""
    constants: dict[Any, Tensor] = {}
    known: dict[Any, Operator] = {}
    given_out = set(graph.outputs.values())
    for operator in list(graph.operators):
        operator.inputs = [
            tensor if tensor is None or tensor.data is None else constants.setdefault(_content(tensor), tensor)
            for tensor in operator.inputs
        ]
        first = known.setdefault(_work(operator), operator)
        # Two outputs of the signature stay two tensors.
        if first is not operator and given_out.isdisjoint(operator.outputs) and not operator.kind.startswith(CHANCE):
            for old, new in zip(operator.outputs, first.outputs):
                graph.replace(old, new)
            graph.operators.remove(operator)


def _content(tensor: Tensor) -> Any:
    assert tensor.data is not None
    storage = _parameters(tensor.quantization), _parameters(tensor.grid)
    return str(tensor.dtype), tensor.shape, storage, tensor.data.tobytes()


def _parameters(quantization: Quantization | None) -> Any:
    if quantization is None:
        return None
    return quantization.scales.tobytes(), quantization.zero_points.tobytes(), quantization.axis


def _work(operator: Operator) -> Any:
    options = vars(operator.options).items() if operator.options is not None else ()
    settings = tuple(
        (name, value.tobytes() if isinstance(value, np.ndarray) else repr(value)) for name, value in options
    )
    results = tuple((str(tensor.dtype), tensor.shape, _parameters(tensor.quantization)) for tensor in operator.outputs)
    return operator.kind, operator.version, type(operator.options), settings, tuple(operator.inputs), results
