"""Scores the labels against the truth, where the source knows it: the drawn demo does."""

from __future__ import annotations

from typing import Sequence

from video_classifier import Prediction

_SETTLED = 10  # steps of an action by which it should have been recognized: 2 s at 5 fps


class Score:
    """Counts how often the most probable label was the true one, whichever labels are shown.

    Attributes:
        steps: Predictions so far.
        right: Those whose most probable label was the true one.
        settled: Predictions from the 10th step of an action on.
        settled_right: Those of them whose most probable label was the true one.
    """

    def __init__(self) -> None:
        self.steps = self.right = self.settled = self.settled_right = 0
        self._truth = ""
        self._age = 0  # steps of the same action so far

    def count(self, prediction: Prediction, truth: str, labels: Sequence[str]) -> None:
        """Counts one prediction whose true label is known.

        Args:
            prediction: Of the model.
            truth: The true label.
            labels: The model's, in the order of its probabilities.
        """
        self._age = self._age + 1 if truth == self._truth else 1
        self._truth = truth
        right = truth in labels and int(prediction.probabilities.argmax()) == labels.index(truth)
        self.steps += 1
        self.right += right
        if self._age >= _SETTLED:
            self.settled += 1
            self.settled_right += right

    def __str__(self) -> str:
        text = f"{self.right} of {self.steps} steps right ({self.right / max(1, self.steps):.1%})"
        if self.settled:
            text += f", {self.settled_right / self.settled:.1%} from the {_SETTLED}th step of an action on"
        return text
