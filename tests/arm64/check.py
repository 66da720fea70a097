#!/usr/bin/env python3
"""Installs and runs the program's packages for a Raspberry Pi on a PC, and compares what the models say.

    .venv/bin/python tests/arm64/check.py [--arch armhf] [--folder FOLDER] [MODEL.tflite ...]

Takes minutes and fetches 500 MB, so that it isn't part of the tests; see README.md. The exit status is 1 if the
packages can't be installed or don't run, if the demo doesn't, or if a model says something else there than here.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT), str(HERE.parent)]

from test_requirements import BOOKWORM_PI, BOOKWORM_PI_32_BIT, PIP_FOR_TARGET, REQUIREMENTS, TRIXIE_PI, Target  # noqa: E402

from sources.play import Play  # noqa: E402

MODELS = (
    ROOT / "tests" / "data" / "tiny.tflite",
    ROOT / "tests" / "data" / "tiny_quantized.tflite",
    ROOT / "models" / "movinet_a0_demo.tflite",
)
FRAMES = 40  # at 5 a second
DEMO = (
    *(str(ROOT / "classify.py"), "--source", "demo", "--display", "none", "--max-frames", "30"),
    *("--model", str(MODELS[0]), "--labels", str(MODELS[0].with_suffix(".txt"))),
)
# Root mean square of the differences between logits, as a share of the spread of the logits. On ARM, OpenCV 5 shrinks
# frames with KleidiCV, which rounds one pixel in twenty to the next grey level: .002 of the demo's model. Integers are
# rounded in other places by other processors' kernels, and what is rounded otherwise is carried on in the state.
FLOAT_TOLERANCE, INTEGER_TOLERANCE = 0.01, 0.15
INTEGER_SAME_TOP = 0.9  # share of the frames


@dataclass(frozen=True)
class System:
    """What is emulated.

    Attributes:
        suite: Debian's name for the system that Raspberry Pi OS is made of.
        target: Its Python.
        board: Whose processor it is.
        processor: QEMU's name for that.
        arch: Debian's name for its instructions.
    """

    suite: str
    target: Target
    board: str
    processor: str
    arch: str = "arm64"

    @property
    def name(self) -> str:
        return self.suite if self.arch == "arm64" else f"{self.suite}-{self.arch}"

    def __str__(self) -> str:
        return f"{self.name}, Python {self.target.python}, as on a {self.board}"


SYSTEMS = (System("bookworm", BOOKWORM_PI, "Pi 4", "cortex-a72"), System("trixie", TRIXIE_PI, "Pi 5", "cortex-a76"))
# "max": the emulator of 32-bit programs has no name for the mode in which a 64-bit processor runs them.
SYSTEMS_32_BIT = (System("bookworm", BOOKWORM_PI_32_BIT, "Pi 4", "max", "armhf"),)


def make_qemu(folder: Path) -> Path:
    """Returns the emulators' folder. Bookworm's own, 7.2, runs the models wrongly; Trixie's is linked statically."""
    root = folder / "qemu"
    extract(root, "trixie", "qemu-user")
    return root / "usr" / "bin"


def install(system: System, folder: Path) -> tuple[Path, Path]:
    """Returns two folders: the system with its Python, and the packages of requirements.txt for it."""
    root, packages = folder / system.name / "root", folder / system.name / "packages"
    with_numpy = ("python3-numpy", "python3-opencv", "python3-av") if system.arch == "armhf" else ()  # see setup.sh
    extract(root, system.suite, "python3", "libgl1", "libglib2.0-0", *with_numpy, f"--arch={system.arch}")
    if not (root / "lib").exists():  # a link that Trixie's base-files makes as it is configured, which needs an ARM
        (root / "lib").symlink_to("usr/lib")
    for library in ("blas", "lapack"):  # links of that kind, too
        link = root / "usr" / "lib" / "arm-linux-gnueabihf" / f"lib{library}.so.3"
        if link.parent.exists() and not link.is_symlink():
            link.symlink_to(f"{library}/{link.name}")
    shutil.rmtree(packages, ignore_errors=True)  # what pip chooses is part of what is checked
    pip = ["install", "--quiet", "--no-compile", "--target", str(packages), *system.target.pip_options]
    environment = json.dumps(system.target.environment)
    requirements = ["--requirement", str(REQUIREMENTS)]
    if with_numpy:  # which pip doesn't see from here
        lines = [line for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines() if not line.startswith("numpy")]
        wanted = root.with_name("requirements.txt")
        wanted.write_text("\n".join(lines), encoding="utf-8")
        requirements = ["--no-deps", "--requirement", str(wanted), "flatbuffers"]  # what tflite needs
    run(sys.executable, "-c", PIP_FOR_TARGET, environment, *pip, *requirements)
    return root, packages


