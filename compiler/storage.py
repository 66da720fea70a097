"""Constants in the form that the source had them in: 8 or 16 bits and a DEQUANTIZE, which XNNPACK unpacks at load."""

from __future__ import annotations

import numpy as np

from compiler.constants import is_half, on_grid
from compiler.graph import Graph, Operator, Tensor
from compiler.schema import schema

_OPERATOR_BYTES = 200  # About what a DEQUANTIZE and its tensor take in the file.
_CHANNEL_BYTES = 12  # A scale and a zero point.


def store_small(graph: Graph) -> None:
    """Stores float32 constants without loss in fewer bytes where they can be, as the last pass.

    As int8 with its scales where the constant's grid is known, as float16 where every value is one.
    """
    stored: dict[Tensor, Operator] = {}
    for operator in graph.operators:
        for tensor in operator.inputs:
            if tensor is None or tensor in stored or tensor.data is None or tensor.dtype != np.float32:
                continue
            small = _int8(tensor) or _float16(tensor)
            if small is not None:
                stored[tensor] = Operator("DEQUANTIZE", [small], [tensor], schema.DequantizeOptionsT(), _version(small))
    for tensor in stored:
        tensor.data = tensor.grid = None
    graph.operators = [*stored.values(), *graph.operators]


def _int8(tensor: Tensor) -> Tensor | None:
    assert tensor.data is not None
    if tensor.grid is None or 3 * tensor.data.size <= _OPERATOR_BYTES + _CHANNEL_BYTES * tensor.grid.scales.size:
        return None
    return Tensor(tensor.name, tensor.shape, np.dtype(np.int8), on_grid(tensor.data, tensor.grid), tensor.grid)


def _float16(tensor: Tensor) -> Tensor | None:
    assert tensor.data is not None
    if 2 * tensor.data.size <= _OPERATOR_BYTES or not is_half(tensor.data):
        return None
    return Tensor(tensor.name, tensor.shape, np.dtype(np.float16), tensor.data.astype(np.float16))


def _version(small: Tensor) -> int:
    """The first version of DEQUANTIZE that takes this."""
    if small.quantization is None:
        return 3
    return 5 if small.quantization.scales.size > 1 else 2
