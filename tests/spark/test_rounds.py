"""Rounds of the components that are cut short, lost or damaged: the next run gives the same rows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from edge_lists import EDGES, chain, sorted_rows
from pyspark.sql import DataFrame, SparkSession

from avlib.errors import WarehouseError
from avlib.spark import rounds
from avlib.spark.components import components
from avlib.spark.rounds import Round, Rounds
from avlib.storage import write_whole

pytestmark = pytest.mark.spark


class Killed(BaseException):
    """Stands for the end of the driver: nothing catches it."""


def kill_at(monkeypatch: pytest.MonkeyPatch, number: int, *, entered: bool) -> None:
    """End the driver in a round: with its files written, before or after it is entered in the journal."""

    def write(uri: str, content: bytes) -> None:
        if json.loads(content)["rounds"][-1]["number"] == number:
            if entered:
                write_whole(uri, content)
            raise Killed
        write_whole(uri, content)

    monkeypatch.setattr(rounds, "write_whole", write)


def interrupted(edges: DataFrame, folder: Path, number: int, *, entered: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, number, entered=entered)
        with pytest.raises(Killed):
            components(edges, folder=str(folder), one_task_edges=0, source="a")


def places(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def resumed(edges: DataFrame, folder: Path, source: str = "a") -> list[tuple[int, int]]:
    return sorted_rows(components(edges, folder=str(folder), one_task_edges=0, source=source))


CHAIN = 100


def small_graph(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(chain(CHAIN, shuffled=True), EDGES).repartition(4)


def test_killed_in_every_round(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    edges = small_graph(spark)
    whole = resumed(edges, tmp_path / "whole")
    last = int(places(tmp_path / "whole")[-1])
    assert last >= 3
    written: list[int] = []
    write = Rounds.write

    def counted(self: Rounds, rows: DataFrame, *, settled: bool = False) -> Round:
        written.append(0)
        return write(self, rows, settled=settled)

    monkeypatch.setattr(Rounds, "write", counted)
    for number in range(last + 1):
        # killed once in each round, and in the next run again right after it
        interrupted(edges, tmp_path / "killed", number, entered=False)
        interrupted(edges, tmp_path / "killed", number, entered=True)
    written.clear()
    assert resumed(edges, tmp_path / "killed") == whole
    assert not written  # the last round was there already
    assert f"after round {last}" in capsys.readouterr().err


@pytest.fixture(scope="module")
def stopped(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a driver leaves that was killed after round 2."""
    folder = tmp_path_factory.mktemp("stopped") / "rounds"
    interrupted(small_graph(spark), folder, 2, entered=True)
    return folder


@pytest.mark.parametrize("harm", ["none", "deleted", "file deleted", "truncated", "other rows"])
def test_a_damaged_round_is_noticed(
    spark: SparkSession, tmp_path: Path, stopped: Path, capsys: pytest.CaptureFixture[str], harm: str
) -> None:
    folder = shutil.copytree(stopped, tmp_path / "rounds")
    newest = folder / "0002"
    files = sorted(newest.glob("*.parquet"))
    match harm:
        case "deleted":
            shutil.rmtree(newest)
        case "file deleted":
            files[0].unlink()
        case "truncated":
            files[0].write_bytes(files[0].read_bytes()[:-20])
            (newest / f".{files[0].name}.crc").unlink()
        case "other rows":
            table = pq.read_table(files[0])
            pq.write_table(table.set_column(1, "root", pa.array([0] * len(table))), files[0])
            (newest / f".{files[0].name}.crc").unlink()
    left = Rounds(spark, str(folder), source="a", schema="node bigint, root bigint").last_whole()
    assert left is not None and left.number == (2 if harm == "none" else 1)
    said = capsys.readouterr().err
    assert ("round 2 is missing or damaged: going back to round 1" in said) == (harm != "none")
    assert f"after round {left.number}" in said


@pytest.mark.parametrize(("lost", "back_to"), [(1, "round 1"), (3, "the beginning")])
def test_the_same_rows_after_rounds_are_lost(
    spark: SparkSession, tmp_path: Path, stopped: Path, capsys: pytest.CaptureFixture[str], lost: int, back_to: str
) -> None:
    folder = shutil.copytree(stopped, tmp_path / "rounds")
    for place in places(folder)[-lost:]:
        shutil.rmtree(folder / place)
    assert dict(resumed(small_graph(spark), folder)) == {node: 0 for node in range(CHAIN)}
    assert f"going back to {back_to}" in capsys.readouterr().err


def test_rounds_of_another_input_are_not_used(spark: SparkSession, tmp_path: Path, stopped: Path) -> None:
    folder = shutil.copytree(stopped, tmp_path / "rounds")
    other = spark.createDataFrame([(5, 7)], EDGES)
    assert resumed(other, folder, "b") == [(5, 5), (7, 5)]
    assert places(folder) == ["0000", "0001"]


def test_rows_lost_while_writing_are_noticed(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Rounds.read
    monkeypatch.setattr(Rounds, "read", lambda self, one: read(self, one).limit(2))
    with pytest.raises(WarehouseError, match="other rows than the"):
        resumed(small_graph(spark), tmp_path)
