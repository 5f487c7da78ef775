"""Outcomes as tables: one row for each, and means with intervals over seeds and folds, one row for each measure."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path

import numpy as np

from avlib.evaluation.detection import Detection
from avlib.evaluation.estimates import Estimate, estimate
from avlib.evaluation.protocol import UNFILTERED, Outcome
from avlib.evaluation.ranking import RankingScores
from avlib.evaluation.scores import Retrieval, Scores

RATE = "classification_rate"
CLEAN = "clean_share"
KEPT = "kept_share"
GAIN = "classification_rate_gain"
"""The rate less that of `unfiltered` at the same point."""


def _ranking(name: str, of: Callable[[Scores], Retrieval]) -> dict[str, Callable[[Scores], float]]:
    found = {f"{name}_{one.name}": _getter(of, "found", one.name) for one in fields(RankingScores)}
    return found | {f"{name}_{one.name}_chance": _getter(of, "chance", one.name) for one in fields(RankingScores)}


def _getter(of: Callable[[Scores], Retrieval], kind: str, measure: str) -> Callable[[Scores], float]:
    return lambda scores: float(getattr(getattr(of(scores), kind), measure))


MEASURES: Mapping[str, Callable[[Scores], float]] = {
    RATE: lambda scores: scores.classification_rate,
    CLEAN: lambda scores: scores.detection.precision,
    KEPT: lambda scores: scores.kept_share,
    "kept": lambda scores: scores.kept,
    "categories": lambda scores: scores.categories,
    "category_shift": lambda scores: scores.category_shift,
    "recall": lambda scores: scores.detection.recall,
    "f1": lambda scores: scores.detection.f1,
    "auroc": lambda scores: scores.detection.auroc,
    "average_precision": lambda scores: scores.detection.average_precision,
    **_ranking("sounds", lambda scores: scores.sounds),
    **_ranking("pictures", lambda scores: scores.pictures),
}
"""What is averaged over seeds and folds, by name."""


@dataclass(frozen=True)
class Mean:
    """One measure of one strategy at one ratio and share of the samples, over all seeds and folds."""

    ratio: float
    share: float
    strategy: str
    measure: str
    estimate: Estimate


def means(outcomes: Sequence[Outcome], *, folds: int) -> list[Mean]:
    """All measures of all strategies, in the order in which (ratio, share, strategy) first come.

    Beside MEASURES and GAIN there are those of `Detection` for every category, named `recall of dog`.
    """
    unfiltered = {one.point: one.scores.classification_rate for one in outcomes if one.strategy == UNFILTERED}
    groups: dict[tuple[float, float, str], list[Outcome]] = {}
    for one in outcomes:
        groups.setdefault((one.point.ratio, one.point.share, one.strategy), []).append(one)
    found = []
    for key, group in groups.items():
        values = {name: [of(one.scores) for one in group] for name, of in MEASURES.items()}
        for category in dict.fromkeys(name for one in group for name in one.scores.by_category):
            for field in fields(Detection):
                of_each = [getattr(one.scores.by_category.get(category), field.name, math.nan) for one in group]
                values[f"{field.name} of {category}"] = of_each
        values[GAIN] = [one.scores.classification_rate - unfiltered.get(one.point, math.nan) for one in group]
        fold = np.array([one.point.fold for one in group])
        found += [Mean(*key, name, estimate(np.array(column), fold, folds=folds)) for name, column in values.items()]
    return found


def write_means(rows: Iterable[Mean], path: Path) -> None:
    """A CSV file with columns ratio, share, strategy, measure, mean, margin_95, values; NaN is empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["ratio", "share", "strategy", "measure", "mean", "margin_95", "values"])
        for row in rows:
            said = (_shown(row.estimate.mean), _shown(row.estimate.margin), row.estimate.count)
            writer.writerow([row.ratio, row.share, row.strategy, row.measure, *said])


def write_outcomes(outcomes: Iterable[Outcome], path: Path) -> None:
    """A CSV file with one row for each outcome and a column for each measure; NaN is empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["ratio", "share", "seed", "fold", "strategy", "k", "min_size", "samples", "corrupted", *MEASURES]
        )
        for one in outcomes:
            chosen = astuple(one.parameters) if one.parameters else ("", "")
            measured = [_shown(of(one.scores)) for of in MEASURES.values()]
            size = one.scores.samples, one.scores.corrupted
            writer.writerow([*astuple(one.point), one.strategy, *chosen, *size, *measured])


def as_text(rows: Sequence[Mean]) -> str:
    """The measures of the paper's figures, for a terminal."""
    shown = {RATE: "sound right", GAIN: "− unfiltered", CLEAN: "clean", KEPT: "kept", "categories": "categories"}
    lines = [f"{'ratio':>5} {'samples':>7}  {'strategy':<12}" + "".join(f"{name:>18}" for name in shown.values())]
    of_key: dict[tuple[float, float, str], dict[str, Estimate]] = {}
    for row in rows:
        of_key.setdefault((row.ratio, row.share, row.strategy), {})[row.measure] = row.estimate
    for (ratio, share, strategy), found in of_key.items():
        cells = "".join(f"{_cell(found[name], percent=name != 'categories'):>18}" for name in shown)
        lines.append(f"{ratio:>5.0%} {share:>7.0%}  {strategy:<12}{cells}")
    return "\n".join(lines)


def row_of(outcome: Outcome) -> dict[str, object]:
    """A row of the `evaluation` table, but for its run; NaN is None."""
    scores, chosen = outcome.scores, outcome.parameters
    detected = _known(asdict(scores.detection))
    return {
        **asdict(outcome.point),
        "strategy": outcome.strategy,
        "k": chosen and chosen.k,
        "min_size": chosen and chosen.min_size,
        "samples": scores.samples,
        "corrupted": scores.corrupted,
        "kept": scores.kept,
        "queries": scores.queries,
        "classification_rate": scores.classification_rate,
        "kept_share": scores.kept_share,
        "clean_share": detected["precision"],
        "categories": scores.categories,
        **_known({"category_shift": scores.category_shift}),
        "detection": detected,
        "by_category": {name: _known(asdict(one)) for name, one in scores.by_category.items()},
        "sounds": _retrieval(scores.sounds),
        "pictures": _retrieval(scores.pictures),
    }


def _retrieval(scores: Retrieval) -> dict[str, dict[str, float | None]]:
    return {"found": _known(asdict(scores.found)), "chance": _known(asdict(scores.chance))}


def _known(values: dict[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def _shown(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"


def _cell(found: Estimate, *, percent: bool) -> str:
    if math.isnan(found.mean):
        return "–"
    scale, unit = (100.0, " %") if percent else (1.0, "")
    margin = "" if math.isnan(found.margin) else f" ± {scale * found.margin:.1f}"
    return f"{scale * found.mean:.1f}{margin}{unit}"
