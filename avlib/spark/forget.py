"""forget: videos leave a warehouse: their rows, the collections they are in, and indexes that hold them.

Ids are not given again. What filter runs had made of them is noticed as old by the next run.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import functions as F

from avlib import tables
from avlib.claims import running
from avlib.errors import InputError
from avlib.identity import VIDEO_ID_SHIFT
from avlib.inputs import is_local, local_path
from avlib.inspection import filter_names
from avlib.retrieval.index import index_folder
from avlib.spark.progress import say, watched
from avlib.spark.store import TableStore
from avlib.storage import remove_folder

_BY_SAMPLE = (tables.SAMPLES, tables.AUDIO_LEARNED)


@dataclass(frozen=True)
class Forgotten:
    """videos: uri by id.  samples: of theirs.  filters: the runs whose collection holds some.  places: of all tables
    whose old files still hold their rows, until these are vacuumed.
    """

    videos: dict[int, str]
    samples: int
    filters: tuple[str, ...]
    places: tuple[str, ...]


def find(store: TableStore, inputs: Sequence[str], *, missing: bool) -> Forgotten:
    """What would go: videos named by their path or URI, a folder above them or a pattern; and those that are missing.

    missing: files of this machine that are there no more. Raises InputError for an input that names no video.
    """
    rows = store.read(tables.VIDEOS).select("video_id", "uri").collect()
    uris = {row["video_id"]: row["uri"] for row in rows}
    chosen: set[int] = set()
    for given in inputs:
        wanted = {given, _uri(given)}
        named = {video for video, uri in uris.items() if any(_names(one, uri) for one in wanted)}
        if not named:
            raise InputError(f"{given}: no video of {store.warehouse} has this path, lies below it, or matches it")
        chosen |= named
    if missing:
        chosen |= {video for video, uri in uris.items() if is_local(uri) and not Path(local_path(uri)).exists()}
    videos = {video: uris[video] for video in sorted(chosen)}
    of_video = F.shiftright("sample_id", VIDEO_ID_SHIFT).isin(list(videos))
    samples = store.read(tables.SAMPLES).where(of_video).count() if store.exists(tables.SAMPLES) else 0
    filters = tuple(name for name in filter_names(store.warehouse) if _holds(store.of_run(name), list(videos)))
    own = (tables.VIDEOS, tables.DESCRIPTIONS, *_BY_SAMPLE)
    places = [store.path(table) for table in own if store.exists(table)]
    places += [store.of_run(name).path(tables.COLLECTION) for name in filters]
    return Forgotten(videos, samples, filters, tuple(places))


def run(store: TableStore, found: Forgotten) -> None:
    """Let them go. After a kill the same command does the rest: `videos`, by which they are found, goes last.

    Raises WarehouseError, naming it, where a run is at work that reads or writes them.
    """
    ids = list(found.videos)
    with ExitStack() as claims, watched(store.spark, "forget"):
        of_runs = [f"{stage}-{name}" for stage in ("filter", "index") for name in filter_names(store.warehouse)]
        at_work = [claim.work for claim in running(store.warehouse)]  # a first filter run has no tables yet
        for work in dict.fromkeys(["ingest", "describe", "learn", *of_runs, *at_work]):
            claims.enter_context(store.claim(work))
        for name in found.filters:
            of_run = store.of_run(name)
            remove_folder(index_folder(store.warehouse, name))  # first: nobody shall be offered what is gone
            of_run.delete(tables.COLLECTION, F.col("video_id").isin(ids))
        for table in _BY_SAMPLE:
            store.delete(table, F.shiftright("sample_id", VIDEO_ID_SHIFT).isin(ids))
        store.delete(tables.DESCRIPTIONS, F.col("video_id").isin(ids))
        store.keep_ids()
        store.delete(tables.VIDEOS, F.col("video_id").isin(ids))
    say(f"forget: {len(ids)} videos and {found.samples} samples are gone from the tables")


def _uri(given: str) -> str:
    return given.rstrip("/") if "://" in given and not given.startswith("file:") else str(_absolute(given))


def _absolute(given: str) -> Path:
    return local_path(given).expanduser().absolute()


def _names(wanted: str, uri: str) -> bool:
    own = str(local_path(uri)) if is_local(uri) else uri
    return own == wanted or own.startswith(f"{wanted}/") or fnmatch.fnmatchcase(own, wanted)


def _holds(of_run: TableStore, videos: list[int]) -> bool:
    if not of_run.exists(tables.COLLECTION):
        return False
    return not of_run.read(tables.COLLECTION).where(F.col("video_id").isin(videos)).isEmpty()
