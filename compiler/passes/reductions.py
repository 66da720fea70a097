"""SUM as MEAN, which XNNPACK takes, where a constant factor follows it."""

from __future__ import annotations

import numpy as np

from compiler.graph import Graph, Operator, Tensor, constant
from compiler.schema import schema


def sums_to_means(graph: Graph) -> None:
    """Turns the SUM of n float values into n times their MEAN; the factor may fold into the next operator."""
    operators = []
    for operator in graph.operators:
        operators.append(operator)
        source, axes = operator.inputs[:2] if operator.kind == "SUM" else (None, None)
        if source is None or axes is None or axes.data is None or source.dtype != np.float32:
            continue
        count = np.prod([source.shape[axis] for axis in {int(axis) % len(source.shape) for axis in axes.data.ravel()}])
        result = operator.outputs[0]
        operator.kind, operator.outputs = "MEAN", [Tensor(result.name, result.shape, result.dtype)]
        factor = constant(np.array([count], np.float32), "count")
        operators.append(Operator("MUL", [operator.outputs[0], factor], [result], schema.MulOptionsT()))
    graph.operators = operators
