"""Cells come back as they were written; what is not whole is as if it were not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from neighbor_blocks import make_block

from avlib.cell_files import DealtCells, read_cells, stored_cells, write_cells
from avlib.neighbors import deal_cells, train_cells


def test_cells_come_back(tmp_path: Path) -> None:
    cells = train_cells(make_block(200), weights=(1, 0.25), cells=9, seed=0)
    groups = deal_cells(cells, members=np.ones(len(cells), np.int64), groups=3)
    write_cells(str(tmp_path), DealtCells(cells, groups))
    for found in (read_cells(str(tmp_path)), stored_cells(str(tmp_path))):
        assert found is not None and found.cells.weights == (1, 0.25)
        np.testing.assert_array_equal(found.groups, groups)
        for name in ("centroids", "hubs", "near_hubs"):
            np.testing.assert_array_equal(getattr(found.cells, name), getattr(cells, name))


def test_cells_that_are_not_whole(tmp_path: Path) -> None:
    assert stored_cells(str(tmp_path)) is None
    cells = train_cells(make_block(200), weights=(1, 1), cells=9, seed=0)
    write_cells(str(tmp_path), DealtCells(cells, np.zeros(len(cells), np.int32)))
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for length in (0, 1, 30, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        assert stored_cells(str(tmp_path)) is None
