"""The socket of a running program: people who do as they should, and all that others can do to it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Iterator

import pytest
from conftest import ROOT

from errors import OutputError, UserError
from remote import paths
from remote.connection import Client
from remote.instance import Command, Flag, Instance
from remote.paths import running
from remote.socket_server import SocketServer

LIMIT = 30  # seconds; against hanging only
FLAGS = [Flag("top-k", "integer", "labels shown", low=1, high=100), Flag("allow", "texts", "labels")]


class Program:
    """An instance with a socket, and a thread that plays the main loop: it obeys, and must never stand still.

    Attributes:
        gate: While clear, changes stay under way, as when a model loads.
        rounds: Of the loop so far.
        commands: Taken by the loop so far.
    """

    def __init__(self, name: str = "one") -> None:
        self.instance = Instance(name, FLAGS)
        self.settings: dict[str, Any] = {"top-k": 3}
        self.instance.publish(settings=self.settings, status={"name": name, "pid": os.getpid()})
        self.gate = threading.Event()
        self.gate.set()
        self.rounds = 0
        self.commands: list[Command] = []
        self._under_way: list[Command] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()
        try:
            self.server = SocketServer(self.instance)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def close(self) -> None:
        self.server.close()
        self.stop()

    def _loop(self) -> None:
        while not self._stop.is_set():
            for command in self.instance.waiting():
                self.commands.append(command)
                self._obey(command)
            if self.gate.is_set():
                for command in self._under_way:
                    self._change(command)
                self._under_way = []
            self.rounds += 1
            self._stop.wait(0.002)

    def _obey(self, command: Command) -> None:
        if command.action == "change":
            self._under_way.append(command)
        elif command.action == "reset":
            command.done.set_exception(RuntimeError("the secret reason"))
        elif command.action == "snapshot":
            command.done.set_exception(OutputError(f"can't write {command.value}"))
        else:
            command.done.set_result(None)

    def _change(self, command: Command) -> None:
        unknown = [name for name in command.value if name not in {flag.name for flag in FLAGS}]
        if unknown:
            command.done.set_exception(UserError(f"--{unknown[0]} can't change"))
        else:
            self.settings = {**self.settings, **command.value}
            self.instance.publish(settings=self.settings)
            command.done.set_result(self.instance.settings())


class Person:
    """A plain client: lines out, lines in."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(LIMIT)
        self.socket.connect(str(path))
        self._lines = self.socket.makefile("rb")

    def send(self, *requests: dict[str, Any]) -> None:
        self.socket.sendall(b"".join(json.dumps(request).encode() + b"\n" for request in requests))

    def hear(self) -> dict[str, Any] | None:
        """Returns the next answer; None if the other end has hung up."""
        try:
            line = self._lines.readline()
        except ConnectionError:
            return None
        return json.loads(line) if line else None

    def ask(self, command: str, **details: Any) -> dict[str, Any] | None:
        self.send({"command": command, **details})
        return self.hear()

    def close(self) -> None:
        self._lines.close()
        self.socket.close()


def until(condition: Any) -> None:
    """Waits for a condition."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, "it didn't come to pass"
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def runtime_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's runtime folder; short, since a socket's path may not be long."""
    folder = Path(tempfile.mkdtemp(prefix="live-"))
    (folder / "run").mkdir(mode=0o700)
    (folder / "tmp").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder / "run"))
    monkeypatch.setattr(paths, "_USERS_FOLDERS", str(folder / "users"))
    monkeypatch.setattr(paths, "SERVICE_FOLDER", folder / "service/movinet-pi")
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "tmp"))
    monkeypatch.setenv("TMPDIR", str(folder / "tmp"))  # of child processes
    yield folder / "run"
    shutil.rmtree(folder)


@pytest.fixture
def program() -> Iterator[Program]:
    with contextlib.closing(Program()) as program:
        yield program


@pytest.fixture
def person(program: Program) -> Iterator[Person]:
    with contextlib.closing(Person(program.server.path)) as person:
        yield person


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


# What it is for


def test_facts_and_changes(program: Program, person: Person):
    assert person.ask("settings") == {"ok": True, "result": {"top-k": 3}}
    assert person.ask("status") == {"ok": True, "result": {"name": "one", "pid": os.getpid()}}
    assert person.ask("change", settings={"top-k": 5, "allow": ["tài chí"]}) == {
        "ok": True,
        "result": {"top-k": 5, "allow": ["tài chí"]},
    }
    assert program.settings == {"top-k": 5, "allow": ["tài chí"]}


