"""Features of clips: what the running program would see, at the moments and in the views that are learnt."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Callable, Iterator, Sequence

import cv2
import numpy as np
import pytest
from conftest import ROOT
from teaching_clips import write_clips

from errors import OutputError, PackageError, UserError
from teaching.augment import View
from teaching.clips import DataSet, find_clips
from teaching.features import Samples, extract, extract_clip

QUIET = iter  # a progress that tells nothing


class Eye:
    """A backbone whose features can be told by hand.

    They are the steps since the reset, the mean of each half of the picture, and the right half's of the first picture
    since then; in memory that the next step overwrites.
    """

    features = 4
    input_size = 16, 16
    fit = "stretch"

    def __init__(self, key: str = "eye", forbidden: bool = False) -> None:
        self.key = key
        self.steps = 0
        self._row = np.zeros(4, np.float32)
        self._forbidden = forbidden

    def reset(self) -> None:
        self._row[0] = 0

    def step(self, frame: np.ndarray) -> np.ndarray:
        assert not self._forbidden, "the model was run"
        self.steps += 1
        self._row[:3] = self._row[0] + 1, frame[:, :8].mean(), frame[:, 8:].mean()
        if self._row[0] == 1:
            self._row[3] = self._row[2]
        return self._row


def write_video(path: Path, shades: Sequence[float], fps: float = 5.0, size: tuple[int, int] = (48, 32)) -> Path:
    """Writes a video that is black on its left and of these shades on its right."""
    path.parent.mkdir(parents=True, exist_ok=True)
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, size)
    for shade in shades:
        image = np.zeros((size[1], size[0], 3), np.uint8)
        image[:, size[0] // 2 :] = shade
        video.write(image)
    video.release()
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three clips of each of two labels, two to three seconds long; "jumping" gets brighter, "waving" darker."""
    for number in range(3):
        shades = np.arange(10 + 2 * number) * 10
        write_video(tmp_path / "data" / "jumping" / f"{number}.avi", shades + 40 + number)
        write_video(tmp_path / "data" / "waving" / f"{number}.avi", 240 - shades - number)
    return tmp_path / "data"


def read(folder: Path, backbone: Eye, cache: Path, *, augment: int = 3, **settings: object) -> Samples:
    return extract(backbone, find_clips(folder), augment=augment, cache=cache, progress=QUIET, **settings)


def same(one: Samples, other: Samples) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("features", "labels", "clips", "moments", "augmented")
    )


# --- which rows there are


def test_a_clip_is_learnt_once_a_second_and_at_its_end(data, tmp_path):
    samples = read(data, Eye(), tmp_path / "cache", augment=0)
    assert samples.names == ["jumping", "waving"] and samples.skipped == []
    for clip, path in enumerate(samples.paths):
        rows = (samples.clips == clip) & ~samples.augmented
        length = 10 + 2 * int(path.stem)
        assert samples.moments[rows].tolist() == sorted({5, 10, length})
        assert set(samples.labels[rows]) == {samples.names.index(path.parent.name)}


def test_each_row_is_of_the_moment_and_the_state_that_it_says(data, tmp_path):
    """The plain view begins with a fresh state; the one after another clip, with two seconds of it."""
    samples = read(data, Eye(), tmp_path / "cache", augment=0)
    before = samples.features[:, 0] - samples.moments
    assert set(before[~samples.augmented]) == {0} and set(before[samples.augmented]) == {10}
    for clip, path in enumerate(samples.paths):
        for row in np.flatnonzero(samples.clips == clip):
            rising, number = path.parent.name == "jumping", int(path.stem)
            shade = (samples.moments[row] - 1) * 10
            wanted = 40 + number + shade if rising else 240 - shade - number
            assert samples.features[row, 2] == pytest.approx(wanted, abs=3)  # MJPEG loses a little
            # Two seconds before their end, or at their start, the rising ones are dark and the falling ones bright.
            assert (samples.features[row, 3] < 150) == (rising != samples.augmented[row])


