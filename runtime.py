"""The TFLite runtime: which of the packages that can run a .tflite file is used, and a load that a bad file can't kill.

Three packages offer the same `Interpreter` class: ai-edge-litert (maintained), tflite-runtime (its predecessor, still
the only one for 32-bit systems) and the full tensorflow.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import sys
import tempfile
import textwrap
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Callable, Iterator, Sequence

import numpy as np

from errors import ModelError, PackageError, UserError
from release import release_file
from trial import try_in_child

RUNTIMES = ("auto", "litert", "tflite", "tensorflow")

# Name: (what pip installs, module that holds Interpreter), in the order that "auto" tries them.
_PACKAGES = {
    "litert": ("ai-edge-litert", "ai_edge_litert.interpreter"),
    "tflite": ("tflite-runtime", "tflite_runtime.interpreter"),
    "tensorflow": ("tensorflow", "tensorflow.lite.python.interpreter"),
}
_sound: set[tuple[Any, ...]] = set()  # (runtime, hash of the file, shape) of what ran in a child of this process


@dataclass(frozen=True)
class Runtime:
    """One installed package that runs .tflite files.

    Attributes:
        name: One of RUNTIMES other than "auto".
        package: The name that pip knows it by.
        version: Its version.
        interpreter: Its Interpreter class.
    """

    name: str
    package: str
    version: str
    interpreter: Callable[..., Any]

    def __str__(self) -> str:
        return f"{self.package} {self.version}"


def choose_runtime(name: str = "auto") -> Runtime:
    """Imports a TFLite runtime.

    Args:
        name: One of RUNTIMES; "auto" takes the first that works: ai-edge-litert, tflite-runtime, tensorflow.

    Raises:
        PackageError: It is not installed or doesn't work here; the text says why and what to install.
        UserError: No runtime has this name.
    """
    if name not in RUNTIMES:
        raise UserError(f"unknown runtime {name!r}; use one of {', '.join(RUNTIMES)}")
    reasons = []
    for candidate in _PACKAGES if name == "auto" else [name]:
        package = _PACKAGES[candidate][0]
        try:
            interpreter = _import_interpreter(candidate)
            return Runtime(candidate, package, _version(package), interpreter)
        except PackageError as error:
            reasons.append(str(error))
    remedy = "./setup.sh"
    if name != "auto":
        remedy = f"--runtime auto, or .venv/bin/pip install {_PACKAGES[name][0]}"
    raise PackageError(f"can't run .tflite files: {'; '.join(reasons)}; try {remedy}")


def load_interpreter(model: str | os.PathLike[str], runtime: Runtime, threads: int) -> Any:
    """Loads a .tflite file and allocates its tensors.

    A damaged file can crash a runtime, and the whole process with it, so that it is first run once in a child process.
    Both processes are given the same bytes: what was tried is what is loaded. The same bytes are tried only once.

    Args:
        model: The file.
        runtime: From choose_runtime.
        threads: Threads that its kernels may use.

    Returns:
        The runtime's Interpreter.

    Raises:
        ModelError: The file is missing, unreadable, not a .tflite file, damaged, or beyond this runtime.
    """
    return load_content(model, read_model(model), runtime, threads)


def load_content(
    name: str | os.PathLike[str],
    content: bytes,
    runtime: Runtime,
    threads: int,
    shape: Sequence[int] | None = None,
) -> Any:
    """Loads a model from memory, as load_interpreter does from a file.

    Args:
        name: What an error calls it.
        content: Of a .tflite file.
        runtime: From choose_runtime.
        threads: Threads that its kernels may use.
        shape: What its first input, which leaves sizes open, is to have; None for the shapes that stand in the file.

    Raises:
        ModelError: It is damaged, or beyond this runtime.
    """
    problem = _try_in_child(content, runtime.name, shape)
    if problem is not None:
        raise _refusal(name, runtime, problem)
    try:
        with _without_chatter():
            return _allocate(runtime.interpreter(model_content=content, num_threads=threads), shape)
    except Exception as error:  # The runtimes raise ValueError, RuntimeError, UnicodeDecodeError and others.
        raise _refusal(name, runtime, str(error)) from None


def load_proved(name: str | os.PathLike[str], file: Path, runtime: Runtime, threads: int) -> Any:
    """Loads a model that has run on this machine before from a file that nobody changes.

    That file is mapped, and its memory given back: the kernels have packed its weights into memory of their own.

    Args:
        name: What an error calls it.
        file: It.
        runtime: From choose_runtime.
        threads: Threads that its kernels may use.

    Raises:
        ModelError: This runtime refuses it.
    """
    try:
        with _without_chatter():
            interpreter = _allocate(runtime.interpreter(model_path=str(file), num_threads=threads))
    except Exception as error:
        raise _refusal(name, runtime, str(error)) from None
    release_file(file)
    return interpreter


def _refusal(name: str | os.PathLike[str], runtime: Runtime, problem: str) -> ModelError:
    distinct_lines = dict.fromkeys(problem.splitlines())
    problem = textwrap.shorten(" ".join(distinct_lines), 160, placeholder=" ...")
    return ModelError(f"model {name} can't be run by {runtime} (damaged, or not for this version?): {problem}")


def read_model(model: str | os.PathLike[str]) -> bytes:
    """Reads a .tflite file.

    Raises:
        ModelError: It is missing, unreadable, or not a .tflite file.
    """
    path, remedy = Path(model), "give a .tflite file"
    try:
        if path.is_dir():
            raise ModelError(f"model {path} is a folder; {remedy}")
        with open(path, "rb") as file:
            head = file.read(8)
            if not head:
                raise ModelError(f"model {path} is empty; fetch or copy it again")
            if head[4:] != b"TFL3":
                raise ModelError(f"model {path} is not a .tflite file; {remedy}")
            return head + file.read()
    except OSError as error:
        raise ModelError(f"model {path}: {error.strerror}; {remedy}") from None


def _version(package: str) -> str:
    # Asking importlib.metadata would cost 2 MB of memory.
    return getattr(sys.modules.get(package.replace("-", "_")), "__version__", "of unknown version")


def _import_interpreter(name: str) -> Callable[..., Any]:
    package, module = _PACKAGES[name]
    # Built against numpy 1: under numpy 2 it prints a page at import and fails at the first Interpreter().
    if name == "tflite" and int(np.__version__.split(".")[0]) >= 2:
        raise PackageError(f"{package} needs numpy below 2, found {np.__version__}")
    if name == "tensorflow":  # Else it greets with ten lines, and advises users to take ai-edge-litert.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        warnings.filterwarnings("ignore", message=r"\s*Warning: tf\.lite\.Interpreter is deprecated")
    try:
        return importlib.import_module(module).Interpreter
    except ModuleNotFoundError as error:
        if error.name == module.split(".")[0]:
            raise PackageError(f"{package} is not installed") from None
        raise PackageError(f"{package} is incomplete: {error}") from None
    except Exception as error:  # A broken installation raises almost anything: ImportError, AttributeError, OSError.
        raise PackageError(f"{package} fails to import: {textwrap.shorten(str(error), 120)}") from None


def _allocate(interpreter: Any, shape: Sequence[int] | None = None) -> Any:
    """Allocates the tensors of an Interpreter and returns it."""
    if shape is not None:
        interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], shape)
    interpreter.allocate_tensors()
    return interpreter


def _try_in_child(content: bytes, name: str, shape: Sequence[int] | None) -> str | None:
    """Returns what went wrong when another process loaded and ran the model, or None if nothing did."""
    trial = name, hashlib.sha256(content).digest(), tuple(shape or ())
    if trial in _sound:
        return None
    problem = try_in_child(__file__, name, *map(str, shape or ()), content=content)
    if problem is not None:
        return problem
    _sound.add(trial)
    return None


def _trial(name: str, shape: Sequence[int] | None) -> None:
    """The child's part: loads the model that stands on stdin, runs it once, on zeros, and reads what it gives."""
    interpreter_class = _import_interpreter(name)
    try:
        interpreter = _allocate(interpreter_class(model_content=sys.stdin.buffer.read(), num_threads=1), shape)
        for tensor in interpreter.get_input_details():
            interpreter.set_tensor(tensor["index"], np.zeros(tensor["shape"], tensor["dtype"]))
        interpreter.invoke()
        for key in interpreter.get_signature_list():
            runner = interpreter.get_signature_runner(key)
            for tensor in (*runner.get_input_details().values(), *runner.get_output_details().values()):
                interpreter.get_tensor(tensor["index"])
    except Exception as error:
        sys.stdout.write(str(error) or repr(error))
        sys.exit(1)


@contextlib.contextmanager
def _without_chatter() -> Iterator[None]:
    """Drops the INFO lines that the runtimes write straight to file descriptor 2; passes everything else on."""
    if sys.stderr is None:  # Started with descriptor 2 closed.
        yield
        return
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        with _scratch_file() as caught:
            os.dup2(caught.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(saved, 2)
                caught.seek(0)
                for line in caught:
                    if not line.startswith(b"INFO:"):
                        with contextlib.suppress(OSError):  # nobody can hear it: a full disk, a closed pipe
                            os.write(2, line)
    finally:
        os.close(saved)


def _scratch_file() -> IO[bytes]:
    """Opens a file without a name: in memory where the system can, since a disk may be full or read-only."""
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("stderr"), "w+b")
    return tempfile.TemporaryFile()


if __name__ == "__main__":
    _trial(sys.argv[1], [int(size) for size in sys.argv[2:]] or None)
