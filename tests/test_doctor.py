"""What --doctor finds on machines of real files, and that it outlives whatever is broken."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from http_camera import address, serving

import doctor
from checks import Finding, board, ok
from doctor import CHECKS, Check
from thermal import Heat, read_heat

ROOT = Path(__file__).resolve().parent.parent
NOBODY = 65534
LINE = re.compile(r"(ok|warning|problem) +(\w+) +(.*)")


def only(*names: str) -> list[Check]:
    """Returns the real checks of these names."""
    return [check for check in CHECKS if check.name in names]


def examine(*arguments: str, checks=CHECKS) -> tuple[int, dict[str, Finding], str]:
    """Returns the exit status, the findings by name as they were printed, and the last line."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = doctor.main(arguments, checks)
    *lines, blank, last = out.getvalue().splitlines()
    assert blank == ""
    matches = [LINE.fullmatch(line) for line in lines]
    assert all(matches), lines
    return status, {match[2]: Finding(match[1], match[3]) for match in matches}, last


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """A folder of packages that the checks find before the installed ones."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


# The whole.


@pytest.fixture
def tiny(tiny_model, tiny_labels):
    return ["--model", str(tiny_model), "--labels", str(tiny_labels)]


def test_a_machine_that_can_run_the_program_is_ready(tiny):
    status, found, last = examine("--doctor", "--source", "demo", *tiny)
    assert status == 0 and last.startswith("Ready")
    assert found["Python"].text.startswith("%d.%d.%d" % sys.version_info[:3])
    assert found["numpy"].text.startswith(np.__version__)
    assert found["model"] == ok("tiny.tflite, 7 labels")
    assert found["runtime"].level == "ok" and "tiny.tflite" in found["runtime"].text
    assert "640x480" in found["camera"].text
    assert {"OpenCV", "PyAV", "display", "memory", "disk"} <= set(found)


def test_a_broken_opencv_is_told_and_the_other_checks_go_on(packages, tiny):
    reason = "libGL.so.1: cannot open shared object file: No such file or directory"
    (packages / "cv2.py").write_text(f"raise ImportError({reason!r})")
    status, found, last = examine(*tiny)
    assert status == 1 and last.startswith("Not ready")
    assert found["OpenCV"].level == "problem" and reason in found["OpenCV"].text
    assert "./setup.sh" in found["OpenCV"].text
    assert found["numpy"].level == "ok" and found["memory"].level in ("ok", "warning")
    assert found["camera"].level == "problem"


def test_a_crash_in_native_code_is_told_and_the_other_checks_go_on(packages):
    (packages / "cv2.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    status, found, _ = examine(checks=only("OpenCV", "PyAV", "numpy"))
    assert status == 1
    assert found["OpenCV"].level == "problem" and "crashes (Segmentation fault)" in found["OpenCV"].text
    assert found["PyAV"].level == "warning"  # nobody has to record
    assert found["numpy"].level == "ok"


def test_a_hang_in_native_code_is_bounded(packages, monkeypatch):
    (packages / "cv2.py").write_text("import time; time.sleep(30)")
    monkeypatch.setattr(doctor, "_SECONDS", 1.0)
    status, found, _ = examine(checks=only("OpenCV", "disk"))
    assert status == 1 and "no answer for 1 s" in found["OpenCV"].text and "disk" in found


def test_what_packages_print_is_no_part_of_the_report(packages):
    (packages / "numpy.py").write_text('print("hello\\n[1]", end=""); __version__ = "1.26.4"')
    _, found, _ = examine(checks=only("numpy"))
    assert found["numpy"].text.startswith("1.26.4")


def test_a_check_that_fails_is_told_and_the_other_checks_go_on():
    def look():
        raise KeyError("MemAvailable:")

    status, found, last = examine(checks=[Check("memory", look), Check("disk", lambda: ok("much"))])
    assert found["memory"].level == "warning" and "MemAvailable:" in found["memory"].text
    assert found["disk"] == ok("much")
    assert status == 0 and last == "Ready, with 1 warning."


def test_what_does_not_apply_is_not_mentioned():
    assert examine(checks=[Check("power", lambda: None)]) == (0, {}, "Ready.")


def test_problems_and_warnings_are_counted():
    levels = ["problem", "ok", "warning", "problem", "warning"]
    checks = [Check(f"n{i}", lambda level=level: Finding(level, "text")) for i, level in enumerate(levels)]
    assert examine(checks=checks)[::2] == (1, "Not ready: 2 problems and 2 warnings.")
    assert examine(checks=checks[:2])[::2] == (1, "Not ready: 1 problem.")


def test_a_wrong_flag_is_one_line_and_status_2(capsys):
    assert doctor.main(["--doctor", "--sauce", "usb:0"], only("model")) == 2
    assert capsys.readouterr().err == "classify.py: unknown flag '--sauce', did you mean '--source'?; see --help\n"


# On a terminal.


def on_a_terminal(**variables: str) -> str:
    """Returns what two checks print on a terminal."""
    code = "import doctor; from checks import *\n"
    code += "long = lambda: warning('word ' * 40)\n"
    code += "doctor.main([], [doctor.Check('disk', lambda: ok('much')), doctor.Check('clock', long)])"
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "60", **variables}
    subprocess.run([sys.executable, "-c", code], stdout=theirs, env=environment, check=True, timeout=60)
    os.close(theirs)
    text = b""
    with contextlib.suppress(OSError), open(ours, "rb", buffering=0) as terminal:  # EIO is its end
        while piece := terminal.read(4096):
            text += piece
    return text.decode().replace("\r\n", "\n")


def shown(text: str) -> list[str]:
    """Returns the lines that are left on the screen: what was erased and the colours aren't."""
    return re.sub(r"\033\[[\d;]*m", "", re.sub(r"[^\n]*\r\033\[K", "", text)).splitlines()


