"""setup.sh --service, really run, into a folder that stands for /; the unit judged by systemd's own tools."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

from options import parse_options

NAME = "movinet-pi"
# A name of a folder that every layer in between, the shell, the unit and systemd, might take for something else.
CLONE = 'my 100% "clone", $HOME'

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a system user, even in another folder")
needs_systemd = pytest.mark.skipif(shutil.which("systemctl") is None, reason="needs systemd's tools")


@dataclasses.dataclass
class Machine:
    """A clone, and the root of a system around it."""

    clone: Path
    root: Path

    def setup(self, *flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.clone / "setup.sh"), *flags],
            cwd=self.root,
            env={**os.environ, "DESTDIR": str(self.root), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    @property
    def unit(self) -> Path:
        return self.root / f"etc/systemd/system/{NAME}.service"

    @property
    def boot_link(self) -> Path:
        return self.root / f"etc/systemd/system/multi-user.target.wants/{NAME}.service"

    @property
    def settings(self) -> Path:
        return self.root / f"etc/{NAME}/config.toml"

    def user(self) -> list[str] | None:
        lines = (self.root / "etc/passwd").read_text().splitlines()
        return next((line.split(":") for line in lines if line.startswith(f"{NAME}:")), None)

    def groups(self) -> set[str]:
        """Returns the names of the groups that the user is in, besides its own."""
        lines = [line.split(":") for line in (self.root / "etc/group").read_text().splitlines()]
        return {name for name, _, _, members in lines if NAME in members.split(",")}


@pytest.fixture
def machine(tmp_path) -> Machine:
    clone, root = tmp_path / CLONE, tmp_path / "root"
    clone.mkdir(mode=0o755)
    shutil.copy(ROOT / "setup.sh", clone)
    shutil.copytree(ROOT / "service", clone / "service")
    (clone / ".venv/bin").mkdir(parents=True)
    (clone / ".venv/bin/python").symlink_to("/bin/true")
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
    (root / "etc/group").write_text("root:x:0:\nvideo:x:44:\nrender:x:106:\naudio:x:29:\n")
    for name in ("shadow", "gshadow"):
        (root / "etc" / name).touch()
    return Machine(clone, root)


@pytest.fixture
def installed(machine: Machine) -> Machine:
    result = machine.setup("--service")
    assert result.returncode == 0, result.stderr
    return machine


@needs_root
@needs_systemd
def test_installing_gives_it_a_unit_a_user_and_settings(installed: Machine):
    assert installed.boot_link.is_symlink()  # it starts at boot
    name, _, user, group, _, home, shell = installed.user()
    assert 0 < int(user) < 1000 and shell.endswith("nologin") and home == f"/var/lib/{NAME}"
    assert installed.groups() == {"video", "render"}
    # The settings may hold a camera's password: the service may read them, others not, and only root may write them.
    status = installed.settings.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (0, int(group), 0o640)


@needs_root
@needs_systemd
def test_only_a_service_that_was_started_is_called_so(machine: Machine):
    output = machine.setup("--service").stdout
    assert f"Starts at every boot of the system in {machine.root}." in output and "now" not in output


@needs_root
@needs_systemd
def test_a_second_time_changes_nothing_and_keeps_the_settings(installed: Machine):
    installed.settings.write_text('source = "usb:0"\n')
    before = installed.unit.read_text(), installed.user(), installed.groups()

    again = installed.setup("--service")

    assert again.returncode == 0, again.stderr
    assert (installed.unit.read_text(), installed.user(), installed.groups()) == before
    assert installed.settings.read_text() == 'source = "usb:0"\n'


@needs_root
@needs_systemd
def test_groups_that_the_system_lacks_are_left_out(machine: Machine):
    (machine.root / "etc/group").write_text("root:x:0:\nvideo:x:44:\n")
    result = machine.setup("--service")
    assert result.returncode == 0, result.stderr
    assert machine.groups() == {"video"}


@needs_root
@needs_systemd
def test_removing_keeps_recordings_and_settings_for_root(installed: Machine):
    recording = installed.root / f"var/lib/{NAME}/out.mp4"
    cache = installed.root / f"var/cache/{NAME}"
    for folder in (recording.parent, cache, installed.unit.with_suffix(".service.d")):
        folder.mkdir(parents=True)
    recording.touch()
    os.chown(recording, int(installed.user()[2]), int(installed.user()[3]))

    result = installed.setup("--uninstall-service")

    assert result.returncode == 0, result.stderr
    assert not installed.unit.exists() and not os.path.lexists(installed.boot_link) and not cache.exists()
    assert not installed.unit.with_suffix(".service.d").exists()
    assert installed.user() is None and NAME not in (installed.root / "etc/group").read_text()
    assert str(recording.parent) in result.stdout
    # The number that was the user's may be given to another one.
    for path in (recording, installed.settings):
        assert (path.stat().st_uid, path.stat().st_gid) == (0, 0)

    assert installed.setup("--service").returncode == 0  # and it comes back with what was kept
    assert recording.exists() and installed.settings.stat().st_gid == int(installed.user()[3])


@needs_root
@needs_systemd
def test_purging_leaves_nothing(installed: Machine):
    (installed.root / f"var/lib/{NAME}").mkdir(parents=True)
    result = installed.setup("--uninstall-service", "--purge")
    assert result.returncode == 0, result.stderr
    # Shadow's tools keep what was in a file before, such as etc/passwd-; the folders that held things stay.
    left = [path for path in installed.root.rglob("*") if NAME in str(path.relative_to(installed.root))]
    assert left == []
    for again in ("--uninstall-service", "--service"):
        assert installed.setup(again).returncode == 0


def test_without_root_nothing_is_touched(machine: Machine, tmp_path):
    fakes = tmp_path / "fakes"
    fakes.mkdir()
    (fakes / "id").write_text("#!/bin/sh\necho 1000\n")
    (fakes / "id").chmod(0o755)
    for flag in ("--service", "--uninstall-service"):
        result = machine.setup(flag, DESTDIR="", PATH=f"{fakes}:{os.environ['PATH']}")
        assert result.returncode == 1 and len(result.stderr.splitlines()) == 1
        # On a machine that systemd didn't start, that is what it says first.
        assert f"sudo ./setup.sh {flag}" in result.stderr or not Path("/run/systemd/system").exists()
    assert not machine.unit.exists()


@pytest.mark.parametrize(
    ("python", "advice"),
    [(None, "type ./setup.sh first"), ("/root/x/python", "--python /usr/bin/python3")],
    ids=["no .venv", "a Python in a home"],
)
def test_a_program_that_could_not_start_is_not_installed(machine: Machine, tmp_path, python, advice):
    (machine.clone / ".venv/bin/python").unlink()
    environment = {}
    if python is not None:
        (machine.clone / ".venv/bin/python").touch()
        fake = tmp_path / "fakes/readlink"
        fake.parent.mkdir()
        fake.write_text(f"#!/bin/sh\necho {python}\n")
        fake.chmod(0o755)
        environment = {"PATH": f"{fake.parent}:{os.environ['PATH']}"}
    result = machine.setup("--service", **environment)
    assert result.returncode == 1 and advice in result.stderr
    assert not machine.unit.exists() and machine.user() is None


def test_files_that_the_service_could_not_read_are_named(machine: Machine):
    secret = machine.clone / "labels.txt"
    secret.touch()
    secret.chmod(0o600)
    result = machine.setup("--service")
    assert result.returncode == 1
    assert str(secret) in result.stderr
    subprocess.run(["bash", "-c", result.stderr.rpartition("type:")[2]], check=True)
    assert secret.stat().st_mode & 0o777 == 0o644  # what it says to type helps


def test_a_kernel_that_limits_no_memory_is_told_about(machine: Machine):
    controllers = machine.root / "sys/fs/cgroup/cgroup.controllers"
    controllers.parent.mkdir(parents=True)
    if os.geteuid() != 0 or shutil.which("systemctl") is None:
        pytest.skip("needs root and systemd's tools")
    controllers.write_text("cpuset cpu io memory pids\n")
    assert "memory" not in machine.setup("--service").stderr
    controllers.write_text("cpuset cpu io pids\n")
    assert "cgroup_enable=memory" in machine.setup("--service").stderr


@pytest.mark.parametrize("flags", [["--purge"], ["--service", "--purge"]])
def test_purging_goes_with_uninstalling_only(machine: Machine, flags):
    result = machine.setup(*flags)
    assert result.returncode == 2 and "--uninstall-service" in result.stderr
    assert machine.user() is None


@needs_root
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_finds_no_fault_and_little_exposure(installed: Machine):
    verify = subprocess.run(["systemd-analyze", "verify", str(installed.unit)], capture_output=True, text=True)
    assert verify.returncode == 0 and str(installed.unit) not in verify.stderr, verify.stderr
    # Both tools are lenient with what they don't know; a misspelt option would show here.
    assert "Unknown" not in verify.stderr
    version = int(re.search(r"\d+", subprocess.check_output(["systemd-analyze", "--version"], text=True)).group())
    if version < 250:
        pytest.skip(f"systemd {version} judges running services only")
    command = ["systemd-analyze", "security", "--no-pager", "--offline=yes", "--threshold=25", str(installed.unit)]
    security = subprocess.run(command, capture_output=True, text=True)
    assert security.returncode == 0, security.stdout  # at most 2.5; without any of these options it is 9.6


def test_the_settings_are_what_the_program_takes(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text((ROOT / "service/config.toml").read_text())
    options = parse_options(["--config", str(file)])
    assert (options.display, options.jsonl) == ("none", "-")
    assert options.model is not None  # without it, a camera that is missing would be replaced by the demo


def test_every_suggestion_in_the_settings_works(tmp_path):
    lines = (ROOT / "service/config.toml").read_text().splitlines()
    suggestions = [line[2:] for line in lines if re.match(r"# [a-z-]+ = ", line)]
    assert len(suggestions) >= 5
    for suggestion in suggestions:
        file = tmp_path / "config.toml"
        file.write_text(suggestion)
        parse_options(["--config", str(file)])


def test_the_unit_lets_it_use_both_kinds_of_screen():
    """What --display screen opens, /dev/fb0, and what a desktop would."""
    unit = (ROOT / f"service/{NAME}.service").read_text()
    assert {"char-fb rw", "char-drm rw"} <= set(re.findall(r"^DeviceAllow=(.*)", unit, re.MULTILINE))


def test_every_command_that_it_prints_names_the_service(tmp_path):
    """The name stands in the unit, the settings and the script: they must agree."""
    for file in ("movinet-pi.service", "config.toml", "install.sh"):
        text = (ROOT / "service" / file).read_text()
        assert set(re.findall(r"movinet-?pi\w*", text)) <= {NAME}


def test_shell_finds_no_fault():
    script = str(ROOT / "service/install.sh")
    subprocess.run(["bash", "-n", script], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", "--external-sources", script], cwd=ROOT, check=True)
