"""Flags from the command line and from a TOML file."""

from __future__ import annotations

import re

import pytest

from errors import UserError
from options import build_parser, parse_options


@pytest.fixture
def config(tmp_path):
    def write(text):
        path = tmp_path / "settings.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def test_everything_has_a_default():
    options = parse_options([])

    assert options.model is None
    assert (options.top_k, options.threshold, options.fit, options.display) == (3, 0.0, "crop", "auto")


def test_the_reference_examples_flags_work():
    options = parse_options(
        "--model m --label l --maxResults 5 --numThreads 2 --cameraId 1 --frameWidth 320 --frameHeight 240".split()
    )

    assert (options.labels, options.top_k, options.threads) == ("l", 5, 2)
    assert (options.source, options.width, options.height) == (["usb:1"], 320, 240)


def test_the_command_line_wins_over_the_file(config):
    path = config('top-k = 5\nthreshold = 0.25\nloop = true\nallow = ["yoga", "zumba"]\nsource = "csi"\n')

    from_file = parse_options(["--config", path])
    both = parse_options(["--config", path, "--top-k", "2", "--no-loop", "--allow", "tai chi"])

    assert (from_file.top_k, from_file.threshold, from_file.loop, from_file.source) == (5, 0.25, True, ["csi"])
    assert from_file.allow == ["yoga", "zumba"]
    assert (both.top_k, both.threshold, both.loop, both.allow) == (2, 0.25, False, ["tai chi"])


def test_every_flag_can_stand_in_the_file(config):
    flags = {
        "source": '"a.mp4"', "demo-seed": "3", "loop": "true", "width": "320", "height": "240", "camera-fps": "15.0",
        "rotate": "90", "max-exposure": "0.01", "retry": "3", "read-timeout": "2.5", "mirror": "true",
        "duration": "9.5",
        "max-frames": "7", "model": '"m"', "labels": '"l"', "runtime": '"tflite"', "threads": "2", "sample-fps": "2.5",
        "lang": '"ko"',
        "fit": '"pad"', "top-k": "4", "threshold": "0.5", "allow": '["yoga"]', "deny": '["zumba"]',
        "memory": "1.5", "idle": "true", "max-cpu": "50.0", "compile": "false", "precision": '"float"',
        "display": '"none"', "fullscreen": "true",
        "record": '"o.mp4"', "record-limit": '"5min"', "jsonl": '"-"',
        "snapshots": '"pictures"', "timeline": '"t.png"', "jobs": "2", "cluster": '"tcp://host:1"',
        "events": '["a.db", "-"]', "event-on": "0.6", "event-off": "0.2", "event-min": "2.0", "event-gap": "3.0",
        "clips": '"clips"', "clips-limit": '"5MB"', "pre-roll": "1.5", "serve": '"0.0.0.0:80"', "token": '"t"',
        "mqtt": '"mqtt://host"', "mqtt-ca": '"ca.pem"', "mqtt-sensors": '["yoga"]', "control": "false",
        "instance": '"hall"', "stride": "4", "clip-length": "8", "clip-size": "112", "layout": '"ncthw"',
        "mean": '"1,2,3"', "scale": "0.5",
    }  # fmt: skip
    offered = {action.option_strings[0][2:] for action in build_parser()._actions} - {
        "list-models", "model-info", "list-cameras", "doctor", "config", "cameraId", "", "events-report", "day", "live",
        "status", "snapshot", "reset", "quit",
    }  # fmt: skip
    assert set(flags) == offered - {"h"}, "a new flag belongs into this test"

    options = vars(parse_options(["--config", config("".join(f"{key} = {value}\n" for key, value in flags.items()))]))

    defaults = vars(parse_options([]))
    once = "list_cameras model_info list_models events_report day live status snapshot reset quit doctor".split()
    assert [name for name in defaults if options[name] == defaults[name]] == [*once, "event_rules"]