def test_a_terminal_gets_colours_and_lines_of_its_width():
    text = on_a_terminal()
    assert "\033[32mok" in text and "\033[33mwarning" in text
    lines = shown(text)
    assert lines[0] == "ok       disk         much"
    assert max(map(len, lines)) <= 60 and lines[2].startswith(" " * 22 + "word")
    assert " ".join(lines).count("word") == 40


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_can_be_declined(variables):
    text = on_a_terminal(**variables)
    assert "\033[3" not in text
    assert "ok       disk         much" in shown(text)


# Packages.


def distribution(folder: Path, name: str) -> None:
    """Makes a wheel look installed."""
    (folder / f"{name.replace('-', '_')}-4.9.0.dist-info").mkdir()
    (folder / f"{name.replace('-', '_')}-4.9.0.dist-info" / "METADATA").write_text(f"Name: {name}\nVersion: 4.9.0\n")


def test_two_opencv_wheels_are_told_with_the_command_that_mends_it(packages):
    distribution(packages, "opencv-python")
    distribution(packages, "opencv-contrib-python-headless")
    finding = examine(checks=only("OpenCV"))[1]["OpenCV"]
    assert finding.level == "warning"
    assert "pip uninstall -y opencv-python opencv-contrib-python-headless && ./setup.sh" in finding.text


def test_an_opencv_without_windows_is_told(packages):
    build = "General\n  GUI:                           NONE\n  GTK+: NO\n"
    (packages / "cv2.py").write_text(f"__version__ = '4.9.0'\ndef getBuildInformation(): return {build!r}")
    finding = examine(checks=only("OpenCV"))[1]["OpenCV"]
    assert finding.level == "warning" and finding.text.startswith("4.9.0 without windows")


def test_a_numpy_that_broke_picamera2_is_told(packages):
    reason = "numpy.dtype size changed, may indicate binary incompatibility. Expected 96 from C header, got 88"
    (packages / "simplejpeg.py").write_text(f"raise ValueError({reason!r})")
    finding = examine(checks=only("numpy"))[1]["numpy"]
    assert finding.level == "warning" and "numpy.dtype size changed" in finding.text
    assert "rm -rf .venv && ./setup.sh" in finding.text