def test_augmented_views_are_marked_and_differ_from_the_plain_one(data, tmp_path):
    samples = read(data, Eye(), tmp_path / "cache", augment=4)
    for clip in range(len(samples.paths)):
        rows = samples.clips == clip
        assert (rows & ~samples.augmented).sum() <= 3
        assert len(np.unique(samples.features[rows & samples.augmented, 1:], axis=0)) > 6


def test_clips_are_mirrored_unless_a_label_speaks_of_a_side(data, tmp_path):
    def sides(folder: Path, **settings: object) -> set[bool]:
        samples = read(folder, Eye(), tmp_path / "cache", **settings)
        return set(
            (samples.features[:, 1] > samples.features[:, 2]).tolist()
        )  # whether the left half is the bright one

    assert sides(data) == {False, True} == sides(data, mirror=True)
    assert sides(data, mirror=False) == {False}
    (data / "waving").rename(data / "waving left")
    assert sides(data) == {False}
    assert sides(data, mirror=True) == {False, True}


def test_a_faster_view_is_shorter_and_a_later_start_too(tmp_path):
    clip = write_video(tmp_path / "1.avi", range(150), fps=50)  # 3 s
    lengths = [
        extract_clip(Eye(), clip, [view]).moments.max()
        for view in (View(), View(speed=1.25), View(speed=0.8), View(start=0.5), View(start=0.5, speed=1.25))
    ]
    assert lengths == [15, 12, 19, 13, 10]  # ceil(15 / speed), and of 2.5 s


@pytest.mark.parametrize("fps", [5, 7, 12, 15, 29.97, 30, 60])
def test_clips_are_sampled_by_time_whatever_their_frame_rate(tmp_path, fps):
    clip = write_video(tmp_path / "1.avi", np.arange(math.ceil(3 * fps)), fps=fps)
    rows = extract_clip(Eye(), clip, [View()])
    frames = math.ceil(3 * fps)
    # At 29.97 fps the 15th sample is due at 2.8 s as well; frame k is the first one not before it.
    assert rows.moments.tolist() == [5, 10, 15] if fps != 7 else rows.moments[-1] in (14, 15)
    for moment, row in zip(rows.moments, rows.features):
        assert row[2] == pytest.approx(min(frames - 1, math.ceil((moment - 1) / 5 * fps - 0.02)), abs=2.5)


def test_a_folder_of_images_is_a_clip_at_the_models_rate(tmp_path):
    (tmp_path / "clip").mkdir()
    for number in range(12):
        image = np.zeros((32, 48, 3), np.uint8)
        image[:, 24:] = 20 * number
        cv2.imwrite(str(tmp_path / "clip" / f"{number}.png"), image)
    rows = extract_clip(Eye(), tmp_path / "clip", [View()])
    assert rows.moments.tolist() == [5, 10, 12]
    assert rows.features[:, 2].tolist() == [80, 180, 220]


def test_a_gif_keeps_its_delays(tmp_path):
    images = pytest.importorskip("PIL.Image", reason="Pillow, which writes the GIF, isn't installed")
    pictures = [images.new("L", (48, 32), 10 * number) for number in range(20)]
    pictures[0].save(tmp_path / "1.gif", save_all=True, append_images=pictures[1:], duration=100)
    rows = extract_clip(Eye(), tmp_path / "1.gif", [View()])
    assert rows.moments.tolist() == [5, 10]
    assert rows.features[:, 2] == pytest.approx([80, 180], abs=3)


# --- clips that can't be used


