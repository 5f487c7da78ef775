"""audio_learned: samples that lack it, and the warehouse's network → the table audio_learned. Reads sound alone.

Videos are taken in batches, each committed by itself, so that an interrupted pass goes on where it was. A video whose
sound cannot be read any more costs its own samples, and is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from avlib import tables
from avlib.arrays import Float32Array, Int64Array
from avlib.columns import descriptor_column
from avlib.config import Settings
from avlib.description import Problem
from avlib.errors import MediaError, WarehouseError
from avlib.learning import sound_around
from avlib.models import StoredSoundModel, read_sound_model
from avlib.sources import Sources, kept_sources
from avlib.spark.progress import say, warn, watched
from avlib.spark.resources import gpu_profile, task_device
from avlib.spark.runs import Work, recorded
from avlib.spark.sample_files import SampleFiles
from avlib.spark.samples import live_samples
from avlib.spark.store import TableStore
from avlib.storage import local_copy

if TYPE_CHECKING:
    from avlib.learning import SoundDescriptor

_TASKS = pa.schema(
    [
        ("video_id", pa.int64()),
        ("uri", pa.string()),
        ("attempt", pa.int32()),
        ("samples", pa.list_(pa.struct([("time_s", pa.float64()), ("sample_id", pa.int64())]))),
    ]
)
"""A video, and its samples that lack the descriptor, ascending."""

_DONE = pa.schema([("file", pa.string()), ("uri", pa.string()), ("problem", pa.string()), ("internal", pa.bool_())])
"""A file of rows of the table; or a video that cannot be described, why, and whether that is avlib's fault."""

_NAMED = 5  # videos in a message; of more the number must do


def run(store: TableStore, settings: Settings) -> None:
    """Add audio_learned to the samples that lack it, if the warehouse has a network."""
    model = read_sound_model(store.warehouse)
    if model is None:
        return
    work = Work("audio_learned", [tables.SAMPLES], [tables.AUDIO_LEARNED], [settings.describe])
    with store.claim("describe"), recorded(store, work) as record, ExitStack() as held:
        if not store.claims_hold and not is_done(store):
            held.enter_context(store.fenced("audio_learned", [tables.AUDIO_LEARNED]))
        lacking = held.enter_context(store.frozen(_lacking(store, model), "lacking"))
        record.summary = _describe_lacking(store, lacking, settings, model)


def is_done(store: TableStore) -> bool:
    """Whether there is no network, or no sample that it has not described."""
    model = read_sound_model(store.warehouse)
    return model is None or _lacking(store, model).isEmpty()


def _describe_lacking(store: TableStore, lacking: DataFrame, settings: Settings, model: StoredSoundModel) -> str | None:
    """Describe the samples that this network has not; returns what came of it, None where there are none."""
    videos = [row["video_id"] for row in lacking.select("video_id").distinct().orderBy("video_id").collect()]
    problems: list[Row] = []
    for first in range(0, len(videos), settings.describe.batch_videos):
        batch = videos[first : first + settings.describe.batch_videos]
        label = f"audio_learned {first + 1}-{first + len(batch)} of {len(videos)} videos"
        with watched(store.spark, label):
            problems += _describe_batch(store, lacking.where(F.col("video_id").isin(batch)), settings, model)
    store.delete(tables.AUDIO_LEARNED, F.col("model") != model.model_hash)
    if videos and sum(row["internal"] for row in problems) == len(videos):
        uri, problem = problems[0]["uri"], problems[0]["problem"]
        raise WarehouseError(f"audio_learned: not one of {len(videos)} videos could be described, as {uri}: {problem}")
    if videos:
        say(f"audio_learned: {len(videos) - len(problems)} videos")
    for row in sorted(problems, key=lambda row: row["uri"])[:_NAMED]:
        say(f"  no audio_learned of {row['uri']}: {row['problem']}")
    if problems:
        warn(f"{len(problems)} videos have no audio_learned; where filter.audio asks for it their samples are left out")
    said = f"{len(videos) - len(problems)} videos, {len(problems)} of which the sound cannot be described"
    return said if videos else None


def _lacking(store: TableStore, model: StoredSoundModel) -> DataFrame:
    """sample_id, video_id, attempt, time_s of the samples that this network has not described."""
    samples = live_samples(store).select("sample_id", "video_id", "attempt", "time_s")
    if not store.exists(tables.AUDIO_LEARNED):
        return samples
    described = store.read(tables.AUDIO_LEARNED).where(F.col("model") == model.model_hash)
    return samples.join(described, ["sample_id", "attempt"], "left_anti")


