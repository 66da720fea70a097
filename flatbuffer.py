"""Flatbuffers, the format of .tflite files and of their metadata, read without the packages that know the schemas.

A table's fields are known by the numbers that they have in the schema. How the bytes are laid out:
https://flatbuffers.dev/internals/.
"""

from __future__ import annotations

import struct
from typing import Any, Iterator


class Table:
    """One table. What stands beyond the buffer raises struct.error or IndexError.

    Args:
        content: The whole buffer.
        place: Where in it the table begins.
    """

    def __init__(self, content: bytes | memoryview, place: int) -> None:
        self._content = content
        self._place = place

    @classmethod
    def root(cls, content: bytes | memoryview) -> Table:
        """Returns the table that holds all others."""
        return cls(content, _number(content, 0))

    def number(self, field: int, form: str = "I") -> Any:
        """Returns a number of this form of the struct module; 0 if it is left out."""
        place = self._find(field)
        return _number(self._content, place, form) if place else 0

    def table(self, field: int) -> Table | None:
        """Returns the table that a field holds."""
        place = self._find(field)
        return Table(self._content, place + _number(self._content, place)) if place else None

    def tables(self, field: int) -> list[Table]:
        """Returns the tables of a vector."""
        return [Table(self._content, place) for place in self._pointed(field)]

    def text(self, field: int) -> str:
        """Returns a string; "" if it is left out."""
        return self.raw(field).decode()

    def raw(self, field: int) -> bytes:
        """Returns a vector of bytes."""
        start, length = self._vector(field)
        if start + length > len(self._content):
            raise IndexError(f"{length} bytes at {start} of {len(self._content)}")
        return bytes(self._content[start : start + length])

    def array(self, field: int, form: str) -> list[Any]:
        """Returns a vector of numbers of this form of the struct module."""
        start, length = self._vector(field)
        return list(struct.unpack_from(f"<{length}{form}", self._content, start)) if length else []

    def _find(self, field: int) -> int:
        """Returns where a field stands; 0 if it is left out."""
        layout = self._place - _number(self._content, self._place, "i")
        entry = 4 + 2 * field
        if entry >= _number(self._content, layout, "H"):
            return 0
        offset = int(_number(self._content, layout + entry, "H"))
        return self._place + offset if offset else 0

    def _vector(self, field: int) -> tuple[int, int]:
        """Returns where a vector's elements begin, and how many there are."""
        place = self._find(field)
        if not place:
            return 0, 0
        vector = place + _number(self._content, place)
        return vector + 4, _number(self._content, vector)

    def _pointed(self, field: int) -> Iterator[int]:
        start, length = self._vector(field)
        for place in range(start, start + 4 * length, 4):
            yield place + _number(self._content, place)


def _number(content: bytes | memoryview, place: int, form: str = "I") -> Any:
    try:
        return struct.unpack_from(f"<{form}", content, place)[0]
    except OverflowError:  # On 32-bit systems, places in a damaged file may be larger than any address.
        raise IndexError(f"a number at {place} of {len(content)} bytes") from None
