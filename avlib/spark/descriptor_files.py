"""Descriptors of samples, read where they lie: by tasks, from the Parquet files of their table.

A number of a list takes Spark tens of nanoseconds on its way to Python, and Arrow's reader one or two. So rows go
through Spark without their descriptors, but with the file that has these; all rows of a part of a file come to one
task, which reads that part once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from pyarrow import compute, fs, parquet
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from avlib.arrays import Int64Array
from avlib.errors import WarehouseError
from avlib.spark.resources import slots
from avlib.storage import filesystem

FILE, PART = "file", "part"
"""Columns: the name of a row's file in the table's folder, and where the part of it begins that Spark reads at once."""

_KEY = ("sample_id", "attempt")
_TASKS_A_SLOT = 4  # parts of files fall to tasks by hash: some get several
_READ_ROWS = 2_048  # at a time: 5 MB of the default descriptors


def with_files(rows: DataFrame) -> DataFrame:
    """Rows of a Delta table, as it was read, with FILE and PART."""
    return rows.withColumns({FILE: F.col("_metadata.file_name"), PART: F.col("_metadata.file_block_start")})


@dataclass(frozen=True)
class DescriptorFiles:
    """The files of a table of samples.

    folder: of the table.  columns: those that are read, by the names that they get.
    """

    folder: str
    columns: Mapping[str, str]

    def map_in_arrow(
        self,
        samples: DataFrame,
        names: Sequence[str],
        function: Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]],
        schema: pa.Schema,
    ) -> DataFrame:
        """As `samples.select(*names).mapInArrow(function, schema)`, but in sooner; the batches may have other columns.

        samples: sample_id, attempt, FILE, PART, and those of the names that are not among the files' columns.
        A task raises WarehouseError where a file has gone, or lacks a row.
        """
        held = {name: self.columns[name] for name in names if name in self.columns}
        own = replace(self, columns=held)
        others = [name for name in names if name not in (*held, *_KEY)]
        rows = samples.select(*_KEY, FILE, PART, *others)
        rows = rows.repartition(_TASKS_A_SLOT * slots(samples.sparkSession), FILE, PART).drop(PART)
        return rows.mapInArrow(lambda batches: function(own.described(batches)), from_arrow_schema(schema))

    def described(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Rows, each with its FILE, in any order, and these columns of theirs."""
        given = list(batches)
        rows = pa.Table.from_batches(given) if given else pa.table({FILE: []})
        for name in compute.unique(rows[FILE]).to_pylist():
            yield from self._of_file(name, rows.filter(compute.equal(rows[FILE], name)).drop_columns([FILE]))

    def _of_file(self, name: str, rows: pa.Table) -> Iterator[pa.RecordBatch]:
        rows = rows.sort_by("sample_id").combine_chunks()
        left = rows.num_rows
        system, path = filesystem(f"{self.folder}/{name}")
        # Small reads take long where they are requests.
        is_remote = not isinstance(system, fs.LocalFileSystem)
        try:
            with parquet.ParquetFile(path, filesystem=system, pre_buffer=is_remote) as file:
                for group in range(file.num_row_groups):
                    for batch in self._of_group(file, group, rows):
                        left -= batch.num_rows
                        yield batch
        except FileNotFoundError:
            raise WarehouseError(
                f"{self.folder}/{name}: the file has gone since this began, by a VACUUM or a copy that is not whole; "
                "run the same command again"
            ) from None
        if left:
            raise WarehouseError(f"{self.folder}/{name}: {left} samples that Spark finds in this file are not in it")

    def _of_group(self, file: parquet.ParquetFile, group: int, rows: pa.Table) -> Iterator[pa.RecordBatch]:
        keys = file.read_row_group(group, columns=list(_KEY), use_threads=False)
        ids, attempts = (rows[name].to_numpy() for name in _KEY)
        at = np.searchsorted(ids, keys["sample_id"].to_numpy()).clip(max=len(ids) - 1)
        wanted = (ids[at] == keys["sample_id"].to_numpy()) & (attempts[at] == keys["attempt"].to_numpy())
        if not wanted.any():
            return
        columns, first = list(self.columns.values()), 0
        for read in file.iter_batches(_READ_ROWS, row_groups=[group], columns=columns, use_threads=False):
            here = np.flatnonzero(wanted[first : first + len(read)])
            if len(here):
                yield self._joined(rows, at[first + here], read, here)
            first += len(read)

    def _joined(self, rows: pa.Table, at: Int64Array, read: pa.RecordBatch, here: Int64Array) -> pa.RecordBatch:
        if len(here) < len(read):
            read = read.take(pa.array(here))
        (known,) = rows.take(pa.array(at)).to_batches()
        columns = {name: known[name] for name in known.schema.names}
        columns |= {name: read[column] for name, column in self.columns.items()}
        return pa.RecordBatch.from_pydict(columns)
