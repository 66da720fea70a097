"""The named byte strings that a .tflite file carries, read without the packages that know its schema."""

from __future__ import annotations

import struct
from typing import Iterator

# Places of fields in the tables of TensorFlow Lite's schema: Model.buffers, Model.metadata, Metadata.name,
# Metadata.buffer, Buffer.data.
_BUFFERS, _METADATA, _NAME, _BUFFER, _DATA = 4, 6, 0, 1, 0


def read_metadata(content: bytes) -> dict[str, bytes]:
    """Returns the metadata of a .tflite file by name.

    Raises:
        ValueError: The file is damaged.
    """
    try:
        model = _number(content, 0)
        buffers = list(_tables(content, _field(content, model, _BUFFERS)))
        found = {}
        for entry in _tables(content, _field(content, model, _METADATA)):
            name, place = _field(content, entry, _NAME), _field(content, entry, _BUFFER)
            data = _field(content, buffers[_number(content, place) if place else 0], _DATA)
            found[_bytes(content, name).decode()] = _bytes(content, data)
        return found
    except (struct.error, IndexError) as error:
        raise ValueError(f"not a sound .tflite file: {error}") from None


def _number(content: bytes, place: int) -> int:
    return int(struct.unpack_from("<I", content, place)[0])


def _field(content: bytes, table: int, field: int) -> int:
    """Returns where a table's field stands; 0 if it is left out."""
    layout = table - struct.unpack_from("<i", content, table)[0]
    entry = 4 + 2 * field
    if entry >= struct.unpack_from("<H", content, layout)[0]:
        return 0
    offset = struct.unpack_from("<H", content, layout + entry)[0]
    return table + int(offset) if offset else 0


def _tables(content: bytes, field: int) -> Iterator[int]:
    """Yields where each table of a vector stands."""
    if field:
        vector = field + _number(content, field)
        for place in range(vector + 4, vector + 4 + 4 * _number(content, vector), 4):
            yield place + _number(content, place)


def _bytes(content: bytes, field: int) -> bytes:
    if not field:
        return b""
    vector = field + _number(content, field)
    return content[vector + 4 : vector + 4 + _number(content, vector)]