def test_short_long_and_copied_clips_are_told_of(data, tmp_path):
    write_video(data / "waving" / "short.avi", range(4))
    write_video(data / "waving" / "long.avi", np.arange(170) % 256)
    write_video(data / "waving" / "whole.avi", np.arange(150)[::-1])
    (data / "jumping" / "copy.avi").write_bytes((data / "waving" / "0.avi").read_bytes())
    for _ in range(2):  # from the cache, too
        samples = read(data, Eye(), tmp_path / "cache", augment=1)
        lines = {
            name: [line for line in samples.skipped if name in line] for name in ("short.avi", "long.avi", "copy.avi")
        }
        assert len(samples.skipped) == 3 and all(len(found) == 1 for found in lines.values())
        assert "shorter than 1 s" in lines["short.avi"][0] and "longer than 30 s" in lines["long.avi"][0]
        assert "the same clip as" in lines["copy.avi"][0]
        used = {samples.paths[clip].name for clip in samples.clips}
        assert "short.avi" not in used and {"long.avi", "whole.avi"} <= used
        assert samples.moments.max() <= 150 / 0.8 + 1


def test_a_clip_that_breaks_after_it_was_found_is_left_out(data, tmp_path):
    dataset = find_clips(data)
    (data / "waving" / "1.avi").write_bytes(b"no video any more")
    (data / "jumping" / "2.avi").unlink()
    samples = extract(Eye(), dataset, augment=1, cache=tmp_path / "cache", progress=QUIET)
    assert len(samples.skipped) >= 2 and any("2.avi" in line for line in samples.skipped)
    assert any("waving/1.avi" in line for line in samples.skipped)
    assert set(samples.clips.tolist()) <= {0, 1, 3, 5}


def test_two_labels_must_be_left(data, tmp_path):
    for number in range(3):
        write_video(data / "waving" / f"{number}.avi", range(3 * number, 3 * number + 3))
    with pytest.raises(UserError, match="fewer than two labels .3 left out; first: .*shorter than 1 s") as error:
        read(data, Eye(), tmp_path / "cache")
    assert len(str(error.value).splitlines()) == 1


# --- the cache


def test_a_second_run_reads_only_the_cache_wherever_the_clips_are_now(data, tmp_path):
    first = read(data, Eye(), tmp_path / "cache")
    data.rename(tmp_path / "moved")
    assert same(read(tmp_path / "moved", Eye(forbidden=True), tmp_path / "cache"), first)
    (tmp_path / "moved" / "waving" / "0.avi").rename(tmp_path / "moved" / "waving" / "9.avi")
    again = read(tmp_path / "moved", Eye(forbidden=True), tmp_path / "cache")
    assert sorted(map(tuple, again.features)) == sorted(map(tuple, first.features))


def test_what_nobody_has_asked_for_in_months_is_removed(data, tmp_path):
    cache = tmp_path / "cache"
    read(data, Eye(), cache)
    used = set(cache.iterdir())
    read(data, Eye("another base"), cache)
    unused = set(cache.iterdir()) - used
    (cache / "notes.txt").write_text("mine")
    recent = unused.pop()
    for path in (*used, *unused, cache / "notes.txt"):
        os.utime(path, (time.time() - 91 * 86400,) * 2)

    read(data, Eye(forbidden=True), cache)
    assert set(cache.iterdir()) == {*used, recent, cache / "notes.txt"}
    os.utime(recent, (time.time() - 91 * 86400,) * 2)
    read(data, Eye(forbidden=True), cache)  # those that were used keep living
    assert set(cache.iterdir()) == {*used, cache / "notes.txt"}


