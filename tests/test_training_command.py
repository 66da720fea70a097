"""`python -m training` and `python -m training.evaluate`: mistakes, Ctrl-C, and what is kept."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable

import pytest
from conftest import ROOT

from training.__main__ import main

MANY = 240  # seconds: against hanging only

# What the programs below have in common: a handful of steps, and little to measure.
SMALL = """
import os, signal, sys
import training.evaluate as evaluate
evaluate.CLIPS, evaluate.STREAMS, evaluate.LONG_STREAMS, evaluate._LONG = 14, 8, 1, 20
"""
TRAINING = (
    SMALL
    + """
import torch
torch.set_num_threads(1)
import training.__main__ as command
import training.train as train
train.CURRICULUM = (train.Stage(64, 2, 6, 2), train.Stage(80, 2, 6, 2))
"""
)
INTERRUPTED = (
    TRAINING
    + """
command._KEPT_EVERY = 2
losses, loss = [], train._loss
def interrupted(*arguments):
    losses.append(0)
    if len(losses) == 3:
        os.kill({who}, signal.{name})
    return loss(*arguments)
train._loss = interrupted
"""
)
RUN = "sys.exit(command.main(sys.argv[1:]))"


def run(*command: object, **options: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": ""}
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=MANY,
        **{"env": environment, **options},
    )


@pytest.fixture
def out(tmp_path: Path) -> Path:
    for name in ("models", "labels"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.mark.parametrize(
    "module, missing, advice",
    [("training", "torch, litert_torch", "training/README.md"), ("training.evaluate", "numpy, cv2", "./setup.sh")],
)
def test_missing_packages_are_named_in_one_line(module: str, missing: str, advice: str) -> None:
    ended = run("-S", "-m", module)  # a Python without any
    assert ended.returncode == 6
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"python -m {module}: {missing}") and advice in line


@pytest.mark.parametrize(
    "flags, status, words",
    [
        (["--seed", "-2"], 2, "--seed -2 is not between 0 and 98"),
        (["--seed", "99"], 2, "--seed 99 is not between 0 and 98"),
        (["--seed", "x"], 2, "--seed: invalid int value: 'x'"),
        (["--sed", "1"], 2, "unknown flag '--sed', did you mean '--seed'?"),
        (
            ["--weights", "{out}/runs/x.pt"],
            5,
            "can't write {out}/runs/x.pt: No such file or directory; make its folder",
        ),
        (["--weights", "{out}"], 5, "can't write {out}: it is a folder"),
        (["--weights", "{out}/x.json"], 2, "--weights {out}/x.json is where the figures go"),
        (["--out", "{out}/labels"], 5, "can't write {out}/labels/models/movinet_a0_demo.tflite: No such file"),
        (["--out", "/dev/null"], 5, "can't write /dev/null/models/movinet_a0_demo.tflite: Not a directory"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(
    out: Path, capfd: pytest.CaptureFixture[str], flags: list[str], status: int, words: str
) -> None:
    """PyTorch isn't even loaded: these tests pass without it."""
    where = ["--weights", "{out}/demo.pt", "--out", "{out}", *flags]
    assert main([each.format(out=out) for each in where]) == status
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("python -m training: ") and words.format(out=out) in line
    assert sorted(file.name for file in out.rglob("*")) == ["labels", "models"]


def test_help_of_measuring_measures_nothing() -> None:
    ended = run("-m", "training.evaluate", "--help")
    assert ended.returncode == 0 and ended.stdout.startswith("usage: python -m training.evaluate")
    ended = run("-m", "training.evaluate", "--help-me")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "python -m training.evaluate: unknown flag '--help-me', did you mean '--help'?; see --help\n"


