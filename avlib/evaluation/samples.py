"""The samples of a warehouse as arrays, read without Spark."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from avlib import tables
from avlib.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from avlib.errors import WarehouseError
from avlib.evaluation.labels import Labels, StrArray, Truth
from avlib.identity import video_ids
from avlib.tables import Table
from avlib.warehouse import Warehouse


@dataclass(frozen=True, eq=False)
class SampleSet:
    """Samples in ascending order of id.  ids, uris (of their videos), times_s: shape (n,)."""

    ids: Int64Array
    uris: StrArray
    times_s: Float64Array

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Int64Array | BoolArray) -> SampleSet:
        """The samples in these rows."""
        return SampleSet(self.ids[rows], self.uris[rows], self.times_s[rows])

    @property
    def videos(self) -> StrArray:
        """File names of their videos. Shape (n,)."""
        return np.array([video_name(uri) for uri in self.uris.tolist()], dtype=np.str_)

    def truth(self, labels: Labels) -> Truth:
        """What the labels say of them."""
        return labels.at(self.videos, self.times_s)


def video_name(uri: str) -> str:
    """The file name at the end of a path or URI."""
    return uri.rpartition("/")[2]


def read_samples(warehouse: Warehouse) -> SampleSet:
    """All samples that count: of the newest attempt at each video. Raises WarehouseError without tables."""
    rows = _live_rows(warehouse, ["time_s"])
    ids: Int64Array = rows["sample_id"].to_numpy()
    videos = _read(warehouse, tables.VIDEOS, ["video_id", "uri"])
    uris = dict(zip(videos["video_id"].to_pylist(), videos["uri"].to_pylist(), strict=True))
    of_samples = np.array([uris[video] for video in video_ids(ids).tolist()], dtype=np.str_)
    return SampleSet(ids, of_samples, rows["time_s"].to_numpy())


def read_visual(warehouse: Warehouse) -> Float32Array:
    """The raw picture descriptors of `read_samples`, in the same order. Returns shape (n, d)."""
    column = _live_rows(warehouse, ["visual"])["visual"]
    values: Float32Array = pc.list_flatten(column).to_numpy()
    return values.reshape(len(column), -1) if len(column) else np.zeros((0, 0), np.float32)


def read_kept(warehouse: Warehouse, samples: SampleSet) -> BoolArray:
    """Which samples a filter run kept. Shape (n,). Raises WarehouseError where it has not been run."""
    kept = _read(warehouse, tables.COLLECTION, ["sample_id"])["sample_id"].to_numpy()
    return np.isin(samples.ids, kept)


def read_run(warehouse: Warehouse) -> tuple[SampleSet, BoolArray]:
    """The samples that a filter run began with, those with a neighbor list in its first step, and which it kept.

    So samples described since do not pass for dropped. Shape (n,).
    Raises WarehouseError where it has not been run, or its lists are not those of its collection.
    """
    samples = read_samples(warehouse)
    lists = warehouse.open(tables.NEIGHBORS).to_pyarrow_dataset()
    first = lists.to_table(columns=["sample_id"], filter=pc.field("step") == 0)["sample_id"].to_numpy()
    kept = read_kept(warehouse, samples)
    begun = np.isin(samples.ids, first)
    if (kept & ~begun).any():
        raise WarehouseError(
            f"{warehouse.uri}: the neighbors of {warehouse.name} are not those that its collection was made from; run "
            f"`avlib filter --name {warehouse.name}` again"
        )
    return samples.take(begun), kept[begun]


def _live_rows(warehouse: Warehouse, columns: list[str]) -> pa.Table:
    """sample_id and the columns of the samples that count, by sample_id."""
    rows = _read(warehouse, tables.SAMPLES, ["sample_id", "attempt", *columns])
    attempts = _read(warehouse, tables.DESCRIPTIONS, ["video_id", "attempt"])
    newest = attempts.group_by("video_id").aggregate([("attempt", "max")])
    latest = dict(zip(newest["video_id"].to_pylist(), newest["attempt_max"].to_pylist(), strict=True))
    of_video = video_ids(rows["sample_id"].to_numpy()).tolist()
    pairs = zip(of_video, rows["attempt"].to_pylist(), strict=True)
    live = pa.array([latest.get(video) == attempt for video, attempt in pairs], pa.bool_())
    return rows.filter(live).drop_columns(["attempt"]).sort_by("sample_id")


def _read(warehouse: Warehouse, table: Table, columns: list[str]) -> pa.Table:
    return warehouse.open(table).to_pyarrow_dataset().to_table(columns=columns)
