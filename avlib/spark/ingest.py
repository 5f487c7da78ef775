"""ingest: inputs → videos. One row per input, identity only; ids are never reused and never change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from avlib.config import Settings
from avlib.errors import InputError
from avlib.inputs import Inputs, find_inputs, identify, local_path
from avlib.spark.progress import say, watched
from avlib.spark.runs import Recorder, Work
from avlib.spark.store import TableStore, spark_schema
from avlib.tables import VIDEOS


def run(store: TableStore, settings: Settings, inputs: Sequence[str]) -> None:
    """Add the named inputs to `videos`. Those already there keep their id; changed files get their new identity."""
    found = find_inputs(inputs, extensions=settings.ingest.extensions)
    recorder = Recorder(store, Work("ingest", [], [VIDEOS], [settings.ingest]))
    with watched(store.spark, "ingest"):
        given = _given(store, found)
        changed = _changed(store, given).localCheckpoint()  # files may change while they are merged
        if changed.isEmpty():
            say(f"ingest: nothing new, {store.read(VIDEOS).count()} videos")
            return
        identity = {column: F.col(f"given.{column}") for column in ("bytes", "modified", "metadata")}
        store.insert_missing(VIDEOS, _with_ids(store, changed), update=identity)
        total = store.read(VIDEOS).count()
    recorder.finish(f"{total} videos")
    say(f"ingest: {total} videos")


def _given(store: TableStore, found: Inputs) -> DataFrame:
    """uri, bytes, modified, metadata of every input; one row per uri."""
    schema = StructType([field for field in spark_schema(VIDEOS) if field.name != "video_id"])
    files: list[tuple[object, ...]] = [(file.uri, file.bytes, file.modified, {}) for file in found.files]
    given = store.spark.createDataFrame(files, schema=schema)
    for manifest in found.manifests:
        given = given.unionByName(_read_manifest(store, manifest, schema))
    # The same uri twice is one video; a manifest's columns win over a bare file's.
    return given.groupBy("uri").agg(
        F.max("bytes").alias("bytes"),
        F.max("modified").alias("modified"),
        F.max_by("metadata", F.struct(F.size("metadata"), F.to_json("metadata"))).alias("metadata"),
    )


def _read_manifest(store: TableStore, path: Path, schema: StructType) -> DataFrame:
    location = path.resolve().as_uri()
    match path.suffix.lower():
        case ".csv":
            rows = store.spark.read.option("header", True).option("multiLine", True).option("escape", '"').csv(location)
        case ".parquet":
            rows = store.spark.read.parquet(location)
        case _:
            rows = store.spark.read.text(location).toDF("uri")
    if "uri" not in rows.columns:
        raise InputError(f"{path}: a manifest needs a column uri, this one has {', '.join(rows.columns)}")
    others = [name for name in rows.columns if name != "uri"]
    pairs = [item for name in others for item in (F.lit(name), F.col(f"`{name}`").cast("string"))]
    metadata = F.map_filter(F.create_map(*pairs), lambda _, value: value.isNotNull())
    named = rows.where("uri IS NOT NULL AND trim(uri) != ''").select(
        F.trim("uri").alias("uri"),
        (metadata if pairs else F.expr("map()")).cast("map<string,string>").alias("metadata"),
    )
    base = path.resolve().parent

    def identified(uri: str) -> tuple[str, int | None, object]:
        # A relative path counts from the manifest's folder.
        try:
            file = identify(base / local_path(uri))
        except InputError:
            return (uri, None, None)
        return (file.uri, file.bytes, file.modified)

    look = F.udf(identified, StructType([field for field in schema if field.name != "metadata"]))
    return named.withColumn("file", look("uri")).select("file.*", "metadata").select(*schema.names)


def _changed(store: TableStore, given: DataFrame) -> DataFrame:
    """The given rows that `videos` lacks or holds with another identity; known ones with their video_id."""
    if not store.exists(VIDEOS):
        return given.withColumn("video_id", F.lit(None).cast("bigint"))
    known = store.read(VIDEOS)
    same = (
        F.col("known.bytes").eqNullSafe(F.col("given.bytes"))
        & F.col("known.modified").eqNullSafe(F.col("given.modified"))
        & (F.sort_array(F.map_entries("known.metadata")) == F.sort_array(F.map_entries("given.metadata")))
    )
    joined = given.alias("given").join(known.alias("known"), F.col("given.uri") == F.col("known.uri"), "left")
    return joined.where(F.col("known.video_id").isNull() | ~same).select("given.*", "known.video_id")


def _with_ids(store: TableStore, changed: DataFrame) -> DataFrame:
    """New rows are numbered from the highest id ever given, in the order of their uri."""
    first = 0
    if store.exists(VIDEOS):
        highest = store.read(VIDEOS).agg(F.max("video_id")).first()
        first = 0 if highest is None or highest[0] is None else int(highest[0]) + 1
    new = changed.where("video_id IS NULL")
    numbered = new.withColumn("video_id", F.lit(first - 1) + F.row_number().over(Window.orderBy("uri")))
    return changed.where("video_id IS NOT NULL").unionByName(numbered)
