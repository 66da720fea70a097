"""All that was measured, as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Sequence

from evaluation.running import Answers, Outcome
from evaluation.scores import Course, Scores, frames_until
from teaching.clips import one_line
from utils import write_whole

VERSION = 1
"""Of the form of the file; rises when a name changes its meaning."""


def write_json(
    path: Path, scores: Sequence[Scores], streams: Sequence[Sequence[Outcome]], settings: dict[str, Any]
) -> None:
    """Writes the file whole or not at all.

    Args:
        path: Where to.
        scores: Of each model.
        streams: Outcomes of all clips; the answers of each in the order of the scores.
        settings: What was measured, and how; the first names of the file.

    Raises:
        OutputError: It can't be written.
    """
    content = {
        "version": VERSION,
        **settings,
        "unreadable": [
            {"clip": outcome.clip.name, "problem": outcome.problem}
            for stream in streams
            for outcome in stream
            if outcome.problem is not None
        ],
        "models": [_model(number, each, streams) for number, each in enumerate(scores)],
    }
    write_whole(path, (json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n").encode())


def _model(number: int, each: Scores, streams: Sequence[Sequence[Outcome]]) -> dict[str, Any]:
    contestant = each.contestant
    per_clip = []
    for stream, outcomes in enumerate(streams):
        shown = ((outcome, answers) for outcome in outcomes if (answers := outcome.answers[number]) is not None)
        for place, (outcome, answers) in enumerate(shown):
            per_clip.append({"stream": stream, "place": place, **_clip(each, outcome, answers)})
    return {
        "name": contestant.name,
        "file": one_line(str(contestant.path)),
        "runtime": contestant.runtime,
        "compiled": contestant.compiled,
        "memory": contestant.memory,
        "fit": contestant.fit,
        "sample_fps": contestant.fps,
        "labels": list(contestant.labels),
        "clips": each.clips,
        "top1": each.fresh.at_end.to_json(),
        "top5": None if each.top5 is None else each.top5.to_json(),
        "called_unknown": None if each.unknown is None else each.unknown.to_json(),
        "top1_by_mean": each.mean.to_json(),
        "fresh": _course(each.fresh),
        "streamed": None if each.streamed is None else _course(each.streamed),
        "by_label": [
            {"label": contestant.labels[place], **each.of_label(place).to_json()} for place in sorted(each.confusion)
        ],
        "confusion": _confusion(each),
        "per_clip": per_clip,
    }


def _course(course: Course) -> dict[str, Any]:
    return {
        "at_end": course.at_end.to_json(),
        "first_right": course.first.to_json(),
        "right_for_good": course.for_good.to_json(),
        "by_frame": [share.to_json() for share in course.by_frame],
    }


def _confusion(each: Scores) -> dict[str, Any]:
    """Returns counts[true][answer]: a row for each label of the clips, a column for each of them and other answers."""
    labels = each.contestant.labels
    rows, columns = sorted(each.confusion), each.columns()
    return {
        "rows": [labels[place] for place in rows],
        "columns": [labels[place] for place in columns],
        "counts": [[each.confusion[row][column] for column in columns] for row in rows],
    }


def _clip(each: Scores, outcome: Outcome, answers: Answers) -> dict[str, Any]:
    labels = each.contestant.labels
    true = each.contestant.truth[outcome.clip.folder]
    return {
        "clip": outcome.clip.name,
        "label": labels[true],
        "right": answers.fresh[-1] == true,
        "top": [{"label": labels[index], "probability": round(share, 6)} for index, share in answers.top],
        "by_mean": labels[answers.mean],
        "fresh": _along(true, answers.fresh),
        "streamed": None if answers.streamed is None else _along(true, answers.streamed),
    }


def _along(true: int, answers: Sequence[int]) -> dict[str, Any]:
    """Returns the answer at each frame, as places among the labels, and the frames from which it was right."""
    first, for_good = frames_until(true, answers)
    return {"first_right": first, "right_for_good": for_good, "answers": list(answers)}
