"""The parts of agreement, each against its definition written out for one sample at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA, TruncatedSVD

from avlib.agreement import (
    MOST_ACCIDENTAL,
    NOBODY,
    Companions,
    Evidence,
    Histogram,
    Views,
    agreement,
    drawn,
    drawn_pieces,
    equal_weights,
    evidence,
    fit_pictures,
    fit_sounds,
    mixed,
    stretch_scores,
    supporters,
    threshold_doubting,
    threshold_keeping,
)
from avlib.descriptors import l2_normalise
from avlib.errors import ParameterError
from avlib.identity import sample_ids, video_ids

SEEDS = st.integers(0, 2**32 - 1)


def views(counts: list[int], *, seed: int, step_s: float = 0.2) -> Views:
    random = np.random.default_rng(seed)
    ids = np.concatenate([sample_ids(video + 1, np.arange(count) * 5) for video, count in enumerate(counts)])
    visual, audio = (l2_normalise(random.normal(size=(len(ids), d)).astype(np.float32)) for d in (6, 4))
    return Views(ids, (ids & 0xFFFFFF) / 5 * step_s, visual, audio)


def companions(samples: Views, *, count: int, seed: int) -> Companions:
    """Random samples of other videos; some lists are short."""
    random = np.random.default_rng(seed)

    def of(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ids = np.full((len(samples), count), NOBODY)
        descriptors = np.zeros((len(samples), count, rows.shape[1]), np.float32)
        for row, video in enumerate(samples.videos):
            others = random.permutation(np.flatnonzero(samples.videos != video))[: random.integers(0, count + 1)]
            ids[row, : len(others)] = samples.ids[others]
            descriptors[row, : len(others)] = rows[others]
        return ids, descriptors

    return Companions(*of(samples.audio), *of(samples.visual))


def test_pictures_keep_their_distances_as_well_as_so_many_numbers_can() -> None:
    raw = np.random.default_rng(0).gamma(1.0, size=(60, 20)).astype(np.float32)
    rows = l2_normalise(raw)
    whole = fit_pictures(raw, dimensions=20)(raw)
    assert whole @ whole.T == pytest.approx(rows @ rows.T, abs=1e-5)
    short = fit_pictures(raw, dimensions=5)(raw)
    reference = l2_normalise(
        TruncatedSVD(5, algorithm="arpack").fit_transform(rows.astype(np.float64)).astype(np.float32)
    )
    assert short @ short.T == pytest.approx(reference @ reference.T, abs=1e-5)


def test_sounds_are_whitened_like_scikit_learn_does() -> None:
    random = np.random.default_rng(1)
    raw = (random.normal(size=(80, 6)) @ random.normal(size=(6, 9)) * 40 + 7).astype(np.float32)
    raw = np.concatenate([raw, np.full((80, 1), 3.0, np.float32)], axis=1)  # says nothing
    found = fit_sounds(raw, dimensions=4, whiten=True)(raw)
    standardised = (raw[:, :9] - raw[:, :9].mean(axis=0)) / raw[:, :9].std(axis=0)
    reference = l2_normalise(PCA(4, whiten=True).fit_transform(standardised).astype(np.float32))
    assert found @ found.T == pytest.approx(reference @ reference.T, abs=1e-4)
    assert fit_sounds(raw, dimensions=10, whiten=True).matrix.shape == (10, 6)  # no direction in which they do not vary
    with pytest.raises(ParameterError, match="shape"):
        fit_sounds(raw, dimensions=4, whiten=True)(raw[:, :5])


@given(st.lists(st.integers(1, 6), min_size=2, max_size=5), SEEDS)
@settings(deadline=None)
def test_evidence_equals_its_definition(counts: list[int], seed: int) -> None:
    samples = views(counts, seed=seed)
    references = samples.take(drawn(samples.ids, 7, seed=seed))
    theirs = companions(samples, count=3, seed=seed)
    found = evidence(samples, theirs, references)
    for row in range(len(samples)):
        foreign = references.videos != samples.videos[row]
        for worth, ids, descriptors, own, all_of_them in (
            (found.seen, theirs.seen_ids, theirs.seen_audio, samples.audio[row], references.audio),
            (found.heard, theirs.heard_ids, theirs.heard_visual, samples.visual[row], references.visual),
        ):
            background = np.linalg.norm(all_of_them[foreign].astype(float) - own, axis=1).round(6)
            for place, one in enumerate(descriptors[row]):
                apart = np.linalg.norm(one.astype(float) - own).round(6)
                nearer = (background < apart).sum() + (background == apart).sum() / 2
                expected = -np.log((nearer + 0.5) / (foreign.sum() + 1)) - 1
                known = ids[row, place] != NOBODY and foreign.any()
                assert worth[row, place] == pytest.approx(expected if known else 0.0)


def test_unrelated_companions_are_worth_nothing_on_average() -> None:
    samples = views([40] * 20, seed=3)
    references = samples.take(drawn(samples.ids, 400, seed=0))
    theirs = companions(samples, count=6, seed=4)
    found = evidence(samples, theirs, references)
    values = agreement(found, theirs, equal_weights(theirs))
    assert abs(values.mean()) < 0.03
    near = np.linalg.norm(samples.audio[:, None] - references.audio, axis=2) < found.radius[:, None]
    assert np.mean(near) == pytest.approx(0.1, abs=0.01)


@given(SEEDS)
@settings(deadline=None, max_examples=30)
def test_agreement_is_a_weighted_mean_of_both_kinds(seed: int) -> None:
    samples = views([4, 5, 3], seed=seed)
    theirs = companions(samples, count=4, seed=seed)
    found = evidence(samples, theirs, samples)
    random = np.random.default_rng(seed)
    weights = random.uniform(0.1, 2, theirs.seen_ids.shape), random.uniform(0.1, 2, theirs.heard_ids.shape)
    values = agreement(found, theirs, weights)
    for row in range(len(samples)):
        halves = []
        for ids, worth, weight in (
            (theirs.seen_ids, found.seen, weights[0]),
            (theirs.heard_ids, found.heard, weights[1]),
        ):
            known = ids[row] != NOBODY
            halves.append(np.average(worth[row, known], weights=weight[row, known]) if known.any() else 0.0)
        assert values[row] == pytest.approx(np.mean(halves))


@given(st.integers(0, 40), st.floats(0, 3), SEEDS)
@settings(deadline=None)
def test_stretches_equal_their_definition(count: int, span_s: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    times_s = np.cumsum(random.choice([0.2, 0.4, 1.0], size=count))
    values, radius = random.normal(size=count), random.uniform(0, 2, size=count)
    audio = l2_normalise(random.normal(size=(count, 3)).astype(np.float32))
    found = stretch_scores(values, times_s=times_s, audio=audio, radius=radius, span_s=span_s)
    for row in range(count):
        close = np.abs(times_s - times_s[row]) <= span_s + 1e-6
        alike = np.linalg.norm(audio - audio[row], axis=1) <= np.minimum(radius, radius[row])
        alike[row] = True
        members = values[close & alike]
        assert found[row] == pytest.approx(members.sum() / (len(members) + 1), abs=1e-4)


def test_a_sound_that_changes_from_frame_to_frame_is_not_smoothed_away() -> None:
    """What the paper's experiment does to sounds, and what would undo a plain mean over time."""
    audio = np.array([[1, 0], [0, 1]] * 10, np.float32)
    values = np.array([1.0, -1.0] * 10)
    found = stretch_scores(values, times_s=np.arange(20) / 5, audio=audio, radius=np.full(20, 0.5), span_s=2.0)
    assert (np.sign(found) == np.sign(values)).all() and abs(found).min() > 0.8


