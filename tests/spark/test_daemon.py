"""Spark's Python workers come from avlib's daemon, whose path holds no Java archives."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from avlib.spark.daemon import no_jar

pytestmark = pytest.mark.spark


def test_workers_look_into_no_jar(spark: SparkSession, tmp_path: Path) -> None:
    """Where JARs come as packages Spark puts them on the path of Python; here this does."""
    jar, other = tmp_path / "code.jar", tmp_path / "code.zip"
    for name in (jar, other):
        with zipfile.ZipFile(name, "w") as archive:
            archive.writestr("shipped.py", "VALUE = 7")

    def look(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            found = []
            for place in (jar, other):
                sys.path.append(str(place))
                found.append(find_spec("shipped") is not None)
                sys.path.remove(str(place))
            yield pa.RecordBatch.from_pydict({"found": [found]})

    row = spark.range(1).mapInArrow(look, "found array<boolean>").first()
    assert row is not None and row["found"] == [False, True]


def test_python_archives_can_be_imported_still(tmp_path: Path) -> None:
    for name in ("code.zip", "code.jar"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("shipped.py", "VALUE = 7")
    assert no_jar(str(tmp_path / "code.zip")).find_spec("shipped") is not None
    with pytest.raises(ImportError):
        no_jar(str(tmp_path / "code.jar"))
