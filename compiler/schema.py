"""The tables of the .tflite format as objects, `schema.ModelT` and the others, and its enumerations.

ai-edge-litert brings them: classes that read themselves from a flatbuffer and write themselves into one. There is no
ai-edge-litert for 32-bit ARM. There the package tflite, which is pure Python, stands in: it knows the same format, but
only as functions that read or write one field, and the classes are made from those, with the same names, attributes and
results. Of unions, fields that hold one of several tables, only the options of operators are read.
"""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any

import numpy as np

_EMPTY = bytes((4, 0, 4, 0, 4, 0, 0, 0)), 4
"""A table without fields: its vtable (4 bytes long, for a table of 4), and, at 4, the distance back to that."""


class _Table:
    """A table; each field is an attribute: a number, bytes, an array of numbers, a table, or a list of tables.

    Args:
        reader: The package's, of a table that stands in a flatbuffer; None for a new one, of the format's defaults.
    """

    _package: Any  # all that tflite holds, and these classes
    _name: str  # of the table there
    _fields: dict[str, str]  # by attribute, in the format's order

    def __init__(self, reader: Any = None) -> None:
        if reader is None:
            reader = self._of_package()()
            reader.Init(*_EMPTY)
        for attribute, field in self._fields.items():
            setattr(self, attribute, self._read(reader, field))

    @classmethod
    def InitFromPackedBuf(cls, content: bytes, position: int = 0) -> _Table:  # noqa: N802
        """Reads the outermost table of a flatbuffer."""
        return cls(cls._of_package().GetRootAs(content, position))

    def Pack(self, builder: Any) -> int:  # noqa: N802
        """Writes it, and what it holds, into a flatbuffers.Builder; returns its place there."""
        values = {field: _write(builder, getattr(self, attribute)) for attribute, field in self._fields.items()}
        self._of_package("Start")(builder)
        for field, value in values.items():
            if value is not None:
                self._of_package(f"Add{field}")(builder, value)
        return self._of_package("End")(builder)

    @classmethod
    def _of_package(cls, what: str = "") -> Any:
        return getattr(cls._package, cls._name + what)

    def _read(self, reader: Any, field: str) -> Any:
        read = getattr(reader, field)
        if hasattr(reader, f"{field}Length"):
            if getattr(reader, f"{field}IsNone")():
                return None
            numbers = getattr(reader, f"{field}AsNumpy", None)
            return numbers() if numbers else [self._object(read(n)) for n in range(getattr(reader, f"{field}Length")())]
        if f"{field}Type" in self._fields.values():
            return self._member(field, getattr(reader, f"{field}Type")(), read())
        return self._object(read())

    def _object(self, value: Any) -> Any:
        """Returns a table as an object; numbers and strings as they are."""
        return getattr(self._package, f"{type(value).__name__}T")(value) if hasattr(value, "Init") else value

    def _member(self, union: str, number: int, place: Any) -> Any:
        """Returns the table that a union holds; None where it holds none, or one that is not known here."""
        names = {value: name for name, value in vars(getattr(self._package, union, object)).items()}
        kind = getattr(self._package, names.get(number, ""), None)
        if place is None or kind is None:
            return None
        reader = kind()
        reader.Init(place.Bytes, place.Pos)
        return self._object(reader)


def _write(builder: Any, value: Any) -> Any:
    """Writes what stands outside the table and returns its place; what stands inside, a number, is returned."""
    if isinstance(value, np.ndarray):
        return builder.CreateNumpyVector(value)
    if isinstance(value, (bytes, str)):
        return builder.CreateString(value)
    if isinstance(value, list):
        places = [each.Pack(builder) for each in value]
        builder.StartVector(4, len(places), 4)
        for place in reversed(places):
            builder.PrependUOffsetTRelative(place)
        return builder.EndVector()
    return value.Pack(builder) if hasattr(value, "Pack") else value


def _from_tflite() -> Any:
    import tflite.Model  # so that no folder of that name is taken for it

    package = SimpleNamespace(**vars(tflite))
    for name in [name for name, value in vars(tflite).items() if hasattr(value, "GetRootAs")]:
        add = f"{name}Add"
        fields = [each[len(add) :] for each in vars(importlib.import_module(f"tflite.{name}")) if each.startswith(add)]
        attributes = {field[0].lower() + field[1:]: field for field in fields}
        made = type(f"{name}T", (_Table,), {"_package": package, "_name": name, "_fields": attributes})
        setattr(package, made.__name__, made)
    return package


def _find() -> Any:
    try:
        return importlib.import_module("ai_edge_litert.schema_py_generated")
    except ImportError:
        pass
    try:
        return _from_tflite()
    except ImportError:
        return None


schema = _find()
"""From either package; None where neither is installed."""
