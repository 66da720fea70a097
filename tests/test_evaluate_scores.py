"""The counting behind evaluate.py: intervals, delays, the order of streams, names of folders."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import SourceError
from evaluation.clips import Clip, find_clips, match
from evaluation.running import Answers, Contestant, Outcome
from evaluation.scores import frames_until, score
from evaluation.shares import Share
from evaluation.streams import plan_streams
from evaluation.table import table


@pytest.mark.parametrize(
    "right, of, low, high",
    [  # Newcombe, Statistics in Medicine 17 (1998), table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_intervals_are_the_published_ones(right, of, low, high):
    assert Share(right, of).interval == pytest.approx((low, high), abs=5e-5)
    mirrored = Share(of - right, of).interval
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=5e-5)


def test_without_trials_anything_is_possible():
    assert Share(0, 0).interval == (0, 1)
    assert Share(0, 0).to_json()["share"] is None


@pytest.mark.parametrize(
    "answers, first, for_good",
    [
        ([7, 7, 7], 1, 1),
        ([1, 7, 1, 7, 7], 2, 4),
        ([7, 7, 1], 1, None),
        ([1, 2, 3], None, None),
        ([1, 2, 7], 3, 3),
    ],
)
def test_frames_until_the_answer_is_right(answers, first, for_good):
    assert frames_until(7, answers) == (first, for_good)


@given(st.lists(st.integers(0, 4).map(lambda label: f"label {label}"), max_size=60), st.integers(0, 99))
def test_a_stream_shows_every_clip_once_and_labels_change_as_long_as_they_can(labels, seed):
    clips = [Clip(Path(f"{number}.mp4"), label) for number, label in enumerate(labels)]
    streams = plan_streams(clips, seed, longest=7)

    order = [clip for stream in streams for clip in stream]
    assert sorted(order, key=lambda clip: int(clip.path.stem)) == clips
    assert all(1 <= len(stream) <= 7 for stream in streams)
    assert len({len(stream) for stream in streams}) <= 1 or max(map(len, streams)) - min(map(len, streams)) == 1
    most = max(Counter(labels).values(), default=0)
    runs = [len(list(run)) for _, run in groupby(clip.folder for clip in order)]
    if 2 * most <= len(labels) + 1:  # no label has more than half of the clips
        assert all(run == 1 for run in runs)
    assert plan_streams(clips, seed, longest=7) == streams


def test_another_seed_is_another_order():
    clips = [Clip(Path(f"{number}.mp4"), f"label {number % 5}") for number in range(30)]
    assert plan_streams(clips, 1) != plan_streams(clips, 2)


def test_spellings_of_a_label_are_alike():
    labels = ["tai chi", "on/off", "crème brûlée", "Waving hand"]
    folders = ["Tai_Chi", "on%2Foff", "on_off", "cre\u0300me bru\u0302le\u0301e", "waving-hand", "zumba"]
    assert match(folders, labels) == dict(zip(folders, [0, 1, 1, 2, 3]))


def test_labels_that_are_spelt_almost_alike_stay_apart():
    assert match(["on off", "on-off", "On-Off", "on_off"], ["on-off", "on off"]) == {
        "on off": 1, "on-off": 0, "On-Off": 0, "on_off": 0,
    }  # fmt: skip


def test_what_counts_as_a_clip(tmp_path):
    for name in ("b.MP4", "a.gif", ".hidden.mp4", "c", "half.mp4.part", "frames/1.png", "1.jpg", "2.jpg"):
        path = tmp_path / "waving" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / ".git").mkdir()

    found, skipped = find_clips(tmp_path)
    assert {folder: [clip.path.name for clip in clips] for folder, clips in found.items()} == {
        "empty": [],
        "waving": ["a.gif", "b.MP4", "c", "frames"],
    }
    assert skipped == [f"{tmp_path}/waving/1.jpg, ...: the images of a clip need a folder of their own"]
    assert [clip.path.name for clip in find_clips(tmp_path, limit=2)[0]["waving"]] == ["a.gif", "b.MP4"]


def test_a_folder_without_folders_is_no_data(tmp_path):
    with pytest.raises(SourceError, match="needs one for each label"):
        find_clips(tmp_path)
    with pytest.raises(SourceError, match="No such file"):
        find_clips(tmp_path / "missing")


LABELS = ["a", "b", "c", "d", "e", "f"]


def outcome(label: str, fresh: list[int], streamed: list[int], top: list[int], mean: int) -> Outcome:
    answers = Answers(fresh, [(place, 0.1) for place in top], mean, streamed)
    return Outcome(Clip(Path(f"{label}/1.mp4"), label), None, [answers])


def contestant(labels: list[str]) -> Contestant:
    truth = {label: place for place, label in enumerate(labels)}
    return Contestant("model", Path("model.tflite"), 5.0, labels, truth, lambda: None, "runtime")


def test_scores_of_answers_that_are_written_down_here():
    streams = [
        [
            outcome("a", [1, 0, 0], [1, 1, 1], [0, 1, 2, 3, 4], 0),
            outcome("b", [1, 0], [0, 1], [0, 1, 2, 3, 4], 1),  # wrong at its end, told by the mean
            outcome("b", [5, 5, 5, 1], [1, 1, 1, 1], [1, 0, 2, 3, 4], 5),  # follows its like: no cut
        ],
        [outcome("c", [4], [2], [4, 5, 0, 1, 3], 4), outcome("a", [0, 0], [2, 2], [0, 1, 2, 3, 4], 0)],
    ]
    scores = score(0, contestant(LABELS), streams)

    assert (scores.clips, scores.fresh.at_end) == (5, Share(3, 5))
    assert scores.top5 == Share(4, 5)
    assert scores.mean == Share(3, 5)
    assert scores.fresh.by_frame == [Share(2, 5), Share(2, 4), Share(1, 2), Share(1, 1)]
    assert (scores.fresh.first.median, scores.fresh.first.reached) == (2, 4)  # of 2, 1, 4, never, 1
    assert (scores.fresh.for_good.median, scores.fresh.for_good.reached) == (4, 3)  # of 2, never, 4, never, 1
    assert [scores.of_label(place) for place in (0, 1, 2)] == [Share(2, 2), Share(1, 2), Share(0, 1)]
    assert scores.confused() == [(1, 0, 1), (2, 4, 1)]
    assert scores.columns() == [0, 1, 2, 4]
    # The first clip of a stream follows none.
    assert scores.streamed.at_end == Share(1, 2)
    assert scores.streamed.by_frame == [Share(0, 2), Share(1, 2)]
    assert (scores.streamed.first.median, scores.streamed.first.reached) == (None, 1)


def test_five_labels_are_too_few_for_a_top_5():
    outcomes = [[outcome("a", [0], [0], [0, 1, 2, 3, 4], 0)]]
    assert score(0, contestant(LABELS[:5]), outcomes).top5 is None


def test_the_table_is_aligned_and_lists_the_hardest_of_many_labels():
    labels = [f"label {number:02d}" for number in range(30)] + ["手を振る"]
    hard = {5, 17, 30}
    stream = [
        outcome(label, [0 if place in hard else place], [place], [place], place) for place, label in enumerate(labels)
    ]
    text = table([score(0, contestant(labels), [stream])])

    section = text.partition("label, at the clip's end")[2].partition("\n\n")[0].splitlines()
    assert [line.split("  ")[0] for line in section[1:4]] == ["label 05", "label 17", "手を振る"]
    assert all("0.0 % (0-79)" in line and line.endswith("label 00: 1") for line in section[1:4])
    assert section[-1].startswith("... and 11 labels")
    assert section[1].index("0.0 %") == section[3].index("0.0 %") + 4  # four letters of two columns each
    assert "taken for label 00   1 of 1" in text.partition("most often confused")[2]


def test_figures_stay_in_their_models_column():
    """The first model's only clip can't be read, so that there is nothing to tell of it."""
    names = ["broken", "whole"]
    models = [
        Contestant(name, Path(f"{name}.tflite"), 5.0, LABELS, truth, lambda: None, "runtime")
        for name, truth in zip(names, ({"a": 0}, {"b": 1, "c": 2}))
    ]
    seen = [Answers([1, 1], [(1, 0.9)], 1, [1, 1]), Answers([0, 0], [(0, 0.9)], 0, [0, 0])]
    stream = [
        Outcome(Clip(Path("a/1.mp4"), "a"), "is empty", [None, None]),
        *[Outcome(Clip(Path(f"{label}/1.mp4"), label), None, [None, each]) for label, each in zip("bc", seen)],
    ]
    lines = table([score(number, model, [stream]) for number, model in enumerate(models)]).splitlines()

    broken, whole = (lines[0].index(name) for name in names)
    streamed = lines[next(number for number, line in enumerate(lines) if "never reset" in line) :]
    for section, share in ((lines, "50.0 %"), (streamed, "0.0 %")):
        line = next(line for line in section if "top-1 at the clip's end" in line)
        assert line[broken:whole].strip() == "-" and line[whole:].strip().startswith(share)
