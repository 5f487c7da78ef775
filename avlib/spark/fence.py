"""Keeping an older run out of the tables of a newer one where no file can be locked: by Delta's transaction versions.

A run that begins takes the next epoch of its work in each table that it writes, and every append of its carries the
next version of that epoch. Delta makes such a commit only above the version that the table has: what an older run still
adds when a newer one has begun becomes no part of a table, whatever the moment.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from avlib.errors import WarehouseError
from avlib.tables import Table

_COMMITS = 1 << 32  # of an epoch, more than any run makes


@dataclass
class Fence:
    """warehouse: for errors.  work: what is kept apart from older runs of itself.  tables: that it writes, by name."""

    warehouse: str
    work: str
    tables: Sequence[Table]
    _version: int = -1

    @property
    def app(self) -> str:
        """Under which name versions stand in the tables' logs."""
        return f"avlib-{self.work}"

    def guards(self, table: Table) -> bool:
        """Whether commits to this table are to carry a version."""
        return table.name in [one.name for one in self.tables]

    def begin(self, seen: int) -> int:
        """The first version of the next epoch.  seen: the table's, -1 where it has none."""
        self._version = (seen // _COMMITS + 1) * _COMMITS
        return self._version

    def is_overtaken(self, seen: int) -> bool:
        """Whether a newer run has begun.  seen: the version of one of the tables."""
        return seen // _COMMITS > self._version // _COMMITS

    def check(self, seen: int) -> None:
        """Raise WarehouseError where a newer run has begun."""
        if self.is_overtaken(seen):
            raise self.overtaken()

    def follow(self, seen: int) -> int:
        """The version of this run's next commit to a table that has the version `seen`. Raises as `check` does."""
        self.check(seen)
        self._version += 1
        return self._version

    def action(self, version: int) -> str:
        """The line of the log that gives a commit this version (Delta's protocol, "Transaction Identifiers")."""
        return json.dumps({"txn": {"appId": self.app, "version": version}})

    def overtaken(self) -> WarehouseError:
        """What this run is told when a newer one has begun."""
        return WarehouseError(
            f"{self.warehouse}: another {self.work} has begun here since this one did, and goes on; this one ends. "
            "Nothing is lost and nothing is there twice. Run one at a time: where files cannot be locked, a run cannot "
            "tell that another is at work"
        )
