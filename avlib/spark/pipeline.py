"""pipeline: all stages, in order. Start reading here."""

from __future__ import annotations

from collections.abc import Sequence

from avlib.config import Settings
from avlib.spark import describe, filter, index, ingest
from avlib.spark.store import TableStore


def run(store: TableStore, settings: Settings, inputs: Sequence[str]) -> None:
    """From inputs to a collection that suggests sounds. Each stage skips what is done."""
    ingest.run(store, settings, inputs)  # files, folders, manifests → videos
    describe.run(store, settings)  # videos → samples, descriptions, descriptor_stats
    filter.run(store, settings)  # samples → neighbors → mutual_edges → components, for every step → collection
    index.run(store, settings)  # collection → FAISS shards
