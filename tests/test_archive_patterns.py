"""What a pattern, a folder or a name stands for."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from conftest import as_nobody

import archive
from archive.patterns import expand
from errors import SourceError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with files of no content, and the working directory."""
    for name in ("b.mp4", "a.MP4", "notes.txt", "2024/x.mp4", "2024/june/x.mp4", "2024/june/.hidden.mp4", ".old/y.mp4"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not empty")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*sources):
    files, problems = expand(sources)
    assert problems == []
    return [file.name for file in files]


def test_patterns_match_as_in_a_shell_sorted_and_without_what_is_hidden(folder):
    assert names("*.mp4") == ["b.mp4"]
    assert names("**/*.mp4") == ["2024/june/x.mp4", "2024/x.mp4", "b.mp4"]
    assert names("2024/**/x.mp4") == ["june/x.mp4", "x.mp4"]
    assert names("[ab].*4") == ["a.MP4", "b.mp4"]
    assert names("?.mp4") == ["b.mp4"]
    assert names("*/june/x.mp4") == ["2024/june/x.mp4"]
    assert names(f"{folder}/2024/*.mp4") == ["x.mp4"]
    assert names(".old/*.mp4") == ["y.mp4"]


def test_a_folder_stands_for_the_videos_below_it_also_where_a_pattern_matches_it(folder):
    assert names(".") == ["2024/june/x.mp4", "2024/x.mp4", "a.MP4", "b.mp4"]
    assert names("20*") == ["2024/june/x.mp4", "2024/x.mp4"]
    assert names("20**") == ["2024/june/x.mp4", "2024/x.mp4"]


def test_paths_are_absolute_and_every_file_is_taken_once(folder):
    (folder / "link.mp4").symlink_to("b.mp4")

    files, _ = expand(["*.mp4", "b.mp4", str(folder)])

    assert [file.path for file in files].count(os.path.realpath("b.mp4")) == 1
    assert len(files) == 4
    assert all(Path(file.path).is_absolute() and file.size == 9 for file in files)


def test_links_in_circles_are_harmless(folder):
    (folder / "2024" / "june" / "up").symlink_to("../..")
    (folder / "self").symlink_to("self")

    assert names("**/*.mp4") == ["2024/june/x.mp4", "2024/x.mp4", "b.mp4"]
    assert [name for name, _ in expand(["*"])[1]] == ["self"]


def test_a_folder_behind_a_link_is_looked_into(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("disk")
    (elsewhere / "z.mp4").write_bytes(b"z")
    (folder / "disk").symlink_to(elsewhere)

    assert "disk/z.mp4" in names("**/*.mp4")


def test_folders_may_lie_deep(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(1200):
        os.mkdir("d")
        os.chdir("d")
    Path("deep.mp4").write_bytes(b"deep")
    os.chdir(tmp_path)

    try:
        assert names("**/*.mp4") == ["d/" * 1200 + "deep.mp4"]
    finally:
        subprocess.run(["rm", "-r", str(tmp_path / "d")], check=True)  # Python's own way doesn't get so deep


@pytest.fixture
def nobody(folder):
    with as_nobody(folder):
        yield


@pytest.mark.parametrize("source", [".", "**/*.mp4", "*", "2024", "2024/june", "2024/*/*.mp4"])
@pytest.mark.parametrize("mode", [0, 0o444])
def test_a_folder_that_cannot_be_entered_is_told(folder, request, source, mode):
    closed = folder / "2024" / "june"
    closed.chmod(mode)
    request.getfixturevalue("nobody")

    files, problems = expand([source])

    assert [reason for _, reason in problems] == ["Permission denied"]
    assert problems[0][0] in ("2024/june/", "june/")
    assert "june" not in [Path(file.path).parent.name for file in files]


def test_files_of_one_name_from_two_roots_keep_two_names(folder):
    found = names("2024/x.mp4", "2024/june/x.mp4")

    assert found[0] == "x.mp4"
    assert found[1] == str(folder.resolve() / "2024" / "june" / "x.mp4")


def test_what_is_no_file_is_told_and_never_opened(folder):
    os.mkfifo("pipe.mp4")

    files, problems = expand(["*.mp4"])

    assert [file.name for file in files] == ["b.mp4"]
    assert problems == [("pipe.mp4", "it is no regular file")]


def test_a_file_that_is_named_like_a_pattern_is_that_file(folder):
    Path("take [1].mp4").write_bytes(b"1")

    assert names("take [1].mp4") == ["take [1].mp4"]
    assert archive.only_match("take [1].mp4") == "take [1].mp4"


def test_a_name_that_is_not_utf8_is_a_name(folder):
    path = os.fsencode(folder) + b"/caf\xe9.mp4"
    with open(path, "wb"):
        pass

    assert os.fsdecode(path) in [file.path for file in expand(["*.mp4"])[0]]


@pytest.mark.parametrize("source", ["*.mkv", "nowhere.mp4", "rtsp://camera/x", "usb:0", "demo", "nowhere/**"])
def test_what_stands_for_no_file_is_an_error(folder, source):
    with pytest.raises(SourceError, match=r"^[^\n]+$"):
        expand([source])


def test_a_pattern_that_matches_one_file_is_that_file(folder):
    assert os.path.samefile(archive.only_match("b*"), "b.mp4")
    assert archive.only_match("**/*.mp4") == "**/*.mp4"
    assert archive.only_match("rtsp://camera/*?x=[1]") == "rtsp://camera/*?x=[1]"
