"""All pairs of two sides, tile by tile: matrix products, then `kernel.fold_both`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np

from avlib.neighbors import kernel
from avlib.neighbors.kernel import Lists, Search, Side

Arrays = TypeVar("Arrays", Side, Lists)

Fold = Callable[[Side, Side, Search, Lists, Lists | None], None]
"""Folds all pairs of two sides into the lists of both, as `fold_tiles` does."""

LEFT_ROWS, RIGHT_ROWS = 512, 960  # two float32 tiles of 2 MB stay in cache; powers of two would share its sets
NOT_WANTED = Lists(np.empty((0, 0), np.int64), np.empty((0, 0), np.float32))
"""For a side that nobody asks lists for."""


def fold_on(device: str) -> Fold:
    """What folds on the CPU ("cpu") or a GPU ("cuda:1"): the lists are the same, to the last bit. For one search."""
    if device == "cpu":
        return fold_tiles
    from avlib.neighbors.torch_tiles import TorchTiles  # not before: torch takes seconds

    return TorchTiles(device)


def fold_tiles(left: Side, right: Side, search: Search, left_lists: Lists, right_lists: Lists | None) -> None:
    """Fold all pairs into the lists of both sides; without right lists, into those of the left one.

    Where the right lists are the same object as the left ones: the pairs of a block with itself.
    """
    nothing = np.empty((0, 0), np.float32)
    for i, i_stop in spans(0, len(left.ids), LEFT_ROWS):
        left_rows, left_part = rows_of(left, i, i_stop), rows_of(left_lists, i, i_stop)
        # Of a block with itself: from the diagonal on.
        for j, j_stop in spans(i if right_lists is left_lists else 0, len(right.ids), RIGHT_ROWS):
            right_rows = rows_of(right, j, j_stop)
            right_part = rows_of(right_lists, j, j_stop) if right_lists else NOT_WANTED
            visual = left_rows.visual @ right_rows.visual.T if search.w_visual else nothing
            audio = left_rows.audio @ right_rows.audio.T if search.w_audio else nothing
            kernel.fold_both(left_rows, right_rows, (visual, audio), search, left_part, right_part)


def spans(first: int, rows: int, size: int) -> Iterator[tuple[int, int]]:
    """Start and stop of so many rows at a time."""
    return ((start, min(start + size, rows)) for start in range(first, rows, size))


def rows_of(arrays: Arrays, start: int, stop: int) -> Arrays:
    """Some rows of all arrays, without a copy."""
    return type(arrays)._make(array[start:stop] for array in arrays)
