"""What a warehouse holds, read without Spark: for `avlib status`, `avlib failures` and notebooks."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import fs

from avlib import tables
from avlib.errors import WarehouseError
from avlib.storage import filesystem
from avlib.tables import Table
from avlib.warehouse import Warehouse


@dataclass(frozen=True)
class TableStatus:
    """One table: where it lies, its newest version, its rows."""

    table: str
    filter_name: str
    version: int
    rows: int


@dataclass(frozen=True)
class RunStatus:
    """One record of `runs`."""

    stage: str
    filter_name: str
    started: str
    seconds: float
    summary: str


@dataclass(frozen=True)
class Status:
    """A warehouse at a glance.  outcomes: videos by status; `undescribed` are still to be described."""

    warehouse: str
    outcomes: dict[str, int]
    tables: tuple[TableStatus, ...]
    runs: tuple[RunStatus, ...]

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)

    def as_text(self) -> str:
        """For a reader."""
        lines = [
            self.warehouse,
            "videos: " + (", ".join(f"{n} {s}" for s, n in self.outcomes.items()) or "none"),
        ]
        for table in self.tables:
            of_run = f" ({table.filter_name})" if table.filter_name else ""
            lines.append(f"  {table.table + of_run:<28} {table.rows:>10} rows, version {table.version}")
        for run in self.runs:
            of_run = f" {run.filter_name}" if run.filter_name else ""
            lines.append(f"  {run.started}  {run.stage + of_run:<20} {run.seconds:7.1f} s  {run.summary}")
        return "\n".join(lines)


def read_status(warehouse: str) -> Status:
    """Tables, outcomes and runs. Raises WarehouseError where there is no warehouse."""
    reader = Warehouse(warehouse)
    reader.open(tables.VIDEOS)
    found = []
    for name in ["", *filter_names(reader.uri)]:
        of_run = Warehouse(warehouse, name=name or "default")
        for table in tables.ALL:
            if bool(name) == ("{name}" in table.place) and of_run.exists(table):
                delta = of_run.open(table)
                found.append(TableStatus(table.name, name, delta.version(), delta.to_pyarrow_dataset().count_rows()))
    runs = _read(reader, tables.RUNS, ["started", "stage", "filter_name", "seconds", "summary"])
    records = tuple(
        RunStatus(
            row["stage"],
            row["filter_name"],
            f"{row['started']:%Y-%m-%d %H:%M:%S}",
            row["seconds"],
            row["summary"],
        )
        for row in runs.sort_by("started").to_pylist()
    )
    return Status(reader.uri, _outcomes(reader), tuple(found), records)


def read_failures(warehouse: str) -> list[dict[str, object]]:
    """uri, status, error_class, transient, error of every described video that is not ok, by uri.

    Raises WarehouseError where there is no warehouse.
    """
    reader = Warehouse(warehouse)
    reader.open(tables.VIDEOS)
    uris = _read(reader, tables.VIDEOS, ["video_id", "uri"])
    latest = _latest_descriptions(reader)
    bad = latest.filter(pc.not_equal(latest["status"], "ok")).join(uris, "video_id")
    rows: list[dict[str, object]] = (
        bad.select(["uri", "status", "error_class", "transient", "error"]).sort_by("uri").to_pylist()
    )
    return rows


def filter_names(warehouse: str) -> list[str]:
    """The filter runs of a warehouse."""
    system, path = filesystem(f"{warehouse}/filters")
    folders = system.get_file_info(fs.FileSelector(path, allow_not_found=True))
    return sorted(folder.base_name for folder in folders if folder.type == fs.FileType.Directory)


def _outcomes(reader: Warehouse) -> dict[str, int]:
    videos = _read(reader, tables.VIDEOS, ["video_id"]).num_rows
    counts = Counter(_latest_descriptions(reader)["status"].to_pylist())
    outcomes = {status: counts[status] for status in tables.STATUSES if counts[status]}
    undescribed = videos - sum(outcomes.values())
    if undescribed < 0:
        raise WarehouseError(f"{reader.uri}: {-undescribed} descriptions belong to no video; please report this")
    return outcomes | ({"undescribed": undescribed} if undescribed else {})


def _latest_descriptions(reader: Warehouse) -> pa.Table:
    rows = _read(reader, tables.DESCRIPTIONS, ["video_id", "attempt", "status", "error_class", "transient", "error"])
    newest = rows.group_by("video_id").aggregate([("attempt", "max")]).rename_columns(["video_id", "attempt"])
    return rows.join(newest, ["video_id", "attempt"], join_type="inner")


def _read(reader: Warehouse, table: Table, columns: list[str]) -> pa.Table:
    if not reader.exists(table):
        return table.schema.empty_table().select(columns)
    return reader.open(table).to_pyarrow_dataset().to_table(columns=columns)
