"""The FAISS index of a collection: shards of flat indexes, memory-mapped, and a manifest that vouches for them.

A shard holds L2-normalised descriptors; its ids are sample ids. The manifest is written last, so a reader finds the
old index until the new one is whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import faiss
import numpy as np

from avlib.arrays import Float32Array, Int64Array
from avlib.errors import WarehouseError
from avlib.models import StoredModel
from avlib.storage import is_file, local_copy, read_whole, write_whole


@dataclass(frozen=True)
class Shard:
    """One index file.  modality: `visual` or `audio`.  file: relative to the manifest.  sha256: of its bytes."""

    modality: str
    file: str
    samples: int
    sha256: str


@dataclass(frozen=True)
class IndexManifest:
    """What an index was made from, and its files.

    collection_version: Delta version of the collection.  model: what describes query pictures.  audio: the sound
    descriptor that the audio shards hold.
    stats_version, mean, deviation: the statistics the sound descriptors were standardised with.
    """

    collection_version: int
    stats_version: int
    audio: str
    model: StoredModel
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    shards: tuple[Shard, ...]

    def of_modality(self, modality: str) -> list[Shard]:
        """The shards of one modality."""
        return [shard for shard in self.shards if shard.modality == modality]


def index_folder(warehouse: str, name: str) -> str:
    """Where the index of a filter run lies."""
    return f"{warehouse}/index/{name}"


def write_shard(folder: str, file: str, *, modality: str, ids: Int64Array, descriptors: Float32Array) -> Shard:
    """Write one shard. ids: shape (n,).  descriptors: shape (n, d), L2-normalised."""
    flat = faiss.IndexFlatL2(descriptors.shape[1])
    index = faiss.IndexIDMap2(flat)
    index.add_with_ids(np.ascontiguousarray(descriptors), ids)
    content = faiss.serialize_index(index).tobytes()
    write_whole(f"{folder}/{file}", content)
    return Shard(modality, file, len(ids), hashlib.sha256(content).hexdigest())


def write_manifest(folder: str, manifest: IndexManifest) -> None:
    """Make an index visible."""
    write_whole(f"{folder}/manifest.json", json.dumps(asdict(manifest), indent=1).encode())


def read_manifest(folder: str) -> IndexManifest | None:
    """The manifest of the index in a folder, None where there is none. Raises WarehouseError if it is damaged."""
    place = f"{folder}/manifest.json"
    if not is_file(place):
        return None
    try:
        values = json.loads(read_whole(place).to_pybytes())
        return IndexManifest(
            collection_version=values["collection_version"],
            stats_version=values["stats_version"],
            audio=values["audio"],
            model=StoredModel(**values["model"]),
            mean=tuple(values["mean"]),
            deviation=tuple(values["deviation"]),
            shards=tuple(Shard(**shard) for shard in values["shards"]),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise WarehouseError(f"{place}: not an index manifest ({error}); run `avlib index` again") from None


class ShardedIndex:
    """Searches all shards of one modality. Files are hash-checked, then memory-mapped.

    Raises WarehouseError where a file is missing or is not what the manifest says.
    """

    def __init__(self, folder: str, shards: Sequence[Shard]) -> None:
        self._indexes = [_open_shard(folder, shard) for shard in shards]

    def search(self, query: Float32Array, count: int) -> tuple[Int64Array, Float32Array]:
        """The nearest samples of one query.  query: shape (d,), L2-normalised.

        Returns (ids, distances), at most `count` of each, ascending by (distance, id); distances are Euclidean.
        """
        found = [index.search(query[None], min(count, index.ntotal)) for index in self._indexes]
        distances = np.concatenate([squares[0] for squares, _ in found] or [np.empty(0, np.float32)])
        ids = np.concatenate([ids[0] for _, ids in found] or [np.empty(0, np.int64)])
        order = np.lexsort((ids, distances))[:count]
        return ids[order], np.sqrt(np.maximum(distances[order], 0))


def _open_shard(folder: str, shard: Shard) -> faiss.Index:
    place = f"{folder}/{shard.file}"
    if not is_file(place):
        raise WarehouseError(f"{place}: an index file is missing; run `avlib index` again")
    file = local_copy(place)
    with file.open("rb") as content:
        if hashlib.file_digest(content, "sha256").hexdigest() != shard.sha256:
            raise WarehouseError(f"{place}: not the file its manifest names; run `avlib index` again")
    return faiss.read_index(str(file), faiss.IO_FLAG_MMAP_IFC)
