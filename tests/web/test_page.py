"""The page in a real browser: a picture is given, sounds appear, play, are taken home; a region changes the answer."""

from __future__ import annotations

import base64
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import av
import numpy as np
import pytest
import soundfile
from page_server import Page, served
from PIL import Image
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from small_warehouse import RATE_HZ, SmallWarehouse, looks, make_warehouse, sounds

from avlib.config import load_settings

T = TypeVar("T")

# Plays a sound from its beginning and says how far it came, and how long it is.
PLAYS = """
const [audio, done] = arguments;
audio.onerror = () => done([audio.error.message, 0]);
audio.ontimeupdate = () => { if (audio.currentTime > 0.2) done([audio.currentTime, audio.duration]); };
audio.play().catch(error => done([String(error), 0]));
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SmallWarehouse:
    return make_warehouse(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def page(made: SmallWarehouse) -> Iterator[Page]:
    with served(made.uri, made.settings) as opened:
        yield opened


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """A picture whose left half is like one video, its right half like another."""
    path = tmp_path / "both.png"
    Image.fromarray(np.concatenate([looks()["red"], looks()["blue"]], axis=1)).save(path)
    return path


def wait_for(found: Callable[[], T], *, within_s: float = 20.0) -> T:
    """What is found, once it is true; where the page renews an element while it is read, it is looked for again."""
    until_s = time.monotonic() + within_s
    while True:
        with suppress(StaleElementReferenceException):
            if result := found():
                return result
        assert time.monotonic() < until_s, "it did not come"
        time.sleep(0.05)


def cards(browser: Chrome) -> list[WebElement]:
    return browser.find_elements(By.CSS_SELECTOR, "#found li")


def videos(browser: Chrome) -> set[str]:
    """Of the suggestions that are shown, once nothing is being asked."""
    wait_for(lambda: "busy" not in (browser.find_element(By.TAG_NAME, "body").get_attribute("class") or ""))
    return {card.find_element(By.TAG_NAME, "h2").text.split()[1].rstrip(",") for card in cards(browser)}


def give(browser: Chrome, file: Path) -> None:
    browser.find_element(By.ID, "file").send_keys(str(file))
    wait_for(lambda: cards(browser))


def fits(browser: Chrome) -> bool:
    """Nothing to scroll sideways."""
    script = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    return bool(browser.execute_script(script) == 0)


def shoot(browser: Chrome, name: str) -> None:
    """Keep a picture of the page where somebody wants to look at it (AVLIB_SCREENSHOTS: a folder)."""
    if folder := os.environ.get("AVLIB_SCREENSHOTS"):
        height = browser.execute_script("return document.documentElement.scrollHeight")
        browser.set_window_size(browser.get_window_size()["width"], height + 160)
        time.sleep(0.3)
        browser.save_screenshot(str(Path(folder, f"{name}.png")))


def complaints(browser: Chrome) -> list[str]:
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.mark.parametrize("width_px", [1280, 390])
def test_a_visitor_takes_a_sound_home(
    width_px: int, browser: Chrome, downloads: Path, page: Page, made: SmallWarehouse, both: Path
) -> None:
    complaints(browser)
    browser.set_window_size(width_px, 900)
    browser.get(page.address)
    wait_for(lambda: "60 samples" in browser.find_element(By.ID, "about").text)
    assert fits(browser)

    give(browser, both)
    first = cards(browser)[0]
    reached_s, duration_s = browser.execute_async_script(PLAYS, first.find_element(By.TAG_NAME, "audio"))
    assert reached_s > 0.2
    assert duration_s == pytest.approx(2.0, abs=0.01)
    shown = "return [...document.querySelectorAll('.frame')].every(i => i.naturalWidth === 288)"
    wait_for(lambda: browser.execute_script(shown))  # frames come after the answer
    assert fits(browser)
    first.find_element(By.CSS_SELECTOR, ".wav").click()
    wav = wait_for(lambda: next(downloads.glob("*.wav"), None))
    assert soundfile.info(wav).duration == pytest.approx(2.0, abs=0.01)
    first.find_element(By.CSS_SELECTOR, ".film").click()
    film = wait_for(lambda: next(downloads.glob("*.mp4"), None))
    with av.open(str(film)) as opened:
        assert opened.duration / 1e6 == pytest.approx(2.0, abs=0.1)
    for file in (wav, film):
        file.unlink()

    for left, right, name in ((0.05, 0.45, "red.mp4"), (0.55, 0.95, "blue.mp4")):
        draw(browser, left, right)
        wait_for(lambda name=name: videos(browser) == {name})
    shoot(browser, f"page-{width_px}")
    browser.find_element(By.ID, "whole").click()
    assert not browser.find_element(By.ID, "region").is_displayed()
    assert complaints(browser) == []


def draw(browser: Chrome, left: float, right: float) -> None:
    """A frame on the picture, over its whole height but a margin."""
    stage = browser.find_element(By.ID, "shown")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", stage)
    width, height = stage.size["width"], stage.size["height"]
    mouse = ActionChains(browser, duration=50)
    mouse.move_to_element_with_offset(stage, round((left - 0.5) * width), round(-0.45 * height)).click_and_hold()
    mouse.move_to_element_with_offset(stage, round((right - 0.5) * width), round(0.45 * height)).release().perform()


def test_number_length_and_variety(browser: Chrome, page: Page, made: SmallWarehouse) -> None:
    browser.set_window_size(1280, 900)
    browser.get(page.address)
    give(browser, made.queries["green"])
    for field, value in (("top", "3"), ("duration", "0.5")):
        box = browser.find_element(By.ID, field)
        box.clear()
        box.send_keys(value)
    browser.find_element(By.ID, "diverse").click()
    browser.find_element(By.ID, "go").click()
    wait_for(lambda: len(cards(browser)) == 3)
    assert all("0.50 s of sound" in card.text for card in cards(browser))
    for box in ("diverse", "auto"):  # which ask by themselves
        browser.find_element(By.ID, box).click()
    wait_for(lambda: length_s(browser) > 5.5)  # it goes on for the whole video
    labels = browser.find_elements(By.CSS_SELECTOR, "fieldset label")
    assert len(labels) == 4 and min(label.size["height"] for label in labels) >= 44  # room for a thumb


def test_a_length_of_no_round_number_is_asked_once(browser: Chrome, made: SmallWarehouse) -> None:
    with served(made.uri, load_settings(assignments=["suggest.duration_s=1.25"])) as odd:
        browser.get(odd.address)
        wait_for(lambda: browser.find_element(By.ID, "duration").get_attribute("value") == "1.25")
        give(browser, made.queries["red"])
        assert length_s(browser) == 1.25
        count = "window.asked = 0; const real = fetch; fetch = (...of) => { asked++; return real(...of); };"
        browser.execute_script(count)
        box = browser.find_element(By.ID, "duration")
        box.clear()
        box.send_keys("0.07", Keys.ENTER)
        wait_for(lambda: length_s(browser) == 0.07)
        time.sleep(0.5)
        assert browser.execute_script("return asked") == 1
        box.clear()
        box.send_keys("11", Keys.ENTER)
        time.sleep(0.5)
        assert browser.execute_script("return asked") == 1  # the browser says what is wrong with it
        assert length_s(browser) == 0.07 and "Found" in browser.find_element(By.ID, "confidence").text


GIVES = """
const bytes = Uint8Array.from(atob(arguments[0]), c => c.charCodeAt(0));
const given = new DataTransfer();
given.items.add(new File([bytes], "given.png", { type: "image/png" }));
const event = arguments[1] === "drop"
  ? new DragEvent("drop", { dataTransfer: given, bubbles: true, cancelable: true })
  : new ClipboardEvent("paste", { clipboardData: given, bubbles: true });
