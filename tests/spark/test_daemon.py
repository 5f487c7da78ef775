"""Spark's Python workers come from avlib's daemon, which looks into no JARs, and into archives as they change."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import socket
import sys
import zipfile
import zipimport
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from avlib.spark import daemon
from avlib.spark.daemon import Archive, Garbage, answering_at_once

pytestmark = pytest.mark.spark


def test_a_lost_worker_costs_no_job_without_a_cluster(spark: SparkSession, tmp_path: Path) -> None:
    """As one that the system kills where memory is short."""
    killed = tmp_path / "killed"

    def once(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if not killed.exists():
                killed.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            yield batch

    rows = spark.range(0, 1000, 1, 4).mapInArrow(once, "id bigint").collect()
    assert killed.exists() and sorted(row["id"] for row in rows) == list(range(1000))


def test_workers_look_into_no_jar(spark: SparkSession, tmp_path: Path) -> None:
    """Where JARs come as packages Spark puts them on the path of Python; here this does."""
    jar, other = tmp_path / "code.jar", tmp_path / "code.zip"
    for place in (jar, other):
        archive(place, "shipped")

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


def archive(place: Path, *modules: str) -> str:
    with zipfile.ZipFile(place, "w") as written:
        for module in modules:
            written.writestr(f"{module}.py", "VALUE = 7")
    return str(place)


def test_python_archives_can_be_imported_still(tmp_path: Path) -> None:
    assert Archive(archive(tmp_path / "code.zip", "shipped")).find_spec("shipped") is not None
    with pytest.raises(ImportError):
        Archive(archive(tmp_path / "code.jar", "shipped"))


def test_the_list_of_an_archive_is_read_again_where_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "code.zip"
    code = Archive(archive(place, "shipped"))
    read: list[str] = []
    monkeypatch.setattr(zipimport.zipimporter, "invalidate_caches", lambda self: read.append(self.archive))
    code.invalidate_caches()
    assert not read
    archive(place, "shipped", "another")
    code.invalidate_caches()
    code.invalidate_caches()
    assert read == [str(place)]
    place.unlink()
    code.invalidate_caches()
    assert read == [str(place)] * 2


def test_what_an_archive_has_now_is_found(tmp_path: Path) -> None:
    place = tmp_path / "code.zip"
    code = Archive(archive(place, "shipped"))
    archive(place, "shipped", "another")
    code.invalidate_caches()
    assert code.find_spec("another") is not None


def test_packages_of_an_archive_are_as_it_is_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their importers share a list, which may be older than they are."""
    monkeypatch.setattr(sys, "path_hooks", [Archive])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    monkeypatch.syspath_prepend(str(tmp_path / "code.zip"))
    archive(tmp_path / "code.zip", "packed_twice/__init__", "packed_twice/one")
    importlib.import_module("packed_twice")
    (tmp_path / "code.zip").unlink()
    archive(tmp_path / "code.zip", "packed_twice/__init__", "packed_twice/one", "packed_twice/two")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("packed_twice.two")
    importlib.invalidate_caches()
    assert importlib.import_module("packed_twice.two").VALUE == 7
    assert importlib.import_module("packed_twice.one").VALUE == 7


def test_packages_that_tasks_import_are_looked_through_once(spark: SparkSession) -> None:
    def look(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import avlib.spark.knn  # noqa: F401, a task's own packages

        for _ in batches:
            yield pa.RecordBatch.from_pydict({"pid": [os.getpid()], "looked_at": [len(gc.get_objects())]})

    found: dict[int, list[int]] = {}
    for _ in range(4):
        for row in spark.range(0, 4, 1, 4).mapInArrow(look, "pid bigint, looked_at bigint").collect():
            found.setdefault(row["pid"], []).append(row["looked_at"])
    most = max(found.values(), key=len)
    assert len(most) > 2 and most[-1] < 20_000 < len(gc.get_objects())


def test_garbage_is_collected_and_the_rest_kept_apart_once(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(daemon.gc, "collect", lambda: done.append("collect"))
    monkeypatch.setattr(daemon.gc, "freeze", lambda: done.append("freeze"))
    garbage = Garbage()
    garbage.collect()
    monkeypatch.setitem(sys.modules, "that_a_task_imports", sys)
    garbage.collect()
    garbage.collect()
    assert done == ["collect", "collect", "freeze", "collect"]


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_tasks_are_served_on_any_socket(family: socket.AddressFamily) -> None:
    served: list[object] = []
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        assert answering_at_once(lambda *given: served.append(given) or 7)(connection, True) == 7
        assert served == [(connection, True)]
