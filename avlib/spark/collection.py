"""collection: samples, videos, components of all steps → collection. The clean samples, self-contained.

Written last, in one commit: a reader that trusts only this table never sees half a filter run.
"""

from __future__ import annotations

from pyspark.sql import functions as F

from avlib import tables
from avlib.config import Settings
from avlib.spark.components import rounds_place
from avlib.spark.progress import watched
from avlib.spark.runs import Step, Work, is_done, recorded
from avlib.spark.samples import audio_samples, learned_inputs, samples_described_with
from avlib.spark.steps import require_components
from avlib.spark.store import TableStore
from avlib.storage import remove_folder
from avlib.table_log import Note
from avlib.tables import Table


def run(store: TableStore, settings: Settings, last_step: int) -> None:
    """Gather the samples that are left after a step, which is the last one of a strategy that runs to its end."""
    steps = range(last_step + 1)
    for step in steps:
        require_components(store, step)
    of_samples = [tables.VIDEOS, tables.DESCRIPTIONS, tables.SAMPLES, *learned_inputs(settings.filter.audio)]
    scores = [tables.SCORES] if settings.filter.scored else []
    inputs: list[Table | Step] = [*of_samples, *scores, *(Step(tables.COMPONENTS, step) for step in steps)]
    given = [settings.filter.audio, settings.filter.scored]
    work = Work("collection", inputs, [tables.COLLECTION], given, store.name)
    with store.claim_filter():
        if not is_done(store, work):
            with recorded(store, work) as record:
                _gather(store, settings, steps, work.note(store))
                record.summary = f"{store.read(tables.COLLECTION).count()} samples"
        remove_folder(rounds_place(store))  # a killed run may have left those of a step that the strategy has no more


def _gather(store: TableStore, settings: Settings, steps: range, note: Note) -> None:
    with watched(store.spark, "collection"):
        kept = store.read(tables.COMPONENTS, step=steps[0]).withColumnRenamed("component_id", "component_0")
        for step in steps[1:]:
            found = store.read(tables.COMPONENTS, step=step)
            kept = kept.join(found.withColumnRenamed("component_id", f"component_{step}"), "sample_id")
        kept = kept.select("sample_id", F.array(*(f"component_{step}" for step in steps)).alias("component_ids"))
        videos = store.read(tables.VIDEOS).select("video_id", "uri", "metadata")
        rows = audio_samples(store, settings.filter.audio).join(kept, "sample_id").join(videos, "video_id")
        rows = rows.withColumn("audio_descriptor", F.lit(settings.filter.audio))
        rows = rows.withColumn("described_with", F.lit(samples_described_with(store)))
        if settings.filter.scored:
            rows = rows.join(store.read(tables.SCORES).select("sample_id", "score"), "sample_id")
        else:
            rows = rows.withColumn("score", F.lit(None).cast("double"))
        store.overwrite(tables.COLLECTION, rows, note=note)
