"""Whether two warehouses hold the same rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import deltalake

from avlib import tables
from avlib.tables import Table

# Moments, versions and folders of the run itself.
DIFFERENT_BY_NATURE = (tables.RUNS, tables.EVALUATION)


def row_hashes(warehouse: Path, *, name: str = "default") -> dict[str, str]:
    """Hash of all rows, to the last bit of every float and in whatever order they lie, by table."""
    found = {}
    for table in tables.ALL:
        place = table.path(str(warehouse), name)
        if table not in DIFFERENT_BY_NATURE and deltalake.DeltaTable.is_deltatable(place):
            found[table.name] = hashlib.sha256("\n".join(sorted(_rows(table, place))).encode()).hexdigest()
    return found


def left_behind(warehouse: Path) -> list[Path]:
    """Intermediate files that a finished run should have removed."""
    scratch = [path for path in (warehouse / "_scratch").rglob("*") if path.is_file()]
    return scratch + list(warehouse.rglob("*.partial")) + list(warehouse.rglob("_rounds"))


def _rows(table: Table, place: str) -> Iterator[str]:
    rows = deltalake.DeltaTable(place).to_pyarrow_table(columns=table.schema.names)
    for row in rows.to_pylist():
        yield json.dumps(row, default=str)  # floats as they are: repr tells all their bits
