"""Does the screen stay on while the program runs, and only so long? Real X server, real systemd-inhibit."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Iterator

import pytest
from desktop import PATIENCE, environment, needs_desktop, running, screenshot, wait_for, x_server

pytestmark = needs_desktop

SYSTEM_PYTHON = "/usr/bin/python3"

# Keeps awake until it is told, then goes on without.
KEEP = """
import sys
from sinks.awake import keep_awake

with keep_awake():
    print("awake", flush=True)
    sys.stdin.readline()
print("over", flush=True)
sys.stdin.readline()
"""

# A red window, kept up by the X server alone.
PICTURE = """
import ctypes, time
xlib = ctypes.CDLL("libX11.so.6")
xlib.XOpenDisplay.restype = ctypes.c_void_p
xlib.XDefaultRootWindow.restype = xlib.XCreateSimpleWindow.restype = ctypes.c_ulong
display = ctypes.c_void_p(xlib.XOpenDisplay(None))
root, red = ctypes.c_ulong(xlib.XDefaultRootWindow(display)), ctypes.c_ulong(0xFF0000)
window = ctypes.c_ulong(xlib.XCreateSimpleWindow(display, root, 100, 100, 400, 300, 0, red, red))
xlib.XMapWindow(display, window)
xlib.XSync(display, False)
time.sleep(3600)
"""

# Stands in for logind: hands out locks, each a pipe that breaks when its holder lets go, and prints who has one.
LOGIND = """
import os, sys
from gi.repository import Gio, GLib

INTERFACE = '''<node><interface name="org.freedesktop.login1.Manager"><method name="Inhibit">
  <arg direction="in" type="s"/><arg direction="in" type="s"/><arg direction="in" type="s"/>
  <arg direction="in" type="s"/><arg direction="out" type="h"/></method></interface></node>'''

def inhibit(connection, sender, path, interface, method, arguments, invocation):
    what, who, why, mode = arguments.unpack()
    readable, writable = os.pipe()
    files = Gio.UnixFDList()
    files.append(writable)
    os.close(writable)
    invocation.return_value_with_unix_fd_list(GLib.Variant("(h)", (0,)), files)
    print("locked", what, mode, who, flush=True)
    GLib.io_add_watch(readable, GLib.IO_HUP, lambda *_: print("released", flush=True))

connection = Gio.bus_get_sync(Gio.BusType.SYSTEM)
manager = Gio.DBusNodeInfo.new_for_xml(INTERFACE).interfaces[0]
connection.register_object("/org/freedesktop/login1", manager, inhibit)
Gio.bus_own_name_on_connection(
    connection, "org.freedesktop.login1", 0, lambda *_: print("ready", flush=True), lambda *_: sys.exit("no name")
)
GLib.MainLoop().run()
"""


@contextlib.contextmanager
def keeper(**where: str) -> Iterator[subprocess.Popen]:
    """Runs a program that keeps awake; yields when it does."""
    command = [sys.executable, "-c", KEEP]
    with running(
        command, env=environment(**where), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "awake\n"
        yield process


def tell(process: subprocess.Popen) -> None:
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "over\n"


class Monitor:
    """A screen that is blanked a second after the last key or mouse move, and a red picture on it."""

    def __init__(self, display: str) -> None:
        self._environment = environment(DISPLAY=display)
        # "noblank" has the server cover the screen with a window, which a screenshot sees, unlike real blanking.
        self._run("xset", "s", "noblank")
        self._run("xset", "s", "1", "1")

    def _run(self, *command: str) -> str:
        return subprocess.run(command, env=self._environment, check=True, capture_output=True, text=True).stdout

    def settings(self) -> str:
        return self._run("xset", "q").partition("Screen Saver:")[2].partition("Colors:")[0]

    def lit(self) -> bool:
        return bool((screenshot(self._environment) == (0, 0, 255)).all(axis=2).any())

    def stays_lit(self) -> bool:
        """Whether the picture is still there long after it would have been blanked."""
        wait_for(lambda: self._run("xset", "s", "reset") or self.lit(), "the picture is there after a key")
        time.sleep(2.5)
        return self.lit()


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    if not shutil.which("xset"):
        pytest.skip("needs xset (apt: x11-xserver-utils)")
    with x_server() as name:
        with running([sys.executable, "-c", PICTURE], env=environment(DISPLAY=name)):
            yield name


def test_the_screen_stays_on_while_the_program_runs_and_is_blanked_again_after(display):
    monitor = Monitor(display)
    before = monitor.settings()
    assert not monitor.stays_lit()
    with keeper(DISPLAY=display) as process:
        assert monitor.stays_lit()
        tell(process)
        assert not monitor.stays_lit()
    assert monitor.settings() == before, "the user's settings have changed"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["ended", "killed"])
def test_the_screen_is_blanked_again_after_a_violent_end(display, how):
    monitor = Monitor(display)
    with keeper(DISPLAY=display) as process:
        process.send_signal(how)
        assert process.wait(PATIENCE) == -how
        wait_for(lambda: not monitor.stays_lit(), "the screen goes dark")


def test_without_display_and_logind_it_does_nothing(tmp_path):
    (tmp_path / "bin").mkdir()
    with keeper(DISPLAY=":54321", PATH=str(tmp_path / "bin")) as process:
        tell(process)
        process.stdin.close()
        assert process.wait(PATIENCE) == 0


class Logind:
    """A system bus of our own with a stand-in for logind."""

    def __init__(self, bus: str, process: subprocess.Popen) -> None:
        self.bus = bus
        self._process = process

    def says(self) -> str:
        return self._process.stdout.readline().strip()


@pytest.fixture
def logind() -> Iterator[Logind]:
    missing = [tool for tool in ("dbus-daemon", "systemd-inhibit") if not shutil.which(tool)]
    gio = [SYSTEM_PYTHON, "-c", "from gi.repository import Gio"]
    if missing or not Path(SYSTEM_PYTHON).exists() or subprocess.run(gio, capture_output=True).returncode:
        pytest.skip("needs dbus-daemon, systemd-inhibit and Gio (apt: dbus systemd python3-gi)")
    pipe = {"stdout": subprocess.PIPE, "text": True}
    with running(["dbus-daemon", "--session", "--nofork", "--print-address"], **pipe) as daemon:
        bus = daemon.stdout.readline().strip()
        where = environment(DBUS_SYSTEM_BUS_ADDRESS=bus)
        with running([SYSTEM_PYTHON, "-c", LOGIND], env=where, **pipe) as process:
            logind = Logind(bus, process)
            assert logind.says() == "ready"
            yield logind


@pytest.mark.parametrize("end", [tell, subprocess.Popen.terminate, subprocess.Popen.kill])
def test_the_lock_against_idling_is_held_as_long_as_the_program_runs(logind, end):
    with keeper(DBUS_SYSTEM_BUS_ADDRESS=logind.bus) as process:
        assert logind.says() == "locked idle block classify.py"
        end(process)
        assert logind.says() == "released"
