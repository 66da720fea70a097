"""The choice of a runtime, and loading model files of every kind of bad."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import skip_without_schema

from errors import ModelError, PackageError, UserError
from runtime import Runtime, choose_runtime, load_interpreter

ROOT = Path(__file__).resolve().parent.parent
MODULES = {"litert": "ai_edge_litert", "tflite": "tflite_runtime", "tensorflow": "tensorflow"}


def hide(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Makes runtimes look as if they weren't installed."""
    hidden = {MODULES[name] for name in names}

    class Nothing:
        @staticmethod
        def find_spec(module: str, *_: object) -> None:
            if module.split(".")[0] in hidden:
                raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    for module in [each for each in sys.modules if each.split(".")[0] in hidden]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(sys, "meta_path", [Nothing, *sys.meta_path])


def refusal(model: Path, runtime: str) -> str:
    with pytest.raises(ModelError) as caught:
        load_interpreter(model, choose_runtime(runtime), 1)
    text = str(caught.value)
    assert len(text.splitlines()) == 1 and str(model) in text and len(text) < 400
    return text


def test_line_names_package_and_version(runtime: str) -> None:
    package, _, version = str(choose_runtime(runtime)).partition(" ")
    assert package in ("ai-edge-litert", "tflite-runtime", "tensorflow")
    assert version[0].isdigit()


def test_auto_prefers_litert_and_falls_back(monkeypatch: pytest.MonkeyPatch, runtime: str) -> None:
    better = {"litert": (), "tflite": ("litert",), "tensorflow": ("litert", "tflite")}[runtime]
    hide(monkeypatch, *better)
    assert choose_runtime("auto").name == runtime


def test_nothing_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, *MODULES)
    with pytest.raises(PackageError) as caught:
        choose_runtime()
    text = str(caught.value)
    assert "\n" not in text
    assert "ai-edge-litert is not installed" in text and "tensorflow is not installed" in text
    assert text.endswith("try ./setup.sh")
    with pytest.raises(PackageError, match="ai-edge-litert is not installed.* --runtime auto"):
        choose_runtime("litert")


def test_tflite_runtime_with_numpy_2_is_unusable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "__version__", "2.1.3")
    with pytest.raises(PackageError, match="tflite-runtime needs numpy below 2, found 2.1.3"):
        choose_runtime("tflite")


def test_unknown_runtime() -> None:
    with pytest.raises(UserError, match="'onnx'.*auto, litert, tflite"):
        choose_runtime("onnx")


def test_missing_empty_folder_and_other_files(tmp_path: Path, runtime: str) -> None:
    (tmp_path / "empty.tflite").touch()
    (tmp_path / "page.tflite").write_text("<html><body>404 Not Found</body></html>\n")
    (tmp_path / "short.tflite").write_bytes(b"\x1c\0\0")
    assert "No such file" in refusal(tmp_path / "missing.tflite", runtime)
    assert "folder" in refusal(tmp_path, runtime)
    assert "empty" in refusal(tmp_path / "empty.tflite", runtime)
    assert "not a .tflite file" in refusal(tmp_path / "page.tflite", runtime)
    assert "not a .tflite file" in refusal(tmp_path / "short.tflite", runtime)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_unreadable_file(tmp_path: Path, tiny_model: Path, runtime: str) -> None:
    path = tmp_path / "secret.tflite"
    path.write_bytes(tiny_model.read_bytes())
    path.chmod(0)
    assert "Permission denied" in refusal(path, runtime)


def test_truncated_files_are_refused(tmp_path: Path, tiny_model: Path, runtime: str) -> None:
    whole = tiny_model.read_bytes()
    for length in (8, 24, 100, 1000, 3000, len(whole) - 400):
        path = tmp_path / f"first_{length}.tflite"
        path.write_bytes(whole[:length])
        refusal(path, runtime)


def test_truncated_real_model_is_refused(tmp_path: Path, movinet_model: Path, runtime: str) -> None:
    whole = movinet_model.read_bytes()
    for length in (4096, 1_000_000, len(whole) - 5000):
        path = tmp_path / f"first_{length}.tflite"
        path.write_bytes(whole[:length])
        refusal(path, runtime)


def test_random_bytes_behind_the_right_mark_are_refused(tmp_path: Path, runtime: str) -> None:
    source = random.Random(0)
    for length in (16, 300, 5000):
        path = tmp_path / f"random_{length}.tflite"
        path.write_bytes(source.randbytes(4) + b"TFL3" + source.randbytes(length))
        refusal(path, runtime)


