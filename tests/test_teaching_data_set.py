"""What counts as a clip and as a label, and that anything else is one line, not the end."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from errors import SourceError, UserError
from teaching.clips import find_clips, hash_clip, read_clip
from utils import read_labels


def write_video(path: Path, frames: int = 6, fps: float = 5.0, shade: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (48, 32))
    for number in range(frames):
        video.write(np.full((32, 48, 3), (shade + number) % 256, np.uint8))
    video.release()
    return path


def write_images(folder: Path, frames: int = 6, shade: int = 50) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(frames):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((32, 48, 3), shade + number, np.uint8))
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with a clip of each of two labels."""
    write_video(tmp_path / "data" / "waving" / "1.avi")
    write_video(tmp_path / "data" / "background" / "1.avi")
    return tmp_path / "data"


def problem(folder: Path) -> str:
    """Returns the one line that a user is told."""
    with pytest.raises(UserError) as error:
        find_clips(folder)
    text = str(error.value)
    assert text and len(text.splitlines()) == 1
    return text


def write_gif(path: Path) -> None:
    image_module = pytest.importorskip("PIL.Image", reason="Pillow, which writes the GIF, isn't installed")
    pictures = [image_module.new("RGB", (48, 32), (40 * number, 0, 0)) for number in range(6)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=200)


def test_videos_gifs_and_folders_of_images_are_clips(data):
    write_images(data / "waving" / "evening")
    write_gif(data / "waving" / "2.gif")
    found = find_clips(data)
    assert found.labels == ["background", "waving"]
    assert [(clip.path.relative_to(data).as_posix(), found.labels[clip.label]) for clip in found.clips] == [
        ("background/1.avi", "background"),
        ("waving/1.avi", "waving"),
        ("waving/2.gif", "waving"),
        ("waving/evening", "waving"),
    ]
    assert found.skipped == []
    for clip in found.clips:
        assert len(list(read_clip(clip.path))) == 6


def test_the_folder_may_be_given_as_text(data, monkeypatch):
    monkeypatch.chdir(data.parent)
    assert len(find_clips("data").clips) == 2


def test_hidden_files_and_unfinished_recordings_do_not_count(data):
    for name in (".DS_Store", "._1.avi", "2.avi.part", "3.part"):
        (data / "waving" / name).write_bytes(b"what")
    write_video(data / ".trash" / "1.avi")
    (data / "report.txt").write_text("not a folder")
    found = find_clips(data)
    assert len(found.clips) == 2 and found.skipped == []


def test_what_cannot_be_read_is_left_out_with_a_line_each(data):
    whole = (data / "waving" / "1.avi").read_bytes()
    (data / "waving" / "cut.avi").write_bytes(whole[:100])
    (data / "waving" / "empty.mp4").write_bytes(b"")
    (data / "waving" / "notes.txt").write_text("three clips, window open")
    (data / "waving" / "two\nlines.mp4").write_text("no video")
    (data / "waving" / "nothing").mkdir()
    (data / "waving" / "lost.mp4").symlink_to(data / "gone.mp4")
    found = find_clips(data)
    assert [clip.path.name for clip in found.clips] == ["1.avi", "1.avi"]
    assert len(found.skipped) == 6
    for name in ("cut.avi", "empty.mp4", "notes.txt", "two lines.mp4", "nothing", "lost.mp4"):
        assert sum(name in line for line in found.skipped) == 1
    assert all(len(line.splitlines()) == 1 for line in found.skipped)


@pytest.mark.parametrize("name", ["notes.txt", "list.nfo", "README.asc"])
def test_a_text_is_no_clip_however_long(data, name):
    """FFmpeg would play it as the film of a terminal."""
    (data / "waving" / name).write_text("three clips, window open\n" * 400)
    found = find_clips(data)
    assert [clip.path.name for clip in found.clips] == ["1.avi", "1.avi"]
    assert len(found.skipped) == 1 and f"waving/{name} holds no video" in found.skipped[0]


@pytest.mark.timeout(20)
def test_a_pipe_keeps_nobody_waiting(data):
    os.mkfifo(data / "waving" / "pipe.mp4")
    assert "neither a file nor a folder" in find_clips(data).skipped[0]


def test_images_that_lie_singly_are_told_of_once(data):
    write_images(data / "jumping", frames=30)
    found = find_clips(data)
    assert found.labels == ["background", "waving"]
    assert len(found.skipped) == 2  # the images, and that nothing is left of the label
    assert "folder of their own" in found.skipped[0] and "jumping" in found.skipped[1]


