"""DuckDB that reads Delta tables without a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


def duckdb_with_delta() -> duckdb.DuckDBPyConnection:
    """A connection that knows delta_scan('PATH') and delta_scan('PATH', version => 3).

    DuckDB would download the extension for that; here it is loaded from the package duckdb-extension-delta, which
    belongs to exactly one version of DuckDB. Both come with avlib[notebook].
    """
    import duckdb
    import duckdb_extension_delta

    connection = duckdb.connect(config={"allow_unsigned_extensions": True})
    extension = next(Path(duckdb_extension_delta.__file__).parent.rglob("*.duckdb_extension"))
    connection.execute(f"LOAD '{extension}'")
    return connection
