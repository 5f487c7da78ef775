"""optimize: the tables that grow by appends are laid out in few large files, by Delta's OPTIMIZE. Rows stay the same.

Tables of a filter run are written whole each time, so they have few files already.
"""

from __future__ import annotations

from avlib import tables
from avlib.spark.progress import watched
from avlib.spark.store import TableStore
from avlib.tables import Table

GROWING = (
    tables.VIDEOS,
    tables.DESCRIPTIONS,
    tables.SAMPLES,
    tables.AUDIO_LEARNED,
    tables.DESCRIPTOR_STATS,
    tables.EVALUATION,
    tables.RUNS,
)


def run(store: TableStore) -> list[tuple[Table, int, int]]:
    """Compact each of them that there is; returns its files before and after.

    Other runs may go on meanwhile: a commit of theirs that gets in the way is waited for. The old files stay until
    they are vacuumed, so readers of the version before are not disturbed.
    """
    found = []
    with store.claim("optimize"):
        for table in GROWING:
            if store.exists(table):
                with watched(store.spark, f"optimize {table.name}"):
                    found.append((table, *store.compact(table)))
    return found
