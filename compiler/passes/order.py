"""The order of execution."""

from __future__ import annotations

import numpy as np

from compiler.graph import Graph, Tensor

_INTEGERS = (np.int32, np.int64)


def integers_first(graph: Graph) -> None:
    """Moves integer arithmetic, and what turns it into float, to the beginning.

    XNNPACK leaves it to the runtime: in the middle it would cut the rest in two.
    """
    early, late = [], []
    after_others: set[Tensor] = set()
    for operator in graph.operators:
        inputs = [tensor for tensor in operator.inputs if tensor is not None]
        if after_others.isdisjoint(inputs) and all(tensor.dtype in _INTEGERS for tensor in inputs):
            early.append(operator)
        else:
            after_others.update(operator.outputs)
            late.append(operator)
    graph.operators = [*early, *late]
