"""Fitting a classifier to features: drawn ones, whose truth is known."""

from __future__ import annotations

import math
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs scikit-learn (requirements-teach.txt)")

from scipy.optimize import brentq
from scipy.special import logsumexp, softmax
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from errors import UserError
from teaching.calibrate import OLD_SHARE, calibration_error, choose_offset, choose_temperature, reliability
from teaching.features import Samples
from teaching.fit import Fitted, Old, fit
from teaching.folds import ALWAYS_LEARNT, deal
from teaching.regression import STRENGTHS, fit_beside, fit_strengths, row_weights
from teaching.unknown import LEAST, MOST_CALLED, apply_unknown, choose_threshold, find_background


def make_samples(features: Any, labels: Any, clips: Any, moments: Any = None, augmented: Any = None) -> Samples:
    labels, clips = np.asarray(labels, np.int64), np.asarray(clips, np.int64)
    rows = len(labels)
    names = [f"label {number}" for number in range(labels.max() + 1)]
    return Samples(
        np.asarray(features, np.float32),
        labels,
        clips,
        np.full(rows, 5, np.int64) if moments is None else np.asarray(moments, np.int64),
        np.zeros(rows, bool) if augmented is None else np.asarray(augmented, bool),
        names,
        [Path(f"{number}.avi") for number in range(clips.max() + 1)],
        [],
    )


def fit_quietly(samples: Samples, **options: Any) -> Fitted:
    return fit(samples, progress=lambda items, *_: items, **options)


def draw_clips(
    labels: int, clips: int, size: int = 20, moments: int = 3, spread: float = 4.0, seed: int = 0
) -> Samples:
    """Clips around a centre a label, each with a place of its own and moments around it."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(labels, size)) * spread / math.sqrt(size)
    label = np.repeat(np.arange(labels), clips * moments)
    clip = np.repeat(np.arange(labels * clips), moments)
    places = random.normal(size=(labels * clips, size))
    features = centres[label] * 2 + places[clip] + 0.1 * random.normal(size=(len(label), size))
    return make_samples(features, label, clip, np.tile(np.arange(5, 5 * moments + 1, 5), labels * clips))


def test_accuracy_is_that_of_the_drawn_distributions() -> None:
    """Two Gaussians a distance d apart: no classifier is right more often than the normal distribution of d / 2."""
    random = np.random.default_rng(1)
    distance, clips = 2.0, 400
    labels = np.arange(clips) % 2
    features = random.normal(size=(clips, 3)) * (1.0, 10.0, 0.1)  # scales that standardising has to undo
    features[:, 0] += labels * distance
    report = fit_quietly(make_samples(features + 7, labels, np.arange(clips))).report
    low, high = report.accuracy.interval
    assert report.accuracy.of == clips
    assert low < norm.cdf(distance / 2) < high
    assert high - low < 0.09


def test_moments_of_one_clip_are_never_on_both_sides() -> None:
    """Clips that differ in everything but what they show: who has seen a clip knows its label, who hasn't guesses."""
    random = np.random.default_rng(2)
    clips, moments = 60, 10
    places = random.normal(size=(clips, 200))
    clip = np.repeat(np.arange(clips), moments)
    features = places[clip] + 0.01 * random.normal(size=(len(clip), 200))
    report = fit_quietly(make_samples(features, (np.arange(clips) % 2)[clip], clip)).report
    assert 0.3 < report.accuracy.value < 0.7


@pytest.mark.parametrize("seed", range(5))
def test_folds_share_the_clips_of_each_label_out(seed: int) -> None:
    counts = [1, 2, 3, 7, 23, 100]
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(6), counts))
    folds = deal(labels, seed)
    assert (folds[labels == 0] == ALWAYS_LEARNT).all()
    for label, count in enumerate(counts[1:], 1):
        sizes = np.bincount(folds[labels == label], minlength=5)
        assert sizes.sum() == count
        assert sizes.max() - sizes.min() <= 1
    sizes = np.bincount(folds[folds != ALWAYS_LEARNT])
    assert sizes.max() - sizes.min() <= 1
    assert (folds == deal(labels, seed)).all()


