"""Intermediate rows in files: what uses them does not compute them again, nor does the run after a kill."""

from __future__ import annotations

from pyspark.sql import DataFrame

from avlib.storage import is_file


def written(rows: DataFrame, place: str) -> DataFrame:
    """The same rows, read back from files. Where an earlier run has written them all, they are not computed."""
    if not is_file(f"{place}/_SUCCESS"):  # Spark's last file
        rows.write.mode("overwrite").parquet(place)
    reader = rows.sparkSession.read.schema(rows.schema).option("ignoreMissingFiles", False)
    return reader.option("ignoreCorruptFiles", False).parquet(place)  # whatever the session ignores
