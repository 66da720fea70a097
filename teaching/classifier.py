"""The classifier of a streaming graph, its last affine layer: found, cut off, given other weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence

import numpy as np

from compiler.constants import dequantized
from compiler.graph import Graph, Operator, Tensor, constant
from compiler.operators import has_activation, like, operand, reshape
from compiler.schema import schema
from errors import NotUnderstood
from teaching.familiar import EPSILON, Familiar


@dataclass(frozen=True, eq=False)
class Classifier:
    """Where in a graph features become logits.

    Attributes:
        operator: The CONV_2D of one pixel, or FULLY_CONNECTED, that multiplies the features with the weights.
        behind: The operators from there to the logits. They rearrange or average whole rows of classes, so that they
            do to the features, if these take their place, what they do to the logits.
        weights: float32 [classes, features].
        bias: float32 [classes].
    """

    operator: Operator
    behind: list[Operator]
    weights: np.ndarray
    bias: np.ndarray


def find_classifier(graph: Graph) -> Classifier:
    """Finds the classifier of a float graph.

    Raises:
        NotUnderstood: What the logits are computed by isn't one affine layer of the features.
    """
    rest = [tensor for name, tensor in graph.outputs.items() if name not in graph.inputs]
    if len(rest) != 1:
        raise NotUnderstood("it gives not only logits beside its states")
    producers, uses = graph.producers(), graph.uses()
    behind: list[Operator] = []
    tensor = rest[0]
    while True:
        if tensor not in producers:
            raise NotUnderstood("its logits are not computed by a layer with weights")
        if uses[tensor] != 1:
            raise NotUnderstood("its logits, or what they are made of, are read by something else, too")
        operator = producers[tensor]
        if operator.kind in ("CONV_2D", "FULLY_CONNECTED"):
            break
        if not _keeps_classes(operator):
            raise NotUnderstood(f"an operator {operator.kind} stands behind its last layer with weights")
        behind.insert(0, operator)
        tensor = operand(operator)
    weights, bias = _affine(operator, producers)
    return Classifier(operator, behind, weights, bias)


def cut(graph: Graph, classifier: Classifier) -> None:
    """Lets a graph give the features, float32 [1, features], where it gave the logits."""
    operator, features = classifier.operator, classifier.weights.shape[1]
    entering = like(operand(operator), (*operator.outputs[0].shape[:-1], features))
    graph.operators[graph.operators.index(operator)] = reshape(operand(operator), entering)
    graph.replace(operator.outputs[0], entering)
    _set_width(classifier.behind, features)
    graph.prune()


def replace_classifier(graph: Graph, classifier: Classifier, weights: np.ndarray, bias: np.ndarray) -> None:
    """Gives a graph another classifier: float32 weights [classes, features] and bias [classes], any number of classes.

    They are stored as float32, 8 kB a class of an A0, which shifts the logits by no more than sums in another order do,
    1e-5. Rounded to int8 like the body's they would take a quarter, but shift those of a fitted classifier (five
    classes, a spread of 3.2) by up to 0.02; float16, a half, by 0.0006.
    """
    operator = classifier.operator
    kernel = operand(operator, 1).shape[1:-1]
    stored = np.ascontiguousarray(weights, np.float32).reshape(len(weights), *kernel, -1)
    operator.inputs = [operand(operator), constant(stored, "classifier"), constant(np.array(bias, np.float32), "bias")]
    _set_width([operator, *classifier.behind], len(weights))
    graph.prune()


def replace_by_unknown(
    graph: Graph, classifier: Classifier, weights: np.ndarray, bias: np.ndarray, familiar: Familiar
) -> None:
    """Gives a graph another classifier, as replace_classifier does, and behind its classes the class "unknown".

    What Familiar.beside says, in operators that all runtimes have. Prototypes are numbers of float16, as which the
    compiler stores them: 4 kB each of an A0.
    """
    cut(graph, classifier)
    [name] = [name for name in graph.outputs if name not in graph.inputs]
    features = graph.outputs[name]
    chain = _Chain(graph.operators)
    known = chain.layer(features, weights, bias, "classifier")
    centred = chain.join("SUB", features, familiar.mean, schema.SubOptionsT())
    standard = chain.join("MUL", centred, familiar.scale, schema.MulOptionsT())
    nearest = chain.reduce("REDUCE_MAX", chain.layer(standard, familiar.prototypes, None, "prototypes"))
    square = chain.reduce("MEAN", chain.join("MUL", standard, standard, schema.MulOptionsT()))
    inverse = chain.invert_root(chain.join("ADD", square, EPSILON, schema.AddOptionsT()))
    likeness = chain.join("MUL", nearest, inverse, schema.MulOptionsT())
    factor = -familiar.slope / np.sqrt(features.shape[-1])  # of the mean of the squares comes their sum
    falling = chain.join("MUL", likeness, factor, schema.MulOptionsT())
    excess = chain.join("ADD", falling, familiar.slope * familiar.threshold, schema.AddOptionsT())
    unknown = chain.join("ADD", chain.reduce("REDUCE_MAX", known), excess, schema.AddOptionsT())
    graph.outputs[name] = like(known, (1, len(weights) + 1))
    options = schema.ConcatenationOptionsT()
    options.axis = 1
    graph.operators.append(Operator("CONCATENATION", [known, unknown], [graph.outputs[name]], options))
    graph.prune()


class _Chain:
    """Appends operators on rows [1, n] of float32."""

    def __init__(self, operators: list[Operator]) -> None:
        self._operators = operators

    def layer(self, tensor: Tensor, weights: np.ndarray, bias: np.ndarray | None, name: str) -> Tensor:
        """Multiplies with weights [outputs, inputs] and adds a bias."""
        inputs = [tensor, constant(np.ascontiguousarray(weights, np.float32), name)]
        shift = np.zeros(len(weights), np.float32) if bias is None else np.array(bias, np.float32)
        inputs.append(constant(shift, "bias"))
        return self._append("FULLY_CONNECTED", inputs, len(weights), schema.FullyConnectedOptionsT())

    def join(self, kind: str, first: Tensor, second: Tensor | np.ndarray | float, options: Any) -> Tensor:
        """Joins a row and another row, or numbers, element by element."""
        if not isinstance(second, Tensor):
            second = constant(np.asarray(second, np.float32).reshape(1, -1))
        return self._append(kind, [first, second], first.shape[-1], options)

    def invert_root(self, tensor: Tensor) -> Tensor:
        """Returns 1 / sqrt(x)."""
        return self._append("RSQRT", [tensor], tensor.shape[-1], None)

    def reduce(self, kind: str, tensor: Tensor) -> Tensor:
        """Makes one number of a row."""
        options = schema.ReducerOptionsT()
        options.keepDims = True
        return self._append(kind, [tensor, constant(np.array([1], np.int32))], 1, options)

    def _append(self, kind: str, inputs: Sequence[Tensor], size: int, options: Any) -> Tensor:
        result = Tensor(kind.lower(), (1, size), np.dtype(np.float32))
        self._operators.append(Operator(kind, list(inputs), [result], options))
        return result


def _keeps_classes(operator: Operator) -> bool:
    """Whether all of the last axis stays together, and one class is treated as another."""
    before, after = operand(operator), operator.outputs[0]
    if not before.shape or not after.shape or before.shape[-1] != after.shape[-1] or before.dtype != np.float32:
        return False
    if operator.kind == "MEAN":
        axes = operand(operator, 1).data
        return axes is not None and not np.isin(axes, (-1, len(before.shape) - 1)).any()
    return operator.kind == "RESHAPE"


def _affine(operator: Operator, producers: dict[Tensor, Operator]) -> tuple[np.ndarray, np.ndarray]:
    """Returns weights [classes, features] and bias [classes] of the last layer."""
    given, result, options = operand(operator), operator.outputs[0], operator.options
    weights = _known(operator.inputs[1], producers)
    if weights is None or given.dtype != np.float32 or has_activation(operator):
        raise NotUnderstood("its last layer is not one of constant float weights without an activation")
    if operator.kind == "CONV_2D":
        one_pixel = weights.shape[1:] == (1, 1, given.shape[-1]) and options.strideH == options.strideW == 1
        if not one_pixel:
            raise NotUnderstood("its last layer is a convolution of more than one pixel")
        weights = weights.reshape(len(weights), -1)
    bias: np.ndarray | None = np.zeros(len(weights), np.float32)
    if len(operator.inputs) > 2 and operator.inputs[2] is not None:
        bias = _known(operator.inputs[2], producers)
    if bias is None or result.shape[-1] != len(weights):
        raise NotUnderstood("its last layer has no constant bias")
    return weights, bias


def _known(tensor: Tensor | None, producers: dict[Tensor, Operator]) -> np.ndarray | None:
    """Returns the float32 values of a constant, which may be stored in 8 or 16 bits; None if it isn't one."""
    if tensor is None:
        return None
    if tensor.data is None and tensor in producers and producers[tensor].kind == "DEQUANTIZE":
        stored = operand(producers[tensor])
        if stored.data is None:
            return None
        return (
            stored.data.astype(np.float32)
            if stored.quantization is None
            else dequantized(stored.data, stored.quantization)
        )
    return tensor.data if tensor.dtype == np.float32 else None


def _set_width(operators: list[Operator], width: int) -> None:
    """Lets what operators give have this many elements along the last axis."""
    for operator in operators:
        result = operator.outputs[0]
        result.shape = (*result.shape[:-1], width)
        if operator.kind == "RESHAPE":
            renewed = reshape(operand(operator), result)
            operator.inputs, operator.options = renewed.inputs, renewed.options
