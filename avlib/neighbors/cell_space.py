"""In which vectors to make cells: those of both modalities alike, or of mostly one.

Cells by L2 of [w_V · v, w_A · a] part many samples that are near by d = w_V · ‖v_i - v_j‖ + w_A · ‖a_i - a_j‖: where
pictures agree and sounds do not, as inside a shot with noise, the sum may be among the smallest and the root of the
squares is not. Cells by mostly the picture keep such samples together. Which modality it is, if any, hangs on the
samples, and on which of them may be neighbors; so it is tried, on a random part of them.
"""

from __future__ import annotations

import numpy as np

from avlib.arrays import Int64Array
from avlib.errors import ParameterError
from avlib.neighbors.block import Block, NeighborRule
from avlib.neighbors.cells import TRAINED, Cells, train_cells
from avlib.neighbors.exact import nearest
from avlib.neighbors.recall import Pairs, Probes, choose_reach, mutual, named_pairs, needed_reach

SPACES = ((1.0, 1.0), (1.0, 0.25), (0.25, 1.0))
"""What w_V and w_A are multiplied by. A quarter, not 0: where pictures stand still, sounds tell samples apart."""

MOST_PROBES = 64
"""Cells that a sample probes at most."""

_SAMPLED, _ENOUGH = 256, 100  # samples at whose mutual edges recall is taken; edges that tell
_COARSER = 4  # so many times fewer cells tell spaces apart as well, and are trained in a fraction of the time


def choose_space(
    sample: Block, *, samples: int, weights: tuple[float, float], k: int, rule: NeighborRule, recall: float, seed: int
) -> tuple[float, float]:
    """The weights to make cells with: of `SPACES`, those that need the fewest comparisons for a recall of mutual edges.

    sample: a random part of the samples, in any order.  samples: how many there are in all.
    weights, k, rule: of the search. In a part of the samples, as large a part of k counts: these neighbors are about
        as far away as the k in the whole; with a rule per video farther, as every video is there only in part.
    recall: 0 to 1, to be reached with `MOST_PROBES`.
    Returns the weights as they are where one is 0, and where there are too few samples or mutual edges to tell.
    Raises ParameterError for an empty sample and for one of more than all samples.
    """
    if not 0 < len(sample) <= samples:
        raise ParameterError("samples", samples, f"as many as in the sample, {len(sample)}, or more; and 1 at least")
    cells = len(sample) // TRAINED // _COARSER
    if not all(weights) or cells < 2:
        return weights
    sample = sample.take(np.argsort(sample.ids))
    rows = np.random.default_rng(seed).permutation(len(sample))
    edges = _mutual_edges(sample, rows[:_SAMPLED], weights, max(1, round(k * len(sample) / samples)), rule)
    if len(edges[0]) < _ENOUGH:
        return weights
    training = sample.take(rows[: cells * TRAINED])
    spaces = [(weights[0] * visual, weights[1] * audio) for visual, audio in SPACES]
    trained = [train_cells(training, weights=space, cells=cells, seed=seed) for space in spaces]
    costs = [_cost(cells, sample, rows[:_SAMPLED], edges, recall) for cells in trained]
    return min(zip(costs, spaces, strict=True), key=lambda found: found[0])[1]


def _mutual_edges(sample: Block, rows: Int64Array, weights: tuple[float, float], k: int, rule: NeighborRule) -> Pairs:
    """Both ends, as rows, of the exact ones at these rows of a sample whose ids ascend."""
    pairs = named_pairs(nearest(sample.take(rows), [sample], weights=weights, k=k, rule=rule))
    named = np.searchsorted(sample.ids, np.unique(pairs[1]))
    one, other = mutual(pairs, nearest(sample.take(named), [sample], weights=weights, k=k, rule=rule))
    return np.searchsorted(sample.ids, one), np.searchsorted(sample.ids, other)


def _cost(cells: Cells, sample: Block, rows: Int64Array, edges: Pairs, recall: float) -> tuple[float, float]:
    """By how much the recall is missed, and with how many of the sample one of these rows is compared, on average."""
    members = np.bincount(cells.probes(sample, 1)[:, 0], minlength=len(cells))
    looked_at, places = np.unique(np.concatenate([*edges, rows]), return_inverse=True)
    near = cells.probes(sample.take(looked_at), MOST_PROBES // _COARSER)
    probes = Probes(near, cells.reaches(sample.take(looked_at), near))
    one, other, at_rows = (probes.take(part) for part in np.split(places, [len(edges[0]), 2 * len(edges[0])]))
    choice = choose_reach(needed_reach(one, other), edges[0], target=recall)
    compared = np.where(at_rows.reaches <= choice.reach, members[at_rows.cells], 0).sum(axis=1)
    return max(0.0, recall - choice.recall), float(compared.mean())
