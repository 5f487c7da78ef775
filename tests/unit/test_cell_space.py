"""The weights of cells: those with which a sample is compared with the fewest others for the recall asked for."""

from __future__ import annotations

import numpy as np
import pytest
from neighbor_blocks import make_block

from avlib.errors import ParameterError
from avlib.neighbors import Block, NeighborRule, choose_space, nearest, train_cells
from avlib.neighbors.recall import Probes, choose_reach, mutual, named_pairs, needed_reach

SHOTS, FRAMES, K = 120, 24, 10


def shots(*, steady: str, seed: int = 0) -> Block:
    """Samples of 12 kinds. In a shot a steady modality has one kind, another any; of two steady ones all change."""
    random = np.random.default_rng(seed)
    frame = np.arange(SHOTS * FRAMES)
    shot = frame // FRAMES

    def descriptors(name: str) -> np.ndarray:
        kinds = random.integers(0, 12, SHOTS)[shot] if steady in (name, "both") else random.integers(0, 12, len(frame))
        x = random.normal(size=(12, 24))[kinds] + 0.7 * random.normal(size=(SHOTS, 24))[shot]
        x += (0.7 if steady == "both" else 0.1) * random.normal(size=x.shape)
        return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)

    ids = (frame // (4 * FRAMES) << 24) + frame % (4 * FRAMES)
    return Block(ids, descriptors("visual"), descriptors("audio"), frame / 5)


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


@pytest.mark.parametrize(("steady", "expected"), [("visual", (1, 0.25)), ("audio", (0.25, 1)), ("both", (1, 1))])
def test_cells_go_by_what_tells_neighbors(steady: str, expected: tuple[float, float]) -> None:
    block = shots(steady=steady)
    assert chosen(block) == expected
    fewest = compared(block, expected)
    assert fewest == min(compared(block, weights) for weights in ((1, 1), (1, 0.25), (0.25, 1)))
    assert steady == "both" or fewest < 0.25 * compared(block, (1, 1))


def test_weights_of_the_search_are_scaled() -> None:
    block = shots(steady="visual")
    louder = Block(block.ids, block.visual, block.audio * np.float32(0.5), block.times_s)
    assert chosen(louder, weights=(3.0, 6.0)) == (3, 1.5)


def test_the_rule_counts() -> None:
    # Where the own video is left out, a steady picture says nothing.
    assert chosen(shots(steady="visual"), rule=NeighborRule("same_video")) != (1, 0.25)


def test_a_part_of_the_samples_in_any_order_will_do() -> None:
    block = shots(steady="visual")
    part = block.take(np.random.default_rng(1).permutation(len(block))[: len(block) // 3])
    assert chosen(part, samples=len(block)) == (1, 0.25)


def test_weights_are_left_where_nothing_can_be_told() -> None:
    block = shots(steady="visual")
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
