"""The whole filter on arrays in memory (Solèr et al. 2016, §3.2): what the Spark path is tested against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avlib.arrays import BoolArray, Int64Array
from avlib.errors import ParameterError
from avlib.filtering.selection import kept
from avlib.filtering.strategy import Step, capped, scoped_k
from avlib.graph import MutualEdges, connected_components, mutual_edges
from avlib.identity import video_ids
from avlib.neighbors import Block, NeighborLists, NeighborRule, nearest, nearest_within

SampleArrays = Block
"""All samples of a filter run: in memory they are one block."""


@dataclass(frozen=True, eq=False)
class StepResult:
    """What one step found.

    sample_ids: shape (n,), int64, ascending: the samples the step kept.
    component_ids: shape (n,), int64: the smallest sample id in each one's component.
    lists, edges: of all samples the step began with, also of those in components it dropped.
    """

    sample_ids: Int64Array
    component_ids: Int64Array
    lists: NeighborLists
    edges: MutualEdges


def filter_in_memory(
    samples: SampleArrays, *, steps: Sequence[Step], rule: NeighborRule, among: BoolArray | None = None
) -> list[StepResult]:
    """Run a strategy. The samples of the last result are the clean ones.

    Step t looks for neighbors inside each component of step t - 1; components that are not
    large enough (`kept`) are dropped after every step. The order of the samples does not matter.
    among: shape (n,), the samples to begin with, where a score has chosen them; the first k is capped by their number,
    which nobody knew before. None: all.
    Returns one result per step. Raises ParameterError for no steps, for a first k not below the number of
    samples, and for a rule that asks for other videos when there is only one.

    Five samples, three that look and sound alike and two that only look so; in pictures alone all are alike:

    >>> from avlib.filtering import Step
    >>> looks = np.array([[1, 0], [1, 0.1], [1, 0.2], [1, 0.3], [1, 0.4]], np.float32)
    >>> sounds = np.array([[0, 1], [0, 0.9], [0, 0.8], [3, 0], [9, 0]], np.float32)
    >>> samples = SampleArrays(np.arange(5), looks, sounds, np.zeros(5))
    >>> joint = Step(w_V=0.5, w_A=0.5, k=2, min_size=3, min_videos=1, min_share=0.0)
    >>> filter_in_memory(samples, steps=[joint], rule=NeighborRule("none", 0.0, 0))[-1].sample_ids.tolist()
    [0, 1, 2]
    """
    if not steps:
        raise ParameterError("steps", steps, "one step at least")
    if among is not None:
        samples = samples.take(np.flatnonzero(among))
        steps = [capped(steps[0], len(samples)), *steps[1:]]
    else:
        rule.check(k=steps[0].k, samples=len(samples), videos=len(np.unique(video_ids(samples.ids))))

    results: list[StepResult] = []
    left = samples.take(np.argsort(samples.ids))
    components: Int64Array | None = None
    for step in steps:
        lists = _neighbors(left, components, step, rule)
        edges = mutual_edges(lists)
        found = connected_components(left.ids, edges)
        parents = np.zeros(len(left), np.int64) if components is None else components
        keep = kept(left.ids, found, parents=parents, step=step)
        left, components = left.take(np.flatnonzero(keep)), found[keep]
        results.append(StepResult(left.ids, components, lists, edges))
    return results


def _neighbors(left: Block, components: Int64Array | None, step: Step, rule: NeighborRule) -> NeighborLists:
    weights = (step.w_V, step.w_A)
    if components is None:
        return nearest(left, [left], weights=weights, k=step.k, rule=rule)
    return nearest_within(left, components, weights=weights, k=scoped_k(step, components), rule=rule)
