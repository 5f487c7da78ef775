"""A filter that is asked for again: skipped where nothing has changed, but not after another that was killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from filled_store import STEPS, fill, two_steps
from raw_samples import RawSamples

from avlib import tables
from avlib.spark import filter
from avlib.spark.store import TableStore

pytestmark = pytest.mark.spark

LONG = pytest.mark.long  # the third sees what they see, unless only some steps were looked at


def rows(store: TableStore) -> dict[str, list[str]]:
    made = [table for table in tables.OF_FILTER if store.exists(table)]
    return {table.name: sorted(map(str, store.read(table).collect())) for table in made}


@contextmanager
def killed_before(table: tables.Table, where: str) -> Iterator[None]:
    """As if the driver were killed before it writes a table, there."""
    save = TableStore._save

    def until_killed(self: TableStore, written: tables.Table, *given: object, **more: object) -> None:
        if written is table and where in str(more):
            raise KeyboardInterrupt
        save(self, written, *given, **more)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(TableStore, "_save", until_killed)
        yield


@pytest.mark.parametrize(
    ("other", "table", "where"),
    [
        pytest.param(("k = 6", "k = 5"), tables.MUTUAL_EDGES, "step = 1", id="in its second step", marks=LONG),
        pytest.param(("k = 2", "k = 3"), tables.COMPONENTS, "step = 1", id="the first step is the same", marks=LONG),
        pytest.param(("k = 6", "k = 5"), tables.STEP_STATS, "step >= 0", id="among the first deletions"),
    ],
)
def test_another_strategy_that_was_killed(
    store: TableStore, raw_samples: RawSamples, other: tuple[str, str], table: tables.Table, where: str
) -> None:
    fill(store, raw_samples)
    filter.run(store, two_steps())
    of_one, collection = rows(store), store.version(tables.COLLECTION)
    with killed_before(table, where):
        filter.run(store, two_steps(f"filter.strategies.mine={STEPS.replace(*other)}"))
    assert store.version(tables.COLLECTION) == collection and rows(store) != of_one
    assert not filter.is_done(store, two_steps())
    filter.run(store, two_steps())
    assert rows(store) == of_one

    versions = [store.version(table) for table in tables.OF_FILTER]
    filter.run(store, two_steps())
    assert [store.version(table) for table in tables.OF_FILTER] == versions
