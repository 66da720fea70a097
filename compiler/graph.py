"""A .tflite file as a graph that can be edited: tensors and operators that point to each other, no numbers.

The file format is a flatbuffer in which operators name tensors by position (schema:
https://github.com/tensorflow/tensorflow/blob/master/tensorflow/lite/schema/schema.fbs). Here they hold them, so that a
pass can add, replace and drop without renumbering; save() writes only what the outputs need.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Iterable, Iterator, Mapping

import numpy as np

from compiler.schema import schema
from errors import NotUnderstood, PackageError, UserError


@dataclass(frozen=True, eq=False)
class Quantization:
    """How raw values stand for real ones: real = scale * (raw - zero point).

    Attributes:
        scales: float32 [1], or [n] along `axis`.
        zero_points: int64 [1] or [n].
        axis: Dimension of the tensor that the n scales belong to.
    """

    scales: np.ndarray
    zero_points: np.ndarray
    axis: int = 0


@dataclass(eq=False)
class Tensor:
    """A value in the graph.

    Attributes:
        name: For people; need not be unique.
        shape: Its dimensions.
        dtype: numpy type of the raw values.
        data: A constant's raw values, of that shape and type; None for what is computed or given.
        quantization: How to read the raw values; None if they are the real ones.
        grid: Of a float32 constant: the 8-bit grid that all its values lie on, so that it can be stored without loss in
            a quarter of the bytes. Of what is computed in float32: the one that the source rounded it to. None if there
            is none.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    data: np.ndarray | None = None
    quantization: Quantization | None = None
    grid: Quantization | None = None


@dataclass(eq=False)
class Operator:
    """One operation.

    Attributes:
        kind: Its name in the schema: "CONV_2D".
        inputs: What it takes; None where an optional input (a bias) is left out.
        outputs: What it gives.
        options: Its options, an object of the schema's, such as Conv2DOptionsT; None if it has none.
        version: Of the operator's definition.
    """

    kind: str
    inputs: list[Tensor | None]
    outputs: list[Tensor]
    options: Any = None
    version: int = 1


