"""What Spark tests share: a store in a new warehouse, and samples of known structure."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from raw_samples import RawSamples

from avlib.spark.store import TableStore


@pytest.fixture
def store(spark: SparkSession, tmp_path: Path) -> TableStore:
    return TableStore(spark, str(tmp_path / "warehouse"))


@pytest.fixture
def raw_samples() -> RawSamples:
    return RawSamples()