def _describe_batch(store: TableStore, lacking: DataFrame, settings: Settings, model: StoredSoundModel) -> list[Row]:
    """Describe the samples of some videos; returns the videos that cannot be described, and why, as _DONE."""
    samples = F.sort_array(F.collect_list(F.struct("time_s", "sample_id"))).alias("samples")
    uris = store.read(tables.VIDEOS).select("video_id", "uri")
    tasks = lacking.groupBy("video_id", "attempt").agg(samples).join(uris, "video_id").select(*_TASKS.names)
    with store.scratch("audio_learned") as folder:
        worker = _Worker(settings, model, store.warehouse, folder)
        spread = tasks.repartition(max(1, min(tasks.count(), store.most_tasks())))
        profile = gpu_profile(store.spark, settings.describe.device)
        done = spread.mapInArrow(worker, from_arrow_schema(_DONE), profile=profile).collect()
        if files := [row["file"] for row in done if row["file"]]:
            store.append_files(tables.AUDIO_LEARNED, files)
    return [row for row in done if row["problem"]]


class _Worker:
    """Describes the sound of a partition of videos: rows of _TASKS in, _DONE out."""

    def __init__(self, settings: Settings, model: StoredSoundModel, warehouse: str, folder: str) -> None:
        self._settings, self._model, self._warehouse, self._folder = settings, model, warehouse, folder

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """mapInArrow's function."""
        descriptor = _descriptor(self._model, self._warehouse, task_device(self._settings.describe.device))
        files = SampleFiles(self._folder, tables.AUDIO_LEARNED)
        sources = kept_sources(self._settings.fetch, self._settings.decode)
        for task in (task for batch in batches for task in batch.to_pylist()):
            for found in self._attempt(sources, task, descriptor):
                if isinstance(found, Problem):
                    internal = found.error_class == "internal"
                    yield _done(uri=task["uri"], problem=found.reason, internal=internal)
                else:
                    yield from (_done(file=file) for file in files.add(found))
        yield from (_done(file=file) for file in files.finish())

    def _attempt(
        self, sources: Sources, task: dict[str, Any], descriptor: SoundDescriptor
    ) -> Iterator[pa.RecordBatch | Problem]:
        """Rows of the table; last, where the sound cannot be described to its end, why."""
        try:
            yield from self._describe(sources, task, descriptor)
        except MediaError as error:
            yield Problem.of(error)
        except Exception as error:  # a bug or a lack of memory: name it, and go on with the next video
            yield Problem("internal", f"avlib failed on it: {type(error).__name__}: {error}")

    def _describe(
        self, sources: Sources, task: dict[str, Any], descriptor: SoundDescriptor
    ) -> Iterator[pa.RecordBatch]:
        """Rows of the table. What comes before damage counts."""
        ids = np.array([sample["sample_id"] for sample in task["samples"]], np.int64)
        times_s = np.array([sample["time_s"] for sample in task["samples"]], np.float64)
        rate_hz = self._model.settings.track.sr
        with sources.open(task["uri"]) as video:
            sound = iter(video.sound(video.probe(), sample_rate_hz=rate_hz))
            stretches = sound_around(sound, times_s=times_s, margin_s=descriptor.margin_s, sample_rate_hz=rate_hz)
            for one in stretches:
                found = descriptor.describe(one.waveform, times_s=times_s[one.rows] - one.from_s)
                yield self._rows(task, ids[one.rows], found)
            for _ in sound:  # to its end: else the decoding process would have to be replaced
                pass

    def _rows(self, task: dict[str, Any], ids: Int64Array, found: Float32Array) -> pa.RecordBatch:
        columns = {
            "sample_id": pa.array(ids),
            "attempt": pa.array([task["attempt"]] * len(ids), pa.int32()),
            "model": pa.array([self._model.model_hash] * len(ids)),
            "audio_learned": descriptor_column(found),
        }
        schema = tables.AUDIO_LEARNED.schema
        return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


@lru_cache(maxsize=1)
def _descriptor(model: StoredSoundModel, warehouse: str, device: str) -> SoundDescriptor:
    """The network, loaded once per Python worker, as is torch."""
    from avlib.learning import load_sound_descriptor

    weights = local_copy(f"{warehouse}/{model.weights}")
    return load_sound_descriptor(weights, model.settings, model_hash=model.model_hash, device=device)


def _done(**values: object) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([{name: values.get(name) for name in _DONE.names}], schema=_DONE)
