"""The paper's user study (Solèr et al. 2016, Fig. 5): one query picture, and the sound that each arm gives it.

The query's own sound is the truth. A strategy suggests the sound of the nearest picture of what it keeps of the
corrupted training part, `unfiltered` that of the nearest of all. A replaced sound is the sound of the sample that lent
it. Each fold is the test part once, so queries are of all videos, and none has a say in what is suggested for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from avlib.arrays import Int64Array
from avlib.errors import ParameterError
from avlib.evaluation.material import LabelledSamples, Material
from avlib.evaluation.protocol import QUERIES, Point, Protocol, choose, keep, parts, score
from avlib.evaluation.retrieval import nearest_rows

TRUTH = "truth"


@dataclass(frozen=True)
class Pairing:
    """query_id: the sample whose picture is shown.  sound_id: the one whose sound the arm gives it."""

    arm: str
    query_id: int
    sound_id: int


def draw_queries(samples: LabelledSamples, *, each: int, seed: int) -> Int64Array:
    """The ids of `each` random samples of every category, of as many videos as there are, whatever the order.

    Raises ParameterError where a category has fewer.
    """
    ordered = samples.take(np.argsort(samples.ids))
    ordered = ordered.take(np.random.default_rng([seed, QUERIES]).permutation(len(ordered)))
    drawn = []
    for category in np.unique(ordered.truth.picture):
        of_category = ordered.take(ordered.truth.picture == category)
        if not 1 <= each <= len(of_category):
            raise ParameterError("each", each, f"1 to the number of clean samples of {category}, {len(of_category)}")
        drawn.append(of_category.ids[np.argsort(_turns(of_category.videos), kind="stable")[:each]])
    return np.concatenate(drawn)


def pairings(
    material: Material, protocol: Protocol, *, point: Point, queries: Int64Array, truth: bool
) -> Iterator[Pairing]:
    """What the truth, where it is asked for, and each strategy give the queries in the test part of a point.

    queries: shape (q,), ids of clean samples. A strategy that keeps nothing suggests nothing.
    Raises as `parts`, `choose` and `keep` do.
    """
    training, test = parts(material, protocol, point)
    test = test.take(np.isin(test.ids, queries))
    if truth:
        yield from (Pairing(TRUTH, query, query) for query in test.ids.tolist())
    for strategy in protocol.strategies:
        collection = training
        if strategy.steps:
            chosen = choose(material, protocol, strategy=strategy, point=point)
            steps = strategy.with_parameters(chosen)
            collection = training.take(keep(training, steps, protocol.rule, score(training, strategy)))
        if len(collection) and len(test):
            nearest = nearest_rows(test.visual, collection.visual, m=1)[:, 0]
            sounds = collection.sound_ids[nearest]
            yield from (Pairing(strategy.name, *pair) for pair in zip(test.ids.tolist(), sounds.tolist(), strict=True))


def _turns(videos: Int64Array) -> Int64Array:
    """For each sample how many of its video come before it. Shape (n,)."""
    by_video = np.argsort(videos, kind="stable")
    _, first, number = np.unique(videos[by_video], return_index=True, return_inverse=True)
    turns = np.empty(len(videos), np.int64)
    turns[by_video] = np.arange(len(videos)) - first[number]
    return turns
