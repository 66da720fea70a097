"""Events and their clips in the whole program, on the demo: what it does is known, and when."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import demo_program
import pytest

from sources.play import Play

SECONDS = 26


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What a run on the demo left."""
    folder = tmp_path_factory.mktemp("events")
    (folder / "pi.toml").write_text('[event."standing still"]\nmin = 600\n')
    program = demo_program.start(
        *("--source", "demo", "--display", "none", "--duration", SECONDS, "--config", "pi.toml"),
        *("--events", "events.db", "--events", "-", "--clips", "clips", "--jsonl", "out.jsonl"),
        *demo_program.ONE_THREAD,
        folder=folder,
    )
    status, output, errors = demo_program.finish(program)
    assert status == 0, errors
    (folder / "output").write_text(output)
    return folder


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "output").read_text().splitlines()]


def true_actions() -> list[tuple[str, float]]:
    """Returns the actions of the film and how long each lasts of the run, but for standing still."""
    play = Play(0)
    actions: list[tuple[str, float]] = []
    for step in range(SECONDS * 10):
        action = play.action(step / 10)
        last = actions[-1] if actions else ("", 0.0)
        actions[-1:] = [(action, last[1] + 0.1)] if last[0] == action else [*actions[-1:], (action, 0.1)]
    return [(action, seconds) for action, seconds in actions if seconds > 3 and action != "standing still"]


def test_each_action_is_one_event_as_long_as_it_was(folder):
    ended = sorted((line for line in lines(folder) if line["event"] == "ended"), key=lambda line: line["position"])
    assert [line["label"] for line in ended] == [action for action, _ in true_actions()]
    for line, (_, seconds) in zip(ended, true_actions()):
        assert line["duration"] == pytest.approx(seconds, abs=2.0)
        assert 0.3 < line["mean"] <= line["peak"] <= 1


def test_lines_of_json_are_all_that_stands_on_standard_output(folder):
    began = {line["id"] for line in lines(folder) if line["event"] == "began"}
    ended = {line["id"] for line in lines(folder) if line["event"] == "ended"}
    assert began == ended != set()


def test_the_database_says_the_same(folder):
    with sqlite3.connect(folder / "events.db") as database:
        rows = database.execute("SELECT id, label, duration, ongoing, clip FROM events").fetchall()
    assert {(id, label, clip) for id, label, _, _, clip in rows} == {
        (line["id"], line["label"], line["clip"]) for line in lines(folder)
    }
    assert not any(ongoing for *_, ongoing, _ in rows)


def test_clips_show_the_events_with_their_labels(folder):
    names = {line["clip"] for line in lines(folder)}
    assert {path.name for path in (folder / "clips").iterdir() if not path.name.startswith(".")} == names
    for line in lines(folder):
        if line["event"] == "ended":
            pictures = demo_program.recorded(folder / "clips" / line["clip"])
            assert pictures[-1][0] > line["duration"]
            # The panel with the labels darkens the lower left corner of every picture.
            _, picture = pictures[-1]
            assert picture.shape == (480, 640, 3) and picture[400:470, 10:200].mean() < picture.mean()


def test_a_day_is_printed(folder):
    status, output, _ = demo_program.finish(demo_program.start("--events-report", "events.db", folder=folder))
    assert status == 0
    for line in lines(folder):
        assert line["label"] in output and line["clip"] in output
    status, _, errors = demo_program.finish(demo_program.start("--events-report", "none.db", folder=folder))
    assert status != 0 and errors.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[event."clappin"]\non = 0.5\n', "'clapping'"),
        ("[event]\nclapping = 3\n", "event"),
        ("event-on = 0.2\n", "--event-on"),
        ('[event."clapping"]\noff = 0.9\n', "clapping"),
    ],
)
def test_wrong_rules_end_in_one_line(tmp_path, text, complaint):
    (tmp_path / "pi.toml").write_text(text)
    flags = ("--source", "demo", "--display", "none", "--events", "e.db", "--config", "pi.toml")
    status, _, errors = demo_program.finish(demo_program.start(*flags, folder=tmp_path))
    last = errors.splitlines()[-1]
    assert status == 2 and last.startswith("classify.py: ") and complaint in last and "Traceback" not in errors


def test_a_reader_of_events_that_has_enough_ends_the_program(tmp_path):
    program = demo_program.start(
        *("--source", "demo", "--display", "none", "--events", "-", "--event-min", 0, *demo_program.ONE_THREAD),
        folder=tmp_path,
    )
    assert program.stdout.readline()
    program.stdout.close()
    assert program.wait(demo_program.LIMIT) == 0
    program.stderr.close()
