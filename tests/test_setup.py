"""setup.sh, really run, in a copy of its folder: a real .venv, but stand-ins for apt, sudo and the heavy packages."""

from __future__ import annotations

import dataclasses
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from models.registry import registry

ROOT = Path(__file__).resolve().parent.parent
NEEDED = ["libgl1", "libglib2.0-0", "libsm6", "libxext6", "libxss1"]
SUGGESTION = "python3 classify.py --model movinet_a0_int8.tflite"

# Stand-ins that keep their facts in files beside them: which packages are installed, which apt knows, what was called.
FAKES = {
    "dpkg-query": 'for name; do :; done; grep -qxF "$name" "$FAKES/installed" && printf "installed "',
    "apt-cache": 'grep -xF "$2" "$FAKES/available"',
    "apt-get": """
        echo "$*" >>"$FAKES/calls"
        [ "$1" = install ] || exit 0
        for name; do case $name in -* | install) ;; *) echo "$name" >>"$FAKES/installed" ;; esac; done
        """,
    "id": 'cat "$FAKES/uid"',
    "sudo": '[ -e "$FAKES/sudoer" ] || exit 1; [ "$1" = -n ] && shift; "$@"',
}


@dataclasses.dataclass
class Home:
    """A copy of what setup.sh needs, and the machine around it."""

    folder: Path
    fakes: Path
    environment: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def venv(self) -> Path:
        return self.folder / ".venv"

    def run(self, *flags: str, answer: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs it from another folder. With `answer` it has a terminal, on which that is typed."""
        command = [str(self.folder / "setup.sh"), "--python", sys.executable, *flags]
        keyboard, terminal = pty.openpty()
        try:
            os.write(keyboard, f"{answer}\n".encode())
            return subprocess.run(
                command,
                cwd=self.fakes,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL if answer is None else terminal,
                capture_output=True,
                text=True,
            )
        finally:
            os.close(keyboard)
            os.close(terminal)

    def fact(self, name: str, *lines: str) -> None:
        (self.fakes / name).write_text("".join(f"{line}\n" for line in lines))

    def calls(self) -> str:
        return (self.fakes / "calls").read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all tests, as making a .venv takes seconds."""
    folder = tmp_path_factory.mktemp("setup") / "a path with spaces"
    (folder / "models").mkdir(parents=True)
    shutil.copy(ROOT / "setup.sh", folder)
    return folder


@pytest.fixture
def home(folder: Path, tmp_path: Path) -> Home:
    for name, text in {
        "requirements.txt": "--only-binary :all:\n",
        "requirements-dev.txt": "--only-binary :all:\n",
        "cv2.py": "__version__ = '4.11.0'\n",
        "numpy.py": "__version__ = '1.26.4'\n",
        "runtime.py": "def choose_runtime(): return 'ai-edge-litert 2.3.0'\n",
        "models/__main__.py": "import os, sys; print('models', *sys.argv[1:]); sys.exit(int(os.environ['STATUS']))\n",
    }.items():
        (folder / name).write_text(text)
    fakes = tmp_path / "fakes"
    fakes.mkdir()
    for name, text in FAKES.items():
        (fakes / name).write_text(f"#!/bin/sh\n{text}\n")
        (fakes / name).chmod(0o755)
    home = Home(folder, fakes)
    home.environment = {
        "PATH": f"{fakes}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "FAKES": str(fakes),
        "DEVICE_MODEL": "",
        "STATUS": "0",
        "PIP_NO_INDEX": "1",
        "PIP_CONFIG_FILE": os.devnull,
    }
    home.fact("uid", "0")
    home.fact("installed", *NEEDED)
    home.fact("available", *NEEDED, "python3-picamera2")
    home.fact("calls")
    return home


def test_what_an_interrupted_run_left_is_made_anew(home: Home) -> None:
    assert not home.venv.exists()  # which is why this test comes first: it makes the one that the others use
    (home.folder / "requirements.txt").write_text("no-such-package\n")
    failed = home.run()
    assert failed.returncode == 1 and "no-such-package" in failed.stderr
    (home.venv / "half").touch()
    (home.folder / "requirements.txt").write_text("")
    assert home.run().returncode == 0
    assert not (home.venv / "half").exists()


def test_makes_everything_and_then_leaves_it(home: Home) -> None:
    first = home.run()
    assert first.returncode == 0, first.stderr
    assert "OpenCV 4.11.0, numpy 1.26.4, ai-edge-litert 2.3.0" in first.stdout
    assert "models fetch a0\n" in first.stdout
    assert SUGGESTION in first.stdout and "--source video.mp4" in first.stdout
    # What it says to type works in the shell that it was called from.
    where = next(line for line in first.stdout.splitlines() if line.strip().startswith("cd "))
    shown = subprocess.run(["bash", "-c", f"{where} && pwd"], capture_output=True, text=True).stdout.strip()
    assert Path(shown).resolve() == home.folder.resolve()
    inside = [str(home.venv / "bin/python"), "-c", "import sys; print(sys.prefix)"]
    assert Path(subprocess.check_output(inside, text=True).strip()).resolve() == home.venv.resolve()

    (home.venv / "kept").touch()
    second = home.run()
    assert second.returncode == 0, second.stderr
    assert (home.venv / "kept").exists()
    assert home.calls() == ""  # nothing was missing, so apt was not even asked to look


@pytest.mark.parametrize("harm", ["no python", "renamed folder"])
def test_broken_environment_is_made_anew(home: Home, harm: str) -> None:
    assert home.run().returncode == 0
    (home.venv / "broken").touch()
    if harm == "no python":
        (home.venv / "bin/python").unlink()
        (home.venv / "bin/python").symlink_to("/no/such/python")
    else:
        activate = (home.venv / "bin/activate").read_text()
        (home.venv / "bin/activate").write_text(activate.replace(str(home.folder), "/its/former/name"))
    result = home.run()
    assert result.returncode == 0, result.stderr
    assert "making it anew" in result.stdout
    assert not (home.venv / "broken").exists()


def test_someone_elses_environment_is_not_deleted(home: Home, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(home.folder, elsewhere, ignore=shutil.ignore_patterns(".venv"))
    (elsewhere / ".venv").mkdir()
    (elsewhere / ".venv/precious").touch()
    result = dataclasses.replace(home, folder=elsewhere).run()
    assert result.returncode == 1
    assert "mv .venv .venv.old" in result.stderr
    assert (elsewhere / ".venv/precious").exists()


def test_on_a_pi_the_camera_package_comes_from_apt(home: Home) -> None:
    result = home.run("--yes", DEVICE_MODEL="Raspberry Pi 5 Model B Rev 1.0")
    assert result.returncode == 0, result.stderr
    assert "install" in home.calls() and "python3-picamera2" in home.calls()
    assert "include-system-site-packages = true" in (home.venv / "pyvenv.cfg").read_text()
    assert "Raspberry Pi 5" in result.stdout


def test_on_a_pi_without_raspberry_pi_os_it_goes_on(home: Home) -> None:
    home.fact("available", *NEEDED)
    result = home.run("--yes", DEVICE_MODEL="Raspberry Pi 4 Model B")
    assert result.returncode == 0, result.stderr
    assert "python3-picamera2" in result.stderr and "Raspberry Pi OS" in result.stderr


def test_missing_libraries_are_installed_after_updating_the_lists(home: Home) -> None:
    home.fact("installed", "libgl1")
    result = home.run("--yes")
    assert result.returncode == 0, result.stderr
    update, install = home.calls().splitlines()
    assert update.startswith("update")
    assert install.split()[-4:] == ["libglib2.0-0", "libsm6", "libxext6", "libxss1"]


def test_newer_debian_has_another_name_for_glib(home: Home) -> None:
    home.fact("installed", "libgl1", "libsm6", "libxext6", "libxss1")
    home.fact("available", "libglib2.0-0t64")
    assert home.run("--yes").returncode == 0
    assert home.calls().split()[-1] == "libglib2.0-0t64"
    home.fact("calls")
    assert home.run().returncode == 0  # and it counts as installed
    assert home.calls() == ""


def test_without_the_right_to_install_it_says_what_to_type(home: Home) -> None:
    home.fact("uid", "1000")
    home.fact("installed", "libgl1", "libglib2.0-0")
    result = home.run("--yes")
    assert result.returncode == 1
    command = next(line.strip() for line in result.stderr.splitlines() if line.startswith("    "))
    assert home.calls() == ""
    # Whoever may, can type exactly that.
    home.fact("sudoer")
    subprocess.run(["bash", "-c", command], env=home.environment, check=True)
    assert home.run().returncode == 0


def test_sudo_without_password_is_used(home: Home) -> None:
    home.fact("uid", "1000")
    home.fact("sudoer")
    home.fact("installed")
    assert home.run("--yes").returncode == 0
    assert all(name in home.calls() for name in NEEDED)


def test_asks_before_it_installs(home: Home) -> None:
    home.fact("installed")
    unasked = home.run()
    assert unasked.returncode == 1 and "--yes" in unasked.stderr  # there was nobody to ask
    declined = home.run(answer="n")
    assert declined.returncode == 0 and "libgl1" in declined.stderr
    assert home.calls() == ""
    agreed = home.run(answer="")
    assert agreed.returncode == 0 and "libgl1" in home.calls()


def test_failed_model_download_is_a_warning(home: Home) -> None:
    result = home.run("--models", "a0,a2-float16", STATUS="1")
    assert result.returncode == 0
    assert "models fetch a0 a2-float16\n" in result.stdout
    assert "./setup.sh --models a0,a2-float16" in result.stderr
    assert SUGGESTION in result.stdout


def test_packages_that_do_not_work_are_not_called_ready(home: Home) -> None:
    (home.folder / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')\n")
    result = home.run()
    assert result.returncode == 1
    assert "libGL.so.1" in result.stderr and "Traceback" not in result.stderr
    assert SUGGESTION not in result.stdout


def test_dev_adds_what_the_tests_need(home: Home) -> None:
    (home.folder / "requirements-dev.txt").write_text("no-such-test-package\n")
    home.fact("uid", "1000")
    plain, dev = home.run("--yes"), home.run("--yes", "--dev")
    assert plain.returncode == 0
    assert "xvfb" not in plain.stderr and "xvfb" in dev.stderr  # which it may not install, and goes on
    assert dev.returncode == 1 and "no-such-test-package" in dev.stderr


@pytest.mark.parametrize("flags", [["--frobnicate"], ["extra"], ["--models"], ["--models=a7"], ["--python="]])
def test_wrong_flags_change_nothing(home: Home, flags: list[str]) -> None:
    result = home.run(*flags)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1 and flags[0].partition("=")[0] in result.stderr
    assert result.stdout == "" and home.calls() == ""


def test_help_names_every_model(home: Home) -> None:
    result = home.run("--help")
    assert result.returncode == 0 and result.stderr == ""
    for model in registry().values():
        assert model.alias in result.stdout
        assert home.run("--models", model.name, "--help").returncode == 0
    assert max(map(len, result.stdout.splitlines())) <= 120


def test_help_names_every_extra_and_dev_installs_it(home: Home) -> None:
    extras = {file.stem.partition("-")[2] for file in ROOT.glob("requirements-*.txt")} - {"dev"}
    assert {"timeline", "teach", "remote"} <= extras
    for name in extras:
        assert f"{name} (" in " ".join(home.run("--extras", name, "--help").stdout.split())
        assert f"-r requirements-{name}.txt\n" in (ROOT / "requirements-dev.txt").read_text()
        wrong = home.run(f"--extras={name}s")
        assert wrong.returncode == 2 and name in wrong.stderr


@pytest.mark.parametrize(
    ("version", "pointer", "advice"), [((3, 8), 8, "3.9 or newer"), ((3, 13), 4, "64-bit edition")]
)
def test_a_python_that_can_not_work_is_refused(home: Home, version: tuple[int, int], pointer: int, advice: str) -> None:
    python = home.fakes / "odd python"
    odd = f"import struct, sys; sys.version_info = {version}; struct.calcsize = lambda _: {pointer}"
    code = f"{odd}; sys._base_executable = sys.argv[2]; exec(sys.argv[1])"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{code}" "$2" "$0"\n')
    python.chmod(0o755)
    result = home.run("--python", str(python))
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1 and advice in result.stderr
    assert result.stdout == ""


def test_32_bit_gets_what_stands_in_for_ai_edge_litert(home: Home) -> None:
    """Under a 64-bit kernel, which is what markers see, too."""
    python = home.fakes / "small python"
    small = "import struct, sys; sys.version_info = (3, 11); struct.calcsize = lambda _: 4"
    code = f"{small}; sys._base_executable = sys.argv[2]; exec(sys.argv[1])"
    real = f'"{sys.executable}"'
    python.write_text(f'#!/bin/sh\n[ "$1" = -c ] || exec {real} "$@"\nexec {real} -c "{code}" "$2" "$0"\n')
    python.chmod(0o755)
    home.fact("installed", *NEEDED, "python3-numpy", "python3-opencv", "python3-av")
    shutil.copy(ROOT / "requirements.txt", home.folder)
    result = home.run("--python", str(python))
    assert result.returncode == 1 and "could not install" in result.stderr  # there is no index to install from
    lines = (home.venv / "requirements.txt").read_text().splitlines()
    asked = [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]
    kernel = {"python_version": "3.11", "sys_platform": "linux", "platform_machine": "aarch64"}
    names = {each.name for each in asked if each.marker is None or each.marker.evaluate(kernel)}
    assert names == {"tflite-runtime", "tflite", "numpy", "tqdm"}


def test_shell_finds_no_fault() -> None:
    for script in ("setup.sh", ".ci/run"):
        assert os.access(ROOT / script, os.X_OK)
        subprocess.run(["bash", "-n", str(ROOT / script)], check=True)
        if shutil.which("shellcheck"):
            subprocess.run(["shellcheck", str(ROOT / script)], check=True)
