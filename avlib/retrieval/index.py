"""The manifest of a collection's index: what it was made from, which files it is made of, how they are searched.

An index is a folder of shards. A shard is some samples of the collection in three files: their picture descriptors and
their sound descriptors, L2-normalised (FAISS), and their rows (Arrow: sample_id, uri, time_s, component_id, audio),
which are in the same order, so that a position found in one names the row in the other. The manifest is written last,
so a reader finds the old index until the new one is whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from avlib.config import AudioSettings, ContextSettings
from avlib.errors import WarehouseError
from avlib.models import StoredModel
from avlib.storage import is_file, read_whole, write_whole

MODALITIES = ("visual", "audio")
ROWS = "rows"

FORMAT = 3
"""Raised when the files of an index change their meaning; an index of another format has to be made anew."""


@dataclass(frozen=True)
class Shard:
    """One file.  modality: `visual`, `audio`, or `rows`.  number: of the shard.  file: relative to the manifest.

    samples: in it.  sha256: of its bytes.
    """

    modality: str
    number: int
    file: str
    samples: int
    sha256: str


@dataclass(frozen=True)
class CellProbing:
    """How the cells of one modality are searched.

    cells: how many there are.  probes: of them, nearest to the query, are searched.  recall: share of the true 20
    nearest of other videos that this found, for random samples.
    """

    cells: int
    probes: int
    recall: float


@dataclass(frozen=True)
class SoundDescription:
    """How the sound of a query becomes a descriptor: what `avlib describe` did with the videos' sound."""

    frame_rate_hz: float
    audio: AudioSettings
    context: ContextSettings


@dataclass(frozen=True)
class IndexManifest:
    """What an index was made from, and its files.

    collection_id, collection_version: of the collection, as Delta names it.  made_with: hash of [index].  model: what
    describes query pictures.  audio: the sound descriptor that the audio shards hold.  stats_version, mean, deviation:
    the statistics the sound descriptors were standardised with.  sound: how query sounds are described, None where the
    record of it is lost.  cells: by modality; none of a flat index.  nearest: by modality, ascending, how far random
    samples are from the nearest sample of any other video; empty where there is but one video.
    """

    collection_id: str
    collection_version: int
    stats_version: int
    made_with: str
    audio: str
    model: StoredModel
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    sound: SoundDescription | None
    cells: Mapping[str, CellProbing]
    nearest: Mapping[str, tuple[float, ...]]
    shards: tuple[Shard, ...]

    def of_modality(self, modality: str) -> list[Shard]:
        """The files of one modality, or the rows, by number."""
        return sorted((one for one in self.shards if one.modality == modality), key=lambda one: one.number)

    @property
    def samples(self) -> int:
        """Of the collection."""
        return sum(shard.samples for shard in self.of_modality(ROWS))


def index_folder(warehouse: str, name: str) -> str:
    """Where the index of a filter run lies."""
    return f"{warehouse}/index/{name}"


def write_manifest(folder: str, manifest: IndexManifest) -> None:
    """Make an index visible."""
    values = asdict(manifest) | {"format": FORMAT}
    if manifest.sound is not None:
        values["sound"] |= {
            "audio": manifest.sound.audio.model_dump(mode="json"),
            "context": manifest.sound.context.model_dump(mode="json"),
        }
    write_whole(f"{folder}/manifest.json", json.dumps(values, indent=1).encode())


def read_manifest(folder: str) -> IndexManifest | None:
    """The manifest of the index in a folder, None where there is none. Raises WarehouseError if it is damaged."""
    place = f"{folder}/manifest.json"
    if not is_file(place):
        return None
    try:
        values = json.loads(read_whole(place).to_pybytes())
        if values.get("format") != FORMAT:
            raise WarehouseError(f"{place}: an index of another version of avlib; run `avlib index` again")
        return IndexManifest(
            collection_id=values["collection_id"],
            collection_version=values["collection_version"],
            stats_version=values["stats_version"],
            made_with=values["made_with"],
            audio=values["audio"],
            model=StoredModel(**values["model"]),
            mean=tuple(values["mean"]),
            deviation=tuple(values["deviation"]),
            sound=_sound(values["sound"]),
            cells={modality: CellProbing(**cells) for modality, cells in values["cells"].items()},
            nearest={modality: tuple(distances) for modality, distances in values["nearest"].items()},
            shards=tuple(Shard(**shard) for shard in values["shards"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise WarehouseError(f"{place}: not an index manifest ({error}); run `avlib index` again") from None


def _sound(values: Mapping[str, object] | None) -> SoundDescription | None:
    if values is None:
        return None
    audio, context = AudioSettings.model_validate(values["audio"]), ContextSettings.model_validate(values["context"])
    return SoundDescription(float(str(values["frame_rate_hz"])), audio, context)
