"""Files with the same content are described once: the others of each kind are entered as `duplicate`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from avlib import tables
from avlib.config import Settings
from avlib.description import Description
from avlib.sources import kept_sources
from avlib.spark.progress import say
from avlib.spark.samples import committed_attempts, latest_descriptions
from avlib.spark.store import TableStore, spark_schema
from avlib.table_log import Note

_HASHED = "video_id bigint, samples_before bigint, content_hash string"
_PER_TASK = 8


@dataclass(frozen=True)
class Duplicates:
    """Videos whose content another one has.  rows: columns as `pending`, and content_hash, first_id.

    They are entered once the others have been described: a duplicate counts on the other's description.
    """

    rows: DataFrame

    def without(self, pending: DataFrame) -> DataFrame:
        """The videos to be described, less these."""
        return pending.join(self.rows.select("video_id"), "video_id", "left_anti")

    def enter(self, store: TableStore) -> None:
        """Write their descriptions. Where none of them had samples, they change nothing for the stages after this."""
        had_samples = store.exists(tables.DESCRIPTIONS) and not (
            self.rows.join(committed_attempts(store).select("video_id"), "video_id", "semi").isEmpty()
        )
        store.append(tables.DESCRIPTIONS, _descriptions(self.rows), note=Note(of_no_samples=not had_samples))


@contextmanager
def found_duplicates(store: TableStore, pending: DataFrame, settings: Settings) -> Iterator[Duplicates | None]:
    """Those among the videos to be described whose content another video has; None where there are none.

    Of equal files the one that had most samples before counts; of several one that is described already, or else the
    smallest video_id. Only files of a size that occurs twice are read for it, and no more than once a run.
    """
    sizes = store.read(tables.VIDEOS).where("bytes > 0").groupBy("bytes").agg(F.count("*").alias("files"))
    twins = sizes.where("files > 1").select("bytes")
    candidates = pending.join(twins, "bytes").select("video_id", "samples_before", "uri")
    count = candidates.count()
    if not count:
        yield None
        return
    tasks = min(-(-count // _PER_TASK), store.most_tasks())
    hashed = candidates.repartition(tasks).mapInArrow(_Hasher(settings), _HASHED).where("content_hash IS NOT NULL")
    known = hashed.withColumn("pending", F.lit(True)).unionByName(_described(store, pending))
    same = Window.partitionBy("content_hash").orderBy(F.desc("samples_before"), "pending", "video_id")
    firsts = known.withColumn("first_id", F.first("video_id").over(same))
    with store.frozen(
        firsts.where("pending AND first_id != video_id").drop("pending", "samples_before"), "duplicates"
    ) as duplicates:
        found = duplicates.count()
        if not found:
            yield None
            return
        say(f"  {found} videos have the content of another: they are not described again")
        yield Duplicates(pending.join(duplicates, "video_id"))


class _Hasher:
    """The content hash of each file; null where it cannot be read, which describe will say."""

    def __init__(self, settings: Settings) -> None:
        self._fetch, self._decode = settings.fetch, settings.decode

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            hashes = [self._hash_of(uri) for uri in batch["uri"].to_pylist()]
            yield batch.drop_columns("uri").append_column("content_hash", pa.array(hashes, pa.string()))

    def _hash_of(self, uri: str) -> str | None:
        try:
            with kept_sources(self._fetch, self._decode).open(uri) as video:
                return video.content_hash()
        except Exception:  # of whatever kind: it costs this video, and describe will say
            return None


def _described(store: TableStore, pending: DataFrame) -> DataFrame:
    """Columns as _HASHED, and pending = false, of the files that are described already and stay so."""
    if not store.exists(tables.DESCRIPTIONS):
        return store.spark.createDataFrame([], f"{_HASHED}, pending boolean")
    stay = latest_descriptions(store).where("content_hash IS NOT NULL AND status != 'duplicate'")
    stay = stay.join(pending.select("video_id"), "video_id", "left_anti")
    return stay.selectExpr("video_id", "samples AS samples_before", "content_hash", "false AS pending")


def _descriptions(duplicates: DataFrame) -> DataFrame:
    """Rows of `descriptions`. duplicates: columns as `pending`, and content_hash, first_id."""
    given = duplicates.withColumns(
        {
            "status": F.lit("duplicate"),
            "error_class": F.lit("duplicate"),
            "transient": F.lit(False),
            # Not its URI, which would stay when it is forgotten.
            "error": F.concat(F.lit("the same content as video "), F.col("first_id").cast("string")),
        }
    )
    empty = Description()
    columns = [
        (F.col(field.name) if field.name in given.columns else F.lit(getattr(empty, field.name)))
        .cast(field.dataType)
        .alias(field.name)
        for field in spark_schema(tables.DESCRIPTIONS)
    ]
    return given.select(*columns)