def test_the_users_cache_is_used_when_no_other_is_given(data, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    read(data, Eye(), None)
    read(data, Eye(forbidden=True), None)
    assert len(list((tmp_path / "home" / "movinet-pi").rglob("*.features"))) == 6


def test_results_do_not_depend_on_the_cache(data, tmp_path):
    assert same(read(data, Eye(), tmp_path / "one"), read(data, Eye(), tmp_path / "two"))


@pytest.mark.parametrize("change", [{"seed": 1}, {"augment": 2}, {"mirror": False}, {"fps": 4.0}])
def test_other_settings_are_read_anew(data, tmp_path, change):
    first, eye = read(data, Eye(), tmp_path / "cache"), Eye()
    assert not same(read(data, eye, tmp_path / "cache", **change), first) and eye.steps


def test_another_backbone_is_read_anew(data, tmp_path):
    first, other = read(data, Eye(), tmp_path / "cache"), Eye("other")
    assert same(read(data, other, tmp_path / "cache"), first) and other.steps


def test_a_new_clip_leaves_most_others_in_the_cache(data, tmp_path):
    for number in range(3, 12):
        write_video(data / "jumping" / f"{number}.avi", np.arange(10) * 10 + number)
        write_video(data / "waving" / f"{number}.avi", 240 - np.arange(10) * 10 - number)
    whole = Eye()
    read(data, whole, tmp_path / "cache")
    write_video(data / "waving" / "new.avi", np.arange(10))
    more = Eye()
    samples = read(data, more, tmp_path / "cache")
    assert 0 < more.steps < whole.steps / 2
    assert same(samples, read(data, Eye(), tmp_path / "fresh"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[:-30] + bytes([content[-30] ^ 1]) + content[-29:],
        lambda content: content[:200] + bytes([content[200] ^ 128]) + content[201:],
        lambda content: b"x" * len(content),
    ],
)
def test_damaged_entries_are_read_anew(data, tmp_path, damage: Callable[[bytes], bytes]):
    first = read(data, Eye(), tmp_path / "cache")
    entries = sorted((tmp_path / "cache").iterdir())
    assert len(entries) == 6
    entries[0].write_bytes(damage(entries[0].read_bytes()))
    eye = Eye()
    assert same(read(data, eye, tmp_path / "cache"), first)
    whole = Eye()
    read(data, whole, tmp_path / "fresh")
    assert 0 < eye.steps < whole.steps / 3  # the damaged one only
    assert same(read(data, Eye(forbidden=True), tmp_path / "cache"), first)


def test_an_interrupted_run_goes_on_where_it_was(data, tmp_path):
    """As Ctrl-C does it, in the middle of the fourth clip."""

    class Interrupted(Eye):
        def step(self, frame: np.ndarray) -> np.ndarray:
            if self.steps == 200:
                raise KeyboardInterrupt
            return super().step(frame)

    with pytest.raises(KeyboardInterrupt):
        read(data, Interrupted(), tmp_path / "cache")
    done = sorted((tmp_path / "cache").iterdir())
    assert 0 < len(done) < 6 and all(path.suffix == ".features" for path in done)
    whole, rest = Eye(), Eye()
    expected = read(data, whole, tmp_path / "fresh")
    assert same(read(data, rest, tmp_path / "cache"), expected)
    assert rest.steps < whole.steps - 100


def test_a_cache_that_cannot_be_written_is_an_error_only_if_it_was_asked_for(data, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file") as error:
        read(data, Eye(), tmp_path / "file" / "cache")
    assert len(str(error.value).splitlines()) == 1
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(read(data, Eye(), None).features)


def test_memory_does_not_grow_with_the_number_of_clips(tmp_path):
    def peak(folder: Path) -> int:
        tracemalloc.start()
        try:
            read(folder, Eye(), tmp_path / f"cache {folder.name}", augment=1)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    for name, number in (("few", 1), ("many", 5)):
        for clip in range(number):
            for label, first in (("waving", 0), ("jumping", 100)):
                write_video(tmp_path / name / label / f"{clip}.avi", np.arange(15) + first + clip, size=(640, 480))
    frame = 640 * 480 * 3
    few, many = peak(tmp_path / "few"), peak(tmp_path / "many")
    assert frame < few < 6 * frame  # of the 15 frames of a clip
    assert many < few + frame


# --- the real backbone


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    write_clips(folder, clips=1, seed=5)
    return folder


@pytest.fixture(scope="module")
def backbone(demo_model: Path):
    try:
        from teaching.network import Backbone

        return Backbone(demo_model, memory=12)
    except (ImportError, PackageError) as reason:
        pytest.skip(f"graphs can't be edited here: {reason}")


@pytest.fixture(scope="module")
def samples(clips: Path, backbone, tmp_path_factory: pytest.TempPathFactory) -> Samples:
    cache = tmp_path_factory.mktemp("features")
    return extract(backbone, find_clips(clips), augment=1, cache=cache, progress=QUIET)


def every_third_frame(path: Path) -> Iterator[np.ndarray]:
    """5 of the 15 frames a second that the clips have, read without any of the program's code."""
    capture = cv2.VideoCapture(str(path))
    for number in range(int(capture.get(cv2.CAP_PROP_FRAME_COUNT))):
        image = capture.read()[1]
        if number % 3 == 0:
            yield image
    capture.release()


def test_plain_rows_are_a_plain_loop_over_the_frames(samples, backbone):
    for clip, path in enumerate(samples.paths):
        backbone.reset()
        steps = [backbone.step(image).copy() for image in every_third_frame(path)]
        rows = (samples.clips == clip) & ~samples.augmented
        assert samples.moments[rows].tolist() == [5, 10, 15]
        np.testing.assert_array_equal(samples.features[rows], [steps[4], steps[9], steps[14]])


def test_warm_rows_are_what_a_stream_gives_that_showed_another_action_before(samples, backbone):
    """A clip's second view follows the last two seconds of one clip, which has another label."""
    for clip, path in list(enumerate(samples.paths))[:2]:
        warm = samples.features[(samples.clips == clip) & samples.augmented][:3]
        fitting = []
        for other in samples.paths:
            backbone.reset()
            for image in list(every_third_frame(other))[-10:]:
                backbone.step(image)
            steps = [backbone.step(image).copy() for image in every_third_frame(path)]
            if np.array_equal(warm, [steps[4], steps[9], steps[14]]):
                fitting.append(other)
        assert len(fitting) == 1 and fitting[0].parent != path.parent


def test_features_of_a_mirrored_view_are_those_of_a_mirrored_clip(clips, backbone, tmp_path):
    clip = next(iter(find_clips(clips).clips)).path
    for name, code in (("clip", None), ("mirrored", 1)):
        (tmp_path / name).mkdir()
        for number, image in enumerate(every_third_frame(clip)):
            picture = image if code is None else cv2.flip(image, code)
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), picture)
    views = [View(mirror=True), View()]
    both = extract_clip(backbone, tmp_path / "clip", views).features
    mirrored = extract_clip(backbone, tmp_path / "mirrored", [View()]).features
    np.testing.assert_array_equal(both[:3], mirrored)
    assert np.abs(both[:3] - both[3:]).max() > 0.01  # it makes a difference


