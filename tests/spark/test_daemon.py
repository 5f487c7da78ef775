"""Spark's Python workers come from avlib's daemon, whose path holds no Java archives."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from zipimport import zipimporter

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from avlib.spark.daemon import no_jar

pytestmark = pytest.mark.spark


def test_workers_look_into_no_jar(spark: SparkSession) -> None:
    def look(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            archives = [place for place, found in sys.path_importer_cache.items() if isinstance(found, zipimporter)]
            on_path = sum(place.endswith(".jar") for place in sys.path)
            yield pa.RecordBatch.from_pydict({"archives": [archives], "on_path": [on_path]})

    row = spark.range(1).mapInArrow(look, "archives array<string>, on_path bigint").first()
    assert row is not None
    assert row["on_path"] > 10, "Spark no longer does this: the daemon can go"
    assert not [place for place in row["archives"] if place.endswith(".jar")]


def test_python_archives_can_be_imported_still(tmp_path: Path) -> None:
    for name in ("code.zip", "code.jar"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("shipped.py", "VALUE = 7")
    assert no_jar(str(tmp_path / "code.zip")).find_spec("shipped") is not None
    with pytest.raises(ImportError):
        no_jar(str(tmp_path / "code.jar"))
