"""What all tests share: the labelled collection where it is at hand, and one embedded Spark session."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from faults_seed import faults_seed
from pyspark.sql import SparkSession

from avlib.config import load_settings
from avlib.media import Decoder
from avlib.sources import Sources

# How long an example takes says more of the machine than of what is tested: the first one imports, others compile.
hypothesis.settings.register_profile("avlib", deadline=None)
hypothesis.settings.load_profile("avlib")

_DEFAULT_DATA = Path(__file__).parents[2] / "shared" / "data"


def pytest_report_header() -> str:
    return f"faults: drawn by AVLIB_FAULTS_SEED={faults_seed()}"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real videos, broken files and weights (see README, Contributing). Skips where they are not at hand."""
    folder = Path(os.environ.get("AVLIB_TEST_DATA", _DEFAULT_DATA))
    if not folder.is_dir():
        pytest.skip(f"no test data at {folder}; set AVLIB_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def decoder() -> Iterator[Decoder]:
    with Decoder(load_settings().decode) as decoding:
        yield decoding


@pytest.fixture(scope="session")
def sources() -> Iterator[Sources]:
    settings = load_settings()
    with Sources(settings.fetch, settings.decode) as opened:
        yield opened


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    from avlib.spark.session import get_session

    settings = load_settings(assignments=["spark.master=local[2]", "spark.driver_memory=2g"])
    with (tmp_path_factory.getbasetemp().parent / "avlib-spark.lock").open("w") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)  # the first start fetches JARs
        session = get_session(settings.spark)
    yield session
    session.stop()
