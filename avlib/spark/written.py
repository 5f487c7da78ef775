"""Intermediate rows in files: what uses them does not compute them again, nor does the run after a kill."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from avlib.storage import for_spark, is_file


def written(rows: DataFrame, place: str) -> DataFrame:
    """The same rows, read back from files. Where an earlier run has written them all, they are not computed."""
    if is_file(f"{place}/_SUCCESS"):  # Spark's last file
        return read_back(rows.sparkSession, place, rows.schema)
    return written_anew(rows, place)


def written_anew(rows: DataFrame, place: str) -> DataFrame:
    """The same rows, read back from files, in place of those that a killed run may have left."""
    rows.write.mode("overwrite").parquet(for_spark(place))
    return read_back(rows.sparkSession, place, rows.schema)


def read_back(spark: SparkSession, place: str, schema: StructType | str) -> DataFrame:
    """The rows of a folder of files. One that has gone or is damaged is an error, whatever the session ignores."""
    reader = spark.read.schema(schema).option("ignoreMissingFiles", False)
    return reader.option("ignoreCorruptFiles", False).parquet(for_spark(place))