def test_keys_may_be_spelled_with_underscores(config):
    assert parse_options(["--config", config("top_k = 4\n")]).top_k == 4


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("topk = 3", r"unknown key 'topk', did you mean 'top-k'\?"),
        ("top-k = 0", "0 is not between 1 and 100 labels"),
        ("top-k = true", "top-k is True; it must be a number or a text"),
        ("loop = 1", "loop is 1; it must be true or false"),
        ("allow = [1]", "it must be a list of labels"),
        ("fit = 'squash'", "squash"),
        ("top-k = ", "is not TOML"),
        ("config = 'other.toml'", "unknown key 'config'"),
        ("[display]\nfullscreen = true", "display is "),
    ],
)
def test_mistakes_in_the_file_are_one_line_that_names_it(config, text, complaint):
    path = config(text)

    with pytest.raises(UserError, match=complaint) as caught:
        parse_options(["--config", path])

    assert path in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named():
    with pytest.raises(UserError, match="nowhere.toml: No such file"):
        parse_options(["--config", "nowhere.toml"])


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("--topk 3", "unknown flag '--topk', did you mean '--top-k'?"),
        ("--top-k many", "'many' is not a whole number of labels"),
        ("--top-k 0", "not between 1 and 100"),
        ("--threshold 1.5", "not between 0 and 1"),
        ("--threshold nan", "not between 0 and 1"),
        ("--sample-fps 0", "not between 0.1 and 120"),
        ("--duration -1", "seconds"),
        ("--width 640.5", "pixels"),
        ("--cameraId front", "'front' is not a whole number (a camera number)"),
        ("--threshold high", "'high' is not a number (a probability)"),
        ("--demo-seed 1.5", "'1.5' is not a whole number (a seed)"),
        ("--demo-seed -1", "-1 is not between 0 and 2147483647 (a seed)"),
        ("--max-frames 0", "0 is not between 1 and 1000000000000 frames"),
        ("--fit squash", "squash"),
        ("--record-limit 5min", "--record out.mp4"),
        ("--record a.mp4 --record-limit soon", "soon"),
        ("video.mp4", "'video.mp4' belongs to no flag"),
        ("--source vids/a.mp4 vids/b.mp4 --events t.db", "'vids/b.mp4' belongs to no flag; quote a pattern"),
        ("--top-k", "expected one argument"),
    ],
)
def test_mistakes_on_the_command_line_are_one_line(line, complaint):
    with pytest.raises(UserError, match=re.escape(complaint)) as caught:
        parse_options(line.split())

    assert "\n" not in str(caught.value)
    assert caught.value.status == 2


def test_help_fits_a_terminal_of_80_columns_and_names_units_and_defaults(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")

    with pytest.raises(SystemExit) as end:
        parse_options(["--help"])

    text = capsys.readouterr().out
    assert end.value.code == 0
    assert max(map(len, text.splitlines())) <= 80
    for group in ("input:", "model:", "display:", "output:"):
        assert f"\n{group}\n" in text
    assert "--duration SECONDS" in text
    assert "(default: crop)" in text


def test_several_sources_may_be_given_and_those_of_the_command_line_replace_the_files(config):
    path = config('source = ["usb:0", "usb:1"]\n')

    assert parse_options(["--config", path]).source == ["usb:0", "usb:1"]
    assert parse_options(["--config", path, "--source", "csi"]).source == ["csi"]
    assert parse_options(["--source", "csi", "--source", "usb:0"]).source == ["csi", "usb:0"]
    with pytest.raises(UserError, match="source"):
        parse_options(["--config", config("source = []\n")])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("--status", "--status asks a running program: python classify.py --live --status"),
        ("--token t", "--token is of use with --serve only"),
        ("--mqtt-sensors yoga", "--mqtt-sensors is of use with --mqtt only"),
        ("--day 2026-11-21", "--day is of use with --events-report only"),
        ("--events-report e.db --day 21.11.", "'21.11.' is not a day, such as 2026-11-21"),
        ("--instance ../hall --no-control", "--instance '../hall': use up to 64 letters"),
        (
            "--serve ::1",
            "argument --serve: '::1' is not an address and a port; give 127.0.0.1:8080 or the like, an IPv6",
        ),
    ],
)
def test_flags_from_afar_that_make_no_sense(arguments, complaint):
    with pytest.raises(UserError, match=re.escape(complaint)):
        parse_options(arguments.split())


@pytest.mark.parametrize(("text", "size"), [("500MB", 500_000_000), ("2 gb", 2_000_000_000), ("1MB", 1_000_000)])
def test_limits_of_all_clips(text, size):
    assert parse_options(["--clips-limit", text]).clips_limit == size


@pytest.mark.parametrize("text", ["10", "10min", "2h", "1kB", "999kB", "0MB", "nan", "lots"])
def test_limits_that_are_none(text):
    with pytest.raises(UserError) as caught:
        parse_options(["--clips-limit", text])
    assert f"--clips-limit: {text!r} is not a size from 1MB on, such as 500MB or 2GB" in str(caught.value)


@pytest.mark.parametrize(
    "flag", ["model", "labels", "source", "record", "jsonl", "snapshot", "events", "clips", "allow", "mqtt", "instance"]
)
def test_an_empty_text_is_no_value(config, flag):
    """As of a variable of the shell's that isn't set."""
    with pytest.raises(UserError, match=f"--{flag} is given an empty text; name a value, or leave it out"):
        parse_options(["--live", f"--{flag}", ""])
    if flag != "snapshot":
        with pytest.raises(UserError, match=f"--{flag} is given an empty text"):
            parse_options(["--config", config(f'{flag} = ""\n')])


def test_off_is_a_value_of_what_may_be_left_open(config):
    options = parse_options("--memory off --sample-fps off --max-cpu off --record off --labels off".split())
    assert [options.memory, options.sample_fps, options.max_cpu, options.record, options.labels] == [None] * 5


def test_an_empty_list_of_labels_is_no_list(config):
    options = parse_options(["--config", config('allow = ["yoga"]\n'), "--allow"])
    assert options.allow is None


def test_rules_for_single_labels_stand_in_a_table(config):
    path = config('event-on = 0.6\n[event."tai chi"]\non = 0.8\n[event.yoga]\ngap = 5\n')
    assert parse_options(["--config", path]).event_rules == {"tai chi": {"on": 0.8}, "yoga": {"gap": 5}}
