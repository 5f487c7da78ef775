"""A small warehouse whose index is large: made-up samples of a network's length, all of them moments of one video."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from index_files import build_index
from PIL import Image
from small_warehouse import SmallWarehouse

from avlib.config import load_settings
from avlib.descriptors import DescriptorStats, normalise_visual
from avlib.models import store_model
from avlib.retrieval.index import index_folder, write_manifest


def fill_index(made: SmallWarehouse, rows: int, *, weights: Path) -> None:
    """Index so many samples, 4 s of each of 100, described by mobilenet_v2."""
    chosen = ["describe.visual_model=mobilenet_v2", f"describe.visual_weights={weights}"]
    settings = load_settings(assignments=chosen)
    model = store_model(settings.describe, warehouse=made.uri)
    picture = np.asarray(Image.open(made.queries["red"]).resize((224, 224)))
    dimension = model.load(made.uri).describe(picture[None]).shape[1]
    random = np.random.default_rng(0)
    visual = normalise_visual(random.normal(size=(rows, dimension)).astype(np.float32))
    audio = random.normal(size=(rows, 65)).astype(np.float32)
    ids = (np.arange(rows, dtype=np.int64) // 100 << 24) + np.arange(rows) % 100 + 25
    uris = pa.chunked_array([[str(made.videos["red"])] * rows])
    stats = DescriptorStats(np.zeros(65), np.ones(65), rows)
    place = Path(index_folder(made.uri, "default"))
    manifest = build_index(place, ids, visual, audio, settings.index, uris=uris, stats=stats)
    write_manifest(str(place), replace(manifest, model=model, collection_id=made.collection_id))
