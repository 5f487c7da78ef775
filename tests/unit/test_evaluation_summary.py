"""Outcomes as tables and plots: means over the right outcomes, rows that fit the table, files that can be read."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from labelled_samples import material
from PIL import Image

from avlib import tables
from avlib.config import StepSettings
from avlib.evaluation.corruption import Corruption
from avlib.evaluation.estimates import estimate
from avlib.evaluation.plots import plot_corruption, plot_size
from avlib.evaluation.protocol import RANDOM, UNFILTERED, Outcome, Parameters, Point, Protocol, Strategy, measure
from avlib.evaluation.summary import GAIN, MEASURES, RATE, as_text, means, row_of, write_means, write_outcomes
from avlib.neighbors import NeighborRule

FOLDS = 2
RATIOS = (0.0, 0.6)


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    """At two ratios and shares, with a strategy that keeps nothing."""
    chosen = {"joint": Parameters(4, 8), "nothing": Parameters(2, 10_000)}
    joint = StepSettings(w_V=0.5, w_A=0.5, k=1, min_size=1)
    strategies = Strategy(UNFILTERED), Strategy(RANDOM), Strategy("joint", (joint,)), Strategy("nothing", (joint,))
    protocol = Protocol(strategies, NeighborRule(), Corruption(), (), seeds=(0, 1), folds=FOLDS)
    given = material(videos_each=4)
    points = [Point(r, share, s, f) for r in RATIOS for share in (0.5, 1.0) for s in (0, 1) for f in range(FOLDS)]
    return [one for point in points for one in measure(given, protocol, point=point, chosen=chosen)]


def test_means_are_over_seeds_and_folds(outcomes: list[Outcome]) -> None:
    rows = means(outcomes, folds=FOLDS)
    assert len(rows) == 2 * 2 * 4 * (len(MEASURES) + 1 + 3 * 5)  # and five of each category

    def values(ratio: float, strategy: str) -> np.ndarray:
        here = [o for o in outcomes if (o.point.ratio, o.point.share, o.strategy) == (ratio, 1.0, strategy)]
        assert len(here) == 4
        return np.array([one.scores.classification_rate for one in here])

    found = {(row.ratio, row.strategy, row.measure): row.estimate for row in rows if row.share == 1.0}
    fold = np.array(
        [o.point.fold for o in outcomes if (o.point.ratio, o.point.share, o.strategy) == (0.6, 1.0, "joint")]
    )
    assert found[0.6, "joint", RATE] == estimate(values(0.6, "joint"), fold, folds=FOLDS)
    gain = values(0.6, "joint") - values(0.6, UNFILTERED)  # paired: the same point
    assert found[0.6, "joint", GAIN] == estimate(gain, fold, folds=FOLDS)
    assert found[0.6, "joint", GAIN].margin != found[0.6, "joint", RATE].margin
    assert found[0.6, UNFILTERED, GAIN].margin == 0
    assert (found[0.6, UNFILTERED, "recall of dog"].mean, found[0.6, "nothing", "recall of dog"].mean) == (1, 0)
    assert math.isnan(found[0.6, "nothing", "clean_share"].mean)
    assert found[0.6, "nothing", RATE].mean == found[0.6, "nothing", "sounds_map"].mean == 0
    assert found[0.6, "nothing", "sounds_map_chance"].count == 0  # of nothing there is no order
    assert found[0.6, "joint", "sounds_map_chance"].count == 4


def test_without_unfiltered_there_is_no_gain(outcomes: list[Outcome]) -> None:
    rows = means([one for one in outcomes if one.strategy == "joint"], folds=FOLDS)
    assert all(row.estimate.count == 0 for row in rows if row.measure == GAIN)


def test_rows_fit_the_table(outcomes: list[Outcome]) -> None:
    schema = tables.EVALUATION.schema
    of_all = {"experiment": "e", "unit": "frame", "replace_from": "outside"}
    table = pa.Table.from_pylist([of_all | row_of(one) for one in outcomes], schema=schema)
    assert set(row_of(outcomes[0])) | set(of_all) == set(schema.names)
    for name in schema.names:
        assert schema.field(name).nullable or not table[name].null_count, name
    keys = table.select(list(tables.EVALUATION.key)).to_pylist()
    assert len({tuple(key.values()) for key in keys}) == len(outcomes)
    row = table.filter(pa.compute.equal(table["strategy"], "nothing")).to_pylist()[0]
    assert (row["kept"], row["clean_share"], row["detection"]["precision"]) == (0, None, None)
    assert (row["sounds"]["found"]["map"], row["sounds"]["chance"]["map"]) == (0, None)
    assert (row["k"], row["min_size"]) == (2, 10_000)
    assert {name for name, _ in row["by_category"]} == {"bell", "dog", "sea"}


def test_csv_files_say_the_same(outcomes: list[Outcome], tmp_path: Path) -> None:
    rows = means(outcomes, folds=FOLDS)
    write_outcomes(outcomes, tmp_path / "points.csv")
    write_means(rows, tmp_path / "means.csv")
    with (tmp_path / "points.csv").open(encoding="utf-8") as file:
        points = list(csv.DictReader(file))
    assert len(points) == len(outcomes)
    joint = next(one for one in outcomes if one.strategy == "joint")
    read = next(one for one in points if one["strategy"] == "joint")
    assert (read["k"], read["min_size"], read["seed"]) == ("4", "8", "0")
    assert float(read["sounds_map_chance"]) == pytest.approx(joint.scores.sounds.chance.map, rel=1e-5)
    assert next(one for one in points if one["strategy"] == "nothing")["clean_share"] == ""
    with (tmp_path / "means.csv").open(encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    assert [float(one["mean"]) for one in written if one["mean"]] == pytest.approx(
        [row.estimate.mean for row in rows if row.estimate.count], rel=1e-5
    )


def test_text_has_a_line_for_each_strategy(outcomes: list[Outcome]) -> None:
    lines = as_text(means(outcomes, folds=FOLDS)).splitlines()
    assert len(lines) == 1 + 2 * 2 * 4
    assert lines[-1].split()[:5] == ["60%", "100%", "nothing", "0.0", "±"]
    assert "–" in lines[-1]


def test_plots_are_written_and_repeatable(outcomes: list[Outcome], tmp_path: Path) -> None:
    rows = means(outcomes, folds=FOLDS)
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        whole = [row for row in rows if row.share == 1.0]
        of_one_ratio = [row for row in rows if row.ratio == RATIOS[1]]
        written = plot_corruption(whole, folder, categories=3) + plot_size(of_one_ratio, folder)
        assert len(written) == 2 * 2 + 2 * 2
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), file.name
        if file.suffix == ".png":
            with Image.open(file) as picture:
                assert picture.size == (960, 660) and picture.convert("L").getextrema()[0] < 60
    drawing = (tmp_path / "a" / "corruption_clean_share.svg").read_text(encoding="utf-8")
    for word in (UNFILTERED, RANDOM, "joint", "A+V in the paper (other data)"):
        assert word in drawing
    assert "in the paper" not in (tmp_path / "a" / "corruption_classification_rate.svg").read_text(encoding="utf-8")


def test_one_value_has_no_interval_but_a_mean(outcomes: list[Outcome]) -> None:
    one = replace(outcomes[0], point=replace(outcomes[0].point, fold=0))
    found = {row.measure: row.estimate for row in means([one], folds=FOLDS)}
    assert found["kept"].mean == one.scores.kept and math.isnan(found["kept"].margin)
    assert "±" not in as_text(means([one], folds=FOLDS))