def test_what_the_program_refuses_is_answered_with_its_words_and_status(program: Program, person: Person):
    assert person.ask("change", settings={"display": "none"}) == {
        "ok": False,
        "error": "--display can't change",
        "status": 2,
    }
    assert person.ask("snapshot", path="/nowhere/x.jpg")["status"] == 5
    assert program.settings == {"top-k": 3}


def test_a_fault_of_the_program_is_logged_and_not_told(person: Person, caplog: pytest.LogCaptureFixture):
    answer = person.ask("reset")

    assert answer["ok"] is False and "secret" not in str(answer)
    assert "the secret reason" in caplog.text
    assert person.ask("settings")["ok"]


def test_several_requests_at_once_are_answered_in_their_order(person: Person):
    changes = [{"command": "change", "settings": {"top-k": number}} for number in range(1, 21)]
    person.send(*changes, {"command": "status"})
    person.socket.shutdown(socket.SHUT_WR)  # as `echo ... | nc -U` does

    assert [person.hear()["result"]["top-k"] for _ in range(20)] == list(range(1, 21))
    assert person.hear()["result"]["name"] == "one"
    assert person.hear() is None


def test_a_crowd_is_served(program: Program):
    """Twenty people, each on a connection of their own; what one asks for is what that one is told."""

    def talk(number: int) -> None:
        with contextlib.closing(Person(program.server.path)) as person:
            for turn in range(10):
                wanted = [f"label {number}", f"label {turn}"]
                assert person.ask("change", settings={"allow": wanted})["result"]["allow"] == wanted
                assert person.ask("status")["ok"]

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(talk, range(20)))
    assert len(program.commands) == 200


def test_more_than_it_serves_at_once_wait_their_turn(program: Program):
    people = [Person(program.server.path) for _ in range(50)]
    for person in people:
        person.send({"command": "status"})
    for person in people:
        assert person.hear()["ok"]
        person.close()


def test_while_a_model_loads_others_are_answered(program: Program, person: Person):
    program.gate.clear()
    person.send({"command": "change", "settings": {"top-k": 9}}, {"command": "settings"})
    until(lambda: program.commands)
    with contextlib.closing(Person(program.server.path)) as other:
        assert [other.ask("settings")["result"]["top-k"] for _ in range(3)] == [3, 3, 3]
    program.gate.set()

    # The second request of the same connection saw what the first had done.
    assert [person.hear()["result"]["top-k"] for _ in range(2)] == [9, 9]


# What others do to it


def assert_alive(program: Program) -> None:
    """The loop goes round, and the next person is answered."""
    rounds = program.rounds
    until(lambda: program.rounds > rounds + 5)
    with contextlib.closing(Person(program.server.path)) as person:
        assert person.ask("status")["ok"]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"hello",
        b"\xff\xfe\x00",
        b"[1, 2",
        b"[" * 20000,
        b'{"command": "status"',
        b"null",
        b'["status"]',
        b'{"command": "dance"}',
        b'{"command": ["status"]}',
        b'{"command": {}}',
        b'{"command": "status", "more": 1}',
        b'{"command": "change"}',
        b'{"command": "change", "settings": {}}',
        b'{"command": "change", "settings": [1]}',
        b'{"command": "change", "settings": {"top-k": NaN}}',
        b'{"command": "change", "settings": {"top-k": 1}, "path": "/x"}',
        b'{"command": "snapshot", "path": "relative.jpg"}',
        b'{"command": "snapshot", "path": "/x\\u0000y"}',
        b'{"command": "snapshot", "path": 5}',
        b"9" * 60000,
    ],
    ids=lambda line: repr(line[:40]),
)
def test_nonsense_is_refused_in_a_line_and_the_connection_goes_on(program: Program, person: Person, line: bytes):
    person.socket.sendall(line + b"\n")
    answer = person.hear()
    assert answer["ok"] is False and answer["status"] == 2 and "\n" not in answer["error"]
    assert person.ask("status")["ok"]
    assert program.commands == []


def test_a_request_without_end_is_refused(program: Program, person: Person):
    with contextlib.suppress(ConnectionError):  # it may hang up before all of it is sent
        for _ in range(100):
            person.socket.sendall(b"x" * 65536)
    answer = person.hear()
    assert answer["ok"] is False and "65536" in answer["error"]
    assert person.hear() is None
    assert_alive(program)


def test_a_request_of_the_greatest_size_is_taken(person: Person):
    empty = len(json.dumps({"command": "change", "settings": {"allow": [""]}}))
    label = "x" * (65536 - 1 - empty)
    assert person.ask("change", settings={"allow": [label]})["result"]["allow"] == [label]


