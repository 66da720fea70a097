#!/usr/bin/env python3
"""Runs the whole program for a long time on a camera that fails at random, and checks that nothing grows or drifts.

    .venv/bin/python tests/soak.py --minutes 60 --plot soak.png

The camera (soaking/camera.py) is an MJPEG server that is killed, frozen and restarted, refuses, changes the size of its
pictures and sends damaged ones; the model hangs; at the end the disk fills and the reader of the JSON Lines goes. The
exit status is 1 if memory, descriptors or threads grew, if no steps came any more after a fault, if the same pictures
were labelled otherwise at the end than at the start, or if the program ended otherwise than it should. Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Callable, Sequence

from soaking.camera import ROUND_TIME, SCENE_TIME, SIZE, scene_at
from soaking.report import PERIOD, SETTLING, Fault, Record, Sample, Step, judge, plot

HERE = Path(__file__).resolve().parent
DATA = HERE / "data"
SAMPLE_PERIOD = 0.5  # seconds
START_WITHIN = 90.0  # seconds until the first step, on a busy machine
BACK_WITHIN = 30.0  # seconds until the first step after a fault; later counts as never
END_WITHIN = 10.0  # seconds for the last acts
OTHER_SIZES = ((640, 480), (160, 120), (322, 242))  # width and height in pixels
CALM, FAULT = (3.0, 12.0), (0.5, 6.0)  # seconds, shortest and longest: between two faults; of a fault
READ_TIMEOUT = 2.0  # seconds
MEMORY = 1.0  # seconds: with so little, a scene has nothing of the one before in its end


class Camera:
    """The camera's process."""

    def __init__(self) -> None:
        self._port = "0"
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/cam"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "soaking" / "camera.py"), self._port],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._port = self._process.stdout.readline().strip()

    def tell(self, command: str) -> None:
        print(command, file=self._process.stdin, flush=True)

    def show(self, size: tuple[int, int]) -> None:
        self.tell(f"size {size[0]} {size[1]}")

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()


class Program:
    """classify.py's process, and all that it says.

    Args:
        command: Starts it; it writes JSON Lines to its standard output.
        record: Where samples and steps go.
    """

    def __init__(self, command: Sequence[str], record: Record) -> None:
        self._record = record
        self.messages: list[str] = []
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._reader_stays = threading.Event()
        self._reader_stays.set()
        for work in (self._read_steps, self._read_messages):
            threading.Thread(target=work, daemon=True).start()

    def sample(self) -> None:
        """Looks at the process."""
        folder = Path("/proc", str(self.process.pid))
        try:
            status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
            descriptors = len(os.listdir(folder / "fd"))
            rss = int(status["VmRSS"].split()[0]) * 1024 / 1e6
        except (OSError, KeyError):  # it has ended
            return
        self._record.samples.append(Sample(time.monotonic(), rss, descriptors, int(status["Threads"])))

    def leave(self) -> None:
        """Goes, as a reader of the JSON Lines."""
        self._reader_stays.clear()

    def _read_steps(self) -> None:
        with self.process.stdout as lines:
            for line in lines:
                entry = json.loads(line)
                if "top" in entry:  # not one that tells of an outage
                    top = {item["label"]: item["probability"] for item in entry["top"]}
                    self._record.steps.append(Step(time.monotonic(), entry["timestamp"], top))
                if not self._reader_stays.is_set():
                    return

    def _read_messages(self) -> None:
        with self.process.stderr as lines:
            self.messages.extend(line.rstrip("\n") for line in lines)


