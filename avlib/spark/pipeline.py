"""pipeline: all stages, in order. Start reading here."""

from __future__ import annotations

from contextlib import suppress

from avlib.config import Settings
from avlib.inputs import Inputs
from avlib.spark import describe, filter, finished, index, ingest
from avlib.spark.store import TableStore


def run(store: TableStore, settings: Settings, found: Inputs) -> None:
    """From inputs to a collection that suggests sounds. Each stage skips what is done."""
    ingest.add(store, settings, found)  # files, folders, manifests → videos
    describe.run(store, settings)  # videos → samples, descriptions, descriptor_stats
    filter.run(store, settings)  # samples → neighbors → mutual_edges → components, for every step → collection
    index.run(store, settings)  # collection → FAISS shards
    _keep_if_finished(store, settings, found)


def _keep_if_finished(store: TableStore, settings: Settings, found: Inputs) -> None:
    """Spare the next run Spark's start, unless something is left: what failed in passing, or what another run adds."""
    of_inputs = finished.hash_of_inputs(settings, found)
    of_warehouse = finished.hash_of_warehouse(store.warehouse, store.name)  # first: what comes later is not in it
    if of_inputs is not None and all(stage.is_done(store, settings) for stage in (describe, filter, index)):
        with suppress(OSError):  # on a full disk: the next run looks again
            finished.keep(store.warehouse, store.name, of_inputs, of_warehouse)
