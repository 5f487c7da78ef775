"""Blocks, the files that kNN's tasks read: a task has all samples of a block, or joins their pieces, and writes it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from avlib.arrays import Int32Array
from avlib.blocks import PackedBlock, write_block
from avlib.errors import WarehouseError
from avlib.identity import VIDEO_ID_SHIFT
from avlib.neighbors import Block

BLOCK_FILE = pa.schema(
    [
        ("scope", pa.string()),
        ("block", pa.int64()),
        ("rows", pa.int64()),
        ("samples", pa.int64()),
        ("size_bytes", pa.int64()),
    ]
)
"""Rows of BlockFile."""

_ID_BYTES, _FLOAT_BYTES = 8, 4
_ARRAYS = ("ids", "times_s", "visual", "audio", "components")

PIECE = pa.schema([("number", pa.int32())] + [(name, pa.binary()) for name in _ARRAYS])
"""Some samples of the block of a number: the arrays of PackedBlock, as Spark copies lists of numbers one by one."""


@dataclass(frozen=True)
class BlockFile:
    """A block that has been packed. samples: of the component that its scope is, where it is one of several blocks."""

    scope: str
    block: int
    rows: int
    samples: int
    size_bytes: int

    @property
    def name(self) -> str:
        """Of its file."""
        return block_name(self.scope, self.block)


class BlockKey(NamedTuple):
    """A block that is to be packed, as in BlockFile."""

    scope: str
    block: int
    samples: int = 0

    @property
    def name(self) -> str:
        """Of its file."""
        return block_name(self.scope, self.block)


def block_name(scope: str, block: int) -> str:
    """Of a block's file."""
    return f"{scope}-{block}"


def pieces(packed: PackedBlock, numbers: Int32Array) -> pa.RecordBatch:
    """Samples as rows of PIECE, one for each block. numbers: shape (n,), int32, the block of each sample."""
    order = np.argsort(numbers, kind="stable")
    found, starts = np.unique(numbers[order], return_index=True)
    parts = np.split(order, starts[1:])
    block = packed.block
    arrays = (block.ids, block.times_s, block.visual, block.audio, packed.components)
    columns = [pa.array([array[part].tobytes() for part in parts], pa.binary()) for array in arrays]
    return pa.RecordBatch.from_arrays([pa.array(found), *columns], schema=PIECE)


def of_pieces(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, PackedBlock]]:
    """The blocks that rows of PIECE make up, and their numbers.

    Raises WarehouseError, naming a sample, for descriptors of several dimensions.
    """
    found: dict[int, list[dict[str, Any]]] = {}
    for batch in batches:
        for row in batch.to_pylist():
            found.setdefault(row["number"], []).append(row)
    for number in list(found):
        yield number, _joined(found.pop(number))


@dataclass(frozen=True)
class BlockFiles:
    """Where blocks that have numbers are written.

    count: more than any number.  key: of the block of a number.  only: the names of those to be written; None: all.
    """

    folder: str
    count: int
    key: Callable[[int], BlockKey]
    only: Collection[str] | None = None

    def wanted(self, rows: DataFrame) -> DataFrame:
        """Those of rows with a number whose blocks are to be written."""
        if self.only is None:
            return rows
        return rows.where(F.col("number").isin([n for n in range(self.count) if self.key(n).name in self.only]))

    def write(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Blocks of which all rows of PIECE are given; returns theirs of BLOCK_FILE.

        Raises WarehouseError, naming a sample, for descriptors of several dimensions.
        """
        for number, packed in of_pieces(batches):
            yield self.write_one(number, packed)

    def write_one(self, number: int, packed: PackedBlock) -> pa.RecordBatch:
        """The whole block of a number; returns its row of BLOCK_FILE."""
        return write_file(self.folder, self.key(number), packed)

    def write_all(self, rows: DataFrame) -> list[BlockFile]:
        """The blocks of rows of PIECE, a task for each."""
        # By number: rows that Spark hashes into a few partitions leave some tasks the work of several.
        rows = self.wanted(rows).repartitionById(self.count, "number")
        return files_of(rows.mapInArrow(self.write, from_arrow_schema(BLOCK_FILE)))


def write_file(folder: str, key: BlockKey, packed: PackedBlock) -> pa.RecordBatch:
    """Write a block, its samples in ascending order of their ids; returns its row of BLOCK_FILE."""
    packed = packed.take(np.argsort(packed.block.ids))
    size_bytes = write_block(folder, key.name, packed)
    file = BlockFile(key.scope, key.block, len(packed.block), key.samples, size_bytes)
    return pa.RecordBatch.from_pylist([asdict(file)], schema=BLOCK_FILE)


def files_of(written: DataFrame) -> list[BlockFile]:
    """What was written. written: rows of BLOCK_FILE."""
    return [BlockFile(**row.asDict()) for row in written.collect()]


def unusable(sample_id: int, problem: str) -> WarehouseError:
    """The error for a sample whose descriptors cannot be used."""
    return WarehouseError(
        f"samples: sample {sample_id}, of video {sample_id >> VIDEO_ID_SHIFT}, {problem}; describe it again, into a "
        "new warehouse or after `avlib describe` with the settings you want"
    )


def of_other_dimension(name: str, sample_id: int, width: int, other: int, expected: int) -> WarehouseError:
    """The error for a sample whose descriptor has another dimension than another's."""
    return unusable(sample_id, f"has a {name} descriptor of {width} numbers, sample {other} one of {expected}")


def _joined(parts: Sequence[dict[str, Any]]) -> PackedBlock:
    """All samples of some pieces, in their order."""

    def joined(name: str, kind: type[np.generic]) -> np.ndarray:
        return np.concatenate([np.frombuffer(part[name], kind) for part in parts])

    ids, times_s, components = joined("ids", np.int64), joined("times_s", np.float64), joined("components", np.int64)
    for name in ("visual", "audio"):
        widths = [len(part[name]) // _FLOAT_BYTES // (len(part["ids"]) // _ID_BYTES) for part in parts]
        for part, width in zip(parts, widths, strict=True):
            if width != widths[0]:
                odd, one = (int(np.frombuffer(of["ids"], np.int64)[0]) for of in (part, parts[0]))
                raise of_other_dimension(name, odd, width, one, widths[0])
    visual, audio = (joined(name, np.float32).reshape(len(ids), -1) for name in ("visual", "audio"))
    return PackedBlock(Block(ids, visual, audio, times_s), components)
