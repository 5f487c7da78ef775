"""Corruption: an exact share, by the right sounds, the same for the same seed. Folds: no video on both sides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_samples import CATEGORIES, OUTSIDE, labelled, material

from avlib.errors import InputError, ParameterError
from avlib.evaluation.corruption import Corruption, ReplaceFrom, Unit, corrupted
from avlib.evaluation.folds import video_folds
from avlib.evaluation.material import LabelledSamples, Material

MATERIAL = material()
UNITS: tuple[Unit, ...] = ("frame", "segment", "video")
LENDERS: tuple[ReplaceFrom, ...] = ("outside", "other-category")
HOWS = [Corruption(unit, lender, segment_s=1.0) for unit in UNITS for lender in LENDERS]


def changed(before: LabelledSamples, after: LabelledSamples) -> np.ndarray:
    return (before.audio != after.audio).any(axis=1)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(HOWS), st.floats(0, 1), st.integers(0, 1000))
def test_an_exact_share_is_replaced(how: Corruption, ratio: float, seed: int) -> None:
    before = MATERIAL.clean
    after = corrupted(before, MATERIAL.outside, how=how, ratio=ratio, seed=[seed])
    rows = changed(before, after)
    assert rows.sum() == int(np.floor(ratio * len(before) + 0.5))
    np.testing.assert_array_equal(after.truth.clean, ~rows)
    np.testing.assert_array_equal(after.visual, before.visual)
    np.testing.assert_array_equal(after.truth.picture, before.truth.picture)
    np.testing.assert_array_equal(after.truth.sound[~rows], before.truth.sound[~rows])
    if how.replace_from == "outside":
        assert set(after.truth.sound[rows]) <= set(OUTSIDE)
    else:
        assert (after.truth.sound[rows] != before.truth.picture[rows]).all()
        assert set(after.truth.sound[rows]) <= set(CATEGORIES)


@pytest.mark.parametrize("how", HOWS, ids=str)
def test_the_label_and_the_sample_follow_the_sound(how: Corruption) -> None:
    lender = MATERIAL.outside if how.replace_from == "outside" else MATERIAL.clean
    row_of = {sound.tobytes(): row for row, sound in enumerate(lender.audio)}
    after = corrupted(MATERIAL.clean, MATERIAL.outside, how=how, ratio=0.5, seed=[3])
    rows = changed(MATERIAL.clean, after)
    lent = np.array([row_of[sound.tobytes()] for sound in after.audio[rows]])
    np.testing.assert_array_equal(after.truth.sound[rows], lender.truth.sound[lent])
    np.testing.assert_array_equal(after.sound_ids[rows], lender.ids[lent])
    np.testing.assert_array_equal(after.sound_ids[~rows], after.ids[~rows])


@pytest.mark.parametrize("how", HOWS, ids=str)
def test_a_seed_says_all_whatever_the_order_and_the_ratio(how: Corruption) -> None:
    before = MATERIAL.clean
    some, more = (corrupted(before, MATERIAL.outside, how=how, ratio=r, seed=[5, 2]) for r in (0.3, 0.7))
    rows = changed(before, some)
    np.testing.assert_array_equal(more.audio[rows], some.audio[rows])
    shuffle = np.random.default_rng(1).permutation(len(before))
    shuffled = corrupted(before.take(shuffle), MATERIAL.outside, how=how, ratio=0.3, seed=[5, 2])
    np.testing.assert_array_equal(shuffled.audio, some.audio[shuffle])
    other = corrupted(before, MATERIAL.outside, how=how, ratio=0.3, seed=[6, 2])
    assert (changed(before, other) != rows).any()


def test_no_sound_is_lent_twice_before_all_were() -> None:
    after = corrupted(MATERIAL.clean, MATERIAL.outside, how=Corruption(), ratio=1.0, seed=[0])
    _, times = np.unique(after.audio, axis=0, return_counts=True)
    assert len(MATERIAL.clean) == 216 and len(MATERIAL.outside) == 144
    assert sorted(times) == [1] * 72 + [2] * 72


def test_stretches_are_replaced_by_stretches() -> None:
    how = Corruption("segment", segment_s=1.0)
    after = corrupted(MATERIAL.clean, MATERIAL.outside, how=how, ratio=0.5, seed=[0])
    rows = changed(MATERIAL.clean, after)
    second = np.unique(np.stack([after.videos, after.times_s.astype(int)]), axis=1, return_inverse=True)[1].reshape(-1)
    cut = [number for number in np.unique(second) if 0 < rows[second == number].mean() < 1]
    assert len(cut) <= 1  # the last one, for the share to be exact
    place = {sound.tobytes(): row for row, sound in enumerate(MATERIAL.outside.audio)}
    for number in np.unique(second[rows]):
        lent = [place[sound.tobytes()] for sound in after.audio[rows & (second == number)]]
        assert (np.diff(lent) % len(place) == 1).all()
    assert len(np.unique(second[rows])) > 5


def test_whole_videos_are_replaced() -> None:
    after = corrupted(MATERIAL.clean, MATERIAL.outside, how=Corruption("video"), ratio=0.5, seed=[0])
    rows = changed(MATERIAL.clean, after)
    assert sorted({rows[after.videos == video].mean() for video in np.unique(after.videos)}) == [0.0, 1.0]


def test_what_cannot_be_corrupted_is_refused() -> None:
    nothing = MATERIAL.outside.take(np.array([], np.int64))
    with pytest.raises(InputError, match="no sound to replace one by from 'outside'"):
        corrupted(MATERIAL.clean, nothing, how=Corruption(), ratio=0.1, seed=[0])
    assert not changed(MATERIAL.clean, corrupted(MATERIAL.clean, nothing, how=Corruption(), ratio=0, seed=[0])).any()
    with pytest.raises(ParameterError, match="ratio"):
        corrupted(MATERIAL.clean, nothing, how=Corruption(), ratio=1.1, seed=[0])
    with pytest.raises(ParameterError, match="unit"):
        Corruption("word")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="segment_s"):
        replace(Corruption(), segment_s=0.0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(CATEGORIES), min_size=4, max_size=40), st.integers(2, 4), st.integers(0, 1000))
def test_folds_split_by_video_and_balance_categories(of_videos: list[str], folds: int, seed: int) -> None:
    samples = labelled(of_videos, of_videos, frames=3, seed=0)
    fold = video_folds(samples.videos, samples.truth.picture, folds=folds, seed=[seed])
    pairs = {(int(video), int(number)) for video, number in zip(samples.videos, fold, strict=True)}
    assert len(pairs) == len(of_videos)  # no video in two folds
    of_video = dict(pairs)
    for wanted in [None, *CATEGORIES]:
        here = [of_video[number] for number, word in enumerate(of_videos) if wanted in (None, word)]
        counts = np.bincount(here, minlength=folds) if here else np.zeros(folds)
        assert counts.max() - counts.min() <= 1


def test_a_video_counts_to_what_most_of_it_shows() -> None:
    videos = np.repeat(np.arange(4), 3)
    categories = np.array(["sea", "sea", "dog", "sea", "sea", "sea", "dog", "dog", "sea", "dog", "dog", "dog"])
    for seed in range(20):
        fold = video_folds(videos, categories, folds=2, seed=[seed])
        assert {fold[0], fold[3]} == {0, 1} == {fold[6], fold[9]}


def test_too_few_videos_are_refused() -> None:
    with pytest.raises(ParameterError, match="folds = 3: expected 2 to the number of videos, 2"):
        video_folds(np.array([1, 2]), np.array(["a", "b"]), folds=3, seed=[0])


def test_categories_of_the_material() -> None:
    assert isinstance(MATERIAL, Material)
    assert MATERIAL.categories.tolist() == list(CATEGORIES)
