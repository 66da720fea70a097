"""What a board says of its heat, and how the program gives way."""

from __future__ import annotations

import fcntl
import os
import struct

import pytest

from thermal import STEPS, Cooling, Heat, read_heat


def add_zone(folder, number, kind, millidegrees):
    zone = folder / f"thermal_zone{number}"
    zone.mkdir(parents=True)
    (zone / "type").write_text(f"{kind}\n")
    if millidegrees is not None:
        (zone / "temp").write_text(f"{millidegrees}\n")


@pytest.fixture
def zones(tmp_path):
    return tmp_path / "thermal"


@pytest.fixture
def vcio(tmp_path, monkeypatch):
    """Stands for the firmware's mailbox, and holds the program to the kernel's way of reading it."""
    path = tmp_path / "vcio"
    path.write_bytes(b"")
    path_and_flags = {"path": str(path), "flags": 0}

    def ioctl(descriptor, request, message):
        # linux/ioctl.h: direction (3) in the bits from 30, size of a pointer from 16, type (100) from 8, number (0).
        assert request == {8: 0xC0086400, 4: 0xC0046400}[struct.calcsize("P")]
        size, code, tag, value_size, given, value, end = struct.unpack("=7I", message)
        assert (size, code, end) == (len(message), 0, 0)
        assert (tag, value_size) == (0x00030046, 4)
        assert (given, value) == (0, 0)  # else the firmware forgets what has occurred
        message[:] = struct.pack("=7I", size, 0x80000000, tag, value_size, 0x80000004, path_and_flags["flags"], end)
        return 0

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    return path_and_flags


def test_a_raspberry_pi_tells_its_temperature_and_flags(zones, vcio):
    add_zone(zones, 0, "cpu-thermal", 61834)
    vcio["flags"] = 0x50005

    assert read_heat(vcio["path"], str(zones)) == Heat(61.834, 0x50005)


def test_the_hottest_part_of_the_processor_counts_and_nothing_else(zones, tmp_path):
    add_zone(zones, 0, "cpu0-thermal", 55000)
    add_zone(zones, 1, "cpu1-thermal", 57500)
    add_zone(zones, 2, "x86_pkg_temp", 91000)
    add_zone(zones, 3, "battery", 99000)
    add_zone(zones, 4, "cpu-thermal", None)

    assert read_heat(str(tmp_path / "none"), str(zones)) == Heat(57.5, None)


def test_a_machine_that_tells_nothing_is_not_hot(tmp_path):
    heat = read_heat(str(tmp_path / "none"), str(tmp_path / "none"))

    assert heat == Heat(None, None)
    assert not heat.slows


def test_a_file_that_is_no_mailbox_tells_nothing(tmp_path):
    (tmp_path / "vcio").write_bytes(b"")

    assert read_heat(str(tmp_path / "vcio"), str(tmp_path)) == Heat(None, None)


def test_no_reading_leaves_a_file_open(vcio, monkeypatch):
    before = os.listdir("/proc/self/fd")
    assert read_heat(vcio["path"]).flags == 0
    monkeypatch.undo()  # from here on it is no mailbox
    assert read_heat(vcio["path"]).flags is None
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize(
    "temperature, flags, slows",
    [
        (50.0, 0x0, False),
        (50.0, 0xF0000, False),  # it has been, it isn't now
        (82.0, None, True),
        (82.0, 0x0, True),
        (66.0, 0x8, False),  # a 3B+ beyond its soft limit of 60 degrees
        (81.0, 0x80008, True),  # a 4 between 80 and 85
        (85.0, 0xE0006, True),
        (None, 0x2, True),
        (None, 0x4, True),
        (45.0, 0x50005, True),
    ],
)
def test_what_counts_as_slowed_down(temperature, flags, slows):
    assert Heat(temperature, flags).slows == slows


def test_a_weak_power_supply_is_called_so():
    assert Heat(45.0, 0x50005).reason == "weak power"
    assert Heat(85.0, 0xE0006).reason == "hot"


class Board:
    """A board of which a test says how hot it is, and a clock."""

    def __init__(self, temperature=50.0, flags=None):
        self.heat, self.now, self.readings = Heat(temperature, flags), 1000.0, 0
        self.cooling = Cooling(self.read, lambda: self.now)

    def read(self):
        self.readings += 1
        return self.heat

    def run(self, seconds, temperature=None, flags=None):
        """Lets time pass; returns the shares at each second."""
        if temperature is not None:
            self.heat = Heat(temperature, flags)
        shares = []
        for _ in range(int(seconds * 10)):
            self.cooling.update()
            shares.append(self.cooling.share)
            self.now += 0.1
        return shares[::10]


def test_a_cool_board_keeps_the_rate():
    board = Board()

    assert set(board.run(600, 60.0)) == {1.0}
    assert board.cooling.reason == ""


def test_it_steps_down_at_once_and_on_while_it_stays_hot():
    board = Board()
    board.run(60)

    shares = board.run(60, 83.0)

    assert [5 * share for share in dict.fromkeys(shares)] == [5, 3, 2, 1]
    assert shares[3] < 1  # within 3 s
    assert shares[9] == STEPS[1] and shares[14] == STEPS[2] and shares[40] == STEPS[3]
    assert board.cooling.reason == "hot"


def test_it_steps_up_slowly_and_only_once_it_is_cool():
    board = Board()
    board.run(60, 83.0)
    assert board.cooling.share == STEPS[3]

    assert set(board.run(600, 77.0)) == {STEPS[3]}  # neither hot nor cool
    shares = board.run(240, 70.0)

    assert set(shares[:58]) == {STEPS[3]}
    assert shares[70] == STEPS[2] and shares[130] == STEPS[1] and shares[190] == 1.0
    assert board.cooling.reason == ""


@pytest.mark.parametrize("interruption", [(77.0, None), (83.0, None), (45.0, 0x50005)])
def test_a_minute_of_coolness_must_be_one_minute(interruption):
    board = Board()
    board.run(60, 83.0)
    for _ in range(10):
        assert set(board.run(50, 70.0)) == {STEPS[3]}
        board.run(10, *interruption)


def test_under_voltage_steps_down_too_and_says_why():
    board = Board()
    board.run(5, 45.0, 0x50005)

    assert board.cooling.share == STEPS[1]
    assert board.cooling.reason == "weak power"


def test_the_board_is_not_asked_at_every_frame():
    board = Board()
    board.run(60)

    assert 25 <= board.readings <= 35


def test_a_board_in_a_box_settles_without_hunting():
    """Heat flows: 40 degrees around it, 9 a frame a second more, which come and go in minutes."""
    board, temperature = Board(), 60.0
    changes, hottest = [], 0.0
    for second in range(3600):
        share = board.run(1, temperature)[0]
        temperature += (40 + 9 * 5 * share - temperature) / 90
        changes += [second] if share != board.cooling.share else []
        hottest = max(hottest, temperature)

    assert hottest < 82
    assert len(changes) < 60  # in an hour
    assert board.cooling.share >= 0.4  # two frames a second it can bear
