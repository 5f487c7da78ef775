"""Samples on their way from describe's workers into the table: Parquet files, written where they are made.

They become the table's own files (`TableStore.append_files`): nobody reads or writes a descriptor a second time.
"""

from __future__ import annotations

import uuid
from contextlib import ExitStack

import numpy as np
import pyarrow as pa
from pyarrow import compute, parquet

from avlib import tables
from avlib.identity import VIDEO_ID_SHIFT
from avlib.storage import opened_to_write
from avlib.tables import Table

_FILE_ROWS = 28_000  # 128 MB of the default descriptors
_GROUP_ROWS = 512  # that wait in memory, until they are written as one row group


class SampleFiles:
    """Writes one task's samples into a folder, some thousand to a file.

    What a failed task had written lies there too: only files whose names arrive count.
    """

    def __init__(self, folder: str, table: Table = tables.SAMPLES) -> None:
        self._folder, self._table = folder, table
        self._waiting: list[pa.Buffer] = []
        self._waiting_rows = self._written_rows = 0
        self._place = ""
        self._writer: parquet.ParquetWriter | None = None
        self._open = ExitStack()

    def add(self, samples: pa.RecordBatch) -> list[str]:
        """Take some samples, columns as in the table; returns the file that became full, if one did."""
        # Into Arrow's own memory: rows that stay where a network's large buffers come and go keep these from finding
        # the same place again, and the worker would grow by 0.2 MB for each.
        self._waiting.append(samples.serialize())
        self._waiting_rows += len(samples)
        if self._waiting_rows >= _GROUP_ROWS:
            self._write_group()
        return self.finish() if self._written_rows >= _FILE_ROWS else []

    def finish(self) -> list[str]:
        """Write what has not been written; returns the file, if there was anything."""
        if self._waiting:
            self._write_group()
        if self._writer is None:
            return []
        self._writer.close()
        self._open.close()
        self._writer, self._written_rows = None, 0
        return [self._place]

    def _write_group(self) -> None:
        schema = self._table.schema
        group = pa.Table.from_batches([pa.ipc.read_record_batch(batch, schema) for batch in self._waiting], schema)
        _check(group)
        if self._writer is None:
            self._place = f"{self._folder}/{uuid.uuid4().hex}.parquet"
            stream = self._open.enter_context(opened_to_write(self._place))
            # no dictionary: of descriptors no number comes twice
            self._writer = parquet.ParquetWriter(stream, schema, use_dictionary=False, compression="none")
        self._writer.write_table(group)
        self._written_rows += self._waiting_rows
        self._waiting, self._waiting_rows = [], 0
        del group
        pa.default_memory_pool().release_unused()  # some 16 MB of a writer's buffers


def _check(table: pa.Table) -> None:
    """Raise ValueError where a descriptor is empty or not finite: Delta asks its CHECKs only of rows it writes."""
    videos = np.unique(table["sample_id"].to_numpy() >> VIDEO_ID_SHIFT).tolist()
    for field in table.schema:
        if not pa.types.is_list(field.type):
            continue
        if not compute.min(compute.list_value_length(table[field.name])).as_py():
            raise ValueError(f"a sample of videos {videos} has an empty {field.name}")
        if not all(np.isfinite(chunk.flatten()).all() for chunk in table[field.name].chunks):
            raise ValueError(f"{field.name} of a sample of videos {videos} has numbers that are not finite")
