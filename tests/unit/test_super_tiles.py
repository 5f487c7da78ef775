"""Super-tiles: every pair of blocks of a scope in exactly one of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from avlib.neighbors import SuperTile, dealt, in_turns, super_tiles

SCOPES = st.dictionaries(
    st.sampled_from(["a", "b", "c"]),
    st.dictionaries(st.integers(0, 40), st.integers(1, 500), min_size=1, max_size=12),
    max_size=3,
)


def block_pairs(tiles: list[SuperTile]) -> Iterator[tuple[str, int, int]]:
    for tile in tiles:
        for number, i in enumerate(tile.left):
            for j in tile.left[number:] if tile.left == tile.right else tile.right:
                yield tile.scope, min(i, j), max(i, j)


@given(SCOPES, st.integers(1, 60), st.integers(1, 2000))
def test_every_pair_of_blocks_once(rows: dict[str, dict[int, int]], tasks: int, group_rows: int) -> None:
    tiles = super_tiles(rows, tasks=tasks, group_rows=group_rows)
    wanted = {(scope, i, j) for scope, blocks in rows.items() for i in blocks for j in blocks if i <= j}
    assert Counter(block_pairs(tiles)) == dict.fromkeys(wanted, 1)
    pairs = {scope: sum(blocks.values()) * (sum(blocks.values()) + 1) // 2 for scope, blocks in rows.items()}
    assert {scope: sum(t.pairs for t in tiles if t.scope == scope) for scope in rows} == pairs
    assert [tile.pairs for tile in tiles] == sorted((tile.pairs for tile in tiles), reverse=True)


def test_one_scope_gives_about_the_tasks_asked_for_of_about_the_same_work() -> None:
    tiles = super_tiles({"all": dict.fromkeys(range(50), 100)}, tasks=12, group_rows=10**6)
    assert 12 <= len(tiles) <= 24
    hands = dealt(tiles, tasks=4)
    loads = [sum(tile.pairs for tile in hand) for hand in hands]
    assert max(loads) < 1.15 * sum(loads) / 4


def test_groups_are_no_larger_than_memory_allows() -> None:
    blocks = dict.fromkeys(range(64), 100)
    tiles = super_tiles({"all": blocks}, tasks=1, group_rows=800)
    assert max(sum(blocks[block] for block in tile.left) for tile in tiles) == 800


def test_many_small_scopes_are_one_tile_each() -> None:
    rows = {f"component-{number}": {0: 50, 1: 40} for number in range(500)}
    tiles = super_tiles(rows, tasks=12, group_rows=10**6)
    assert len(tiles) == 500
    hands = dealt(tiles, tasks=32)
    assert len(hands) == 32
    assert sorted(tile.scope for hand in hands for tile in hand) == sorted(rows)


@given(SCOPES, st.integers(1, 20))
def test_dealing_loses_nothing(rows: dict[str, dict[int, int]], tasks: int) -> None:
    tiles = super_tiles(rows, tasks=10, group_rows=500)
    hands = dealt(tiles, tasks=tasks)
    assert len(hands) == min(tasks, len(tiles))
    assert Counter(tile for hand in hands for tile in hand) == Counter(tiles)


@given(st.dictionaries(st.integers(0, 99), st.integers(1, 50), max_size=30), st.integers(1, 120))
def test_turns_are_as_large_as_they_may_be(sizes: dict[int, int], rows: int) -> None:
    turns = list(in_turns(sizes, rows=rows))
    assert [number for turn in turns for number in turn] == sorted(sizes)
    totals = [sum(sizes[number] for number in turn) for turn in turns]
    assert all(total <= rows or len(turn) == 1 for turn, total in zip(turns, totals, strict=True))
    for total, following in zip(totals, turns[1:], strict=False):
        assert total + sizes[following[0]] > rows
