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
from avlib.listening import DROPPED, KEPT, draw_items, sum_up, write_sheet
from avlib.listening.answers import as_text
from avlib.sources import Sources

COUNT = 40


def samples(uri: str = "x.mkv") -> tuple[SampleSet, np.ndarray]:
    ids = np.arange(COUNT, dtype=np.int64)
    return SampleSet(ids, np.array([uri] * COUNT), ids / 20.0), ids % 4 == 0


def test_as_many_of_each_in_random_order() -> None:
    given, kept = samples()
    items = draw_items(given, kept, each=8, seed=3)
    assert [item.number for item in items] == list(range(1, 17))
    assert [item.arm for item in items].count(KEPT) == [item.arm for item in items].count(DROPPED) == 8
    assert all((item.sample_id % 4 == 0) == (item.arm == KEPT) for item in items)
    assert len({item.sample_id for item in items}) == 16
    assert draw_items(given, kept, each=8, seed=3) == items != draw_items(given, kept, each=8, seed=4)
    arms = ["".join(item.arm[0] for item in draw_items(given, kept, each=8, seed=seed)) for seed in range(200)]
    assert 0.4 < np.mean([order[0] == "k" for order in arms]) < 0.6
    with pytest.raises(ParameterError, match="each = 11: expected 1 to the number of kept samples, 10"):
        draw_items(given, kept, each=11, seed=0)


def test_the_page_gives_nothing_away(tmp_path: Path, sources: Sources) -> None:
    video = tmp_path / "secret_name.mp4"
    write_flash_and_click(video, video_codec="mpeg4", audio_codec="aac", times_s=[1.0], duration_s=4.0)
    given, kept = samples(str(video))
    items = draw_items(given, kept, each=3, seed=0)
    sheet, key = write_sheet(items, sources, tmp_path / "out")
    html = sheet.read_text(encoding="utf-8")
    assert re.findall(r"<legend>(\d+)</legend>", html) == ["1", "2", "3", "4", "5", "6"]
    assert html.count('type="radio"') == 6 * 5 and html.count("data:audio/mpeg;base64,") == 6
    html = re.sub(r"base64,[\w+/=]+", "", html)  # any short word may occur in it
    for word in (KEPT, DROPPED, "secret_name", "http://", "https://"):
        assert word not in html
    with key.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(int(row["item"]), row["arm"], int(row["sample_id"])) for row in rows] == [
        (item.number, item.arm, item.sample_id) for item in items
    ]


def write(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_answers_by_hand(tmp_path: Path) -> None:
    key = write(tmp_path / "key.csv", "item,arm", "1,kept", "2,dropped", "3,kept", "4,dropped", "5,kept")
    one = write(tmp_path / "one.csv", "item,rating", "1,5", "2,1", "3,4")
    other = write(tmp_path / "other.csv", "item,rating", "1,4", "3,2")
    dropped, kept = sum_up(key, [one, other])
    assert (dropped.arm, dropped.items, dropped.answers, dropped.mean) == (DROPPED, 1, 1, 1.0)
    assert math.isnan(dropped.margin)
    assert (kept.arm, kept.items, kept.answers, kept.mean) == (KEPT, 2, 4, (4.5 + 3) / 2)
    assert kept.margin == pytest.approx(12.7062 * math.sqrt(1.125 / 2), rel=1e-4)  # t of one degree of freedom
    assert as_text([dropped]) == "dropped    1.00 of 5, 1 items, 1 answers"


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
    key = write(tmp_path / "key.csv", "item,arm", "1,kept")
    with pytest.raises(InputError, match=says):
        sum_up(key, [write(tmp_path / "answers.csv", *rows)])
    with pytest.raises(InputError, match="cannot be read"):
        sum_up(tmp_path / "nowhere.csv", [])
