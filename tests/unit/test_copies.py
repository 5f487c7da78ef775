"""Copies: stretches in step with another video, and nothing else."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted_copies import FRAMES, RATE_HZ, STRIDE, Planted, planted

from avlib.config import CopySettings, load_settings
from avlib.copies import (
    CopiedStretch,
    Grid,
    Sketch,
    copied_stretches,
    copies_in_memory,
    originals_of,
    random_pair_medians,
    search_weights,
)
from avlib.copies.stretches import _best_run, _commonest
from avlib.descriptors import l2_normalise
from avlib.identity import sample_ids, video_ids
from avlib.neighbors import Block


def settings(**values: object) -> CopySettings:
    return load_settings().copies.model_copy(update=values)


def block(made: Planted) -> Block:
    return Block(made.ids, l2_normalise(made.visual), l2_normalise(made.audio), made.times_s)


@given(st.lists(st.sampled_from([-1, 0, 1]), min_size=1, max_size=30))
def test_best_run_is_the_best_of_all(worth: list[int]) -> None:
    values = np.array(worth)
    start, stop, total = _best_run(values)
    sums = {(i, j): values[i:j].sum() for i, j in itertools.combinations(range(len(values) + 1), 2)}
    best = max(sums.values())
    assert total == sums[start, stop] == best
    end = min(j for (_, j), one in sums.items() if one == best)
    assert stop == end and start == max(i for (i, j), one in sums.items() if j == end and one == best)


@given(st.lists(st.integers(-40, 40), min_size=1, max_size=40), st.integers(0, 10))
def test_commonest_shift_has_the_most_beside_it(shifts: list[int], margin: int) -> None:
    counts = {shift: sum(abs(other - shift) <= margin for other in shifts) for shift in shifts}
    expected = min(shift for shift in shifts if counts[shift] == max(counts.values()))
    assert _commonest(np.array(shifts), margin) == expected


def in_step(rows: range, *, shift: int, frames: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """A video of which some samples are like those of an earlier one, in step, and the others like none."""
    ids, like = sample_ids(7, np.arange(frames) * STRIDE), np.full(frames, -1)
    like[rows.start : rows.stop] = sample_ids(3, (np.arange(rows.start, rows.stop) + shift) * STRIDE)
    return ids, like


@given(st.integers(0, 59), st.integers(0, 60), st.integers(0, 30))
def test_a_stretch_is_found_where_it_is(start: int, length: int, shift: int) -> None:
    stop = min(start + length, 60)
    ids, like = in_step(range(start, stop), shift=shift)
    found = copied_stretches(ids, like, rate_hz=RATE_HZ, settings=settings(stretch_s=2.0, samples=5))
    long_enough = stop - start >= 5 and (stop - 1 - start) * STRIDE >= 2 * RATE_HZ
    margin = 8  # 0.3 s
    ends = max(0, start * STRIDE - RATE_HZ), (stop - 1) * STRIDE + RATE_HZ
    assert found == ([CopiedStretch(7, 3, *ends, shift * STRIDE, margin)] if long_enough else [])


def test_two_stretches_of_one_video() -> None:
    ids, like = in_step(range(0, 20), shift=3)
    like[40:55] = sample_ids(3, np.arange(0, 15) * STRIDE)
    found = copied_stretches(ids, like, rate_hz=RATE_HZ, settings=settings())
    assert [(one.first, one.last, one.shift) for one in found] == [(0, 120, 15), (175, 295, -200)]


def test_samples_out_of_step_end_a_stretch() -> None:
    ids, like = in_step(range(0, 60), shift=0)
    like[:] = np.where(np.arange(60) < 30, like, sample_ids(3, np.random.default_rng(0).permutation(60) * STRIDE))
    (found,) = copied_stretches(ids, like, rate_hz=RATE_HZ, settings=settings())
    assert found.first == 0 and 29 * STRIDE <= found.last - RATE_HZ <= 33 * STRIDE


@given(st.integers(0, 2**32 - 1))
def test_chance_is_no_stretch(seed: int) -> None:
    """Every sample has one like it, at any time, or at the same time throughout: a picture that stands still."""
    random = np.random.default_rng(seed)
    ids = sample_ids(7, np.arange(60) * STRIDE)
    like = sample_ids(3, random.integers(0, 60, 60) * STRIDE)
    assert copied_stretches(ids, like, rate_hz=RATE_HZ, settings=settings()) == []
    still = np.full(60, sample_ids(3, np.array([30 * STRIDE]))[0])
    assert copied_stretches(ids, still, rate_hz=RATE_HZ, settings=settings()) == []


@given(
    st.lists(st.integers(0, 200), unique=True, max_size=30),
    st.lists(st.integers(0, 200), unique=True, max_size=30),
    st.integers(-60, 60),
    st.integers(0, 9),
)
def test_originals_are_the_nearest_in_time(own: list[int], theirs: list[int], shift: int, margin: int) -> None:
    ids, others = (sample_ids(video, np.array(sorted(one), np.int64)) for video, one in ((7, own), (3, theirs)))
    copies, originals = originals_of(ids, CopiedStretch(7, 3, 20, 150, shift, margin), others)
    expected = {}
    for frame in sorted(own):
        near = [other for other in theirs if abs(other - frame - shift) <= margin]
        if 20 <= frame <= 150 and near:
            expected[frame] = min(near, key=lambda other, at=frame + shift: (abs(other - at), other))
    assert dict(zip((copies % 2**24).tolist(), (originals % 2**24).tolist(), strict=True)) == expected
    assert (video_ids(copies) == 7).all() and (video_ids(originals) == 3).all()


@pytest.mark.parametrize(("stride", "listed"), [(1, 20), (5, 20), (12, 24), (25, 25), (50, 50)])
def test_samples_that_name_others_lie_no_second_apart_where_there_are_so_many(stride: int, listed: int) -> None:
    grid = Grid(25.0, stride)
    assert grid.listed(step=grid.every(samples_hz=5)) == listed


def test_a_video_too_short_to_name_others() -> None:
    """Of two videos, one has no sample on the grid of those that are listed."""
    random = np.random.default_rng(0)
    ids = np.concatenate([sample_ids(1, np.arange(0, 200, STRIDE)), sample_ids(2, np.array([STRIDE]))])
    visual, audio = (l2_normalise(random.normal(size=(len(ids), 8)).astype(np.float32)) for _ in range(2))
    assert not len(copies_in_memory(Block(ids, visual, audio, (ids % 2**24) / RATE_HZ), settings()).ids)


def test_sketches_keep_distances() -> None:
    random = np.random.default_rng(0)
    rows = l2_normalise(random.normal(size=(200, 1280)).astype(np.float32) + 1)
    short = Sketch(0)(rows)
    assert short.shape == (200, 64) and np.allclose(np.linalg.norm(short, axis=1), 1, atol=1e-5)
    whole, kept = (np.linalg.norm(one[:100] - one[100:], axis=1) for one in (rows, short))
    assert np.abs(kept / whole - 1).mean() < 0.12
    assert np.array_equal(Sketch(0)(rows[3:5]), short[3:5])
    assert np.array_equal(Sketch(0)(rows[:, :64]), rows[:, :64])


def test_any_two_samples_are_one_apart() -> None:
    random = np.random.default_rng(0)
    videos = np.repeat(np.arange(8), 5)
    visual, audio = (random.normal(size=(40, d)).astype(np.float32) for d in (6, 3))
    weights = search_weights(random_pair_medians(videos, visual, audio))
    assert weights is not None
    apart = [
        [
            np.linalg.norm(rows[i].astype(float) - rows[j])
            for i, j in itertools.combinations(range(40), 2)
            if i // 5 != j // 5
        ]
        for rows in (visual, audio)
    ]
    assert weights[0] * np.median(apart[0]) == pytest.approx(0.5) and weights[1] * np.median(apart[1]) == pytest.approx(
        0.5
    )
    assert search_weights(random_pair_medians(videos, 0 * visual, audio)) is None
    assert search_weights(random_pair_medians(0 * videos, visual, audio)) is None


def test_grid_and_how_many_samples_are_compared() -> None:
    ids = np.concatenate([sample_ids(0, np.arange(10) * 6), sample_ids(1, np.arange(20) * 4)])
    grid = Grid.of(ids, (ids % 2**24) / 12.5)
    assert grid.rate_hz == pytest.approx(12.5) and grid.stride == 2
    assert Grid.of(ids[:1], np.zeros(1)) == Grid.of(ids[:0], np.zeros(0)) == Grid(1.0, 1)
    grids = Grid(25.0, 1), Grid(25.0, 5), Grid(25.0, 3), Grid(30.0, 1), Grid(25.0, 25), Grid(1.0, 1)
    assert [grid.every(samples_hz=5) for grid in grids] == [5, 5, 6, 6, 25, 1]


@pytest.mark.parametrize("seed", range(3))
def test_planted_copies_are_found_and_nothing_else(seed: int) -> None:
    made = planted(seed=seed)
    found = copies_in_memory(block(made), settings())
    near = np.concatenate([made.copies + frames for frames in range(-RATE_HZ, RATE_HZ + 1, STRIDE)])
    assert np.isin(found.ids, near).all()
    assert len(found.ids) >= 0.9 * len(made.copies)
    meant = dict(zip(made.copies.tolist(), made.originals.tolist(), strict=True))
    pairs = zip(found.ids.tolist(), found.originals.tolist(), strict=True)
    apart = [abs(meant[copy] - original) for copy, original in pairs if copy in meant]
    assert max(apart) <= 0.3 * RATE_HZ + 1


def test_all_samples_between_those_compared_are_found() -> None:
    """At 25 samples a second every fifth is compared."""
    made = planted()
    dense = np.repeat(np.arange(len(made.ids)), STRIDE)
    ids = made.ids[dense] + np.tile(np.arange(STRIDE), len(made.ids))
    whole = Block(ids, l2_normalise(made.visual)[dense], l2_normalise(made.audio)[dense], (ids % 2**24) / RATE_HZ)
    found = copies_in_memory(whole, settings())
    of_first = found.ids[video_ids(found.ids) == 1]
    assert len(of_first) >= 0.95 * (FRAMES - 1) * STRIDE
    assert np.array_equal(np.unique(video_ids(found.ids)), [1, 3])


def test_one_video_and_still_pictures_have_no_copies() -> None:
    made = planted()
    assert not len(copies_in_memory(block(made).take(np.arange(FRAMES)), settings()).ids)
    black = Block(made.ids, 0 * made.visual, l2_normalise(made.audio), made.times_s)
    assert not len(copies_in_memory(black, settings()).ids)


def test_a_clip_that_all_the_world_has_is_left_once() -> None:
    """More copies than a list of neighbors can name."""
    made = planted(videos=90)
    random = np.random.default_rng(1)
    rows = np.arange(len(made.ids)).reshape(90, FRAMES)
    rows[60:] = rows[7]
    visual, audio = (one[rows.ravel()] + 0.2 * random.normal(size=one.shape) for one in (made.visual, made.audio))
    samples = Block(made.ids, *(l2_normalise(one.astype(np.float32)) for one in (visual, audio)), made.times_s)
    found = copies_in_memory(samples, settings(neighbors=5))
    for video in range(60, 90):
        assert (video_ids(found.ids) == video).mean() * len(found.ids) >= 0.9 * FRAMES
    assert not (video_ids(found.ids) == 7).any()
