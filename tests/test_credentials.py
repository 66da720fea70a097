"""User and password of a camera's address are seen nowhere: texts, stderr, standard output, the list of processes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from camera_process import HTTP_CAMERA, Server
from conftest import ROOT
from hypothesis import example, given
from hypothesis import strategies as st

from credentials import public_name, public_text

LIMIT = 60  # seconds; against hanging only
LINE = st.text(st.characters(min_codepoint=32, blacklist_categories=["Cs", "Zl", "Zp", "Cc"]), max_size=20)
NOISE = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12)
SCHEMES = st.sampled_from(["rtsp", "RTSP", "http", "https", "mqtt", "rtsps"])


@given(SCHEMES, LINE, LINE)
@example("rtsp", "p@ss:w/o?r#d ", "")
@example("http", "[::1]/", "@")
def test_no_password_survives_in_a_name(scheme, before, after):
    assert "s3cret" not in public_name(f"{scheme}://user:{before}s3cret{after}@host:554/cam")
    assert "s3cret" not in public_name(f"{scheme}://{before}s3cret{after}@host")


@given(SCHEMES, LINE, LINE, LINE, LINE)
@example("rtsp", "file:///a.mp4 and ", "p@ss ", "", " and http://a:b@c/")
@example("rtsp", "unknown flag '--sorce=", "", "", "'; see --help")
@example("rtsp", "-", "", "", "")
def test_no_password_survives_in_a_text(scheme, head, before, after, tail):
    assert "s3cret" not in public_text(f"{head}{scheme}://user:{before}s3cret{after}@host:554/cam{tail}")


@given(SCHEMES, LINE, NOISE, NOISE)
def test_no_query_survives_in_a_text(scheme, head, before, after):
    assert "s3cret" not in public_text(f"{head} {scheme}://host/cam?pwd={before}s3cret{after} tail")


@pytest.mark.parametrize(
    "uri", ["user:s3cret@127.0.0.1:1/cam", "rtsp:/user:s3cret@127.0.0.1:1", "rtsp:user:s3 cret@127.0.0.1:1"]
)
def test_a_mistyped_url_is_no_leak(uri):
    text = public_text(f"classify.py: {uri}: No such file or directory; check the path")
    assert "s3" not in text and "cret" not in text
    assert text.startswith("classify.py: ") and text.endswith("check the path")


@pytest.mark.parametrize(
    "text",
    [
        "classify.py: rtsp://127.0.0.1:554/cam can't be opened: Connection refused; check the address",
        "source: http://[::1]:8080/video.mjpg",
        "   4.2 s  red 98 %     (5.0 steps/s, 12 ms)",
        "recording: file:///home/me/12:30 out.mp4",
        'File "/home/me/movinet/classify.py", line 12, in main',
        "ended: http://127.0.0.1:43801/cam: 148 frames, 30 steps",
        "sources: rtsp://10.0.0.7/cam, http://[::1]:8080/video.mjpg (twice), rtsp://..., http://10.0.0.7/...",
        "ftp://host is not supported; use rtsp://, http://, https:// or file://",
        "classify.py: unknown flag '--sorce=http://10.0.0.7/cam'; see --help",
    ],
)
def test_other_texts_stay_as_they_are(text):
    assert public_text(text) == text


@given(SCHEMES, LINE, NOISE)
def test_what_a_sentence_goes_on_with_is_no_way_out(scheme, head, noise):
    for after in ("'; see --help", ", and others", ": gone", ")."):
        assert "s3cret" not in public_text(f"{head} {scheme}://host/cam?pwd={noise}s3cret{after}")


# Processes

EXPOSED = """
import logging, subprocess, sys, threading, warnings
sys.path.insert(0, sys.argv[1])
from credentials import hide_credentials
hide_credentials()
url = sys.argv[2]
logging.warning("can't open %s", url)
warnings.warn(url)
def fail():
    raise RuntimeError(url)
