"""Samples on their way from describe's workers into the table: Parquet files, written where they are made.

Through Spark's own rows a sample of a thousand numbers costs more than to write it.
"""

from __future__ import annotations

import uuid

import pyarrow as pa
from pyarrow import parquet

from avlib import tables
from avlib.storage import written_whole
from avlib.tables import Table

_FILE_ROWS = 4096  # 18 MB of the default descriptors


class SampleFiles:
    """Writes one task's samples into a folder, some thousand to a file.

    What a failed task had written lies there too: only files whose names arrive count.
    """

    def __init__(self, folder: str, table: Table = tables.SAMPLES) -> None:
        self._folder, self._table = folder, table
        self._batches: list[pa.Buffer] = []
        self._rows = 0

    def add(self, samples: pa.RecordBatch) -> list[str]:
        """Take some samples, columns as in the table; returns the file that became full, if one did."""
        # Into Arrow's own memory: rows that stay where a network's large buffers come and go keep these from finding
        # the same place again, and the worker would grow by 0.2 MB for each.
        self._batches.append(samples.serialize())
        self._rows += len(samples)
        return self.finish() if self._rows >= _FILE_ROWS else []

    def finish(self) -> list[str]:
        """Write what has not been written; returns the file, if there was anything."""
        if not self._batches:
            return []
        place = f"{self._folder}/samples-{uuid.uuid4().hex}.parquet"
        schema = self._table.schema
        table = pa.Table.from_batches([pa.ipc.read_record_batch(batch, schema) for batch in self._batches], schema)
        with written_whole(place) as stream:  # no dictionary: of descriptors no number comes twice
            parquet.write_table(table, stream, use_dictionary=False, compression="none")
        self._batches, self._rows = [], 0
        return [place]
