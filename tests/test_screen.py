"""The console's screen, on plain files laid out as /dev and /sys are: what would stand in the video memory."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from errors import OutputError
from sinks.screen import Screen

RED, GREEN, BLUE = (0, 0, 255), (0, 255, 0), (255, 0, 0)  # OpenCV's order


class Machine:
    """The files of a machine with one frame buffer."""

    def __init__(self, folder: Path, width: int, height: int, bits: int, stride: int | None = None) -> None:
        self.devices, self.system = folder / "dev", folder / "sys"
        self.width, self.height, self.bits = width, height, bits
        self.stride = stride or width * bits // 8
        self.memory = self.devices / "fb0"
        self.console = self.devices / "tty1"
        self.write(self.memory, bytes(range(256)) * (self.stride * height // 256 + 1))
        self.write(self.console, b"")
        self.fact("graphics/fb0/virtual_size", f"{width},{height}")
        self.fact("graphics/fb0/bits_per_pixel", bits)
        self.fact("graphics/fb0/stride", self.stride)
        self.fact("tty/tty0/active", "tty1")

    def write(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def fact(self, name: str, value: object) -> None:
        self.write(self.system / "class" / name, f"{value}\n".encode())

    def open(self) -> Screen:
        return Screen(self.devices, self.system)

    def shown(self) -> np.ndarray:
        """Returns what a monitor would show, uint8 [height, width, 3] red, green, blue."""
        rows = np.fromfile(self.memory, np.uint8)[: self.stride * self.height].reshape(self.height, self.stride)
        pixels = np.ascontiguousarray(rows[:, : self.width * self.bits // 8])
        if self.bits == 16:
            words = pixels.view("<u2").astype(np.uint32)
            five_six_five = ((words >> 11) / 31, ((words >> 5) & 63) / 63, (words & 31) / 31)
            return np.stack([np.rint(255 * channel) for channel in five_six_five], axis=2).astype(np.uint8)
        words = pixels.view("<u4")
        return np.stack([(words >> shift) & 255 for shift in (16, 8, 0)], axis=2).astype(np.uint8)


@pytest.fixture(params=[16, 32], ids="{} bits".format)
def bits(request) -> int:
    return request.param


def test_the_picture_is_shown_in_its_colours_between_black_bars(tmp_path, bits):
    machine = Machine(tmp_path, 400, 200, bits)
    picture = np.zeros((60, 60, 3), np.uint8)
    picture[:30, :30], picture[:30, 30:], picture[30:, :30], picture[30:, 30:] = RED, GREEN, BLUE, (255, 255, 255)
    machine.open().show(picture)

    shown = machine.shown()
    assert not shown[:, :99].any() and not shown[:, 301:].any()
    assert (shown[:95, 105:195] == (255, 0, 0)).all()
    assert (shown[:95, 205:295] == (0, 255, 0)).all()
    assert (shown[105:, 105:195] == (0, 0, 255)).all()
    assert (shown[105:, 205:295] == 255).all()


def test_rows_that_are_longer_than_their_pixels(tmp_path, bits):
    machine = Machine(tmp_path, 100, 50, bits, stride=512)
    machine.open().show(np.full((50, 100, 3), GREEN, np.uint8))
    assert (machine.shown() == (0, 255, 0)).all()


def test_one_picture_after_another_of_any_size(tmp_path, bits):
    machine = Machine(tmp_path, 64, 64, bits)
    screen = machine.open()
    for size, colour in [((480, 640, 3), RED), ((100, 20, 3), BLUE), ((64, 64, 3), RED)]:
        screen.show(np.full(size, colour, np.uint8))
        assert screen.poll() is None
        screen.toggle_fullscreen()
        assert (machine.shown()[32, 32] == colour[::-1]).all()
    assert (machine.shown() == (255, 0, 0)).all()


def test_it_leaves_the_console_as_it_was(tmp_path, bits):
    machine = Machine(tmp_path, 64, 64, bits)
    before = machine.memory.read_bytes()
    screen = machine.open()
    assert machine.console.read_bytes() == b"\033[?25l"  # the text cursor is off
    screen.show(np.full((64, 64, 3), RED, np.uint8))
    assert machine.memory.read_bytes() != before
    screen.close()
    screen.close()
    assert machine.memory.read_bytes() == before
    assert machine.console.read_bytes() == b"\033[?25h"


def test_a_console_that_belongs_to_somebody_else_doesnt_matter(tmp_path, bits):
    machine = Machine(tmp_path, 64, 64, bits)
    machine.console.unlink()
    screen = machine.open()
    screen.show(np.full((64, 64, 3), RED, np.uint8))
    screen.close()
    (machine.system / "class/tty/tty0/active").unlink()  # a kernel without consoles
    machine.open().close()


@pytest.mark.parametrize(
    "states, usable",
    [
        ({"card0-HDMI-A-1": "connected", "card0-HDMI-A-2": "disconnected"}, True),
        ({"card0-HDMI-A-1": "disconnected", "card1-DSI-1": "connected"}, True),
        ({"card0-Composite-1": "unknown"}, True),  # nobody can tell
        ({"card0-HDMI-A-1": "disconnected", "card0-HDMI-A-2": "disconnected"}, False),
        ({"card0-HDMI-A-1": "disconnected", "card0-Writeback-1": "unknown"}, False),
    ],
    ids=str,
)
def test_a_monitor_must_be_connected(tmp_path, states, usable):
    machine = Machine(tmp_path, 64, 64, 32)
    for connector, state in states.items():
        machine.fact(f"drm/{connector}/status", state)
    if usable:
        machine.open().close()
    else:
        with pytest.raises(OutputError, match="^no monitor is connected$"):
            machine.open()


def test_machine_without_a_screen(tmp_path):
    with pytest.raises(OutputError, match="^no frame buffer"):
        Screen(tmp_path, tmp_path)


def test_other_layouts_are_refused(tmp_path):
    machine = Machine(tmp_path, 64, 64, 8)
    with pytest.raises(OutputError, match="8 bits a pixel"):
        machine.open()


def test_facts_that_make_no_sense(tmp_path):
    machine = Machine(tmp_path, 64, 64, 32)
    machine.fact("graphics/fb0/virtual_size", "large")
    with pytest.raises(OutputError, match="^can't tell the size of /dev/fb0"):
        machine.open()


def test_a_user_without_the_group_is_told_of_it(tmp_path):
    machine = Machine(tmp_path, 64, 64, 32)
    machine.memory.unlink()
    with pytest.raises(OutputError, match="^can't open /dev/fb0: .*the group video"):
        machine.open()


def test_a_screen_that_goes_away_is_an_output_that_failed(tmp_path):
    machine = Machine(tmp_path, 64, 64, 32)
    machine.memory.unlink()
    os.symlink("/dev/full", machine.memory)  # takes nothing, with an error
    screen = machine.open()
    with pytest.raises(OutputError, match="can't write to /dev/fb0"):
        screen.show(np.zeros((64, 64, 3), np.uint8))
    screen.close()