@pytest.mark.parametrize("accidents", [0.0, 0.2, 0.5, 0.8, 1.0])
def test_threshold_is_where_accident_is_as_likely_as_allowed(accidents: float) -> None:
    """Two normal distributions, whose mixture is known: N(0, 1) by accident, N(3, 1) otherwise."""
    random, count = np.random.default_rng(5), 40_000
    by_accident = random.random(count) < accidents
    scores = np.where(by_accident, 0.0, 3.0) + random.normal(size=count)
    histogram, accidental = Histogram.of(scores.round(4)), random.normal(size=20_000).round(4)
    for doubt in (0.2, 0.5, 0.8):
        found = threshold_doubting(histogram, accidental, doubt=doubt)
        kept = scores >= found
        if accidents == 1:
            assert kept.mean() < 0.01
        elif accidents:  # accidents · φ(x) = doubt · (accidents · φ(x) + (1 - accidents) · φ(x - 3))
            expected = 1.5 + np.log(accidents / (1 - accidents) * (1 - doubt) / doubt) / 3
            assert found == pytest.approx(expected, abs=0.2)
        else:
            assert kept.mean() > 0.95


@given(
    st.lists(st.integers(-5, 5), min_size=1, max_size=50),
    st.lists(st.integers(-5, 5), max_size=50),
    st.floats(0.01, 0.98),
)
def test_more_doubt_keeps_no_less(values: list[int], by_accident: list[int], doubt: float) -> None:
    histogram, accidental = Histogram.of(np.array(values, np.float64)), np.array(by_accident, np.float64)
    low, high = (threshold_doubting(histogram, accidental, doubt=one) for one in (doubt, doubt + 0.01))
    assert high <= low
    if not by_accident:
        assert low == np.inf
    elif max(values) < min(by_accident):
        assert low > max(values)
    elif min(values) > max(by_accident):
        assert low <= min(values)


