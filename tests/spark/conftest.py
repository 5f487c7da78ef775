"""What Spark tests share: a store in a new warehouse, and samples of known structure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from media_files import write_flash_and_click
from pyspark.sql import SparkSession
from raw_samples import RawSamples

from avlib.spark.store import TableStore


@pytest.fixture
def store(spark: SparkSession, tmp_path: Path) -> TableStore:
    return TableStore(spark, str(tmp_path / "warehouse"))


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file of 24 s, with a flash and a click five times a second."""
    path = tmp_path_factory.mktemp("video") / "flash.mp4"
    times_s = np.arange(0, 24, 0.2).tolist()
    write_flash_and_click(path, video_codec="mpeg4", audio_codec="aac", times_s=times_s, duration_s=24.0)
    return path.read_bytes()


@pytest.fixture
def raw_samples() -> RawSamples:
    return RawSamples()