def test_a_numpy_too_new_for_tflite_runtime_is_told(packages):
    (packages / "numpy.py").write_text('__version__ = "2.1.0"')
    (packages / "tflite_runtime").mkdir()
    finding = examine(checks=only("numpy"))[1]["numpy"]
    assert finding.level == "warning" and finding.text.startswith("2.1.0 is too new for tflite-runtime")


def test_no_runtime_is_a_problem(packages, tiny):
    for name in ("ai_edge_litert", "tflite_runtime", "tensorflow"):
        (packages / f"{name}.py").write_text("raise ImportError('built for another processor')")
    status, found, _ = examine(*tiny, checks=only("runtime"))
    assert status == 1 and "built for another processor" in found["runtime"].text


# The model.


def test_labels_of_another_model_are_a_problem(tiny_model, kinetics_labels):
    status, found, _ = examine("--model", str(tiny_model), "--labels", str(kinetics_labels), checks=only("runtime"))
    assert status == 1 and "600" in found["runtime"].text and "7" in found["runtime"].text


def test_a_published_model_that_was_damaged_is_told(tmp_path, tiny_model):
    model = tmp_path / "movinet_a0_int8.tflite"
    shutil.copy(tiny_model, model)
    finding = examine("--model", str(model), checks=only("model"))[1]["model"]
    assert finding.level == "warning" and "differs from the published file" in finding.text


def test_the_published_model_is_recognized(movinet_model):
    finding = examine("--model", str(movinet_model), checks=only("model"))[1]["model"]
    assert finding == ok("movinet_a0_int8.tflite, as published, 600 labels")


def test_a_model_that_does_not_exist_is_a_problem():
    status, found, _ = examine("--model", "movinet_z9.tflite", checks=only("model", "runtime"))
    assert status == 1 and {finding.level for finding in found.values()} == {"problem"}
    assert "movinet_z9.tflite" in found["model"].text


def test_a_published_model_that_is_not_here_is_no_problem_and_is_not_fetched():
    import models

    name = "movinet_a2_float16.tflite"
    if (models.MODELS / name).exists():
        pytest.skip(f"{name} was fetched here")
    finding = examine("--model", name, checks=only("model"))[1]["model"]
    assert finding.level == "warning" and name in finding.text and "isn't here yet" in finding.text
    assert not (models.MODELS / name).exists()


# Camera and display.


def test_a_source_that_gives_no_picture_is_a_problem(tmp_path):
    status, found, _ = examine("--source", str(tmp_path / "none.mp4"), checks=only("camera"))
    assert status == 1 and "none.mp4" in found["camera"].text


def test_every_source_is_tried(tmp_path):
    video = str(tmp_path / "none.mp4")
    status, found, _ = examine("--source", "demo", "--source", video, checks=only("camera"))
    assert status == 1 and "none.mp4" in found["camera"].text
    assert examine("--source", "demo", "--source", "demo", checks=only("camera"))[0] == 0


def test_it_takes_the_flags_of_the_camera():
    found = examine("--source", "demo", "--rotate", "90", "--height", "120", checks=only("camera"))[1]
    assert "120x160" in found["camera"].text


def test_it_waits_for_a_slow_camera_as_long_as_the_program_does():
    with serving() as server:
        flags = ("--source", address(server, "/slow"), "--read-timeout", "1000")
        status, found, _ = examine(*flags, checks=only("camera"))
        assert status == 0 and "64x48" in found["camera"].text


