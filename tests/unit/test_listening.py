"""The listening sheet: a fair draw, a page that gives nothing away, answers counted by hand."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

import numpy as np
import pytest
from media_files import write_flash_and_click

from avlib.errors import InputError, ParameterError
from avlib.evaluation import SampleSet
from avlib.listening import DROPPED, KEPT, Excerpt, Item, Verdict, draw_items, sum_up, write_sheet
from avlib.listening.answers import as_text
from avlib.sources import Sources

COUNT = 40


def samples(uri: str = "x.mkv") -> tuple[SampleSet, np.ndarray]:
    ids = np.arange(COUNT, dtype=np.int64)
    return SampleSet(ids, np.array([uri] * COUNT), ids / 20.0), ids % 4 == 0


def test_as_many_of_each_with_their_own_sounds() -> None:
    given, kept = samples()
    items = draw_items(given, kept, each=8, seed=3)
    assert [item.arm for item in items].count(KEPT) == [item.arm for item in items].count(DROPPED) == 8
    assert all((item.picture.sample_id % 4 == 0) == (item.arm == KEPT) for item in items)
    assert all(item.sound == item.picture == Excerpt(i := item.picture.sample_id, "x.mkv", i / 20) for item in items)
    assert len({item.picture.sample_id for item in items}) == 16
    assert draw_items(given, kept, each=8, seed=3) == items != draw_items(given, kept, each=8, seed=4)
    with pytest.raises(ParameterError, match="each = 11: expected 1 to the number of kept samples, 10"):
        draw_items(given, kept, each=11, seed=0)


def key_rows(key: Path) -> list[dict[str, str]]:
    with key.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_order_is_random(sources: Sources, tmp_path: Path) -> None:
    items = draw_items(*samples("gone.mkv"), each=4, seed=0)

    def arms(seed: int) -> str:
        return "".join(row["arm"][0] for row in key_rows(write_sheet(items, sources, tmp_path, seed=seed)[1]))

    orders = [arms(seed) for seed in range(100)]
    assert orders[3] == arms(3)
    assert all(sorted(order) == ["d"] * 4 + ["k"] * 4 for order in orders)
    assert 0.35 < np.mean([order[0] == "k" for order in orders]) < 0.65


def test_the_page_gives_nothing_away(tmp_path: Path, sources: Sources) -> None:
    video = tmp_path / "secret_name.mp4"
    write_flash_and_click(video, video_codec="mpeg4", audio_codec="aac", times_s=[1.0], duration_s=4.0)
    given, kept = samples(str(video))
    items = draw_items(given, kept, each=3, seed=0)
    sheet, key, left_out = write_sheet(items, sources, tmp_path / "out", seed=0)
    html = sheet.read_text(encoding="utf-8")
    assert left_out == 0
    assert re.findall(r"<legend>(\d+)</legend>", html) == ["1", "2", "3", "4", "5", "6"]
    assert html.count('type="radio"') == 6 * 5 and html.count("data:audio/mpeg;base64,") == 6
    html = re.sub(r"base64,[\w+/=]+", "", html)  # any short word may occur in it
    for word in (KEPT, DROPPED, "secret_name", "http://", "https://"):
        assert word not in html
    rows = key_rows(key)
    assert [row["item"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert {(row["arm"], int(row["sample_id"]), float(row["sound_time_s"])) for row in rows} == {
        (item.arm, item.picture.sample_id, item.sound.time_s) for item in items
    }


def test_a_video_that_is_gone_is_left_out_of_the_page_only(tmp_path: Path, sources: Sources) -> None:
    video = tmp_path / "there.mp4"
    write_flash_and_click(video, video_codec="mpeg4", audio_codec="aac", times_s=[1.0], duration_s=4.0)
    there, gone = Excerpt(1, str(video), 2.0), Excerpt(2, str(tmp_path / "gone.mp4"), 2.0)
    items = [Item("a", there, there), Item("b", there, gone), Item("c", gone, there)]
    sheet, key, left_out = write_sheet(items, sources, tmp_path / "out", seed=0)
    assert left_out == 2
    rows = key_rows(key)
    of_a = next(row["item"] for row in rows if row["arm"] == "a")
    assert re.findall(r"<legend>(\d+)</legend>", sheet.read_text(encoding="utf-8")) == [of_a]
    assert {(row["arm"], row["sample_id"], row["sound_id"]) for row in rows} == {
        ("a", "1", "1"),
        ("b", "1", "2"),
        ("c", "2", "1"),
    }


def write(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_answers_by_hand(tmp_path: Path) -> None:
    rows = ("1,kept,10", "2,dropped,20", "3,kept,30", "4,dropped,40", "5,kept,50")
    key = write(tmp_path / "key.csv", "item,arm,sample_id", *rows)
    one = write(tmp_path / "one.csv", "item,rating", "1,5", "2,1", "3,4")
    other = write(tmp_path / "other.csv", "item,rating", "1,4", "3,2")
    verdict = sum_up(key, [one, other])
    dropped, kept = verdict.ratings
    assert (dropped.arm, dropped.items, dropped.answers, dropped.mean) == (DROPPED, 1, 1, 1.0)
    assert math.isnan(dropped.margin)
    assert (kept.arm, kept.items, kept.answers, kept.mean) == (KEPT, 2, 4, (4.5 + 3) / 2)
    assert kept.margin == pytest.approx(12.7062 * math.sqrt(1.125 / 2), rel=1e-4)  # t of one degree of freedom
    assert verdict.differences == ()  # no picture was judged with both
    assert as_text(Verdict((dropped,), ())) == "dropped    1.00 of 5, 1 items, 1 answers"


def test_arms_are_compared_by_picture(tmp_path: Path) -> None:
    rows = [
        f"{3 * picture + place},{arm},{picture}" for picture in range(3) for place, arm in enumerate("abc", start=1)
    ]
    key = write(tmp_path / "key.csv", "item,arm,sample_id", *rows)
    # Pictures 0, 1, 2; one listener rates a 5, 5, 3 and b 4, 2, 3; another a of the first 3; c is judged once.
    one = write(tmp_path / "one.csv", "item,rating", "1,5", "4,5", "7,3", "2,4", "5,2", "8,3", "6,1")
    verdict = sum_up(key, [one, write(tmp_path / "other.csv", "item,rating", "1,3")])
    assert [(rating.arm, rating.items, rating.answers) for rating in verdict.ratings] == [
        ("a", 3, 4),
        ("b", 3, 3),
        ("c", 1, 1),
    ]
    a_b, a_c, b_c = verdict.differences
    assert (a_b.arm, a_b.other, a_b.pictures, a_b.mean) == ("a", "b", 3, pytest.approx((0 + 3 + 0) / 3))
    assert a_b.margin == pytest.approx(4.3027 * math.sqrt(3 / 3), rel=1e-4)  # deviation √3 of 3, two degrees of freedom
    assert (a_c.pictures, a_c.mean, b_c.mean) == (1, 4.0, 1.0) and math.isnan(a_c.margin)
    assert as_text(verdict).splitlines()[3:] == [
        "a − b: +1.00 ± 4.30, 3 pictures",
        "a − c: +4.00, 1 pictures",
        "b − c: +1.00, 1 pictures",
    ]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (("item,rating", "9,5"), "item 9 is not in"),
        (("item,rating", "1,5", "1,4"), "item 1 is answered twice"),
        (("item,rating", "1,6"), "item 1 is rated '6': ratings are 1 to 5"),
        (("item,mark", "1,5"), "no column item or rating"),
        (("item,rating",), "no answers in"),
    ],
)
def test_other_answers_are_refused(rows: tuple[str, ...], says: str, tmp_path: Path) -> None:
    key = write(tmp_path / "key.csv", "item,arm,sample_id", "1,kept,10")
    with pytest.raises(InputError, match=says):
        sum_up(key, [write(tmp_path / "answers.csv", *rows)])
    with pytest.raises(InputError, match="cannot be read"):
        sum_up(tmp_path / "nowhere.csv", [])
