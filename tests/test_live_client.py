"""--live as its user sees it: the flags that are sent, what is printed, and what goes wrong."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from errors import OutputError, UserError
from options import parse_options
from remote import paths
from remote.client import live
from remote.given import given_settings
from remote.instance import Instance
from remote.socket_server import SocketServer
from settings import live_flags, read_settings

SETTINGS = {
    "model": "movinet_a0_int8.tflite",
    "labels": None,
    "source": ["usb:0", "rtsp://camera.local/stream"],
    "memory": 2.4,
    "sample-fps": None,
    "idle": False,
    "max-cpu": None,
    "top-k": 3,
    "threshold": 0.0,
    "allow": [],
    "deny": ["sneezing", "yawning"],
    "mirror": True,
    "record": None,
}
STATUS: dict[str, Any] = {
    "name": "hall",
    "pid": 4711,
    "uptime": 11532.2,
    "model": "movinet_a0_int8.tflite",
    "runtime": "litert 2.3",
    "threads": 2,
    "memory_mb": 182.34,
    "temperature": 61.2,
    "paused": False,
    "recording": "/home/pi/out.mp4",
    "events": 12,
    "sources": [
        {
            "name": "USB camera 0",
            "camera_fps": 30.02,
            "sample_fps": 3.0,
            "wanted_fps": 5.0,
            "note": "hot: 3 fps",
            "no_signal": 0,
            "frames": 10231,
            "steps": 1702,
            "step_ms": {"p50": 12.13, "p95": 14.0},
            "prediction": {
                "timestamp": 4.2,
                "step": 9,
                "top": [{"label": "zumba", "probability": 0.981, "index": 599}],
            },
        },
        {
            "name": "rtsp://camera.local/stream",
            "camera_fps": 0.0,
            "sample_fps": 0.0,
            "wanted_fps": 5.0,
            "note": "",
            "no_signal": 7.3,
            "frames": 0,
            "steps": 0,
            "step_ms": None,
            "prediction": None,
        },
    ],
}


class Program:
    """A running program: a real socket, and a thread that obeys as the main loop would."""

    def __init__(self, name: str = "hall", status: dict[str, Any] = STATUS) -> None:
        self.instance = Instance(name, live_flags())
        self.settings = dict(SETTINGS)
        self.done: list[tuple[str, Any]] = []
        self.instance.publish(settings=self.settings, status=status)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()
        self._server = SocketServer(self.instance)

    def close(self) -> None:
        self._server.close()
        self._stop.set()
        self._thread.join()

    def _loop(self) -> None:
        while not self._stop.wait(0.005):
            for command in self.instance.waiting():
                try:
                    command.done.set_result(self._obey(command.action, command.value))
                except UserError as error:
                    command.done.set_exception(error)

    def _obey(self, action: str, value: Any) -> Any:
        if action == "change":
            read_settings(value)
            self.settings = {**self.settings, **value}
            self.instance.publish(settings=self.settings)
        if action == "snapshot":
            Path(value).touch()
        self.done.append((action, value))
        return {"change": self.settings, "snapshot": value}.get(action)


@pytest.fixture(autouse=True)
def runtime_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's runtime folder; short, since a socket's path may not be long."""
    folder = Path(tempfile.mkdtemp(prefix="live-"))
    (folder / "run").mkdir(mode=0o700)
    (folder / "tmp").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder / "run"))
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "tmp"))
    monkeypatch.setenv("TMPDIR", str(folder / "tmp"))  # of child processes
    monkeypatch.setattr(paths, "_USERS_FOLDERS", str(folder / "users"))
    for module in ("remote.paths", "remote.client"):
        monkeypatch.setattr(f"{module}.SERVICE_FOLDER", folder / "service/movinet-pi")
    yield folder / "run"
    shutil.rmtree(folder)


@pytest.fixture
def program() -> Iterator[Program]:
    with contextlib.closing(Program()) as program:
        yield program


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The caller's folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# The command line


