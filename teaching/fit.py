"""Fits a new classifier to the features of clips, and measures it on clips that it didn't see.

Each clip is held out once (teaching/folds.py) and classified by what the others taught. From these answers come the
accuracy, the strength of the fit, the temperature and the thresholds for "unknown" (what else these need:
teaching/familiar.py). A clip counts as right by the answer at its last moment, which is what the program shows when the
action has been seen for longest; probabilities are measured at all its moments. Augmented views are learnt, never
tested. What is written is then taught with all clips.

With `old`, the classes of the model stay beside the new ones. With z(x), the model's own logits, and a(x), the new
ones, fitted beside them (regression.fit_beside), a temperature t and an offset g (calibrate.choose_offset),

    p = softmax([z(x), a(x) + g] / t).

The old rows stay as they are but for t, so the ratio of two old classes is what it always was, whatever is seen:
p_i / p_j = exp((z_i - z_j) / t). A new label that is also an old one takes its place.

The new classes are not fitted among themselves and only then set beside the old ones: what they would say to anything
unlike the clips is arbitrary and large. On the published A0, taught five drawn actions, 61 of 78 moments of augmented
views of one Kinetics video (carving ice) would then be called a drawn action; fitted beside the old classes it is 6. It
doesn't do wonders where old and new are alike: of 192 moments of the demo model's six other actions, taught four more
of the same figure, 93 stay what they were (56 if fitted apart).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Callable, Iterable, Sequence

import numpy as np

from errors import UserError
from evaluation.shares import Share
from progress import track
from teaching.answer import UNKNOWN
from teaching.calibrate import choose_offset, choose_temperature, log_sum, reliability, softmax_rows
from teaching.familiar import Familiar, choose_least, choose_prototypes, choose_slope, with_unknown
from teaching.features import Samples
from teaching.folds import ALWAYS_LEARNT, deal
from teaching.regression import STRENGTHS, Affine, fit_beside, fit_strengths, row_weights
from teaching.report import Calibration, Kept, Report, Unknown, Untaught, Wrong
from teaching.unknown import LEAST, apply_unknown, choose_threshold, find_background

_USUAL = 10.0  # strength where no clip can be held out


@dataclass(frozen=True, eq=False)
class Old:
    """The classifier that a model has.

    Attributes:
        weights: float32 [classes, features].
        bias: float32 [classes].
        labels: One a class.
    """

    weights: np.ndarray
    bias: np.ndarray
    labels: list[str]

    def without(self, names: Sequence[str]) -> Old:
        """Returns the classes of other names."""
        rows = [row for row, label in enumerate(self.labels) if not _is_among(label, names)]
        return Old(self.weights[rows], self.bias[rows], [self.labels[row] for row in rows])


@dataclass(frozen=True, eq=False)
class Fitted:
    """A classifier that was taught.

    Attributes:
        weights: float32 [classes, features], the temperature folded in; the old classes come first.
        bias: float32 [classes], likewise.
        labels: One a class; the last is "unknown" where there is `familiar`.
        report: How good it is.
        familiar: What makes the class "unknown"; None without.
    """

    weights: np.ndarray
    bias: np.ndarray
    labels: list[str]
    report: Report
    familiar: Familiar | None = None

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Returns float [n, labels] for [n, features]."""
        logits = np.asarray(features @ self.weights.T + self.bias)
        return logits if self.familiar is None else self.familiar.beside(logits, features)


@dataclass(frozen=True, eq=False)
class _Moments:
    """The moments of clips that were held out, one a row.

    Attributes:
        rows: int [n], their places in the samples.
        labels: int [n], what they show.
        weights: float64 [n]; those of a clip add up to 1.
        last: int [clips], which of these n are the last ones of their clips.
    """

    rows: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    last: np.ndarray


@dataclass(frozen=True, eq=False)
class _Compared:
    """How like other clips the clips are.

    Attributes:
        familiar: What all clips are like.
        excess: float64 [n], of each of the moments: by how much the logit of "unknown" is above the greatest one.
        untaught: Clips whose label was held out that were called unknown.
    """

    familiar: Familiar
    excess: np.ndarray
    untaught: Share


def fit(
    samples: Samples,
    *,
    old: Old | None = None,
    background: str | None = None,
    seed: int = 0,
    progress: Callable[..., Iterable[int]] = track,
) -> Fitted:
    """Fits a classifier.

    Args:
        samples: Features of clips of two labels or more.
        old: The model's own classifier, to be kept beside the new one.
        background: The label that means "none of the actions"; None to look for unknown.NAMES.
        seed: Of the folds.
        progress: Goes through the folds and tells how far it has come, as track.

    Raises:
        UserError: `background` isn't a label, or `old` is given but no clip can be held out.
        PackageError: scikit-learn isn't installed.
    """
    lesson = _Lesson(samples, old, background)
    folds = lesson.deal(seed)
    moments = lesson.moments(folds != ALWAYS_LEARNT)
    if not len(moments.rows):
        if old is not None:
            raise UserError("--keep-labels can't be balanced without a test: give two clips of a label at least")
        return _join(lesson, lesson.fit(np.ones(len(folds), bool), [_USUAL])[0], 1.0, 0.0, lesson.untested())

    answers = lesson.cross_validate(folds, moments, progress)
    chosen = [choose_temperature(each, moments.labels, moments.weights) for each in answers]
    best = int(np.argmin([loss for _, loss in chosen]))
    temperature, logits, offset = chosen[best][0], answers[best], 0.0
    compared = lesson.compare(folds, moments, seed, progress) if lesson.tells_unknown else None
    if lesson.old is not None:
        old_logits = lesson.old_logits(moments.rows)
        offset = temperature * choose_offset(old_logits / temperature, logits / temperature, moments.weights)
        logits = np.concatenate([logits + offset, old_logits], axis=1)
    final = lesson.fit(np.ones(len(folds), bool), STRENGTHS[: best + 1])[best]
    report = lesson.report(moments, logits, temperature, offset, STRENGTHS[best], compared)
    return _join(lesson, final, temperature, offset, report, compared.familiar if compared else None)


