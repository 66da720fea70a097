"""The named byte strings that a .tflite file carries, read without the packages that know its schema."""

from __future__ import annotations

import struct

from flatbuffer import Table

# Places of fields in the tables of TensorFlow Lite's schema: Model.buffers, Model.metadata, Metadata.name,
# Metadata.buffer, Buffer.data.
_BUFFERS, _METADATA, _NAME, _BUFFER, _DATA = 4, 6, 0, 1, 0


def read_metadata(content: bytes | memoryview) -> dict[str, bytes]:
    """Returns the metadata of a .tflite file by name.

    Raises:
        ValueError: The file is damaged.
    """
    try:
        model = Table.root(content)
        buffers = model.tables(_BUFFERS)
        return {entry.text(_NAME): buffers[entry.number(_BUFFER)].raw(_DATA) for entry in model.tables(_METADATA)}
    except (struct.error, IndexError) as error:
        raise ValueError(f"not a sound .tflite file: {error}") from None
