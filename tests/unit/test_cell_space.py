"""The weights of cells: those with which a sample is compared with the fewest others for the recall asked for."""

from __future__ import annotations

import numpy as np
import pytest
from neighbor_blocks import make_block, make_shots

from avlib.errors import ParameterError
from avlib.neighbors import Block, NeighborRule, choose_space, nearest, train_cells
from avlib.neighbors.recall import Probes, choose_reach, mutual, named_pairs, needed_reach

K = 10


def chosen(sample: Block, **other: object) -> tuple[float, float]:
    given = {"samples": len(sample), "weights": (1.0, 1.0), "k": K, "rule": NeighborRule(), "recall": 0.97, "seed": 0}
    return choose_space(sample, **{**given, **other})  # type: ignore[arg-type]


def compared(block: Block, weights: tuple[float, float]) -> float:
    """With how many samples one is compared, on average, for 0.97 of all mutual edges, in cells by these weights."""
    cells = train_cells(block, weights=weights, cells=len(block) // 32, seed=0)
    lists = nearest(block, [block], weights=(1, 1), k=K, rule=NeighborRule())
    edges = [np.searchsorted(block.ids, end) for end in mutual(named_pairs(lists), lists)]
    near = cells.probes(block, len(cells))
    probes = Probes(near, cells.reaches(block, near))
    choice = choose_reach(needed_reach(*(probes.take(end) for end in edges)), edges[0], target=0.97)
    members = np.bincount(near[:, 0], minlength=len(cells))
    return float(np.where(probes.reaches <= choice.reach, members[near], 0).sum(axis=1).mean())


@pytest.mark.parametrize(("steady", "expected"), [("visual", (1, 0.25)), ("audio", (0.25, 1))])
def test_cells_go_by_the_modality_that_tells_neighbors(steady: str, expected: tuple[float, float]) -> None:
    block = make_shots(steady=steady)
    assert chosen(block) == expected
    assert compared(block, expected) < 0.25 * compared(block, (1, 1))


@pytest.mark.parametrize("steady", ["visual", "audio", "both"])
def test_hardly_more_is_compared_than_by_the_best(steady: str) -> None:
    block = make_shots(steady=steady)
    best = min(compared(block, weights) for weights in ((1, 1), (1, 0.25), (0.25, 1)))
    assert compared(block, chosen(block)) <= 1.25 * best


def test_weights_of_the_search_are_scaled() -> None:
    block = make_shots(steady="visual")
    louder = Block(block.ids, block.visual, block.audio * np.float32(0.5), block.times_s)
    assert chosen(louder, weights=(3.0, 6.0)) == (3, 1.5)


def test_the_rule_counts() -> None:
    # Where the own video is left out, a steady picture says nothing.
    assert chosen(make_shots(steady="visual"), rule=NeighborRule("same_video")) != (1, 0.25)


def test_a_part_of_the_samples_in_any_order_will_do() -> None:
    block = make_shots(steady="visual")
    part = block.take(np.random.default_rng(1).permutation(len(block))[: len(block) // 3])
    assert chosen(part, samples=len(block)) == (1, 0.25)


def test_weights_are_left_where_nothing_can_be_told() -> None:
    block = make_shots(steady="visual")
    assert chosen(block, weights=(0.0, 2.0)) == (0, 2)
    assert chosen(block, weights=(2.0, 0.0)) == (2, 0)
    assert chosen(block.take(np.arange(200))) == (1, 1)
    one_video = Block(np.arange(len(block)), block.visual, block.audio, block.times_s)
    assert chosen(one_video, rule=NeighborRule("same_video")) == (1, 1)


def test_refuses_samples_that_are_not_a_part() -> None:
    block = make_block(50)
    for sample, samples in ((block, 49), (block.take(np.empty(0, np.int64)), 9)):
        with pytest.raises(ParameterError, match="samples"):
            chosen(sample, samples=samples)
