#!/usr/bin/env python3
"""Counts the instructions of a step, and of the bare run in it, on a Raspberry Pi's processors, emulated on a PC.

    .venv/bin/python tests/arm64/cost.py [--folder FOLDER] [--suite SUITE] [MODEL.tflite ...]

Each model is run as benchmark.py runs it, by every runtime there, with one thread. Takes minutes; see README.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Iterator

import numpy as np
from check import MODELS, ROOT, SYSTEMS, extract, install, run
from guest import ANSWER

from compiled import prepare
from measuring import PLAIN_LOOP, PRECISIONS, PUBLISHED
from runtime import choose_runtime, load_interpreter, read_model
from signature import read_signature

HERE = Path(__file__).resolve().parent
RUNTIMES = {"litert": "ai_edge_litert", "tflite": "tflite_runtime"}
STEPS = 10  # They hardly differ.


def plan(models: list[Path], runtimes: list[str], folder: Path) -> Iterator[dict[str, Any]]:
    """Yields what measuring.row is to run, and as "form" what that is. Compiles here, where it is quick."""
    host = choose_runtime("auto")
    for model in models:
        classes = read_signature(load_interpreter(model, host, 1), model).logits.shape[1]
        forms = [(PLAIN_LOOP, PLAIN_LOOP, model), (PUBLISHED, PUBLISHED, model)]
        for form, precision in PRECISIONS.items():
            prepared = prepare(model, read_model(model), host, precision, for_engine=True)
            if not prepared.compiled:
                print(f"{model.name}, {form}: {prepared.note}")
                continue
            file = folder / f"{model.stem}_{precision}.tflite"
            file.write_bytes(prepared.content)
            forms.append((form, PUBLISHED, file))
        for runtime in runtimes:
            for form, variant, file in forms:
                row = {"model": model.name, "form": form, "variant": variant, "file": str(file), "runtime": runtime}
                yield {**row, "threads": 1, "classes": classes, "steps": STEPS}


def make_machine(folder: Path) -> list[str]:
    """Returns the command that starts the emulator, Trixie's as in check.py, with a kernel that needs no modules."""
    root, kernel = folder / "machine", folder / "kernel"
    extract(root, "trixie", "qemu-system-arm")
    extract(kernel, "trixie", "linux-image-cloud-arm64", "--arch=arm64")
    loader = next((root / "usr" / "lib").glob("*/ld-linux-*.so.*"))  # This PC's C library may be too old.
    command = [loader, "--library-path", loader.parent, root / "usr/bin/qemu-system-aarch64"]
    command += ["-L", root / "usr/share/qemu", "-kernel", next((kernel / "boot").glob("vmlinuz-*"))]
    # One instruction takes one nanosecond of the machine's time.
    count = "-M virt -m 1500 -icount shift=0,sleep=off -no-reboot -nic none -display none -monitor none -serial stdio"
    return [*map(str, command), *count.split()]


def make_disk(disk: Path, root: Path, packages: Path, rows: list[dict[str, Any]]) -> None:
    """Writes a file system: the emulated Linux, the packages, this program, the models, and what is to be run."""
    with tempfile.TemporaryDirectory(dir=disk.parent) as scratch:
        content = Path(scratch) / "content"
        shutil.copytree(root, content, symlinks=True, ignore=shutil.ignore_patterns("dev", "var"))
        shutil.copytree(packages, content / "packages")
        shutil.copytree(ROOT, content / "program", ignore=_no_program)
        shutil.copy(HERE / "guest.py", content)
        for name in ("dev", "proc", "sys", "models"):
            (content / name).mkdir(exist_ok=True)
        for row in rows:
            shutil.copy(row["file"], content / "models")
        inside = [{**row, "file": f"/models/{Path(row['file']).name}"} for row in rows]
        (content / "rows.json").write_text(json.dumps(inside))
        disk.write_bytes(b"")  # else mke2fs says that it makes it
        run("/sbin/mke2fs", "-q", "-t", "ext4", "-d", str(content), str(disk), "2G")


def _no_program(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name[0] == "." or not (name.endswith(".py") or Path(folder, name).is_dir())]


def measure(machine: list[str], disk: Path, python: str, processor: str) -> Iterator[dict[str, Any]]:
    """Yields what measuring.row says of each row."""
    command = [*machine, "-cpu", processor]
    command += ["-drive", f"file={disk},format=raw,if=none,id=disk", "-device", "nvme,serial=1,drive=disk", "-append"]
    command += [f"root=/dev/nvme0n1 rw console=ttyAMA0 quiet init={python} PYTHONPATH=/packages -- /guest.py"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stdout or ():
                if line.startswith(ANSWER):
                    yield json.loads(line[len(ANSWER) :])
        finally:
            process.kill()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("models", nargs="*", type=Path, help="default: the demo's")
    parser.add_argument("--folder", type=Path, help="keeps the systems there for the next time (default: removed)")
    systems = {system.suite: system for system in SYSTEMS}
    parser.add_argument("--suite", choices=systems, default=SYSTEMS[0].suite, help="default: %(default)s")
    options = parser.parse_args()
    for tool in ("mmdebstrap", "/sbin/mke2fs"):
        if not shutil.which(tool):
            sys.exit(f"cost.py: needs {tool}: sudo apt install mmdebstrap e2fsprogs")
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.folder or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        system = systems[options.suite]
        root, packages = install(system, folder)
        runtimes = [name for name, package in RUNTIMES.items() if (packages / package).exists()]
        rows = list(plan(options.models or [MODELS[-1]], runtimes, Path(scratch)))
        machine, disk = make_machine(folder), folder / "disk"
        make_disk(disk, root, packages, rows)
        for each in SYSTEMS:
            print(f"\n{each.processor} ({each.board}), {system.suite}; million instructions, one thread")
            print(f"  {'model':28} {'runtime':8} {'form':16} {'invoke':>7} {'step':>7}  step / invoke")
            answers = measure(machine, disk, f"/usr/bin/python{system.target.python}", each.processor)
            for row in rows:
                answer = next(answers, {"problem": "the emulated machine died"})
                name = f"  {row['model']:28} {row['runtime']:8} {row['form']:16}"
                if "problem" in answer:
                    print(f"{name} {answer['problem']}", flush=True)
                    continue
                invoke, step = (float(np.median(answer[what])) * 1e3 for what in ("invokes", "steps"))
                print(f"{name} {invoke:7.1f} {step:7.1f} {step / invoke:14.2f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