@pytest.fixture
def videos(tmp_path):
    """A folder with two videos, 64x48 pixels."""
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in ("a.avi", "b.avi"):
        writer = cv2.VideoWriter(str(folder / name), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
        for _ in range(3):
            writer.write(np.zeros((48, 64, 3), np.uint8))
        writer.release()
    return folder


@pytest.mark.parametrize(
    "flags, found",
    [
        (["videos/*.avi"], "2 files, a.avi gives 64x48 "),
        (["videos/b*"], "b.avi gives 64x48 "),
        (["videos", "--jobs", "2"], "2 files, a.avi gives 64x48 "),
        (["videos/b.avi", "--jobs", "auto"], "1 file, b.avi gives 64x48 "),
    ],
)
def test_an_archive_is_looked_at_as_the_program_does(videos, monkeypatch, flags, found):
    monkeypatch.chdir(videos.parent)
    status, findings, _ = examine("--source", *flags, checks=only("camera"))
    assert status == 0 and findings["camera"].text.startswith(found)


@pytest.mark.parametrize(
    "flags, told",
    [
        (["videos/*.mp4"], "videos/*.mp4: No such file"),
        (["videos/*.mp4", "--jobs", "2"], "videos/*.mp4 matches no file"),
        (["videos"], "videos holds no images"),  # the program wants --jobs here, too
        (["broken*"], "broken1: No such file"),
    ],
)
def test_an_archive_without_a_video_is_a_problem(videos, monkeypatch, flags, told):
    monkeypatch.chdir(videos.parent)
    for name in ("broken1", "broken2"):
        os.symlink("nowhere", name)
    status, findings, _ = examine("--source", *flags, checks=only("camera"))
    assert status == 1 and findings["camera"].text.startswith(told)


def test_a_password_in_the_address_is_shown_to_nobody():
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"rtsp://admin:seekrit@127.0.0.1:{server.getsockname()[1]}/stream"
        result: list = []
        thread = threading.Thread(target=lambda: result.append(examine("--source", url, checks=only("camera"))))
        thread.start()
        server.settimeout(60)
        connection, _ = server.accept()  # FFmpeg in the child has begun
        children = Path(f"/proc/{os.getpid()}/task").glob("*/children")
        pids = " ".join(path.read_text() for path in children).split()
        commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids]
        connection.close()
    thread.join(60)
    status, found, _ = result[0]
    assert any(command.endswith(b"doctor.py\0camera\0") for command in commands)
    assert not any(b"seekrit" in command for command in commands)
    assert status == 1 and "127.0.0.1" in found["camera"].text and "seekrit" not in found["camera"].text


def test_no_display_is_no_problem(monkeypatch):
    monkeypatch.setenv("DISPLAY", "unknown.invalid:77")
    status, found, _ = examine(checks=only("display"))
    assert status == 0
    if found["display"].level == "ok":
        pytest.skip("a desktop is running here, and was found")
    assert "unknown.invalid:77" in found["display"].text and "terminal" in found["display"].text


@pytest.fixture
def nodes():
    """A folder of device nodes that other users can enter."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        (Path(folder) / "dma_heap").mkdir(mode=0o755)
        yield Path(folder)


@contextlib.contextmanager
def another_user():
    """Root may open everything; so what follows is done as nobody."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_devices_without_permission_are_told_with_the_command_that_mends_it(nodes):
    for name in ("video0", "media0", "dma_heap/system", "null"):
        (nodes / name).touch()
        (nodes / name).chmod(0o666)
    with another_user():
        assert board.check_devices(str(nodes)).level == "ok"
    (nodes / "null").chmod(0)  # nothing of a camera's
    with another_user():
        assert board.check_devices(str(nodes)).level == "ok"
    (nodes / "video0").chmod(0)
    (nodes / "dma_heap/system").chmod(0)
    with another_user():
        finding = board.check_devices(str(nodes))
    assert finding.level == "warning" and "dma_heap/system and 1 more" in finding.text
    assert "sudo usermod -aG video $USER" in finding.text


def test_a_machine_without_such_devices_is_not_told_of_them(tmp_path):
    assert board.check_devices(str(tmp_path)) is None


# The board.


def zone(root: Path, number: int, kind: str, millidegrees: str) -> None:
    folder = root / f"thermal_zone{number}"
    folder.mkdir()
    (folder / "type").write_text(f"{kind}\n")
    (folder / "temp").write_text(f"{millidegrees}\n")


