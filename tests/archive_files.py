"""What the tests of archives share: small videos, the program, and what it has written."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
from conftest import DATA, ROOT

RED, GREEN, BLUE = (0, 0, 255), (0, 255, 0), (255, 0, 0)
MODEL = ("--model", DATA / "tiny.tflite", "--labels", DATA / "tiny.txt")
LIMIT = 90  # seconds; against hanging only


def write_video(path, parts, size=(64, 48)):
    """Writes plain colours, each for a number of frames of a 30th of a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 30, size)
    for color, frames in parts:
        for _ in range(frames):
            writer.write(np.full((size[1], size[0], 3), color, np.uint8))
    writer.release()
    return path


def start(folder, *flags, python=(sys.executable,)):
    """Starts the program there."""
    command = [*python, str(ROOT / "classify.py"), *map(str, (*MODEL, *flags))]
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def run(folder, *flags):
    """Runs it to its end; returns exit status, standard output and standard error."""
    with start(folder, *flags) as program:
        try:
            output, errors = program.communicate(timeout=LIMIT)
        finally:
            program.kill()
    return program.returncode, output, errors


def query(path, sql):
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as connection:
        return connection.execute(sql).fetchall()


def states(database):
    """By name: the state of each file."""
    return dict(query(database, "SELECT name, state FROM files"))


def events(database):
    """What was found: without ids, which are of one run, and clocks."""
    return sorted(query(database, "SELECT source, label, position, duration, peak, mean FROM events"))


def done(database):
    """How many files are done: 0 before there is a table of them."""
    try:
        return (
            query(database, "SELECT count(*) FROM files WHERE state = 'done'")[0][0] if Path(database).exists() else 0
        )
    except sqlite3.OperationalError:
        return 0
