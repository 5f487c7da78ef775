"""learn: the collection's sound → a network (models/), and with it audio_learned of every sample.

Sound is decoded by Spark tasks; the training runs beside the driver where Spark is embedded, else on executors, under
Spark's TorchDistributor. A run that is killed goes on from what is there: tracks, then the newest checkpoint.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.ml.torch.distributor import TorchDistributor
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

import avlib.learning
from avlib import tables
from avlib.config import LearnSettings, Settings, hash_of
from avlib.descriptors import log_mel_track
from avlib.errors import ConfigError, MediaError, WarehouseError
from avlib.learning import LearningJob, LearningReport, deal
from avlib.learning.job import learning_folder, report_place, weights_place
from avlib.learning.tracks import SHORTEST_S, loud_track_frames, track_place, write_track
from avlib.learning.training_here import train_here
from avlib.models import LEARNED_MODEL, StoredSoundModel, read_sound_model, write_sound_model
from avlib.sources import kept_sources
from avlib.spark import learned
from avlib.spark.progress import say, warn, watched
from avlib.spark.resources import gpu_index
from avlib.spark.runs import Work, newest_record, recorded
from avlib.spark.samples import live_samples
from avlib.spark.stats import update_stats
from avlib.spark.store import TableStore
from avlib.storage import is_file, read_whole, remove_folder, remove_partial, write_whole

_WAITS_S = 3600.0  # for a describe, or an optimize, before samples are described: the training is done
_VIDEOS = pa.schema([("video_id", pa.int64()), ("uri", pa.string()), ("attempt", pa.int32()), ("last_s", pa.float64())])
_FOUND = pa.schema([("video_id", pa.int64()), ("uri", pa.string()), ("problem", pa.string())])


def run(store: TableStore, settings: Settings) -> None:
    """Train the network, unless it has been trained on these videos with these settings; then describe with it.

    Raises WarehouseError where there are no samples, InputError for too few videos.
    """
    work = Work("learn", [tables.DESCRIPTIONS, tables.SAMPLES], [], [settings.learn])
    with store.claim("learn"), recorded(store, work) as record:
        remove_partial(f"{store.warehouse}/models", prefix=LEARNED_MODEL)
        videos = _chosen_videos(store, settings.learn)
        learned_from = hash_of(
            [settings.learn.model_dump(mode="json"), [(row["video_id"], row["attempt"]) for row in videos]]
        )
        present = read_sound_model(store.warehouse)
        if present is None or present.learned_from != learned_from:
            record.summary = _learn(store, settings, videos, learned_from)
        elif _is_told(store, present):
            say("learn: nothing has changed")
        else:  # it was killed right after it had trained
            record.summary = f"{present.weights}: as an earlier run has left it"
        remove_folder(learning_folder(store.warehouse))  # with what runs of other settings have left
        with store.claim("describe", wait_s=_WAITS_S):
            learned.run(store, settings)
            update_stats(store)


def _is_told(store: TableStore, present: StoredSoundModel) -> bool:
    """Whether the newest record of learning is of this network."""
    newest = newest_record(store, "learn")
    return newest is not None and newest["summary"].startswith(f"{present.weights}:")


def _chosen_videos(store: TableStore, settings: LearnSettings) -> list[Row]:
    """Some of the videos that have samples, drawn by the seed; last_s: the time of the last sample."""
    place = F.xxhash64("video_id", F.lit(settings.seed))
    with_samples = live_samples(store).groupBy("video_id", "attempt").agg(F.max("time_s").alias("last_s"))
    uris = store.read(tables.VIDEOS).select("video_id", "uri")
    drawn = with_samples.orderBy(place, "video_id").limit(settings.videos).join(uris, "video_id")
    return drawn.select(*_VIDEOS.names).orderBy("video_id").collect()


def _learn(store: TableStore, settings: Settings, videos: list[Row], learned_from: str) -> str:
    """Train and keep the network; returns what came of it."""
    folder = f"{learning_folder(store.warehouse)}/{learned_from}"
    with watched(store.spark, f"learn: sound of {len(videos)} videos"):
        usable = _read_tracks(store, settings, videos, folder)
    train, held_out = deal(usable, settings.learn)
    cuda, local = _has_gpus(store.spark, settings), str(store.spark.sparkContext.master).startswith("local")
    threads = max(1, store.spark.sparkContext.defaultParallelism // settings.learn.processes)
    if not local:
        threads = int(str(store.spark.sparkContext.getConf().get("spark.task.cpus", "1")))
    job = LearningJob(folder, train, held_out, settings.learn, threads, cuda)
    if not is_file(weights_place(folder)):
        job.write()
        _train(job, store.spark, local=local)
    report = LearningReport.from_json(read_whole(report_place(folder)).to_pybytes().decode())
    model = _store(store, job, learned_from)
    curve = f"{store.warehouse}/{model.weights.removesuffix('.safetensors')}-curve.json"
    write_whole(curve, report.to_json().encode())
    write_sound_model(model, warehouse=store.warehouse)
    summary = f"{model.weights}: {report.summary()}"
    say(f"learn: {summary}")
    return summary


def _train(job: LearningJob, spark: SparkSession, *, local: bool) -> None:
    try:
        with redirect_stdout(sys.stderr):  # stdout is for results
            if local:
                train_here(job, gpus=_driver_gpus(job, spark), say=partial(print, flush=True))
            else:
                distributor = TorchDistributor(job.settings.processes, local_mode=False, use_gpu=job.cuda)
                distributor.run(str(Path(avlib.learning.__file__).with_name("process.py")), job.place)
    except RuntimeError as error:
        _check_room(job)
        raise WarehouseError(
            f"learn: the training ended early ({str(error).strip().splitlines()[-1]}); run `avlib learn` again: it "
            "goes on from its newest checkpoint"
        ) from error
    if not is_file(weights_place(job.folder)):
        _check_room(job)
        raise WarehouseError(f"learn: the training left no network in {job.folder}; run `avlib learn` again")


def _driver_gpus(job: LearningJob, spark: SparkSession) -> list[int]:
    """torch's numbers of the GPUs that Spark gives to the driver. Raises ConfigError for more processes than these."""
    if not job.cuda:
        return []
    addresses = spark.sparkContext.resources["gpu"].addresses
    if len(addresses) < job.settings.processes:
        raise ConfigError(
            f"learn.processes = {job.settings.processes}: each needs a GPU of its own, and Spark gives the driver "
            f"{len(addresses)} (spark.driver.resource.gpu.amount)"
        )
    return [gpu_index(address) for address in addresses]


