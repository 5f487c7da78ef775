"""A filtered and indexed warehouse of three short videos, each of one look and one sound. Made without Spark."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import deltalake
import numpy as np
import pyarrow as pa
from index_files import build_index
from PIL import Image

from avlib import tables
from avlib.arrays import Float32Array, UInt8Array
from avlib.columns import descriptor_column
from avlib.config import Settings, load_settings
from avlib.demo.encode import write_video
from avlib.demo.plan import Format
from avlib.descriptors import HOG_COLOR, DescriptorStats, load_visual_descriptor, mfcc_windows
from avlib.identity import sample_ids
from avlib.media import normalise_picture
from avlib.models import StoredModel
from avlib.retrieval.index import SoundDescription, index_folder, write_manifest

RATE_HZ = 16_000
DURATION_S = 6.0
TIMES_S = np.arange(1.0, 5.0, 0.2)

_FORMAT = Format("mp4", "libx264", "aac", (256, 192), 10, RATE_HZ, 1)
_VERSION = {tables.SCHEMA_VERSION_PROPERTY: str(tables.SCHEMA_VERSION)}


@dataclass(frozen=True)
class SmallWarehouse:
    """uri: of the warehouse.  videos, queries: files by name; a query looks like its video."""

    uri: str
    videos: Mapping[str, Path]
    queries: Mapping[str, Path]
    settings: Settings

    @property
    def collection_id(self) -> str:
        """What Delta calls the collection."""
        return str(deltalake.DeltaTable(tables.COLLECTION.path(self.uri, "default")).metadata().id)

    def write_collection(self, rows: pa.Table) -> None:
        """Replace the collection: the next version."""
        place = tables.COLLECTION.path(self.uri, "default")
        deltalake.write_deltalake(place, rows, mode="overwrite")
        first = Path(place, "_delta_log", f"{0:020}.json")
        # deltalake writes no properties but Delta's own
        first.write_text(first.read_text().replace('"configuration":{}', f'"configuration":{json.dumps(_VERSION)}'))


def looks() -> dict[str, UInt8Array]:
    """Pictures that nobody mixes up. Shape (192, 256, 3)."""
    y, x = np.mgrid[:192, :256]
    stripes = np.where((x // 8) % 2, 255, 40)[..., None] * np.array([1.0, 0.15, 0.1])
    checks = np.where((x // 32 + y // 32) % 2, 230, 20)[..., None] * np.array([0.1, 0.3, 1.0])
    bars = np.where((y // 12) % 2, 240, 60)[..., None] * np.array([0.2, 1.0, 0.2])
    return {name: values.astype(np.uint8) for name, values in (("red", stripes), ("blue", checks), ("green", bars))}


def sounds() -> dict[str, Float32Array]:
    """Sounds likewise: a tone, noise, a rumble. At RATE_HZ, DURATION_S long."""
    random, time_s = np.random.default_rng(0), np.arange(round(DURATION_S * RATE_HZ)) / RATE_HZ
    swell = 1 + 0.5 * np.sin(2 * np.pi * 0.4 * time_s)
    rumble = np.convolve(random.normal(size=time_s.size), np.ones(60) / 8, mode="same")
    made = {"red": np.sin(2 * np.pi * 440 * time_s), "blue": random.normal(size=time_s.size), "green": rumble}
    return {name: (0.1 * swell * wave).astype(np.float32) for name, wave in made.items()}


def make_warehouse(folder: Path) -> SmallWarehouse:
    """Make all of it in an empty folder."""
    settings = load_settings()
    made = SmallWarehouse(
        str(folder / "warehouse"),
        {name: folder / "secret" / "place" / f"{name}.mp4" for name in looks()},
        {name: folder / f"query-{name}.png" for name in looks()},
        settings,
    )
    made.videos["red"].parent.mkdir(parents=True)
    hog, heard = load_visual_descriptor(HOG_COLOR, None), sounds()
    parts, visual, audio = [], [], []
    for number, (name, picture) in enumerate(looks().items()):
        frames = (picture for _ in range(round(DURATION_S * _FORMAT.frame_rate_hz)))
        write_video(made.videos[name], _FORMAT, frames, heard[name][:, None])
        Image.fromarray(picture).save(made.queries[name])
        noisy = np.random.default_rng(number).normal(scale=6, size=(len(TIMES_S), *picture.shape)) + picture
        shown = np.stack([normalise_picture(np.clip(one, 0, 255).astype(np.uint8), size_px=224) for one in noisy])
        visual.append(hog.describe(shown))
        described = settings.describe
        audio.append(mfcc_windows(heard[name], times_s=TIMES_S, frame_rate_hz=25.0, settings=described.audio))
        parts.append(_rows(number, made.videos[name], visual[-1], audio[-1]))
    rows = pa.concat_tables(parts)
    made.write_collection(rows)
    ids = rows["sample_id"].to_numpy()
    place = Path(index_folder(made.uri, "default"))
    all_audio = np.concatenate(audio)
    wide = all_audio.astype(np.float64)
    stats = DescriptorStats(wide.mean(axis=0), wide.std(axis=0), len(ids))
    manifest = build_index(place, ids, np.concatenate(visual), all_audio, settings.index, uris=rows["uri"], stats=stats)
    sound = SoundDescription(25.0, settings.describe.audio, settings.describe.audio_context)
    model = StoredModel(HOG_COLOR, None, hog.model_hash, 224)
    write_manifest(str(place), replace(manifest, model=model, sound=sound, collection_id=made.collection_id))
    return made


def _rows(video: int, path: Path, visual: Float32Array, audio: Float32Array) -> pa.Table:
    ids = sample_ids(video, np.rint(TIMES_S * 25).astype(np.int64))
    columns = {
        "sample_id": ids,
        "video_id": np.full(len(ids), video),
        "uri": [str(path)] * len(ids),
        "time_s": TIMES_S,
        "component_ids": [[video]] * len(ids),
        "score": pa.nulls(len(ids), pa.float64()),
        "visual": descriptor_column(visual),
        "audio": descriptor_column(audio),
        "audio_descriptor": ["audio_mfcc65"] * len(ids),
        "metadata": pa.array([{}] * len(ids), tables.METADATA),
        "described_with": ["w"] * len(ids),
    }
    arrays = [pa.array(columns[field.name]).cast(field.type) for field in tables.COLLECTION.schema]
    return pa.Table.from_arrays(arrays, schema=tables.COLLECTION.schema)
