"""filter: the loop over the steps of a strategy, each inside the components of the step before."""

from __future__ import annotations

from avlib import tables
from avlib.config import Settings
from avlib.spark import agreement, collection, components, copies, knn, mutual_edges
from avlib.spark.progress import say, warn
from avlib.spark.runs import Work, is_recorded, recorded
from avlib.spark.samples import audio_samples, learned_inputs, samples_described_with
from avlib.spark.store import TableStore, spark_schema


def run(store: TableStore, settings: Settings) -> None:
    """knn → mutual edges → components for every step, then the collection. Skipped where nothing has changed.

    A strategy that is scored begins with agreement.
    """
    with store.claim_filter():
        work = _work(store, settings)
        if is_recorded(store, work):
            summary = f"nothing has changed, {store.read(tables.COLLECTION).count()} samples"
        else:
            samples_described_with(store)  # one setting for all, or an error
            with recorded(store, work) as record:
                record.summary = summary = _filter(store, settings)
    say(f"filter {store.name}: {summary}")


def _filter(store: TableStore, settings: Settings) -> str:
    """Write the collection; returns what came of it, in words."""
    strategy, scored = settings.filter.strategy, settings.filter.scored
    say(f"filter {store.name}: strategy {strategy}")
    if not scored:
        store.clear(tables.SCORES)
        copies.run(store, settings)
        _steps(store, settings)
    elif agreement.run(store, settings) > 1:
        _steps(store, settings)
    else:
        warn("too few samples to compare; a larger agreement.doubt, or --keep, keeps more")
        store.overwrite(tables.COLLECTION, store.spark.createDataFrame([], spark_schema(tables.COLLECTION)))
    kept, total = store.read(tables.COLLECTION).count(), audio_samples(store, settings.filter.audio).count()
    summary = f"{strategy} kept {kept} of {total} samples ({kept / max(total, 1):.0%})"
    if settings.copies.dropped_by(scored=scored) and (left_out := store.read(tables.COPIES).count()):
        summary += f", {left_out} are copies"
    return summary


def is_done(store: TableStore, settings: Settings) -> bool:
    """Whether the collection is of the samples and settings as they are."""
    return is_recorded(store, _work(store, settings))


def _work(store: TableStore, settings: Settings) -> Work:
    scored = settings.filter.scored
    less_copies = settings.copies.dropped_by(scored=scored)
    audio = [settings.filter.audio, *(settings.agreement.audio if scored else [])]
    of_samples = [tables.VIDEOS, tables.DESCRIPTIONS, tables.SAMPLES, tables.DESCRIPTOR_STATS]
    return Work(
        "filter",
        [*of_samples, *learned_inputs(*audio)],
        tables.OF_FILTER,  # all: another strategy may have been begun since, and killed before its collection
        [
            settings.filter.chosen,
            settings.knn,
            *([settings.copies] if less_copies else []),
            *([settings.agreement] if scored else []),
        ],
        filter_name=store.name,
    )


def _steps(store: TableStore, settings: Settings) -> None:
    last = 0
    for last in range(len(settings.filter.steps)):
        knn.run(store, settings, last)
        mutual_edges.run(store, last)
        components.run(store, settings, last)
        if store.read(tables.COMPONENTS, step=last).isEmpty():
            warn(f"step {last} left nothing; a lower components.min_size or a larger knn.k keeps more")
            break
    collection.run(store, settings, last)
