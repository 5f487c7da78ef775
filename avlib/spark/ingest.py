"""ingest: inputs → videos. One row per input, identity only; ids are never reused and never change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from avlib.config import FetchSettings, Settings
from avlib.errors import InputError, WarehouseError
from avlib.fetching import find_remote, identify_remote
from avlib.inputs import FileIdentity, Inputs, find_inputs, identify, is_local, local_path, read_manifest, remote_uri
from avlib.spark.progress import say, watched
from avlib.spark.runs import Work, recorded
from avlib.spark.store import TableStore, retried, spark_schema
from avlib.tables import UTC, VIDEOS

_ASKED_AT_ONCE = 32  # servers, by one task
_WAITS_S = 300.0  # for another ingest, which is short
_IDENTITY = pa.schema(
    [("uri", pa.string()), ("bytes", pa.int64()), ("modified", UTC), ("metadata", VIDEOS.schema.field("metadata").type)]
)


def run(store: TableStore, settings: Settings, inputs: Sequence[str]) -> None:
    """Add the named inputs to `videos`. Those already there keep their id; changed files get their new identity.

    A manifest's columns replace those stored before; a file named without a manifest keeps the ones it has.
    Raises InputError where there is nothing to add.
    """
    add(store, settings, find_inputs(inputs, extensions=settings.ingest.extensions))


def add(store: TableStore, settings: Settings, found: Inputs) -> None:
    """`run`, of inputs that have been found already."""
    work = Work("ingest", [], [VIDEOS], [settings.ingest])
    with store.claim("ingest", wait_s=_WAITS_S), recorded(store, work) as record, watched(store.spark, "ingest"):
        given = _given(store, found, settings)
        if given is None:
            raise InputError(f"no video found: {', '.join(map(str, (*found.manifests, *found.remote)))} names none")
        with store.frozen(_changed(store, given), "changed") as changed:  # files may change while they are merged
            if changed.isEmpty():
                say(f"ingest: nothing new, {store.read(VIDEOS).count()} videos")
                return
            stored = {
                "bytes": F.col("given.bytes"),
                "modified": F.col("given.modified"),
                "metadata": F.col("given.metadata"),
            }
            # Ids are given anew at each attempt: without locks another ingest may have given some meanwhile.
            retried(lambda: store.merge(VIDEOS, _with_ids(store, changed), on="uri", update=stored))
            total = _check_ids(store)
        record.summary = f"{total} videos"
    say(f"ingest: {total} videos")


def _given(store: TableStore, found: Inputs, settings: Settings) -> DataFrame | None:
    """uri, bytes, modified, metadata (null: none given) of every input; one row per uri. None where nothing is."""
    schema = StructType([field for field in spark_schema(VIDEOS) if field.name != "video_id"])
    schema["metadata"].nullable = True
    remote = find_remote(found.remote, extensions=settings.ingest.extensions, settings=settings.fetch)
    files = [
        {"uri": file.uri, "bytes": file.bytes, "modified": file.modified, "metadata": None}
        for file in (*found.files, *remote)
    ]
    manifests = [listed for listed in map(read_manifest, found.manifests) if listed.num_rows]
    if not files and not manifests:
        return None
    given = store.spark.createDataFrame(pa.Table.from_pylist(files, schema=_IDENTITY), schema)
    for listed in manifests:
        identified = store.spark.createDataFrame(listed).mapInArrow(_Identifier(settings.fetch), schema)
        given = given.unionByName(identified)
    # The same uri twice is one video; a manifest's columns win over a bare file's.
    return given.groupBy("uri").agg(
        F.max("bytes").alias("bytes"),
        F.max("modified").alias("modified"),
        F.max_by("metadata", F.to_json("metadata")).alias("metadata"),
    )


class _Identifier:
    """Adds size and time of each file that can be looked at, or asked for."""

    def __init__(self, settings: FetchSettings) -> None:
        self._settings = settings

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with ThreadPoolExecutor(_ASKED_AT_ONCE) as asking:
            for batch in batches:
                rows = batch.to_pylist()
                files = asking.map(self._identify, (row["uri"] for row in rows))
                identified = [
                    {"uri": file.uri, "bytes": file.bytes, "modified": file.modified, "metadata": row["metadata"]}
                    for file, row in zip(files, rows, strict=True)
                ]
                yield pa.RecordBatch.from_pylist(identified, schema=_IDENTITY)

    def _identify(self, uri: str) -> FileIdentity:
        if is_local(uri):
            return identify(local_path(uri))
        if remote_uri(uri) is None:  # of a scheme that cannot be read: describe says so
            return FileIdentity(uri, None, None)
        return identify_remote(uri, self._settings)


def _changed(store: TableStore, given: DataFrame) -> DataFrame:
    """The given rows that `videos` lacks or holds with another identity; known ones with their video_id."""
    no_metadata = F.expr("cast(map() AS map<string,string>)")
    if not store.exists(VIDEOS):
        return given.withColumn("video_id", F.lit(None).cast("bigint")).withColumn(
            "metadata", F.coalesce("metadata", no_metadata)
        )
    joined = given.alias("given").join(store.read(VIDEOS).alias("known"), "uri", "left")
    metadata = F.coalesce("given.metadata", "known.metadata", no_metadata)
    # A server that does not answer now has not changed its file.
    silent = F.col("given.uri").rlike("^(s3|https?)://") & F.expr("given.bytes IS NULL AND given.modified IS NULL")
    same = (
        silent
        | F.col("known.bytes").eqNullSafe(F.col("given.bytes"))
        & F.col("known.modified").eqNullSafe(F.col("given.modified"))
    ) & (F.sort_array(F.map_entries("known.metadata")) == F.sort_array(F.map_entries(metadata)))
    changed = joined.where(F.col("known.video_id").isNull() | ~same)
    kept = [F.when(silent, F.col(f"known.{name}")).otherwise(F.col(f"given.{name}")) for name in ("bytes", "modified")]
    return changed.select(
        "uri", kept[0].alias("bytes"), kept[1].alias("modified"), metadata.alias("metadata"), "known.video_id"
    )


def _with_ids(store: TableStore, changed: DataFrame) -> DataFrame:
    """New rows are numbered from the highest id ever given, in the order of their uri."""
    first = store.first_free_id()
    new = changed.where("video_id IS NULL")
    numbered = new.withColumn("video_id", F.lit(first - 1) + F.row_number().over(Window.orderBy("uri")))
    return changed.where("video_id IS NOT NULL").unionByName(numbered)


def _check_ids(store: TableStore) -> int:
    """How many videos there are. Raises WarehouseError if two share an id."""
    row = store.read(VIDEOS).agg(F.count("*").alias("rows"), F.count_distinct("video_id").alias("ids")).first()
    assert row is not None
    if row["rows"] != row["ids"]:
        raise WarehouseError(
            f"{store.warehouse}: two videos got the same id, as two ingest jobs ran at once; restore the table "
            "`videos` to the version before and run them one after the other"
        )
    return int(row["rows"])
