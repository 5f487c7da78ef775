"""Blocks, the files that kNN's tasks read: samples come in pieces, and a task writes each block."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
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
from avlib.neighbors import Block, joined

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


def of_pieces(batches: Iterable[pa.RecordBatch]) -> dict[int, PackedBlock]:
    """The blocks that rows of PIECE make up, by their numbers.

    Raises WarehouseError, naming a sample, for descriptors of several dimensions.
    """
    found: dict[int, list[PackedBlock]] = {}
    for batch in batches:
        for row in batch.to_pylist():
            found.setdefault(row["number"], []).append(_packed(row))
    return {number: _joined(parts) for number, parts in found.items()}


def write_pieces(
    rows: DataFrame, folder: str, *, blocks: int, key: Callable[[int], BlockKey], only: Iterable[str] | None = None
) -> list[BlockFile]:
    """Write the blocks of PIECE rows, a task for each.

    blocks: more than any number.  key: of the block of a number.  only: the names of those to be written; None: all.
    A task raises WarehouseError, naming a sample, for descriptors of several dimensions.
    """

    def write(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for number, packed in of_pieces(batches).items():
            yield write_file(folder, key(number), packed)

    if only is not None:
        names = set(only)
        wanted = [number for number in range(blocks) if key(number).name in names]
        rows = rows.where(F.col("number").isin(wanted))
    # By number: rows that Spark hashes into a few partitions leave some tasks the work of several.
    return files_of(rows.repartitionById(blocks, "number").mapInArrow(write, from_arrow_schema(BLOCK_FILE)))


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


def _packed(piece: dict[str, Any]) -> PackedBlock:
    ids, components = (np.frombuffer(piece[name], np.int64) for name in ("ids", "components"))
    visual, audio = (np.frombuffer(piece[name], np.float32).reshape(len(ids), -1) for name in ("visual", "audio"))
    return PackedBlock(Block(ids, visual, audio, np.frombuffer(piece["times_s"], np.float64)), components)


def _joined(parts: Sequence[PackedBlock]) -> PackedBlock:
    for name in ("visual", "audio"):
        widths = [getattr(part.block, name).shape[1] for part in parts]
        for part, width in zip(parts, widths, strict=True):
            if width != widths[0]:
                sample = f"sample {parts[0].block.ids[0]} one of {widths[0]}"
                raise unusable(int(part.block.ids[0]), f"has a {name} descriptor of {width} numbers, {sample}")
    return PackedBlock(joined([part.block for part in parts]), np.concatenate([part.components for part in parts]))
