"""An experiment as Spark tasks gives what the pure functions give, and its table holds each experiment once."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import pytest
from filled_store import fill
from raw_samples import RawSamples

from avlib import tables
from avlib.cli import main
from avlib.config import Settings, load_settings
from avlib.errors import ConfigError, InputError
from avlib.evaluation import Labels, read_labels
from avlib.evaluation.protocol import Outcome, Point, choose, measure
from avlib.evaluation.study import Pairing, draw_queries, pairings
from avlib.spark import evaluation, study, unlabelled
from avlib.spark.store import TableStore

pytestmark = pytest.mark.spark

HEADER = "video,start_s,end_s,picture_category,sound_category,is_clean\n"
CLEAN = "".join(f"{video}.mp4,0,9,{word},{word},1\n" for video, word in enumerate(["dog", "sea"] * 3))
LABELS = CLEAN + "6.mp4,0,9,misc,speech,0\n7.mp4,0,9,misc,music,0\nelsewhere.mp4,0,9,dog,dog,1\n"


@pytest.fixture
def filled(store: TableStore) -> TableStore:
    fill(store, RawSamples(videos=9, frames=12))
    return store


@pytest.fixture
def labels(tmp_path: Path) -> Labels:
    (tmp_path / "labels.csv").write_text(HEADER + LABELS, encoding="utf-8")
    return read_labels(tmp_path / "labels.csv")


def command(*arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", *arguments])
    assert ended.value.code == 0


def settings(*more: str) -> Settings:
    chosen = ["ratios=[0.5]", "seeds=2", "folds=3", "inner_folds=2", "k=[2, 4]", "min_size=[2, 3]"]
    words = ['strategies=["unfiltered", "random", "A+V"]']
    return load_settings(assignments=[f"evaluate.{word}" for word in [*chosen, *words, *more]])


def test_tasks_give_what_the_pure_functions_give(
    filled: TableStore, labels: Labels, capsys: pytest.CaptureFixture[str]
) -> None:
    found = evaluation.run(filled, settings(), labels)
    material = evaluation.read_material(filled, labels, settings())
    protocol = evaluation.protocol_of(settings())
    assert (len(material.clean), len(material.outside), material.categories.tolist()) == (72, 24, ["dog", "sea"])
    expected: list[Outcome] = []
    for seed in (0, 1):
        for fold in range(3):
            first, point = Point(0.5, 1.0, 0, fold), Point(0.5, 1.0, seed, fold)
            chosen = {one.name: choose(material, protocol, strategy=one, point=first) for one in protocol.strategies}
            expected += measure(material, protocol, point=point, chosen=chosen)
    assert len(found) == 2 * 3 * 3
    assert repr(found) == repr(expected)  # NaN is not equal to itself, but reads the same
    said = capsys.readouterr().err
    assert "left out: 1 videos have no labels" in said
    assert "left out: 1 labelled videos have no samples here: elsewhere.mp4" in said


def test_an_experiment_is_in_the_table_once(filled: TableStore, labels: Labels) -> None:
    few = settings("choose=false", "seeds=1")
    outcomes = evaluation.run(filled, few, labels)
    once = filled.read(tables.EVALUATION).collect()
    evaluation.run(filled, few, labels)
    again = filled.read(tables.EVALUATION)
    assert sorted(again.collect(), key=repr) == sorted(once, key=repr)
    assert len(once) == len(outcomes) == 9
    evaluation.run(filled, settings("choose=false", "seeds=1", 'unit="video"'), labels)
    units = filled.read(tables.EVALUATION).groupBy("unit").count().collect()
    assert sorted(tuple(row) for row in units) == [("frame", 9), ("video", 9)]
    row = next(row for row in once if row["strategy"] == "unfiltered")
    assert (row["k"], row["kept"], row["samples"], row["corrupted"]) == (None, 48, 48, 24)
    assert row["by_category"]["dog"]["recall"] == 1.0 and row["sounds"]["found"]["map"] > 0


def test_what_makes_no_experiment_is_refused(filled: TableStore, labels: Labels, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'mine' is none of unfiltered, random, joint, V\\+A, A\\+V"):
        evaluation.run(filled, settings('strategies=["mine"]'), labels)
    one_lends = LABELS.replace("7.mp4,0,9,misc,music,0\n", "")
    (tmp_path / "labels.csv").write_text(HEADER + one_lends, encoding="utf-8")
    with pytest.raises(InputError, match="sounds outside the categories are of one fold's videos"):
        evaluation.run(filled, settings(), read_labels(tmp_path / "labels.csv"))
    (tmp_path / "labels.csv").write_text(HEADER + "elsewhere.mp4,0,9,dog,dog,1\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"no samples of the 1 labelled videos, elsewhere\.mp4 and so on"):
        evaluation.run(filled, settings(), read_labels(tmp_path / "labels.csv"))


def test_the_command_writes_files(
    filled: TableStore, labels: Labels, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    options = ["--warehouse", filled.warehouse, "--labels", str(tmp_path / "labels.csv"), "--out", str(out)]
    chosen = ["--strategies", "unfiltered,A+V", "--seeds", "1", "--ratios", "0:0.5:0.25", "--as-configured"]
    small = ["--set", "evaluate.folds=2", "--set", "knn.k=4", "--set", "components.min_size=3"]
    command("corruption", *options, *chosen, "--unit", "segment", *small)
    plots = {"corruption_classification_rate", "corruption_clean_share"}
    written = {"corruption_points.csv", "corruption_means.csv"} | {
        f"{name}.{kind}" for name in plots for kind in ("svg", "png")
    }
    assert {file.name for file in out.iterdir()} == written
    assert len(capsys.readouterr().out.splitlines()) == 1 + 3 * 2
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    command("size", *options, *chosen[:4], "--shares", "0.5,1", "--ratios", "0.5", "--as-configured", *small)
    assert {"size_points.csv", "size_classification_rate_50.png", "size_kept_50.svg"} <= {f.name for f in out.iterdir()}
    assert {name: (out / name).read_bytes() for name in before} == before


def test_the_user_study_gives_what_the_pure_functions_give(filled: TableStore, labels: Labels) -> None:
    chosen = settings('strategies=["unfiltered", "A+V"]')
    found = study.run(filled, chosen, labels, each=4, truth=True)
    material, protocol = evaluation.read_material(filled, labels, chosen), evaluation.protocol_of(chosen)
    queries = draw_queries(material.clean, each=4, seed=0)
    expected: list[Pairing] = []
    for fold in range(3):
        expected += pairings(material, protocol, point=Point(0.5, 1.0, 0, fold), queries=queries, truth=True)
    assert [(one.arm, one.picture.sample_id, one.sound.sample_id) for one in found] == [
        astuple(one) for one in expected
    ]
    assert {one.arm for one in found} == {"truth", "unfiltered", "A+V"} and len(found) == 3 * 2 * 4
    for moment in [moment for one in found for moment in (one.picture, one.sound)]:
        assert moment.uri == f"{moment.sample_id >> 24}.mp4"
        assert moment.time_s == (moment.sample_id & 0xFFFFFF) / 25
    with pytest.raises(InputError, match="--arms: random is none; name truth, unfiltered, or strategies"):
        study.run(filled, settings(), labels, each=4, truth=True)


def test_without_labels(filled: TableStore, capsys: pytest.CaptureFixture[str]) -> None:
    command("--no-labels", "--warehouse", filled.warehouse, "--seeds", "2", "--strategy", "joint")
    said = capsys.readouterr().out
    assert "joint keeps 108 of 108 samples of 9 videos (100%), in 1 components, 0 of them of one video" in said
    assert "with shuffled sound it keeps" in said and "two runs on random halves" in said
    few = load_settings(assignments=["evaluate.most_samples=60", "evaluate.seeds=1", "knn.k=4"])
    found = unlabelled.run(filled, few)
    assert (found.samples, found.videos, len(found.trials)) == (60, 5, 1)
    assert repr(unlabelled.run(filled, few)) == repr(found)
    with pytest.raises(InputError, match=r"the samples of 3 videos fit evaluate.most_samples = 47; 4 are needed"):
        unlabelled.run(filled, load_settings(assignments=["evaluate.most_samples=47", "knn.k=4"]))
