"""Which samples a report shows as kept and as dropped, and what it puts beside them."""

from __future__ import annotations

import re
from pathlib import Path

import deltalake
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avlib import tables
from avlib.descriptors import l2_normalise
from avlib.evaluation import SampleSet
from avlib.identity import sample_ids, video_ids
from avlib.report import Findings, write_report
from avlib.report.reasons import EXAMPLES, Reason, Reasons, examples, look_alike, read_reasons
from avlib.sources import Sources
from avlib.tables import Table
from avlib.warehouse import Warehouse

IDS = np.concatenate([sample_ids(video, np.arange(6)) for video in range(7)])
VISUAL = np.random.default_rng(0).normal(size=(len(IDS), 5)).astype(np.float32)
SCORES = np.random.default_rng(1).normal(size=len(IDS)).round(4)


def write(folder: Path, table: Table, rows: pa.Table) -> None:
    configuration = {tables.SCHEMA_VERSION_PROPERTY: str(tables.SCHEMA_VERSION)}
    place = table.path(str(folder), "default")
    deltalake.DeltaTable.create(place, rows.schema, configuration=configuration, raise_if_key_not_exists=False)
    deltalake.write_deltalake(place, rows, mode="append")


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Seven videos; what scores above 0 agrees, but video 6 is a copy of video 5."""
    folder = tmp_path_factory.mktemp("reasons")
    visual, count = pa.array(VISUAL.tolist(), tables.DESCRIPTOR), len(IDS)
    written = pa.table([IDS, np.ones(count, np.int32), visual], names=["sample_id", "attempt", "visual"])
    write(folder, tables.SAMPLES, written)
    first = IDS[:36]  # all but the copy
    others = [[int(one + (1 << 24)), int(one + (2 << 24))] for one in first]
    columns = [first, SCORES[:36], np.arange(36), pa.array(others, tables.IDS), SCORES[:36] > 0]
    write(folder, tables.SCORES, pa.table(columns, schema=tables.SCORES.schema).take(np.arange(36)[::-1]))
    write(folder, tables.COPIES, pa.table([IDS[36:], IDS[30:36]], schema=tables.COPIES.schema))
    return Warehouse(str(folder))


def test_reasons_are_of_both_and_the_same_every_time(warehouse: Warehouse) -> None:
    samples = SampleSet(IDS, np.array(["v.mp4"] * len(IDS)), np.zeros(len(IDS)))
    in_collection = (SCORES > 0.2) & (np.arange(len(IDS)) < 36)
    found = read_reasons(warehouse, samples, in_collection)
    assert found.threshold == SCORES[:36][SCORES[:36] > 0].min()
    assert found.copies == 6 and found.agree.tolist() == np.flatnonzero(SCORES[:36] > 0).tolist()
    assert len(found.kept) == len(found.dropped) == EXAMPLES
    for one in found.kept:
        assert in_collection[one.row] and one.score == SCORES[one.row] and one.videos == one.row
        assert IDS[one.beside].tolist() == [i for i in (IDS[one.row] + (1 << 24), IDS[one.row] + (2 << 24)) if i in IDS]
    for one in found.dropped:
        assert one.score == SCORES[one.row] <= 0
        assert len(set(video_ids(IDS[one.beside]).tolist()) - {6}) == 3
    assert [one.row for one in found.kept] == [one.row for one in read_reasons(warehouse, samples, in_collection).kept]


def test_what_looks_alike_is_the_nearest_of_each_other_video(warehouse: Warehouse) -> None:
    rows, among = np.array([3, 20, 40]), IDS[IDS[41] != IDS]
    pictures = l2_normalise(VISUAL)
    for row, found in zip(rows.tolist(), look_alike(warehouse, IDS[rows], among=among), strict=True):
        apart = np.linalg.norm(pictures - pictures[row], axis=1)
        best = {video: min((apart[i], IDS[i]) for i in np.flatnonzero(video_ids(among) == video)) for video in range(7)}
        best.pop(int(video_ids(IDS)[row]))
        assert found.tolist() == [sample for _, sample in sorted(best.values())[:3]]
    assert look_alike(warehouse, IDS[:0], among=among) == []


@given(st.lists(st.tuples(st.integers(0, 8), st.floats(-3, 3)), max_size=40))
def test_examples_go_from_the_best_to_the_worst_video(given_rows: list[tuple[int, float]]) -> None:
    videos = np.array([video for video, _ in given_rows], np.int64)
    scores = np.array([score for _, score in given_rows], np.float64)
    rows = examples(scores, videos).tolist()
    assert len(rows) == min(EXAMPLES, len(set(videos.tolist())))
    assert all(scores[row] == scores[videos == videos[row]].max() for row in rows)
    assert len({int(videos[row]) for row in rows}) == len(rows)
    assert scores[rows].tolist() == sorted(scores[rows], reverse=True)


def findings(reasons: Reasons | None) -> Findings:
    """Of videos that are gone."""
    samples = SampleSet(IDS, np.array([f"v{video}.mp4" for video in video_ids(IDS)]), np.arange(len(IDS)) / 5)
    return Findings(
        warehouse="W",
        filter_name="default",
        outcomes={"ok": 7},
        samples=samples,
        kept=SCORES > 0,
        component_ids=np.where(SCORES > 0, IDS[0], -1),
        truth=None,
        strategy="agreement",
        steps=(),
        runs=(),
        seconds=1.0,
        visual_descriptor="",
        sound_descriptor="",
        reasons=reasons,
    )


def page(to: Path, found: Findings, sources: Sources) -> str:
    html = write_report(to, found, sources=sources, title="T").read_text(encoding="utf-8")
    return re.sub(r"\s+", " ", html)


def test_the_page_says_why(tmp_path: Path, sources: Sources) -> None:
    nobody = np.empty(0, np.int64)
    kept, dropped = Reason(1, 1.25, 3, np.array([20, 7])), Reason(30, -0.254, 0, nobody)
    html = page(tmp_path / "why.html", findings(Reasons(0.5, (kept,), (dropped,), np.zeros(21, np.int64), 7)), sources)
    start = html.index("Why these were kept")
    section = html[start : html.index("How it was made")]
    assert "Kept is what scores 0.500 or more" in section and "7 samples are copies" in section
    assert "<h3>v0.mp4, 0.2 s</h3><p>score 1.25; 3 other videos bear it out</p>" in section
    assert "<h3>v5.mp4, 6.0 s</h3><p>score -0.25; no other video bears it out</p>" in section
    assert re.findall(r'class="name">(v\d)', section) == ["v0", "v3", "v1", "v5"]  # as they count, not by time
    assert section.count('class="clip own') == 2
    one = findings(Reasons(0.5, (Reason(1, 1.25, 1, nobody),), (), np.zeros(1, np.int64), 0))
    html = page(tmp_path / "one.html", one, sources)
    assert "1 other video bears it out" in html and "are copies" not in html and ">Dropped<" not in html
    assert "Why these were kept" not in page(tmp_path / "plain.html", findings(None), sources)
