"""What a warehouse holds, read without Spark: for `avlib status`, `avlib failures` and notebooks."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import fs

from avlib import tables
from avlib.claims import Claim, running
from avlib.errors import WarehouseError
from avlib.storage import filesystem, is_file
from avlib.table_log import last_change
from avlib.tables import Table
from avlib.warehouse import Warehouse, is_filter_name


@dataclass(frozen=True)
class TableStatus:
    """One table: where it lies, its newest version, its rows."""

    table: str
    filter_name: str
    version: int
    rows: int


@dataclass(frozen=True)
class RunStatus:
    """One record of `runs`.

    size_bytes: of the files it wrote.  memory_bytes: the most that the driver held, null where that is not known.
    state: of the newest run of its stage, whether its tables are as it left them and made from the newest rows;
    empty for earlier runs.
    """

    stage: str
    filter_name: str
    step: int | None
    started: str
    seconds: float
    rows: int
    size_bytes: int
    memory_bytes: int | None
    host: str
    summary: str
    state: str


@dataclass(frozen=True)
class Status:
    """A warehouse at a glance.  outcomes: videos by status; `undescribed` are still to be described.

    running: who is at work on it, where that can be seen from here.
    """

    warehouse: str
    outcomes: dict[str, int]
    tables: tuple[TableStatus, ...]
    runs: tuple[RunStatus, ...]
    running: tuple[Claim, ...]

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
        newest = [run for run in self.runs if run.state]
        lines += [f"the newest run of each stage, of {len(self.runs)} in all:"] if newest else []
        for run in newest:
            of_step = "" if run.step is None else f" {run.step}"
            of_run = f" ({run.filter_name})" if run.filter_name else ""
            took = f"{run.seconds:8.1f} s {run.size_bytes / 1e6:9.1f} MB"
            lines.append(f"  {run.started}  {run.stage + of_step + of_run:<24} {took}  {run.state}: {run.summary}")
        lines += [f"running: {claim}" for claim in self.running] or ["running: nothing that can be seen from here"]
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
    return Status(reader.uri, _outcomes(reader), tuple(found), _runs(reader), tuple(running(reader.uri)))


def _runs(reader: Warehouse) -> tuple[RunStatus, ...]:
    rows = _read(reader, tables.RUNS, tables.RUNS.schema.names).sort_by("started").to_pylist()
    newest = {(row["stage"], row["filter_name"], row["step"]): row for row in rows}
    states = {id(row): _state(reader.uri, row) for row in newest.values()}
    return tuple(
        RunStatus(
            stage=row["stage"],
            filter_name=row["filter_name"],
            step=row["step"],
            started=f"{row['started']:%Y-%m-%d %H:%M:%S}",
            seconds=row["seconds"],
            rows=row["rows"],
            size_bytes=row["bytes"],
            memory_bytes=row["driver_memory_bytes"],
            host=row["host"],
            summary=row["summary"],
            state=states.get(id(row), ""),
        )
        for row in rows
    )


_MADE_BESIDE_TABLES = {"index": "index/{name}/manifest.json", "learn": "models/audio_learned.json"}
"""By stage: a file that there is as long as what the stage made."""


def _state(warehouse: str, row: dict[str, Any]) -> str:
    """Whether a record's outputs are as it says, and its inputs still what they were."""
    of_run = Warehouse(warehouse, name=row["filter_name"] or "default")
    if row["filter_name"] and not any(of_run.exists(table) for table in tables.ALL if "{name}" in table.place):
        return "removed"
    outputs = {name if row["step"] is None else f"{name}/{row['step']}": version for name, version in row["outputs"]}
    if changed := _changed(of_run, outputs):
        return f"{' and '.join(changed)} changed since"
    if (made := _MADE_BESIDE_TABLES.get(row["stage"])) and not is_file(f"{warehouse}/{made.format(name=of_run.name)}"):
        of_name = f" --name {row['filter_name']}" if row["filter_name"] not in ("", "default") else ""
        return f"gone, make it again by avlib {row['stage']}{of_name}"
    if newer := _changed(of_run, dict(row["inputs"])):
        return f"older than {' and '.join(newer)}"
    return "up to date"


def _changed(of_run: Warehouse, versions: dict[str, int]) -> list[str]:
    """The tables, or steps of them as `neighbors/0`, that another version changed last."""
    found = []
    for name, version in versions.items():
        table_name, _, step = name.partition("/")
        table = next(table for table in tables.ALL if table.name == table_name)
        change = None
        if of_run.exists(table):
            newest = of_run.open(table).version()
            change = last_change(table.path(of_run.uri, of_run.name), newest, step=int(step) if step else None)
        if change is None or change.version != version:
            found.append(table_name)
    return found


FAILURE = (
    "status",
    "audio_status",
    "visual_status",
    "error_class",
    "transient",
    "error",
    "covered_s",
    "duration_s",
    "samples",
)
"""Columns of `descriptions` that say what is missing of a video, and what has been kept."""


def read_failures(warehouse: str) -> list[dict[str, object]]:
    """What FAILURE names of every described video that is not ok, by uri.

    Raises WarehouseError where there is no warehouse.
    """
    reader = Warehouse(warehouse)
    reader.open(tables.VIDEOS)
    uris = _read(reader, tables.VIDEOS, ["video_id", "uri"])
    latest = _latest_descriptions(reader)
    bad = latest.filter(pc.not_equal(latest["status"], "ok")).join(uris, "video_id")
    rows: list[dict[str, object]] = bad.select(["uri", *FAILURE]).sort_by("uri").to_pylist()
    return rows


def filter_names(warehouse: str) -> list[str]:
    """The filter runs of a warehouse; a folder that somebody put beside theirs is none."""
    system, path = filesystem(f"{warehouse}/filters")
    folders = system.get_file_info(fs.FileSelector(path, allow_not_found=True))
    names = sorted(folder.base_name for folder in folders if folder.type == fs.FileType.Directory)
    return [name for name in names if is_filter_name(name)]


def _outcomes(reader: Warehouse) -> dict[str, int]:
    videos = _read(reader, tables.VIDEOS, ["video_id"]).num_rows
    counts = Counter(_latest_descriptions(reader)["status"].to_pylist())
    outcomes = {status: counts[status] for status in tables.STATUSES if counts[status]}
    undescribed = videos - sum(outcomes.values())
    if undescribed < 0:
        raise WarehouseError(f"{reader.uri}: {-undescribed} descriptions belong to no video; please report this")
    return outcomes | ({"undescribed": undescribed} if undescribed else {})


def _latest_descriptions(reader: Warehouse) -> pa.Table:
    rows = _read(reader, tables.DESCRIPTIONS, ["video_id", "attempt", *FAILURE])
    newest = rows.group_by("video_id").aggregate([("attempt", "max")]).rename_columns(["video_id", "attempt"])
    return rows.join(newest, ["video_id", "attempt"], join_type="inner")


def _read(reader: Warehouse, table: Table, columns: list[str]) -> pa.Table:
    if not reader.exists(table):
        return table.schema.empty_table().select(columns)
    return reader.open(table).to_pyarrow_dataset().to_table(columns=columns)
