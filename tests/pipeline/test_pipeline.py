"""The whole pipeline, as a user runs it, on a small collection of real video files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import deltalake
import duckdb
import duckdb_extension_delta
import numpy as np
import pyarrow.dataset as ds
import pytest
import soundfile
from pyspark.sql import SparkSession

from avlib import tables
from avlib.cli import main
from avlib.demo import make_collection
from avlib.retrieval.index import index_folder, read_manifest
from avlib.spark import describe
from avlib.spark.samples import live_samples
from avlib.spark.store import TableStore

pytestmark = [pytest.mark.spark, pytest.mark.pipeline]

QUICK = ["--config", "demo.toml", "--set", "knn.k=8", "--set", "components.min_size=3", "--set", "filter.strategy=A+V"]


@dataclass(frozen=True)
class Ran:
    """A warehouse that the pipeline has been run on."""

    warehouse: str
    videos: Path
    queries: Path

    def run(self, *options: str) -> None:
        main_exits(0, ["pipeline", str(self.videos.parent / "list.csv"), "-w", self.warehouse, *QUICK, *options])

    def versions(self, store: TableStore) -> dict[str, int | None]:
        return {table.name: store.version(table) for table in tables.ALL}


@pytest.fixture(scope="module")
def ran(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("pipeline")
    made = make_collection(folder / "made", videos=12, processes=2)
    names = sorted(path.name for path in made.videos_dir.iterdir())
    listed = [f"videos/{name},title {number}" for number, name in enumerate(names)]
    (made.videos_dir.parent / "list.csv").write_text("\n".join(["uri,title", *listed]))
    result = Ran(str(folder / "warehouse"), made.videos_dir, made.queries_dir)
    result.run()
    return result


@pytest.fixture
def store(spark: SparkSession, ran: Ran) -> TableStore:
    return TableStore(spark, ran.warehouse)


def test_every_video_is_accounted_for(ran: Ran, store: TableStore) -> None:
    assert describe.check_invariant(store).startswith("12 videos = 12 ok; ")
    samples = store.read(tables.SAMPLES).toPandas()
    assert (samples["visual"].map(len) == samples["visual"].map(len).iloc[0]).all()
    assert (samples["audio_mfcc65"].map(len) == 65).all()
    assert (samples["audio_context"].map(len) == 80).all()
    assert samples["sample_id"].is_unique
    counted = store.read(tables.DESCRIPTIONS).agg({"samples": "sum"}).first()
    assert counted is not None and counted[0] == len(samples)


def test_the_collection_is_a_clean_subset(ran: Ran, store: TableStore) -> None:
    collection = store.read(tables.COLLECTION).toPandas()
    samples = store.read(tables.SAMPLES).toPandas().set_index("sample_id")
    assert 0 < len(collection) < len(samples)
    assert set(collection["sample_id"]) <= set(samples.index)
    titles = dict(zip(collection["uri"], collection["metadata"].map(lambda pairs: dict(pairs)["title"]), strict=True))
    names = sorted(path.name for path in ran.videos.iterdir())
    assert titles == {uri: f"title {names.index(Path(uri).name)}" for uri in titles}
    sizes = collection["component_ids"].map(tuple).value_counts()
    assert sizes.min() >= 3
    assert {len(ids) for ids in collection["component_ids"]} == {2}
    kept = samples.loc[collection["sample_id"]]
    np.testing.assert_array_equal(np.stack(collection["visual"]), np.stack(kept["visual"]))


def test_a_second_run_recomputes_nothing(ran: Ran, store: TableStore) -> None:
    before = ran.versions(store)
    ran.run("--set", "describe.picture_batch=7", "--set", "describe.batch_videos=5")  # these decide no row
    assert ran.versions(store) == before


def test_other_readers_read_the_same_rows(ran: Ran, store: TableStore) -> None:
    rows = store.read(tables.COLLECTION).count()
    place = store.path(tables.COLLECTION)
    assert deltalake.DeltaTable(place).to_pyarrow_dataset().count_rows() == rows
    connection = duckdb.connect(config={"allow_unsigned_extensions": True})
    extension = next(Path(duckdb_extension_delta.__file__).parent.rglob("*.duckdb_extension"))
    connection.execute(f"LOAD '{extension}'")
    found = connection.execute("SELECT count(*), count(DISTINCT sample_id) FROM delta_scan(?)", [place]).fetchone()
    assert found == (rows, rows)


def test_suggestions(ran: Ran, store: TableStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = sorted(str(path) for path in ran.queries.rglob("*.png"))[:3]
    capsys.readouterr()
    main_exits(
        0,
        [
            "suggest",
            *pictures,
            "-w",
            ran.warehouse,
            "--top",
            "4",
            "--duration",
            "1.5",
            "--out",
            str(tmp_path),
            "--json",
        ],
    )
    answers = json.loads(capsys.readouterr().out)
    assert [answer["query"] for answer in answers] == pictures
    known = {(row["uri"], row["time_s"]) for row in store.read(tables.COLLECTION).collect()}
    for answer in answers:
        suggestions = answer["suggestions"]
        assert [suggestion["rank"] for suggestion in suggestions] == [1, 2, 3, 4]
        distances = [suggestion["distance"] for suggestion in suggestions]
        assert distances == sorted(distances)
        for suggestion in suggestions:
            assert (suggestion["uri"], suggestion["time_s"]) in known
            sound = soundfile.info(suggestion["file"])
            assert sound.duration == pytest.approx(1.5, abs=1e-3)
            assert suggestion["duration_s"] == pytest.approx(sound.duration)


def test_one_bad_query_costs_its_own_answer_only(ran: Ran, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake, good = tmp_path / "fake.png", next(ran.queries.rglob("*.png"))
    fake.write_text("no picture")
    capsys.readouterr()
    main_exits(2, ["suggest", str(fake), str(good), "-w", ran.warehouse, "--out", str(tmp_path), "--json"])
    first, second = json.loads(capsys.readouterr().out)
    assert "fake.png" in first["error"] and first["suggestions"] == []
    assert len(second["suggestions"]) == 5


def test_a_source_that_is_gone_leaves_the_suggestion(
    ran: Ran, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    away = ran.videos.with_name("away")
    ran.videos.rename(away)
    try:
        capsys.readouterr()
        query = str(next(ran.queries.rglob("*.png")))
        main_exits(0, ["suggest", query, "-w", ran.warehouse, "--out", str(tmp_path), "--json"])
    finally:
        away.rename(ran.videos)
    (answer,) = json.loads(capsys.readouterr().out)
    assert all(suggestion["file"] is None for suggestion in answer["suggestions"])
    assert all("there is no such file" in suggestion["unavailable"] for suggestion in answer["suggestions"])


def test_status_and_failures(ran: Ran, store: TableStore, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    main_exits(0, ["status", "-w", ran.warehouse, "--json"])
    status = json.loads(capsys.readouterr().out)
    assert status["outcomes"] == {"ok": 12}
    rows = {row["table"]: row["rows"] for row in status["tables"]}
    assert rows["videos"] == 12 and rows["collection"] == store.read(tables.COLLECTION).count()
    main_exits(0, ["failures", "-w", ran.warehouse, "--json"])
    assert json.loads(capsys.readouterr().out) == []


def test_sub_stages_give_the_same_collection(ran: Ran, store: TableStore) -> None:
    for step in ("0", "1"):
        for stage in ("knn", "mutual_edges", "components"):
            main_exits(0, [stage, "-w", ran.warehouse, "--name", "by_hand", "--step", step, *QUICK])
    main_exits(0, ["collection", "-w", ran.warehouse, "--name", "by_hand", "--step", "1", *QUICK])
    by_hand = TableStore(store.spark, ran.warehouse, name="by_hand").read(tables.COLLECTION)
    assert sorted(by_hand.collect()) == sorted(store.read(tables.COLLECTION).collect())


def test_samples_that_no_description_vouches_for_do_not_count(ran: Ran, store: TableStore) -> None:
    """As after a driver killed between the two commits of a batch."""
    before = sorted(live_ids(store))
    orphan = (
        store.read(tables.SAMPLES)
        .limit(5)
        .selectExpr(
            "sample_id + 1 AS sample_id",
            "attempt + 7 AS attempt",
            "time_s",
            "rms",
            "visual",
            "audio_mfcc65",
            "audio_context",
        )
    )
    store.append(tables.SAMPLES, orphan)
    assert sorted(live_ids(store)) == before
    (ran.videos / "new.mp4").write_bytes(next(ran.videos.glob("*.mp4")).read_bytes() + bytes(8))  # no duplicate
    try:
        main_exits(0, ["ingest", str(ran.videos), "-w", ran.warehouse])
        main_exits(0, ["describe", "-w", ran.warehouse, *QUICK])
    finally:
        (ran.videos / "new.mp4").unlink()
    attempts = {row["attempt"] for row in store.read(tables.SAMPLES).select("attempt").distinct().collect()}
    assert attempts == {1}
    assert set(before) < set(live_ids(store))


def test_an_index_older_than_its_collection_is_noticed(
    ran: Ran, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query = str(next(ran.queries.rglob("*.png")))
    main_exits(0, ["filter", "-w", ran.warehouse, "--name", "stale", *QUICK])
    main_exits(2, ["suggest", query, "-w", ran.warehouse, "--name", "stale", "--out", str(tmp_path)])
    assert "run `avlib index" in capsys.readouterr().err
    main_exits(0, ["index", "-w", ran.warehouse, "--name", "stale", *QUICK, "--set", "index.flat_rows=5"])
    manifest = read_manifest(index_folder(ran.warehouse, "stale"))
    assert manifest is not None and manifest.cells["visual"].recall >= 0.99  # of as many cells as the root of samples
    assert len(manifest.nearest["audio"]) > 100 and manifest.sound is not None
    main_exits(0, ["suggest", query, "-w", ran.warehouse, "--name", "stale", "--out", str(tmp_path), "--json"])
    assert len(json.loads(capsys.readouterr().out)[0]["suggestions"]) == 5
    shard = next(Path(ran.warehouse, "index", "stale").rglob("visual-*.faiss"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    main_exits(2, ["suggest", query, "-w", ran.warehouse, "--name", "stale", "--out", str(tmp_path)])
    assert "not the file its manifest names" in capsys.readouterr().err


def test_expected_outcomes_of_bad_files(shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    warehouse = str(tmp_path / "warehouse")
    main_exits(0, ["ingest", str(shared_data / "bad"), "-w", warehouse])
    main_exits(3, ["describe", "-w", warehouse, "--strict", *QUICK])
    expected = ds.dataset(shared_data / "bad" / "expected.csv", format="csv").to_table().to_pylist()
    words = {"fail": "failed", "skip": "skipped", "no-audio": "no_audio", "no-video": "no_video"}
    capsys.readouterr()
    main_exits(0, ["failures", "-w", warehouse, "--json"])
    found = {Path(row["uri"]).name: row for row in json.loads(capsys.readouterr().out)}
    outcomes = {row["file"]: found[row["file"]]["status"] if row["file"] in found else "ok" for row in expected}
    assert outcomes == {row["file"]: words.get(row["expect"], row["expect"]) for row in expected}
    assert all(len(row["error"]) > 10 and "\n" not in row["error"] for row in found.values())
    cut_off = found["truncated_faststart.mp4"]
    assert (cut_off["audio_status"], cut_off["visual_status"]) == ("partial", "ok")  # pictures are read where sound is
    assert 0 < cut_off["covered_s"] <= 12.5 < cut_off["duration_s"] and cut_off["samples"] > 0
    main_exits(0, ["failures", "-w", warehouse])
    told = {line.split(":")[0].split("/")[-1]: line for line in capsys.readouterr().out.splitlines()}
    kept = f"(damaged; {cut_off['samples']} samples of {cut_off['covered_s']:.1f} s of 23.1 s kept)"
    assert told["truncated_faststart.mp4"].endswith(kept)
    descriptions = deltalake.DeltaTable(f"{warehouse}/descriptions").to_pyarrow_table().to_pylist()
    uris = {
        row["video_id"]: row["uri"]
        for row in deltalake.DeltaTable(f"{warehouse}/videos").to_pyarrow_table().to_pylist()
    }
    samples = {Path(uris[row["video_id"]]).name: row["samples"] for row in descriptions}
    assert samples["digital_silence.mp4"] == 0
    for name, outcome in outcomes.items():
        assert (samples[name] > 0) == (outcome in ("ok", "partial") and name != "digital_silence.mp4"), name


def live_ids(store: TableStore) -> list[int]:
    return [row["sample_id"] for row in live_samples(store).select("sample_id").collect()]


def main_exits(code: int, arguments: list[str]) -> None:
    """Run a command; typer ends every one with SystemExit."""
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert (exit_.value.code or 0) == code
