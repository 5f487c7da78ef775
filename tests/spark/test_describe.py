"""The describe stage: duplicates, retries, slices as tasks of their own, and work spread by size."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from avlib import tables
from avlib.cli import main
from avlib.config import Settings, load_settings
from avlib.errors import WarehouseError
from avlib.identity import VIDEO_ID_SHIFT
from avlib.models import described_with, store_model
from avlib.spark import describe, ingest
from avlib.spark.describing import PENDING
from avlib.spark.samples import latest_descriptions, live_samples
from avlib.spark.store import TableStore

pytestmark = pytest.mark.spark


def settings(*assignments: str) -> Settings:
    return load_settings(assignments=["describe.visual_model=hog_color", "describe.frame_stride=5", *assignments])


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = tmp_path / "inputs"
    folder.mkdir()
    return folder


@pytest.fixture
def store(spark: SparkSession, tmp_path: Path) -> TableStore:
    return TableStore(spark, str(tmp_path / "warehouse"))


def outcomes(store: TableStore) -> dict[str, tuple[str, int, int]]:
    """Status, attempt and samples of each video."""
    videos = store.read(tables.VIDEOS).select("video_id", "uri")
    rows = latest_descriptions(store).join(videos, "video_id").collect()
    return {Path(row["uri"]).name: (row["status"], row["attempt"], row["samples"]) for row in rows}


def test_equal_files_are_described_once(store: TableStore, inputs: Path, video: bytes) -> None:
    for name in ("a", "b", "c"):
        (inputs / f"{name}.mp4").write_bytes(video)
    (inputs / "same size.mp4").write_bytes(video[:-1] + b"x")
    ingest.run(store, settings(), [str(inputs)])
    describe.run(store, settings())
    first = outcomes(store)
    samples = first["a.mp4"][2]
    assert first == {
        "a.mp4": ("ok", 1, samples),
        "b.mp4": ("duplicate", 1, 0),
        "c.mp4": ("duplicate", 1, 0),
        "same size.mp4": ("ok", 1, samples),
    }
    said = [row["error"] for row in latest_descriptions(store).where("status = 'duplicate'").collect()]
    assert said == ["the same content as video 0"] * 2  # no URI, which may be forgotten
    (inputs / "d.mp4").write_bytes(video)  # later: the one that has been described counts
    ingest.run(store, settings(), [str(inputs)])
    built_on = (tables.DESCRIPTIONS, tables.SAMPLES)
    before_it = [store.last_change(table) for table in built_on]
    describe.run(store, settings())
    assert outcomes(store) == first | {"d.mp4": ("duplicate", 1, 0)}
    assert [store.last_change(table) for table in built_on] == before_it  # no later stage is run for it
    # "a" is another video now, and a broken one: the others are not lost with it.
    (inputs / "a.mp4").write_bytes(b"no video")
    ingest.run(store, settings(), [str(inputs)])
    describe.run(store, settings())
    assert outcomes(store) == first | {
        "a.mp4": ("failed", 2, 0),
        "b.mp4": ("ok", 2, samples),
        "c.mp4": ("duplicate", 2, 0),
        "d.mp4": ("duplicate", 2, 0),
    }
    before = outcomes(store)
    for name in ("e", "f"):  # of what cannot be opened, too, one is looked at
        (inputs / f"{name}.mp4").write_bytes(b"no video")
    ingest.run(store, settings(), [str(inputs)])
    for _ in range(2):
        describe.run(store, settings())
        assert outcomes(store) == before | {"e.mp4": ("duplicate", 1, 0), "f.mp4": ("duplicate", 1, 0)}


def test_a_retry_that_fails_loses_nothing(store: TableStore, inputs: Path, video: bytes) -> None:
    (inputs / "good.mp4").write_bytes(video)
    (inputs / "cut off.mp4").write_bytes(_cut_off(video))
    ingest.run(store, settings(), [str(inputs)])
    describe.run(store, settings())
    before = outcomes(store)
    assert before["cut off.mp4"][0] == "partial" and before["cut off.mp4"][2] > 0
    (inputs / "cut off.mp4").rename(inputs / "gone for a while.mp4")
    describe.run(store, settings(), retry="damaged")
    assert outcomes(store) == before
    (inputs / "gone for a while.mp4").rename(inputs / "cut off.mp4")
    describe.run(store, settings(), retry="damaged")
    assert outcomes(store)["cut off.mp4"] == ("partial", 2, before["cut off.mp4"][2])


def test_a_duplicate_keeps_no_samples_of_before(store: TableStore, inputs: Path, video: bytes) -> None:
    (inputs / "a.mp4").write_bytes(video)
    (inputs / "cut off.mp4").write_bytes(_cut_off(video))
    ingest.run(store, settings(), [str(inputs)])
    describe.run(store, settings())
    samples = outcomes(store)["cut off.mp4"][2]
    assert outcomes(store)["a.mp4"][2] > samples > 0
    (inputs / "a.mp4").write_bytes(_cut_off(video))
    ingest.run(store, settings(), [str(inputs)])
    describe.run(store, settings(), retry="damaged")  # "cut off", too: what it had is not lost to a smaller number
    assert outcomes(store) == {"a.mp4": ("duplicate", 2, 0), "cut off.mp4": ("partial", 2, samples)}
    assert store.read(tables.SAMPLES).count() == samples


def test_fewer_samples_of_the_same_file_are_not_taken(spark: SparkSession) -> None:
    columns = "video_id bigint, status string, transient boolean, samples bigint"
    found = [
        (1, "partial", True, 3),
        (2, "partial", False, 3),
        (3, "failed", None, None),
        (4, "partial", True, 9),
        (5, "failed", True, None),
        (6, "ok", False, 3),  # read to its end: it had been partial
    ]
    videos = [Row(video_id=number, samples_before=0 if number == 5 else 5) for number in range(1, 7)]
    descriptions = spark.createDataFrame(found, columns)
    assert sorted(describe._worse_than_before(descriptions, videos)) == [1, 2, 3]
    assert describe._worse_than_before(descriptions, videos[4:5]) == []


def _cut_off(video: bytes) -> bytes:
    """Its media zeroed from the middle on; the index, at the end, is whole."""
    begin, end = len(video) // 2, video.rindex(b"moov") - 4
    return video[:begin] + bytes(end - begin) + video[end:]


def test_samples_that_are_missing_or_too_many_are_told(store: TableStore, inputs: Path, video: bytes) -> None:
    (inputs / "good.mp4").write_bytes(video)
    (inputs / "text.mp4").write_bytes(b"no video")
    ingest.run(store, settings(), [str(inputs)])
    describe.run(store, settings())
    samples = outcomes(store)["good.mp4"][2]
    said = f"2 videos = 1 ok, 1 failed; {samples} samples"
    assert describe.check_invariant(store) == said
    # Those that no description vouches for do not count: a worker that failed in the middle of a video leaves some.
    some = store.read(tables.SAMPLES).orderBy("sample_id").limit(3).toArrow()
    of_failed = F.col("sample_id") + (1 << VIDEO_ID_SHIFT)
    for column, values in (("attempt", F.lit(2)), ("sample_id", of_failed)):
        store.append(tables.SAMPLES, store.spark.createDataFrame(some).withColumn(column, values))
        assert describe.check_invariant(store) == said
    store.delete(tables.DESCRIPTIONS, F.col("video_id") == 1)
    with pytest.raises(WarehouseError, match=r"1 of 2 videos in .* have no description"):
        describe.check_invariant(store)
    some_id, other_id = (store.spark.createDataFrame([(id,)], "video_id bigint") for id in (0, 1))
    assert describe.check_invariant(store, given=some_id).startswith("1 videos = 1 ok")
    with pytest.raises(WarehouseError, match=r"1 of 2 videos in .* have no description"):
        describe.check_invariant(store, given=other_id)
    store.append(tables.SAMPLES, store.spark.createDataFrame(some))
    with pytest.raises(WarehouseError, match=r"1 videos in .* have another number of samples"):
        describe.check_invariant(store)
    store.delete(tables.SAMPLES, F.lit(True))
    with pytest.raises(WarehouseError, match=r"1 videos in .* have another number of samples"):
        describe.check_invariant(store)


def test_retry(store: TableStore, inputs: Path, video: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    (inputs / "good.mp4").write_bytes(video)
    (inputs / "empty.mp4").write_bytes(b"")
    (inputs / "text.mp4").write_bytes(b"no video")
    ingest.run(store, settings(), [str(inputs)])
    describe.run(store, settings())
    before = outcomes(store)
    assert {name: status for name, (status, _, _) in before.items()} == {
        "good.mp4": "ok",
        "empty.mp4": "failed",
        "text.mp4": "failed",
    }
    describe.run(store, settings())
    assert outcomes(store) == before

    def attempts(*options: str) -> dict[str, int]:
        with pytest.raises(SystemExit) as end:
            given = ["--set", "describe.visual_model=hog_color", "--set", "describe.frame_stride=5"]
            main(["describe", "-w", store.warehouse, *given, *options])
        assert not end.value.code
        return {name: attempt for name, (_, attempt, _) in outcomes(store).items()}

    assert attempts("--retry-failed=empty_file") == {"good.mp4": 1, "empty.mp4": 2, "text.mp4": 1}
    assert attempts("--retry-failed") == {"good.mp4": 1, "empty.mp4": 3, "text.mp4": 2}
    # What a limit cut short may be had in full with another one; what is damaged may not.
    told = store.read(tables.DESCRIPTIONS).where("status = 'ok'").drop("status", "error_class", "error").toArrow()
    for error_class, again in (("timeout", True), ("damaged", False)):
        partial = store.spark.createDataFrame(told).withColumns(
            {"status": F.lit("partial"), "error_class": F.lit(error_class), "error": F.lit("told")}
        )
        store.overwrite(tables.DESCRIPTIONS, partial)
        made_with, totals = told["described_with"][0].as_py(), describe._totals(store)
        for retry, expected in ((None, False), (describe.ANY_FAILURE, again), (error_class, True)):
            pending = describe._pending(store, made_with, totals, retry).join(partial, "video_id", "semi")
            assert pending.count() == expected


def test_of_two_at_once_without_locks_the_newer_goes_on(
    store: TableStore, inputs: Path, video: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def unchecked(*_: object, **__: object) -> Iterator[bool]:
        yield False

    for number in range(2):
        (inputs / f"{number}.mp4").write_bytes(video + bytes(number))
    ingest.run(store, settings(), [str(inputs)])
    newer, enter = TableStore(store.spark, store.warehouse), describe._enter

    def enter_late(of: TableStore, *given: Any) -> None:
        if of is store:
            describe.run(newer, settings())
        enter(of, *given)

    monkeypatch.setattr("avlib.spark.store.claimed", unchecked)
    with monkeypatch.context() as patched, pytest.raises(WarehouseError, match="another describe has begun here"):
        patched.setattr(describe, "_enter", enter_late)
        describe.run(store, settings())
    found = outcomes(store)
    versions = [store.version(table) for table in (tables.SAMPLES, tables.DESCRIPTIONS)]
    describe.run(store, settings())
    assert [
        store.version(table) for table in (tables.SAMPLES, tables.DESCRIPTIONS)
    ] == versions  # nothing to do, nothing committed
    assert outcomes(store) == found and len(found) == 2 and all(status == "ok" for status, _, _ in found.values())
    samples = store.read(tables.SAMPLES).toPandas()["sample_id"]
    assert samples.is_unique and len(samples) == sum(count for *_, count in found.values())


def test_slices_are_tasks_of_their_own(store: TableStore, inputs: Path, tmp_path: Path, video: bytes) -> None:
    for name in ("long", "longer"):
        (inputs / f"{name}.mp4").write_bytes(video + bytes(8 * len(name)))
    (inputs / "cut off.mp4").write_bytes(video[: len(video) // 2])  # its index lies at the end
    whole = TableStore(store.spark, str(tmp_path / "whole"))
    for place, given in ((store, settings("describe.slice_s=10")), (whole, settings())):
        ingest.run(place, given, [str(inputs)])
        describe.run(place, given)
    assert outcomes(store) == outcomes(whole)
    assert outcomes(store)["long.mp4"][2] > 50
    exact = ["sample_id", "time_s", "rms", "visual"]
    rows = [live_samples(place).select(*exact).orderBy("sample_id").toPandas() for place in (store, whole)]
    assert rows[0].sample_id.is_unique
    for column in exact:
        np.testing.assert_array_equal(*(np.stack(frame[column]) for frame in rows))
    covered = [latest_descriptions(place).agg({"covered_s": "sum"}).first()[0] for place in (store, whole)]
    assert covered[0] == pytest.approx(covered[1], abs=0.1)


def test_work_is_spread_by_size(store: TableStore) -> None:
    sizes = [1000, 10, 10, 10, 10, 500, 500, 10, 10, 10] * 20
    names = [field.name for field in PENDING]
    videos = store.spark.createDataFrame(
        [(number, f"{number}.mp4", size, None, "", "", 1, 0) for number, size in enumerate(sizes)],
        from_arrow_schema(PENDING),
    ).collect()
    spread = describe._spread(store, videos, 300.0)
    assert spread.columns == names
    loads = spread.rdd.mapPartitions(lambda rows: [sum(row["bytes"] for row in rows)]).collect()
    assert sum(loads) == sum(sizes)
    assert max(loads) <= 1.1 * sum(sizes) / len(loads) + max(sizes)
    assert min(loads) >= 0.5 * sum(sizes) / len(loads)


def test_durations_that_are_known_count(store: TableStore, inputs: Path, video: bytes) -> None:
    """By the manifest before a video has been described, by its description after."""
    lines = ["uri,duration_s"]
    for name, said in (("a.mp4", "12.5"), ("b.mp4", "long"), ("gone.mp4", "7")):
        lines.append(f"{name},{said}")
        if name != "gone.mp4":
            (inputs / name).write_bytes(video + name.encode())
    (inputs / "list.csv").write_text("\n".join(lines))
    ingest.run(store, settings(), [str(inputs / "list.csv")])

    def durations_s(retry: str | None = None) -> dict[str, float | None]:
        made_with = described_with(settings().describe, store_model(settings().describe, warehouse=store.warehouse))
        pending = describe._pending(store, made_with, describe._totals(store), retry)
        return {Path(row["uri"]).name: row["duration_s"] for row in pending.collect()}

    assert durations_s() == {"a.mp4": 12.5, "b.mp4": None, "gone.mp4": 7.0}
    describe.run(store, settings())
    assert durations_s("not_found") == {"gone.mp4": 7.0}
    (inputs / "b.mp4").write_bytes(video + bytes(99))
    ingest.run(store, settings(), [str(inputs / "list.csv")])
    measured_s = latest_descriptions(store).where("status = 'ok'").agg({"duration_s": "max"}).first()[0]
    assert durations_s() == {"b.mp4": measured_s}


def test_a_video_that_is_gone_costs_itself_only(store: TableStore, inputs: Path, video: bytes) -> None:
    (inputs / "good.mp4").write_bytes(video)
    (inputs / "gone.mp4").write_bytes(video + bytes(16))
    ingest.run(store, settings(), [str(inputs)])
    os.unlink(inputs / "gone.mp4")  # noqa: PTH108
    describe.run(store, settings())
    assert {name: status for name, (status, _, _) in outcomes(store).items()} == {
        "good.mp4": "ok",
        "gone.mp4": "failed",
    }
