"""The sheet: one HTML file with pictures, two seconds of sound and a five-point scale, and the key to it beside it.

The page knows only numbers, so whoever listens cannot tell what put a picture and a sound together. It saves answers
as a CSV file through the browser and asks nothing of any network.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from avlib.arrays import BoolArray
from avlib.errors import ParameterError
from avlib.evaluation import SampleSet
from avlib.report import clips
from avlib.sources import Sources

KEPT = "kept"
DROPPED = "dropped"

_ORDER = 1  # a stream of random numbers apart from that of the draw

SCALE = ("does not fit", "rather not", "cannot say", "fits rather", "fits well")
"""1 to 5: does the sound fit the picture?"""

KEY_COLUMNS = ("item", "arm", "sample_id", "uri", "time_s", "sound_id", "sound_uri", "sound_time_s")


@dataclass(frozen=True)
class Excerpt:
    """A sample: what is seen, or heard, at a time of a video."""

    sample_id: int
    uri: str
    time_s: float


@dataclass(frozen=True)
class Item:
    """A picture and a sound to judge together.  arm: what put them together; the listener must not know."""

    arm: str
    picture: Excerpt
    sound: Excerpt


def draw_items(samples: SampleSet, kept: BoolArray, *, each: int, seed: int) -> list[Item]:
    """So many random kept and as many random dropped samples, each with its own sound, arm by arm.

    kept: shape (n,). Raises ParameterError where there are fewer of either.
    """
    random = np.random.default_rng(seed)
    items = []
    for arm, mask in ((KEPT, kept), (DROPPED, ~kept)):
        rows = np.flatnonzero(mask)
        if not 1 <= each <= len(rows):
            raise ParameterError("each", each, f"1 to the number of {arm} samples, {len(rows)}")
        for row in random.permutation(rows)[:each]:
            excerpt = Excerpt(int(samples.ids[row]), str(samples.uris[row]), float(samples.times_s[row]))
            items.append(Item(arm, picture=excerpt, sound=excerpt))
    return items


def write_sheet(items: Sequence[Item], sources: Sources, folder: Path, *, seed: int) -> tuple[Path, Path, int]:
    """Write listening.html, items in random order, and listening_key.csv, which says what each is; returns both.

    Items whose video is gone stay in the key and are left out of the sheet; returns how many, too.
    """
    environment = Environment(
        loader=PackageLoader("avlib.listening", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    order = np.random.default_rng([seed, _ORDER]).permutation(len(items))
    numbered = [(number, items[place]) for number, place in enumerate(order.tolist(), start=1)]
    shown = [
        (number, _picture(sources, item.picture), clips.sound(sources, item.sound.uri, item.sound.time_s))
        for number, item in numbered
    ]
    whole = [one for one in shown if one[1] and one[2]]
    folder.mkdir(parents=True, exist_ok=True)
    html = environment.get_template("listening.html.jinja").render(items=whole, scale=SCALE)
    sheet, key = folder / "listening.html", folder / "listening_key.csv"
    sheet.write_text(html, encoding="utf-8")
    with key.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(KEY_COLUMNS)
        writer.writerows([number, item.arm, *astuple(item.picture), *astuple(item.sound)] for number, item in numbered)
    return sheet, key, len(shown) - len(whole)


def _picture(sources: Sources, excerpt: Excerpt) -> str | None:
    return clips.thumbnails(sources, excerpt.uri, np.array([excerpt.time_s]))[0]