@pytest.mark.parametrize("message", [b"", b'{"comm', b'{"command": "change", "settings": {"top-k": 7}}'])
def test_half_a_message_and_gone(program: Program, message: bytes):
    for _ in range(40):
        person = Person(program.server.path)
        person.socket.sendall(message)
        person.close()
    assert_alive(program)
    assert program.commands == []


def test_half_a_message_and_silence(program: Program, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("remote.connection._PATIENCE", 0.5)
    people = [Person(program.server.path) for _ in range(40)]  # more than are served at once
    for person in people:
        person.socket.sendall(b'{"command": ')
    assert_alive(program)
    for person in people:
        assert person.hear() is None
        person.close()


def test_a_message_in_pieces_takes_no_longer_than_one_in_silence(program: Program, monkeypatch: pytest.MonkeyPatch):
    """A byte now and then must not keep a place for ever."""
    monkeypatch.setattr("remote.connection._PATIENCE", 0.5)
    with contextlib.closing(Person(program.server.path)) as person:
        started = time.monotonic()
        with pytest.raises(ConnectionError):
            while time.monotonic() < started + LIMIT:
                person.socket.sendall(b" ")
                time.sleep(0.02)


def test_a_message_in_pieces_is_taken(person: Person):
    for byte in b'{"command": "status"}\n':
        person.socket.sendall(bytes([byte]))
    assert person.hear()["ok"]


def test_who_asks_and_never_reads_is_dropped(program: Program, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("remote.connection._PATIENCE", 0.5)
    program.instance.publish(settings={"allow": ["x" * 1000] * 1000})  # more than the system keeps for a reader
    with contextlib.closing(Person(program.server.path)) as person:
        person.send({"command": "settings"}, {"command": "settings"})
        assert_alive(program)
        poll = select.poll()
        poll.register(person.socket, 0)  # hearing of the end only
        assert poll.poll(LIMIT * 1000)
    assert_alive(program)


def test_a_flood_does_not_keep_others_waiting(program: Program):
    with contextlib.closing(Person(program.server.path)) as flood:
        flood.socket.settimeout(0.2)
        with contextlib.suppress(socket.timeout):
            while True:
                flood.socket.sendall(b'{"command": "status"}\n' * 1000)
        for _ in range(3):
            assert_alive(program)


def test_a_crowd_from_elsewhere_takes_no_place_of_this_machines_user():
    instance = Instance("one", FLAGS)
    crowd = [instance.change({"top-k": 1}) for _ in range(100)] + [instance.reset() for _ in range(100)]
    owners = [instance.change({"top-k": 2}, trusted=True), instance.reset(trusted=True), instance.quit()]

    assert sum(not done.done() for done in crowd) == 32
    assert all("too many commands" in str(done.exception()) for done in crowd if done.done())
    assert [command.done for command in instance.waiting("change", most=1)] == [owners[0]]
    assert [command.done for command in instance.waiting()] == [*owners[1:], *crowd[:32]]


def test_who_leaves_before_the_answer_disturbs_nobody(program: Program):
    program.gate.clear()
    for number in range(20):
        person = Person(program.server.path)
        person.send({"command": "change", "settings": {"top-k": number + 1}})
        person.close()
    until(lambda: len(program.commands) == 20)
    program.gate.set()
    until(lambda: program.settings["top-k"] == 20)
    assert_alive(program)


def test_a_loop_that_never_does_it_frees_the_place(program: Program, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("remote.connection._WORK_TIMEOUT", 0.3)
    program.gate.clear()
    people = [Person(program.server.path) for _ in range(32)]
    for person in people:
        person.send({"command": "change", "settings": {"top-k": 4}})
    assert_alive(program)
    assert all(person.hear()["ok"] is False for person in people)
    for person in people:
        person.close()
    program.gate.set()  # and the late result meets nobody
    until(lambda: program.settings["top-k"] == 4)
    assert_alive(program)


def test_nothing_is_left_of_a_thousand_visits(program: Program):
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = descriptors()
    for number in range(300):
        person = Person(program.server.path)
        if number % 3:
            person.send({"command": "status"})
        if number % 3 == 2:
            assert person.hear()["ok"]
        person.close()
    assert_alive(program)
    until(lambda: descriptors() <= before)


# Its end


def test_closing_hangs_up_and_removes_the_socket():
    program = Program()
    program.gate.clear()
    idle, half, waiting, leaving = (Person(program.server.path) for _ in range(4))
    half.socket.sendall(b'{"comm')
    waiting.send({"command": "change", "settings": {"top-k": 9}})
    assert leaving.ask("quit") == {"ok": True, "result": None}
    until(lambda: len(program.commands) == 2)
    started = time.monotonic()
    program.server.close()
    elapsed = time.monotonic() - started
    program.server.close()

    assert elapsed < 2
    assert not os.path.lexists(program.server.path)
    assert not [thread for thread in threading.enumerate() if thread.name == "live socket"]
    assert waiting.hear() == {"ok": False, "error": "the program ends", "status": 2}
    assert [person.hear() for person in (idle, half, waiting, leaving)] == [None] * 4
    program.gate.set()  # what was under way ends later, and finds nobody: no error in the loop
    until(lambda: program.settings["top-k"] == 9)
    program.stop()
    for person in (idle, half, waiting, leaving):
        person.close()


def test_an_answer_that_is_ready_is_still_sent():
    """As when "quit" ends the program the moment it is obeyed."""
    for _ in range(20):
        program = Program()
        person = Person(program.server.path)
        person.send({"command": "quit"})
        until(lambda program=program: program.commands)
        program.close()
        assert person.hear() == {"ok": True, "result": None}
        person.close()


@pytest.mark.parametrize("done", [True, False])
def test_the_last_word_is_the_answer_if_there_is_one(done: bool):
    """The same, where the program ended before the socket's thread could look."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        future: Future[str] = Future()
        client = Client(ours, lambda line: future)
        theirs.sendall(b"{}\n")
        client.ready = True
        assert client.advance()
        if done:
            future.set_result("yes")
        client.say_goodbye()
        answer = json.loads(theirs.recv(1000))
    ending = {"ok": False, "error": "the program ends", "status": 2}
    assert answer == ({"ok": True, "result": "yes"} if done else ending)


# Where it lies, and who may use it


def test_only_its_user_can_reach_it(runtime_folder: Path):
    before = os.umask(0)
    try:
        program = Program("den-2")
    finally:
        os.umask(before)
    with contextlib.closing(program):
        assert program.server.path == runtime_folder / "movinet-pi/den-2.sock"
        assert stat.S_ISSOCK(program.server.path.lstat().st_mode)
        assert (mode(program.server.path), mode(program.server.path.parent)) == (0o600, 0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize("user, answered", [(65534, False), (0, True)])
def test_another_user_is_not_answered_even_if_the_files_let_them(program: Program, user: int, answered: bool):
    program.server.path.chmod(0o666)
    for folder in list(program.server.path.parents)[:3]:
        folder.chmod(0o755)
    script = f"""
import os, socket
os.setuid({user})
connection = socket.socket(socket.AF_UNIX)
connection.connect({str(program.server.path)!r})
try:
    connection.sendall(b'{{"command": "status"}}\\n')
    print(connection.recv(9))
except ConnectionError:
    print(b"")
"""
    heard = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=LIMIT)
    assert heard.stdout.strip() == repr(b'{"ok": tr' if answered else b""), heard.stderr
    assert_alive(program)


def test_the_same_name_twice(program: Program):
    with pytest.raises(UserError, match="called one runs already.*--instance") as caught:
        Program("one")
    assert caught.value.status == 2
    assert_alive(program)
    with contextlib.closing(Program("two")):
        assert set(running()) == {"one", "two"}


def test_the_same_name_twice_in_two_folders(program: Program, monkeypatch: pytest.MonkeyPatch, runtime_folder: Path):
    """At a desktop XDG_RUNTIME_DIR is set, in a cron job it isn't."""
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    with contextlib.closing(Program("one")) as elsewhere:
        assert elsewhere.server.path.parent == runtime_folder.parent / f"tmp/movinet-pi-{os.geteuid()}"
        assert mode(elsewhere.server.path.parent) == 0o700
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime_folder))
        program.server.close()
        with pytest.raises(UserError, match="runs already"):
            Program("one")


@pytest.fixture
def killed(runtime_folder: Path) -> list[Path]:
    """The sockets of two programs that were killed."""
    script = """
import sys, time
from remote.instance import Instance
from remote.socket_server import SocketServer
servers = [SocketServer(Instance(name, [])) for name in ("one", "other")]
print("ready", flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            assert set(running()) == {"one", "other"}
        finally:
            process.kill()
    sockets = [runtime_folder / f"movinet-pi/{name}.sock" for name in ("one", "other")]
    assert all(path.is_socket() for path in sockets)
    return sockets


def test_what_a_killed_program_left_is_replaced(killed: list[Path]):
    assert running() == {}
    with contextlib.closing(Program("one")) as program:
        assert program.server.path == killed[0]
        assert_alive(program)
        assert not os.path.lexists(killed[1])  # else every crash would leave a file


def test_of_programs_that_start_at_once_one_gets_the_name(killed: list[Path], monkeypatch: pytest.MonkeyPatch):
    barrier = threading.Barrier(8)
    look, looked, dawdler = paths._answers, threading.Event(), {}

    def look_and_dawdle(path: Path) -> bool:
        """Lets the others go ahead, if they can, while the first still believes that the name is free."""
        if dawdler.setdefault("it", threading.get_ident()) != threading.get_ident():
            looked.wait(LIMIT)
            return look(path)
        answers = look(path)
        if not looked.is_set():
            looked.set()
            time.sleep(0.3)
        return answers

    monkeypatch.setattr(paths, "_answers", look_and_dawdle)

    def start(_: int) -> Program | None:
        barrier.wait(LIMIT)
        try:
            return Program("one")
        except UserError:
            return None

    with ThreadPoolExecutor(8) as pool:
        programs = [program for program in pool.map(start, range(8)) if program]
    assert len(programs) == 1
    assert_alive(programs[0])
    programs[0].close()


def test_a_socket_whose_folder_vanishes_comes_back(monkeypatch: pytest.MonkeyPatch, runtime_folder: Path):
    """/run/user/1000 is removed when its user logs out, and made anew with the next login."""
    monkeypatch.setattr("remote.socket_server._CHECK_PERIOD", 0.1)
    with contextlib.closing(Program()) as program:
        talking = Person(program.server.path)
        shutil.rmtree(runtime_folder)
        until(lambda: "one" in running())
        assert_alive(program)
        assert talking.ask("status")["ok"]  # who was connected still is
        talking.close()
        assert program.server.path.parent != runtime_folder / "movinet-pi"
    assert running() == {}


def test_closing_leaves_a_successors_socket_alone(program: Program):
    program.server.path.unlink()
    with contextlib.closing(Program("one")) as successor:
        program.server.close()
        assert_alive(successor)


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", ".hidden", "-flag", "a b", "ä", "x" * 65, "a\n", "a\0"])
def test_names_that_are_none(name: str, runtime_folder: Path):
    with pytest.raises(UserError, match="--instance"):
        Program(name)
    assert not (runtime_folder / "movinet-pi").exists()


def test_a_path_that_is_too_long_for_a_socket(monkeypatch: pytest.MonkeyPatch, runtime_folder: Path):
    room = len("one")
    deep = runtime_folder / ("x" * (107 - room - len(f"{runtime_folder}//movinet-pi/.sock")))
    deep.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    with pytest.raises(OutputError, match=r"108 bytes, 107 is the most; set XDG_RUNTIME_DIR"):
        Program("four")
    with contextlib.closing(Program("one")) as program:
        assert_alive(program)


def test_a_runtime_folder_where_others_may_write_is_not_used(runtime_folder: Path):
    runtime_folder.chmod(0o777)
    with contextlib.closing(Program()) as program:
        assert runtime_folder not in program.server.path.parents


def test_without_that_variable_the_login_has_its_folder(monkeypatch: pytest.MonkeyPatch, runtime_folder: Path):
    """As in a cron job, or after `su`."""
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    own = runtime_folder.parent / f"users/{os.geteuid()}"
    own.mkdir(parents=True, mode=0o700)
    with contextlib.closing(Program()) as program:
        assert program.server.path == own / "movinet-pi/one.sock"


@pytest.mark.parametrize("trap", ["link", "open", "file"])
def test_a_folder_that_somebody_prepared_is_not_used(runtime_folder: Path, trap: str):
    folder = runtime_folder / "movinet-pi"
    if trap == "link":
        (runtime_folder / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(runtime_folder / "elsewhere")
    elif trap == "open":
        folder.mkdir()
        folder.chmod(0o755)
    else:
        folder.touch()
    with contextlib.closing(Program()) as program:
        assert folder not in program.server.path.parents
        assert running() == {"one": program.server.path}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_another_users_folder_in_the_temporary_one_is_refused(monkeypatch: pytest.MonkeyPatch, runtime_folder: Path):
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    folder = runtime_folder.parent / f"tmp/movinet-pi-{os.geteuid()}"
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, 65534)
    with pytest.raises(OutputError, match="set XDG_RUNTIME_DIR"):
        Program()
    assert running() == {}


def test_it_costs_no_heavy_import():
    script = "import sys, remote.socket_server; print({'asyncio', 'numpy', 'cv2'} & set(sys.modules))"
    heard = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=LIMIT)
    assert heard.stdout.strip() == "set()", heard.stderr
