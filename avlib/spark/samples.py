"""Views that several stages share: the descriptions and the samples that count."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from avlib import tables
from avlib.config import Settings
from avlib.errors import WarehouseError
from avlib.identity import VIDEO_ID_SHIFT
from avlib.models import read_sound_model
from avlib.spark.descriptor_files import DescriptorFiles, with_files
from avlib.spark.store import TableStore


def latest_descriptions(store: TableStore) -> DataFrame:
    """One row per described video: its newest attempt. Columns as in `descriptions`."""
    rows = store.read(tables.DESCRIPTIONS)
    newest = rows.groupBy("video_id").agg(F.max_by(F.struct("*"), "attempt").alias("newest"))
    return newest.select("newest.*")


def with_video_id(samples: DataFrame) -> DataFrame:
    """Adds video_id, which the sample id holds."""
    return samples.withColumn("video_id", F.shiftright("sample_id", VIDEO_ID_SHIFT))


def committed_attempts(store: TableStore) -> DataFrame:
    """video_id, attempt of the descriptions that vouch for samples."""
    return latest_descriptions(store).where("samples > 0").select("video_id", "attempt")


def samples_described_with(store: TableStore) -> str:
    """The one `described_with` of all samples that count.

    Raises WarehouseError where there are none, or a describe with other settings has not been finished.
    """
    found = latest_descriptions(store).where("samples > 0").groupBy("described_with").count().collect()
    if not found:
        raise WarehouseError(
            f"{store.warehouse} has no samples to filter: every video failed, is silent, or lacks sound or pictures; "
            f"see `avlib failures --warehouse {store.warehouse}`"
        )
    if len(found) > 1:
        counts = " and ".join(str(row["count"]) for row in found)
        raise WarehouseError(
            f"{store.warehouse}: {counts} videos were described with different settings or models; run `avlib "
            "describe` to its end with the ones you want"
        )
    return str(found[0]["described_with"])


def audio_samples(store: TableStore, audio: str) -> DataFrame:
    """The samples that count and have a sound descriptor. Columns as `live_samples`, and `audio`, that descriptor.

    Raises WarehouseError where audio_learned is asked for and no sample has it.
    """
    return sound_samples(store, audio).withColumn("audio", F.col(audio))


def sound_samples(store: TableStore, *descriptors: str) -> DataFrame:
    """The samples that count and have all these sound descriptors, which are columns besides those of `live_samples`.

    Raises WarehouseError where audio_learned is asked for and no sample has it.
    """
    samples, learned = live_samples(store), tables.AUDIO_LEARNED
    if learned.name not in descriptors:
        return samples
    model = read_sound_model(store.warehouse)
    if model is None or not store.exists(learned):
        raise missing_descriptor(store.warehouse, learned.name)
    of_model = store.read(learned).where(F.col("model") == model.model_hash)
    return samples.join(of_model.select("sample_id", "attempt", learned.name), ["sample_id", "attempt"])


def files_of_samples(store: TableStore, **columns: str) -> DescriptorFiles:
    """The files of `samples`, for columns by the names they get; those of other tables are left to Spark."""
    held = {name: column for name, column in columns.items() if column in tables.SAMPLES.schema.names}
    return DescriptorFiles(store.path(tables.SAMPLES), held)


def learned_inputs(*descriptors: str) -> list[tables.Table]:
    """The tables that hold these sound descriptors, besides `samples`."""
    return [tables.AUDIO_LEARNED] if tables.AUDIO_LEARNED.name in descriptors else []


def missing_descriptor(warehouse: str, audio: str) -> WarehouseError:
    """The error for a sound descriptor that no sample has."""
    command = "learn" if audio == tables.AUDIO_LEARNED.name else "describe"
    return WarehouseError(
        f"{warehouse}: no sample has the sound descriptor {audio}; run `avlib {command} --warehouse {warehouse}`, or "
        "leave it out of filter.audio and agreement.audio"
    )


def without_copies(store: TableStore, samples: DataFrame, settings: Settings) -> DataFrame:
    """The samples less those that are copies of other videos', where the strategy leaves these out.

    Raises WarehouseError where they have not been looked for.
    """
    if not settings.copies.dropped_by(scored=settings.filter.scored):
        return samples
    return samples.join(store.read(tables.COPIES).select("sample_id"), "sample_id", "left_anti")


def live_samples(store: TableStore) -> DataFrame:
    """The samples that a committed description vouches for.

    Columns as in `samples`, video_id, and where the sample lies (see `descriptor_files`).
    """
    rows = with_files(store.read(tables.SAMPLES))
    return with_video_id(rows).join(committed_attempts(store), ["video_id", "attempt"])
