"""Worker processes that crash, and what is told of them."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from archive_jobs import Acting
from conftest import ROOT

from archive.analyser import Analysis
from archive.patterns import File
from archive.pool import Pool
from errors import ModelError, UserError


def files(*names):
    return [File(f"/{name}", name, 10, 0) for name in names]


def outcomes(tmp_path, *names, jobs=2, **options):
    """By name, what came of each; none may come twice."""
    found = {}
    with Pool(Acting(str(tmp_path)), jobs, **options) as pool:
        for file, outcome in pool.run(files(*names), threading.Event(), lambda: None):
            assert file.name not in found
            found[file.name] = outcome
    return found


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_file_that_crashes_its_worker_is_noted_and_the_others_go_on(tmp_path, jobs):
    found = outcomes(tmp_path, "good-1", "crash-1", "good-2", "exit-1", "good-3", jobs=jobs)

    assert {name for name, outcome in found.items() if isinstance(outcome, Analysis)} == {"good-1", "good-2", "good-3"}
    assert "crashes" in found["crash-1"] and "egmentation" in found["crash-1"]
    assert "status 3" in found["exit-1"]


def test_a_file_whose_worker_died_once_has_a_second_chance(tmp_path):
    found = outcomes(tmp_path, "unlucky-1", "good-1")

    assert all(isinstance(outcome, Analysis) for outcome in found.values())
    assert len(list(tmp_path.glob("unlucky-1.*"))) == 2
    assert len(list(tmp_path.glob("good-1.*"))) == 1


def test_a_file_that_hangs_its_worker_is_noted_and_the_others_go_on(tmp_path):
    found = outcomes(tmp_path, "slow-1", "patient-1", "good-1", patience=4)

    assert found.pop("slow-1") == "it hangs what reads it (no frame in 4 s)"
    assert [isinstance(outcome, Analysis) for outcome in found.values()] == [True, True]
    assert len(list(tmp_path.glob("slow-1.*"))) == 2
    assert not any(is_alive(int(note.read_text())) for note in tmp_path.glob("slow-*"))


def test_large_results_arrive_and_what_goes_wrong_is_one_line(tmp_path):
    found = outcomes(tmp_path, "large-1", "unreadable-1", "strange-1", "large-2")

    assert len(found["large-1"].lines) == len(found["large-2"].lines) == 300_000
    assert found["unreadable-1"] == "it is no video"
    assert found["strange-1"] == "ValueError: something"


def test_a_model_that_is_of_no_use_ends_it(tmp_path):
    with pytest.raises(ModelError, match="damaged"):
        outcomes(tmp_path, "model-1", "good-1")


def test_if_no_process_can_start_it_says_so(tmp_path):
    with Pool(Acting(str(tmp_path), crash_at_start=True), 2) as pool, pytest.raises(UserError, match="memory"):
        list(pool.run(files("good-1", "good-2"), threading.Event(), lambda: None))


def test_it_stops_at_once_and_leaves_no_process(tmp_path):
    stop = threading.Event()
    begun = []

    def meanwhile():
        if len(list(tmp_path.glob("slow-*"))) == 2 and not stop.is_set():
            stop.set()
            begun.append(time.monotonic())

    with Pool(Acting(str(tmp_path)), 2) as pool:
        assert list(pool.run(files("slow-1", "slow-2", "good-1"), stop, meanwhile)) == []

    assert time.monotonic() - begun[0] < 2
    for note in tmp_path.glob("slow-*"):
        assert not is_alive(int(note.read_text()))


def test_workers_end_with_who_started_them(tmp_path):
    code = (
        f"import sys, threading; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'tests')!r}]\n"
        "from archive_jobs import Acting; from archive.patterns import File; from archive.pool import Pool\n"
        f"with Pool(Acting({str(tmp_path)!r}), 1) as pool:\n"
        "    list(pool.run([File('/slow-1', 'slow-1', 1, 0)], threading.Event(), lambda: None))\n"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as program:
        worker = wait_for(lambda: next(((int(n.read_text() or 0)) for n in tmp_path.glob("slow-1.0")), 0))
        assert is_alive(worker)
        program.kill()

    wait_for(lambda: not is_alive(worker))


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_for(condition):
    end = time.monotonic() + 30
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError("it didn't happen")
