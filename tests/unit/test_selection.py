"""Which components stay, and what a medoid is, against plain Python."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avlib.config import StepSettings, load_settings
from avlib.errors import ConfigError
from avlib.filtering import descriptor_sum, kept, mean_of, medoids

# Few videos and labels, so that they coincide often; ids up to the largest there is.
SAMPLES = st.lists(
    st.tuples(st.sampled_from([0, 1, 2, 2**39 - 1]), st.integers(0, 6), st.integers(0, 3)), max_size=40
).map(
    lambda rows: [
        ((video << 24) + frame, 10 * component + parent, parent)
        for frame, (video, component, parent) in enumerate(rows)
    ]
)
SHARES = st.sampled_from([0.0, 0.1, 0.2, 0.25, 1 / 3, 0.5, 1.0])


def rule(min_size: int, min_videos: int = 1, min_share: float = 0.0) -> StepSettings:
    return StepSettings(w_V=1, w_A=0, k=1, min_size=min_size, min_videos=min_videos, min_share=min_share)


def columns(rows: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ids, components, parents = np.array(rows, np.int64).reshape(-1, 3).T
    return ids, components, parents


def plainly_kept(rows: list[tuple[int, int, int]], step: StepSettings) -> list[bool]:
    members: dict[int, list[int]] = defaultdict(list)
    parent_sizes: dict[int, int] = defaultdict(int)
    for sample, component, parent in rows:
        members[component].append(sample)
        parent_sizes[parent] += 1
    return [
        len(members[component]) >= step.min_size
        and len({sample >> 24 for sample in members[component]}) >= step.min_videos
        and len(members[component]) / parent_sizes[parent] >= step.min_share
        for _, component, parent in rows
    ]


@given(rows=SAMPLES, min_size=st.integers(1, 6), min_videos=st.integers(1, 4), min_share=SHARES)
def test_kept_equals_the_plain_rule(
    rows: list[tuple[int, int, int]], min_size: int, min_videos: int, min_share: float
) -> None:
    step = rule(min_size, min_videos, min_share)
    ids, components, parents = columns(rows)
    found = kept(ids, components, parents=parents, step=step)
    assert found.tolist() == plainly_kept(rows, step)


@given(rows=SAMPLES, seed=st.integers(0, 2**16))
def test_stricter_keeps_less_whole_components_and_order_does_not_matter(
    rows: list[tuple[int, int, int]], seed: int
) -> None:
    ids, components, parents = columns(rows)
    loose = kept(ids, components, parents=parents, step=rule(2, 1, 0.1))
    strict = kept(ids, components, parents=parents, step=rule(3, 2, 0.25))
    assert not (strict & ~loose).any()
    assert kept(ids, components, parents=parents, step=rule(1)).all()
    assert not set(components[loose].tolist()) & set(components[~loose].tolist())
    order = np.random.default_rng(seed).permutation(len(ids))
    shuffled = kept(ids[order], components[order], parents=parents[order], step=rule(3, 2, 0.25))
    np.testing.assert_array_equal(shuffled, strict[order])


@pytest.mark.parametrize("whole", [10, 30, 70, 110])
def test_a_tenth_is_a_tenth(whole: int) -> None:
    ids = np.arange(whole)
    components = np.where(ids < whole // 10, 0, whole // 10)
    parents = np.zeros(whole, np.int64)
    assert kept(ids, components, parents=parents, step=rule(1, 1, 0.1)).all()
    assert kept(ids, components, parents=parents, step=rule(1, 1, 0.1001)).sum() == whole - whole // 10


def test_settings_of_the_selection() -> None:
    mine = "filter.strategies.mine=[{w_V = 1.0, w_A = 0.0}, {w_V = 0.0, w_A = 1.0, min_videos = 2, min_share = 0.5}]"
    found = load_settings(
        assignments=[mine, "filter.strategy=mine", "components.min_videos=4", "components.min_share=0.25"]
    )
    assert [(step.min_videos, step.min_share) for step in found.filter.steps] == [(4, 0.25), (2, 0.5)]
    assert [(step.min_videos, step.min_share) for step in load_settings().filter.steps] == [(1, 0.0)]
    for wrong in ("components.min_videos=0", "components.min_share=1.5", "components.min_share=-0.1"):
        with pytest.raises(ConfigError, match=r"components\.min_"):
            load_settings(assignments=[wrong])


def normalised(random: np.random.Generator, rows: int, dimension: int) -> np.ndarray:
    x = random.normal(size=(rows, dimension))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@settings(deadline=None)
@given(
    rows=st.integers(0, 40),
    weights=st.sampled_from([(1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (0.3, 2.0)]),
    seed=st.integers(0, 2**16),
)
def test_medoids_equal_plain_ones(rows: int, weights: tuple[float, float], seed: int) -> None:
    random = np.random.default_rng(seed)
    ids = random.permutation(2**63 - 1 - np.arange(rows))
    components = random.integers(0, 5, rows)
    visual, audio = normalised(random, rows, 6), normalised(random, rows, 4)
    if rows:
        twins = random.integers(0, rows, (2, rows // 2))  # equally near samples
        visual[twins[0]], audio[twins[0]] = visual[twins[1]], audio[twins[1]]
        visual[random.integers(0, rows)] = 0

    def distance(row: int) -> float:
        of_it = components == components[row]
        parts = (
            weight * math.dist(x[row].tolist(), x[of_it].mean(axis=0, dtype=np.float64).tolist())
            for weight, x in zip(weights, (visual, audio), strict=True)
        )
        return sum(parts)

    expected = {}
    for row in range(rows):
        key = (round(distance(row), 6), int(ids[row]))
        component = int(components[row])
        expected[component] = min(expected.get(component, key), key)
    found, medoid_ids = medoids(ids, components, visual=visual, audio=audio, weights=weights)
    assert found.tolist() == sorted(expected)
    assert medoid_ids.tolist() == [expected[component][1] for component in found.tolist()]


def test_sums_do_not_depend_on_how_they_are_cut() -> None:
    rows = normalised(np.random.default_rng(0), 1000, 9)
    whole = descriptor_sum(rows)
    pieces = sum(descriptor_sum(piece) for piece in np.array_split(rows[::-1], 7))
    np.testing.assert_array_equal(whole, pieces)
    np.testing.assert_allclose(mean_of(whole, 1000), rows.mean(axis=0, dtype=np.float64), atol=1e-9)