def test_each_label_and_each_of_its_clips_weighs_the_same() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 0])
    clips = np.array([4, 4, 4, 9, 2, 2, 7, 9])
    weights = row_weights(labels, clips)
    assert weights.sum() == pytest.approx(4)
    assert weights[labels == 0].sum() == pytest.approx(weights[labels == 1].sum())
    assert weights[clips == 4].sum() == pytest.approx(weights[clips == 9].sum())
    assert weights[clips == 2].sum() == pytest.approx(weights[clips == 7].sum())
    assert weights[0] == pytest.approx(weights[1])


@pytest.mark.parametrize("classes", [2, 4])
def test_scaling_is_folded_into_weights_and_bias(classes: int) -> None:
    """What is said to raw features is what scikit-learn says to standardised ones."""
    random = np.random.default_rng(3)
    labels = np.repeat(np.arange(classes), 50)
    # Alike in scale but for a factor of 5: none is so still that it isn't scaled fully.
    features = (random.normal(size=(len(labels), 6)) + random.normal(size=(classes, 6))[labels]) * (
        1,
        2,
        3,
        4,
        5,
        1,
    ) - 30
    weights = random.uniform(0.5, 1.5, len(labels))
    mean = (weights @ features) / weights.sum()
    deviation = np.sqrt(weights @ (features - mean) ** 2 / weights.sum())
    standard = (features - mean) / deviation
    own = fit_strengths(features, labels, weights, [1.0])[0].logits(features)
    theirs = LogisticRegression(C=1.0, tol=1e-8, max_iter=1000).fit(standard, labels, sample_weight=weights)
    assert np.abs(softmax(own, axis=1) - theirs.predict_proba(standard)).max() < 0.01


def test_a_feature_that_hardly_changes_is_not_magnified() -> None:
    samples = draw_clips(3, 10)
    still = samples.features.copy()
    still[:, 0] = 3 + 1e-5 * still[:, 0]
    weights = row_weights(samples.labels, samples.clips)
    affine = fit_strengths(still, samples.labels, weights, [1.0])[0]
    assert np.abs(affine.weights[:, 0]).max() < np.abs(affine.weights[:, 1:]).max()


