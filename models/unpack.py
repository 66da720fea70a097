"""The model in what was downloaded, be it the bare file or a .tar.gz, and whether it is the right one."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zlib

from models.registry import Model

_LARGEST = 64 * 2**20  # bytes of an unpacked archive; several times the largest that is published


class WrongFileError(Exception):
    """Why a download is not the model, in a few words."""


def unpack(data: bytes, kind: str = "tflite") -> bytes:
    """Returns the model file in a download, told by its content.

    Works in memory and within `_LARGEST` bytes, so that no archive can fill the disk or write to a place of its choice.

    Raises:
        WrongFileError: It is neither a file of this kind, tflite or onnx, nor a .tar.gz that holds exactly one .tflite.
    """
    if data[:2] == b"\x1f\x8b":
        data = _only_model(_decompress(data))
    if data[4:8] == b"TFL3" if kind == "tflite" else data[:1] == b"\x08":  # ONNX begins with its version, field 1
        return data
    if data.lstrip()[:1] == b"<":
        raise WrongFileError("sent a web page instead of the model")
    wanted = "a TensorFlow Lite model" if kind == "tflite" else "an ONNX model"
    raise WrongFileError(f"sent something else than {wanted}" if data else "sent nothing")


def verify(model: Model, data: bytes) -> None:
    """Compares a file with what is known of the published one.

    Raises:
        WrongFileError: Its length or checksum differs.
    """
    if model.bytes is not None and len(data) != model.bytes:
        raise WrongFileError(f"wrong length, {len(data):,} bytes instead of {model.bytes:,}")
    for algorithm, wanted in (("sha256", model.sha256), ("sha1", model.sha1)):
        if wanted is not None:
            digest = hashlib.new(algorithm, data).hexdigest()
            if digest != wanted:
                raise WrongFileError(f"wrong content, {algorithm} {digest[:12]}... instead of {wanted[:12]}...")


def _decompress(data: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            content = file.read(_LARGEST + 1)
    except (OSError, EOFError, zlib.error):
        raise WrongFileError("sent a damaged archive") from None
    if len(content) > _LARGEST:
        raise WrongFileError(f"sent an archive of more than {_LARGEST / 1e6:.0f} MB")
    return content


def _only_model(archive: bytes) -> bytes:
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
            members = [member for member in tar if member.isreg() and member.name.endswith(".tflite")]
            if len(members) != 1:
                raise WrongFileError(f"sent an archive with {len(members)} .tflite files instead of one")
            # A sparse member of a few bytes can claim any size.
            if members[0].size > len(archive):
                raise WrongFileError("sent a damaged archive")
            file = tar.extractfile(members[0])
            assert file is not None  # a regular file
            return file.read()
    except (tarfile.TarError, OSError, ValueError, OverflowError):
        raise WrongFileError("sent a damaged archive") from None
