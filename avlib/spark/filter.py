"""filter: the loop over the steps of a strategy, each inside the components of the step before."""

from __future__ import annotations

from avlib import tables
from avlib.config import Settings
from avlib.spark import collection, components, knn, mutual_edges
from avlib.spark.progress import say
from avlib.spark.runs import Recorder, Work, is_done
from avlib.spark.samples import samples_described_with
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
    samples_described_with(store)  # one setting for all, or an error
    recorder = Recorder(store, work)
    strategy = settings.filter.strategy
    say(f"filter {store.name}: strategy {strategy}")
    last = 0
    for last in range(len(settings.filter.steps)):
        knn.run(store, settings, last)
        mutual_edges.run(store, last)
        components.run(store, settings, last)
        if store.read(tables.COMPONENTS, step=last).isEmpty():
            say(f"  step {last} left nothing; a lower components.min_size or a larger knn.k keeps more")
            break
    collection.run(store, last)
    stats = store.read(tables.STEP_STATS, step=0).first()
    assert stats is not None
    kept, total = store.read(tables.COLLECTION).count(), stats["lists"]
    summary = f"{strategy} kept {kept} of {total} samples ({kept / max(total, 1):.0%})"
    recorder.finish(summary)
    say(f"filter {store.name}: {summary}")
