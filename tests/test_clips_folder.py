"""The folder of clips: names that are safe, a limit that a watcher never sees exceeded, files that aren't ours."""

from __future__ import annotations

import contextlib
import os
import random
import string
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from errors import OutputError
from events import Event
from events.clips_folder import ClipsFolder, clip_name

ROOT = Path(__file__).resolve().parent.parent
EVENT = Event("8f3a", "playing guitar", "camera", 1_700_000_000.0, 0.0, 1.0, 0.9, 0.8, False)
SAFE = set(string.ascii_letters + string.digits + "-_.")


def put(folder, name, size, age=0):
    """A clip that was finished `age` seconds ago."""
    path = Path(folder) / name
    path.write_bytes(bytes(size))
    os.utime(path, (time.time() - age,) * 2)
    return name


def name_for(number):
    return f"20261121-141530-waving-{number:04}.mp4"


def write_clip(folder, name, size, piece=10_000):
    """Writes a clip piece by piece; returns whether there was room for all of it."""
    part = folder.create(name)
    for at in range(0, size, piece):
        end = min(size, at + piece)
        if not part.reserve(end):
            part.discard()
            return False
        part.write(bytes(end - at))
    part.keep()
    return True


def collect(folder):
    """Returns the size of each file by its inode: one that is renamed meanwhile counts once."""
    sizes = {}
    for entry in os.scandir(folder):
        with contextlib.suppress(FileNotFoundError):
            status = entry.stat(follow_symlinks=False)
            sizes[status.st_ino] = status.st_size
    return sizes


class Watcher(threading.Thread):
    """Sums up the folder's files over and over, and looks for clips that aren't as long as their names say.

    A sum over files that change meanwhile is of no one moment: it counts if a second look finds the same.
    """

    def __init__(self, folder):
        super().__init__()
        self.folder, self.most, self.halves = folder, 0, []
        self._stop_asked = threading.Event()

    def run(self):
        while not self._stop_asked.is_set():
            sizes = collect(self.folder)
            if sizes == collect(self.folder):
                self.most = max(self.most, sum(sizes.values()))
            for path in self.folder.glob("[!.]*"):
                with contextlib.suppress(FileNotFoundError):
                    if path.stat().st_size != int(path.name[-12:-4]):
                        self.halves.append(path.name)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self._stop_asked.set()
        self.join()


def sized_name(writer, number, size):
    """A clip's name that tells its size to the watcher."""
    return f"20261121-141530-w{writer}-{number:04}-{size:08}.mp4"


