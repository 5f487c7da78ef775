"""Blocks of samples on shared storage: written once, read by every task that compares them.

Where the folder is local, or mounted, blocks are mapped into memory; elsewhere they are read by ranges into a cache of
the task, whose size is limited.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import fs

from avlib.arrays import Int64Array
from avlib.columns import descriptor_column, descriptor_rows
from avlib.errors import ConfigError, LostBlockError
from avlib.fetching import own_folder
from avlib.neighbors import Block
from avlib.storage import filesystem, write_whole

_RANGE_BYTES = 8 << 20


@dataclass(frozen=True, eq=False)
class PackedBlock:
    """A block, and each sample's component in the step before.  components: shape (n,), int64."""

    block: Block
    components: Int64Array

    @classmethod
    def of_one_component(cls, block: Block) -> PackedBlock:
        """A component, or a part of one."""
        return cls(block, np.zeros(len(block), np.int64))

    def take(self, rows: Int64Array) -> PackedBlock:
        """The samples at these positions, in this order."""
        return PackedBlock(self.block.take(rows), self.components[rows])


def write_block(folder: str, name: str, packed: PackedBlock) -> int:
    """Write a block as an Arrow file, whole or not at all. Returns its size in bytes, by which it is known."""
    block = packed.block
    columns = {
        "ids": pa.array(block.ids),
        "components": pa.array(packed.components),
        "times_s": pa.array(block.times_s),
        "visual": descriptor_column(block.visual),
        "audio": descriptor_column(block.audio),
    }
    table = pa.table(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    content = sink.getvalue()
    write_whole(_place(folder, name), content)
    return int(content.size)


class BlockStore:
    """Reads blocks from a folder.

    cache: a local folder for copies of blocks that cannot be mapped where they lie; None where all can.
    cache_bytes: what it may hold; the copies not read for longest go first.
    """

    def __init__(self, folder: str, *, cache: Path | None, cache_bytes: int) -> None:
        self._folder, self._cache, self._cache_bytes = folder, cache, cache_bytes
        self._cached: OrderedDict[str, int] = OrderedDict()  # bytes by name, the one read last at the end

    def read(self, name: str, *, size_bytes: int) -> PackedBlock:
        """A block. Raises LostBlockError unless the file is there, as large as it was written, and whole."""
        system, path = filesystem(_place(self._folder, name))
        try:
            local = path if self._cache is None else str(self._copy(self._cache, name, system, path, size_bytes))
            content = pa.memory_map(local).read_buffer()
            if content.size != size_bytes:
                raise LostBlockError(name, f"has {content.size} bytes, not {size_bytes}")
            rows = pa.ipc.open_file(content).read_all()
        except (FileNotFoundError, pa.ArrowInvalid) as error:
            raise LostBlockError(name, f"cannot be read: {str(error).splitlines()[0]}") from None
        visual, audio = (descriptor_rows(rows[modality]) for modality in ("visual", "audio"))
        ids, times_s = rows["ids"].to_numpy(), rows["times_s"].to_numpy()
        return PackedBlock(Block(ids, visual, audio, times_s), rows["components"].to_numpy())

    def _copy(self, cache: Path, name: str, system: fs.FileSystem, path: str, size_bytes: int) -> Path:
        copy = cache / name
        if name in self._cached:
            self._cached.move_to_end(name)
            return copy
        if size_bytes > self._cache_bytes:
            raise ConfigError(
                f"knn.cache_bytes = {self._cache_bytes}: one block takes {size_bytes}; allow more, or lower "
                "knn.block_rows"
            )
        while sum(self._cached.values()) + size_bytes > self._cache_bytes:
            oldest, _ = self._cached.popitem(last=False)
            (cache / oldest).unlink()
        with system.open_input_file(path) as source, copy.open("wb") as target:
            for start in range(0, source.size(), _RANGE_BYTES):
                target.write(source.read_at(_RANGE_BYTES, start))
        self._cached[name] = size_bytes
        return copy


@contextmanager
def open_blocks(folder: str, *, cache_bytes: int) -> Iterator[BlockStore]:
    """A BlockStore for one task, whose cache, if it needs one, goes with it."""
    if isinstance(filesystem(folder)[0], fs.LocalFileSystem):
        yield BlockStore(folder, cache=None, cache_bytes=cache_bytes)
        return
    with own_folder(folder) as cache:
        yield BlockStore(folder, cache=cache, cache_bytes=cache_bytes)


def _place(folder: str, name: str) -> str:
    return f"{folder}/{name}.arrow"
