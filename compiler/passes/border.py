"""What crosses the border of the graph that engine.py runs: a picture's bytes in, probabilities and newest frames out.

For this program alone, since others expect the published border. To be done last of all: the other passes take the
image for real numbers, and states for what leaves as it entered.
"""

from __future__ import annotations

import numpy as np

from compiler.graph import Graph, Operator, Quantization, Tensor
from compiler.operators import has_activation, operand
from compiler.schema import schema
from signature import NEWEST, PROBABILITIES


def take_bytes(graph: Graph) -> None:
    """Lets a float32 image enter as uint8, of which 255 stand for 1, and turns it to float in the graph.

    That is nearly free there, while outside it is an array of four times the size to be written for each frame.
    """
    for name, image in graph.inputs.items():
        readers = [place for place, operator in enumerate(graph.operators) if image in operator.inputs]
        if name not in graph.outputs and image.dtype == np.float32 and readers:
            levels = Quantization(np.array([1 / 255], np.float32), np.zeros(1, np.int64))
            graph.inputs[name] = Tensor(image.name, image.shape, np.dtype(np.uint8), None, levels)
            conversion = Operator("DEQUANTIZE", [graph.inputs[name]], [image], schema.DequantizeOptionsT())
            # Further forward it would stand before integer arithmetic, a partition of XNNPACK's by itself.
            graph.operators.insert(readers[0], conversion)


def give_probabilities(graph: Graph) -> None:
    """Adds the softmax of the logits as an output.

    Outside the graph it is five functions of numpy, whose code the run before has driven out of the cache.
    """
    logits = [tensor for name, tensor in graph.outputs.items() if name not in graph.inputs]
    if len(logits) == 1 and logits[0].dtype == np.float32 and PROBABILITIES not in graph.outputs:
        options = schema.SoftmaxOptionsT()
        options.beta = 1.0
        graph.outputs[PROBABILITIES] = Tensor(PROBABILITIES, logits[0].shape, logits[0].dtype)
        graph.operators.append(Operator("SOFTMAX", [*logits], [graph.outputs[PROBABILITIES]], options))


def give_newest(graph: Graph) -> None:
    """Lets a stream buffer leave as only the frames that are new in it, under its name and NEWEST.

    They are there anyway, so that the graph needn't cut the whole buffer out of old and new frames.
    """
    producers = graph.producers()
    for name, (entering, leaving) in graph.states().items():
        new = _appended(entering, leaving, producers)
        if new is not None and new in producers and name + NEWEST not in graph.outputs:
            del graph.outputs[name]
            graph.outputs[name + NEWEST] = new
    graph.prune()


def _appended(entering: Tensor, leaving: Tensor, producers: dict[Tensor, Operator]) -> Tensor | None:
    """Returns what was put behind all of a state in memory, if the state leaves as the end of both; else None."""
    cut = producers.get(leaving)
    if cut is None or cut.kind != "SLICE" or entering.shape != leaving.shape:
        return None
    join, begin = producers.get(operand(cut)), operand(cut, 1).data
    if join is None or join.kind != "CONCATENATION" or has_activation(join) or begin is None:
        return None
    if len(join.inputs) != 2 or operand(join) is not entering:
        return None
    whole, new = operand(cut), operand(join, 1)
    axis = join.options.axis % len(whole.shape)
    if set(whole.shape[:axis]) - {1} or new.shape[axis] >= entering.shape[axis]:
        return None
    end = np.array(whole.shape) - np.array(leaving.shape)
    return new if (np.ravel(begin) == end).all() else None