def _check_room(job: LearningJob) -> None:
    """Raise OSError where the disk is full, of which only the log of the training tells."""
    write_whole(f"{job.folder}/room", bytes(16 << 20))  # some checkpoints; goes with the folder


def _has_gpus(spark: SparkSession, settings: Settings) -> bool:
    """Whether Spark gives GPUs to the training."""
    if settings.describe.device == "cpu":
        return False
    conf, master = spark.sparkContext.getConf(), str(spark.sparkContext.master)
    whose = "driver" if master.startswith("local") else "executor"
    return int(str(conf.get(f"spark.{whose}.resource.gpu.amount", "0"))) > 0


def _store(store: TableStore, job: LearningJob, learned_from: str) -> StoredSoundModel:
    """Keep the network in the warehouse, under its hash."""
    from safetensors.torch import load

    from avlib.learning.weights import hash_network

    content = read_whole(weights_place(job.folder)).to_pybytes()
    digest = hash_network(load(content), job.settings)
    weights = f"models/{LEARNED_MODEL}-{digest[:16]}.safetensors"
    write_whole(f"{store.warehouse}/{weights}", content)
    return StoredSoundModel(weights, digest, job.settings, learned_from)


def _read_tracks(store: TableStore, settings: Settings, videos: list[Row], folder: str) -> list[int]:
    """Write the tracks of some videos into a folder; returns those that can be learned from. Says which cannot."""
    rows = store.spark.createDataFrame(videos, from_arrow_schema(_VIDEOS))
    spread = rows.repartition(max(1, min(len(videos), store.most_tasks())))
    found = spread.mapInArrow(_TrackReader(settings, folder), from_arrow_schema(_FOUND)).collect()
    for row in sorted(found, key=lambda row: row["video_id"]):
        if row["problem"]:
            warn(f"learn: not from {row['uri']}: {row['problem']}")
    return [row["video_id"] for row in found if not row["problem"]]


class _TrackReader:
    """Decodes some minutes of each video: rows of _VIDEOS in, _FOUND out, tracks into a folder."""

    def __init__(self, settings: Settings, folder: str) -> None:
        self._settings, self._folder = settings, folder

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """mapInArrow's function."""
        for batch in batches:
            for video in batch.to_pylist():
                row = {"video_id": video["video_id"], "uri": video["uri"], "problem": self._read(video)}
                yield pa.RecordBatch.from_pylist([row], schema=_FOUND)

    def _read(self, video: dict[str, Any]) -> str | None:
        """What is wrong with it, if anything."""
        settings = self._settings.learn
        if is_file(track_place(self._folder, video["video_id"])):
            return None
        most_s, track = 60 * settings.minutes_per_video, settings.track
        from_s = _share(settings.seed, video["video_id"]) * max(video["last_s"] + 1 - most_s, 0.0)
        try:
            with kept_sources(self._settings.fetch, self._settings.decode).open(video["uri"]) as opened:
                waveform = opened.sound_between(
                    opened.probe(),
                    sample_rate_hz=track.sr,
                    start_s=from_s,
                    end_s=min(from_s + most_s, video["last_s"] + 1),
                )
        except MediaError as error:
            return error.reason
        frames = log_mel_track(waveform, sample_rate_hz=track.sr, settings=track)
        if len(loud_track_frames(frames)) < SHORTEST_S * track.frames_hz:
            return f"less than {SHORTEST_S:g} s of loud sound"
        write_track(self._folder, video["video_id"], frames)
        return None


def _share(seed: int, video: int) -> float:
    """A number in [0, 1) for each video."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{video}".encode()).digest()[:6]) / (1 << 48)