def test_flipped_bytes_load_or_are_refused(tmp_path: Path, tiny_model: Path, runtime: str) -> None:
    """A flipped weight can't be seen; a flipped offset must not take the process down."""
    source = random.Random(0)
    refused = 0
    for number in range(8):
        damaged = bytearray(tiny_model.read_bytes())
        for _ in range(20):
            damaged[source.randrange(8, len(damaged))] ^= 1 << source.randrange(8)
        path = tmp_path / f"flipped_{number}.tflite"
        path.write_bytes(damaged)
        try:
            load_interpreter(path, choose_runtime(runtime), 1)
        except ModelError as error:
            assert len(str(error).splitlines()) == 1
            refused += 1
    assert refused > 0


def test_reason_of_the_runtime_is_passed_on(tmp_path: Path, tiny_model: Path) -> None:
    """An operator that the runtime doesn't know is named, not just called damage."""
    skip_without_schema()
    from make_tiny_models import Graph, schema

    graph = Graph()
    values = graph.take("image", (1, 1), {})
    graph.give("logits", graph.add("CUSTOM", [values], graph.tensor((1, 1))), {})
    graph.model.operatorCodes[0].customCode = "DetectFairies"
    assert graph.model.operatorCodes[0].builtinCode == schema.BuiltinOperator.CUSTOM
    path = tmp_path / "custom.tflite"
    path.write_bytes(graph.file(["call"]))
    assert "DetectFairies" in refusal(path, "auto")


def test_loads_quietly_from_anywhere(tmp_path: Path, tiny_model: Path, runtime: str) -> None:
    """As a library: from another working directory, with only sys.path to find it, and without a word on stderr."""
    (tmp_path / "runtime.py").write_text("raise SystemExit('the wrong module')")
    (tmp_path / "errors.py").write_text("raise SystemExit('the wrong module')")
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import runtime\n"
        f"runtime.load_interpreter({str(tiny_model)!r}, runtime.choose_runtime({runtime!r}), 2).invoke(); print('ran')"
    )
    flags = ["-P"] if sys.version_info >= (3, 11) else []
    done = subprocess.run([sys.executable, *flags, "-c", program], cwd=tmp_path, capture_output=True, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == (b"ran\n", b"", 0)


def test_loads_with_stderr_closed(tiny_model: Path, runtime: str) -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import runtime\n"
        f"runtime.load_interpreter({str(tiny_model)!r}, runtime.choose_runtime({runtime!r}), 1); print('loaded')"
    )
    shell = ["sh", "-c", '"$0" -c "$1" 2>&-', sys.executable, program]
    assert subprocess.run(shell, stdout=subprocess.PIPE, timeout=60).stdout == b"loaded\n"


def test_only_chatter_is_dropped(tiny_model: Path, runtime: str, capfd: pytest.CaptureFixture[str]) -> None:
    real = choose_runtime(runtime)

    def noisy(**arguments: object) -> object:
        os.write(2, b"INFO: Created a delegate.\nERROR: the roof is on fire\n")
        return real.interpreter(**arguments)

    load_interpreter(tiny_model, Runtime(real.name, real.package, real.version, noisy), 1)
    assert capfd.readouterr().err == "ERROR: the roof is on fire\n"


def test_what_the_runtime_says_to_nobody_is_no_reason_to_refuse_a_model(tiny_model: Path, runtime: str) -> None:
    program = (
        f"import os, sys; sys.path.insert(0, {str(ROOT)!r}); import runtime\n"
        f"real = runtime.choose_runtime({runtime!r})\n"
        "def noisy(**arguments):\n"
        "    os.write(2, b'ERROR: the roof is on fire')\n"
        "    return real.interpreter(**arguments)\n"
        "noisy = runtime.Runtime(real.name, real.package, real.version, noisy)\n"
        f"runtime.load_interpreter({str(tiny_model)!r}, noisy, 1); print('loaded')"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stderr.close()  # as a terminal or a pipe may be
        assert process.stdout.read() == b"loaded\n"


def test_a_disk_without_room_is_no_reason_to_refuse_a_model(
    tmp_path: Path, tiny_model: Path, runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a start with a full card, when there is no folder for temporary files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    load_interpreter(tiny_model, choose_runtime(runtime), 1).invoke()
