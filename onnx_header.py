"""What an .onnx file says of itself: inputs, outputs, operators, metadata; read without the package that knows ONNX.

The file is a Protocol Buffers message, whose fields are known by number (schema:
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto; how the bytes are laid out:
https://protobuf.dev/programming-guides/encoding/). The weights, nearly all of the file, are skipped.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator, List, Tuple, Union

from errors import ModelError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# Numbers of fields.
_IR_VERSION, _PRODUCER, _DOMAIN, _DOC, _GRAPH, _OPSET, _PROPS = 1, 2, 4, 6, 7, 8, 14  # ModelProto
_NODE, _INITIALIZER, _INPUT, _OUTPUT = 1, 5, 11, 12  # GraphProto
_NODE_INPUT, _NODE_OUTPUT, _OPERATOR = 1, 2, 4  # NodeProto
_INITIALIZER_NAME = 8  # TensorProto
_NAME, _TYPE = 1, 2  # ValueInfoProto
_TENSOR, _SHAPE, _DIMENSION, _SIZE = 1, 2, 1, 1  # TypeProto, TypeProto.Tensor, TensorShapeProto

_SHAPING = {"Flatten", "Reshape", "Squeeze", "Unsqueeze", "Identity"}

Value = Union[int, memoryview]
Shape = List[Union[int, None]]


@dataclass
class OnnxHeader:
    """What stands around the weights.

    Attributes:
        inputs: Name and shape of each input that isn't a weight; None for a size that is open.
        outputs: Likewise.
        operators: Kind of each operator, in the order of the file, such as "Conv".
        last_operators: Kind of the operator that makes each output, but for its shape.
        metadata: Key to value; "producer", "description" and "opset" too, where given.
    """

    inputs: list[tuple[str, Shape]] = field(default_factory=list)
    outputs: list[tuple[str, Shape]] = field(default_factory=list)
    operators: list[str] = field(default_factory=list)
    last_operators: list[str] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)


def read_onnx_header(model: str | os.PathLike[str]) -> OnnxHeader:
    """Reads the header of an .onnx file.

    Raises:
        ModelError: The file is missing, unreadable or not an ONNX model, or doesn't have one input and one output, as
            a clip model has.
    """
    path, remedy = Path(model), "give an .onnx file"
    try:
        if path.is_dir():
            raise ModelError(f"model {path} is a folder; {remedy}")
        with open(path, "rb") as file:
            if not os.fstat(file.fileno()).st_size:
                raise ModelError(f"model {path} is empty; fetch or copy it again")
            # Unmapped when the last view of it is gone.
            header = _read(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
    except OSError as error:
        raise ModelError(f"model {path}: {error.strerror}; {remedy}") from None
    except (IndexError, KeyError, UnicodeDecodeError, TypeError, ValueError):
        header = OnnxHeader()
    if not header.inputs or not header.outputs:
        raise ModelError(f"model {path} is not an ONNX model, or damaged; {remedy}")
    if len(header.inputs) != 1 or len(header.outputs) != 1:
        found = f"it takes {len(header.inputs)} tensors and gives {len(header.outputs)}, not one each"
        raise ModelError(f"model {path} is no clip model: {found}")
    return header


def _read(view: memoryview) -> OnnxHeader:
    header = OnnxHeader()
    for number, value in _fields(view):
        if number == _GRAPH:
            _read_graph(value, header)
        elif number == _PROPS:
            entry = dict(_fields(value))
            header.metadata[_text(entry[1])] = _text(entry.get(2, memoryview(b"")))
        elif number == _OPSET:
            entry = dict(_fields(value))
            header.metadata.setdefault("opset", str(entry.get(2, "")))
        elif number in (_PRODUCER, _DOC) and len(value):  # type: ignore[arg-type]
            header.metadata["producer" if number == _PRODUCER else "description"] = _text(value)
    return header


def _read_graph(view: Value, header: OnnxHeader) -> None:
    weights: set[str] = set()
    makers: dict[str, tuple[str, str]] = {}  # operator and first input, by output
    for number, value in _fields(view):
        if number == _NODE:
            node = list(_fields(value))
            kind = next((_text(each) for place, each in node if place == _OPERATOR), "")
            header.operators.append(kind)
            taken = next((_text(each) for place, each in node if place == _NODE_INPUT), "")
            makers.update({_text(each): (kind, taken) for place, each in node if place == _NODE_OUTPUT})
        elif number == _INITIALIZER:
            weights.add(next((_text(each) for place, each in _fields(value) if place == _INITIALIZER_NAME), ""))
        elif number in (_INPUT, _OUTPUT):
            (header.inputs if number == _INPUT else header.outputs).append(_tensor(value))
    # Files of the first versions list the weights among the inputs.
    header.inputs = [tensor for tensor in header.inputs if tensor[0] not in weights]
    header.last_operators = [_last(name, makers) for name, _ in header.outputs]


def _last(name: str, makers: dict[str, tuple[str, str]]) -> str:
    """Returns the last operator before an output that does more than give the same numbers another shape."""
    for _ in range(len(makers)):  # a damaged file may go round in a circle
        kind, taken = makers.get(name, ("", ""))
        if kind not in _SHAPING:
            return kind
        name = taken
    return ""


def _tensor(view: Value) -> tuple[str, Shape]:
    name, shape = "", []
    for number, value in _fields(view):
        if number == _NAME:
            name = _text(value)
        elif number == _TYPE:
            tensors = (each for place, each in _fields(value) if place == _TENSOR)
            shapes = (each for tensor in tensors for place, each in _fields(tensor) if place == _SHAPE)
            sizes = (each for dims in shapes for place, each in _fields(dims) if place == _DIMENSION)
            shape = [_size(each) for each in sizes]
    return name, shape


def _size(view: Value) -> int | None:
    size = next((value for number, value in _fields(view) if number == _SIZE), None)
    return size if isinstance(size, int) and 0 < size < 2**31 else None


def _text(value: Value) -> str:
    return bytes(value).decode() if isinstance(value, memoryview) else ""


def _fields(view: Value) -> Iterator[Tuple[int, Value]]:
    """Yields number and value of each field of a message: an integer, or the bytes; IndexError where it is cut off."""
    if not isinstance(view, memoryview):
        raise TypeError("a number where a message should be")
    place = 0
    while place < len(view):
        key, place = _varint(view, place)
        kind = key & 7
        if kind == _VARINT:
            number, place = _varint(view, place)
            yield key >> 3, number
            continue
        if kind == _BYTES:
            length, place = _varint(view, place)
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            raise IndexError(f"a field of the unknown kind {kind}")
        if place + length > len(view):
            raise IndexError("cut off")
        yield key >> 3, view[place : place + length]
        place += length


def _varint(view: memoryview, place: int) -> tuple[int, int]:
    """Returns the integer that stands at a place, and the place behind it."""
    number = shift = 0
    while True:
        byte = view[place]
        place += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return number, place
        if shift > 63:
            raise IndexError("no such integer")