def test_doubt_is_a_probability() -> None:
    with pytest.raises(ParameterError, match="doubt"):
        threshold_doubting(Histogram.of(np.zeros(3)), np.zeros(3), doubt=1.0)


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=50), st.floats(0.01, 1))
def test_threshold_keeps_the_share_asked_for(values: list[int], keep: float) -> None:
    scores = np.array(values, np.float64)
    kept = scores >= threshold_keeping(Histogram.of(scores), keep=keep)
    wanted = int(np.ceil(keep * len(scores) - 1e-9))
    assert kept.sum() >= wanted
    assert (scores > scores[kept].min()).sum() < wanted  # fewer would do only by parting equal ones


def test_keep_is_a_share() -> None:
    with pytest.raises(ParameterError, match="keep"):
        threshold_keeping(Histogram.of(np.zeros(3)), keep=0)


@given(st.lists(st.integers(0, 2**50), unique=True, min_size=1, max_size=60), st.integers(1, 30), st.integers(0, 5))
def test_draws_do_not_hang_on_order_or_company(ids: list[int], count: int, seed: int) -> None:
    given_ids = np.array(ids)
    one = set(given_ids[drawn(given_ids, count, seed=seed)])
    assert one == set(given_ids[::-1][drawn(given_ids[::-1], count, seed=seed)])
    fewer = given_ids[: len(ids) // 2 + 1]
    assert one & set(fewer) <= set(fewer[drawn(fewer, count, seed=seed)])


def test_draws_are_even() -> None:
    ids = np.arange(20_000)
    shares = [drawn(ids, 2000, seed=seed).mean() / 10_000 for seed in range(20)]
    assert np.mean(shares) == pytest.approx(1.0, abs=0.02)


def test_pieces_are_drawn_until_there_are_enough_samples() -> None:
    pieces, counts = np.arange(1000), np.full(1000, 200)
    assert len(drawn_pieces(pieces, counts, seed=0)) == MOST_ACCIDENTAL // 200
    assert sorted(drawn_pieces(pieces[:5], counts[:5], seed=0)) == pieces[:5].tolist()


@given(st.lists(st.integers(1, 9), min_size=2, max_size=6), SEEDS)
@settings(deadline=None)
def test_mixed_samples_know_nobody_of_either_video(counts: list[int], seed: int) -> None:
    samples = views(counts, seed=seed)
    theirs = companions(samples, count=4, seed=seed)
    weights = equal_weights(theirs)
    found = mixed(samples, theirs, weights, seed=seed)
    assert len(found.samples) == len(samples)  # every video is one piece here
    donor = np.array([int(np.flatnonzero((samples.audio == row).all(axis=1))[0]) for row in found.samples.audio])
    assert (samples.videos[donor] == found.sound_videos).all() and (found.sound_videos != samples.videos).all()
    assert np.array_equal(found.samples.visual, samples.visual)
    for ids in (found.companions.seen_ids, found.companions.heard_ids):
        known = ids != NOBODY
        assert not (known & (video_ids(ids) == samples.videos[:, None])).any()
        assert not (known & (video_ids(ids) == found.sound_videos[:, None])).any()
    same_video = np.diff(samples.videos) == 0
    assert (np.diff(donor)[same_video] >= 0).all()  # in order of time


def test_where_most_is_one_video_only_what_meets_another_is_mixed() -> None:
    samples = views([600, 30], seed=1)
    theirs = companions(samples, count=2, seed=1)
    found = mixed(samples, theirs, equal_weights(theirs), seed=0)
    assert 0 < len(found.samples) < len(samples)
    assert (found.sound_videos != found.samples.videos).all()


def test_supporters_are_the_companions_that_count_most() -> None:
    a, b, c = (int(sample_ids(video, np.array([3]))[0]) for video in (1, 2, 3))
    nothing = np.zeros((1, 3, 0), np.float32)
    theirs = Companions(np.array([[a, b, NOBODY]]), nothing, np.array([[b, c, a + 1]]), nothing)
    found = Evidence(np.array([[1.5, 3.0, 0.0]]), np.array([[9.0, 2.0, 0.5]]), np.zeros(1))
    videos, ids = supporters(found, theirs, (np.ones((1, 3)), np.array([[1.0, 4.0, 9.0]])), most=4)
    assert videos.tolist() == [3]
    assert ids.tolist() == [[c, b, a, NOBODY]]  # b as one that is seen: nobody counts twice; a + 1 is not near
