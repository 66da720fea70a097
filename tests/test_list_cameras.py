"""What --list-cameras prints. The kernel's structures are filled in by C code that has them from the kernel."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import types
from pathlib import Path

import pytest

import cameras
from errors import SourceError

ROOT = Path(__file__).resolve().parent.parent
NOBODY = 65534


@pytest.fixture(scope="session")
def drivers(tmp_path_factory):
    """The library to preload, see fake_camera.c."""
    library = tmp_path_factory.mktemp("drivers") / "fake_camera.so"
    if shutil.which("gcc") is None or not Path("/usr/include/linux/videodev2.h").exists():
        pytest.skip("needs gcc and the kernel's header linux/videodev2.h (apt install gcc linux-libc-dev)")
    source = ROOT / "tests" / "fake_camera.c"
    subprocess.run(["gcc", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.fixture
def machine():
    """Returns a function that plugs cameras into a machine of files, and that machine's two folders."""
    with tempfile.TemporaryDirectory() as folder:  # not tmp_path, which other users can't enter
        os.chmod(folder, 0o755)
        system, devices, bus = (Path(folder) / name for name in ("class", "dev", "bus/usb"))
        for path in (system, devices, bus):
            path.mkdir(parents=True)

        def plug(number: int, name: str, driver: str) -> Path:
            entry = system / f"video{number}"
            (entry / "device").mkdir(parents=True)
            (entry / "device" / "subsystem").symlink_to(bus)
            (entry / "index").write_text("0\n")
            (entry / "name").write_text(f"{name}\n")
            node = devices / entry.name
            node.write_text(driver)
            return node

        yield types.SimpleNamespace(plug=plug, system=str(system), devices=str(devices))


def listed(machine, drivers: Path) -> str:
    """Returns what is printed for the USB cameras of a machine, in a process that has the drivers."""
    code = "import cameras, sys; cameras.list_pi_cameras = list; found = cameras.usb_cameras(*sys.argv[1:]); "
    code += "cameras.usb_cameras = lambda: found; print(cameras.table())"
    environment = {**os.environ, "LD_PRELOAD": str(drivers), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, machine.system, machine.devices]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout


def test_a_webcam_is_listed_with_its_modes_and_what_to_type(machine, drivers):
    machine.plug(2, "HD Pro Webcam C920", "webcam")
    assert listed(machine, drivers).splitlines() == [
        "usb:2   HD Pro Webcam C920",
        "        YUYV  640x480, 320x240 at 7.5 to 30 fps; 1280x720 at 10 fps",
        "        MJPG  640x480, 320x240, 1280x720 at 7.5 to 30 fps",
        "        python classify.py --source usb:2",
    ]


def test_ranges_of_sizes_and_rates(machine, drivers):
    machine.plug(0, "HDMI grabber", "grabber")
    assert "        Y16   48x32 to 1920x1080 at 5 to 60 fps\n" in listed(machine, drivers)


def test_a_driver_without_rates_is_listed_without(machine, drivers):
    machine.plug(0, "Old webcam", "no rates")
    text = listed(machine, drivers)
    assert "YUYV  640x480, 320x240, 1280x720\n" in text and "fps" not in text


def test_one_camera_that_is_pulled_out_meanwhile_does_not_hide_the_other(machine, drivers):
    machine.plug(0, "Loose webcam", "pulled out")
    machine.plug(1, "Good webcam", "webcam")
    loose, good = listed(machine, drivers).split("\n\n")
    assert "usb:0   Loose webcam" in loose and "No such device" in loose
    assert "--source usb:1" in good and "MJPG" in good


def test_lines_fit_a_terminal_of_80_columns(monkeypatch):
    modes = tuple(cameras.Mode("MJPG", (160 * n, 120 * n), None, (30.0, 5.0)) for n in range(1, 30))
    monkeypatch.setattr(cameras, "usb_cameras", lambda: [cameras.Camera("usb:0", "Webcam", modes)])
    text = cameras.table()
    assert max(map(len, text.splitlines())) <= 80
    assert all(f" {160 * n}x{120 * n}" in text for n in range(1, 30))


@contextlib.contextmanager
def another_user():
    """Root may open everything; so what follows is done as nobody."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_camera_that_may_not_be_opened_says_how_to_be_allowed(machine):
    machine.plug(0, "Webcam", "webcam").chmod(0)
    with another_user():
        (camera,) = cameras.usb_cameras(machine.system, machine.devices)
    assert camera.modes == () and "permission denied" in camera.trouble
    assert "sudo usermod -aG video $USER" in camera.trouble


def test_what_is_no_video_device_is_told_from_a_camera_without_modes(machine):
    machine.plug(0, "Webcam", "")  # without the drivers, a plain file
    (camera,) = cameras.usb_cameras(machine.system, machine.devices)
    assert "Inappropriate ioctl" in camera.trouble and "\n" not in camera.trouble


def attach(monkeypatch, *ids: str) -> None:
    """Attaches cameras to picamera2, by the Ids that libcamera gives them."""
    infos = [{"Model": f"imx{number}", "Id": name} for number, name in enumerate(ids)]
    module = types.ModuleType("picamera2")
    module.Picamera2 = type("Picamera2", (), {"global_camera_info": staticmethod(lambda: infos)})
    monkeypatch.setitem(sys.modules, "picamera2", module)
    monkeypatch.setattr(cameras, "list_usb_cameras", lambda root: [])


def test_pi_cameras_are_listed_with_what_to_type(monkeypatch):
    attach(monkeypatch, "/base/soc/i2c0mux/i2c@1/a@10", "/base/pcie/usb@0,0-1:1.0-046d:0825", "/base/i2c@0/b@1a")
    first, second = cameras.table().split("\n\n")
    assert "imx0" in first and first.endswith("python classify.py --source csi")
    assert "imx2" in second and second.endswith("python classify.py --source csi:1")


@pytest.mark.parametrize("picamera2", [True, False])
def test_without_a_camera_one_line_says_what_was_looked_for_and_what_else_there_is(monkeypatch, picamera2):
    attach(monkeypatch)
    if not picamera2:
        monkeypatch.setitem(sys.modules, "picamera2", None)  # importing it fails
    with pytest.raises(SourceError) as error:
        cameras.table()
    text = str(error.value)
    assert error.value.status == 4 and "\n" not in text
    assert ("no Pi camera is attached" if picamera2 else "no picamera2") in text
    assert "no USB camera is plugged in" in text and "--source video.mp4" in text


def test_on_a_pi_a_missing_picamera2_is_told_beside_a_usb_camera(monkeypatch):
    attach(monkeypatch)
    monkeypatch.setitem(sys.modules, "picamera2", None)
    monkeypatch.setattr(cameras, "usb_cameras", lambda: [cameras.Camera("usb:0", "Webcam")])
    assert "picamera2" not in cameras.table()
    monkeypatch.setattr(cameras, "is_raspberry_pi", lambda: True)
    text = " ".join(cameras.table().split())
    assert "--source usb:0" in text and "sudo apt install python3-picamera2" in text
