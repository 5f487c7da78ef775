"""What a kNN step costs, calculated: all pairs of blocks, or k-means cells. Nothing here is measured, nothing is run.

n samples of d numbers (of the modalities that the step weighs), k neighbors each. Both ways look at a pair for both
its samples, and give partial lists that are merged at the end.

Exact.  Blocks of b rows, in S groups of blocks; a task owns two groups I ≤ J, so there are S(S + 1)/2.
    FLOPs     d · (n² + Σ b²): 2 for a multiply-add; every two blocks i ≤ j once, one with itself as a whole
    folds     n²: a fold is a look at a pair from one of its ends
    reads     S · n rows: a task reads both its groups, on the diagonal the one
    lists     S · n: a task gives lists of all rows it reads. Those of the first task of a slot are filled from n / S
              rows each; the others hear how near neighbors have been found, as if one list were filled from all n

Cells.  C = n / members cells; a sample is compared with the members of the p cells nearest to it, of G groups of cells.
    training  T = min(n, rows_a_cell · C) rows; rounds · T · q · 2d FLOPs, q the centroids that a row is compared with,
              and three times a sixteenth of that, to tell which weights suit cells
    recall    the lists of recall_rows samples and of recall_neighbors of each, exact: as many as these · n · 2d FLOPs
    finding   n · q' · 2d FLOPs twice: the own cell, then those to be probed
    search    n · p · (n / C) · 2d FLOPs, and twice as many folds as pairs
    written   2n rows: through a shuffle into groups, and as blocks; read there, and as blocks five times
    moved     n · p' rows: a sample goes to the p' ≤ min(p, G) - 1 other groups that it probes
    lists     n · (1 + p'), filled from 2 n · p / C / (1 + p') rows each
Either way a list of k that is filled from m rows in random order takes in k · (1 + ln(m / k)) of them, and each of
these costs a distance from the difference of two rows: d numbers.
q = q' = C; but beyond flat_training cells, which then lie around √C hubs, q = √C, and beyond flat_cells
q' = √C + flat_cells. A task holds four copies of its group's rows and of their lists.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from avlib.errors import ConfigError, ParameterError
from avlib.planning.rates import NOMINAL, Rates

Method = Literal["exact", "cells"]

TILE_BYTES = 2 * 4 * 512 * 1024
"""Two float32 tiles of inner products: what the kernel needs besides rows and lists."""

TRAINED_AT_LEAST = 8
"""Samples that cells are trained on, for each cell, where there is little memory."""

TASKS_A_SLOT = 6
"""So that a long task does not leave the other slots idle for long."""

_MOST_READERS = 8  # on a disk of the machine, in all, 1.4 ns a byte; through a shuffle a byte takes 18, read once
_KEY_BYTES = 256  # of a sample: id, attempt, file, time, number of its block, and where it goes
_COPIES = 4  # of the rows that a task packs, or has of a group of cells
_TRAININGS = 1 + 3 / 16  # of the cells, and of as many as tell weights apart
_WORTH = 0.5  # cells give up some recall, so they must save at least this much of the work
_SMALL_S = 10.0  # of work: nobody asks how it was counted


@dataclass(frozen=True)
class Layout:
    """Where a step runs: rows of a block, tasks that run at a time, memory of one task beyond the bare process."""

    block_rows: int
    slots: int
    task_bytes: float = math.inf

    def __post_init__(self) -> None:
        for name in ("block_rows", "slots", "task_bytes"):
            if not getattr(self, name) > 0:
                raise ParameterError(name, getattr(self, name), "more than 0")


@dataclass(frozen=True)
class CellShape:
    """How cells are made and probed, as avlib.neighbors has it.  nprobe: guessed; the job finds how far to probe."""

    members: int = 250
    nprobe: int = 16
    rows_a_cell: int = 32
    rounds: int = 8
    flat_training: int = 2048
    flat_cells: int = 8192
    recall_rows: int = 432
    recall_neighbors: int = 2


@dataclass(frozen=True)
class Cost:
    """What a step takes in all; task_bytes: its largest task, beyond the bare process.

    flops: of matrix products, 2 for a multiply-add.  folds: looks at a pair from one of its ends.  differences: of
    single numbers, for the distances of what enters a list.  written_bytes, read_bytes: blocks.  moved_bytes: rows
    that cross between groups of cells.  lists: partial ones, list_bytes in all.  shared_bytes: what the tasks of a
    machine map together.
    """

    method: Method
    flops: float
    folds: float
    differences: float
    written_bytes: float
    read_bytes: float
    moved_bytes: float
    lists: float
    list_bytes: float
    task_bytes: float
    shared_bytes: float
    tasks: int
    groups: int

    def computing_s(self, rates: Rates) -> float:
        """Seconds that one core would need for products, folds and distances."""
        products_s, folds_s = self.flops / rates.gemm_flops_per_s, self.folds / rates.folds_per_s
        return products_s + folds_s + self.differences / rates.differences_per_s

    def moving_s(self, rates: Rates) -> float:
        """Seconds that one machine would need to read and write blocks and partial lists."""
        read = self.read_bytes + self.moved_bytes + self.list_bytes
        return read / rates.read_bytes_per_s + (self.written_bytes + self.list_bytes) / rates.write_bytes_per_s


class Choice(NamedTuple):
    """A method, and why."""

    method: Method
    reason: str


def row_bytes(dims: int) -> int:
    """A sample in a block: id, time, its numbers."""
    return 8 + 8 + 4 * dims


def list_bytes(k: int) -> int:
    """A list of k neighbors: the sample's id, and id and distance of each."""
    return 8 + k * (8 + 4)


