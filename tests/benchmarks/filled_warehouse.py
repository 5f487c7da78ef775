"""A warehouse of made-up samples, as ingest and describe would have left it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from avlib import tables
from avlib.columns import descriptor_column
from avlib.neighbors import Block
from avlib.spark.store import TableStore, spark_schema

_DESCRIBED = {
    "attempt": 1,
    "input_hash": "",
    "described_with": "w",
    "status": "ok",
    "audio_status": "ok",
    "visual_status": "ok",
}


def fill(store: TableStore, samples: Block, folder: Path) -> None:
    """Write the samples into the tables that knn reads. folder: for a file on the way."""
    rows = len(samples)
    columns = {
        "sample_id": pa.array(samples.ids),
        "attempt": pa.array(np.ones(rows, np.int32)),
        "time_s": pa.array(samples.times_s),
        "rms": pa.array(np.ones(rows, np.float32)),
        "visual": descriptor_column(samples.visual),
        "audio_mfcc65": descriptor_column(samples.audio),
        "audio_context": descriptor_column(samples.audio),
    }
    parquet.write_table(pa.table(columns), folder / "samples.parquet", use_dictionary=False)
    store.append(tables.SAMPLES, store.spark.read.parquet(str(folder / "samples.parquet")))
    videos, counts = np.unique(samples.ids >> 24, return_counts=True)
    described = store.spark.createDataFrame(
        list(zip(videos.tolist(), counts.tolist(), strict=True)), "video_id bigint, samples bigint"
    )
    described = described.withColumns({name: F.lit(value) for name, value in _DESCRIBED.items()})
    store.append(tables.DESCRIPTIONS, _with_all_columns(described, tables.DESCRIPTIONS))
    named = described.select("video_id", F.concat("video_id", F.lit(".mp4")).alias("uri"))
    named = named.withColumn("metadata", F.create_map().cast("map<string,string>"))
    store.append(tables.VIDEOS, _with_all_columns(named, tables.VIDEOS))
    audio = samples.audio.astype(np.float64)
    numbers = rows, audio.mean(axis=0).tolist(), audio.std(axis=0).tolist()
    stats = [(1, descriptor, *numbers) for descriptor in ("audio_mfcc65", "audio_context")]
    store.append(tables.DESCRIPTOR_STATS, store.spark.createDataFrame(stats, spark_schema(tables.DESCRIPTOR_STATS)))


def _with_all_columns(rows: DataFrame, table: tables.Table) -> DataFrame:
    return rows.select(
        *(
            (F.col(field.name) if field.name in rows.columns else F.lit(None)).cast(field.dataType).alias(field.name)
            for field in spark_schema(table)
        )
    )
