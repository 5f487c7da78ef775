"""optimize: no table is touched while another run may write it; that run is named, and other tables are done."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filled_store import fill
from raw_samples import RawSamples

from avlib import tables
from avlib.cli import main
from avlib.spark import optimize
from avlib.spark.runs import Work, recorded
from avlib.spark.store import TableStore

pytestmark = pytest.mark.spark

HOLD = """
import sys, time
from avlib.claims import claimed

with claimed(sys.argv[1], sys.argv[2]):
    print("held", flush=True)
    time.sleep(float(sys.argv[3]))
"""


@contextmanager
def held(store: TableStore, work: str, *, for_s: float) -> Iterator[int]:
    """A process that holds a claim."""
    command = [sys.executable, "-c", HOLD, store.warehouse, work, str(for_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        try:
            yield holder.pid
        finally:
            holder.kill()


def test_tables_of_a_run_at_work_are_left(
    store: TableStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(2):
        fill(store, RawSamples(seed=seed))
    versions = [store.version(table) for table in optimize.GROWING["describe"]]
    with monkeypatch.context() as patched, held(store, "describe", for_s=60) as process:
        patched.setattr(optimize, "_WAITS_S", 0.5)
        with pytest.raises(SystemExit) as exit_:
            main(["optimize", "-w", store.warehouse])
    assert [store.version(table) for table in optimize.GROWING["describe"]] == versions
    said = capsys.readouterr()
    assert exit_.value.code == 2 and [line.split()[0] for line in said.out.splitlines()] == ["videos"]
    assert "avlib: descriptions, samples, descriptor_stats: left as they are, as " in said.err
    assert "another run is at this (describe, since" in said.err and f"process {process}); wait for it" in said.err
    assert {table.name: after for table, _, after in optimize.run(store)}["samples"] == 1


def test_a_run_that_ends_is_waited_for(store: TableStore) -> None:
    fill(store, RawSamples())
    with held(store, "ingest", for_s=1):
        assert "videos" in [table.name for table, _, _ in optimize.run(store)]


def test_whoever_writes_a_table_is_kept_out_while_it_is_compacted(
    store: TableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, RawSamples())
    with recorded(store, Work("test", [], [], [])) as record:
        record.summary = "done"
    seen: dict[str, list[str]] = {}

    def compact(store: TableStore, table: tables.Table) -> tuple[int, int]:
        seen[table.name] = list(store._claims)
        return 1, 1

    monkeypatch.setattr(TableStore, "compact", compact)
    assert len(list(optimize.run(store))) == len(seen)
    of_describe = {table: ["optimize", "describe"] for table in ("descriptions", "samples", "descriptor_stats")}
    assert seen == of_describe | {"videos": ["optimize", "ingest"], "runs": ["optimize", "runs"]}


def test_a_record_is_entered_alone(store: TableStore) -> None:
    with held(store, "runs", for_s=2):
        began = time.monotonic()
        with recorded(store, Work("test", [], [], [])) as record:
            record.summary = "done"
        assert time.monotonic() - began > 0.5
    assert store.read(tables.RUNS).count() == 1
    assert not Path(store.warehouse, "_running").exists()