def test_memory_is_that_of_one_copy_of_the_features() -> None:
    random = np.random.default_rng(0)
    features = (random.normal(size=(6000, 12)) @ random.normal(size=(12, 200))).astype(np.float32)
    features += random.normal(size=features.shape, scale=0.001).astype(np.float32)
    labels = (features[:, 0] > 0).astype(int)
    fit_strengths(features[:100], labels[:100], np.ones(100))  # what is imported for it doesn't count
    tracemalloc.start()
    try:
        fit_strengths(features, labels, np.ones(len(labels)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * features.size * 8


def test_temperature_is_found() -> None:
    random = np.random.default_rng(4)
    logits = random.normal(size=(20_000, 4)) * 5
    labels = np.array([random.choice(4, p=softmax(row / 2.5)) for row in logits])
    weights = np.ones(len(labels))
    temperature, loss = choose_temperature(logits, labels, weights)
    assert temperature == pytest.approx(2.5, rel=0.05)
    expected = np.mean(logsumexp(logits / temperature, axis=1) - logits[np.arange(len(labels)), labels] / temperature)
    assert loss == pytest.approx(expected)
    before = calibration_error(reliability(softmax(logits, axis=1), labels, weights))
    after = calibration_error(reliability(softmax(logits / temperature, axis=1), labels, weights))
    assert after < 0.02 < 0.1 < before


def test_temperature_is_folded_into_what_is_fitted() -> None:
    """Clips that overlap, in more dimensions than they can fill: overconfident without a temperature."""
    samples = draw_clips(3, 15, size=60, spread=0.5)
    fitted = fit_quietly(samples)
    calibration = fitted.report.calibration
    assert calibration is not None and calibration.temperature > 1.1
    weights = row_weights(samples.labels, samples.clips)
    strengths = [strength for strength in STRENGTHS if strength <= fitted.report.strength]
    plain = fit_strengths(samples.features.astype(float), samples.labels, weights, strengths)[-1]
    expected = plain.logits(samples.features) / calibration.temperature
    assert np.abs(samples.features @ fitted.weights.T + fitted.bias - expected).max() < 1e-3


def test_temperature_stays_a_number_where_all_answers_are_wrong() -> None:
    logits = np.array([[9.0, 0, 0], [0, 9, 0], [0, 0, 9]])
    temperature, loss = choose_temperature(logits, np.array([1, 2, 0]), np.ones(3))
    assert temperature == pytest.approx(10)
    assert loss == pytest.approx(np.log(np.exp(0.9) + 2))  # its own part of the sum is exp(0)


def test_temperature_never_sharpens() -> None:
    logits = np.eye(3)[[0, 1, 2, 0]]
    assert choose_temperature(logits, np.array([0, 1, 2, 0]), np.ones(4))[0] == pytest.approx(1)


def test_calibration_error_by_hand() -> None:
    """Three of weight 1 at 0.75, of which two are right, and one of weight 2 at 0.95, which is wrong."""
    probabilities = np.array([[0.75, 0.25], [0.75, 0.25], [0.25, 0.75], [0.05, 0.95]])
    bins = reliability(probabilities, np.array([0, 1, 1, 0]), np.array([1.0, 1, 1, 2]))
    assert [(each.confidence, each.right, each.share) for each in bins] == [
        pytest.approx((0.75, 2 / 3, 0.6)),
        pytest.approx((0.95, 0, 0.4)),
    ]
    assert calibration_error(bins) == pytest.approx(0.6 * (0.75 - 2 / 3) + 0.4 * 0.95)


def test_threshold_is_the_least_that_silences_the_background() -> None:
    random = np.random.default_rng(5)
    probabilities = random.dirichlet((0.3, 0.3, 0.3), 997)
    weights = random.uniform(0.5, 2, 997)

    def called(threshold: float) -> float:
        named = [row.argmax() != 1 and row.max() >= threshold for row in probabilities]
        return float(np.average(named, weights=weights))

    threshold = choose_threshold(probabilities, weights, 1, 0.0)
    assert called(threshold) <= MOST_CALLED < called(threshold - 0.001)
    assert choose_threshold(probabilities, weights, 1, 0.9999) == 1.0


def test_threshold_is_no_less_than_what_is_asked_for() -> None:
    recognized = np.tile([0.0, 1.0], (5, 1))
    assert choose_threshold(recognized, np.ones(5), 1, LEAST) == LEAST


@pytest.mark.parametrize(
    ("probabilities", "unknown"),
    [((0.7, 0.2, 0.1), False), ((0.5, 0.3, 0.2), True), ((0.1, 0.45, 0.45), False), ((0.6, 0.1, 0.3), False)],
)
def test_what_is_shown_as_unknown(probabilities: tuple[float, ...], unknown: bool) -> None:
    assert apply_unknown(np.array(probabilities), 0.6, 1) is unknown


def test_background_is_found_by_name() -> None:
    assert find_background(["waving", "Background"], None) == 1
    assert find_background(["nothing", "Empty room"], "empty room") == 1
    assert find_background(["waving", "kick"], None) is None
    with pytest.raises(UserError, match="'sofa' is none of the labels: waving, kick"):
        find_background(["waving", "kick"], "sofa")


def test_only_the_last_plain_moment_of_a_clip_is_its_answer() -> None:
    """At first all clips look like label 0, at their end like what they show; augmented views show nonsense."""
    random = np.random.default_rng(6)
    labels, clips, moments, augmented, features = [], [], [], [], []
    for clip in range(20):
        label = clip % 2
        for moment, look, plain in ((10, label, True), (5, 0, True), (15, 1 - label, False)):
            labels.append(label)
            clips.append(clip)
            moments.append(moment)
            augmented.append(not plain)
            features.append([8.0 * look if plain else 4.0, 1.0 * plain] + 0.1 * random.normal(size=2))
    report = fit_quietly(make_samples(features, labels, clips, moments, augmented)).report
    assert (report.accuracy.right, report.accuracy.of) == (20, 20)
    assert report.calibration is not None
    # Half of the plain moments of half of the clips can't be told: no moment but these is unsure.
    assert sum(each.share for each in report.calibration.after if each.confidence < 0.7) <= 0.75


def test_a_label_of_one_clip_is_learnt_but_not_tested() -> None:
    samples = draw_clips(3, 6)
    kept = (samples.clips >= 5) & (samples.clips != 17)  # label 0 keeps one clip
    report = fit_quietly(
        make_samples(*(array[kept] for array in (samples.features, samples.labels, samples.clips, samples.moments)))
    ).report
    assert report.clips == [1, 6, 5]
    assert [report.of_label(label).of for label in range(3)] == [0, 6, 5]


def test_nothing_can_be_tested_with_a_clip_a_label() -> None:
    samples = draw_clips(3, 1)
    fitted = fit_quietly(samples)
    assert fitted.report.accuracy.of == 0
    assert ((samples.features @ fitted.weights.T + fitted.bias).argmax(axis=1) == samples.labels).all()
    with pytest.raises(UserError, match="two clips of a label"):
        fit_quietly(samples, old=Old(np.ones((2, 20), np.float32), np.ones(2, np.float32), ["a", "b"]))


def test_a_label_without_clips_is_left_out() -> None:
    samples = draw_clips(2, 5)
    samples.names.insert(1, "nobody filmed this")
    samples.labels[samples.labels == 1] = 2
    assert fit_quietly(samples).labels == ["label 0", "label 1", "unknown"]


def test_the_same_seed_gives_the_same_classifier() -> None:
    samples = draw_clips(3, 6)
    first, second = fit_quietly(samples, seed=3), fit_quietly(samples, seed=3)
    assert (first.weights == second.weights).all()
    assert (first.report.confusion == second.report.confusion).all()


def old_classifier(classes: int, size: int, spread: float, seed: int = 9) -> Old:
    random = np.random.default_rng(seed)
    return Old(
        (random.normal(size=(classes, size)) * spread).astype(np.float32),
        random.normal(size=classes).astype(np.float32),
        [f"old {number}" for number in range(classes)],
    )


def test_old_classes_keep_their_ratios_and_new_clips_win() -> None:
    drawn = draw_clips(4, 12, size=40, spread=12)
    learnt = drawn.clips % 12 < 8
    samples = make_samples(*(array[learnt] for array in (drawn.features, drawn.labels, drawn.clips, drawn.moments)))
    samples.names[0] = "background"
    old = old_classifier(600, 40, 0.3)
    fitted = fit_quietly(samples, old=old)
    report = fitted.report
    assert fitted.labels == old.labels + samples.names
    assert report.kept is not None and report.calibration is not None
    assert report.kept.count == 600
    assert report.accuracy.value >= 0.9
    assert report.kept.taken <= 1
    new = drawn.features[~learnt] @ fitted.weights.T + fitted.bias
    assert (new.argmax(axis=1) == 600 + drawn.labels[~learnt]).mean() >= 0.9
    # Anything may be seen, also what is unlike all clips.
    seen = np.random.default_rng(0).normal(size=(50, 40)) * 5
    before = seen @ old.weights.T.astype(np.float64) + old.bias
    after = (seen @ fitted.weights.T.astype(np.float64) + fitted.bias)[:, :600]
    ratios = (before - before[:, :1]) / report.calibration.temperature
    assert np.abs((after - after[:, :1]) - ratios).max() < 1e-4


def test_a_new_label_takes_the_place_of_an_old_one_of_its_name() -> None:
    samples = draw_clips(2, 6)
    old = old_classifier(5, 20, 0.1)
    samples.names[1] = "OLD 3"
    fitted = fit_quietly(samples, old=old)
    assert fitted.labels == ["old 0", "old 1", "old 2", "old 4", "label 0", "OLD 3"]
    assert fitted.report.kept is not None and fitted.report.kept.replaced == ["old 3"]
    assert fitted.weights.shape == (6, 20)


def test_offset_leaves_old_classes_their_share() -> None:
    random = np.random.default_rng(7)
    old, new = random.normal(size=(300, 50)) * 3, random.normal(size=(300, 4)) * 4 + 5
    weights = random.uniform(0.5, 2, 300)

    def share(offset: float) -> float:
        together = softmax(np.concatenate([old, new + offset], axis=1), axis=1)
        return float(np.average(together[:, :50].sum(axis=1), weights=weights))

    expected = brentq(lambda offset: share(offset) - OLD_SHARE, -50, 50)
    assert choose_offset(old, new, weights) == pytest.approx(expected, abs=1e-6)


def test_new_classes_are_fitted_beside_the_old_ones() -> None:
    """Where the free bias is at its best, old classes have the share that they are to have, of the rows learnt."""
    samples = draw_clips(3, 8)
    weights = row_weights(samples.labels, samples.clips)
    old = np.random.default_rng(8).normal(size=len(weights)) * 2 + 3
    new = fit_beside(samples.features, samples.labels, weights, old, [1.0])[0].logits(samples.features)
    together = softmax(np.column_stack([new, old]), axis=1)
    assert np.average(together[:, 3], weights=weights) == pytest.approx(OLD_SHARE, abs=0.005)
    assert (together.argmax(axis=1) == samples.labels).mean() > 0.95


def test_what_lies_far_from_all_clips_is_unknown() -> None:
    drawn = draw_clips(6, 12, size=60, spread=16)
    learnt = (drawn.clips % 12 < 8) & (drawn.labels < 5)
    samples = make_samples(*(array[learnt] for array in (drawn.features, drawn.labels, drawn.clips, drawn.moments)))
    fitted = fit_quietly(samples, background="label 0")
    assert fitted.labels == [*samples.names, "unknown"]
    untaught = fitted.report.untaught
    assert untaught is not None and (untaught.known.of, untaught.untaught.of) == (40, 32)  # never the background
    assert untaught.known.right <= 2 and untaught.untaught.value >= 0.9
    said = fitted.logits(drawn.features).argmax(axis=1)
    fresh = drawn.clips % 12 >= 8
    assert (said[drawn.labels == 5] == 5).mean() >= 0.9
    taught = fresh & (drawn.labels < 5)
    assert (said[taught] == drawn.labels[taught]).mean() >= 0.9
    assert fitted.report.confusion.shape == (5, 6) and fitted.report.confusion[:, 5].sum() == untaught.known.right


def test_a_label_of_that_name_or_old_classes_leave_no_class_unknown() -> None:
    samples = draw_clips(3, 6)
    with_old = fit_quietly(samples, old=old_classifier(5, 20, 0.1))
    samples.names[1] = "Unknown"
    for fitted in (with_old, fit_quietly(samples), fit_quietly(draw_clips(3, 1))):  # the last can't be tested
        assert fitted.familiar is None and "unknown" not in fitted.labels
        assert fitted.report.untaught is None
        assert fitted.logits(samples.features).shape[1] == len(fitted.labels)


@pytest.mark.parametrize("background", [None, "label 0"])
def test_two_labels_are_enough_for_unknown(background: str | None) -> None:
    drawn = draw_clips(3, 30, size=60, spread=40)
    learnt = (drawn.clips % 30 < 20) & (drawn.labels < 2)
    samples = make_samples(*(array[learnt] for array in (drawn.features, drawn.labels, drawn.clips, drawn.moments)))
    said = fit_quietly(samples, background=background).logits(drawn.features).argmax(axis=1)
    assert (said[drawn.labels == 2] == 2).mean() >= 0.8
    rest = (drawn.labels < 2) & (drawn.clips % 30 >= 20)
    assert (said[rest] == drawn.labels[rest]).mean() >= 0.8
