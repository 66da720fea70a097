"""The benchmark: which rows there are, what they hold, where they go. How fast anything is is not tested."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import benchmark
from measuring import PLAIN_LOOP, PUBLISHED
from measuring.report import compare, table
from runtime import choose_runtime

ROOT = Path(__file__).resolve().parent.parent
VARIANTS = ["plain loop", "published", "compiled float", "compiled int8"]


@pytest.fixture(autouse=True)
def no_display(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmark.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """Text and JSON of a short run on the tiny model with one runtime."""
    file = tmp_path_factory.mktemp("benchmark") / "figures.json"
    tiny = ROOT / "tests" / "data" / "tiny.tflite"
    result = run(tiny, "--runtime", "auto", "--threads", 1, "--steps", 12, "--rounds", 2, "--json", file)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""  # No progress where nobody watches.
    return result.stdout, json.loads(file.read_bytes())


def test_rows_and_their_figures(measured: tuple[str, dict[str, Any]]) -> None:
    rows = measured[1]["rows"]
    assert [row["variant"] for row in rows] == VARIANTS
    runtime = str(choose_runtime())
    for row in rows:
        assert (row["model"], row["runtime"], row["threads"]) == ("tiny.tflite", runtime, 1)
        if "problem" in row:
            assert row["variant"].startswith("compiled") and row["problem"]
            continue
        assert row["steps"] >= 24
        assert 0 < row["step_p50_ms"] <= row["step_p95_ms"]
        assert row["ratio"] == pytest.approx(rows[0]["step_p50_ms"] / row["step_p50_ms"])
        # Python with OpenCV takes more than 20 MB, a tiny model far less than 1 GB; a label is there once it is loaded.
        assert 20 < row["memory_mb"] <= row["peak_memory_mb"] < 1000
        assert 0 < row["load_ms"] < row["first_label_ms"]
    assert rows[0]["ratio"] == 1.0 and "problem" not in rows[1]


def test_names_the_machine(measured: tuple[str, dict[str, Any]]) -> None:
    machine = measured[1]["machine"]
    assert machine["python"] == ".".join(map(str, sys.version_info[:3]))
    assert 1 <= machine["cores"] <= os.cpu_count()
    assert measured[1]["settings"] == {"steps": 12, "rounds": 2}
    assert machine["cpu"] in measured[0] and str(choose_runtime()) in measured[0]


def test_table_fits_a_terminal(measured: tuple[str, dict[str, Any]]) -> None:
    lines = measured[0].splitlines()
    assert all(len(line) <= 100 for line in lines[2:])  # Above it stands the machine.
    for variant in VARIANTS:
        assert sum(line.startswith(f"  {variant} ") for line in lines) == 1


def row(variant: str, step: float, runtime: str = "r", **more: Any) -> dict[str, Any]:
    figures = {"step_p95_ms": step, "invoke_p50_ms": step, "memory_mb": 1, "peak_memory_mb": 1, "load_ms": 1}
    figures["first_label_ms"] = 1
    return {"model": "m", "runtime": runtime, "threads": 1, "variant": variant, "step_p50_ms": step, **figures, **more}


def test_ratio_is_to_the_first_row_of_each_block() -> None:
    rows = [row(PLAIN_LOOP, 20), row(PUBLISHED, 5), row(PLAIN_LOOP, 9, "s"), row(PUBLISHED, 3, "s")]
    assert [each["ratio"] for each in compare(rows)] == [1, 4, 1, 3]


def test_without_a_first_row_there_is_no_ratio() -> None:
    failed = {"model": "m", "runtime": "r", "threads": 1, "variant": PLAIN_LOOP, "problem": "it\ncrashed " + "x" * 200}
    rows = list(compare([failed, row(PUBLISHED, 5)]))
    assert not any("ratio" in each for each in rows)
    text = table(rows)
    assert "it crashed" in text and all(len(line) <= 100 for line in text.splitlines())


def test_plot(tmp_path: Path, measured: tuple[str, dict[str, Any]]) -> None:
    pytest.importorskip("matplotlib", reason="only --plot needs it")
    import cv2

    from measuring.report import write_plot

    path = tmp_path / "plot.png"
    write_plot(path, measured[1]["rows"], measured[1]["machine"])
    height, width, _ = cv2.imread(str(path)).shape
    assert height > 200 and width > 600


def test_plot_without_matplotlib_is_refused_before_measuring(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tiny_model: Path, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)  # As if it weren't installed.
    assert benchmark.main([str(tiny_model), "--plot", str(tmp_path / "x.png")]) == 6
    assert "./setup.sh --extras timeline" in capsys.readouterr().err


def test_unwritable_json_is_one_line(tiny_model: Path, tmp_path: Path) -> None:
    result = run(tiny_model, "--steps", 1, "--rounds", 1, "--threads", 1, "--runtime", "auto",
                 "--json", tmp_path / "no" / "such.json")  # fmt: skip
    assert result.returncode == 5
    assert result.stderr.count("\n") == 1 and "such.json" in result.stderr


def test_missing_model_is_one_line() -> None:
    result = run("no_such_model.tflite")
    assert result.returncode == 3
    assert result.stderr.startswith("benchmark.py: ") and result.stderr.count("\n") == 1


def test_loop_measures_the_whole_program(tiny_model: Path, tmp_path: Path) -> None:
    file = tmp_path / "loop.json"
    result = run(tiny_model, "--loop", "--seconds", 3, "--threads", 1, "--json", file)
    assert result.returncode == 0, result.stderr
    (figures,) = json.loads(file.read_bytes())["rows"]
    assert figures["model"] == "tiny.tflite"
    assert 60 <= figures["camera_frames"] <= 95  # 30 a second
    assert 0 <= figures["frames_dropped"] < 60
    assert 8 <= figures["steps"] <= 17  # 5 a second
    assert 0 < figures["latency_p50_ms"] <= figures["latency_p95_ms"] < 3000
    assert 0 < figures["cpu_seconds_a_minute"] < 60 * (os.cpu_count() or 1)
    assert "tiny.tflite" in result.stdout and all(len(line) <= 100 for line in result.stdout.splitlines()[2:])


def test_capture_loop_keeps_the_rate_that_one_thread_loses() -> None:
    result = run("--loop", "--step-ms", 400, "--stall", 1, "--seconds", 2, "--rounds", 1)
    assert result.returncode == 0, result.stderr
    rows = {line[:14].strip(): line[14:].split() for line in result.stdout.splitlines()}
    # Steps of 400 ms, one after another, leave a window 2.5 redraws a second and some; a camera gives 30.
    assert float(rows["one thread"][0]) < 10 < float(rows["capture loop"][0])


def test_step_ms_belongs_to_the_loop(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        benchmark.main(["--step-ms", "300"])
    assert end.value.code == 2 and "--loop" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--json", "--plot"])
def test_a_file_that_cannot_be_written_is_told_before_the_work(tmp_path: Path, flag: str) -> None:
    if flag == "--plot":
        pytest.importorskip("matplotlib", reason="only what draws is asked where to")
    result = run(ROOT / "tests" / "data" / "tiny.tflite", "--steps", 1_000_000, flag, tmp_path / "missing" / "x.png")
    assert result.returncode == 5
    assert len(result.stderr.splitlines()) == 1 and "there is no such folder" in result.stderr, result.stderr
