"""What the log of a Delta table says of its newest commits: what changed the rows, and what that was made from.

A stage notes with each commit what its rows were made from, a hash of its inputs and settings. So rows and the note
that they are done come in one commit: after a kill there are both or neither.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from pyarrow import parquet

from avlib.storage import read_whole

_TAKEN_IN = "Manual Update"  # what Delta calls a commit of files that it has not written
_NO_CHANGE = ("OPTIMIZE", "VACUUM START", "VACUUM END", "SET TBLPROPERTIES")


@dataclass(frozen=True)
class Note:
    """What avlib keeps with a commit, as its userMetadata.

    made_from: hash of what the rows were made from; empty where nobody asks.  step, and_later: the commit changed the
    rows of this step, or of it and all later ones, alone; None: of all.  of_no_samples: what other stages make of the
    table is the same after it.  said: for a reader of the history.
    """

    made_from: str = ""
    step: int | None = None
    and_later: bool = False
    of_no_samples: bool = False
    said: str = ""

    def to_json(self) -> str:
        """As it is stored."""
        values = asdict(self)
        return json.dumps({name: value for name, value in values.items() if value or (value == 0 and name == "step")})

    @classmethod
    def from_json(cls, text: str | None) -> Note:
        """The inverse; of what avlib has not written, an empty note."""
        try:
            values = json.loads(text or "{}")
            return cls(**values)
        except (ValueError, TypeError):
            return cls()

    def concerns(self, step: int | None) -> bool:
        """Whether rows of this step may have changed. None: of any."""
        if step is None or self.step is None:
            return True
        return self.step <= step if self.and_later else self.step == step


@dataclass(frozen=True)
class Commit:
    """One commit.  changes: what is made from the table may be something else after it.  rows, size_bytes: written."""

    version: int
    note: Note
    changes: bool
    rows: int
    size_bytes: int


def last_change(place: str, newest: int, *, step: int | None = None) -> Commit | None:
    """The newest commit that changed the rows of a table, or of one step of it.

    place: of the table.  newest: its version. What only lays rows out anew does not count. Where the log does not
    reach so far back, its oldest commit; None where there is none.
    """
    oldest = None
    for commit in commits(place, newest):
        if commit.changes and commit.note.concerns(step):
            return commit
        oldest = commit
    return oldest


def commits(place: str, newest: int, *, after: int = -1) -> Iterator[Commit]:
    """The commits of a table, from the newest back to the one after `after`, as far as the log goes."""
    for version in range(newest, after, -1):
        try:
            content = read_whole(f"{place}/_delta_log/{version:020}.json").to_pybytes()
        except FileNotFoundError:
            return
        yield _commit(version, [json.loads(line) for line in content.splitlines() if line.strip()])


def _commit(version: int, actions: list[dict[str, Any]]) -> Commit:
    info: dict[str, Any] = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
    added = [action["add"] for action in actions if "add" in action and action["add"].get("dataChange", True)]
    metrics = info.get("operationMetrics") or {}
    rows = metrics.get("numOutputRows", metrics.get("num_added_rows"))  # none of files taken in as they are
    note = Note.from_json(info.get("userMetadata"))
    taken_in = info.get("operation") == _TAKEN_IN
    nothing = info.get("operation") in _NO_CHANGE or (taken_in and not added)  # of no file: a run has begun
    return Commit(
        version=version,
        note=note,
        changes=not nothing and not note.of_no_samples,
        rows=sum(map(_rows_of, added)) if rows is None and taken_in else int(rows or 0),
        size_bytes=sum(file["size"] for file in added),
    )


def _rows_of(added: dict[str, Any]) -> int:
    return int(json.loads(added.get("stats") or "{}").get("numRecords", 0))


def add_action(name: str, found: parquet.FileMetaData, *, size_bytes: int, modified_ms: int) -> str:
    """The line of the log that makes a Parquet file part of a table without partitions.

    name: in the table's folder; letters, digits, `-` and `.` alone.  found: its footer. Of columns of numbers the least
    and greatest are told, by which readers leave out files (Delta's protocol, "Per-file Statistics").
    """
    least: dict[str, int | float] = {}
    greatest: dict[str, int | float] = {}
    for number in range(found.num_columns):
        column = found.schema.column(number)
        groups = [found.row_group(group).column(number).statistics for group in range(found.num_row_groups)]
        if column.max_repetition_level or not all(group is not None and group.has_min_max for group in groups):
            continue  # lists, and what has no values
        if groups and isinstance(groups[0].min, int | float):
            least[column.path] = min(group.min for group in groups)
            greatest[column.path] = max(group.max for group in groups)
    stats = {"numRecords": found.num_rows, "minValues": least, "maxValues": greatest}
    file = {"path": name, "partitionValues": {}, "size": size_bytes, "modificationTime": modified_ms}
    return json.dumps({"add": file | {"dataChange": True, "stats": json.dumps(stats)}})