class _Lesson:
    """What is to be learnt.

    Args:
        samples: As for fit.
        old: Likewise.
        background: Likewise.

    Attributes:
        names: The labels that have clips.
        old: The old classes that stay; None without.
        tells_unknown: Whether there is to be a class "unknown"; not beside old ones, nor beside a label of that name.
    """

    def __init__(self, samples: Samples, old: Old | None, background: str | None) -> None:
        present, self._labels = np.unique(samples.labels, return_inverse=True)
        self.names = [samples.names[label] for label in present]
        self.old = None if old is None else old.without(self.names)
        self._replaced = [] if old is None else [label for label in old.labels if _is_among(label, self.names)]
        self.tells_unknown = old is None and not _is_among(UNKNOWN, self.names)
        self._background = find_background(self.names, background)
        self._samples = samples
        _, first, self._clip = np.unique(samples.clips, return_index=True, return_inverse=True)
        self._label_of_clip = self._labels[first]

    def deal(self, seed: int) -> np.ndarray:
        """Returns int [n], the fold of each row."""
        return deal(self._label_of_clip, seed)[self._clip]

    def moments(self, tested: np.ndarray) -> _Moments:
        """Returns the moments of what is tested, bool [n], that aren't augmented."""
        rows = np.flatnonzero(tested & ~self._samples.augmented)
        clips, clip, counts = np.unique(self._clip[rows], return_inverse=True, return_counts=True)
        moment = self._samples.moments[rows]
        last = [max(np.flatnonzero(clip == each), key=lambda row: moment[row]) for each in range(len(clips))]
        return _Moments(rows, self._labels[rows], 1 / counts[clip], np.array(last, int))

    def fit(self, learnt: np.ndarray, strengths: Sequence[float] = STRENGTHS) -> list[Affine]:
        """Fits the rows that are learnt, bool [n], with each strength."""
        features = self._samples.features[learnt]
        labels, clips = self._labels[learnt], self._clip[learnt]
        weights = row_weights(labels, clips)
        if self.old is None:
            return fit_strengths(features, labels, weights, strengths)
        old = log_sum(self.old_logits(np.flatnonzero(learnt)))
        return fit_beside(features, labels, weights, old, strengths)

    def old_logits(self, rows: np.ndarray) -> np.ndarray:
        """Returns what the old classes that stay say to rows of the samples: float64 [rows, classes]."""
        assert self.old is not None
        return np.asarray(self._samples.features[rows].astype(np.float64) @ self.old.weights.T + self.old.bias)

    def cross_validate(
        self, folds: np.ndarray, moments: _Moments, progress: Callable[..., Iterable[int]]
    ) -> list[np.ndarray]:
        """Returns for each of STRENGTHS what is said to the moments, float64 [n, labels], by what others taught."""
        answers = [np.zeros((len(moments.rows), len(self.names))) for _ in STRENGTHS]
        for fold in progress(np.unique(folds[moments.rows]).tolist(), "fitting", "folds"):
            here = folds[moments.rows] == fold
            held_out = self._samples.features[moments.rows[here]].astype(np.float64)
            for answer, affine in zip(answers, self.fit(folds != fold)):
                answer[here] = affine.logits(held_out)
        return answers

    def compare(
        self, folds: np.ndarray, moments: _Moments, seed: int, progress: Callable[..., Iterable[int]]
    ) -> _Compared:
        """Compares clips that are held out to the others: by folds, then all clips of an action at a time."""
        features, actions = self._samples.features, [*range(len(self.names))]
        if self._background is not None:
            actions.remove(self._background)
        all_moments = self.moments(np.ones(len(folds), bool))
        ends = all_moments.rows[all_moments.last]
        held_out = np.unique(folds[moments.rows]).tolist()
        likeness = np.zeros(len(folds))
        untaught: list[float] = []
        for turn in progress(range(len(held_out) + len(actions)), "comparing", "folds and labels"):
            if turn < len(held_out):
                here = folds == held_out[turn]
                likeness[here] = self._prototypes(~here, seed).likeness(features[here])
            else:
                label = actions[turn - len(held_out)]
                rows = ends[self._labels[ends] == label]
                untaught.extend(self._prototypes(self._labels != label, seed).likeness(features[rows]))
        known = likeness[moments.rows[moments.last]]
        threshold = choose_least(known, likeness[self._view_ends() & (folds != ALWAYS_LEARNT)])
        slope = choose_slope(known, np.array(untaught), threshold)
        final = replace(self._prototypes(np.ones(len(folds), bool), seed), slope=slope, threshold=threshold)
        excess = slope * (threshold - likeness[moments.rows])
        return _Compared(final, excess, Share.count(each < threshold for each in untaught))

    def _view_ends(self) -> np.ndarray:
        """Returns bool [n], whether a row is the last moment of a view: the next is of another clip, or begins anew."""
        moments = self._samples.moments
        return np.append((self._clip[1:] != self._clip[:-1]) | (moments[1:] <= moments[:-1]), True)

    def _prototypes(self, learnt: np.ndarray, seed: int) -> Familiar:
        labels = self._labels[learnt]
        return choose_prototypes(self._samples.features[learnt], labels, row_weights(labels, self._clip[learnt]), seed)

    def report(
        self,
        moments: _Moments,
        logits: np.ndarray,
        temperature: float,
        offset: float,
        strength: float,
        compared: _Compared | None,
    ) -> Report:
        """Sums up what was said to the moments: float64 [n, labels and old classes]."""
        before, after = (
            softmax_rows(each if compared is None else with_unknown(each, compared.excess))
            for each in (logits, logits / temperature)
        )
        calibration = Calibration(
            temperature, *(reliability(each, moments.labels, moments.weights) for each in (before, after))
        )
        names = self.names + [UNKNOWN] * (compared is not None) + (self.old.labels if self.old else [])
        shown, said = moments.labels[moments.last], after[moments.last].argmax(axis=1)
        confusion = np.zeros((len(self.names), len(self.names) + 1), int)
        np.add.at(confusion, (shown, np.minimum(said, len(self.names))), 1)
        paths = [self._samples.paths[clip] for clip in self._samples.clips[moments.rows[moments.last]]]
        wrong = [
            Wrong(paths[place], names[shown[place]], names[said[place]], float(after[moments.last[place]].max()))
            for place in np.lexsort((np.arange(len(shown)), shown))
            if shown[place] != said[place]
        ]
        kept = None
        if self.old is not None:
            kept = Kept(len(self.old.labels), self._replaced, int(confusion[:, -1].sum()), offset)
        unknown = self._unknown(moments, after)
        untaught = None
        if compared is not None:
            untaught = Untaught(Share(int(confusion[:, -1].sum()), len(shown)), compared.untaught)
        return self._describe(confusion, wrong, strength, calibration, unknown, untaught, kept)

    def untested(self) -> Report:
        """What can be said without a clip to test with."""
        return self._describe(np.zeros((len(self.names), len(self.names) + 1), int), [], _USUAL, None, None, None, None)

    def _describe(
        self,
        confusion: np.ndarray,
        wrong: list[Wrong],
        strength: float,
        calibration: Calibration | None,
        unknown: Unknown | None,
        untaught: Untaught | None,
        kept: Kept | None,
    ) -> Report:
        clips = np.bincount(self._label_of_clip, minlength=len(self.names)).tolist()
        background = None if self._background is None else self.names[self._background]
        return Report(self.names, clips, confusion, wrong, strength, calibration, unknown, background, kept, untaught)

    def _unknown(self, moments: _Moments, probabilities: np.ndarray) -> Unknown | None:
        """Chooses the threshold. Of hundreds of old classes even the right one may have less than LEAST."""
        index = self._background
        here = moments.labels == index
        if index is None or not here.any():
            return None
        least = LEAST if self.old is None else 0.0
        exempt = [index, len(self.names)] if self.tells_unknown else [index]  # the class "unknown" is behind the labels
        threshold = choose_threshold(probabilities[here], moments.weights[here], exempt, least)
        unknown = np.array([apply_unknown(each, threshold, exempt) for each in probabilities])
        called = ~np.isin(probabilities.argmax(axis=1), exempt) & ~unknown
        share = np.average(called[here], weights=moments.weights[here])
        missed = np.average(unknown[~here], weights=moments.weights[~here]) if not here.all() else 0.0
        return Unknown(self.names[index], threshold, float(share), float(missed))


def _is_among(label: str, names: Sequence[str]) -> bool:
    """Says whether a label is one of these names, in whatever case."""
    return label.casefold() in {name.casefold() for name in names}


def _join(
    lesson: _Lesson, new: Affine, temperature: float, offset: float, report: Report, familiar: Familiar | None = None
) -> Fitted:
    """Makes one classifier of the old classes and the new ones."""
    weights, bias, labels = new.weights, new.bias + offset, lesson.names
    if lesson.old is not None:
        weights = np.concatenate([lesson.old.weights, weights])
        bias = np.concatenate([lesson.old.bias, bias])
        labels = lesson.old.labels + labels
    weights, bias = (weights / temperature).astype(np.float32), (bias / temperature).astype(np.float32)
    return Fitted(weights, bias, labels + [UNKNOWN] * (familiar is not None), report, familiar)