def test_names_say_when_and_what():
    assert clip_name(EVENT).endswith("-playing-guitar-8f3a.mp4")
    local = time.strftime("%Y%m%d-%H%M%S", time.localtime(EVENT.start))
    assert clip_name(EVENT).startswith(local + "-")
    assert "-kase-schneiden-" in clip_name(replace(EVENT, label="Käse (schneiden)!"))
    assert "-event-" in clip_name(replace(EVENT, label="弹吉他"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(), st.text(), st.text())
def test_names_are_safe_whatever_comes(tmp_path, label, first, second):
    folder = ClipsFolder(tmp_path / "clips", 10**6)
    name = clip_name(replace(EVENT, label=label, id=first))
    assert set(name) <= SAFE and not name.startswith(".") and ".." not in name and len(name) < 140
    assert write_clip(folder, name, 10)
    assert folder.find(name) == tmp_path / "clips" / name and name in folder.list_clips()
    folder.find(name).unlink()
    assert (clip_name(replace(EVENT, label=label, id=second)) == name) == (first == second)


def test_find_knows_only_clips(tmp_path):
    folder = ClipsFolder(tmp_path / "clips", 10**6)
    put(folder.path, name_for(1), 5)
    put(tmp_path, name_for(2), 5)
    put(folder.path, "holiday.mp4", 5)
    (folder.path / name_for(3)).symlink_to(tmp_path / name_for(2))
    (folder.path / name_for(4)).mkdir()
    part = folder.create(name_for(5))
    assert folder.find(name_for(1)).read_bytes() == bytes(5)
    strange = ["", ".", "..", "holiday.mp4", f"../{name_for(2)}", f"../clips/{name_for(1)}", f"./{name_for(1)}"]
    strange += [str(folder.path / name_for(1)), name_for(1) + "\n", name_for(1) + "\0", name_for(1).replace("1", "١")]
    strange += [f".{name_for(5)}.part", "x" * 5000, "20261121-141530-" + "x" * 300 + ".mp4"]
    for name in [name_for(n) for n in range(2, 6)] + strange:
        assert folder.find(name) is None, name
    assert folder.list_clips() == [name_for(1)]
    part.discard()


def test_clips_are_listed_newest_first(tmp_path):
    folder = ClipsFolder(tmp_path, 10**6)
    for number, age in [(1, 50), (2, 10), (3, 90)]:
        put(tmp_path, name_for(number), 5, age)
    assert folder.list_clips() == [name_for(2), name_for(1), name_for(3)]


def test_the_oldest_go_first_and_no_more_than_needed(tmp_path):
    folder, foreign = ClipsFolder(tmp_path, 5_000_000), {"holiday.mp4", f"{name_for(1)}.bak"}
    for number in range(9):
        put(tmp_path, name_for(number), 500_000, age=(number * 37) % 9 * 10 + 5)
    oldest_first = [name_for(n) for n in sorted(range(9), key=lambda n: -((n * 37) % 9))]
    for name in foreign:
        put(tmp_path, name, 5_000_000, age=1000)
    assert write_clip(folder, name_for(20), 200_000)  # there was room
    assert set(os.listdir(tmp_path)) == {*foreign, *oldest_first, name_for(20)}
    # 4.7 MB and 2 MB are 1.7 MB too many: four clips, whose 2 MB also pay for what is reserved ahead.
    assert write_clip(folder, name_for(21), 2_000_000)
    assert folder.list_clips() == [name_for(21), name_for(20), *oldest_first[:3:-1]]
    assert foreign <= set(os.listdir(tmp_path))


def test_what_can_never_fit_deletes_nothing(tmp_path):
    folder = ClipsFolder(tmp_path, 1_000_000)
    put(tmp_path, name_for(1), 400_000)
    part = folder.create(name_for(2))
    assert not part.reserve(1_000_001)
    assert folder.list_clips() == [name_for(1)]
    assert part.reserve(1_000_000)  # but all of it can be had
    assert folder.list_clips() == []
    part.discard()
    assert os.listdir(tmp_path) == []


def test_a_smaller_limit_than_last_time(tmp_path):
    for number in range(5):
        put(tmp_path, name_for(number), 100_000, age=100 - number)
    ClipsFolder(tmp_path, 250_000)
    assert sorted(os.listdir(tmp_path)) == [name_for(3), name_for(4)]


def test_the_limit_holds_at_every_moment(tmp_path, monkeypatch):
    """Four threads write clips of any size, some as large as nearly all that they may take together.

    A file grows only as room is reserved, one at a time: the folder is summed up right after each, which no watcher
    that runs beside could do as exactly.
    """
    limit, rng, sums, truncate = 3_000_000, random.Random(6), [], os.ftruncate
    folder = ClipsFolder(tmp_path, limit)
    sizes = [[rng.choice([1, 5_000, 200_000, 900_000, 2_500_000]) for _ in range(25)] for _ in range(4)]
    kept = []

    def truncate_and_sum(descriptor, size):
        grows = size > os.fstat(descriptor).st_size
        truncate(descriptor, size)
        if grows:
            sums.append(sum(collect(tmp_path).values()))

    def write(writer):
        for number, size in enumerate(sizes[writer]):
            if write_clip(folder, sized_name(writer, number, size), size, piece=50_000):
                kept.append(size)

    monkeypatch.setattr(os, "ftruncate", truncate_and_sum)
    with Watcher(tmp_path) as watcher:
        threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(sums) > 100 and limit / 2 < max(sums) <= limit
    assert watcher.most <= limit and watcher.halves == []
    assert len(kept) > 25 and len(folder.list_clips()) < len(kept)  # of 100; how many find room is a matter of chance
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


def test_two_processes_share_a_folder(tmp_path):
    """Neither sees the other's lists: what they share is the folder."""
    code = """
        import sys
        sys.path.insert(0, "tests")
        from test_clips_folder import ClipsFolder, sized_name, write_clip
        writer = sys.argv[2]
        folder = ClipsFolder(sys.argv[1], 2_000_000)
        print("ready", flush=True)
        sys.stdin.readline()
        done = [write_clip(folder, sized_name(writer, n, 300_000 + n), 300_000 + n, 30_000) for n in range(60)]
        print(sum(done))
    """
    children = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), str(tmp_path), str(writer)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for writer in range(2)
    ]
    with Watcher(tmp_path) as watcher:
        for child in children:
            assert child.stdout.readline() == "ready\n"
        outputs = []
        for child in children:
            child.stdin.write("\n")
            child.stdin.flush()
        for child in children:
            outputs.append(child.communicate(timeout=60)[0])
    assert [int(output) for output in outputs] == [60, 60]
    assert watcher.halves == [] and 1_000_000 < watcher.most <= 2_000_000
    assert len(ClipsFolder(tmp_path, 2_000_000).list_clips()) >= 4


def test_an_existing_clip_is_not_replaced(tmp_path):
    folder = ClipsFolder(tmp_path, 10**6)
    put(tmp_path, name_for(1), 7)
    with pytest.raises(FileExistsError):
        folder.create(name_for(1))
    folder.create(name_for(2))
    with pytest.raises(FileExistsError):  # nor one that is being written
        folder.create(name_for(2))


def test_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = ClipsFolder(".", 1_000_000)
    assert write_clip(folder, name_for(1), 900_000) and write_clip(folder, name_for(2), 900_000)
    assert os.listdir(tmp_path) == [name_for(2)]


def test_the_folder_is_made_but_not_its_parents(tmp_path):
    assert ClipsFolder(tmp_path / "new", 10**6).list_clips() == []
    assert (tmp_path / "new").is_dir()
    (tmp_path / "file").write_text("text")
    for name, says in [("a/b", "No such file"), ("file", "it is a file"), ("file/b", "Not a directory")]:
        with pytest.raises(OutputError, match=says) as caught:
            ClipsFolder(tmp_path / name, 10**6)
        assert name in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_of_someone_else(tmp_path):
    """Root may write anywhere, so root's test becomes nobody first."""
    tmp_path.chmod(0o555)
    code = """
        import os, sys
        from errors import OutputError
        from events.clips_folder import ClipsFolder
        if os.geteuid() == 0:
            os.chdir(sys.argv[1])
            os.seteuid(65534)
        else:
            os.chdir(sys.argv[1])
        try:
            ClipsFolder(".", 10**6)
        except OutputError as error:
            print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.count("\n") == 1 and "Permission denied" in done.stdout, done.stderr
