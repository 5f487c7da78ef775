"""The knn stage on what it should refuse, and on blocks that vanish under it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filled_store import fill, two_steps
from neighbor_blocks import make_shots
from pyspark.sql import SparkSession
from raw_samples import RawSamples

from avlib import tables
from avlib.descriptors import DescriptorStats
from avlib.errors import AvlibError, ConfigError, in_one_line
from avlib.filtering import cap_k
from avlib.neighbors import Block, NeighborRule, nearest
from avlib.spark import knn, knn_cells
from avlib.spark.block_search import BlockSearch
from avlib.spark.knn_cells import CellPlan
from avlib.spark.packing import BlockFile, Packing, planned_slots
from avlib.spark.store import TableStore

pytestmark = pytest.mark.spark


def lists_of(store: TableStore) -> list[tuple[object, ...]]:
    return sorted(tuple(row) for row in store.read(tables.NEIGHBORS, step=0).collect())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_descriptor_that_is_no_number_is_named(spark: SparkSession, tmp_path: Path, value: float) -> None:
    raw = RawSamples()
    raw.audio[60, 3] = value
    store = TableStore(spark, str(tmp_path))
    fill(store, raw)
    with pytest.raises(Exception, match="NaN or infinity") as raised:
        knn.run(store, two_steps(), 0)
    said = in_one_line(raised.value)
    assert said is not None
    assert f"sample {raw.ids[60]}, of video {raw.ids[60] >> 24}, has NaN or infinity in its audio descriptor" in said


def test_descriptors_of_two_models_do_not_mix(spark: SparkSession, tmp_path: Path) -> None:
    raw = RawSamples()
    store = TableStore(spark, str(tmp_path))
    fill(store, raw)
    odd = store.read(tables.SAMPLES).where(f"sample_id = {raw.ids[9]}")
    store.append(
        tables.SAMPLES,
        odd.selectExpr(
            "sample_id + 1 AS sample_id",
            "attempt",
            "time_s",
            "rms",
            "slice(visual, 1, 5) AS visual",
            "audio_mfcc65",
            "audio_context",
        ),
    )
    with pytest.raises(Exception, match=r"visual descriptor of \d+ numbers, (others|sample \d+ one) of \d+"):
        knn.run(store, two_steps(), 0)


def test_a_block_that_does_not_fit_is_refused_before_the_start(spark: SparkSession, tmp_path: Path) -> None:
    store = TableStore(spark, str(tmp_path))
    fill(store, RawSamples())
    with pytest.raises(ConfigError, match=r"more to pack than knn.memory_mb = 16; \d+ rows fit") as refused:
        knn.run(store, two_steps("knn.memory_mb=16", "knn.block_rows=1000000"), 0)
    fits = str(refused.value).split("; ")[1].split()[0]
    knn.run(store, two_steps("knn.memory_mb=16", f"knn.block_rows={fits}"), 0)
    assert lists_of(store)


def test_lost_blocks_are_packed_again(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = two_steps("knn.block_rows=40")
    store = TableStore(spark, str(tmp_path))
    fill(store, RawSamples())
    knn.run(store, settings, 0)
    expected = lists_of(store)
    pack = Packing.pack
    losing: list[Callable[[Path], object]] = [Path.unlink, lambda place: place.write_bytes(b"ARROW1")]

    def pack_and_lose(self: Packing, *given: object) -> list[BlockFile]:
        files = pack(self, *given)  # type: ignore[arg-type]
        assert len(given) == 1 or [file.name for file in files] == given[1]  # packed again: these alone
        if losing:
            losing.pop()(Path(self.folder) / f"{files[0].name}.arrow")
        return files

    monkeypatch.setattr(Packing, "pack", pack_and_lose)
    store.clear(tables.NEIGHBORS)
    knn.run(store, settings, 0)
    assert lists_of(store) == expected
    assert capsys.readouterr().err.count("it is packed again") == 2
    assert not losing


def test_a_block_that_stays_lost_fails_the_step_with_its_name(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = TableStore(spark, str(tmp_path))
    fill(store, RawSamples())
    pack = Packing.pack

    def pack_and_lose(self: Packing, *given: object) -> list[BlockFile]:
        files = pack(self, *given)  # type: ignore[arg-type]
        (Path(self.folder) / f"{files[0].name}.arrow").unlink()
        return files

    monkeypatch.setattr(Packing, "pack", pack_and_lose)
    with pytest.raises(Exception, match="LostBlockError") as raised:
        knn.run(store, two_steps("knn.block_rows=40"), 0)
    said = in_one_line(raised.value)
    assert said is not None
    assert said.startswith("block component-0-")
    assert not isinstance(raised.value, AvlibError)


def test_cells_find_the_mutual_edges_asked_for(spark: SparkSession, tmp_path: Path) -> None:
    raw = RawSamples(videos=12, frames=50)
    store = TableStore(spark, str(tmp_path))
    fill(store, raw)
    edges = {}
    for method in ("exact", "cells"):
        knn.run(store, two_steps(f"knn.method={method}", "knn.cell_rows=20", "knn.recall=0.99"), 0)
        named = {row["sample_id"]: set(row["neighbor_ids"]) for row in store.read(tables.NEIGHBORS, step=0).collect()}
        assert named.keys() == set(raw.ids.tolist())
        edges[method] = {(i, j) for i, ids in named.items() for j in ids if i < j and i in named[j]}
    assert len(edges["exact"]) > 500
    # Chosen by some of the edges at 150 of the 600 samples.
    assert len(edges["exact"] & edges["cells"]) > 0.96 * len(edges["exact"])
    history = store.spark.sql(f"DESCRIBE HISTORY delta.`{store.path(tables.NEIGHBORS)}`").collect()
    assert any("of the mutual edges" in (row["userMetadata"] or "") for row in history)


def test_cells_are_trained_by_weights_that_suit_them() -> None:
    samples, settings = make_shots(steady="visual"), two_steps()
    search = BlockSearch(settings.filter.steps[0], settings.knn, DescriptorStats(np.zeros(24), np.ones(24), 1), "cpu")
    plan = CellPlan(cells=90, groups=7, trained=len(samples), samples=len(samples))
    dealt = knn_cells._trained(samples, search, plan)
    assert search.weights == (0.5, 0.5) and dealt.cells.weights == (0.5, 0.125)
    assert np.unique(dealt.groups).tolist() == list(range(7)) and len(dealt.groups) == len(dealt.cells) > 80


@pytest.mark.parametrize("weights", [(1, 1), (0, 1)])
def test_lists_in_cells_do_not_depend_on_tasks(
    spark: SparkSession, tmp_path: Path, weights: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = TableStore(spark, str(tmp_path))
    fill(store, RawSamples(videos=12, frames=50))
    found = []
    for per_slot in (1, 5):  # groups of cells, each a task
        monkeypatch.setattr("avlib.planning.cost.TASKS_A_SLOT", per_slot)
        step = f"filter.strategies.mine=[{{w_V = {weights[0]}, w_A = {weights[1]}, k = 6}}]"
        knn.run(store, two_steps("knn.method=cells", "knn.cell_rows=20", step), 0)
        found.append(lists_of(store))
        store.clear(tables.NEIGHBORS)
    assert found[0] == found[1]


def test_lost_cells_are_packed_again(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = TableStore(spark, str(tmp_path))
    fill(store, RawSamples(videos=12, frames=50))
    settings = two_steps("knn.method=cells", "knn.cell_rows=20")
    knn.run(store, settings, 0)
    whole = lists_of(store)
    store.clear(tables.NEIGHBORS)
    train, pack = knn_cells._train, knn_cells._pack
    written_ns: list[int] = []
    lost: list[Path] = []

    def trained(*given: Any) -> BlockFile:
        file = train(*given)
        written_ns.extend(cells.stat().st_mtime_ns for cells in tmp_path.rglob("cells.npz"))
        return file

    def lose(*given: Any) -> list[BlockFile]:
        files = pack(*given)
        if not lost:
            lost.extend(file for name in ("cells-1.arrow", "queries-0.arrow") for file in tmp_path.rglob(name))
            for file in lost:
                file.unlink()
        return files

    monkeypatch.setattr(knn_cells, "_train", trained)
    monkeypatch.setattr(knn_cells, "_pack", lose)
    knn.run(store, settings, 0)
    assert len(lost) == 2
    assert len(written_ns) == 2 and len(set(written_ns)) == 1  # the blocks were packed by these cells
    assert lists_of(store) == whole


@pytest.mark.parametrize(("small", "k_share"), [(10, 1.0), (0, 0.02)])
def test_giant_components_are_searched_in_cells(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: int, k_share: float
) -> None:
    """Two of them, with and without small ones beside; also where a block of each is lost."""
    raw = RawSamples(videos=10 + small // 5, frames=50)
    store = TableStore(spark, str(tmp_path))
    fill(store, raw)
    numbers = np.concatenate([np.zeros(300, int), np.ones(200, int), 2 + np.arange(10 * small) // 10])
    np.random.default_rng(0).shuffle(numbers)
    components = {int(i): int(raw.ids[numbers == number].min()) for i, number in zip(raw.ids, numbers, strict=True)}
    rows = spark.createDataFrame(list(components.items()), "sample_id bigint, component_id bigint")
    store.write_step(tables.COMPONENTS, rows, step=0)
    step = "{w_V = 1, w_A = 1, k = 6"
    steps = f"filter.strategies.mine=[{step}}}, {step}, k_share = {k_share}}}]"
    lost: list[Path] = []
    remade = knn.with_lost_blocks_remade

    def after_a_loss(work: Callable[[], object], remake: Callable[[Sequence[str]], object]) -> object:
        of_giants = {file.parent: file for file in tmp_path.rglob("cells-*-*.arrow")}
        lost.extend([*of_giants.values(), *tmp_path.rglob("shared-0-0.arrow")])
        for file in lost:
            file.unlink()
        return remade(work, remake)

    monkeypatch.setattr(knn, "with_lost_blocks_remade", after_a_loss)
    chosen = ["knn.method=cells", "knn.cell_rows=20", "knn.recall=0.99", "knn.block_rows=120", steps]
    knn.run(store, two_steps(*chosen), 1)
    assert len(lost) == 2 + bool(small)
    found = {row["sample_id"]: list(row["neighbor_ids"]) for row in store.read(tables.NEIGHBORS, step=1).collect()}
    assert found.keys() == components.keys()
    samples, exact = raw.normalised(), {}
    block = Block(samples.ids, samples.visual, samples.audio, samples.times_s)
    for number in range(2 + small):
        part = block.take(np.flatnonzero(numbers == number))
        k = cap_k(6, len(part), k_share)
        lists = nearest(part, [part], weights=(1.0, 1.0), k=k, rule=NeighborRule())
        exact |= dict(zip(lists.ids.tolist(), lists.neighbor_ids.tolist(), strict=True))
    assert all(found[i] == exact[i] for i in raw.ids[numbers > 1].tolist())
    edges, expected = mutual_edges(found), mutual_edges(exact)
    assert all(components[i] == components[j] for i, j in edges)
    assert len(expected & edges) > 0.96 * len(expected) > 300
    newest = store.read(tables.RUNS).orderBy("started", ascending=False).first()
    assert newest is not None and newest["summary"].count("component ") == 2 and newest["summary"].endswith("; exact")


def mutual_edges(lists: dict[int, list[int]]) -> set[tuple[int, int]]:
    return {(i, j) for i, ids in lists.items() for j in ids if i < j and i in lists[j]}


@pytest.mark.parametrize(("left", "slots"), [(None, 2), ("5", 5), ("", 2)], ids=["first", "goes on", "power was lost"])
def test_a_search_is_laid_out_once(spark: SparkSession, tmp_path: Path, left: str | None, slots: int) -> None:
    """Whatever the size of the cluster on which it goes on after a kill; this one has 2 cores."""
    if left is not None:
        (tmp_path / "slots.json").write_text(left)
    assert [planned_slots(spark, str(tmp_path)) for _ in range(2)] == [slots, slots]
    assert (tmp_path / "slots.json").read_text() == str(slots)