def test_only_what_stands_there_is_sent(here: Path):
    (here / "mine.tflite").touch()
    line = [
        *["--live", "--top-k", "5", "--no-mirror", "--idle", "--allow", "yoga", "tai chi", "--record", "off"],
        *["--memory", "off", "--source", "a.mp4", "--source", "usb:0", "--threads", "auto", "--threshold=0.4"],
        *["--model", "mine.tflite", "--deny", "--record-limit", "10min"],
    ]
    assert given_settings(line) == {
        "live": True,
        "top-k": 5,
        "mirror": False,
        "idle": True,
        "allow": ["yoga", "tai chi"],
        "record": None,
        "memory": None,
        "source": [str(here / "a.mp4"), "usb:0"],
        "threads": "auto",
        "threshold": 0.4,
        "model": str(here / "mine.tflite"),
        "deny": [],
        "record-limit": "10min",
    }
    assert given_settings(["--live"]) == {"live": True}


def test_a_path_in_a_folder_that_was_deleted_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "old").mkdir()
    monkeypatch.chdir(tmp_path / "old")
    (tmp_path / "old").rmdir()
    with pytest.raises(UserError, match="x.mp4: the folder that you are in was deleted"):
        given_settings(["--live", "--record", "x.mp4"])


def test_a_flag_is_sent_even_with_its_default_value():
    assert given_settings(["--top-k", "3", "--memory", "2.4", "--compile"]) == {
        "top-k": 3,
        "memory": 2.4,
        "compile": True,
    }


def test_the_reference_examples_flags_have_our_names():
    line = "--label l --maxResults 5 --numThreads 2 --cameraId 1".split()
    assert given_settings(line) == {"labels": "l", "top-k": 5, "threads": 2, "source": ["usb:1"]}


@pytest.mark.parametrize(
    ("flag", "text", "sent"),
    [
        ("source", "csi", "csi"),
        ("source", "csi:1", "csi:1"),
        ("source", "usb:12", "usb:12"),
        ("source", "/dev/video0", "/dev/video0"),
        ("source", "demo", "demo"),
        ("source", "rtsp://u:p@h/x/../y", "rtsp://u:p@h/x/../y"),
        ("source", "file:///a/b.mp4", "file:///a/b.mp4"),
        ("source", "usb:x", "{here}/usb:x"),
        ("source", "../clip.gif", "{here.parent}/clip.gif"),
        ("source", "~/clip.gif", "{home}/clip.gif"),
        ("source", "photos/", "{here}/photos"),
        ("model", "a0", "a0"),
        ("model", "movinet_a0_int8.tflite", "movinet_a0_int8.tflite"),
        ("model", "./a0", "{here}/a0"),
        ("model", "there.tflite", "{here}/there.tflite"),
        ("model", "~/m.tflite", "{home}/m.tflite"),
        ("labels", "kinetics600", "kinetics600"),
        ("labels", "sub/l.txt", "{here}/sub/l.txt"),
        ("record", "out.mp4", "{here}/out.mp4"),
        ("record", "/x/out.mp4", "/x/out.mp4"),
        ("snapshot", "x.jpg", "{here}/x.jpg"),
        ("snapshot", ".", "{here}"),
    ],
)
def test_paths_are_the_callers(here: Path, monkeypatch: pytest.MonkeyPatch, flag: str, text: str, sent: str):
    (here / "there.tflite").touch()
    monkeypatch.setenv("HOME", "/home/somebody")
    expected = sent.format(here=here, home="/home/somebody")
    assert given_settings([f"--{flag}", text]) == {flag: [expected] if flag == "source" else expected}


LABEL = st.text(min_size=1).filter(lambda text: not text.startswith("-"))
PATH = st.text("abc äß'\"$\\", min_size=1).map("/films/{}.mp4".format)


