"""The cache of compiled models, and the memory that they take, as a classifier meets them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
from conftest import ROOT, skip_without_schema

import compiled
from compiled import Prepared, prepare
from compiler.graph import load, save
from errors import ModelError, NotUnderstood
from runtime import choose_runtime
from user_cache import prune
from video_classifier import VideoClassifier

skip_without_schema()


pytestmark = pytest.mark.usefixtures("cache")


def test_what_was_proved_is_not_tried_again(
    cache: Path, tiny_model: Path, tiny_labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    red = np.full((32, 32, 3), (255, 0, 0), np.uint8)
    with VideoClassifier(tiny_model, tiny_labels, precision="float") as classifier:
        first = classifier.step(red).logits
    monkeypatch.setattr("runtime.try_in_child", lambda *_, **__: "must not be asked")
    with VideoClassifier(tiny_model, tiny_labels, precision="float") as classifier:
        np.testing.assert_array_equal(classifier.step(red).logits, first)


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:100] + b"?" + b[101:], lambda b: b""])
def test_a_damaged_cache_is_mended(
    cache: Path, tiny_model: Path, tiny_labels: Path, damage: Callable[[bytes], bytes]
) -> None:
    def notes() -> list[str]:
        with VideoClassifier(tiny_model, tiny_labels, precision="float", memory=12) as classifier:
            assert classifier.compiled and classifier.step(np.zeros((32, 32, 3), np.uint8)).top[0].label == "dark"
            return classifier.notes

    assert notes()[0].startswith("compiled to float")
    (remembered,) = cache.iterdir()
    remembered.write_bytes(damage(remembered.read_bytes()))
    assert notes()[0].startswith("compiled to float")
    assert notes() == []


def test_a_refusal_is_remembered(cache: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its proof may take 10 s on a Pi; the line that says why comes each time."""
    tries = []

    def refuse(*_: Any) -> None:
        tries.append(1)
        raise NotUnderstood("it's Sunday")

    monkeypatch.setattr("compiler.build.compile_best", refuse)
    notes = [prepare("odd", tiny_model.read_bytes(), choose_runtime()).note for _ in range(2)]
    assert notes == ["not compiled, so slower: it's Sunday"] * 2 and len(tries) == 1

    (remembered,) = cache.iterdir()
    remembered.write_bytes(remembered.read_bytes()[:-1])
    assert prepare("odd", tiny_model.read_bytes(), choose_runtime()).note == notes[0] and len(tries) == 2


