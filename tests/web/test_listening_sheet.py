"""The listening sheets in a real browser: they play, take answers, and save them as a file that can be summed up."""

from __future__ import annotations

import csv
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from media_files import write_flash_and_click
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from avlib.evaluation import SampleSet
from avlib.listening import Excerpt, Item, draw_items, sum_up, write_sheet
from avlib.sources import Sources

# The duration of every sound, or why it could not be played.
DURATIONS = """
const done = arguments[0];
Promise.all([...document.querySelectorAll("audio")].map(audio => new Promise(found => {
  audio.preload = "metadata";
  audio.onloadedmetadata = () => found(audio.duration);
  audio.onerror = () => found(audio.error.message);
  audio.load();
}))).then(done);
"""


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "v.mp4"
    write_flash_and_click(path, video_codec="mpeg4", audio_codec="aac", times_s=[1.0], duration_s=6.0)
    return path


def kept_and_dropped(video: Path) -> list[Item]:
    ids = np.arange(8, dtype=np.int64)
    samples = SampleSet(ids, np.array([str(video)] * 8), ids / 2 + 1)
    return draw_items(samples, ids % 2 == 0, each=3, seed=0)


def of_arms(video: Path) -> list[Item]:
    at = [Excerpt(number, str(video), number / 2 + 1) for number in range(4)]
    sounds = {"truth": at, "V+A": at[::-1], "unfiltered": [at[0]] * 4}
    return [Item(arm, seen, heard) for arm, given in sounds.items() for seen, heard in zip(at, given, strict=True)]


@pytest.mark.parametrize(("made", "width_px"), [(of_arms, 1280), (kept_and_dropped, 390)])
def test_a_listener_answers(
    made: Callable[[Path], list[Item]],
    width_px: int,
    browser: Chrome,
    downloads: Path,
    video: Path,
    sources: Sources,
    tmp_path: Path,
) -> None:
    items = made(video)
    sheet, key, _ = write_sheet(items, sources, tmp_path, seed=1)
    browser.set_window_size(width_px, 900)
    browser.get(sheet.as_uri())

    durations_s = browser.execute_async_script(DURATIONS)
    assert len(durations_s) == len(items)
    assert durations_s == pytest.approx([2.0] * len(items), abs=0.1)
    pictures = browser.execute_script("return [...document.images].map(i => [i.naturalWidth, i.naturalHeight])")
    assert pictures == [[144, 144]] * len(items)
    wider = browser.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wider == 0  # nothing to scroll sideways

    given = {str(number): str(number % 5 + 1) for number in range(1, len(items) + 1) if number != 2}
    for number, rating in given.items():
        browser.find_element(By.CSS_SELECTOR, f"input[name='{number}'][value='{rating}']").click()
    browser.find_element(By.CSS_SELECTOR, "input[name='1'][value='5']").click()  # a change of mind
    given["1"] = "5"
    browser.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
    answers = _downloaded(downloads, to=tmp_path)
    with answers.open(encoding="utf-8") as file:
        assert {row["item"]: row["rating"] for row in csv.DictReader(file)} == given
    said = browser.find_element(By.CSS_SELECTOR, "[role=status]").text
    assert said == f"{len(given)} of {len(items)} answered"
    assert sum(rating.items for rating in sum_up(key, [answers]).ratings) == len(given)
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def _downloaded(folder: Path, *, to: Path) -> Path:
    for _ in range(100):
        if found := list(folder.glob("*.csv")):
            return Path(shutil.move(found[0], to / "answers.csv"))
        time.sleep(0.1)
    raise AssertionError(f"no answers were saved in {folder}: {list(folder.iterdir())}")
