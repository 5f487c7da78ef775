"""optimize: the tables that grow by appends are laid out in few large files, by Delta's OPTIMIZE. Rows stay the same.

Tables of a filter run are written whole each time, so they have few files already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack

from avlib import tables
from avlib.errors import WarehouseError
from avlib.spark.progress import watched
from avlib.spark.store import TableStore
from avlib.tables import Table

GROWING: Mapping[str, tuple[Table, ...]] = {
    "ingest": (tables.VIDEOS,),
    "describe": (tables.DESCRIPTIONS, tables.SAMPLES, tables.AUDIO_LEARNED, tables.DESCRIPTOR_STATS),
    tables.EVALUATION.name: (tables.EVALUATION,),
    tables.RUNS.name: (tables.RUNS,),
}
"""The tables, by the claim that whoever writes them holds."""

_WAITS_S = 60.0  # for a run that holds one of these claims


def run(store: TableStore) -> Iterator[tuple[Table, int, int]]:
    """Compact each of them that there is; yields it with its files before and after, as it is done.

    Nobody writes a table meanwhile, as two commits to a local table may overwrite one another: writers wait, or are
    refused. Where one of them stays at work its tables are left as they are: WarehouseError names it, after all others
    are done. The old files stay until they are vacuumed, so readers of the version before are not disturbed.
    """
    left = []
    with store.claim("optimize"):
        for work, grown in GROWING.items():
            present = [table for table in grown if store.exists(table)]
            if not present:
                continue
            with ExitStack() as claims:
                try:
                    claims.enter_context(store.claim(work, wait_s=_WAITS_S))
                except WarehouseError as refusal:
                    left.append(f"{', '.join(table.name for table in present)}: left as they are, as {refusal}")
                    continue
                for table in present:
                    with watched(store.spark, f"optimize {table.name}"), store.full_disk_named():
                        before, after = store.compact(table)
                    yield table, before, after
    if left:
        raise WarehouseError("; ".join(left))
