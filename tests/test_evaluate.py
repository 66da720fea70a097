"""evaluate.py on clips that are drawn here; what it must say is counted here from runs of the bare classifier."""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
from argparse import Namespace
from collections import Counter
from pathlib import Path
from typing import Any, Iterable, Sequence

import cv2
import numpy as np
import pytest
from conftest import DATA, ROOT, as_nobody, skip_without_schema
from terminal import written_on_a_terminal

import evaluate
from errors import SourceError
from evaluation.clips import find_clips
from evaluation.running import Contestant
from sources.play import ACTIONS, Play
from teaching.clips import find_clips as find_teaching_clips
from video_classifier import VideoClassifier

TINY, QUANTIZED = DATA / "tiny.tflite", DATA / "tiny_quantized.tflite"
COLOURS = {"red": (0, 0, 255), "green": (0, 255, 0), "blue": (255, 0, 0), "dark": (0, 0, 0), "bright": (255,) * 3}


def write_video(path: Path, frames: Iterable[np.ndarray], fps: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    video = None
    for frame in frames:
        if video is None:
            video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, frame.shape[1::-1])
        video.write(frame)
    video.release()


def write_images(folder: Path, colours: Sequence[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, colour in enumerate(colours):
        assert cv2.imwrite(str(folder / f"{number}.png"), np.full((32, 32, 3), COLOURS[colour], np.uint8))


def noisy(colour: str, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 20, (48, 64, 3))
    return np.clip(np.array(COLOURS[colour]) * 0.8 + 25 + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Videos of 10 fps, so that every other frame is the model's; two lie in wrong folders, one is broken."""
    folder = tmp_path_factory.mktemp("colours")
    for label, shown in (
        ("Red", "red red red"),
        ("green", "green green blue"),
        ("blue", "blue blue blue"),
        ("dark", "dark dark"),
        ("bright", "bright bright red"),
    ):
        for number, colour in enumerate(shown.split()):
            seed = 100 * number + len(label)
            frames = [noisy(colour, seed + place) for place in range(12 + 2 * number)]
            write_video(folder / label / f"{number}.avi", frames, 10)
    (folder / "red-hot").mkdir()
    (folder / "red-hot" / "1.mp4").touch()
    (folder / "green" / "broken.mp4").write_bytes(b"no video at all" * 100)
    (folder / "dark" / "nothing.avi").touch()
    (folder / "moving").mkdir()
    return folder


def run(*arguments: object, out: Path) -> dict[str, Any]:
    """Runs the command; returns its JSON."""
    assert evaluate.main([str(each) for each in (*arguments, "--json", out)]) == 0
    return json.loads(out.read_text())


def sampled(path: Path, every: int) -> list[np.ndarray]:
    """Returns each so-many-th frame of a video."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while True:
        good, frame = capture.read()
        if not good:
            return frames[::every]
        frames.append(frame)


def open_live(model: Path, labels: Path, **settings: Any) -> VideoClassifier:
    """Opens a model as classify.py does by default."""
    settings = {"memory": 12, "precision": "auto", "threads": 1, "channel_order": "bgr", **settings}
    return VideoClassifier(model, labels, **settings)


def probabilities(classifier: VideoClassifier, frames: Sequence[np.ndarray]) -> np.ndarray:
    return np.array([classifier.step(frame).probabilities for frame in frames])


def check_against_bare_runs(
    figures: dict[str, Any], data: Path, classifier: VideoClassifier, every: int, place_of: dict[str, int]
) -> None:
    """Compares all figures of a model with what running and counting here gives; place_of: folder to class."""
    clips = sorted(figures["per_clip"], key=lambda clip: (clip["stream"], clip["place"]))
    right, top5, by_mean, after_cut, waits, confusion = [], [], [], [], [], Counter()
    previous = None
    for clip in clips:
        true = place_of[clip["clip"].split("/")[0]]
        frames = sampled(data / clip["clip"], every)
        classifier.reset()
        fresh = probabilities(classifier, frames)
        assert clip["fresh"]["answers"] == fresh.argmax(axis=1).tolist()
        assert clip["label"] == classifier.labels[true]
        assert clip["top"][0]["probability"] == pytest.approx(fresh[-1].max(), abs=1e-3)
        right.append(fresh[-1].argmax() == true)
        top5.append(true in np.argsort(-fresh[-1])[:5])
        by_mean.append(fresh.mean(axis=0).argmax() == true)
        confusion[true, int(fresh[-1].argmax())] += 1
    classifier.reset()
    for clip in clips:
        true = place_of[clip["clip"].split("/")[0]]
        if clip["place"] == 0:
            classifier.reset()
            previous = None
        answers = probabilities(classifier, sampled(data / clip["clip"], every)).argmax(axis=1)
        assert clip["streamed"]["answers"] == answers.tolist()
        if previous not in (None, true):
            after_cut.append(answers == true)
            waits.append(int(np.argmax(answers == true)) + 1 if true in answers else np.inf)
        previous = true

    assert figures["clips"] == len(clips)
    assert (figures["top1"]["right"], figures["top1"]["of"]) == (sum(right), len(clips))
    assert figures["top1"]["low"] < figures["top1"]["share"] + 1e-9
    assert figures["top5"]["right"] == sum(top5)
    assert figures["top1_by_mean"]["right"] == sum(by_mean)
    streamed = figures["streamed"]
    assert (streamed["at_end"]["right"], streamed["at_end"]["of"]) == (sum(c[-1] for c in after_cut), len(after_cut))
    for frame, share in enumerate(streamed["by_frame"]):
        assert share["of"] == sum(len(answers) > frame for answers in after_cut)
        assert share["right"] == sum(answers[frame] for answers in after_cut if len(answers) > frame)
    median = statistics.median(waits)
    assert streamed["first_right"]["median"] == (median if np.isfinite(median) else None)
    matrix = figures["confusion"]
    index = {label: place for place, label in enumerate(classifier.labels)}
    counted = {
        (index[true], index[answer]): count
        for true, counts in zip(matrix["rows"], matrix["counts"])
        for answer, count in zip(matrix["columns"], counts)
        if count
    }
    assert counted == dict(confusion)
    assert {each["label"]: (each["right"], each["of"]) for each in figures["by_label"]} == {
        classifier.labels[true]: (confusion[true, true], sum(n for (row, _), n in confusion.items() if row == true))
        for true, _ in confusion
    }


def test_two_models_side_by_side(colours, tiny_labels, tmp_path, capsys):
    figures = run("--model", TINY, "--model", QUANTIZED, "--labels", tiny_labels, "--data", colours,
                  out=tmp_path / "out.json")  # fmt: skip
    place_of = {"Red": 0, "green": 1, "blue": 2, "dark": 3, "bright": 4}
    assert [model["name"] for model in figures["models"]] == ["tiny", "tiny_quantized"]
    for model, path in zip(figures["models"], (TINY, QUANTIZED)):
        with open_live(path, tiny_labels) as classifier:
            check_against_bare_runs(model, colours, classifier, 2, place_of)
        # Which the colours themselves tell: 14 clips, two of which lie in a wrong folder.
        assert (model["top1"]["right"], model["top1"]["of"]) == (12, 14)
        wrong = {clip["clip"] for clip in model["per_clip"] if not clip["right"]}
        assert wrong == {"green/2.avi", "bright/2.avi"}

    assert [each["clip"] for each in sorted(figures["unreadable"], key=str)] == ["dark/nothing.avi", "green/broken.mp4"]
    assert figures["folders_without_label"] == {"red-hot": 1}
    assert figures["folders_without_clips"] == ["moving"]
    output = capsys.readouterr()
    assert "tiny_quantized" in output.out and " 85.7 % (60-96)" in output.out
    errors = output.err.splitlines()
    assert "left out: 1 clip in folders that are no label: red-hot" in errors
    assert "left out: 1 folder without clips: moving" in errors
    assert "left out: dark/nothing.avi: is empty; give another file" in errors
    assert sum(line.startswith("left out: green/broken.mp4: ") for line in errors) == 1
    assert "2 of 16 clips could not be read" in errors


def test_jobs_and_repetition_change_nothing(colours, tiny_labels, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "STREAM_CLIPS", 4)  # several streams
    arguments = "--model", TINY, "--labels", tiny_labels, "--data", colours, "--seed", 3
    one, three = (run(*arguments, "--jobs", jobs, out=tmp_path / f"{jobs}.json") for jobs in (1, 3))
    assert one == three
    assert {clip["stream"] for clip in one["models"][0]["per_clip"]} == {0, 1, 2, 3}


def test_limit_and_no_stream(colours, tiny_labels, tmp_path):
    figures = run("--model", TINY, "--labels", tiny_labels, "--data", colours, "--limit", 1, "--no-stream",
                  out=tmp_path / "out.json")  # fmt: skip
    model = figures["models"][0]
    assert sorted(clip["clip"] for clip in model["per_clip"]) == sorted(
        f"{label}/0.avi" for label in ("Red", "green", "blue", "dark", "bright")
    )
    assert model["top1"]["right"] == 5
    assert model["streamed"] is None and all(clip["streamed"] is None for clip in model["per_clip"])


def test_the_memory_decides_how_soon_a_switch_is_seen(tiny_labels, tmp_path):
    """40 frames of one colour, then 40 of another: a mean over all of them changes sides after 40 more at the soonest,
    one over about 5 frames after 4: .8 to the 4th is below a half."""
    skip_without_schema()
    write_images(tmp_path / "data" / "red" / "images", ["red"] * 40)
    write_images(tmp_path / "data" / "blue" / "images", ["blue"] * 40)
    arguments = "--model", TINY, "--labels", tiny_labels, "--data", tmp_path / "data"

    unbounded = run(*arguments, "--memory", "off", out=tmp_path / "out.json")["models"][0]
    short = run(*arguments, "--memory", "1", out=tmp_path / "out.json")["models"][0]

    assert unbounded["top1"]["right"] == short["top1"]["right"] == 2
    waits = [model["streamed"]["first_right"]["median"] for model in (unbounded, short)]
    assert waits[0] is None or waits[0] >= 40
    assert waits[1] is not None and waits[1] <= 7
    assert short["streamed"]["at_end"] == {"right": 1, "of": 1, "share": 1.0, "low": 0.206549, "high": 1.0}


def test_what_can_be_taught_with_can_be_measured_with(tiny_labels, tmp_path, capsys):
    """The same clips count as for `train.py fit`, whatever they are called; what is left out is named."""
    data = tmp_path / "data"
    for name in ("red/1.avi", "blue/1.avi", "blue/2.avi"):
        colour = name.partition("/")[0]
        write_video(data / name, [noisy(colour, len(name))] * 8, 5)
    (data / "red" / "1.avi").rename(data / "red" / "1.asf")
    (data / "blue" / "1.avi").rename(data / "blue" / "recording")
    (data / "red" / "notes.txt").write_text("three clips, window open\n" * 400)
    (data / "blue" / "list.csv").write_text("1.avi,2\n")
    write_images(data / "blue", ["blue"] * 2)

    figures = run("--model", TINY, "--labels", tiny_labels, "--data", data, out=tmp_path / "out.json")

    measured = sorted(clip["clip"] for clip in figures["models"][0]["per_clip"])
    taught = find_teaching_clips(data)
    assert measured == sorted(clip.path.relative_to(data).as_posix() for clip in taught.clips)
    assert measured == ["blue/2.avi", "blue/recording", "red/1.asf"]
    errors = capsys.readouterr().err
    for name in ("red/notes.txt", "blue/list.csv", "blue/0.png"):
        assert sum(name in line for line in errors.splitlines()) == sum(name in line for line in taught.skipped) == 1


def test_the_heading_tells_what_really_ran(colours, tiny_labels, tmp_path, capsys):
    skip_without_schema()

    def heading(*arguments: object) -> str:
        few = "--labels", tiny_labels, "--data", colours, "--limit", 1, "--no-stream"
        run(*few, *arguments, out=tmp_path / "out.json")
        return capsys.readouterr().out.splitlines()[0]

    one, both = ("--model", TINY), ("--model", TINY, "--model", QUANTIZED)
    assert f"{colours}: as published, all remembered, " in heading(*one, "--no-compile", "--memory", "off")
    assert "compiled (float), memory 3 s, " in heading(*both, "--precision", "float", "--memory", 3)
    # A model in float isn't rounded to integers: it runs as it is.
    assert ": as published, memory 2.4 s, " in heading(*one, "--precision", "int8")
    contestants = [
        Contestant(name, TINY, 5.0, [], {}, None, "", compiled=name != "odd", memory=2.4) for name in ("a", "odd", "b")
    ]
    options = Namespace(precision="auto", memory=2.4, fit="crop")
    assert evaluate._conditions(options, contestants) == (
        "a and b compiled (auto), odd as published, memory 2.4 s, frames fitted by crop"
    )


def test_models_that_know_different_folders(colours, tiny_labels, tmp_path, capsys):
    labels = tmp_path / "other.txt"
    labels.write_text("red\ngreen\nazure\nblack\nwhite\nmotion\nflicker\n")
    figures = run("--model", TINY, "--model", QUANTIZED, "--labels", tiny_labels, "--labels", labels, "--data", colours,
                  out=tmp_path / "out.json")  # fmt: skip
    assert [model["clips"] for model in figures["models"]] == [14, 6]
    assert figures["models"][1]["top1"]["right"] == 5
    line = "tiny_quantized has no label for blue, bright, dark: its figures are of the other 2 folders"
    assert line in capsys.readouterr().err.splitlines()


def test_a_model_that_knows_none_of_the_folders_is_refused(colours, tiny_labels, tmp_path, capsys):
    labels = tmp_path / "other.txt"
    labels.write_text("run\nwalk\nswim\ncrawl\nfly\nsail\nride\n")
    arguments = ["--model", TINY, "--model", QUANTIZED, "--labels", labels, "--labels", tiny_labels, "--data", colours]
    assert evaluate.main([str(each) for each in arguments]) == 4

    output = capsys.readouterr()
    line = output.err.splitlines()[-1]
    assert f"no folder in {colours} is named like a label of tiny: there are Red" in line and "run, walk" in line
    assert not output.out


def test_two_labels_that_differ_in_a_hyphen_are_two(tiny_labels, tmp_path, capsys):
    """Also in the table and in the stream, where the clips of the two take turns."""
    for folder, colour in (("on-off", "red"), ("on off", "green")):
        for number in range(4):
            write_video(tmp_path / "data" / folder / f"{number}.avi", [noisy(colour, number)] * 8, 5)
    labels = tmp_path / "labels.txt"
    labels.write_text("on-off\non off\nblue\ndark\nbright\nmotion\nflicker\n")
    figures = run("--model", TINY, "--labels", labels, "--data", tmp_path / "data", out=tmp_path / "out.json")

    model = figures["models"][0]
    assert model["top1"]["right"] == 8
    assert {each["label"]: each["right"] for each in model["by_label"]} == {"on-off": 4, "on off": 4}
    assert model["streamed"]["at_end"]["of"] == 7
    rows = capsys.readouterr().out.partition("label, at the clip's end")[2].splitlines()[1:3]
    assert sorted(row.split("  ")[0] for row in rows) == ["on off", "on-off"]


def write_actions(folder: Path, seed: int) -> None:
    """Writes a clip of two seconds of each action of the demo's play, and a second one of the first three."""
    play, start, left = Play(seed, seconds=(3.0, 3.0)), 0.0, Counter(ACTIONS) + Counter(ACTIONS[:3])
    while any(left.values()):
        action = play.action(start)
        if left[action]:
            times = start + 0.5 + np.arange(30) / 15
            path = folder / action.replace(" ", "_") / f"{left[action]}.avi"
            write_video(path, [play.draw(float(t), 320, 240) for t in times], 15)
            left[action] -= 1
        start += 3.0


def test_the_demo_model_on_drawn_actions(demo_model, demo_labels, tmp_path):
    write_actions(tmp_path / "clips", seed=11)
    figures = run("--model", "movinet_a0_demo", "--data", tmp_path / "clips", out=tmp_path / "out.json")["models"][0]

    place_of = {action.replace(" ", "_"): demo_labels.read_text().splitlines().index(action) for action in ACTIONS}
    with open_live(demo_model, demo_labels) as classifier:
        check_against_bare_runs(figures, tmp_path / "clips", classifier, 3, place_of)
    assert figures["top1"]["right"] >= 9  # of 10; its card says how good it is
    assert {len(clip["fresh"]["answers"]) for clip in figures["per_clip"]} == {10}


@pytest.mark.parametrize(
    "arguments, status, message",
    [
        (["--model", "{tiny}", "--labels", "{labels}", "--data", "{empty}"], 4, "has no folders"),
        (["--model", "{tiny}", "--labels", "{labels}", "--data", "{foreign}"], 4, "labels are red, green, blue"),
        (["--model", "{tiny}", "--labels", "{labels}", "--data", "{broken}"], 4, "none of the 2 clips could be read"),
        (["--model", "{tiny}", "--labels", "{labels}", "--data", "{hollow}"], 4, "hold no clips"),
        (["--model", "{tiny}", "--labels", "{labels}", "--data", "{broken}/none"], 4, "No such file"),
        (["--model", "{quantized}", "--data", "{broken}"], 3, "no labels known"),
        (["--model", "{tiny}", "--model", "{tiny}", "--data", "{broken}", "--labels", "{labels}"], 2, "twice"),
        (["--data", "{broken}"], 2, "--model"),
        (["--model", "{tiny}", "--dat", "{broken}"], 2, "--data"),
        (["--model", "{tiny}", "--data", "{broken}", "--json", "{broken}/none/out.json"], 5, "no such folder"),
        (["--model", "{tiny}", "--data", "{broken}", "--json", "{broken}"], 5, "it is a folder"),
        (["--model", "{tiny}", "--data", "{broken}", "--json", "/proc/out.json"], 5, "can't write /proc/out.json"),
        (["--model", "{tiny}", "--data", "{broken}", "--json", "{broken}/" + 300 * "x"], 5, "File name too long"),
        (["--model", "{tiny}", "--data", "{broken}", "--json", "{broken}/" + 250 * "x"], 5, "File name too long"),
    ],
)
def test_mistakes_are_one_line(arguments, status, message, tmp_path, tiny_labels, capsys):
    places = {name: tmp_path / name for name in ("empty", "foreign", "broken", "hollow")}
    for place in places.values():
        place.mkdir()
    write_images(places["foreign"] / "cooking" / "1", ["red"])
    (places["hollow"] / "red").mkdir()
    for name in ("1.avi", "2.gif"):
        (places["broken"] / "red").mkdir(exist_ok=True)
        (places["broken"] / "red" / name).write_bytes(b"rubbish")
    filled = [each.format(tiny=TINY, quantized=QUANTIZED, labels=tiny_labels, **places) for each in arguments]

    assert evaluate.main(filled) == status
    output = capsys.readouterr()
    assert message in output.err.splitlines()[-1] and output.err.splitlines()[-1].startswith("evaluate.py: ")
    assert "Traceback" not in output.err and not output.out


def test_a_folder_whose_names_alone_can_be_read_is_one_line(tmp_path):
    (tmp_path / "data" / "red").mkdir(parents=True)
    (tmp_path / "data").chmod(0o444)
    with as_nobody(tmp_path), pytest.raises(SourceError, match="data: Permission denied; give a folder"):
        find_clips(Path("data"))


def test_help_names_classify_pys_defaults(capsys):
    assert evaluate.main(["--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for words in ("within minutes (default: 2.4)", "between borders (default: crop)", "--precision", "--no-stream"):
        assert words in text


def command(*arguments: object) -> list[str]:
    return [sys.executable, str(ROOT / "evaluate.py"), *map(str, arguments)]


def test_a_bar_on_a_terminal(colours, tiny_labels, tmp_path):
    pytest.importorskip("tqdm", reason="tqdm isn't installed")
    with open(tmp_path / "table", "w") as table:
        lines = written_on_a_terminal(
            command("--model", TINY, "--labels", tiny_labels, "--data", colours), 80, stdout=table
        )
    assert any(line.startswith("left out: dark/nothing.avi") for line in lines)
    assert any(line.startswith("evaluation: 16 of 16 clips 100%|") for line in lines)
    output = (tmp_path / "table").read_text()
    assert "top-1 at the clip's end" in output and "\x1b" not in output


@pytest.mark.parametrize(
    "redirection, status, message",
    [("| true", 0, ""), ("> /dev/full", 5, "evaluate.py: can't write standard output: No space left on device")],
)
def test_the_files_are_there_even_if_nobody_can_read_the_table(
    colours, tiny_labels, tmp_path, redirection, status, message
):
    out = tmp_path / "out.json"
    wanted = command("--model", TINY, "--labels", tiny_labels, "--data", colours, "--limit", 1, "--json", out)
    done = subprocess.run(
        ["bash", "-c", f'set -o pipefail; "$@" {redirection}', "bash", *wanted], capture_output=True, text=True
    )
    assert json.loads(out.read_text())["models"][0]["clips"] == 5
    assert done.returncode == status
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr
    last = done.stderr.splitlines()[-1:]
    assert last[0].startswith(message) if message else not any("evaluate.py: " in line for line in last)


def test_folders_whose_names_are_odd(colours, tiny_labels, tmp_path):
    """Their names stand in the JSON file as on the terminal: in one line, and in UTF-8."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "red").symlink_to(colours / "Red")
    for name in (b"b\xffd", b"a\nb"):
        os.mkdir(os.fsencode(data) + b"/" + name)
    (data / "a\nb" / "0.avi").symlink_to(colours / "green" / "0.avi")
    odd = tmp_path / "d\na"
    data.rename(odd)

    figures = run("--model", TINY, "--labels", tiny_labels, "--no-stream", "--data", odd, out=tmp_path / "out.json")

    assert figures["folders_without_clips"] == ["b\\udcffd"]
    assert figures["folders_without_label"] == {"a b": 1}
    assert figures["data"] == f"{tmp_path}/d a"


def test_ctrl_c_ends_it_at_once(tiny_labels, tmp_path):
    picture = noisy("red", 0)
    for number in range(3):
        write_video(tmp_path / "data" / "red" / f"{number}.avi", (picture for _ in range(6000)), 5)
    (tmp_path / "data" / "nobody").mkdir()
    child = subprocess.Popen(
        command("--model", TINY, "--labels", tiny_labels, "--data", tmp_path / "data", "--json", tmp_path / "out.json"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    line = child.stderr.readline()
    while "nobody" not in line:  # said just before the run begins
        assert line
        line = child.stderr.readline()
    child.send_signal(signal.SIGINT)
    out, errors = child.communicate(timeout=60)
    assert (child.returncode, out) == (130, "")
    assert "Traceback" not in errors
    assert not (tmp_path / "out.json").exists()


def test_a_folder_unknown_is_measured_on_models_that_can_say_it(colours: Path, tmp_path: Path) -> None:
    """A rule of 1 calls all but the background unknown, as the program would show it."""
    skip_without_schema()
    from teaching.network import Backbone, write_model

    data, labels = tmp_path / "data", (DATA / "tiny.txt").read_text().split()
    shutil.copytree(colours / "Red", data / "red")
    shutil.copytree(colours / "green", data / "unknown")
    shutil.copytree(colours / "dark", data / "dark")
    description = {"unknown": {"label": "dark", "threshold": 1.0}}
    model = tmp_path / "mine.tflite"
    write_model(TINY, *Backbone(TINY, memory=None).classifier, labels, model, description=description)
    arguments = ("--model", model, "--model", TINY, "--data", data, "--no-compile", "--no-stream")
    mine, tiny = run(*arguments, out=tmp_path / "out.json")["models"]
    shares = {each["label"]: (each["right"], each["of"]) for each in mine["by_label"]}
    assert shares == {"red": (0, 3), "unknown": (3, 3), "dark": (2, 2)}
    assert (mine["called_unknown"]["right"], mine["called_unknown"]["of"]) == (3, 5)
    assert mine["labels"] == [*labels, "unknown"]
    assert tiny["called_unknown"] is None and tiny["clips"] == 5 and tiny["top1"]["right"] == 5
