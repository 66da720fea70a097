"""The states in the signature: those that do something, each once, in the shape that the graph computes with."""

from __future__ import annotations

from typing import Any

import numpy as np

from compiler.graph import Graph
from compiler.operators import has_activation
from compiler.pools import find_pools
from memory import METADATA


def drop_idle_states(graph: Graph) -> None:
    """Takes states out of the signature that pass through untouched and that nothing else reads."""
    uses, states = graph.uses(), graph.states()
    idle = [name for name, (entering, leaving) in states.items() if entering is leaving and uses[entering] == 1]
    if len(idle) < len(states):  # Without any state it would be another kind of model.
        for name in idle:
            del graph.inputs[name], graph.outputs[name]


def merge_counts(graph: Graph) -> None:
    """Keeps one of several frame counts that are always equal.

    Counts to which each step adds the same are: all states of a fresh stream begin at zero. Only those of pools that
    whoever runs the graph bounds differ from others afterwards, and, in a graph with pools of two horizons, from each
    other; such a graph says so in its metadata.
    """
    if METADATA in graph.metadata:
        return
    producers, bounded = graph.producers(), {pool.count for pool in find_pools(graph)}
    known: dict[Any, str] = {}
    for name, (entering, leaving) in list(graph.states().items()):
        adder = producers.get(leaving)
        if adder is None or adder.kind != "ADD" or has_activation(adder) or entering not in adder.inputs:
            continue
        other = adder.inputs[0] if adder.inputs[1] is entering else adder.inputs[1]
        if other is None or other.data is None or entering.dtype != np.int32:
            continue
        amount = np.broadcast_to(other.data, leaving.shape).tobytes()
        first = known.setdefault((entering.shape, leaving.shape, amount, name in bounded), name)
        if first != name:
            old, new = graph.outputs.pop(name), graph.outputs[first]
            graph.replace(old, new)
            graph.replace(graph.inputs.pop(name), graph.inputs[first])
    graph.prune()


def reshape_states(graph: Graph) -> None:
    """Gives a state the shape in which the graph computes it, so that it needs no RESHAPE at its way in and out."""
    producers = graph.producers()
    outputs = list(graph.outputs.values())
    for name, (entering, leaving) in graph.states().items():
        last = producers.get(leaving)
        readers = [operator for operator in graph.operators if entering in operator.inputs]
        if last is None or last.kind != "RESHAPE" or any(reader.kind != "RESHAPE" for reader in readers):
            continue
        inner = last.inputs[0]
        if inner is None or inner not in producers or inner in outputs or entering in outputs:
            continue
        if any(leaving in operator.inputs for operator in graph.operators):
            continue
        graph.outputs[name] = inner
        entering.shape = inner.shape
        outputs = list(graph.outputs.values())
    graph.prune()
