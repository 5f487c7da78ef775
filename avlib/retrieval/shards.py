"""The files of an index: written by the tasks of the index stage, opened by whoever searches."""

from __future__ import annotations

import hashlib
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
from pyarrow import fs

from avlib.arrays import Float32Array
from avlib.errors import WarehouseError
from avlib.retrieval.index import ROWS, Shard
from avlib.storage import filesystem, is_file, local_copy, read_whole, write_whole

ROW_SCHEMA = pa.schema(
    [
        ("sample_id", pa.int64()),
        ("uri", pa.dictionary(pa.int32(), pa.string())),
        ("time_s", pa.float64()),
        ("component_id", pa.int64()),  # of the last step
        ("audio", pa.list_(pa.float32())),  # ready for distances, for who compares sounds
    ]
)

_READ_BYTES = 1 << 22
_TRAINED_ON = 64  # samples of a cell: FAISS asks for 39 and takes no more than 256


def train_ivf(descriptors: Float32Array, *, cells: int, seed: int = 0) -> faiss.IndexIVFFlat:
    """An index without samples, of so many cells (k-means).  descriptors: shape (n, d), n ≥ cells, L2-normalised."""
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(descriptors.shape[1]), descriptors.shape[1], cells)
    index.cp.seed, index.cp.niter = seed, 10
    index.cp.max_points_per_centroid = _TRAINED_ON
    index.cp.min_points_per_centroid = 1  # where there are few, FAISS need not say so
    index.train(np.ascontiguousarray(descriptors))
    return index


def samples_to_train(cells: int) -> int:
    """How many samples `train_ivf` makes use of."""
    return _TRAINED_ON * cells


def write_ivf(file: str, cells: faiss.IndexIVFFlat) -> None:
    """Keep cells, for all tasks to fill copies of them."""
    write_whole(file, faiss.serialize_index(cells).tobytes())


def read_ivf(file: str) -> faiss.IndexIVFFlat:
    """The cells that `write_ivf` kept."""
    cells = faiss.deserialize_index(np.frombuffer(read_whole(file), np.uint8))
    assert isinstance(cells, faiss.IndexIVFFlat)
    return cells


def write_descriptors(
    folder: str, file: str, *, modality: str, number: int, descriptors: Float32Array, cells: faiss.IndexIVFFlat | None
) -> Shard:
    """Write one shard's descriptors, shape (n, d), L2-normalised: into cells, or without, to be searched one by one.

    cells: as `train_ivf` made it; samples are added to it.
    """
    index = faiss.IndexFlatL2(descriptors.shape[1]) if cells is None else cells
    index.add(np.ascontiguousarray(descriptors))
    return _write(folder, Shard(modality, number, file, len(descriptors), ""), faiss.serialize_index(index).tobytes())


def write_rows(folder: str, file: str, *, number: int, rows: pa.Table) -> Shard:
    """Write the rows of one shard, with the columns of ROW_SCHEMA, ascending by sample_id."""
    encoded = rows.set_column(
        rows.schema.get_field_index("uri"), "uri", rows["uri"].combine_chunks().dictionary_encode()
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, ROW_SCHEMA) as writer:
        writer.write_table(encoded.select(ROW_SCHEMA.names).cast(ROW_SCHEMA).combine_chunks())
    return _write(folder, Shard(ROWS, number, file, rows.num_rows, ""), sink.getvalue().to_pybytes())


def open_descriptors(folder: str, shard: Shard) -> faiss.Index:
    """The index in a file, its descriptors memory-mapped. Raises WarehouseError where it is missing or another."""
    file = str(_checked(folder, shard))
    index = faiss.read_index(file, faiss.IO_FLAG_MMAP_IFC)
    if isinstance(index, faiss.IndexIVFFlat):  # that flag maps flat indexes only, this one only cells
        return faiss.read_index(file, faiss.IO_FLAG_MMAP)
    return index


def open_rows(folder: str, shard: Shard) -> pa.Table:
    """The rows in a file, memory-mapped. Raises WarehouseError where it is missing or another."""
    return pa.ipc.open_file(pa.memory_map(str(_checked(folder, shard)))).read_all()


def is_whole(folder: str, shard: Shard) -> bool:
    """Whether a file is there, and is what the manifest says. Reads all of it."""
    system, path = filesystem(f"{folder}/{shard.file}")
    if system.get_file_info(path).type != fs.FileType.File:
        return False
    digest = hashlib.sha256()
    with system.open_input_stream(path) as content:
        while part := content.read(_READ_BYTES):
            digest.update(part)
    return digest.hexdigest() == shard.sha256


def _write(folder: str, shard: Shard, content: bytes) -> Shard:
    write_whole(f"{folder}/{shard.file}", content)
    digest = hashlib.sha256(content).hexdigest()
    return Shard(shard.modality, shard.number, shard.file, shard.samples, digest)


def _checked(folder: str, shard: Shard) -> Path:
    place = f"{folder}/{shard.file}"
    if not is_file(place):
        raise WarehouseError(f"{place}: an index file is missing; run `avlib index` again")
    file = local_copy(place)
    with file.open("rb") as content:
        if hashlib.file_digest(content, "sha256").hexdigest() != shard.sha256:
            raise WarehouseError(f"{place}: not the file its manifest names; run `avlib index` again")
    return file
