"""The compiled form of a model: from the user's cache, or compiled, verified and remembered there."""

from __future__ import annotations

import functools
import hashlib
import mmap
import os
import time
from pathlib import Path
from typing import NamedTuple, Union

from errors import ModelError, NotUnderstood, PackageError
from memory import METADATA, Pool, read_pools
from metadata import read_metadata
from runtime import Runtime, load_content
from tuning import cpu_name
from user_cache import cache_path, prune, recall_mapped, remember

_SEAL = 32  # bytes


class Prepared(NamedTuple):
    """What to run.

    Attributes:
        content: A .tflite file: the compiled one, or the source where that can't be. What is for the engine comes from
            the cache mapped, with its checksum behind it, where the runtimes don't look.
        note: One line for the user; None if there is nothing new to say.
        file: Where the compiled one stands, proved to run on this machine; None where it can't be kept.
    """

    content: Union[bytes, mmap.mmap]
    note: str | None
    file: Path | None = None


def prepare(
    model: str | os.PathLike[str],
    source: bytes,
    runtime: Runtime,
    precision: str = "auto",
    horizons: bool = False,
    for_engine: bool = False,
) -> Prepared:
    """Returns the compiled form of a model.

    Compiled, verified and remembered at the first call; read from the cache, in a few milliseconds, from then on. The
    source itself where the compiler doesn't understand it or the result isn't the same function.

    Args:
        model: The file's name, for messages.
        source: Its content.
        runtime: What will run it, and what it is verified with.
        precision: One of compiler.precision.PRECISIONS.
        horizons: Whether the head is to read two horizons of memory, see compiler/pools.py.
        for_engine: Whether only engine.py is to run it, so that less crosses its border (compiler/passes/border.py) and
            constants are stored for little memory rather than for a small file.

    Raises:
        ModelError: The source itself can't be run.
    """
    name = _cache_name(source, runtime, precision, horizons, for_engine)
    remembered = recall_mapped(name)
    if remembered is not None and _is_whole(remembered):
        return Prepared(remembered if for_engine else remembered[:-_SEAL], None, cache_path(name))
    start = time.monotonic()
    load_content(model, source, runtime, threads=1)  # a damaged file must not get to the compiler
    # The compiler takes 10 MB of memory, which the program does without from the second run on.
    from compiler.build import compile_best

    try:
        chosen, compiled = compile_best(source, runtime, precision, horizons, for_engine)
    except (NotUnderstood, PackageError, ModelError) as reason:  # the last: the runtime refuses what was compiled
        return Prepared(source, f"not compiled, so slower: {reason}")
    file = cache_path(name) if remember(name, _seal(compiled)) else None
    prune(cache_path(name).parent)  # An update of the program makes what it compiled before useless.
    return Prepared(compiled, f"compiled to {chosen} in {time.monotonic() - start:.1f} s", file)


def pools_of(content: bytes | mmap.mmap) -> list[Pool]:
    """Returns the cumulative pools of a sound .tflite file: as its metadata lists them, else as its graph shows them.

    Raises:
        NotUnderstood: The graph is beyond the compiler.
        PackageError: It has to be looked at, but neither package that brings the format's schema is installed.
    """
    listed = read_metadata(content).get(METADATA)
    if listed is not None:
        return read_pools(listed)
    from compiler.graph import load
    from compiler.pools import find_pools

    return find_pools(load(content[:]))


def _cache_name(source: bytes, runtime: Runtime, precision: str, horizons: bool, for_engine: bool) -> str:
    settings = f"{runtime}, {precision}, {horizons}, {for_engine}, {cpu_name()}"
    parts = [source, _compiler_version(), settings.encode()]
    return f"compiled/{hashlib.sha256(b''.join(hashlib.sha256(part).digest() for part in parts)).hexdigest()}"


@functools.lru_cache(maxsize=None)
def _compiler_version() -> bytes:
    """Any change to the compiler makes what an earlier one left in the cache void."""
    return b"".join(path.read_bytes() for path in sorted((Path(__file__).parent / "compiler").rglob("*.py")))


def _seal(content: bytes) -> bytes:
    return content + hashlib.sha256(content).digest()


def _is_whole(sealed: mmap.mmap) -> bool:
    with memoryview(sealed) as view:
        return hashlib.sha256(view[:-_SEAL]).digest() == view[-_SEAL:]
