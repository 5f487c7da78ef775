"""What the log of a table says of its newest commits, by whatever it was written."""

from __future__ import annotations

from pathlib import Path

import deltalake
import pyarrow as pa

from avlib.table_log import Note, commits, last_change


def write(place: Path, steps: list[int], *, mode: str = "append", note: Note | None = None) -> None:
    given = deltalake.CommitProperties(custom_metadata={"userMetadata": note.to_json()}) if note else None
    deltalake.write_deltalake(place, pa.table({"step": steps}), mode=mode, commit_properties=given)


def test_the_newest_commit_of_a_step(tmp_path: Path) -> None:
    place = tmp_path / "table"
    write(place, [0, 0], note=Note("a", step=0))
    write(place, [1], note=Note("b", step=1))
    write(place, [2], note=Note("c", step=2, said="exact"))
    write(place, [], note=Note(step=1, and_later=True))
    found = {step: last_change(str(place), 3, step=step) for step in (0, 1, 2, None)}
    assert {step: (change.version, change.note.made_from) for step, change in found.items() if change} == {
        0: (0, "a"),
        1: (3, ""),
        2: (3, ""),
        None: (3, ""),
    }
    write(place, [5])  # by somebody else: who knows of what
    assert [last_change(str(place), 4, step=step).version for step in (0, 1)] == [4, 4]  # type: ignore[union-attr]


def test_files_laid_out_anew_are_no_change(tmp_path: Path) -> None:
    place = tmp_path / "table"
    for _ in range(3):
        write(place, [0], note=Note("a"))
    table = deltalake.DeltaTable(place)
    table.optimize.compact()
    table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    newest = deltalake.DeltaTable(place).version()
    assert newest > 2
    change = last_change(str(place), newest)
    assert change is not None and (change.version, change.note.made_from) == (2, "a")


def test_rows_and_bytes_of_some_commits(tmp_path: Path) -> None:
    place = tmp_path / "table"
    for steps in ([0], [1, 2], [3, 4, 5]):
        write(place, steps)
    found = list(commits(str(place), 2, after=0))
    assert [(commit.version, commit.rows) for commit in found] == [(2, 3), (1, 2)]
    sizes = sorted(path.stat().st_size for path in place.glob("*.parquet"))
    assert {commit.size_bytes for commit in found} <= set(sizes)


def test_a_log_that_has_been_cleaned(tmp_path: Path) -> None:
    place = tmp_path / "table"
    for _ in range(3):
        write(place, [0], note=Note("a", step=0))
    (place / "_delta_log" / f"{1:020}.json").unlink()
    change = last_change(str(place), 2, step=7)
    assert change is not None and change.version == 2  # as far as is known


def test_notes_of_others() -> None:
    for text in (None, "", "exact", '{"said": "x", "other": 1}', "[1]"):
        assert Note.from_json(text) == Note()
    note = Note("a", step=0, and_later=True, said="b")
    assert Note.from_json(note.to_json()) == note
    assert Note.from_json(Note().to_json()) == Note()
