"""Delta Lake's JARs are resolved once, and remembered for embedded Spark."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyspark.sql import SparkSession

from avlib.spark.delta_jars import remember, with_delta


def session_of(*jars: str) -> Any:
    """What `remember` asks of a session."""
    return SimpleNamespace(sparkContext=SimpleNamespace(getConf=lambda: {"spark.jars": ",".join(jars)}))


def chosen(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What a session would be given."""
    builder, given = SparkSession.Builder(), {}
    monkeypatch.setattr(builder, "config", lambda key, value: given.update({key: value}) or builder)
    with_delta(builder)
    return given


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("PYSPARK_SUBMIT_ARGS", "SPARK_CONF_DIR", "SPARK_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


@pytest.fixture
def jar(tmp_path: Path) -> Path:
    place = tmp_path / "of the user" / "io.delta_delta-spark.jar"
    place.parent.mkdir()
    place.touch()
    return place


def test_those_of_the_first_start_are_taken_again(cache: Path, jar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(monkeypatch).keys() == {"spark.jars.packages"}
    remember(session_of(jar.as_uri(), "file:///ivy/org.slf4j_slf4j-api.jar"))
    assert chosen(monkeypatch) == {"spark.jars": str(jar)}
    jar.unlink()
    assert chosen(monkeypatch).keys() == {"spark.jars.packages"}


@pytest.mark.parametrize("name", ["PYSPARK_SUBMIT_ARGS", "SPARK_CONF_DIR", "SPARK_HOME"])
def test_where_spark_has_settings_of_its_own_ivy_resolves_all(
    cache: Path, jar: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    remember(session_of(str(jar)))
    (cache / "conf").mkdir()
    (cache / "conf" / "spark-defaults.conf").touch()
    monkeypatch.setenv(name, str(cache))
    assert chosen(monkeypatch).keys() == {"spark.jars.packages"}


def test_what_cannot_be_kept_or_read_is_done_without(cache: Path, jar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remember(session_of(""))
    assert not cache.exists()
    cache.write_text("not a folder")
    remember(session_of(str(jar)))
    assert chosen(monkeypatch).keys() == {"spark.jars.packages"}
    cache.unlink()
    remember(session_of(str(jar)))
    assert chosen(monkeypatch).keys() == {"spark.jars"}
    with monkeypatch.context() as patched:
        patched.setattr(os, "access", lambda *_: False)  # another user's
        assert chosen(monkeypatch).keys() == {"spark.jars.packages"}
    with monkeypatch.context() as patched:
        patched.delenv("XDG_CACHE_HOME")
        patched.delenv("HOME", raising=False)
        patched.setattr("pwd.getpwuid", {}.__getitem__)  # a user nobody knows
        assert chosen(monkeypatch).keys() == {"spark.jars.packages"}
        remember(session_of(""))
    next(cache.rglob("jars-*.txt")).write_bytes(b"\xff\xfe")
    assert chosen(monkeypatch).keys() == {"spark.jars.packages"}
