"""Checks of the machine: heat, power, memory, disk, clock, permissions. What it can't tell is left out: a PC its power.

They read the files of the kernel and a few commands, and load no package, so that they run in the doctor's own process.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable, Sequence

from checks import Finding, ok, problem, warning
from thermal import Heat, read_heat

ROOT = Path(__file__).resolve().parent.parent

_HOT = 80.0  # degrees Celsius
_LITTLE_MEMORY = 200e6  # bytes; the program takes 120 MB, and its window some more
_LITTLE_DISK = 500e6  # bytes; the models, as published and compiled, take a tenth of it
_COMMAND_SECONDS = 5.0
_CAMERA_DEVICES = ("video*", "media*", "dma_heap/*")
_COOLING = "give it a heat sink, a fan or more air"
_JOIN_VIDEO = "type: sudo usermod -aG video $USER, then log in again"
# The firmware's flags from bit 0 on, as they are now; the same from bit 16 on, since the start.
_FLAGS = ("under-voltage", "clock capped", "throttled", "soft temperature limit")
_SINCE_START = 16


def run_command(command: Sequence[str]) -> str:
    """Returns what a command prints on standard output.

    Raises:
        OSError: It isn't there.
        subprocess.SubprocessError: It fails or takes too long.
    """
    child = subprocess.run(command, capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=True)
    return child.stdout.strip()


def board(proc: str = "/proc") -> str:
    """Returns the board's name as its firmware gives it, "Raspberry Pi 5 Model B Rev 1.0"; "" on a PC."""
    try:
        return (Path(proc) / "device-tree/model").read_text(errors="replace").strip("\0\n")
    except OSError:
        return ""


def is_raspberry_pi(proc: str = "/proc") -> bool:
    return "Raspberry Pi" in board(proc)


def check_python() -> Finding:
    """Looks at the interpreter, and which environment's packages it takes."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < (3, 9):
        return problem(f"{version} is too old; run ./setup.sh --python PATH with 3.9 or newer")
    if sys.prefix == sys.base_prefix:
        return warning(f"{version} ({sys.executable}) without the environment of setup.sh; run ./setup.sh")
    bits = 64 if sys.maxsize > 2**32 else 32
    on = f" on {board()}" if board() else ""
    return ok(f"{version}, {bits}-bit, environment {_short(Path(sys.prefix))}{on}")


def check_temperature(heat: Heat | None = None) -> Finding | None:
    """Looks how hot the processor is; by default at this machine's."""
    temperature = (heat or read_heat()).temperature
    if temperature is None:
        return None
    if temperature >= _HOT:
        return warning(f"{temperature:.0f} °C, where a Pi slows down; {_COOLING}")
    return ok(f"{temperature:.0f} °C")


def check_power(heat: Heat | None = None, proc: str = "/proc") -> Finding | None:
    """Looks whether a Pi had to slow down, for want of volts or from heat; by default at this machine."""
    flags = (heat or read_heat()).flags
    if flags is None:
        asked = f"the firmware doesn't answer; {_JOIN_VIDEO}"
        return warning(asked) if is_raspberry_pi(proc) else None
    if not flags:
        return ok("enough, and never slowed down since the start")
    parts = []
    for when, shift in (("now", 0), ("since the start", _SINCE_START)):
        names = [name for bit, name in enumerate(_FLAGS) if flags >> shift >> bit & 1]
        parts += [f"{when}: {', '.join(names)}"] * bool(names)
    under_voltage = flags & (1 | 1 << _SINCE_START)
    remedy = "use the power supply made for this Pi and a short cable" if under_voltage else _COOLING
    return warning(f"{'; '.join(parts)} ({flags:#x}); {remedy}")


def check_memory(proc: str = "/proc") -> Finding:
    """Looks at what memory is left."""
    lines = (line.split() for line in (Path(proc) / "meminfo").read_text().splitlines())
    sizes = {words[0]: int(words[1]) * 1024 for words in lines}
    free, total = sizes["MemAvailable:"], sizes["MemTotal:"]
    text = f"{_size(free)} of {_size(total)} free"
    if free < _LITTLE_MEMORY:
        return warning(f"{text}, which is little; close other programs, above all browsers")
    return ok(text)


def check_disk(folder: Path = ROOT) -> Finding:
    """Looks at the disk that the program lies on."""
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return warning(f"{folder} can't be written to; a worn SD card does that, then put in a new one")
    free = shutil.disk_usage(folder).free
    if free < _LITTLE_DISK:
        return warning(f"{_size(free)} free, which is little; models and recordings need room")
    return ok(f"{_size(free)} free")


def check_devices(folder: str = "/dev") -> Finding | None:
    """Looks whether this user may open the devices that cameras are reached through."""
    nodes = sorted(node for pattern in _CAMERA_DEVICES for node in Path(folder).glob(pattern))
    closed = [str(node) for node in nodes if not os.access(node, os.R_OK | os.W_OK, effective_ids=True)]
    if closed:
        more = f" and {len(closed) - 1} more" if len(closed) > 1 else ""
        return warning(f"no permission for {closed[0]}{more}; {_JOIN_VIDEO}")
    return ok("open to this user") if nodes else None


def check_clock(run: Callable[[Sequence[str]], str] = run_command) -> Finding | None:
    """Asks systemd whether the clock is right: most Pis have none that runs while they are off."""
    try:
        answer = run(["timedatectl", "show", "--property=NTPSynchronized", "--value"])
    except (OSError, subprocess.SubprocessError):
        return None
    if answer == "no":
        return warning("not set by a time server, so times in the output may be wrong; connect it to a network")
    return ok("set by a time server")


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _short(path: Path) -> str:
    """Returns a path as it reads best: below the program's folder from there."""
    return str(path.relative_to(ROOT)) if ROOT in path.parents else str(path)
