"""What a worker does with its partition of edges (node, root): replace them by stars.

Apart from `components`, so that a worker loads little before its first task.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

from avlib.graph import contract

_CHUNK_EDGES = 4_000_000  # edges that a task contracts at once, and so its memory
_BATCH_EDGES = 100_000  # edges handed back to Spark at once


def contract_whole(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Contract all edges of a partition at once."""
    edges = list(batches)
    if edges:
        yield from _stars(edges)


def contract_in_chunks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Contract the edges of a partition, so many at a time that memory stays bounded."""
    chunk: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        chunk.append(batch)
        rows += len(batch)
        if rows >= _CHUNK_EDGES:
            yield from _stars(chunk)
            chunk, rows = [], 0
    if chunk:
        yield from _stars(chunk)


def _stars(edges: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    table = pa.Table.from_batches(edges)
    nodes, roots = contract(table["node"].to_numpy(), table["root"].to_numpy())
    stars: list[pa.RecordBatch] = pa.table({"node": nodes, "root": roots}).to_batches(max_chunksize=_BATCH_EDGES)
    return stars
