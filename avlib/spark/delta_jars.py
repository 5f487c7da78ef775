"""Delta Lake's JARs for embedded Spark: resolved by Ivy at the first start, which takes seconds, and remembered."""

from __future__ import annotations

import os
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlparse

import pyspark
from delta import configure_spark_with_delta_pip
from pyspark.sql import SparkSession

from avlib.storage import cache_folder, write_whole

DELTA_PACKAGE = "io.delta:delta-spark_4.1_2.13:4.3.1"
OF_DELTA = ("io.delta_", "io.unitycatalog_")
"""JARs that Spark lacks; resolving the package fetches others too, which it has in newer versions."""


def with_delta(builder: SparkSession.Builder) -> SparkSession.Builder:
    """Have the session know Delta Lake."""
    jars = _remembered()
    if not jars or _has_settings_of_its_own():
        return configure_spark_with_delta_pip(builder)
    return builder.config("spark.jars", ",".join(map(str, jars)))


def remember(session: SparkSession) -> None:
    """Keep which JARs a session has, for the next start."""
    paths = [_path(jar) for jar in session.sparkContext.getConf().get("spark.jars", "").split(",")]
    jars = [path for path in paths if path.name.startswith(OF_DELTA)]
    if jars and jars != _remembered():
        with suppress(OSError):  # a home that cannot be written to: Ivy is asked each time
            write_whole(str(_place()), "\n".join(map(str, jars)).encode())


def _remembered() -> list[Path]:
    """The JARs, if all are still there."""
    try:
        jars = [Path(line) for line in _place().read_text().splitlines()]
    except (OSError, UnicodeDecodeError):
        return []
    return jars if all(os.access(jar, os.R_OK) for jar in jars) else []


def _place() -> Path:
    versions = "-".join(f"{package}-{metadata.version(package)}" for package in ("delta-spark", "pyspark"))
    return cache_folder() / f"jars-{versions}.txt"


def _path(jar: str) -> Path:
    return Path(unquote(urlparse(jar).path))


def _has_settings_of_its_own() -> bool:
    """Whether Spark may be given other JARs or packages too, with which Delta's go together through Ivy alone."""
    home = os.environ.get("SPARK_HOME") or pyspark.__path__[0]
    given = "PYSPARK_SUBMIT_ARGS" in os.environ or "SPARK_CONF_DIR" in os.environ
    return given or Path(home, "conf", "spark-defaults.conf").exists()
