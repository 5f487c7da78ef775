"""forget: videos leave a warehouse: their rows, the collections they are in, and all indexes.

Ids are not given again. What filter runs had made of them is noticed as old by the next run. The log of a table keeps
no text of theirs (`Table.bounded`), but of tables made before it did so: there Delta cleans it, after 30 days.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import reduce

from pyarrow import fs
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from avlib import tables
from avlib.claims import running
from avlib.errors import InputError
from avlib.identity import VIDEO_ID_SHIFT
from avlib.inputs import is_local, local_path, remote_uri
from avlib.inspection import filter_names
from avlib.learning.job import learning_folder
from avlib.retrieval.index import index_folder
from avlib.spark.progress import say, watched
from avlib.spark.stats import update_stats
from avlib.spark.store import TableStore
from avlib.storage import filesystem, remove_folder

_BY_SAMPLE = (tables.SAMPLES, tables.AUDIO_LEARNED)


@dataclass(frozen=True)
class Forgotten:
    """videos: uri by id.  samples: of theirs.  filters: the runs whose collection holds some, as it is now."""

    videos: dict[int, str]
    samples: int
    filters: tuple[str, ...]


def find(store: TableStore, inputs: Sequence[str], *, missing: bool) -> Forgotten:
    """What would go (see `choose`), also of what a collection alone still holds. Raises InputError as that does."""
    read = [store.read(tables.VIDEOS), *(of_run.read(tables.COLLECTION) for of_run in _filtered(store))]
    rows = reduce(DataFrame.unionByName, [rows.select("video_id", "uri") for rows in read]).distinct().collect()
    videos = choose({row["video_id"]: row["uri"] for row in rows}, inputs, missing=missing)
    of_video = F.shiftright("sample_id", VIDEO_ID_SHIFT).isin(list(videos))
    samples = store.read(tables.SAMPLES).where(of_video).count() if store.exists(tables.SAMPLES) else 0
    return Forgotten(videos, samples, _holding(store, list(videos)))


def choose(uris: Mapping[int, str], inputs: Sequence[str], *, missing: bool) -> dict[int, str]:
    """Of the uris by video, those named by path or URI, a folder above them or a pattern; and those that are missing.

    missing: files of this machine that are there no more. Raises InputError for an input that names no video, and
    where all local files are missing: what they lie on may not be mounted here.
    """
    places = {video: _place(uri) for video, uri in uris.items()}
    chosen = {video for given in inputs for video in _named(given, places)}
    if missing:
        local = {video for video, uri in uris.items() if is_local(uri)}
        gone = {video for video in local if not local_path(uris[video]).exists()}
        if gone and gone == local:
            raise InputError(
                f"--missing: all local videos ({len(gone)}) are; is what they lie on mounted here? To forget them all "
                "the same, name the folder above them"
            )
        chosen |= gone
    return {video: uris[video] for video in sorted(chosen)}


def run(store: TableStore, found: Forgotten) -> tuple[str, ...]:
    """Let them go; returns the filter runs whose collection has lost some. All indexes go: one may be of an earlier,
    wider collection. After a kill the same command does the rest: `videos`, by which they are found, goes last.

    Raises WarehouseError, naming it, where a run is at work that reads or writes them, or begins to meanwhile: then the
    same command does the rest once that has ended.
    """
    ids = list(found.videos)
    with ExitStack() as claims, watched(store.spark, "forget"), store.full_disk_named():
        _claim_all(store, claims)
        _remove_indexes(store)  # first: nobody shall be offered what is gone
        remove_folder(learning_folder(store.warehouse))  # the sound of the videos, where `learn` was killed
        store.delete(tables.DESCRIPTIONS, F.col("video_id").isin(ids))  # before samples, for which they vouch
        for table in _BY_SAMPLE:
            store.delete(table, F.shiftright("sample_id", VIDEO_ID_SHIFT).isin(ids))
        _claim_all(store, claims)  # a run of a new name may have begun; one that begins now finds no sample of theirs
        _remove_indexes(store)
        holding = _holding(store, ids)
        for name in holding:
            store.of_run(name).delete(tables.COLLECTION, F.col("video_id").isin(ids))
        if store.exists(tables.SAMPLES) and store.exists(tables.DESCRIPTIONS):
            update_stats(store)  # mean and deviation are of what is left
        store.keep_ids()
        store.delete(tables.VIDEOS, F.col("video_id").isin(ids))
    say(f"forget: {len(ids)} videos and {found.samples} samples are gone from the tables")
    return holding


def _claim_all(store: TableStore, claims: ExitStack) -> None:
    """Claim all work there is that may read or write them; scratch of what was killed goes with its claim."""
    # First: what ends in between has its tables. `optimize` claims what it writes as it goes.
    at_work = [claim.work for claim in running(store.warehouse) if claim.work != "optimize"]
    of_runs = [f"{stage}-{name}" for stage in ("filter", "index") for name in filter_names(store.warehouse)]
    system, path = filesystem(f"{store.warehouse}/_scratch")  # a filter run may have been killed before it had tables
    killed = [folder.base_name for folder in system.get_file_info(fs.FileSelector(path, allow_not_found=True))]
    for work in dict.fromkeys(["ingest", "describe", "learn", *at_work, *of_runs, *killed]):
        claims.enter_context(store.claim(work))


def _remove_indexes(store: TableStore) -> None:
    remove_folder(index_folder(store.warehouse, "").rstrip("/"))


def places(store: TableStore) -> list[str]:
    """Where tables lie whose old files may hold rows of forgotten videos: a collection, also of an earlier filter."""
    own = [store.path(table) for table in (tables.VIDEOS, tables.DESCRIPTIONS, *_BY_SAMPLE) if store.exists(table)]
    return own + [of_run.path(tables.COLLECTION) for of_run in _filtered(store)]


def _filtered(store: TableStore) -> list[TableStore]:
    """The filter runs that have a collection."""
    of_runs = [store.of_run(name) for name in filter_names(store.warehouse)]
    return [of_run for of_run in of_runs if of_run.exists(tables.COLLECTION)]


def _holding(store: TableStore, videos: list[int]) -> tuple[str, ...]:
    """The filter runs whose collection holds some of the videos."""
    held = F.col("video_id").isin(videos)
    return tuple(of_run.name for of_run in _filtered(store) if not of_run.read(tables.COLLECTION).where(held).isEmpty())


def _named(given: str, places: Mapping[int, str]) -> set[int]:
    """The video of this very place and those below it; a name may hold brackets, so it is a pattern last."""
    if not given.rpartition("://")[2].strip("/"):
        raise InputError(f"'{given}': name a video, a folder or a pattern")
    wanted = _place(given)
    named = {video for video, place in places.items() if place == wanted or place.startswith(f"{wanted}/")}
    named = named or {video for video, place in places.items() if fnmatchcase(place, wanted)}
    if not named:
        raise InputError(f"{given}: no video of the warehouse has this path, lies below it, or matches it")
    return named


def _place(given: str) -> str:
    """The absolute path, or the URI under its one name."""
    if is_local(given):
        return os.path.normpath(local_path(given).expanduser().absolute())
    return (remote_uri(given) or given).rstrip("/")
