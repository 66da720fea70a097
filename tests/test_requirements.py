"""requirements.txt on the systems that the program is for: what pip would install on each, asked of pip itself."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements.txt"

# pip picks wheels for the --python-version and --platform that it is given, but evaluates environment markers (ours,
# and those of every dependency) for the Python that runs it. So it is run with the target's values in their place.
PIP_FOR_TARGET = """
import json, sys
from pip._internal.cli.main import main
from pip._vendor.packaging import markers
environment = {**markers.default_environment(), **json.loads(sys.argv[1])}
markers.default_environment = lambda: dict(environment)
sys.exit(main(sys.argv[2:]))
"""


@dataclass(frozen=True)
class Target:
    """A system: its Python, machine, and the minor version of its GNU C library (2.x)."""

    name: str
    python: str
    machine: str
    glibc: int

    @property
    def environment(self) -> dict[str, str]:
        """The values of PEP 508's environment markers there."""
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
        }

    @property
    def pip_options(self) -> list[str]:
        """What tells pip to choose wheels for it."""
        abi = f"cp{self.python.replace('.', '')}"
        options = ["--python-version", self.python, "--implementation", "cp", "--only-binary=:all:"]
        options += ["--abi", abi, "--abi", "abi3", "--abi", "none"]
        for minor in range(self.glibc, 16, -1):
            options += ["--platform", f"manylinux_2_{minor}_{self.machine}"]
        return options + ["--platform", f"manylinux2014_{self.machine}", "--platform", f"linux_{self.machine}"]


BOOKWORM_PI = Target("Bookworm on a Pi", "3.11", "aarch64", 36)
BOOKWORM_PI_32_BIT = Target("32-bit Bookworm", "3.11", "armv7l", 36)
TRIXIE_PI = Target("Trixie on a Pi", "3.13", "aarch64", 41)
TARGETS = [
    Target("Bullseye on a Pi", "3.9", "aarch64", 31),
    Target("Bullseye on a PC", "3.9", "x86_64", 31),
    Target("Ubuntu 22.04 on a PC", "3.10", "x86_64", 35),
    BOOKWORM_PI,
    Target("Bookworm on a PC", "3.11", "x86_64", 36),
    Target("Ubuntu 24.04 on a PC", "3.12", "x86_64", 39),
    TRIXIE_PI,
    Target("Trixie on a PC", "3.13", "x86_64", 41),
]


# What apt has there, and what the Pi's camera library was built against.
APT_NUMPY = {BOOKWORM_PI: "numpy==1.24.2", TRIXIE_PI: "numpy==2.2.4"}


def resolve(target: Target, *extra: str) -> dict[str, Version]:
    """Returns what pip would install there from requirements.txt, and from `extra` requirements, as name: version."""
    command = ["install", "--dry-run", "--quiet", "--report", "-", "--ignore-installed", "--target", "unused"]
    command += ["--use-feature=fast-deps", *target.pip_options, "--requirement", str(REQUIREMENTS), *extra]
    pip = subprocess.run(
        [sys.executable, "-c", PIP_FOR_TARGET, json.dumps(target.environment), *command],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert pip.returncode == 0, f"{target.name}: {pip.stderr}"
    chosen = [item["metadata"] for item in json.loads(pip.stdout)["install"]]
    return {canonicalize_name(item["name"]): Version(item["version"]) for item in chosen}


@pytest.fixture(scope="module")
def index() -> None:
    """Skips where pip is too old to resolve without downloading hundreds of megabytes, or reaches no index."""
    version = metadata.version("pip")
    if Version(version) < Version("25.3"):
        pytest.skip(f"pip {version} downloads whole wheels to resolve; requirements-dev.txt asks for a newer one")
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--no-deps", "--ignore-installed"]
    command += ["--retries=0", "--timeout=5", "--target", "unused", *BOOKWORM_PI.pip_options, "tflite-runtime"]
    asked = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if asked.returncode:
        pytest.skip(f"pip reaches no package index: {asked.stderr.strip().splitlines()[-1]}")


@pytest.fixture(scope="module")
def resolutions(index: None) -> Iterator[dict[Any, Future[dict[str, Version]]]]:
    """The arguments of each resolution, and its result. pip mostly waits for the index, so several run at once."""
    with ThreadPoolExecutor(4) as executor:
        wanted = [(target,) for target in TARGETS] + list(APT_NUMPY.items())
        yield {arguments: executor.submit(resolve, *arguments) for arguments in wanted}


@pytest.mark.network
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: f"{target.python}-{target.machine}")
def test_resolves(resolutions: dict[Any, Future[dict[str, Version]]], target: Target) -> None:
    chosen = resolutions[(target,)].result()
    python = Version(target.python)
    numpy, opencv = chosen["numpy"], chosen["opencv-python"]

    assert numpy.major == (1 if python < Version("3.12") else 2)
    # As their release notes have it: since 4.12 the wheel asks for numpy 2, and is no use beside numpy 1.
    assert (opencv >= Version("4.12")) == (numpy.major == 2)
    assert "opencv-python-headless" not in chosen
    assert ("tflite-runtime" in chosen) == (numpy.major == 1)  # no wheel after 3.11, no numpy 2
    assert "ai-edge-litert" in chosen and "tflite" not in chosen
    assert ("tomli" in chosen) == (python < Version("3.11"))
    assert "av" in chosen


@pytest.mark.network
@pytest.mark.parametrize(("target", "numpy"), APT_NUMPY.items(), ids=APT_NUMPY.values())
def test_the_numpy_of_a_pi_may_stay(
    resolutions: dict[Any, Future[dict[str, Version]]], target: Target, numpy: str
) -> None:
    assert str(resolutions[(target, numpy)].result()["numpy"]) == numpy.partition("==")[2]


def requirements() -> list[Requirement]:
    lines = [line.split(" #")[0].strip() for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def names(target: Target) -> set[str]:
    return {item.name for item in requirements() if item.marker is None or item.marker.evaluate(target.environment)}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: f"{target.python}-{target.machine}")
def test_every_system_gets_a_runtime_and_a_camera(target: Target) -> None:
    assert {"numpy", "opencv-python", "av"} <= names(target)
    assert names(target) & {"tflite-runtime", "ai-edge-litert"}
    assert len(names(target) & {"tflite", "ai-edge-litert"}) == 1  # what the compiler knows the format from


def test_32_bit_gets_only_what_has_wheels_there() -> None:
    """PyPI has no OpenCV and no ai-edge-litert for 32-bit ARM; setup.sh takes OpenCV and PyAV from apt."""
    assert names(BOOKWORM_PI_32_BIT) == {"tflite-runtime", "tflite", "numpy", "tqdm"}


def test_ranges_are_closed() -> None:
    """A next major version is nobody's surprise: every range has an upper bound."""
    for item in requirements():
        assert any(specifier.operator == "<" for specifier in item.specifier), item
