"""Query picture → nearest clean samples → their sound, cut from its video (Solèr et al. 2016, §3.3). No Spark."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.dataset as ds
import soundfile

from avlib import tables
from avlib.arrays import Float32Array
from avlib.config import SuggestSettings
from avlib.descriptors import normalise_visual
from avlib.errors import AvlibError, WarehouseError
from avlib.media import load_picture
from avlib.retrieval.index import ShardedIndex, index_folder, read_manifest
from avlib.sources import Sources
from avlib.warehouse import Warehouse


@dataclass(frozen=True)
class Suggestion:
    """One suggested sound.

    time_s: of the sample in its video.  distance: between the normalised picture descriptors, in [0, 2].
    duration_s: of the sound that was cut; the time asked for, or all there is.  file: the WAV, None where none was
    asked for or the source is gone; `unavailable` then says why.
    """

    rank: int
    uri: str
    time_s: float
    distance: float
    sample_id: int
    duration_s: float | None = None
    file: str | None = None
    unavailable: str | None = None


class Suggester:
    """Suggests sounds for pictures from one filter run's collection.

    Raises WarehouseError where there is no index, it is older than the collection, or the collection is empty.
    """

    def __init__(self, warehouse: Warehouse, settings: SuggestSettings) -> None:
        folder = index_folder(warehouse.uri, warehouse.name)
        manifest = read_manifest(folder)
        if manifest is None:
            warehouse.open(tables.COLLECTION)
            raise WarehouseError(f"{folder}: no index; run `avlib index --warehouse {warehouse.uri}`")
        self._collection = warehouse.open(tables.COLLECTION)
        if self._collection.version() != manifest.collection_version:
            raise WarehouseError(f"{folder}: the index is older than the collection; run `avlib index` again")
        if not manifest.shards:
            raise WarehouseError(
                f"{warehouse.uri}: the collection {warehouse.name} is empty, so there is nothing to suggest; filter "
                "with a lower components.min_size or a larger knn.k"
            )
        self._model = manifest.model.load(warehouse.uri)
        self._index = ShardedIndex(folder, manifest.of_modality("visual"))
        self._size_px = manifest.model.picture_size_px
        self._settings = settings

    def describe(self, picture: Path) -> Float32Array:
        """The descriptor of a query picture, shape (d,), L2-normalised. Raises InputError if it is no picture."""
        pixels = load_picture(picture, size_px=self._size_px, max_pixels=self._settings.max_pixels)
        descriptor: Float32Array = normalise_visual(self._model.describe(pixels[None]))[0]
        return descriptor

    def suggest(self, picture: Path) -> list[Suggestion]:
        """The nearest samples to a picture, best first. Raises InputError if it is no picture."""
        ids, distances = self._index.search(self.describe(picture), self._settings.top)
        wanted = ds.field("sample_id").isin(ids.tolist())
        columns = ["sample_id", "uri", "time_s"]
        rows = self._collection.to_pyarrow_dataset().to_table(columns=columns, filter=wanted).to_pylist()
        by_id = {row["sample_id"]: row for row in rows}
        return [
            Suggestion(rank, by_id[sample_id]["uri"], by_id[sample_id]["time_s"], float(distance), sample_id)
            for rank, (sample_id, distance) in enumerate(zip(ids.tolist(), distances, strict=True), start=1)
        ]


def cut_wav(sources: Sources, suggestion: Suggestion, *, duration_s: float, to: Path) -> Suggestion:
    """The suggestion with its sound written to a WAV file: duration_s centred on the sample, shifted at the ends.

    A source that is gone or has no sound there leaves the suggestion without a file, and says why.
    """
    try:
        with sources.open(suggestion.uri) as video:
            start_s = max(suggestion.time_s - duration_s / 2, 0.0)
            waveform, sample_rate_hz = video.cut_sound(video.probe(), start_s=start_s, duration_s=duration_s)
    except AvlibError as error:
        return replace(suggestion, unavailable=str(error))
    soundfile.write(to, waveform, sample_rate_hz, subtype="PCM_16")
    return replace(suggestion, file=str(to), duration_s=len(waveform) / sample_rate_hz)
