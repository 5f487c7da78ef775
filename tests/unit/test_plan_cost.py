"""The cost of a kNN step: formulas against enumerated tasks, tiles and lists, and what is chosen by them."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from avlib.config import load_settings
from avlib.errors import ConfigError, ParameterError
from avlib.neighbors.cells import FLAT_CELLS, FLAT_TRAINING, TRAINED
from avlib.planning import (
    NOMINAL,
    CellShape,
    Layout,
    Rates,
    cell_groups,
    cells_cost,
    choose_method,
    exact_cost,
    fitting_rows,
    packing_readers,
)
from avlib.planning.cost import TILE_BYTES, entries, list_bytes, packed_bytes, row_bytes, with_small_components

SIZES = st.integers(1, 400)

on_a_busy_machine = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def dealt(items: list[int], groups: int) -> list[list[int]]:
    """Items in so many runs of nearly the same length."""
    return [items[len(items) * g // groups : len(items) * (g + 1) // groups] for g in range(groups)]


@on_a_busy_machine
@given(n=SIZES, dims=st.integers(1, 9), k=st.integers(1, 7), block=st.integers(1, 60), slots=st.integers(1, 12))
def test_exact_counts_are_those_of_enumerated_tasks(n: int, dims: int, k: int, block: int, slots: int) -> None:
    cost = exact_cost(n, dims, k, Layout(block, slots))
    blocks = [min(block, n - start) for start in range(0, n, block)]
    groups = dealt(blocks, cost.groups)
    tasks = list(itertools.combinations_with_replacement(range(cost.groups), 2))
    flops = folds = rows_read = lists = 0
    for i, j in tasks:
        read = groups[i] if i == j else groups[i] + groups[j]
        rows_read += sum(read)
        lists += sum(read)
        pairs = itertools.combinations_with_replacement(read, 2) if i == j else itertools.product(groups[i], groups[j])
        flops += sum(2 * dims * left * right for left, right in pairs)
    for query, other in itertools.product(range(len(blocks)), repeat=2):
        folds += blocks[query] * blocks[other]
    assert cost.tasks == len(tasks)
    assert cost.flops == flops
    assert cost.folds == folds
    assert cost.read_bytes == rows_read * (16 + 4 * dims)
    assert cost.lists == lists
    assert cost.list_bytes == lists * (8 + 12 * k)
    assert cost.written_bytes == n * (16 + 4 * dims)


@on_a_busy_machine
@given(n=SIZES, block=st.integers(1, 60), slots=st.integers(1, 12))
def test_exact_has_tasks_for_all_slots_if_there_are_blocks(n: int, block: int, slots: int) -> None:
    cost = exact_cost(n, 3, 2, Layout(block, slots))
    blocks = math.ceil(n / min(block, n))
    assert 1 <= cost.groups <= blocks
    assert cost.tasks >= min(6 * slots, blocks * (blocks + 1) // 2)
    fewer = cost.groups - 1
    assert fewer * (fewer + 1) // 2 < 6 * slots  # no more groups than that takes: each costs reads and lists


@on_a_busy_machine
@given(
    n=st.integers(2, 50_000),
    dims=st.integers(1, 2000),
    k=st.integers(1, 100),
    block=st.integers(1, 5000),
    task_bytes=st.integers(TILE_BYTES + 1, 200_000_000),
)
def test_tasks_fit_the_memory_where_a_block_does(n: int, dims: int, k: int, block: int, task_bytes: int) -> None:
    fitting = fitting_rows(dims, k, task_bytes=task_bytes)
    cost = exact_cost(n, dims, k, Layout(block, 1, task_bytes))
    assert (cost.task_bytes <= task_bytes) or min(block, n) > fitting
    if fitting:
        assert exact_cost(n, dims, k, Layout(fitting, 1, task_bytes)).task_bytes <= task_bytes


def test_the_next_block_size_does_not_fit() -> None:
    room = 50_000_000
    rows = fitting_rows(1089, 20, task_bytes=room)
    assert 4 * rows * (row_bytes(1089) + list_bytes(20)) + TILE_BYTES <= room
    assert exact_cost(10**6, 1089, 20, Layout(rows + 1, 1, room)).task_bytes > room
    assert fitting_rows(1089, 20, task_bytes=TILE_BYTES) == 0


@given(
    blocks=st.integers(1, 500),
    dims=st.integers(1, 2000),
    rows=st.integers(1, 5000),
    slots=st.integers(1, 12),
    task_bytes=st.integers(1, 2_000_000_000),
)
def test_what_a_task_packs_fits_its_memory(blocks: int, dims: int, rows: int, slots: int, task_bytes: int) -> None:
    readers = packing_readers(blocks, dims, Layout(rows, slots, task_bytes))
    if readers:
        assert slots <= readers <= 8
        held = -(-blocks // readers) + 3
        assert held * rows * packed_bytes(dims) + TILE_BYTES <= task_bytes
    else:
        assert slots > 8 or (-(-blocks // 8) + 3) * rows * packed_bytes(dims) + TILE_BYTES > task_bytes


def test_cells_are_as_many_as_fit_the_memory() -> None:
    room, dims, k = TILE_BYTES + 1000 * 4 * (row_bytes(100) + list_bytes(20)), 100, 20  # for 1,000 rows
    layout = Layout(4096, 8, room)
    assert cell_groups(10_000, dims, k, layout, members=250) == (40, 40)
    assert cell_groups(30_000, dims, k, layout, members=250) == (120, 48)
    assert cell_groups(100_000, dims, k, layout, members=250) == (125, 100)  # eight rows for each can be held
    with pytest.raises(ConfigError, match=r"126,000 samples .* hold 1,008 of them, and 1,000 fit its") as refused:
        cell_groups(126_000, dims, k, layout, members=250)
    fitting_mb = int(str(refused.value).split("memory_mb=")[1].split()[0])
    cells, groups = cell_groups(126_000, dims, k, Layout(4096, 8, fitting_mb << 20), members=250)
    assert -(-126_000 // groups) <= fitting_rows(dims, k, task_bytes=fitting_mb << 20) and cells >= groups


def test_exact_by_hand() -> None:
    # 18 rows in blocks of 4, 4, 4, 4, 2; one slot wants 6 tasks, so 3 groups: {4, 4}, {4, 4} and {2}.
    cost = exact_cost(18, 3, 2, Layout(4, 1))
    assert (cost.groups, cost.tasks) == (3, 6)
    assert cost.flops == 2 * 3 * (10 * 16 + 4 + 4 * 8)
    assert cost.folds == 18 * 18
    assert cost.read_bytes == 3 * 18 * 28
    assert cost.list_bytes == 3 * 18 * 32
    first, others = 3 * 2 * (1 + math.log(6 / 2)), 2 * (1 + math.log(18 / 2))  # of six tasks; rows that enter, a sample
    assert cost.differences == pytest.approx(18 * (first / 6 + others * 5 / 6) * 3)
    assert cost.task_bytes == 4 * 4 * (28 + 32) + TILE_BYTES  # to pack a block, more than to compare two groups
    many = exact_cost(90, 3, 2, Layout(3, 1))
    assert many.task_bytes == 30 * (28 + 32) + 3 * 28 + 30 * 32 + TILE_BYTES  # to compare groups of ten blocks


def test_cells_by_hand() -> None:
    shape = CellShape(members=10, nprobe=3, rows_a_cell=5, rounds=2, recall_rows=1, recall_neighbors=1)
    cost = cells_cost(100, 4, 2, Layout(50, 1), shape=shape)
    # 10 cells in 6 groups (6 tasks for the slot); 30 pairs a sample; 50 samples to train on.
    assert (cost.groups, cost.tasks) == (6, 6)
    training, recall, finding, search = 2 * 50 * 10 * 19 / 16, 1 * (1 + 1) * 100, 2 * 100 * 10, 100 * 30
    assert cost.flops == 2 * 4 * (training + recall + finding + search)
    assert cost.folds == 2 * 3000 + 200
    assert cost.moved_bytes == 2 * 100 * 32
    assert cost.lists == 3 * 100
    assert cost.list_bytes == 300 * 32
    assert cost.read_bytes == (600 + 50) * 32
    assert cost.shared_bytes == 11 * 16
    assert cost.differences == pytest.approx((300 * 2 * (1 + math.log(20 / 2)) + 2 * 2 * (1 + math.log(50))) * 4)
    assert cost.task_bytes == 17 * 4 * (32 + 32) + TILE_BYTES


def test_cells_are_counted_as_they_are_made() -> None:
    shape = CellShape()
    assert (shape.rows_a_cell, shape.flat_training, shape.flat_cells) == (TRAINED, FLAT_TRAINING, FLAT_CELLS)
    assert shape.members == load_settings().knn.cell_rows


@on_a_busy_machine
@given(n=st.integers(1, 300), members=st.integers(1, 40), nprobe=st.integers(1, 6), dims=st.integers(1, 5))
def test_the_pairs_of_even_cells(n: int, members: int, nprobe: int, dims: int) -> None:
    n = n * members  # so that all cells are full
    shape = CellShape(members=members, nprobe=nprobe, rounds=0, recall_rows=0, flat_training=10**9, flat_cells=10**9)
    cost = cells_cost(n, dims, 1, Layout(64, 2), shape=shape)
    cells = n // members
    probed = [[(own + step) % cells for step in range(min(nprobe, cells))] for own in range(cells)]
    pairs = sum(members * members for own in range(cells) for _ in probed[own])
    assert cost.flops == pytest.approx(2 * dims * (pairs + 2 * n * cells))
    assert cost.folds == pytest.approx(2 * pairs)


def test_beyond_flat_cells_hubs_keep_the_work_below_n_squared() -> None:
    layout = Layout(4096, 100)
    small, large = (cells_cost(n, 1089, 20, layout).flops for n in (10**7, 10**9))
    assert math.log(large / small) / math.log(100) < 1.5
    flat = CellShape(flat_training=10**9, flat_cells=10**9)
    assert cells_cost(10**7, 1089, 20, layout, shape=flat).flops > 5 * small


@on_a_busy_machine
@given(
    n=st.integers(2, 10**8),
    dims=st.integers(1, 4000),
    k=st.integers(1, 100),
    more=st.floats(1.25, 4),  # by less, the whole number of cells may round to smaller ones
    what=st.integers(0, 2),
)
def test_more_samples_numbers_or_neighbors_never_cost_less(n: int, dims: int, k: int, more: float, what: int) -> None:
    layout = Layout(4096, 64)
    larger = [n, dims, k]
    larger[what] = math.ceil(larger[what] * more)
    shape = CellShape()
    for cells in (shape.flat_training, shape.flat_cells):  # beyond, training rows or samples meet a part of the cells
        assume(not n <= 1.01 * cells * shape.members < 1.03 * larger[0])
    for calculate in (exact_cost, cells_cost):
        less, most = calculate(n, dims, k, layout), calculate(*larger, layout)
        for name in ("flops", "folds", "written_bytes", "read_bytes", "list_bytes"):
            assert getattr(most, name) >= getattr(less, name), (calculate.__name__, name)


@pytest.mark.parametrize(("k", "rows"), [(20, 2000), (5, 300), (20, 20), (20, 7)])
def test_entries_are_those_of_lists_filled_at_random(k: int, rows: int) -> None:
    rng = np.random.default_rng(0)
    entered = 0
    for _ in range(200):
        distances = rng.random(rows)
        ranks = [(distances[:seen] < distances[seen]).sum() for seen in range(rows)]
        entered += sum(rank < k for rank in ranks)
    assert entries(k, rows) == pytest.approx(entered / 200, rel=0.05)


def test_small_components_add_their_blocks() -> None:
    layout = Layout(100, 2)
    large = exact_cost(500, 3, 2, layout)
    cost = with_small_components(large, 250, 3, 2, layout)
    assert cost.flops - large.flops == 2 * 3 * 250 * 100
    assert cost.folds - large.folds == 250 * 100
    assert cost.tasks - large.tasks == 3
    assert cost.lists - large.lists == 250
    assert with_small_components(large, 0, 3, 2, layout) == large


def test_the_method_follows_the_work() -> None:
    layout = Layout(4096, 8, 2e9)
    few, many = choose_method(5_000, 1089, 20, layout), choose_method(10**7, 1089, 20, layout)
    assert (few.method, many.method) == ("exact", "cells")
    for reason in (few.reason, many.reason):
        assert "for all pairs" in reason and "by cells" in reason
    methods = [choose_method(2**power, 1089, 20, layout).method for power in range(6, 31)]
    assert methods == sorted(methods, reverse=True)  # exact up to a size, cells from there on
    assert choose_method(10**7, 1089, 20, layout, recall=1).method == "exact"


def test_rates_weigh_what_the_methods_do() -> None:
    layout = Layout(4096, 8)
    n = 200_000
    assert choose_method(n, 1089, 20, layout).method == "cells"
    # Where moving a byte costs as much as a million products, the fewer bytes win.
    slow_disk = replace_rates(read_bytes_per_s=1e3, write_bytes_per_s=1e3)
    exact, cells = exact_cost(n, 1089, 20, layout), cells_cost(n, 1089, 20, layout)
    assert exact.moving_s(slow_disk) < cells.moving_s(slow_disk)
    assert choose_method(n, 1089, 20, layout, rates=slow_disk).method == "exact"


def replace_rates(**values: float) -> Rates:
    return NOMINAL.model_copy(update=values)


def test_seconds_by_hand() -> None:
    cost = replace(exact_cost(10, 3, 2, Layout(4, 1)), flops=6e10, folds=1e9, differences=4e9)
    rates = replace_rates(gemm_flops_per_s=1.2e11, folds_per_s=5e8, differences_per_s=2e9)
    assert cost.computing_s(rates) == pytest.approx(0.5 + 2 + 2)


@pytest.mark.parametrize("arguments", [(0, 3, 2), (10, 0, 2), (10, 3, 0)])
def test_nothing_has_no_cost(arguments: tuple[int, int, int]) -> None:
    for calculate in (exact_cost, cells_cost, choose_method):
        with pytest.raises(ParameterError, match="1 or more"):
            calculate(*arguments, Layout(4, 1))
    with pytest.raises(ParameterError, match="block_rows"):
        Layout(0, 1)
