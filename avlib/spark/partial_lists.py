"""Partial neighbor lists between tasks: of a block, packed into one row, and merged."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import from_arrow_schema

from avlib import tables
from avlib.neighbors import NeighborLists, NeighborRule, merged
from avlib.storage import read_whole, write_whole

PARTIAL = pa.schema(
    [
        ("scope", pa.string()),
        ("block", pa.int64()),
        ("ids", pa.binary()),
        ("neighbor_ids", pa.binary()),
        ("distances", pa.binary()),
    ]
)
"""Lists of some samples of a block: the arrays of NeighborLists."""

NEIGHBORS = pa.schema([field for field in tables.NEIGHBORS.schema if field.name != "step"])
"""Rows of `neighbors`, of one step."""


def partial_row(scope: str, block: int, lists: NeighborLists) -> pa.RecordBatch:
    """One row of PARTIAL, whatever the number of lists."""
    arrays = [pa.array([array.tobytes()]) for array in (lists.ids, lists.neighbor_ids, lists.distances)]
    return pa.RecordBatch.from_arrays([pa.array([scope]), pa.array([block]), *arrays], schema=PARTIAL)


def kept(folder: str, name: str, compute: Callable[[], Iterable[pa.RecordBatch]]) -> list[pa.RecordBatch]:
    """What `compute` gives, kept as a file of this name, which a task that is run again reads, or the run after a kill.

    The file is there whole or not at all; one that cannot be read is written anew.
    """
    place = f"{folder}/{name}.arrow"
    try:
        with pa.ipc.open_file(read_whole(place)) as stored:
            return [stored.get_batch(number) for number in range(stored.num_record_batches)]
    except (FileNotFoundError, pa.ArrowInvalid):
        batches = list(compute())
    if not batches:
        return []
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    write_whole(place, sink.getvalue())
    return batches


def merge(partials: DataFrame, rule: NeighborRule) -> DataFrame:
    """The whole lists, as NEIGHBORS, from all partial ones."""

    def merge_block(parts: pa.Table) -> pa.Table:
        lists = [_lists(row) for row in parts.to_pylist()]
        whole = merged(lists, k=max(part.neighbor_ids.shape[1] for part in lists), rule=rule)
        return pa.Table.from_batches([_rows(whole)])

    return partials.groupBy("scope", "block").applyInArrow(merge_block, from_arrow_schema(NEIGHBORS))


def _lists(row: dict[str, bytes]) -> NeighborLists:
    ids = np.frombuffer(row["ids"], np.int64)
    neighbor_ids = np.frombuffer(row["neighbor_ids"], np.int64).reshape(len(ids), -1)
    return NeighborLists(ids, neighbor_ids, np.frombuffer(row["distances"], np.float32).reshape(len(ids), -1))


def _rows(lists: NeighborLists) -> pa.RecordBatch:
    """Neighbor lists as rows, without the padding."""
    listed = lists.neighbor_ids >= 0
    offsets = pa.array(np.concatenate([[0], listed.sum(axis=1).cumsum()]).astype(np.int32))
    neighbor_ids = pa.ListArray.from_arrays(offsets, pa.array(lists.neighbor_ids[listed]), type=tables.IDS)
    distances = pa.ListArray.from_arrays(offsets, pa.array(lists.distances[listed]), type=tables.DESCRIPTOR)
    return pa.RecordBatch.from_arrays([pa.array(lists.ids), neighbor_ids, distances], schema=NEIGHBORS)