@dataclass(eq=False)
class Graph:
    """One signature of a model.

    Attributes:
        key: The signature's name.
        inputs: By their names in the signature, in order.
        outputs: Likewise. An output may be an input that passes through.
        operators: In an order in which they can be executed.
        metadata: Named byte strings that the file carries.
        description: The file's own words.
    """

    key: str
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    operators: list[Operator]
    metadata: dict[str, bytes] = field(default_factory=dict)
    description: str = ""

    def producers(self) -> dict[Tensor, Operator]:
        """Returns the operator that computes each tensor."""
        return {tensor: operator for operator in self.operators for tensor in operator.outputs}

    def uses(self) -> Counter[Tensor]:
        """Returns how often each tensor is read, by operators and as an output of the graph."""
        read = [tensor for operator in self.operators for tensor in operator.inputs if tensor is not None]
        return Counter([*read, *self.outputs.values()])

    def replace(self, old: Tensor, new: Tensor) -> None:
        """Lets everything that reads `old`, the outputs included, read `new`."""
        for operator in self.operators:
            operator.inputs = [new if tensor is old else tensor for tensor in operator.inputs]
        for name, tensor in self.outputs.items():
            if tensor is old:
                self.outputs[name] = new

    def prune(self) -> None:
        """Drops the operators that no output needs."""
        needed = set(self.outputs.values())
        kept = []
        for operator in reversed(self.operators):
            if not needed.isdisjoint(operator.outputs):
                needed.update(tensor for tensor in operator.inputs if tensor is not None)
                kept.append(operator)
        self.operators = kept[::-1]

    def states(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Returns each state by name, as it enters and as it leaves."""
        return {name: (tensor, self.outputs[name]) for name, tensor in self.inputs.items() if name in self.outputs}


def constant(values: np.ndarray, name: str = "constant") -> Tensor:
    """Returns a tensor that holds these values."""
    return Tensor(name, values.shape, values.dtype, values)


@contextlib.contextmanager
def refuse_odd_graphs() -> Iterator[None]:
    """Lets a graph be refused with NotUnderstood, too, if it is so unlike all others that the compiler stumbles."""
    try:
        yield
    except (NotUnderstood, UserError):
        raise
    except Exception as error:  # An operator without its options, a constant of the wrong size: whatever a file holds.
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise NotUnderstood(f"the compiler stumbles over it, {reason}") from error


def load(content: bytes, shapes: Mapping[int, tuple[int, ...]] | None = None) -> Graph:
    """Reads a .tflite file that is known to be sound (runtime.load_interpreter tries that).

    Args:
        content: Of the file.
        shapes: Of its tensors by their numbers, where they aren't to be those that stand in it.

    Raises:
        PackageError: Neither package that brings the schema is installed.
        NotUnderstood: It isn't one subgraph with one signature, or holds variables, sparse tensors or custom operators,
            or what is newer than the schema.
    """
    if schema is None:
        raise PackageError(
            "the compiler needs the package ai-edge-litert or, on 32-bit systems, tflite; run ./setup.sh"
        )
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    if len(model.subgraphs) != 1 or len(model.signatureDefs or []) != 1:
        raise NotUnderstood("it has not one graph with one signature")
    subgraph, signature = model.subgraphs[0], model.signatureDefs[0]
    buffers = [_data(buffer, content) for buffer in model.buffers]
    tensors = [_read_tensor(tensor, buffers) for tensor in subgraph.tensors]
    for number, tensor in enumerate(tensors):
        tensor.shape = (shapes or {}).get(number, tensor.shape)
    codes = [_read_code(code) for code in model.operatorCodes]
    operators = [
        Operator(
            codes[operator.opcodeIndex][0],
            [tensors[index] if index >= 0 else None for index in operator.inputs],
            [tensors[index] for index in operator.outputs],
            operator.builtinOptions,
            codes[operator.opcodeIndex][1],
        )
        for operator in subgraph.operators
    ]
    return Graph(
        signature.signatureKey.decode(),
        {entry.name.decode(): tensors[entry.tensorIndex] for entry in signature.inputs},
        {entry.name.decode(): tensors[entry.tensorIndex] for entry in signature.outputs},
        operators,
        {entry.name.decode(): buffers[entry.buffer] for entry in model.metadata or []},
        (model.description or b"").decode(errors="replace"),
    )


def save(graph: Graph) -> bytes:
    """Writes a graph as a .tflite file."""
    writer = _Writer()
    return writer.write(graph)


class _Writer:
    """Numbers what the graph holds."""

    def __init__(self) -> None:
        self._buffers = [schema.BufferT()]  # the first stands for no data
        self._tensors: list[Any] = []
        self._numbers: dict[Tensor, int] = {}
        self._codes: dict[tuple[str, int], int] = {}

    def write(self, graph: Graph) -> bytes:
        import flatbuffers  # It comes with the schema.

        subgraph = schema.SubGraphT()
        subgraph.name = b"main"
        subgraph.inputs = self._array(graph.inputs.values())
        subgraph.operators = [self._operator(operator) for operator in graph.operators]
        subgraph.outputs = self._array(graph.outputs.values())
        subgraph.tensors = self._tensors
        signature = schema.SignatureDefT()
        signature.signatureKey = graph.key.encode()
        signature.inputs = self._entries(graph.inputs)
        signature.outputs = self._entries(graph.outputs)
        model = schema.ModelT()
        model.version = 3
        model.description = graph.description.encode()
        model.subgraphs, model.signatureDefs = [subgraph], [signature]
        model.metadata = [self._metadata(name, content) for name, content in graph.metadata.items()]
        model.buffers = self._buffers
        model.operatorCodes = [self._code(kind, version) for kind, version in self._codes]
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _number(self, tensor: Tensor | None) -> int:
        if tensor is None:
            return -1
        if tensor not in self._numbers:
            self._numbers[tensor] = len(self._tensors)
            self._tensors.append(self._tensor(tensor))
        return self._numbers[tensor]

    def _array(self, tensors: Iterable[Tensor | None]) -> np.ndarray:
        return np.array([self._number(tensor) for tensor in tensors], np.int32)

    def _tensor(self, tensor: Tensor) -> Any:
        written = schema.TensorT()
        written.name = tensor.name.encode()
        written.shape = np.array(tensor.shape, np.int32)
        written.hasRank = True
        written.type = _TYPES[np.dtype(tensor.dtype)]
        written.buffer = 0 if tensor.data is None else self._buffer(np.ascontiguousarray(tensor.data).tobytes())
        if tensor.quantization is not None:
            written.quantization = schema.QuantizationParametersT()
            written.quantization.scale = np.asarray(tensor.quantization.scales, np.float32)
            written.quantization.zeroPoint = np.asarray(tensor.quantization.zero_points, np.int64)
            written.quantization.quantizedDimension = tensor.quantization.axis
        return written

    def _buffer(self, content: bytes) -> int:
        self._buffers.append(_AlignedBuffer(content))
        return len(self._buffers) - 1

    def _operator(self, operator: Operator) -> Any:
        written = schema.OperatorT()
        code = operator.kind, operator.version
        written.opcodeIndex = self._codes.setdefault(code, len(self._codes))
        written.inputs, written.outputs = self._array(operator.inputs), self._array(operator.outputs)
        if operator.options is not None:
            written.builtinOptions = operator.options
            name = type(operator.options).__name__[: -len("T")]
            written.builtinOptionsType = getattr(schema.BuiltinOptions, name)
        return written

    def _entries(self, tensors: dict[str, Tensor]) -> list[Any]:
        entries = []
        for name, tensor in tensors.items():
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = name.encode(), self._number(tensor)
            entries.append(entry)
        return entries

    def _metadata(self, name: str, content: bytes) -> Any:
        entry = schema.MetadataT()
        entry.name, entry.buffer = name.encode(), self._buffer(content)
        return entry

    @staticmethod
    def _code(kind: str, version: int) -> Any:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = version
        return code


def _read_tensor(tensor: Any, buffers: list[bytes]) -> Tensor:
    name = (tensor.name or b"").decode(errors="replace")
    if tensor.isVariable or tensor.sparsity is not None:
        raise NotUnderstood(f"tensor {name!r} is a variable or sparse")
    if tensor.type not in _DTYPES:
        raise NotUnderstood(f"tensor {name!r} has a type that is not known here")
    dtype = _DTYPES[tensor.type]
    shape = () if tensor.shape is None else tuple(int(size) for size in tensor.shape)
    raw = buffers[tensor.buffer]
    data = np.frombuffer(raw, dtype).reshape(shape) if raw else None
    given = tensor.quantization
    quantization = None
    if given is not None and given.scale is not None and len(given.scale):
        scales = np.array(given.scale, np.float32)
        zero_points = np.zeros(len(scales), np.int64) if given.zeroPoint is None else np.array(given.zeroPoint)
        quantization = Quantization(scales, zero_points, given.quantizedDimension)
    return Tensor(name, shape, dtype, data, quantization)


def _read_code(code: Any) -> tuple[str, int]:
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    if number == schema.BuiltinOperator.CUSTOM:
        raise NotUnderstood(f"it uses the custom operator {(code.customCode or b'').decode(errors='replace')!r}")
    if number not in _KINDS:
        raise NotUnderstood(f"it uses the operator number {number}, which is not known here")
    return _KINDS[number], code.version


def _data(buffer: Any, content: bytes) -> bytes:
    """Returns what a buffer holds: inside the flatbuffer or, in files made for more than 2 GB, behind it."""
    if buffer.offset > 1:  # 0: not given, 1: to be given later
        return content[buffer.offset : buffer.offset + buffer.size]
    return b"" if buffer.data is None else bytes(buffer.data)


class _AlignedBuffer:
    """A buffer whose data starts at a multiple of 16 bytes, as the format asks and the schema's code doesn't do."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def Pack(self, builder: Any) -> int:  # noqa: N802
        builder.StartVector(1, len(self._content), 16)
        start = builder.Head() - len(self._content)
        builder.head = start
        builder.Bytes[start : start + len(self._content)] = self._content
        data = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, data)
        return schema.BufferEnd(builder)


if schema is not None:
    _TYPES = {
        np.dtype(dtype): getattr(schema.TensorType, name)
        for name, dtype in {
            "FLOAT32": np.float32, "FLOAT16": np.float16, "INT8": np.int8, "UINT8": np.uint8, "INT16": np.int16,
            "INT32": np.int32, "INT64": np.int64, "BOOL": np.bool_,
        }.items()
    }  # fmt: skip
    _DTYPES = {number: dtype for dtype, number in _TYPES.items()}
    _KINDS = {number: name for name, number in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
