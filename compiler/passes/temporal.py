"""Causal temporal convolutions without a change of shape around them."""

from __future__ import annotations

import copy

from compiler.graph import Graph, Operator
from compiler.operators import like, operand, reshape
from compiler.schema import schema


def dilate_temporal_convolutions(graph: Graph) -> None:
    """Lets the depthwise convolution over time read frames as they lie in memory, one below the other.

    A kernel of k frames on [1, T, H*W, C] (each frame in one row) is the kernel with a dilation of H rows on
    [1, T*H, W, C], whose result [1, H, W, C] is what the next convolution wants.
    """
    producers = graph.producers()
    operators = []
    for operator in graph.operators:
        operators.append(operator)
        before = producers.get(operand(operator)) if operator.kind == "DEPTHWISE_CONV_2D" else None
        if before is None or before.kind != "RESHAPE" or not _slides_over_rows(operator):
            continue
        source, rows, result = operand(before), operand(operator), operator.outputs[0]
        _, frames, pixels, _ = rows.shape
        if len(source.shape) != 4 or source.shape[0] != 1 or source.shape[3] != rows.shape[3]:
            continue
        _, height, width, _ = source.shape
        if height % frames or height // frames * width != pixels:
            continue
        frame_height = height // frames
        piece = like(result, (1, result.shape[1] * frame_height, width, result.shape[3]))
        operator.options = copy.copy(operator.options)
        operator.options.dilationHFactor = frame_height
        operator.version = max(operator.version, 2)
        operator.inputs[0], operator.outputs = source, [piece]
        operators.append(reshape(piece, result))
    graph.operators = operators
    graph.prune()


def _slides_over_rows(operator: Operator) -> bool:
    options, weights = operator.options, operand(operator, 1)
    plain = options.strideH == options.strideW == options.dilationHFactor == options.dilationWFactor == 1
    return plain and options.padding == schema.Padding.VALID and weights.shape[2] == 1
