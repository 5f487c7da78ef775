"""Answers to a sheet, summed up with the key to it."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.stats import t as student

from avlib.errors import InputError

_HIGHEST = 5


@dataclass(frozen=True)
class Rating:
    """What listeners said of one arm.

    items: those with an answer, each with another picture.  mean: of the items, each the mean of its answers, 1 to 5.
    margin: how far the 95 % interval reaches to either side, over items; NaN for one item.
    """

    arm: str
    items: int
    answers: int
    mean: float
    margin: float


@dataclass(frozen=True)
class Difference:
    """How much better one arm was rated than another, over the pictures that were judged with both; margin as above."""

    arm: str
    other: str
    pictures: int
    mean: float
    margin: float


@dataclass(frozen=True)
class Verdict:
    """ratings: of each arm, in alphabetical order.  differences: of all pairs of arms that share a picture."""

    ratings: tuple[Rating, ...]
    differences: tuple[Difference, ...]


def sum_up(key: Path, answers: Sequence[Path]) -> Verdict:
    """What the answers say of the arms of the key; arms without an answer are left out.

    key: columns item, arm, sample_id (the picture's).  answers: files with columns item, rating, one for each listener.
    Raises InputError, naming the file, for what is no such file, an item that is not in the key or is answered twice in
    one file, a rating that is not 1 to 5, and no answer at all.
    """
    shown = {row["item"]: (row["arm"], row["sample_id"]) for row in _rows(key, ("item", "arm", "sample_id"))}
    given: dict[str, list[int]] = {}
    for path in answers:
        seen = set()
        for row in _rows(path, ("item", "rating")):
            item, rating = row["item"], row["rating"]
            if item not in shown:
                raise InputError(f"{path}: item {item} is not in {key}: are these answers to another sheet?")
            if item in seen:
                raise InputError(f"{path}: item {item} is answered twice")
            if rating not in [str(value) for value in range(1, _HIGHEST + 1)]:
                raise InputError(f"{path}: item {item} is rated {rating!r}: ratings are 1 to {_HIGHEST}")
            seen.add(item)
            given.setdefault(item, []).append(int(rating))
    if not given:
        raise InputError(f"no answers in {', '.join(str(path) for path in answers) or 'no files'}")
    means: dict[str, dict[str, float]] = {}  # by arm and picture
    counts: dict[str, int] = {}
    for item, ratings in given.items():
        arm, picture = shown[item]
        means.setdefault(arm, {})[picture] = float(np.mean(ratings))
        counts[arm] = counts.get(arm, 0) + len(ratings)
    arms = sorted(means)
    of_arms = (Rating(arm, len(means[arm]), counts[arm], *_interval(means[arm].values())) for arm in arms)
    differences = []
    for arm, other in combinations(arms, 2):
        paired = [means[arm][picture] - means[other][picture] for picture in means[arm].keys() & means[other].keys()]
        if paired:
            differences.append(Difference(arm, other, len(paired), *_interval(paired)))
    return Verdict(tuple(of_arms), tuple(differences))


def as_text(verdict: Verdict) -> str:
    """For a terminal."""
    lines = [
        f"{one.arm:<10} {one.mean:.2f} of {_HIGHEST}{_margin(one.margin)}, {one.items} items, {one.answers} answers"
        for one in verdict.ratings
    ]
    for one in verdict.differences:
        lines.append(f"{one.arm} − {one.other}: {one.mean:+.2f}{_margin(one.margin)}, {one.pictures} pictures")
    return "\n".join(lines)


def _interval(values: Iterable[float]) -> tuple[float, float]:
    """Their mean, and how far its 95 % interval reaches to either side."""
    found = np.array(sorted(values))
    if len(found) == 1:
        return float(found[0]), math.nan
    error = found.std(ddof=1) / math.sqrt(len(found))
    return float(found.mean()), float(student.ppf(0.975, len(found) - 1) * error)


def _margin(margin: float) -> str:
    return "" if math.isnan(margin) else f" ± {margin:.2f}"


def _rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise InputError(f"{path}: cannot be read ({said})") from None
    for row in rows:
        if any(row.get(column) is None for column in columns):
            raise InputError(f"{path}: no column {' or '.join(columns)}, or a row without it")
    return rows