@pytest.mark.timeout(20)
def test_links_in_circles_do_no_harm(data):
    (data / "circle").symlink_to(data)
    (data / "above").symlink_to(data.parent)
    (data / "self").symlink_to(data / "self")
    (data / "waving" / "inner").symlink_to(data / "waving")
    found = find_clips(data)
    assert found.labels == ["background", "waving"] and len(found.clips) == 2
    assert len(found.skipped) == 3  # "self" leads to nothing at all


def test_a_label_without_clips_is_none(data):
    (data / "jumping").mkdir()
    found = find_clips(data)
    assert found.labels == ["background", "waving"]
    assert len(found.skipped) == 1 and "jumping holds no clips" in found.skipped[0]


def test_labels_of_all_languages_survive_a_label_file(data, tmp_path):
    wanted = ["agiter la main", "Kopf schütteln", "手を振る", "دست تکان دادن", "a.b c+d"]
    for number, label in enumerate(wanted):
        write_video(data / label / "1.avi", shade=number)
    found = find_clips(data)
    assert found.labels == sorted([*wanted, "background", "waving"])
    (tmp_path / "labels.txt").write_text("\n".join(found.labels), encoding="utf-8")
    assert read_labels(tmp_path / "labels.txt") == found.labels


@pytest.mark.parametrize("name", ["a\nb", " a", "a ", "a\rb", "a\x85b", "a\u2028b", "a\x0cb"])
def test_a_folder_whose_name_is_no_line_cannot_be_a_label(data, name):
    (data / name).mkdir()
    (data / name / "1.avi").write_bytes((data / "waving" / "1.avi").read_bytes())
    assert repr(name) in problem(data)


def test_a_folder_whose_name_is_not_utf8_cannot_be_a_label(data):
    path = os.fsencode(data) + b"/w\xe4ving"
    os.mkdir(path)
    os.link(data / "waving" / "1.avi", path + b"/1.avi")
    assert "rename it" in problem(data)


def test_clips_whose_names_are_not_utf8_are_left_out(data):
    """OpenCV crashes on them."""
    os.link(data / "waving" / "1.avi", os.fsencode(data) + b"/waving/\xe4.avi")
    write_images(data / "waving" / "images")
    os.link(data / "waving" / "images" / "1.png", os.fsencode(data) + b"/waving/images/\xe4.png")
    found = find_clips(data)
    assert len(found.clips) == 2 and len(found.skipped) == 2
    assert all("rename it" in line and line.isprintable() for line in found.skipped)


def test_labels_that_differ_only_in_case_are_one_too_many(data):
    write_video(data / "Waving" / "1.avi")
    assert "'waving'" in problem(data) and "'Waving'" in problem(data)


def test_one_label_written_in_two_ways_is_one_too_many(data):
    write_video(data / "sch\u00fctteln" / "1.avi")
    write_video(data / "schu\u0308tteln" / "1.avi")
    assert "would be one label" in problem(data)


def test_too_few(tmp_path):
    data = tmp_path / "data"
    with pytest.raises(SourceError, match="No such file"):
        find_clips(data)
    data.mkdir()
    assert "holds no clips" in problem(data)
    write_video(data / "1.avi")
    assert "holds no clips" in problem(data)
    write_video(data / "waving" / "1.avi")
    assert "one label only, 'waving'" in problem(data)
    (data / "jumping").mkdir()
    (data / "jumping" / "1.avi").write_text("no video")
    text = problem(data)
    assert "one label only, 'waving'" in text and "2 skipped" in text and "jumping" in text
    with pytest.raises(SourceError, match="Not a directory"):
        find_clips(data / "1.avi")


def test_a_clip_is_known_by_its_content(tmp_path):
    one = write_video(tmp_path / "one.avi", shade=1)
    two = write_video(tmp_path / "two.avi", shade=2)
    (tmp_path / "copy.avi").write_bytes(one.read_bytes())
    assert hash_clip(one) == hash_clip(tmp_path / "copy.avi") != hash_clip(two)


def test_a_folder_of_images_is_known_by_its_content_and_order(tmp_path):
    one = write_images(tmp_path / "one")
    copy = write_images(tmp_path / "copy")
    (copy / "notes.txt").write_text("not part of it")
    assert hash_clip(one) == hash_clip(copy)
    other = write_images(tmp_path / "other")
    (other / "1.png").rename(other / "x.png")
    (other / "2.png").rename(other / "1.png")
    (other / "x.png").rename(other / "2.png")
    fewer = write_images(tmp_path / "fewer")
    (fewer / "5.png").unlink()
    assert len({hash_clip(each) for each in (one, other, fewer)}) == 3