class Soak:
    """One run.

    Args:
        command: Starts the program.
        camera: What it looks at.
        recording: The file that it records to.
        seed: Of the faults.
    """

    def __init__(self, command: Sequence[str], camera: Camera, recording: Path, seed: int) -> None:
        self.record = Record()
        self.program = Program(command, self.record)
        self._recording = recording
        self._random = random.Random(seed)
        hang = self.program.process.send_signal
        # How to begin and to end each.
        self._faults: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
            "refusing": (lambda: camera.tell("refuse on"), lambda: camera.tell("refuse off")),
            "killed": (camera.kill, camera.start),
            "frozen": (lambda: camera.signal(signal.SIGSTOP), lambda: camera.signal(signal.SIGCONT)),
            "damaged pictures": (lambda: camera.tell("damage on"), lambda: camera.tell("damage off")),
            "other size": (lambda: camera.show(self._random.choice(OTHER_SIZES)), lambda: camera.show(SIZE)),
            "hanging model": (lambda: hang(signal.SIGUSR1), lambda: hang(signal.SIGUSR2)),
        }

    def run(self, seconds: float, kinds: Sequence[str] | None = None) -> None:
        """Runs for about so long. What must not happen is noted in the record.

        Args:
            seconds: From its first step to its end; at least two rounds.
            kinds: Of faults; None for all.
        """
        record = self.record
        self._wait_until(lambda: bool(record.steps), START_WITHIN, "it gave no step")
        if self._ended():
            return
        end = time.monotonic() + seconds
        record.first_round = self._undisturbed_round()
        last_begin = end - ROUND_TIME - 2 * SCENE_TIME - 2  # 2 s for the last acts
        begin = min((time.monotonic() + last_begin) / 2, record.samples[0].time + SETTLING)
        waiting: list[str] = []
        while time.monotonic() < last_begin and not self._ended():
            self._pass(min(self._random.uniform(*CALM), last_begin - time.monotonic()))
            waiting = waiting or self._shuffled(kinds)
            if waiting and time.monotonic() < last_begin:
                self._inject(waiting.pop())
        record.last_round = self._undisturbed_round()
        record.measured = (begin, time.monotonic())
        if not self._ended():
            self._fill_the_disk()
            self._let_the_reader_go()

    def _shuffled(self, kinds: Sequence[str] | None) -> list[str]:
        chosen = list(self._faults if kinds is None else kinds)
        self._random.shuffle(chosen)
        return chosen

    def _ended(self) -> bool:
        return bool(self.record.errors)

    def _pass(self, seconds: float) -> None:
        self._wait_until(lambda: False, seconds)

    def _wait_until(self, condition: Callable[[], bool], seconds: float, error: str = "") -> None:
        """Samples the program until the condition holds or the time is over, which is then an error."""
        deadline = time.monotonic() + seconds
        due = time.monotonic()
        while not condition() and not self._ended():
            if time.monotonic() >= deadline:
                if error:
                    self._fail(f"{error} within {seconds:g} s")
                return
            if time.monotonic() >= due:
                self.program.sample()
                due += SAMPLE_PERIOD
            if self.program.process.poll() is not None:
                self._fail(f"it ended early, with status {self.program.process.returncode}")
            time.sleep(0.05)

    def _fail(self, reason: str) -> None:
        said = "; its last words: " + self.program.messages[-1] if self.program.messages else ""
        self.record.errors.append(reason + said)

    def _undisturbed_round(self) -> float:
        """Lets a scene and then each of them pass; returns when that round began."""
        begin = SCENE_TIME * (scene_at(time.monotonic()) + 2)
        self._pass(begin + ROUND_TIME + 2 * PERIOD - time.monotonic())
        return begin

    def _inject(self, kind: str) -> None:
        fault = Fault(kind, time.monotonic())
        self.record.faults.append(fault)
        begin, end = self._faults[kind]
        begin()
        self._pass(self._random.uniform(*FAULT))
        end()
        fault.end = time.monotonic()
        steps = self.record.steps
        self._wait_until(lambda: steps[-1].timestamp > fault.end, BACK_WITHIN)
        if steps[-1].timestamp > fault.end:
            fault.back = next(step.arrival for step in steps if step.timestamp > fault.end)
        start = self.record.samples[0].time
        print(
            f"{fault.start - start:7.1f} s: {kind} for {fault.end - fault.start:.1f} s, "
            f"back after {fault.back - fault.end:.1f} s",
            flush=True,
        )

    def _fill_the_disk(self) -> None:
        """Lets no file of the program grow any more: the recording must end, and the labels go on."""
        size = self._recording.stat().st_size
        _, hard = resource.prlimit(self.program.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.program.process.pid, resource.RLIMIT_FSIZE, (size, hard))
        told = lambda: any("recording ended" in line for line in self.program.messages)  # noqa: E731
        self._wait_until(told, END_WITHIN, "it didn't notice that the disk was full")
        count = len(self.record.steps) + 5
        self._wait_until(lambda: len(self.record.steps) >= count, END_WITHIN, "no steps came after the disk was full")

    def _let_the_reader_go(self) -> None:
        """The last output is gone then: the program must end by itself, and call that no error."""
        self.program.leave()
        process = self.program.process
        try:
            status = process.wait(END_WITHIN)
        except subprocess.TimeoutExpired:
            self._fail(f"it didn't end within {END_WITHIN:g} s after the reader of its JSON Lines had gone")
            return
        if status:
            self._fail(f"it ended with status {status} after the reader of its JSON Lines had gone")


def soak(
    seconds: float,
    seed: int = 0,
    kinds: Sequence[str] | None = None,
    further: Sequence[str] = (),
    program: Path = HERE / "soaking" / "program.py",
) -> Soak:
    """Runs the program and ends it, whatever happens.

    Args:
        seconds: From its first step to its end.
        seed: Of the faults.
        kinds: Of faults; None for all.
        further: Flags for classify.py; they win over the usual ones.
        program: What to run, a Python file that takes classify.py's flags.
    """
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        camera = Camera()
        stack.callback(camera.kill)
        recording = Path(folder, "soak.mp4")
        flags = ["--source", camera.url, "--read-timeout", f"{READ_TIMEOUT:g}", "--memory", f"{MEMORY:g}"]
        flags += ["--model", str(DATA / "tiny.tflite"), "--labels", str(DATA / "tiny.txt"), "--top-k", "100"]
        flags += ["--sample-fps", f"{1 / PERIOD:g}", "--display", "none", "--jsonl", "-", "--record", str(recording)]
        run = Soak([sys.executable, str(program), *flags, *further], camera, recording, seed)
        stack.callback(run.program.process.wait)
        stack.callback(run.program.process.kill)
        run.run(seconds, kinds)
    run.record.forgetful = not any("memory is not bounded" in line for line in run.program.messages)
    tracebacks = sum(line.startswith("Traceback") for line in run.program.messages)
    if tracebacks:
        run.record.errors.append(f"{tracebacks} tracebacks; its last words: {run.program.messages[-1]}")
    return run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=2.0, help="how long (default: %(default)g)")
    parser.add_argument("--seed", type=int, default=0, help="other faults at other times (default: %(default)s)")
    parser.add_argument("--faults", nargs="*", metavar="KIND", help="only these (default: all)")
    parser.add_argument("--plot", metavar="FILE", help="draws the run, as PNG; needs matplotlib")
    parser.add_argument("further", nargs="*", metavar="-- FLAG", help="flags of classify.py, after --")
    options = parser.parse_args()
    run = soak(options.minutes * 60, options.seed, options.faults, options.further)
    lines, reasons = judge(run.record)
    print(f"soak of {options.minutes:g} minutes, seed {options.seed}, {len(run.record.faults)} faults")
    print("\n".join(lines))
    for reason in reasons:
        print(f"soak.py: {reason}", file=sys.stderr)
    if options.plot and run.record.steps:
        plot(run.record, options.plot)
    return 1 if reasons else 0


if __name__ == "__main__":
    sys.exit(main())
