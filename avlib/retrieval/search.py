"""Nearest samples among all shards of an index. Files are hash-checked, then memory-mapped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from avlib.arrays import Float32Array, Int64Array
from avlib.columns import descriptor_rows
from avlib.retrieval.index import ROWS, IndexManifest, Shard
from avlib.retrieval.shards import open_descriptors, open_rows


@dataclass(frozen=True, eq=False)
class Neighbor:
    """A sample of the collection.  distance: of its normalised descriptor to the query's, in [0, 2]; 0 of a sample
    that was asked for by id.

    audio: shape (d,), its sound descriptor, normalised.  event: begin and end, in seconds, of the sound event around
    it, where that was looked for.
    """

    sample_id: int
    uri: str
    time_s: float
    component_id: int
    audio: Float32Array
    distance: float = 0.0
    event: tuple[float, float] | None = None


class SampleIndex:
    """The index of a collection, to be searched by picture or by sound. For any number of threads at a time.

    Raises WarehouseError where a file is missing or is not what the manifest says.
    """

    def __init__(self, folder: str, manifest: IndexManifest) -> None:
        self._folder, self._manifest = folder, manifest
        self._rows = [open_rows(folder, shard) for shard in manifest.of_modality(ROWS)]
        self._opened: dict[str, list[faiss.Index]] = {}
        self.open("visual")

    def open(self, modality: str) -> list[faiss.Index]:
        """The FAISS indexes of one modality, opened when first used: who asks by picture needs no sounds."""
        if modality not in self._opened:
            shards: list[Shard] = self._manifest.of_modality(modality)
            self._opened[modality] = [open_descriptors(self._folder, shard) for shard in shards]
        return self._opened[modality]

    def search(self, query: Float32Array, *, modality: str, count: int) -> list[Neighbor]:
        """The nearest samples, at most `count`, ascending by (distance, id).

        modality: `visual` or `audio`.  query: shape (d,), normalised as the index is.
        """
        indexes = self.open(modality)
        cells = self._manifest.cells.get(modality)
        if cells is None:
            found = [index.search(query[None], min(count, index.ntotal)) for index in indexes]
        else:
            found = _search_cells(indexes, query[None], count=count, probes=cells.probes)
        squares = np.concatenate([np.where(places[0] >= 0, parts[0], np.inf) for parts, places in found])
        farthest = np.partition(squares, count - 1)[count - 1] if count < len(squares) else np.inf
        near: list[Neighbor] = []
        for number, (parts, places) in enumerate(found):
            chosen = (places[0] >= 0) & (parts[0] <= farthest)  # -1: fewer were found than asked for
            near += self._neighbors(number, places[0][chosen], np.sqrt(np.maximum(parts[0][chosen], 0.0)))
        return sorted(near, key=lambda one: (one.distance, one.sample_id))[:count]

    def sample(self, sample_id: int) -> Neighbor | None:
        """The sample of this id, None where the collection has none."""
        for number, rows in enumerate(self._rows):
            position = pc.index(rows["sample_id"], sample_id).as_py()
            if position >= 0:
                return self._neighbors(number, np.array([position]), np.zeros(1, np.float32))[0]
        return None

    def _neighbors(self, number: int, positions: Int64Array, distances: Float32Array) -> list[Neighbor]:
        """The samples at some positions of a shard."""
        rows: pa.Table = self._rows[number].take(pa.array(positions))
        values = rows.drop_columns(["audio"]).to_pylist()
        audio = descriptor_rows(rows["audio"])
        all_of = zip(values, audio, distances.tolist(), strict=True)
        return [Neighbor(**row, audio=sound, distance=distance) for row, sound, distance in all_of]


def _search_cells(
    indexes: list[faiss.Index], query: Float32Array, *, count: int, probes: int
) -> list[tuple[Float32Array, Int64Array]]:
    """All shards have the same cells, looked for once. Where these hold too few samples all are searched."""
    shards: list[Any] = indexes  # IndexIVFFlat, as the manifest says; FAISS's stubs do not know its Python methods
    cell_squares, cells = shards[0].quantizer.search(query, probes)
    found = []
    for shard in shards:
        shard.nprobe = probes  # the same for whichever thread
        found.append(shard.search_preassigned(query, count, cells, cell_squares))
    wanted = min(count, sum(shard.ntotal for shard in shards))
    if sum(int((part[1] >= 0).sum()) for part in found) >= wanted:
        return found
    everywhere = faiss.SearchParametersIVF(nprobe=shards[0].nlist)  # type: ignore[call-arg]
    return [shard.search(query, count, params=everywhere) for shard in shards]