@pytest.mark.timeout(MANY)
def test_measuring_needs_the_programs_packages_only(tmp_path: Path) -> None:
    for name in ("tqdm", "torch"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('blocked')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    ended = run("-c", SMALL + "sys.exit(evaluate.main([]))", env=environment)
    assert ended.returncode == 0, ended.stderr
    measured = json.loads(ended.stdout)
    assert (measured["clips"], measured["streams"]) == (14, 8)
    assert measured["fresh"][9] > 0.9


@pytest.mark.timeout(MANY)
@pytest.mark.parametrize("number, everyone", [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_measuring_ends_at_once_with_all_its_processes(tmp_path: Path, number: int, everyone: bool) -> None:
    """Ctrl-C on a terminal goes to all of them, a service's end to the first."""
    errors = tmp_path / "errors"
    with open(errors, "w") as stderr:
        program = subprocess.Popen(
            [sys.executable, "-m", "training.evaluate"],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
    try:
        wait_for(lambda: "fresh clips" in errors.read_text())  # ten seconds after the first
        (os.killpg if everyone else os.kill)(program.pid, number)
        assert program.wait(60) == 128 + number  # measuring takes minutes
        with pytest.raises(ProcessLookupError):
            os.killpg(program.pid, 0)
    finally:
        if program.poll() is None:
            os.killpg(program.pid, signal.SIGKILL)
            program.wait()
    assert all(line.startswith("fresh clips: ") for line in errors.read_text().splitlines())


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + MANY / 2
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.timeout(2 * MANY)
def test_ctrl_c_keeps_what_is_trained_and_the_same_command_goes_on(out: Path) -> None:
    """All of it is run: trained for four steps, exported, measured."""
    torch = needs_training()
    from training.kept import read_kept
    from training.train import Stage, train

    file = out / "demo.pt"
    command = ["--seed", "1", "--weights", file, "--out", out]
    # As a terminal does it: all processes of the group, those that draw clips too.
    program = INTERRUPTED.format(who=0, name="SIGINT") + RUN
    stopped = run("-c", program, *command, start_new_session=True)
    assert stopped.returncode == 130, stopped.stderr
    assert own_lines(stopped) == [f"stopped after 3 of 4 steps, kept in {file}: the same command goes on"]
    assert "Traceback" not in stopped.stderr
    assert not list((out / "models").iterdir())

    ended = run("-c", TRAINING + RUN, *command)
    assert ended.returncode == 1, ended.stderr  # the model has learnt nothing in four steps
    assert own_lines(ended) == [f"{file} is there, trained from seed 1 for 3 of 4 steps: going on"]
    assert "NOT REACHED" in ended.stdout and "Traceback" not in ended.stderr
    card = (out / "models" / "movinet_a0_demo.md").read_text()
    assert "seed 1;" in card and "| as often right after 5,000 frames as in the first thousand (" in card
    assert json.loads((out / "demo.json").read_text())["clips"] == 14
    torch.set_num_threads(1)
    whole = train(1, (Stage(64, 2, 6, 2), Stage(80, 2, 6, 2))).state_dict()
    weights = read_kept(file, 1).weights
    assert all(torch.equal(whole[name], weights[name]) for name in whole)

    refused = run("-m", "training", "--seed", "7", "--weights", file, "--out", out)
    assert refused.returncode == 2
    assert f"python -m training: {file} was trained from seed 1, not 7; give another" in refused.stderr


@pytest.mark.timeout(MANY)
def test_a_crash_costs_the_last_minutes_only(out: Path) -> None:
    needs_training()
    from training.kept import read_kept

    program = INTERRUPTED.format(who="os.getpid()", name="SIGKILL") + RUN
    assert run("-c", program, "--weights", out / "demo.pt", "--out", out).returncode == -signal.SIGKILL
    assert read_kept(out / "demo.pt", 0).unfinished["step"] == 2


def needs_training() -> object:
    """Skips a test where the packages of training/ are missing; returns torch."""
    for package in ("litert_torch", "ai_edge_quantizer"):
        pytest.importorskip(package, reason=f"needs {package}: pip install -r training/requirements.txt")
    return pytest.importorskip("torch")


def own_lines(ended: subprocess.CompletedProcess[str]) -> list[str]:
    """Returns what the program itself said, without the progress bar and the packages' own words."""
    return re.findall(r"^(?:stopped after|.* is there).*$", ended.stderr, re.MULTILINE)
