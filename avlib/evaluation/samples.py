"""The samples of a warehouse as arrays, read without Spark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake.exceptions import DeltaError

from avlib import tables
from avlib.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from avlib.errors import WarehouseError
from avlib.evaluation.labels import Labels, StrArray, Truth
from avlib.identity import video_ids
from avlib.inputs import video_name
from avlib.table_log import last_change
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


def read_samples(warehouse: Warehouse) -> SampleSet:
    """All samples that count: of the newest attempt at each video. Raises WarehouseError without tables."""
    return _sample_set(warehouse, {})


def read_visual(warehouse: Warehouse) -> Float32Array:
    """The raw picture descriptors of `read_samples`, in the same order. Returns shape (n, d)."""
    column = _live_rows(warehouse, ["visual"], {})["visual"]
    values: Float32Array = pc.list_flatten(column).to_numpy()
    return values.reshape(len(column), -1) if len(column) else np.zeros((0, 0), np.float32)


def read_kept(warehouse: Warehouse, samples: SampleSet) -> BoolArray:
    """Which samples a filter run kept. Shape (n,). Raises WarehouseError where it has not been run."""
    kept = _read(warehouse, tables.COLLECTION, ["sample_id"])["sample_id"].to_numpy()
    return np.isin(samples.ids, kept)


def read_run(warehouse: Warehouse) -> tuple[SampleSet, BoolArray]:
    """The samples that a filter run began with, as its record in `runs` says, and which of them it kept.

    So samples described since do not pass for dropped. Shape (n,).
    Raises WarehouseError where it has not been run, its collection is not of the newest run, or what it read is gone.
    """
    newest = warehouse.open(tables.COLLECTION).version()
    collection = last_change(tables.COLLECTION.path(warehouse.uri, warehouse.name), newest)
    wanted = (pc.field("stage") == "filter") & (pc.field("filter_name") == warehouse.name)
    runs = warehouse.open(tables.RUNS).to_pyarrow_dataset().to_table(filter=wanted).sort_by("started").to_pylist()
    if not runs or collection is None or dict(runs[-1]["outputs"]).get(tables.COLLECTION.name) != collection.version:
        raise WarehouseError(
            f"{warehouse.uri}: the collection {warehouse.name} is not as `avlib filter` left it, so what it was made "
            f"from is not known; run `avlib filter --name {warehouse.name}` again"
        )
    try:
        samples = _sample_set(warehouse, dict(runs[-1]["inputs"]))
    except (OSError, DeltaError):
        raise WarehouseError(
            f"{warehouse.uri}: the samples that the collection {warehouse.name} was made from are there no more; run "
            f"`avlib filter --name {warehouse.name}` again"
        ) from None
    return samples, read_kept(warehouse, samples)


def _sample_set(warehouse: Warehouse, versions: Mapping[str, int]) -> SampleSet:
    """The samples that count in these versions of the tables, the newest of those not named."""
    rows = _live_rows(warehouse, ["time_s"], versions)
    ids: Int64Array = rows["sample_id"].to_numpy()
    videos = _read(warehouse, tables.VIDEOS, ["video_id", "uri"])
    uris = dict(zip(videos["video_id"].to_pylist(), videos["uri"].to_pylist(), strict=True))
    of_samples = np.array([uris[video] for video in video_ids(ids).tolist()], dtype=np.str_)
    return SampleSet(ids, of_samples, rows["time_s"].to_numpy())


def _live_rows(warehouse: Warehouse, columns: list[str], versions: Mapping[str, int]) -> pa.Table:
    """sample_id and the columns of the samples that count, by sample_id."""
    rows = _read(warehouse, tables.SAMPLES, ["sample_id", "attempt", *columns], versions)
    attempts = _read(warehouse, tables.DESCRIPTIONS, ["video_id", "attempt"], versions)
    newest = attempts.group_by("video_id").aggregate([("attempt", "max")])
    latest = dict(zip(newest["video_id"].to_pylist(), newest["attempt_max"].to_pylist(), strict=True))
    of_video = video_ids(rows["sample_id"].to_numpy()).tolist()
    pairs = zip(of_video, rows["attempt"].to_pylist(), strict=True)
    live = pa.array([latest.get(video) == attempt for video, attempt in pairs], pa.bool_())
    return rows.filter(live).drop_columns(["attempt"]).sort_by("sample_id")


def _read(
    warehouse: Warehouse, table: Table, columns: list[str], versions: Mapping[str, int] | None = None
) -> pa.Table:
    delta = warehouse.open(table)
    if versions and table.name in versions:
        delta.load_as_version(versions[table.name])
    return delta.to_pyarrow_dataset().to_table(columns=columns)