thread = threading.Thread(target=fail)
thread.start()
thread.join()
print(url, file=sys.stderr)
print(url)  # what the program itself still knows
sys.stdout.flush()
sys.stdin.read()
fail()
"""
URL = "rtsp://user:s3cret@127.0.0.1:1/cam"


def command_line(process):
    return Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()


def test_neither_the_list_of_processes_nor_stderr_tells(tmp_path):
    script = tmp_path / "exposed.py"
    script.write_text(EXPOSED)
    command = [sys.executable, str(script), str(ROOT), URL, f"--source={URL}?pwd=s3cret", "größer"]
    command += ["--token", "s3cret-word", "--token=s3cret"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline().strip() == URL
    shown = command_line(process)
    listed = subprocess.run(["ps", "-o", "args=", "-p", str(process.pid)], capture_output=True, text=True).stdout
    _, errors = process.communicate("", timeout=LIMIT)

    expected = [*command[:3], "rtsp://127.0.0.1:1/cam", "--source=rtsp://127.0.0.1:1/cam", "größer"]
    expected += ["--token", "...", "--token=..."]
    assert shown.rstrip("\0").split("\0") == expected
    assert "s3cret" not in listed + errors
    assert errors.count("rtsp://127.0.0.1:1/cam") == 5
    assert errors.count("RuntimeError: rtsp://127.0.0.1:1/cam") == 2


EMULATED = """
import builtins, io, sys
sys.path.insert(0, sys.argv[1])
import credentials
short = io.StringIO("1 (python) R" + " 0" * 41)
credentials.open = lambda name, *rest: short if name == "/proc/self/stat" else builtins.open(name, *rest)
credentials.hide_credentials()
print(short.closed)
print("rtsp://user:s3cret@host/cam", file=sys.stderr)
"""


def test_starts_where_the_system_says_less_of_a_process():
    """QEMU's user emulation gives a /proc/self/stat of 44 fields, which end before the arguments' place."""
    ended = subprocess.run([sys.executable, "-c", EMULATED, str(ROOT)], capture_output=True, text=True, timeout=LIMIT)
    assert (ended.stdout, ended.stderr) == ("True\n", "rtsp://host/cam\n")


STARTED_AGAIN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from credentials import hide_credentials
from environment import use_venv
hide_credentials()
use_venv(Path(sys.argv[2]))
print(sys.prefix, sys.argv[3], Path("/proc/self/cmdline").read_bytes(), sep="|")
"""


def test_setups_environment_gets_the_password_and_hides_it_again(tmp_path):
    """In a Python without packages the program starts itself again in .venv, with all of its arguments."""
    script = tmp_path / "again.py"
    script.write_text(STARTED_AGAIN)
    bare, ready = tmp_path / "bare", tmp_path / ".venv"
    for folder in (bare, ready):
        venv.create(folder, symlinks=True)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for name in ("cv2", "numpy"):
        package = ready / "lib" / version / "site-packages" / name
        package.mkdir()
        (package / "__init__.py").touch()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [str(bare / "bin" / "python"), str(script), str(ROOT), str(ready), URL]

    output = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=LIMIT).stdout

    prefix, url, shown = output.strip().split("|")
    assert (prefix, url) == (str(ready), URL)
    assert "rtsp://127.0.0.1:1/cam" in shown and "s3cret" not in shown


# The whole program


