"""The first process of the machine that cost.py emulates: measures the rows in /rows.json, then switches it off.

In that machine's time an instruction takes a nanosecond, so that a clock counts instructions.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time

ANSWER = "answer: "
_POWER_OFF = 0x4321FEDC


def main() -> None:
    libc = ctypes.CDLL(None)
    for kind, where in ((b"proc", b"/proc"), (b"sysfs", b"/sys"), (b"devtmpfs", b"/dev")):
        libc.mount(kind, where, kind, 0, None)
    console = os.open("/dev/console", os.O_RDWR)
    for descriptor in range(3):
        os.dup2(console, descriptor)
    with open("/rows.json", encoding="utf-8") as file:
        rows = json.load(file)
    for row in rows:
        row["start"] = time.monotonic()
        command = [sys.executable, "-m", "measuring.row", json.dumps(row)]
        child = subprocess.run(command, cwd="/program", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        lines = (child.stderr if child.returncode else child.stdout).splitlines()
        answer = {"problem": lines[-1] if lines else "died"} if child.returncode else json.loads(lines[-1])
        os.write(console, f"\n{ANSWER}{json.dumps(answer)}\n".encode())
    libc.reboot(_POWER_OFF)


if __name__ == "__main__":
    main()
