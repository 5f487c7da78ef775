"""Answers to a sheet, summed up with the key to it."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import t as student

from avlib.errors import InputError

_HIGHEST = 5


@dataclass(frozen=True)
class Rating:
    """What listeners said of one arm.

    items: those with an answer.  mean: of the items, each the mean of its answers, 1 to 5.  margin: how far the 95 %
    interval reaches to either side, over items; NaN for one item.
    """

    arm: str
    items: int
    answers: int
    mean: float
    margin: float


def sum_up(key: Path, answers: Sequence[Path]) -> list[Rating]:
    """The rating of each arm of the key, in alphabetical order; arms without an answer are left out.

    key: columns item, arm.  answers: files with columns item, rating, one for each listener.
    Raises InputError, naming the file, for what is no such file, an item that is not in the key or is answered twice in
    one file, a rating that is not 1 to 5, and no answer at all.
    """
    arms = {row["item"]: row["arm"] for row in _rows(key, ("item", "arm"))}
    given: dict[str, list[int]] = {}
    for path in answers:
        seen = set()
        for row in _rows(path, ("item", "rating")):
            item, rating = row["item"], row["rating"]
            if item not in arms:
                raise InputError(f"{path}: item {item} is not in {key}: are these answers to another sheet?")
            if item in seen:
                raise InputError(f"{path}: item {item} is answered twice")
            if rating not in [str(value) for value in range(1, _HIGHEST + 1)]:
                raise InputError(f"{path}: item {item} is rated {rating!r}: ratings are 1 to {_HIGHEST}")
            seen.add(item)
            given.setdefault(item, []).append(int(rating))
    if not given:
        raise InputError(f"no answers in {', '.join(str(path) for path in answers) or 'no files'}")
    return [_rating(arm, [given[item] for item in given if arms[item] == arm]) for arm in _answered(arms, given)]


def as_text(ratings: Sequence[Rating]) -> str:
    """For a terminal."""
    return "\n".join(
        f"{one.arm:<10} {one.mean:.2f} of {_HIGHEST}"
        + ("" if math.isnan(one.margin) else f" ± {one.margin:.2f}")
        + f", {one.items} items, {one.answers} answers"
        for one in ratings
    )


def _answered(arms: dict[str, str], given: dict[str, list[int]]) -> list[str]:
    return sorted({arms[item] for item in given})


def _rating(arm: str, of_items: list[list[int]]) -> Rating:
    means = np.array([np.mean(ratings) for ratings in of_items])
    margin = math.nan
    if len(means) > 1:
        margin = float(student.ppf(0.975, len(means) - 1) * means.std(ddof=1) / math.sqrt(len(means)))
    return Rating(arm, len(means), sum(map(len, of_items)), float(means.mean()), margin)


def _rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    for row in rows:
        if any(row.get(column) is None for column in columns):
            raise InputError(f"{path}: no column {' or '.join(columns)}, or a row without it")
    return rows