@pytest.mark.parametrize("millidegrees, level", [("48312", "ok"), ("79900", "ok"), ("80000", "warning")])
def test_temperature(tmp_path, millidegrees, level):
    zone(tmp_path, 0, "cpu-thermal", millidegrees)
    finding = board.check_temperature(read_heat(str(tmp_path / "none"), str(tmp_path)))
    assert finding.level == level and f"{round(int(millidegrees) / 1000)} °C" in finding.text
    assert ("fan" in finding.text) == (level == "warning")


def test_what_a_pc_cannot_tell_is_not_mentioned(tmp_path):
    heat = read_heat(str(tmp_path / "none"), str(tmp_path))
    assert board.check_temperature(heat) is None
    assert board.check_power(heat, str(tmp_path)) is None


# Bits as Raspberry Pi documents them for `vcgencmd get_throttled`.
@pytest.mark.parametrize(
    "flags, told",
    [
        (0x1, ["now: under-voltage (", "supply"]),
        (0x2, ["now: clock capped (", "fan"]),
        (0x4, ["now: throttled (", "fan"]),
        (0x8, ["now: soft temperature limit (", "fan"]),
        (0x10000, ["since the start: under-voltage (", "supply"]),
        (0x20000, ["since the start: clock capped (", "fan"]),
        (0x40000, ["since the start: throttled (", "fan"]),
        (0x80000, ["since the start: soft temperature limit (", "fan"]),
        (0x50005, ["now: under-voltage, throttled; since the start: under-voltage, throttled (0x50005)", "supply"]),
        (0xE0008, ["now: soft temperature limit; since the start: clock capped, throttled, soft", "fan"]),
    ],
)
def test_what_slowed_a_pi_down_is_told(flags, told):
    finding = board.check_power(Heat(flags=flags))
    assert finding.level == "warning" and all(text in finding.text for text in told)


def test_a_pi_with_good_power_is_fine():
    assert board.check_power(Heat(flags=0)).level == "ok"


def test_a_pi_whose_firmware_may_not_be_asked_says_so(tmp_path):
    (tmp_path / "device-tree").mkdir()
    (tmp_path / "device-tree" / "model").write_bytes(b"Raspberry Pi 5 Model B Rev 1.0\0")
    assert board.board(str(tmp_path)) == "Raspberry Pi 5 Model B Rev 1.0"
    finding = board.check_power(Heat(flags=None), str(tmp_path))
    assert finding.level == "warning" and "usermod -aG video" in finding.text


@pytest.mark.parametrize("kilobytes, level, text", [(95_000, "warning", "97 MB"), (3_000_000, "ok", "3.1 GB")])
def test_memory(tmp_path, kilobytes, level, text):
    sizes = f"MemTotal: 8245916 kB\nMemFree: 50000 kB\nMemAvailable: {kilobytes} kB\nHugePages_Total: 0\n"
    (tmp_path / "meminfo").write_text(sizes)
    finding = board.check_memory(str(tmp_path))
    assert finding.level == level and finding.text.startswith(f"{text} of 8.4 GB free")


def test_disk():
    finding = board.check_disk(Path("/sys"))  # a real file system of 0 bytes
    assert finding.level == "warning"
    free = shutil.disk_usage(ROOT).free
    if free > 1e9:
        assert board.check_disk(ROOT).level == "ok"


def test_a_disk_that_became_read_only_is_told():
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    places = [words[1] for words in mounts if "ro" in words[3].split(",") and os.path.isdir(words[1])]
    if not places:
        pytest.skip("no file system here is mounted read-only")
    assert "can't be written to" in board.check_disk(Path(places[0])).text


def test_clock():
    assert board.check_clock(lambda command: "yes").level == "ok"
    finding = board.check_clock(lambda command: "no")
    assert finding.level == "warning" and "network" in finding.text


def test_a_system_without_systemd_is_not_asked_for_its_clock():
    assert board.check_clock(lambda command: board.run_command(["no-such-command-anywhere", *command])) is None
    assert board.check_clock(lambda command: board.run_command(["false"])) is None


def test_the_python_in_use_is_named():
    finding = board.check_python()
    assert finding.text.startswith("%d.%d.%d" % sys.version_info[:3])
