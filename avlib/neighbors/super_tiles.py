"""The exact search as tasks: pairs of groups of blocks, each pair of blocks in one of them.

A task folds before it emits, so n samples in S groups give n · (S + 1) partial lists, however many blocks there are.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class SuperTile:
    """All pairs of blocks (i in left, j in right), or (i ≤ j) of one group where left is right.

    scope: whose blocks they are; samples of different scopes are never compared.  pairs: of samples, the work.
    """

    scope: str
    left: tuple[int, ...]
    right: tuple[int, ...]
    pairs: int


def super_tiles(rows: Mapping[str, Mapping[int, int]], *, tasks: int, group_rows: int) -> list[SuperTile]:
    """Super-tiles that hold every pair of blocks of a scope exactly once, the largest first.

    rows: samples of each block, by scope and block.  tasks: about so many are wanted at least, of about the same work,
    as far as blocks allow.  group_rows: samples of a group at most, as far as blocks allow.
    """
    work = sum(sum(blocks.values()) ** 2 for blocks in rows.values()) / 2
    tiles: list[SuperTile] = []
    for scope, blocks in rows.items():
        samples = sum(blocks.values())
        groups_for_work = math.ceil(samples * math.sqrt(tasks / work)) if work else 1
        groups = min(max(groups_for_work, math.ceil(samples / group_rows)), len(blocks))
        tiles.extend(_of_scope(scope, blocks, groups))
    return sorted(tiles, key=lambda tile: (-tile.pairs, tile.scope, tile.left, tile.right))


def dealt(tiles: Sequence[SuperTile], *, tasks: int) -> list[list[SuperTile]]:
    """The tiles dealt to so many tasks at most, each about the same work; the largest come first."""
    hands: list[list[SuperTile]] = [[] for _ in range(min(tasks, len(tiles)))]
    loads = [(0, number) for number in range(len(hands))]
    for tile in sorted(tiles, key=lambda tile: -tile.pairs):
        load, number = heapq.heappop(loads)
        heapq.heappush(loads, (load + tile.pairs, number))
        hands[number].append(tile)
    return hands


def _of_scope(scope: str, blocks: Mapping[int, int], count: int) -> Iterable[SuperTile]:
    groups = _groups(blocks, count)
    sizes = [sum(blocks[block] for block in group) for group in groups]
    for i, left in enumerate(groups):
        yield SuperTile(scope, left, left, sizes[i] * (sizes[i] + 1) // 2)
        for j in range(i + 1, len(groups)):
            yield SuperTile(scope, left, groups[j], sizes[i] * sizes[j])


def _groups(blocks: Mapping[int, int], count: int) -> list[tuple[int, ...]]:
    """So many groups of about as many samples."""
    groups: list[list[int]] = [[] for _ in range(count)]
    loads = [(0, number) for number in range(count)]
    for block in sorted(blocks, key=lambda block: (-blocks[block], block)):
        load, number = heapq.heappop(loads)
        heapq.heappush(loads, (load + blocks[block], number))
        groups[number].append(block)
    return [tuple(sorted(group)) for group in groups]


def in_turns(sizes: Mapping[int, int], *, rows: int) -> Iterator[list[int]]:
    """Pieces of work by their numbers, as many at a time as have `rows` rows together; a larger one by itself.

    sizes: the rows of each. They come in ascending order, and each once.
    """
    turn: list[int] = []
    left = rows
    for number in sorted(sizes):
        if turn and sizes[number] > left:
            yield turn
            turn, left = [], rows
        turn.append(number)
        left -= sizes[number]
    if turn:
        yield turn