document.getElementById("drop").dispatchEvent(event);
"""


@pytest.mark.parametrize("how", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted(how: str, browser: Chrome, page: Page, made: SmallWarehouse) -> None:
    browser.get(page.address)
    wait_for(lambda: browser.find_element(By.ID, "about").text)
    browser.execute_script(GIVES, base64.b64encode(made.queries["blue"].read_bytes()).decode(), how)
    wait_for(lambda: videos(browser) == {"blue.mp4"})


def test_a_photo_is_asked_for_and_nothing_like_it_is_said(
    browser: Chrome, page: Page, made: SmallWarehouse, tmp_path: Path
) -> None:
    with served(made.uri, load_settings(assignments=["suggest.doubt=0.02"])) as doubting:
        browser.get(doubting.address)
        wait_for(lambda: browser.find_element(By.ID, "about").text)
        photo = browser.find_element(By.ID, "photo")
        assert photo.get_attribute("capture") is not None and photo.get_attribute("accept") == "image/*"
        Image.new("RGB", (200, 150), "white").save(tmp_path / "white.png")
        photo.send_keys(str(tmp_path / "white.png"))
        line = browser.find_element(By.ID, "confidence")
        wait_for(lambda: line.text.startswith("Nothing in the collection looks like this (confidence 0.016)"))
        assert line.get_attribute("class") == "doubt" and len(cards(browser)) == 5


def length_s(browser: Chrome) -> float:
    """Of the first sound, as the page says it; 0 while there is none."""
    said = browser.find_elements(By.CSS_SELECTOR, "#found .where")
    return float(said[0].text.split()[0]) if said else 0.0


def test_a_sound_asks_for_pictures(browser: Chrome, page: Page, tmp_path: Path) -> None:
    browser.set_window_size(390, 900)
    browser.get(page.address)
    soundfile.write(tmp_path / "tone.wav", sounds()["red"][RATE_HZ : 3 * RATE_HZ], RATE_HZ)
    wait_for(lambda: browser.find_element(By.ID, "about").text)
    browser.find_element(By.ID, "tab-sound").click()
    give(browser, tmp_path / "tone.wav")
    assert videos(browser) == {"red.mp4"}
    heard = browser.find_element(By.ID, "heard")
    assert heard.is_displayed() and fits(browser)
    reached_s, whole_s = browser.execute_async_script(PLAYS, heard)  # one's own sound too
    assert isinstance(reached_s, float) and reached_s > 0.2 and whole_s > 0.2, reached_s
    assert not browser.find_element(By.ID, "camera").is_displayed()
    shoot(browser, "sound-390")


# Keeps answers back until they are let go.
HOLDS = """
const real = window.fetch;
window.held = [];
window.fetch = async (...asked) => {
  const response = await real(...asked);
  await new Promise(done => window.held.push(done));
  return response;
};
"""


def test_a_late_answer_does_not_show_under_another_tab(browser: Chrome, page: Page, made: SmallWarehouse) -> None:
    browser.set_window_size(1280, 900)
    browser.get(page.address)
    wait_for(lambda: "60 samples" in browser.find_element(By.ID, "about").text)
    browser.execute_script(HOLDS)
    browser.find_element(By.ID, "file").send_keys(str(made.queries["red"]))
    wait_for(lambda: browser.execute_script("return window.held.length"))
    browser.find_element(By.ID, "tab-sound").click()
    browser.execute_async_script("window.held.forEach(done => done()); setTimeout(arguments[0], 500);")
    assert videos(browser) == set()
    assert browser.find_element(By.ID, "confidence").text == ""


def test_another_tab_and_back_finds_everything_as_it_was(
    browser: Chrome, page: Page, made: SmallWarehouse, both: Path, tmp_path: Path
) -> None:
    browser.set_window_size(1280, 900)
    browser.get(page.address)
    wait_for(lambda: "60 samples" in browser.find_element(By.ID, "about").text)
    give(browser, both)
    draw(browser, 0.55, 0.95)
    wait_for(lambda: videos(browser) == {"blue.mp4"})
    browser.find_element(By.ID, "tab-sound").click()
    assert cards(browser) == [] and not browser.find_element(By.ID, "region").is_displayed()
    soundfile.write(tmp_path / "tone.wav", sounds()["red"][RATE_HZ : 3 * RATE_HZ], RATE_HZ)
    give(browser, tmp_path / "tone.wav")
    assert videos(browser) == {"red.mp4"}
    browser.execute_script("window.asked = 0; const real = fetch; fetch = (...of) => { asked++; return real(...of); };")
    for tab, video, shown in (("picture", "blue.mp4", "region"), ("sound", "red.mp4", "heard")):
        browser.find_element(By.ID, f"tab-{tab}").click()
        assert videos(browser) == {video} and browser.find_element(By.ID, shown).is_displayed()
    assert browser.execute_script("return asked") == 0
    browser.find_element(By.ID, "auto").click()
    wait_for(lambda: browser.execute_script("return asked") == 1)
    browser.find_element(By.ID, "tab-picture").click()
    wait_for(lambda: browser.execute_script("return asked") == 2)  # the other answer was to another length
    wait_for(lambda: videos(browser) and length_s(browser) > 5.5)
    assert cards(browser)[0].find_element(By.TAG_NAME, "h2").text.split()[1] == "blue.mp4,"


def test_what_is_no_picture_is_said_in_a_sentence(browser: Chrome, page: Page, tmp_path: Path) -> None:
    browser.set_window_size(390, 900)
    browser.get(page.address)
    fake = tmp_path / "fake.png"
    fake.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    browser.find_element(By.ID, "file").send_keys(str(fake))
    said = wait_for(lambda: browser.find_element(By.ID, "said").text)
    assert said.startswith("This is not a picture avlib can read; give one of JPEG")
    assert cards(browser) == []
    shoot(browser, "refused-390")


def test_a_video_that_is_gone(browser: Chrome, page: Page, made: SmallWarehouse) -> None:
    browser.set_window_size(1280, 900)
    browser.get(page.address)
    video = made.videos["green"]
    video.rename(video.with_suffix(".away"))
    try:
        give(browser, made.queries["green"])
        text = cards(browser)[0].text
        assert "green.mp4" in text and "no sound: the source video cannot be read any more" in text
        assert not cards(browser)[0].find_elements(By.TAG_NAME, "audio")
    finally:
        shutil.move(video.with_suffix(".away"), video)


def test_nothing_is_asked_of_other_servers(browser: Chrome, page: Page, made: SmallWarehouse) -> None:
    browser.get_log("performance")
    browser.get(page.address)
    give(browser, made.queries["red"])
    sent = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = {one["params"]["request"]["url"] for one in sent if one["method"] == "Network.requestWillBeSent"}
    assert {url.partition("/api")[0] for url in urls if "/api" in url} == {page.address}
    assert all(url.startswith((page.address, "blob:", "data:")) for url in urls), urls