def test_a_runtimes_refusal_is_not_remembered(cache: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine may have been out of memory."""

    def refuse(*_: Any) -> None:
        raise ModelError("odd: the runtime ended")

    with monkeypatch.context() as patch:
        patch.setattr("compiler.build.compile_best", refuse)
        assert not prepare("odd", tiny_model.read_bytes(), choose_runtime()).compiled
    assert prepare("odd", tiny_model.read_bytes(), choose_runtime()).compiled


def test_what_nobody_used_for_long_leaves_the_cache(cache: Path, tiny_model: Path, tiny_labels: Path) -> None:
    """Each model takes megabytes there, and each update of the program makes them anew."""

    def load(precision: str) -> None:
        VideoClassifier(tiny_model, tiny_labels, precision=precision).close()

    load("float")
    (used,) = cache.iterdir()
    unused = cache / "of an earlier version"
    unused.write_bytes(b"anything")
    for file in (used, unused):
        os.utime(file, (time.time() - 100 * 24 * 3600,) * 2)
    load("float")
    assert unused.exists()  # Nothing was compiled.
    load("auto")
    assert used.exists() and not unused.exists()


def test_the_number_of_threads_is_measured_once(
    tiny_model: Path, tiny_labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not again at the second start, when the compiled file comes from the cache."""
    measured = []
    monkeypatch.setattr("tuning.available_cores", lambda: 2)
    monkeypatch.setattr("video_classifier.time_runs", lambda _: measured.append(1) or 1.0)
    VideoClassifier(tiny_model, tiny_labels, precision="float", threads="auto").close()
    assert measured
    measured.clear()
    for _ in range(2):
        VideoClassifier(tiny_model, tiny_labels, precision="float", threads="auto").close()
    assert not measured


def test_a_cache_that_the_runtime_cannot_name(
    tiny_model: Path, tiny_labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    try:
        os.mkdir(folder)
    except OSError:
        pytest.skip("this file system has no such names")
    monkeypatch.setenv("XDG_CACHE_HOME", folder)
    for _ in range(2):
        with VideoClassifier(tiny_model, tiny_labels, precision="float", memory=12) as classifier:
            assert classifier.compiled and classifier.step(np.zeros((32, 32, 3), np.uint8)).top[0].label == "dark"


@pytest.mark.parametrize("file", ["signature.py", "compiler/passes/border.py", "memory.py"])
def test_what_other_versions_compiled_is_not_used(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(root: Path) -> bytes:
        monkeypatch.setattr(compiled, "_ROOT", root)
        compiled._compiler_version.cache_clear()
        return compiled._compiler_version()

    before = version(ROOT)
    for path in (*ROOT.glob("*.py"), *ROOT.glob("compiler/**/*.py")):
        copied = tmp_path / path.relative_to(ROOT)
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_bytes(path.read_bytes())
    assert version(tmp_path) == before
    with open(tmp_path / file, "a") as source:
        source.write("# another version\n")
    assert version(tmp_path) != before
    compiled._compiler_version.cache_clear()


def test_the_longest_unused_leave_a_full_cache(tmp_path: Path) -> None:
    for age, name in enumerate(["new", "old", "older"]):
        (tmp_path / name).write_bytes(bytes(100))
        os.utime(tmp_path / name, (time.time() - age * 3600,) * 2)
    prune(tmp_path, most_bytes=200)
    assert {path.name for path in tmp_path.iterdir()} == {"new", "old"}


def test_without_a_cache_it_runs_all_the_same(tiny_model: Path, tiny_labels: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with VideoClassifier(tiny_model, tiny_labels, precision="float", memory=12) as classifier:
        assert classifier.compiled and classifier.step(np.zeros((32, 32, 3), np.uint8)).top[0].label == "dark"


def test_a_user_without_a_home_has_no_cache(tiny_model: Path, tiny_labels: Path, tmp_path: Path) -> None:
    """As in a container that is run under a number. The folder "~" isn't one either."""
    program = (
        f"import os, sys; sys.path.insert(0, {str(ROOT)!r}); os.getuid = lambda: 2**31 - 5\n"
        "from video_classifier import VideoClassifier\n"
        f"model, labels = {str(tiny_model)!r}, {str(tiny_labels)!r}\n"
        "with VideoClassifier(model, labels, precision='float', threads='auto') as classifier:\n"
        "    print(classifier.notes[0])\n"
    )
    environment = {name: text for name, text in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout.partition(" in ")[0]) == (0, "compiled to float"), done.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="this system doesn't tell what is in memory")
def test_the_mapped_weights_take_no_memory(cache: Path, demo_model: Path, demo_labels: Path, runtime: str) -> None:
    """The kernels have copied them. Nor is a second copy of the file kept elsewhere: it is 10 MB."""
    frames = np.random.default_rng(1).integers(0, 256, (3, 172, 172, 3), np.uint8)

    def logits() -> list[np.ndarray]:
        with VideoClassifier(demo_model, demo_labels, precision="float", runtime=runtime) as classifier:
            steps = [classifier.step(frame).logits for frame in frames]
            (file,) = cache.iterdir()
            mapped, resident = memory_of(file)
            assert mapped >= file.stat().st_size > 9e6
            assert resident < mapped / 10
            return steps

    np.testing.assert_array_equal(logits(), logits())


def memory_of(file: Path) -> tuple[int, int]:
    """Returns how many bytes of a file this process has mapped, and how many of them are in memory."""
    mapped = resident = 0
    counts = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "Size" and counts:
            mapped += int(rest.split()[0]) * 1024
        elif name == "Rss" and counts:
            resident += int(rest.split()[0]) * 1024
        elif "-" in line.split(" ")[0]:
            counts = line.endswith(str(file))
    return mapped, resident


# --- what can't be compiled


@pytest.mark.parametrize("kind", ["CONCATENATION", "STRIDED_SLICE", "SUM"])
def test_an_operator_without_its_options_is_run_as_it_is(kind: str, movinet_se_model: Path) -> None:
    """The runtime takes zeros for them; the compiler may stumble."""
    graph = load(movinet_se_model.read_bytes())
    next(operator for operator in graph.operators if operator.kind == kind).options = None
    check_one_line(save(graph))


def test_what_the_compiler_stumbles_over_is_run_as_it_is(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: Any, **__: Any) -> None:
        raise IndexError("of a kind\nthat nobody thought of")

    monkeypatch.setattr("compiler.build.compile_graph", stumble)
    prepared = check_one_line(tiny_model.read_bytes())
    assert not prepared.compiled and "IndexError" in str(prepared.note)


def check_one_line(content: bytes) -> Prepared:
    """Checks that a file that runs is compiled, or left as it is with one line that says why."""
    prepared = prepare("odd", content, choose_runtime(), for_engine=True)
    assert prepared.note is not None and len(prepared.note.splitlines()) == 1
    if not prepared.compiled:
        assert prepared.content == content and prepared.note.startswith("not compiled, so slower: ")
    return prepared
