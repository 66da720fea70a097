"""The compiled form of a model: from the user's cache, or compiled, verified and remembered there."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from errors import HeadNotUnderstood, ModelError, NotUnderstood, PackageError
from memory import METADATA, Pool, read_pools
from metadata import read_metadata
from release import release_file
from runtime import Runtime, load_content, load_proved
from tuning import cpu_name
from user_cache import cache_path, prune, recall_mapped, remember

_SEAL = 32  # bytes of a SHA-256, behind the content of a file in the cache, where the runtimes don't look
_MOST_BYTES = 150_000_000  # of the cache: a dozen forms of models, of which a machine uses one or two
# Whose change makes what was compiled before void.
_ROOT = Path(__file__).parent
_SOURCES = ("compiler/**/*.py", "memory.py", "model_metadata.py", "pixel_range.py", "signature.py")


@dataclass(frozen=True, eq=False)
class Prepared:
    """A model that can be loaded.

    Attributes:
        model: The source's name, for messages.
        runtime: What runs it.
        content: A .tflite file: the compiled form, or the source where that can't be; mapped where it is in the cache.
        compiled: Which of them.
        note: One line for the user; None if there is nothing new to say.
        file: Where the compiled one stands, proved to run on this machine; None where it can't be kept.
    """

    model: str | os.PathLike[str]
    runtime: Runtime
    content: bytes | memoryview
    compiled: bool = False
    note: str | None = None
    file: Path | None = None

    def load(self, threads: int) -> Any:
        """Returns the runtime's Interpreter, its tensors allocated.

        Raises:
            ModelError: The runtime refuses it.
        """
        if self.file is not None:
            release_file(self.file)  # What was read of it to prove that it is whole.
            try:
                return load_proved(self.model, self.file, self.runtime, threads)
            except ModelError:  # Gone since, or in a folder that the runtime can't name.
                pass
        return load_content(self.model, bytes(self.content), self.runtime, threads)


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
        horizons: Whether the head is to read two horizons of memory where it is understood, see compiler/horizons.py.
        for_engine: Whether only engine.py is to run it, so that less crosses its border (compiler/passes/border.py) and
            constants are stored for little memory rather than for a small file.

    Raises:
        ModelError: The source itself can't be run.
    """
    name = _cache_name(source, runtime, precision, horizons, for_engine)
    refusal = _recall(f"{name}-refused")
    if refusal is not None:
        return _run_source(model, source, runtime, bytes(refusal).decode())
    remembered = _recall(name)
    if remembered is not None:
        return Prepared(model, runtime, remembered, True, None, cache_path(name))
    start = time.monotonic()
    load_content(model, source, runtime, threads=1)  # a damaged file must not get to the compiler
    try:
        chosen, compiled = _compile(source, runtime, precision, horizons, for_engine)
    except (NotUnderstood, PackageError, ModelError) as reason:  # the last: the runtime refuses what was compiled
        if isinstance(reason, NotUnderstood):
            _remember(f"{name}-refused", str(reason).encode())  # It would take as long to find that out again.
        return _run_source(model, source, runtime, str(reason))
    note = f"compiled to {chosen} in {time.monotonic() - start:.1f} s"
    _remember(name, compiled)
    remembered = _recall(name)
    if remembered is None:
        return Prepared(model, runtime, compiled, True, note)
    return Prepared(model, runtime, remembered, True, note, cache_path(name))


def _compile(source: bytes, runtime: Runtime, precision: str, horizons: bool, for_engine: bool) -> tuple[str, bytes]:
    # The compiler takes 10 MB of memory, which the program does without from the second run on.
    from compiler.build import compile_best

    try:
        return compile_best(source, runtime, precision, horizons, for_engine)
    except HeadNotUnderstood:  # Or it reads two horizons already.
        return compile_best(source, runtime, precision, False, for_engine)


def pools_of(content: bytes | memoryview) -> list[Pool]:
    """Returns the cumulative pools of a sound .tflite file: as its metadata lists them, else as its graph shows them.

    Raises:
        NotUnderstood: The graph is beyond the compiler.
        PackageError: It has to be looked at, but neither package that brings the format's schema is installed.
    """
    with contextlib.suppress(ValueError):  # Something else by that name, or metadata that no runtime minds.
        listed = read_metadata(content).get(METADATA)
        if listed is not None:
            return read_pools(listed)
    from compiler.constants import fold_constants
    from compiler.graph import refuse_odd_graphs
    from compiler.pools import find_pools
    from compiler.shapes import load_resolved

    with refuse_odd_graphs():
        graph = load_resolved(bytes(content))
        fold_constants(graph, integers_only=True)  # Some graphs compute the 1 that they add to a count.
        return find_pools(graph)


def _cache_name(source: bytes, runtime: Runtime, precision: str, horizons: bool, for_engine: bool) -> str:
    settings = f"{runtime}, {precision}, {horizons}, {for_engine}, {cpu_name()}"
    parts = [source, _compiler_version(), settings.encode()]
    return f"compiled/{hashlib.sha256(b''.join(hashlib.sha256(part).digest() for part in parts)).hexdigest()}"


@functools.lru_cache(maxsize=None)
def _compiler_version() -> bytes:
    paths = sorted(path for pattern in _SOURCES for path in _ROOT.glob(pattern))
    return b"".join(path.read_bytes() for path in paths)


def _run_source(model: str | os.PathLike[str], source: bytes, runtime: Runtime, reason: str) -> Prepared:
    return Prepared(model, runtime, source, False, f"not compiled, so slower: {reason}")


def _remember(name: str, content: bytes) -> None:
    remember(name, content + hashlib.sha256(content).digest())
    prune(cache_path(name).parent, most_bytes=_MOST_BYTES)  # An update of the program leaves useless ones behind.


def _recall(name: str) -> memoryview | None:
    """Returns from the cache what was remembered there, if it is there and whole."""
    mapped = recall_mapped(name)
    if mapped is None:
        return None
    content = memoryview(mapped)
    return content[:-_SEAL] if hashlib.sha256(content[:-_SEAL]).digest() == content[-_SEAL:] else None
