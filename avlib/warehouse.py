"""A warehouse read without Spark: its tables through `deltalake`, for suggestions, status and analysts."""

from __future__ import annotations

import re

import deltalake
from deltalake.exceptions import TableNotFoundError

from avlib.errors import ParameterError, WarehouseError
from avlib.inputs import local_path
from avlib.tables import SCHEMA_VERSION, SCHEMA_VERSION_PROPERTY, Table

_WRITTEN_BY = {
    "videos": "ingest",
    "descriptions": "describe",
    "samples": "describe",
    "audio_learned": "learn",
    "descriptor_stats": "describe",
    "neighbors": "knn",
    "mutual_edges": "mutual_edges",
    "step_stats": "mutual_edges",
    "components": "components",
    "component_stats": "components",
    "copies": "filter",
    "scores": "filter --strategy agreement",
    "collection": "filter",
    "evaluation": "evaluate corruption",
    "runs": "ingest",
}


class Warehouse:
    """The tables of one warehouse, read-only.  name: the filter run.

    Raises WarehouseError where a table is missing or of another schema version.
    """

    def __init__(self, warehouse: str, *, name: str = "default") -> None:
        self.uri = normalise_uri(warehouse)
        self.name = check_filter_name(name)

    def exists(self, table: Table) -> bool:
        """Whether the table has been written yet."""
        return deltalake.DeltaTable.is_deltatable(table.path(self.uri, self.name))

    def open(self, table: Table) -> deltalake.DeltaTable:
        """The newest version of a table."""
        try:
            delta = deltalake.DeltaTable(table.path(self.uri, self.name))
        except TableNotFoundError:
            raise missing_table(table, self.uri, self.name) from None
        found = delta.metadata().configuration.get(SCHEMA_VERSION_PROPERTY)
        if found != str(SCHEMA_VERSION):
            raise wrong_schema_version(self.uri, found)
        return delta


def normalise_uri(warehouse: str) -> str:
    """A warehouse as an absolute path or a URI, without a trailing slash.

    Raises WarehouseError for a name that Spark would take for a pattern, or Delta for the end of one.
    """
    if re.search(r"[\[\]{}*?`]", warehouse):
        raise WarehouseError(
            f"{warehouse}: Spark takes [ ] {{ }} * ? for a pattern, and ` for a quotation mark; name the warehouse "
            "without them"
        )
    if re.match(r"^(?!file:)[a-z][a-z0-9+.-]*://", warehouse):
        return warehouse.rstrip("/")
    return str(local_path(warehouse).expanduser().resolve())


def is_filter_name(name: str) -> bool:
    """Whether a filter run may be called so."""
    return bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name))


def check_filter_name(name: str) -> str:
    """The name itself. It becomes a folder, so it is a plain word. Raises ParameterError otherwise."""
    if not is_filter_name(name):
        raise ParameterError("--name", name, "letters, digits, - and _, at most 64, beginning with no sign")
    return name


def missing_table(table: Table, warehouse: str, name: str) -> WarehouseError:
    """The error for a table that is not there yet.  name: the filter run, for the tables that exist once per run."""
    command, of_run, option = _WRITTEN_BY[table.name], "", ""
    if "{name}" in table.place and name != "default":
        of_run, option = f" of a filter run named {name}", f" --name {name}"
    return WarehouseError(
        f"{warehouse} has no table {table.name}{of_run}: run `avlib {command} … --warehouse {warehouse}{option}` "
        "first, or `avlib pipeline INPUT… --warehouse …` for all stages"
    )


def not_a_table(folder: str) -> WarehouseError:
    """The error for files that lie where a table is to be made."""
    return WarehouseError(
        f"{folder} holds files but no Delta table: move them away if they are not of avlib, or write a new warehouse"
    )


def wrong_schema_version(warehouse: str, found: str | None) -> WarehouseError:
    """The error for a warehouse that another version of avlib wrote."""
    return WarehouseError(
        f"{warehouse} has schema version {found or 'none'} and this avlib reads {SCHEMA_VERSION}: "
        "use the avlib it was written with, or write a new warehouse"
    )