def test_the_program_says_what_the_features_say(samples, backbone, demo_model):
    """classify.py on a clip, as a user runs it, against the demo's own classifier on the features."""
    path = samples.paths[0]
    command = [sys.executable, str(ROOT / "classify.py"), "--model", str(demo_model), "--source", str(path)]
    command += ["--precision", "float", "--memory", "2.4", "--display", "none", "--jsonl", "-", "--top-k", "7"]
    environment = {**os.environ, "DISPLAY": ""}
    run = subprocess.run(command, capture_output=True, text=True, timeout=100, env=environment)
    assert run.returncode == 0, run.stderr
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    predictions = {line["step"]: line["top"] for line in lines if "top" in line}
    rows = np.flatnonzero((samples.clips == 0) & ~samples.augmented)
    assert len(rows) == 3 and max(predictions) == 15
    for row in rows:
        logits = backbone.logits(samples.features[row])
        shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
        for category in predictions[samples.moments[row]]:
            assert shares[category["index"]] == pytest.approx(category["probability"], abs=2e-4)


def test_a_real_backbone_is_not_run_a_second_time(clips, backbone, tmp_path, monkeypatch):
    dataset: DataSet = find_clips(clips)
    first = extract(backbone, dataset, augment=1, cache=tmp_path, progress=QUIET)
    monkeypatch.setattr(backbone, "step", None)
    assert same(extract(backbone, dataset, augment=1, cache=tmp_path, progress=QUIET), first)
