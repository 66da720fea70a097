"""Where does the picture go: --display auto and its forced forms, on a desktop, on a console, and on neither."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Iterator

import pytest
from desktop import PATIENCE, environment, managed_desktop, needs_desktop

pytestmark = needs_desktop

# Asks for a display on a machine whose folders these are, shows red there, and says what it got.
CHOOSE = """
import sys
from functools import partial
from pathlib import Path
import numpy as np
from errors import OutputError
from sinks import display, viewer

choice, folder = sys.argv[1], Path(sys.argv[2])
display.X11_SOCKETS = folder / "sockets"
display._WAYLAND_SOCKETS = str(folder / "user/*/wayland-*")
viewer.Screen = partial(viewer.Screen, folder / "dev", folder / "sys")
try:
    opened, note = viewer.open_viewer(choice, "choice", False)
except OutputError as error:
    print("error:", error)
else:
    print(type(opened).__name__, note, sep="|", flush=True)
    if opened is not None:
        opened.show(np.full((10, 10, 3), (0, 0, 255), np.uint8))
        opened.poll()
        print((folder / "dev/fb0").exists() and (folder / "dev/fb0").read_bytes()[:4].hex())
        opened.close()
"""


@pytest.fixture(scope="module")
def desktop() -> Iterator[str]:
    with managed_desktop() as name:
        yield name


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine with neither desktop nor screen."""
    for folder in ("sockets", "user/1000", "dev", "sys"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


@pytest.fixture
def console(machine: Path) -> Path:
    """The same with a frame buffer of 20x20 pixels."""
    facts = machine / "sys/class/graphics/fb0"
    facts.mkdir(parents=True)
    for name, value in {"virtual_size": "20,20", "bits_per_pixel": "32", "stride": "80"}.items():
        (facts / name).write_text(value + "\n")
    (machine / "dev/fb0").write_bytes(bytes(1600))
    return machine


def choose(choice: str, machine: Path, **where: str) -> list[str]:
    """Returns the lines that are said."""
    child = subprocess.run(
        [sys.executable, "-c", CHOOSE, choice, str(machine)],
        env=environment(**{"HOME": str(machine), **where}),
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
    )
    assert child.returncode == 0, child.stderr
    return child.stdout.splitlines()


@pytest.mark.parametrize("choice", ["auto", "window"])
def test_a_desktop_gets_a_window(desktop, console, choice):
    said = choose(choice, console, DISPLAY=desktop)
    assert said[0] == f"Window|window on {desktop} (set by DISPLAY)"
    assert said[1] == "00000000"  # nothing on the console behind it


@pytest.mark.parametrize("choice", ["auto", "screen"])
def test_a_console_gets_the_whole_screen(console, choice):
    said = choose(choice, console)
    assert said[0].startswith("Screen|console screen /dev/fb0, 20x20")
    assert ("no desktop is running" in said[0]) == (choice == "auto")  # why there is no window
    assert said[1] == "0000ffff"  # blue, green, red, and a byte that isn't shown
    assert not any((console / "dev/fb0").read_bytes())  # cleared in the end


def test_nothing_at_all_says_why(machine):
    said = choose("auto", machine)
    assert said == [
        "NoneType|none; no window: DISPLAY isn't set and no desktop is running here; no console screen: no frame "
        "buffer (/dev/fb0); connect a monitor before the Raspberry Pi starts"
    ]


@pytest.mark.parametrize("socket", ["sockets/X54321", "user/1000/wayland-0"])
def test_a_desktop_that_cant_be_used_isnt_painted_over(console, socket):
    (console / socket).touch()
    said = choose("auto", console)
    assert len(said) == 1 and said[0].startswith("NoneType|none; no window: ")
    assert choose("screen", console)[0].startswith("Screen|")  # unless it is wanted


def test_what_is_forced_and_isnt_there_is_an_error(machine):
    no_window, no_screen = choose("window", machine)[0], choose("screen", machine)[0]
    assert no_window.startswith("error: no window: ") and "--display none" in no_window
    assert no_screen.startswith("error: no console screen: no frame buffer") and "--display none" in no_screen


def test_none_opens_nothing_even_on_a_desktop(desktop, console):
    assert choose("none", console, DISPLAY=desktop) == ["NoneType|none"]