def number(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


def or_off(value: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(value, st.none())


FLAGS: dict[str, st.SearchStrategy[Any]] = {
    "top-k": st.integers(1, 100),
    "threshold": number(0, 1),
    "memory": or_off(number(0.1, 3600)),
    "sample-fps": or_off(number(0.1, 120)),
    "max-cpu": or_off(number(1, 6400)),
    "event-on": number(0, 1),
    "idle": st.booleans(),
    "mirror": st.booleans(),
    "compile": st.booleans(),
    "fit": st.sampled_from(["crop", "stretch", "pad"]),
    "threads": st.one_of(st.just("auto"), st.integers(1, 64)),
    "allow": st.lists(LABEL),
    "deny": st.lists(LABEL),
    "record": or_off(PATH),
    "model": PATH,
    "source": st.lists(PATH, min_size=1),
}


def spell(name: str, value: Any) -> list[str]:
    """Returns a setting as one types it."""
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    if name == "source":
        return [part for one in value for part in ("--source", one)]
    if isinstance(value, list):
        return [f"--{name}", *value]
    return [f"--{name}", "off" if value is None else str(value)]


@given(st.fixed_dictionaries({}, optional=FLAGS), st.randoms())
def test_every_command_line_arrives_as_it_was_meant(settings: dict[str, Any], random: Any):
    order = list(settings)
    random.shuffle(order)
    line = [part for name in order for part in spell(name, settings[name])]

    sent = json.loads(json.dumps(given_settings(["--live", *line])))
    assert sent == {"live": True, **settings}

    # And the program makes of it what it would have made of the same flags at its start.
    del sent["live"]
    at_start = vars(parse_options(line))
    for name, value in read_settings(sent).items():
        assert value == at_start[name] or (not value and not at_start[name])


# What is printed


def test_alone_it_prints_the_settings(program: Program, capsys: pytest.CaptureFixture[str]):
    assert live(["--live"]) == 0
    assert capsys.readouterr().out == (
        "instance    hall\n"
        "model       movinet_a0_int8.tflite\n"
        "labels      those of the model\n"
        "source      usb:0, rtsp://camera.local/stream\n"
        "memory      2.4 s\n"
        "sample-fps  the model's own\n"
        "idle        no\n"
        "max-cpu     off\n"
        "top-k       3\n"
        "threshold   0\n"
        "allow       all\n"
        "deny        sneezing, yawning\n"
        "mirror      yes\n"
        "record      off\n"
    )
    assert program.done == []


def test_flags_are_applied_and_printed(program: Program, here: Path, capsys: pytest.CaptureFixture[str]):
    assert live(["--live", "--top-k", "5", "--allow", "yoga", "--record", "x.mp4"]) == 0
    assert program.done == [("change", {"top-k": 5, "allow": ["yoga"], "record": str(here / "x.mp4")})]
    assert capsys.readouterr().out == f"top-k   5\nallow   yoga\nrecord  {here / 'x.mp4'}\n"


def test_the_statistics(program: Program, capsys: pytest.CaptureFixture[str]):
    assert live(["--live", "--status"]) == 0
    out = capsys.readouterr().out
    facts, _, sources = out.partition("\n\n")
    assert dict(line.split(None, 1) for line in facts.splitlines()) == {
        "instance": "hall, process 4711, up for 3 h 12 min",
        "model": "movinet_a0_int8.tflite on litert 2.3, 2 threads",
        "memory": "182 MB",
        "temperature": "61 °C",
        "recording": "/home/pi/out.mp4",
        "events": "12",
    }
    rows = [re.split(r" {2,}", line) for line in sources.splitlines()]
    assert [" | ".join(row) for row in rows[1:]] == [
        "USB camera 0 | 30.0 fps | 3.0 of 5.0 fps | 12.1 ms | 14.0 ms | 10231 | 1702 | zumba 98% | (hot: 3 fps)",
        "rtsp://camera.local/stream | 0.0 fps | 0.0 of 5.0 fps | - | - | 0 | 0 | no signal for 7 s",
    ]
    assert len({line.find(seen) for line, seen in zip(sources.splitlines(), ("sees", "zumba", "no signal"))}) == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h 0 min"), (90061, "1 d 1 h")],
)
def test_durations(seconds: float, text: str, capsys: pytest.CaptureFixture[str]):
    with contextlib.closing(Program(status={**STATUS, "uptime": seconds, "temperature": None, "sources": []})):
        live(["--live", "--status"])
    assert f"up for {text}\n" in capsys.readouterr().out


def test_actions(program: Program, here: Path, capsys: pytest.CaptureFixture[str]):
    live(["--live", "--quit", "--snapshot", "x.jpg", "--reset", "--top-k", "4"])
    file = here / "x.jpg"
    assert program.done == [("change", {"top-k": 4}), ("reset", None), ("snapshot", str(file)), ("quit", None)]
    assert capsys.readouterr().out == f"top-k  4\nreset\nsaved {file}\nhall ends\n"


def test_names_that_would_command_the_terminal_are_harmless(capsys: pytest.CaptureFixture[str]):
    status = {**STATUS, "model": "\x1b]0;owned\x07\nfake  line"}
    with contextlib.closing(Program(status=status)):
        live(["--live", "--status"])
    out = capsys.readouterr().out
    assert "\x1b" not in out and "\x07" not in out and "\nfake" not in out


def run(*line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs live() as a command."""
    script = """
import sys
from errors import UserError
from remote.client import live
try:
    status = live(sys.argv[1:])
except UserError as error:
    print(error, file=sys.stderr)
    status = error.status
sys.exit(status)
"""
    command = ["bash", "-c", '"$0" -c "$1" "${@:3}" ' + environment.pop("to", ""), sys.executable, script, "--", *line]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60
    )


def test_a_terminal_without_that_letter(program: Program):
    result = run("--live", "--status", PYTHONIOENCODING="ascii")
    assert (result.returncode, result.stderr) == (0, "")
    assert "temperature  61 ?C" in result.stdout


@pytest.mark.parametrize("to", ["| true", ">&-"], ids=["a reader that has gone", "no standard output"])
def test_nobody_who_reads_it(program: Program, to: str):
    result = run("--live", to=f"{to}; exit ${{PIPESTATUS[0]}}")
    assert (result.returncode, result.stderr.replace("standard output: the reader has closed the pipe\n", "")) == (
        0,
        "",
    )


# What goes wrong


def refused(*line: str) -> UserError:
    with pytest.raises(UserError) as caught:
        live(["--live", *line])
    assert "\n" not in str(caught.value)
    return caught.value


def test_nobody_there(monkeypatch: pytest.MonkeyPatch, runtime_folder: Path):
    error = refused()
    assert error.status == 2 and str(error) == "no instance is running here"
    assert "no instance called hall is running" in str(refused("--instance", "hall"))
    # Whoever isn't root hears of the service, if there is one.
    (runtime_folder.parent / "service").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "sudo python classify.py --live" in str(refused())


def test_a_program_that_is_still_starting(capsys: pytest.CaptureFixture[str]):
    with contextlib.closing(SocketServer(Instance("hall", live_flags()))):
        assert "still starting" in str(refused())
        assert "still starting" in str(refused("--status"))


def test_several(program: Program, capsys: pytest.CaptureFixture[str]):
    with contextlib.closing(Program("den", {**STATUS, "name": "den"})) as other:
        assert "--instance: den, hall" in str(refused("--reset"))
        assert "there is den, hall" in str(refused("--instance", "attic"))
        live(["--live", "--instance", "den", "--reset"])
        assert (program.done, other.done) == ([], [("reset", None)])


@pytest.mark.parametrize("name", ["../hall", "a/b", "", "/etc/passwd"])
def test_a_name_leads_nowhere_else(program: Program, name: str):
    assert "--instance" in str(refused("--instance", name))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may ask the service")
def test_root_finds_the_service(
    runtime_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    service = runtime_folder.parent / "service"
    service.mkdir(mode=0o700)
    with monkeypatch.context() as unit:
        unit.setenv("XDG_RUNTIME_DIR", str(service))
        program = Program("service")
    for path in (service, service / "movinet-pi"):
        os.chown(path, 65534, 65534)
    with contextlib.closing(program):
        live(["--live"])
    assert capsys.readouterr().out.startswith("instance    service\n")


def test_the_unit_and_the_command_agree_where_the_service_listens():
    unit = (ROOT / "service/movinet-pi.service").read_text()
    folder = re.search(r"^RuntimeDirectory=(\S+)$", unit, re.MULTILINE).group(1)
    runtime = re.search(r"^Environment=XDG_RUNTIME_DIR=(\S+)$", unit, re.MULTILINE).group(1).replace("%t", "/run")
    # What systemd makes for the service alone; what the program makes in it; where root's --live looks.
    assert runtime == f"/run/{folder}"
    assert re.search(r"^RuntimeDirectoryMode=0700$", unit, re.MULTILINE)
    code = "from remote.paths import SERVICE_FOLDER; print(SERVICE_FOLDER)"
    looked = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    assert looked == f"{runtime}/movinet-pi"
    assert re.search(r"^ExecStart=.* --instance service$", unit, re.MULTILINE)


def test_a_wrong_flag_changes_nothing(program: Program):
    for line in (["--top-k", "0"], ["--tpo-k", "5"], ["--top-k", "5", "--display", "none"], ["--top-k", "5", "--loop"]):
        error = refused(*line)
        assert error.status == 2 and re.search(r"--(top-k|tpo-k|display|loop)\b", str(error))
    assert program.done == [] and program.settings == SETTINGS


def test_what_is_saved_where_the_caller_can_not_see_it(program: Program, here: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Path, "touch", lambda path: None)  # as in the service's own /tmp
    error = refused("--snapshot", "x.jpg")
    assert isinstance(error, OutputError) and "/var/lib/movinet-pi" in str(error)


@pytest.fixture
def impostor(runtime_folder: Path) -> Iterator[Callable[..., None]]:
    """Listens as "hall", and does with each connection what it is told."""
    folder = runtime_folder / "movinet-pi"
    folder.mkdir(mode=0o700)
    stop = threading.Event()
    threads = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "hall.sock"))
        listener.listen(8)
        listener.settimeout(0.05)

        def serve(behave: Callable[[socket.socket], None]) -> None:
            def loop() -> None:
                while not stop.is_set():
                    with contextlib.suppress(OSError):
                        connection = listener.accept()[0]
                        with connection:
                            connection.settimeout(30)
                            if connection.recv(65536):  # else it was a look whether somebody is here
                                behave(connection)

            threads.append(threading.Thread(target=loop, daemon=True))
            threads[0].start()

        yield serve
        stop.set()
        for thread in threads:
            thread.join()


def test_a_program_that_hangs(impostor: Callable[..., None], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("remote.client._PATIENCE", 0.3)
    monkeypatch.setattr("remote.client._CHANGE_PATIENCE", 0.6)
    impostor(lambda connection: connection.recv(1))  # until the client hangs up
    assert str(refused()) == "the instance hall hasn't answered for 0.3 s"
    assert str(refused("--top-k", "5")) == "the instance hall hasn't answered for 0.6 s"


def test_a_program_that_trickles(impostor: Callable[..., None], monkeypatch: pytest.MonkeyPatch):
    """The bound is for the whole answer, not for each piece."""
    monkeypatch.setattr("remote.client._PATIENCE", 0.5)

    def trickle(connection: socket.socket) -> None:
        while True:
            connection.sendall(b" ")
            threading.Event().wait(0.05)

    impostor(trickle)
    assert "hasn't answered" in str(refused())


def test_a_program_that_ends_meanwhile(impostor: Callable[..., None], capsys: pytest.CaptureFixture[str]):
    impostor(lambda connection: connection.sendall(b'{"ok": tr'))
    assert "ended before it answered" in str(refused())
    assert live(["--live", "--quit"]) == 0  # which is what was wanted
    assert capsys.readouterr().out == "hall ends\n"


@pytest.mark.parametrize(
    "answer",
    [
        "[]",
        "{}",
        '{"ok": true}',
        "no JSON",
        '{"ok": true, "result": 5}',
        '{"ok": true, "result": {"pid": 1}}',
        '{"ok": false}',
    ],
)
def test_a_program_of_another_version(impostor: Callable[..., None], answer: str):
    impostor(lambda connection: connection.sendall(answer.encode() + b"\n"))
    assert "was the program updated" in str(refused("--status"))


def test_an_endless_answer_is_not_held(impostor: Callable[..., None]):
    def pour(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"x" * 65536)

    impostor(pour)
    assert "was the program updated" in str(refused())


def test_a_refusals_words_and_status_arrive_harmless(impostor: Callable[..., None]):
    answer = json.dumps({"ok": False, "error": "no model \x1b[31m", "status": 3})
    impostor(lambda connection: connection.sendall(answer.encode() + b"\n"))
    error = refused("--model", "x")
    assert (str(error), error.status) == ("no model ?[31m", 3)
