"""filter: the loop over the steps of a strategy, each inside the components of the step before."""

from __future__ import annotations

from avlib import tables
from avlib.config import Settings
from avlib.errors import WarehouseError
from avlib.spark import collection, components, knn, mutual_edges
from avlib.spark.progress import say
from avlib.spark.runs import Recorder, Work, is_done
from avlib.spark.samples import live_samples
from avlib.spark.store import TableStore


def run(store: TableStore, settings: Settings) -> None:
    """knn → mutual edges → components for every step, then the collection. Skipped where nothing has changed."""
    work = Work(
        "filter",
        [tables.VIDEOS, tables.DESCRIPTIONS, tables.SAMPLES, tables.DESCRIPTOR_STATS],
        [tables.COLLECTION],
        [settings.filter.chosen, settings.knn],
        filter_name=store.name,
    )
    if is_done(store, work):
        say(f"filter {store.name}: nothing has changed, {store.read(tables.COLLECTION).count()} samples")
        return
    if live_samples(store).isEmpty():
        raise WarehouseError(
            f"{store.warehouse} has no samples to filter: every video failed, is silent, or lacks sound or pictures; "
            f"see `avlib failures --warehouse {store.warehouse}`"
        )
    recorder = Recorder(store, work)
    strategy = settings.filter.strategy
    say(f"filter {store.name}: strategy {strategy}")
    steps = len(settings.filter.steps)
    for table in (tables.NEIGHBORS, tables.MUTUAL_EDGES, tables.COMPONENTS):
        store.drop_steps(table, first=steps)
    for step in range(steps):
        knn.run(store, settings, step)
        mutual_edges.run(store, step)
        components.run(store, settings, step)
    collection.run(store, steps - 1)
    kept, total = store.read(tables.COLLECTION).count(), live_samples(store).count()
    summary = f"{strategy} kept {kept} of {total} samples ({kept / max(total, 1):.0%})"
    recorder.finish(summary)
    say(f"filter {store.name}: {summary}")