@pytest.fixture
def program(tiny_model, tiny_labels, tmp_path):
    """Starts it on the tiny model, without a window; kills it at the end."""
    started = []

    def start(*flags):
        command = [sys.executable, str(ROOT / "classify.py"), "--model", str(tiny_model), "--labels", str(tiny_labels)]
        process = subprocess.Popen(
            [*command, "--display", "none", *flags],
            cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("way", ["flag", "flag=", "config"])
def test_a_camera_with_a_password_from_its_first_picture_to_giving_it_up(program, tmp_path, way):
    camera = Server(HTTP_CAMERA)
    url = camera.url.replace("secret", "s3cret") + "?token=s3cret"
    (tmp_path / "pi.toml").write_text(f'source = "{url}"\n')
    source = {"flag": ["--source", url], "flag=": [f"--source={url}"], "config": ["--config", "pi.toml"]}[way]
    process = program(*source, "--jsonl", "-", "--retry", "1", "--read-timeout", "1")
    output = [process.stdout.readline() for _ in range(3)]
    shown = command_line(process)
    camera.kill()
    rest, errors = process.communicate(timeout=LIMIT)

    everything = "".join(output) + rest + errors + shown
    assert "s3cret" not in everything and "user:" not in everything
    assert json.loads(output[0])["source"] == f"http://127.0.0.1:{camera.port}/cam"
    assert f"source: http://127.0.0.1:{camera.port}/cam" in errors
    assert "trying again" in errors
    assert process.returncode == 4


@pytest.mark.parametrize(
    "flags",
    [
        [URL],
        [f"--sorce={URL}"],
        ["--source", "user:s3cret@127.0.0.1:1/cam"],
        ["--source", "rtps://user:s3cret@127.0.0.1:1/cam"],
        ["--source", "demo", "--record", URL],
        ["--source", "demo", "--jsonl", URL],
        ["--source", "demo", "--runtime", URL],
        ["--source", "demo", "--top-k", URL],
        ["--config", URL],
        ["--config", "list.toml"],
        ["--config", "broken.toml"],
    ],
    ids=" ".join,
)
def test_no_mistake_on_the_command_line_tells_it(program, tmp_path, flags):
    (tmp_path / "list.toml").write_text(f'source = ["{URL}"]\n')
    (tmp_path / "broken.toml").write_text(f"source = {URL}\n")
    process = program(*flags)
    output, errors = process.communicate(timeout=LIMIT)

    assert process.returncode in (2, 4, 5)
    assert errors.splitlines()[-1].startswith("classify.py: ")
    assert "s3cret" not in output + errors


@pytest.mark.parametrize(
    "flags, advice",
    [
        (["--source", "rtsp://user:s3/cret@127.0.0.1:9/cam"], "special characters of a password as %2F (/)"),
        (["--source", "http://user:s3cret@127.0.0.1:port/cam"], "write the port as a number"),
        (["--source", "ftp://user:s3cret@127.0.0.1"], "use rtsp://, http://, https:// or file://"),
        (["--source", "demo", "--mqtt", "mqtt://user:s3/cret@house"], "write mqtt://host or mqtts://host as"),
        (["--source", "demo", "--mqtt", "mqtt://:s3cret@house"], "a password and no user, which MQTT"),
    ],
)
def test_the_advice_for_a_wrong_address_is_not_hidden_with_it(program, flags, advice):
    process = program(*flags)
    errors = process.communicate(timeout=LIMIT)[1]

    assert advice in errors.splitlines()[-1]
    assert "s3" not in errors and "cret" not in errors


def test_what_is_said_of_several_cameras_names_each(program):
    camera = Server(HTTP_CAMERA)
    try:
        process = program("--source", camera.url, "--source", "demo", "--max-frames", "3")
        errors = process.communicate(timeout=LIMIT)[1].splitlines()
    finally:
        camera.kill()

    assert f"sources: http://127.0.0.1:{camera.port}/cam, demo" in errors
    assert any(re.match(rf"ended: http://127.0.0.1:{camera.port}/cam: \d+ frames, ", line) for line in errors)


def test_the_doctor_tells_nothing_either(program):
    process = program("--doctor", "--source", "user:s3cret@127.0.0.1:1/cam", "--source", "rtsp:/user:s3cret@host/cam")
    output, errors = process.communicate(timeout=LIMIT)

    assert "problem  camera       ...@127.0.0.1:1/cam: No such file" in output
    assert "s3cret" not in output + errors