def fitting_rows(dims: int, k: int, *, task_bytes: float) -> int:
    """Rows that a task can hold as it packs a block, or compares a group of cells; 0 where none fits.

    Four copies: as they came, joined, in order, written; as many of their lists. So the largest knn.block_rows.
    """
    return max(0, int((task_bytes - TILE_BYTES) / _held_bytes(dims, k)))


def packing_readers(blocks: int, dims: int, layout: Layout) -> int:
    """How many tasks pack so many blocks, if each reads all files for the samples of its own; 0: by a shuffle.

    A task holds a copy of its samples, their keys, and of a block at a time another three. Where that takes more tasks,
    or there are more slots, reading everything so often takes longer than a shuffle of what is read once.
    """
    of_block = layout.block_rows * packed_bytes(dims)
    fitting = int((layout.task_bytes - TILE_BYTES - 3 * of_block) / of_block)
    readers = max(layout.slots, math.ceil(blocks / fitting)) if fitting > 0 else 0
    return readers if readers <= _MOST_READERS else 0


def packed_bytes(dims: int) -> int:
    """A sample in a task that packs it: as in a block, its component, and the key that it is read by."""
    return row_bytes(dims) + 8 + _KEY_BYTES


def cell_groups(n: int, dims: int, k: int, layout: Layout, *, members: int) -> tuple[int, int]:
    """How many cells there are, and groups of them.  members: knn.cell_rows, of a cell where memory allows.

    Training has to hold a few rows for each cell, so many cells are made of more rows; a group is as large as fits
    the memory and keeps the slots busy, and a cell at least. Raises ConfigError where that does not fit.
    """
    if layout.task_bytes == math.inf:
        cells = math.ceil(n / members)
        return cells, min(cells, TASKS_A_SLOT * layout.slots)
    fitting = fitting_rows(dims, k, task_bytes=layout.task_bytes)
    cells = max(1, min(math.ceil(n / members), fitting // TRAINED_AT_LEAST))
    groups = min(cells, max(math.ceil(n / max(fitting, 1)), TASKS_A_SLOT * layout.slots))
    if math.ceil(n / groups) > fitting:
        needed = math.ceil(math.sqrt(2 * TRAINED_AT_LEAST * n)) * _held_bytes(dims, k) + TILE_BYTES
        raise ConfigError(
            f"{n:,} samples of {dims} numbers in cells: a task would hold {math.ceil(n / groups):,} of them, and "
            f"{fitting:,} fit its {layout.task_bytes / (1 << 20):,.0f} MB: give tasks as much memory as "
            f"--set knn.memory_mb={math.ceil(needed / (1 << 20))} lets them take"
        )
    return cells, groups


def _held_bytes(dims: int, k: int) -> int:
    return _COPIES * (row_bytes(dims) + list_bytes(k))


def entries(k: int, rows: float) -> float:
    """How many rows enter a list of k that is filled from so many in random order, to be driven out again or not."""
    return k * (1 + math.log(rows / k)) if rows > k else rows


def exact_cost(n: int, dims: int, k: int, layout: Layout) -> Cost:
    """All pairs. Groups are as few as fit the memory and keep the slots busy, and a block at least.

    A task holds a group, one block of the other at a time, and the lists of both. Raises ParameterError for n, dims
    or k below 1.
    """
    _check(n=n, dims=dims, k=k)
    rows, of_list, block = row_bytes(dims), list_bytes(k), min(layout.block_rows, n)
    blocks = math.ceil(n / block)
    room = layout.task_bytes - TILE_BYTES - block * rows
    fitting = blocks if room == math.inf else max(1, int(room / (block * (rows + 2 * of_list))))
    busy = math.ceil((math.sqrt(1 + 8 * TASKS_A_SLOT * layout.slots) - 1) / 2)  # S(S + 1)/2 tasks
    groups = min(blocks, max(math.ceil(blocks / fitting), busy))
    group = min(n, math.ceil(blocks / groups) * block)
    other = block * rows + group * of_list if groups > 1 else 0
    squares = n // block * block**2 + (n % block) ** 2
    tasks = groups * (groups + 1) // 2
    untold = min(1.0, layout.slots / tasks)  # tasks that begin before another has told how near neighbors are
    taken = untold * groups * entries(k, n / groups) + (1 - untold) * entries(k, n)
    return Cost(
        method="exact",
        flops=dims * (n**2 + squares),
        folds=n**2,
        differences=n * taken * dims,
        written_bytes=n * rows,
        read_bytes=groups * n * rows,
        moved_bytes=0,
        lists=groups * n,
        list_bytes=groups * n * of_list,
        task_bytes=max(group * (rows + of_list) + other, block * _held_bytes(dims, k)) + TILE_BYTES,
        shared_bytes=0,
        tasks=tasks,
        groups=groups,
    )


def cells_cost(n: int, dims: int, k: int, layout: Layout, *, shape: CellShape = CellShape()) -> Cost:
    """k-means cells. A group of cells is as large as fits the memory and keeps the slots busy, and a cell at least.

    Raises ParameterError as `exact_cost` does, ConfigError as `cell_groups`.
    """
    _check(n=n, dims=dims, k=k)
    rows, of_list = row_bytes(dims), list_bytes(k)
    cells, groups = cell_groups(n, dims, k, layout, members=shape.members)
    nprobe, hubs = min(shape.nprobe, cells), math.ceil(math.sqrt(cells))
    trained = cells if cells <= shape.flat_training else hubs
    compared = cells if cells <= shape.flat_cells else hubs + shape.flat_cells
    training = min(n, shape.rows_a_cell * cells)
    recall = min(n, shape.recall_rows * (1 + min(k, shape.recall_neighbors))) * n
    pairs = n * nprobe * (n / cells)
    foreign = min(nprobe, groups) - 1
    return Cost(
        method="cells",
        flops=2 * dims * (_TRAININGS * shape.rounds * training * trained + recall + 2 * n * compared + pairs),
        folds=2 * pairs + recall,
        differences=((1 + foreign) * n * entries(k, 2 * pairs / n / (1 + foreign)) + recall / n * entries(k, n)) * dims,
        written_bytes=2 * n * rows,
        read_bytes=(6 * n + training) * rows,
        moved_bytes=foreign * n * rows,
        lists=(1 + foreign) * n,
        list_bytes=(1 + foreign) * n * of_list,
        task_bytes=math.ceil(n / groups) * _COPIES * (rows + of_list) + TILE_BYTES,
        shared_bytes=(cells + (hubs if cells > shape.flat_cells else 1)) * 4 * dims,
        tasks=groups,
        groups=groups,
    )


def with_small_components(cost: Cost, samples: int, dims: int, k: int, layout: Layout) -> Cost:
    """The cost, and that of samples in components of a block at most, packed several to a block; a task each.

    At most: as if every such component filled its block.
    """
    if not samples:
        return cost
    rows, of_list, block = row_bytes(dims), list_bytes(k), min(layout.block_rows, samples)
    return replace(
        cost,
        flops=cost.flops + 2 * dims * samples * block,
        folds=cost.folds + samples * block,
        differences=cost.differences + samples * entries(k, block) * dims,
        written_bytes=cost.written_bytes + samples * rows,
        read_bytes=cost.read_bytes + samples * rows,
        lists=cost.lists + samples,
        list_bytes=cost.list_bytes + samples * of_list,
        task_bytes=max(cost.task_bytes, block * (rows + of_list) + TILE_BYTES),
        tasks=cost.tasks + math.ceil(samples / block),
    )


def choose_method(
    n: int,
    dims: int,
    k: int,
    layout: Layout,
    *,
    recall: float = 0.97,
    rates: Rates = NOMINAL,
    shape: CellShape = CellShape(),
) -> Choice:
    """What `knn.method = auto` is to take: cells where they need at most half the work of all pairs.

    n: of the whole collection, or of a component of the step before.  recall: knn.recall; 1 asks for
    all pairs. Work is computing and moving bytes, as seconds of one core at these rates.
    Raises ParameterError as `exact_cost` does.
    """
    exact, cells = exact_cost(n, dims, k, layout), cells_cost(n, dims, k, layout, shape=shape)
    exact_s, cells_s = (cost.computing_s(rates) + cost.moving_s(rates) for cost in (exact, cells))
    both = f"{_work(exact_s)} for all pairs, {_work(cells_s)} by cells"
    if exact_s > _SMALL_S:
        both = f"{both} ({_counts(exact)}; {_counts(cells)})"
    if recall >= 1:
        return Choice("exact", f"knn.recall = 1 asks for all pairs; {both}")
    if cells_s <= _WORTH * exact_s:
        return Choice("cells", f"{cells_s / exact_s:.2g} of the work: {both}")
    return Choice("exact", f"cells would save less than half: {both}")


def _counts(cost: Cost) -> str:
    return f"{cost.flops:.2g} FLOPs, {cost.folds:.2g} folds"


def _work(seconds: float) -> str:
    return f"{seconds:.2g} core seconds" if seconds < 3600 else f"{seconds / 3600:,.0f} core hours"


def _check(**counts: int) -> None:
    for name, value in counts.items():
        if value < 1:
            raise ParameterError(name, value, "1 or more")
