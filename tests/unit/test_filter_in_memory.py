"""filter_in_memory against a plain implementation with networkx, straight from the paper's words."""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avlib.errors import ParameterError
from avlib.filtering import SampleArrays, Step, cap_k, filter_in_memory
from avlib.neighbors import NeighborRule

RULES = [
    NeighborRule(),
    NeighborRule("same_video"),
    NeighborRule("window", 0.5),
    NeighborRule("same_video", per_video=1),
    NeighborRule("none", per_video=2),
]


def step(w_v: float, w_a: float, k: int, *, k_share: float = 1.0, min_size: int = 2) -> Step:
    return Step(w_V=w_v, w_A=w_a, k=k, k_share=k_share, min_size=min_size)


STRATEGIES = {
    "joint": [step(1, 1, 4, min_size=3)],
    "V+A": [step(1, 0, 6, min_size=4), step(0, 1, 4, min_size=3)],
    "A+V": [step(0, 1, 6, min_size=4), step(1, 0, 4, k_share=0.3, min_size=2)],
    "three": [
        step(1, 1, 8, min_size=1),
        step(1, 0, 3, min_size=2),
        step(0.2, 1, 30, k_share=0.2, min_size=2),
    ],
}


def make_samples(rows: int, *, seed: int = 0, videos: int = 6, clusters: int = 5) -> SampleArrays:
    """Pictures and sounds in clusters that do not quite agree, in random order, with duplicates and zeros."""
    random = np.random.default_rng(seed)
    video = np.sort(random.integers(0, videos, rows))

    def descriptors(dimension: int) -> np.ndarray:
        centers = random.normal(size=(clusters, dimension))
        cluster = (video + random.integers(0, 2, rows)) % clusters
        x = centers[cluster] + 0.3 * random.normal(size=(rows, dimension))
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        x[random.integers(0, rows, rows // 6)] = x[random.integers(0, rows, rows // 6)]
        x[random.integers(0, rows, rows // 20)] = 0
        return x.astype(np.float32)

    ids = (video.astype(np.int64) << 24) + np.arange(rows)
    samples = SampleArrays(ids, descriptors(8), descriptors(5), np.arange(rows) / 5)
    return samples.take(random.permutation(rows))


def plain_filter(samples: SampleArrays, steps: list[Step], rule: NeighborRule) -> list[tuple[dict[int, int], set]]:
    """Per step: the component of every sample kept, and all edges."""
    rows = {int(sample): row for row, sample in enumerate(samples.ids)}

    def distance(a: int, b: int, s: Step) -> float:
        i, j = rows[a], rows[b]
        visual = math.dist(samples.visual[i].tolist(), samples.visual[j].tolist())
        audio = math.dist(samples.audio[i].tolist(), samples.audio[j].tolist())
        return round(s.w_V * visual + s.w_A * audio, 6)

    def allowed(a: int, b: int) -> bool:
        if a == b or a >> 24 != b >> 24:
            return a != b
        if rule.exclude == "window":
            return abs(rows_time(a) - rows_time(b)) > rule.exclude_s + 1e-9
        return rule.exclude == "none"

    def rows_time(sample: int) -> float:
        return float(samples.times_s[rows[sample]])

    def nearest(a: int, scope: list[int], k: int, s: Step) -> list[int]:
        found: list[int] = []
        for b in sorted((b for b in scope if allowed(a, b)), key=lambda b: (distance(a, b, s), b)):
            same = sum(other >> 24 == b >> 24 for other in found)
            if not (rule.per_video and a >> 24 != b >> 24 and same >= rule.per_video):
                found.append(b)
        return found[:k]

    scopes = [sorted(rows)]
    results = []
    for number, s in enumerate(steps):
        graph = nx.DiGraph()
        for scope in scopes:
            k = s.k if number == 0 else min(s.k, max(1, math.ceil(round(s.k_share * (len(scope) - 1), 9))))
            graph.add_nodes_from(scope)
            graph.add_edges_from((a, b) for a in scope for b in nearest(a, scope, k, s))
        mutual = graph.to_undirected(reciprocal=True)
        scopes = [sorted(c) for c in nx.connected_components(mutual) if len(c) >= s.min_size]
        kept = {sample: scope[0] for scope in scopes for sample in scope}
        results.append((kept, {tuple(sorted(edge)) for edge in mutual.edges}))
    return results


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(9, 60),
    strategy=st.sampled_from(sorted(STRATEGIES)),
    rule=st.sampled_from(RULES),
    seed=st.integers(0, 2**16),
)
def test_equals_the_plain_filter(rows: int, strategy: str, rule: NeighborRule, seed: int) -> None:
    samples, steps = make_samples(rows, seed=seed), STRATEGIES[strategy]
    results = filter_in_memory(samples, steps=steps, rule=rule)
    for result, (kept, edges) in zip(results, plain_filter(samples, steps, rule), strict=True):
        found = dict(zip(result.sample_ids.tolist(), result.component_ids.tolist(), strict=True))
        assert found == kept
        assert set(zip(result.edges.src.tolist(), result.edges.dst.tolist(), strict=True)) == edges
        assert (np.diff(result.sample_ids) > 0).all()


def test_order_of_samples_does_not_matter() -> None:
    samples = make_samples(400)
    expected = filter_in_memory(samples, steps=STRATEGIES["three"], rule=NeighborRule())
    shuffled = samples.take(np.random.default_rng(9).permutation(400))
    for left, right in zip(
        filter_in_memory(shuffled, steps=STRATEGIES["three"], rule=NeighborRule()), expected, strict=True
    ):
        np.testing.assert_array_equal(left.sample_ids, right.sample_ids)
        np.testing.assert_array_equal(left.component_ids, right.component_ids)
        np.testing.assert_array_equal(left.lists.neighbor_ids, right.lists.neighbor_ids)
        np.testing.assert_array_equal(left.edges.distance, right.edges.distance)


def test_steps_nest_and_small_components_go() -> None:
    results = filter_in_memory(make_samples(300, seed=4), steps=STRATEGIES["V+A"], rule=NeighborRule())
    before = dict(zip(results[0].sample_ids.tolist(), results[0].component_ids.tolist(), strict=True))
    for component in np.unique(results[1].component_ids):
        members = results[1].sample_ids[results[1].component_ids == component]
        assert len({before[sample] for sample in members.tolist()}) == 1
        assert len(members) >= 3 and members[0] == component
    assert 0 < len(results[1].sample_ids) < len(results[0].sample_ids) <= 300


def test_nothing_in_nothing_out_and_nothing_left() -> None:
    empty = make_samples(9).take(np.array([], np.int64))
    for result in filter_in_memory(empty, steps=STRATEGIES["V+A"], rule=NeighborRule("same_video")):
        assert len(result.sample_ids) == len(result.edges) == len(result.lists) == 0
    gone = filter_in_memory(make_samples(50), steps=[step(1, 1, 3, min_size=51), step(1, 0, 3)], rule=NeighborRule())
    assert [len(result.sample_ids) for result in gone] == [0, 0]


def test_components_of_one_sample_survive_a_minimum_of_one() -> None:
    samples = make_samples(30)
    results = filter_in_memory(
        samples, steps=[step(1, 1, 1, min_size=1), step(0, 1, 5, min_size=1)], rule=NeighborRule()
    )
    assert (np.bincount(np.unique(results[0].component_ids, return_inverse=True)[1]) == 1).any()
    np.testing.assert_array_equal(results[1].sample_ids, np.sort(samples.ids))


def test_cap_k() -> None:
    assert [cap_k(20, size, 1.0) for size in (1, 2, 5, 21, 500)] == [1, 1, 4, 20, 20]
    assert [cap_k(20, size, 0.1) for size in (1, 2, 12, 31, 500)] == [1, 1, 2, 3, 20]


@pytest.mark.parametrize(
    ("steps", "rule", "videos", "message"),
    [
        ([], NeighborRule(), 6, "steps = "),
        ([step(1, 1, 40)], NeighborRule(), 6, "k = 40: expected k below the number of samples, 40"),
        ([step(1, 1, 3)], NeighborRule("same_video"), 1, "more than one video"),
        ([step(1, 1, 3)], NeighborRule(per_video=1), 1, "one video only"),
    ],
)
def test_refuses(steps: list[Step], rule: NeighborRule, videos: int, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        filter_in_memory(make_samples(40, videos=videos), steps=steps, rule=rule)


def test_k_is_capped_in_later_steps_only() -> None:
    steps = [step(1, 0, 3), step(0, 1, 1000)]
    assert len(filter_in_memory(make_samples(40), steps=steps, rule=NeighborRule())) == 2
