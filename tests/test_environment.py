"""The commands find the packages that setup.sh installed, whichever Python they are typed with."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import venv

import pytest
from conftest import ROOT

COMMAND = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from environment import use_venv
use_venv(Path(sys.argv[2]))
print(sys.prefix, *sys.argv[3:], sep="|")
"""


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """A virtual environment such as setup.sh makes, with packages by the names that are looked for."""
    return make_venv(tmp_path_factory.mktemp("ready") / ".venv", packages=True)


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A virtual environment of someone else, without packages."""
    return make_venv(tmp_path_factory.mktemp("bare") / "other", packages=False)


def make_venv(folder, packages):
    venv.create(folder, symlinks=True)
    if packages:
        for name in ("cv2", "numpy"):
            package = folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages" / name
            package.mkdir()
            (package / "__init__.py").touch()
    return folder


def run(python, script, target, *arguments):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [str(python), str(script), str(ROOT), str(target), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "command.py"
    path.write_text(COMMAND)
    return path


def test_a_python_without_the_packages_goes_on_in_setups_environment(ready, bare, script):
    result = run(bare / "bin" / "python", script, ready, "--top-k", "a b")

    assert result.stdout.strip() == f"{ready}|--top-k|a b"


def test_a_command_given_as_a_module_stays_one(ready, bare, tmp_path):
    package = tmp_path / "tool"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("from tool import part\n" + COMMAND)
    (package / "part.py").touch()  # found only where the package is
    command = [str(bare / "bin" / "python"), "-m", "tool", str(ROOT), str(ready), "--report"]

    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert result.stdout.strip() == f"{ready}|--report", result.stderr


def test_setups_environment_and_another_that_has_the_packages_are_left_alone(ready, bare, script):
    assert run(ready / "bin" / "python", script, ready).stdout.strip() == str(ready)
    assert run(ready / "bin" / "python", script, bare).stdout.strip() == str(ready)


def test_without_setup_it_says_what_to_do(bare, script, tmp_path):
    result = run(bare / "bin" / "python", script, tmp_path / "none")

    assert result.returncode == 6
    assert "cv2 and numpy not installed" in result.stderr
    assert result.stderr.rstrip().endswith("run ./setup.sh")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("classify.py", "classify.py"),
        ("train.py fit", "train.py"),
        ("-m compiler in.tflite -o out.tflite", "compiler"),
        ("-m models list", "models"),
        ("models list", "models"),
    ],
)
def test_each_command_asks_for_the_packages_before_it_imports_one(bare, tmp_path, command, name):
    """On a copy, since this folder may have its .venv; with -m the folder's __init__.py comes first."""
    for pattern in ("*.py", "compiler/**/*.py", "models/*.py"):
        for source in ROOT.glob(pattern):
            target = tmp_path / source.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    typed = [str(bare / "bin" / "python"), *command.split()]

    result = subprocess.run(typed, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert result.returncode == 6 and len(result.stderr.splitlines()) == 1, result.stderr
    assert result.stderr.startswith(f"{name}: cv2 and numpy not installed")


@pytest.mark.parametrize("command", ["classify.py", "train.py fit", "evaluate.py", "benchmark.py"])
def test_ctrl_c_during_the_first_imports_ends_it_without_a_word(command, tmp_path):
    """The package below stands for one that takes its time."""
    (tmp_path / "cv2.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\nraise SystemExit('missed')\n"
    )
    script, *arguments = command.split()
    done = subprocess.run(
        [sys.executable, str(ROOT / script), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # the tests may run under nohup
    )
    assert (done.stdout, done.stderr) == ("", "")
    assert done.returncode == -signal.SIGINT
