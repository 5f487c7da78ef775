"""The samples and the collection of a warehouse as arrays, read without Spark."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from avlib import tables
from avlib.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from avlib.evaluation.labels import StrArray
from avlib.identity import video_ids
from avlib.inputs import local_path
from avlib.tables import Table
from avlib.warehouse import Warehouse


@dataclass(frozen=True, eq=False)
class SampleSet:
    """Samples in ascending order of id.

    ids: shape (n,).  videos: file names, shape (n,).  times_s: shape (n,).  visual: raw, shape (n, d).
    """

    ids: Int64Array
    videos: StrArray
    times_s: Float64Array
    visual: Float32Array

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Int64Array | BoolArray) -> SampleSet:
        """The samples in these rows."""
        return SampleSet(self.ids[rows], self.videos[rows], self.times_s[rows], self.visual[rows])


def read_samples(warehouse: Warehouse) -> SampleSet:
    """All samples that count: those of the newest attempt at each video. Raises WarehouseError where there are none."""
    rows = _read(warehouse, tables.SAMPLES, ["sample_id", "attempt", "time_s", "visual"])
    attempts = _read(warehouse, tables.DESCRIPTIONS, ["video_id", "attempt"])
    newest = attempts.group_by("video_id").aggregate([("attempt", "max")])
    latest = dict(zip(newest["video_id"].to_pylist(), newest["attempt_max"].to_pylist(), strict=True))
    of_video = video_ids(rows["sample_id"].to_numpy())
    live = [latest.get(video) == attempt for video, attempt in zip(of_video.tolist(), rows["attempt"].to_pylist(), strict=True)]
    return _sample_set(warehouse, rows.filter(pa.array(live, pa.bool_())))


def read_collection(warehouse: Warehouse) -> SampleSet:
    """The samples that a filter run kept. Raises WarehouseError where it has not been run."""
    return _sample_set(warehouse, _read(warehouse, tables.COLLECTION, ["sample_id", "time_s", "visual"]))


def _sample_set(warehouse: Warehouse, rows: pa.Table) -> SampleSet:
    rows = rows.sort_by("sample_id")
    videos = _read(warehouse, tables.VIDEOS, ["video_id", "uri"])
    names = dict(zip(videos["video_id"].to_pylist(), map(_name, videos["uri"].to_pylist()), strict=True))
    ids: Int64Array = rows["sample_id"].to_numpy()
    return SampleSet(
        ids,
        np.array([names[video] for video in video_ids(ids).tolist()], dtype=np.str_),
        rows["time_s"].to_numpy(),
        _matrix(rows["visual"]),
    )


def _name(uri: str) -> str:
    return local_path(uri).name if uri.startswith("file:") else uri.rpartition("/")[2]


def _matrix(column: pa.ChunkedArray) -> Float32Array:
    """A list column of n equally long rows → shape (n, d)."""
    values: Float32Array = pc.list_flatten(column).to_numpy()
    return values.reshape(len(column), -1) if len(column) else np.zeros((0, 0), np.float32)


def _read(warehouse: Warehouse, table: Table, columns: list[str]) -> pa.Table:
    return warehouse.open(table).to_pyarrow_dataset().to_table(columns=columns)
