"""The sheet: one HTML file with pictures, two seconds of sound and a five-point scale, and the key to it beside it.

The page knows only numbers, so whoever listens cannot tell what was kept. It saves answers as a CSV file through the
browser and asks nothing of any network.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
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
SCALE = ("does not fit", "rather not", "cannot say", "fits rather", "fits well")
"""1 to 5: does the sound fit the picture?"""

KEY_COLUMNS = ("item", "arm", "sample_id", "uri", "time_s")


@dataclass(frozen=True)
class Item:
    """One sample to listen to.  number: its place on the sheet, from 1.  arm: `kept` or `dropped`."""

    number: int
    arm: str
    sample_id: int
    uri: str
    time_s: float


def draw_items(samples: SampleSet, kept: BoolArray, *, each: int, seed: int) -> list[Item]:
    """So many random kept and as many random dropped samples, in random order.

    kept: shape (n,). Raises ParameterError where there are fewer of either.
    """
    random = np.random.default_rng(seed)
    drawn: list[tuple[str, int]] = []
    for arm, mask in ((KEPT, kept), (DROPPED, ~kept)):
        rows = np.flatnonzero(mask)
        if not 1 <= each <= len(rows):
            raise ParameterError("each", each, f"1 to the number of {arm} samples, {len(rows)}")
        drawn += [(arm, int(row)) for row in random.permutation(rows)[:each]]
    in_order = [drawn[place] for place in random.permutation(len(drawn))]
    return [
        Item(number, arm, int(samples.ids[row]), str(samples.uris[row]), float(samples.times_s[row]))
        for number, (arm, row) in enumerate(in_order, start=1)
    ]


def write_sheet(items: Sequence[Item], sources: Sources, folder: Path) -> tuple[Path, Path]:
    """Write listening.html, and listening_key.csv, which says what each item is; returns both.

    Items whose video is gone stay in the key and are left out of the sheet.
    """
    folder.mkdir(parents=True, exist_ok=True)
    environment = Environment(
        loader=PackageLoader("avlib.listening", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    shown = [(item.number, _picture(sources, item), clips.sound(sources, item.uri, item.time_s)) for item in items]
    whole = [one for one in shown if one[1] and one[2]]
    html = environment.get_template("listening.html.jinja").render(items=whole, scale=SCALE)
    sheet, key = folder / "listening.html", folder / "listening_key.csv"
    sheet.write_text(html, encoding="utf-8")
    with key.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(KEY_COLUMNS)
        writer.writerows([item.number, item.arm, item.sample_id, item.uri, item.time_s] for item in items)
    return sheet, key


def _picture(sources: Sources, item: Item) -> str | None:
    return clips.thumbnails(sources, item.uri, np.array([item.time_s]))[0]
