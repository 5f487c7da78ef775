"""Cells on shared storage, for the tasks that look up which of them samples are near."""

from __future__ import annotations

import io
from contextlib import suppress
from dataclasses import dataclass
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa

from avlib.arrays import Int32Array
from avlib.neighbors import Cells
from avlib.storage import read_whole, write_whole

_FILE = "cells.npz"


@dataclass(frozen=True, eq=False)
class DealtCells:
    """Cells, and the group of each: shape (c,), int32. A group's members are a block."""

    cells: Cells
    groups: Int32Array


def write_cells(folder: str, dealt: DealtCells) -> None:
    """Write them, whole or not at all."""
    cells, sink = dealt.cells, io.BytesIO()
    np.savez(
        sink,
        weights=np.array(cells.weights),
        centroids=cells.centroids,
        hubs=cells.hubs,
        near_hubs=cells.near_hubs,
        groups=dealt.groups,
    )
    write_whole(f"{folder}/{_FILE}", sink.getvalue())


def read_cells(folder: str) -> DealtCells:
    """What write_cells wrote there."""
    with np.load(pa.BufferReader(read_whole(f"{folder}/{_FILE}")), allow_pickle=False) as stored:
        w_visual, w_audio = stored["weights"].tolist()
        cells = Cells((w_visual, w_audio), stored["centroids"], stored["hubs"], stored["near_hubs"])
        return DealtCells(cells, stored["groups"])


def stored_cells(folder: str) -> DealtCells | None:
    """What a run before has left there. None where there is nothing, or it is not whole: the machine lost power."""
    with suppress(FileNotFoundError, EOFError, BadZipFile, KeyError, ValueError):
        return read_cells(folder)
    return None
