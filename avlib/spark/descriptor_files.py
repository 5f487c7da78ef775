"""Descriptors of samples, read where they lie: by tasks, from the Parquet files of their table.

A number of a list takes Spark tens of nanoseconds on its way to Python, and Arrow's reader about five. So rows go
through Spark without their descriptors, but with the file that has these; a task finds them in it by their keys. Either
all rows of a part of a file come to one task, or those that belong together, of all files.
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
from pyspark.sql.types import ArrayType

from avlib.arrays import Int64Array
from avlib.columns import descriptor_column, descriptor_rows
from avlib.errors import WarehouseError
from avlib.spark.resources import slots
from avlib.storage import filesystem

FILE, PART = "file", "part"
"""Columns: the name of a row's file in the table's folder, and where the part of it begins that Spark reads at once."""

ArrowFunction = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]
"""What mapInArrow takes."""

_KEY = ("sample_id", "attempt")
_READERS_A_SLOT = 4  # tasks: parts of files fall to them by hash, and some get several
_BUFFER_BYTES = 1 << 20
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

    @property
    def are_near(self) -> bool:
        """Whether to read them several times costs little: they are on a file system, no object store."""
        return isinstance(filesystem(self.folder)[0], fs.LocalFileSystem)

    def hold(self, samples: DataFrame, names: Sequence[str]) -> bool:
        """Whether they have columns of these names, and all that are lists: others are another table's."""
        held = [name for name in names if name in self.columns]
        lists = [name for name in names if isinstance(samples.schema[name].dataType, ArrayType)]
        return bool(held) and set(lists) <= set(held)

    def map_in_arrow(
        self, samples: DataFrame, names: Sequence[str], function: ArrowFunction, schema: pa.Schema
    ) -> DataFrame:
        """As `samples.select(*names).mapInArrow(function, schema)`, but sooner; the batches may have other columns.

        samples: sample_id, each once, attempt, FILE, PART, and the names. Where some of these are lists of another
        table, Spark hands over all: tasks do not hold such.
        A task raises WarehouseError, naming the file, where one has gone, is damaged, or lacks a row.
        """
        if not self.hold(samples, names):
            return samples.select(*names).mapInArrow(function, from_arrow_schema(schema))
        rows = self._named(samples, names, PART)
        rows = rows.repartition(_READERS_A_SLOT * slots(samples.sparkSession), FILE, PART).drop(PART)
        own = self._of(names)
        return rows.mapInArrow(lambda batches: function(own.described(batches)), from_arrow_schema(schema))

    def map_by_number(
        self,
        samples: DataFrame,
        names: Sequence[str],
        function: Callable[[pa.Table, Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]],
        schema: pa.Schema,
        *,
        tasks: int,
    ) -> DataFrame:
        """As `map_in_arrow`, where the files hold all lists; rows of one `number`, one of the names, meet in a task.

        tasks: so many read all files, each for the rows whose numbers leave the same remainder.  function: gets all
        rows of the task, without what the files hold, besides the batches, which have these and it.
        """
        own, rows = self._of(names), self._named(samples, names)

        def apply(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            given = _together(batches)
            return function(given, own.described([given])) if len(given) else iter(())

        rows = rows.repartitionById(tasks, F.pmod("number", F.lit(tasks)))
        return rows.mapInArrow(apply, from_arrow_schema(schema))

    def _named(self, samples: DataFrame, names: Sequence[str], *others: str) -> DataFrame:
        """Samples without what the files hold, and with what they are found by."""
        return samples.select(*dict.fromkeys([*_KEY, FILE, *others, *(n for n in names if n not in self.columns)]))

    def _of(self, names: Sequence[str]) -> DescriptorFiles:
        return replace(self, columns={name: column for name, column in self.columns.items() if name in names})

    def described(self, batches: Iterable[pa.RecordBatch | pa.Table]) -> Iterator[pa.RecordBatch]:
        """Rows, each with its FILE, in any order, and these columns of theirs."""
        rows = _together(batches)
        system, folder = filesystem(self.folder)
        for name in compute.unique(rows[FILE]).to_pylist():
            own = rows.filter(compute.equal(rows[FILE], name)).drop_columns([FILE])
            own = own.sort_by("sample_id").combine_chunks()
            try:
                yield from self._of_file(system, f"{folder}/{name}", own)
            except (OSError, pa.ArrowInvalid) as error:
                said = (str(error).strip() or type(error).__name__).splitlines()[0]
                raise WarehouseError(
                    f"{self.folder}/{name} cannot be read by a task: {said}; every machine has to see the warehouse, "
                    "and nothing may remove files of it (VACUUM) meanwhile. Run the same command again; if the file is "
                    "lost, describe its videos again"
                ) from error

    def _of_file(self, system: fs.FileSystem, path: str, rows: pa.Table) -> Iterator[pa.RecordBatch]:
        # On an object store every read is a request, that takes long, and may ask for much; of a disk a little is read
        # at a time, as a group of rows may have 128 MB.
        is_local = isinstance(system, fs.LocalFileSystem)
        times = np.zeros(len(rows), np.int64)
        with parquet.ParquetFile(
            path, filesystem=system, pre_buffer=not is_local, buffer_size=_BUFFER_BYTES if is_local else 0
        ) as file:
            for group, wanted, at in _found(file, rows):
                times += np.bincount(at, minlength=len(rows))
                first = 0
                columns = list(self.columns.values())
                for read in file.iter_batches(_READ_ROWS, row_groups=[group], columns=columns, use_threads=False):
                    start, stop = np.searchsorted(wanted, [first, first + len(read)])
                    if start < stop:
                        yield self._joined(rows, at[start:stop], read, wanted[start:stop] - first)
                    first += len(read)
        if wrong := np.count_nonzero(times != 1):
            raise WarehouseError(
                f"{path}: {wrong} samples are missing, or there twice; describe its videos again, or go back to an "
                "earlier version of the table (Delta's RESTORE)"
            )

    def _joined(self, rows: pa.Table, at: Int64Array, read: pa.RecordBatch, here: Int64Array) -> pa.RecordBatch:
        (known,) = rows.take(pa.array(at)).to_batches()
        columns = {name: known[name] for name in known.schema.names}
        columns |= {name: _taken(read[column], here) for name, column in self.columns.items()}
        return pa.RecordBatch.from_pydict(columns)


def _together(batches: Iterable[pa.RecordBatch | pa.Table]) -> pa.Table:
    """Rows of files; their names, which most have in common, once each."""
    given = [pa.Table.from_batches([one]) if isinstance(one, pa.RecordBatch) else one for one in batches]
    if not given:
        return pa.table({FILE: []})
    rows = pa.concat_tables(given)
    return rows.set_column(rows.schema.get_field_index(FILE), FILE, rows[FILE].dictionary_encode())


def _taken(column: pa.ListArray, rows: Int64Array) -> pa.ListArray:
    """These rows of descriptors. Arrow takes lists number by number, which takes longer than to read them."""
    if len(rows) == len(column):
        return column
    lengths = column.value_lengths().to_numpy()
    if column.null_count or (lengths != lengths[0]).any():
        return column.take(pa.array(rows))
    return descriptor_column(descriptor_rows(column)[rows])


def _found(file: parquet.ParquetFile, rows: pa.Table) -> Iterator[tuple[int, Int64Array, Int64Array]]:
    """Where a file has the rows, in ascending order of their ids: group, positions in it, and of which rows."""
    ids, attempts = (rows[name].to_numpy() for name in _KEY)
    groups = [group for group in range(file.num_row_groups) if _may_have(file, group, ids)]
    if not groups:
        return
    keys = file.read_row_groups(groups, columns=list(_KEY), use_threads=False)
    found_ids, found_attempts = (keys[name].to_numpy() for name in _KEY)
    at = np.searchsorted(ids, found_ids).clip(max=len(ids) - 1)
    wanted = (ids[at] == found_ids) & (attempts[at] == found_attempts)
    first = 0
    for group in groups:
        here = slice(first, first + file.metadata.row_group(group).num_rows)
        if wanted[here].any():
            yield group, np.flatnonzero(wanted[here]), at[here][wanted[here]]
        first = here.stop


def _may_have(file: parquet.ParquetFile, group: int, ids: Int64Array) -> bool:
    """Whether some of the ascending ids may be in a group of rows, by what the footer says of it."""
    bounds = file.metadata.row_group(group).column(file.schema.names.index(_KEY[0])).statistics
    if bounds is None or not bounds.has_min_max:
        return True
    return bool(np.searchsorted(ids, bounds.min) < np.searchsorted(ids, bounds.max, side="right"))
