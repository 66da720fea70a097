"""The demo's model on the demo's film, frame by frame: what it says is what the figure does."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple

import numpy as np
import pytest
from conftest import ROOT

from runtime import choose_runtime
from sources.play import ACTIONS, Play
from utils import read_labels
from video_classifier import VideoClassifier

RATE = 5.0  # frames a second
WINDOW = 12  # frames: the program's default memory
SETTLED = 9 / RATE - 1e-6  # seconds into an action, at its 10th frame


class Film(NamedTuple):
    """Frames uint8 [240, 320, 3] BGR, what the figure does in each, and the seconds that it has been doing it."""

    frames: list[np.ndarray]
    truth: np.ndarray
    since: np.ndarray


def shot(play: Play, count: int, size: tuple[int, int]) -> Iterator[tuple[np.ndarray, str, float]]:
    for number in range(count):
        t = number / RATE
        yield play.draw(t, *size), play.action(t), play.since(t)


@pytest.fixture(scope="module")
def film() -> Film:
    """70 s in which the figure does everything that it can, for some seconds."""
    frames, truth, since = zip(*shot(Play(63), 350, (320, 240)))
    return Film(list(frames), np.array(truth), np.array(since))


@pytest.fixture
def classifier(demo_model: Path, demo_labels: Path) -> Iterator[Callable[..., VideoClassifier]]:
    """Opens the model as the program does."""
    opened = []

    def open_one(**options: object) -> VideoClassifier:
        asked: dict[str, Any] = {"memory": WINDOW, "precision": "auto", "channel_order": "bgr", "threads": 1, **options}
        opened.append(VideoClassifier(demo_model, demo_labels, **asked))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def says(classifier: VideoClassifier, frame: np.ndarray) -> str:
    return classifier.step(frame).top[0].label


def test_the_card_and_the_labels_are_the_models(demo_model: Path, demo_labels: Path) -> None:
    content = demo_model.read_bytes()
    card = (ROOT / "models" / "movinet_a0_demo.md").read_text()
    assert hashlib.sha256(content).hexdigest() in card and f"{len(content):,} bytes" in card
    assert len(content) <= 3.5e6
    assert set(read_labels(demo_labels)) == set(ACTIONS)
    assert "drawn figures" in card


def test_the_labels_are_right(film: Film, classifier: Callable[..., VideoClassifier], runtime: str) -> None:
    """The card says 100 % from the 10th frame of an action on, and 97 % of all frames."""
    recognizing = classifier(runtime=runtime)
    right = np.array([says(recognizing, frame) for frame in film.frames]) == film.truth
    settled = film.since >= SETTLED
    assert right[settled].mean() >= 0.95
    assert right.mean() >= 0.88
    for action in ACTIONS:
        each = settled & (film.truth == action)
        assert each.sum() >= 20 and right[each].mean() >= 0.8, action


def test_the_demo_is_recognized_in_every_size_and_fit(classifier: Callable[..., VideoClassifier]) -> None:
    play = Play(5)  # clapping, for 10 s
    for size, fit in (((640, 480), "crop"), ((480, 640), "crop"), ((1280, 720), "crop"), ((172, 172), "stretch")):
        recognizing = classifier(fit=fit)
        said = [says(recognizing, play.draw(number / RATE, *size)) for number in range(15)]
        assert said[9:] == [play.action(2.0)] * 6, size


def test_one_frame_is_not_enough(film: Film, classifier: Callable[..., VideoClassifier]) -> None:
    """What a figure does shows in its motion: without the states of earlier frames the model can only guess."""
    forgetful = classifier()
    right = []
    for frame, action in zip(film.frames, film.truth):
        forgetful.reset()
        right.append(says(forgetful, frame) == action)
    assert np.mean(right) <= 0.6


def test_what_came_before_counts(film: Film, classifier: Callable[..., VideoClassifier]) -> None:
    """The same frames shuffled, each still with its own truth: what is remembered then is of other actions."""
    recognizing = classifier()
    places = np.random.default_rng(0).permutation(len(film.frames))
    assert np.mean([says(recognizing, film.frames[place]) == film.truth[place] for place in places]) <= 0.6


def test_states_are_carried_as_a_plain_loop_does_it(
    demo_model: Path, film: Film, classifier: Callable[..., VideoClassifier], runtime: str
) -> None:
    """The example that comes with the published models: a signature runner and a dictionary of states."""
    interpreter = choose_runtime(runtime).interpreter(model_path=str(demo_model), num_threads=1)
    interpreter.allocate_tensors()
    (key,) = interpreter.get_signature_list()
    runner = interpreter.get_signature_runner(key)
    details = runner.get_input_details()
    assert len(details) == 44
    states = {name: np.zeros(each["shape"], each["dtype"]) for name, each in details.items() if name != "image"}

    as_it_is, compiled = (classifier(runtime=runtime, memory=None, precision=each) for each in ("source", "float"))
    for frame in film.frames[:60]:
        square = np.ascontiguousarray(frame[34:206, 74:246])  # of the model's size: nothing to shrink
        states = dict(runner(image=square[np.newaxis, np.newaxis, ..., ::-1].astype(np.float32) / 255, **states))
        expected = states.pop("logits")[0]
        np.testing.assert_allclose(as_it_is.step(square).logits, expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(compiled.step(square).logits, expected, atol=1e-4 * np.abs(expected).max())


def test_it_stays_right_for_long_since_its_memory_is_bounded(classifier: Callable[..., VideoClassifier]) -> None:
    """Five minutes. An average over all that ever was, as published, would be of no use by then."""
    play = Play(0)
    bounded, unbounded = classifier(), classifier(memory=None)
    right: dict[VideoClassifier, list[bool]] = {bounded: [], unbounded: []}
    for number, (frame, action, since) in enumerate(shot(play, 1500, (172, 172))):
        for recognizing, answers in right.items():
            label = says(recognizing, frame)
            if number >= 1000 and since >= SETTLED:
                answers.append(label == action)
    assert len(right[bounded]) > 350
    assert np.mean(right[bounded]) >= 0.95
    assert np.mean(right[unbounded]) <= 0.5