def make_python(system: System, qemu: Path, folder: Path) -> Path:
    """Returns a command that is the system's Python with the packages of requirements.txt, emulated."""
    root, packages = install(system, folder)
    command = root.with_name("python")
    emulator = qemu / ("qemu-arm" if system.arch == "armhf" else "qemu-aarch64")
    paths = f"{packages}:{root}/usr/lib/python3/dist-packages"
    # Without chroot: QEMU looks into its prefix for every file first, and takes /proc and /sys from here. Python calls
    # itself by the name that -0 gives, so that it starts child processes emulated as well.
    command.write_text(
        f"""#!/bin/sh
export QEMU_CPU={system.processor} QEMU_LD_PREFIX='{root}' PYTHONHOME='{root}/usr' PYTHONPATH='{paths}'
exec '{emulator}' -0 "$0" '{root}/usr/bin/python{system.target.python}' "$@"
"""
    )
    command.chmod(0o755)
    return command


def extract(root: Path, suite: str, *packages: str) -> None:
    """Unpacks Debian packages, and all that they need, without running anything of them."""
    if root.exists():
        return
    options = [package for package in packages if package.startswith("--")]
    names = ",".join(package for package in packages if not package.startswith("--"))
    partial = root.with_name(root.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.parent.mkdir(parents=True, exist_ok=True)
    run("mmdebstrap", "--quiet", "--variant=extract", *options, f"--include={names}", suite, str(partial))
    partial.rename(root)


def run(*command: str, **environment: str) -> None:
    # Without the caller's settings for Python, which would be taken for the emulated one's.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    result = subprocess.run(command, env={**kept, **environment}, stdin=subprocess.DEVNULL)
    if result.returncode:
        sys.exit(f"check.py: {Path(command[0]).name} ended with status {result.returncode}")


def ask(python: Path | str, folder: Path, name: str, models: list[Path]) -> dict[str, np.ndarray]:
    """Returns the logits of each runtime, model and arithmetic under this Python; see answers.py."""
    answers = folder / f"{name}.npz"
    with tempfile.TemporaryDirectory() as cache:  # so that every model is compiled there
        run(
            str(python),
            str(HERE / "answers.py"),
            str(folder / "frames.npy"),
            str(answers),
            *map(str, models),
            XDG_CACHE_HOME=cache,
            PYTHONDONTWRITEBYTECODE="1",
        )
    with np.load(answers) as file:
        return dict(file)


def compare(expected: dict[str, np.ndarray], found: dict[str, np.ndarray], runtime: str) -> list[str]:
    """Prints a line for each model; returns what is wrong.

    Args:
        expected: From this machine.
        found: From the emulated one. A runtime that is missing here is compared with another one here.
        runtime: The one that must be there.
    """
    here = {**{key.split(" ", 1)[1]: logits for key, logits in expected.items()}, **expected}
    wrong = [f"{key}: no answer" for key in expected if key.startswith(runtime) and key not in found]
    print(f"  {'runtime, model, arithmetic':48} same top-1  largest difference  error / spread")
    for key, logits in found.items():
        reference = here.get(key, here.get(key.split(" ", 1)[1]))
        if reference is None:
            wrong.append(f"{key}: no answer here")
            continue
        difference = logits - reference
        spread = np.std(reference - reference.mean(axis=1, keepdims=True))
        error = float(np.sqrt(np.mean(difference**2)) / spread)
        same = float(np.mean(logits.argmax(axis=1) == reference.argmax(axis=1)))
        print(f"  {key:48} {same:10.0%} {np.abs(difference).max():19.2g} {error:15.2g}")
        tolerance, least = (FLOAT_TOLERANCE, 1.0) if key.endswith(" float") else (INTEGER_TOLERANCE, INTEGER_SAME_TOP)
        if not error <= tolerance or same < least:
            wrong.append(f"{key}: other answers than here")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("models", nargs="*", type=Path, help="default: the tests' tiny ones and the demo's")
    parser.add_argument("--arch", choices=("arm64", "armhf"), default="arm64", help="armhf is 32-bit; default: arm64")
    parser.add_argument("--folder", type=Path, help="keeps the systems there for the next time (default: removed)")
    options = parser.parse_args()
    if not shutil.which("mmdebstrap"):
        sys.exit("check.py: needs mmdebstrap: sudo apt install mmdebstrap")
    models = [model.resolve() for model in options.models or MODELS if options.models or model.exists()]
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.folder or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        film = Play(0)
        np.save(folder / "frames.npy", np.stack([film.draw(index / 5, 320, 240) for index in range(FRAMES)]))
        expected = ask(sys.executable, folder, "here", models)
        qemu = make_qemu(folder)
        wrong = []
        for system in SYSTEMS if options.arch == "arm64" else SYSTEMS_32_BIT:
            python = make_python(system, qemu, folder)
            print(system, flush=True)
            run(str(python), *DEMO, PYTHONDONTWRITEBYTECODE="1")
            found = ask(python, folder, system.name, models)
            runtime = "tflite" if system.arch == "armhf" else "litert"
            wrong += [f"{system.name}: {line}" for line in compare(expected, found, runtime)]
    for line in wrong:
        print(f"check.py: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
