"""Plots of an experiment, like Solèr et al. 2016, Fig. 3 and 4, as SVG and PNG, the same bytes for the same figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from avlib.evaluation.protocol import RANDOM, UNFILTERED
from avlib.evaluation.summary import CLEAN, KEPT, RATE, Mean

_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # told apart by the color-blind too
_SPREAD = 0.35  # of the way to the next place is what the intervals of all strategies share, to stand side by side
_BASELINES = {UNFILTERED: "#333333", RANDOM: "#888888"}


@dataclass(frozen=True)
class Published:
    """A value from the paper: other videos, other categories, so beside ours and not against it."""

    ratio: float
    measure: str
    strategy: str
    value: float


PUBLISHED = (Published(0.7, CLEAN, "A+V", 0.66),)


def plot_corruption(rows: Sequence[Mean], folder: Path, *, categories: int) -> list[Path]:
    """Classification rate and share of clean samples by corruption ratio; returns the files written."""
    written = []
    for measure, title in (
        (RATE, "Pictures that get a sound of their category"),
        (CLEAN, "Clean samples among the kept"),
    ):
        figure, axes = _figure(title, "share of sounds replaced")
        _lines(axes, rows, measure, by="ratio")
        if measure == RATE:
            axes.axhline(1 / categories, color="#bbbbbb", linestyle=":", label=f"guessing, 1/{categories}")
        _published(axes, measure)
        written += _save(figure, axes, folder / f"corruption_{measure}")
    return written


def plot_size(rows: Sequence[Mean], folder: Path) -> list[Path]:
    """Classification rate and kept samples by the share of the training samples used; one pair of plots per ratio."""
    written = []
    for ratio in dict.fromkeys(row.ratio for row in rows):
        at_ratio = [row for row in rows if row.ratio == ratio]
        for measure, title in ((RATE, "Pictures that get a sound of their category"), ("kept", "Samples kept")):
            figure, axes = _figure(f"{title}, {ratio:.0%} of the sounds replaced", "share of the training samples used")
            _lines(axes, at_ratio, measure, by="share")
            written += _save(figure, axes, folder / f"size_{measure}_{round(100 * ratio)}")
    return written


def _figure(title: str, x: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=11)
    axes.set_xlabel(x)
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    axes.grid(color="#e5e5e5", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _lines(axes: Axes, rows: Sequence[Mean], measure: str, *, by: str) -> None:
    """One line for each strategy, and its 95 % intervals a little to the side."""
    chosen = [row for row in rows if row.measure == measure]
    filters = [name for name in dict.fromkeys(row.strategy for row in chosen) if name not in _BASELINES]
    colors = _BASELINES | {name: _COLORS[place % len(_COLORS)] for place, name in enumerate(filters)}
    strategies = list(dict.fromkeys(row.strategy for row in chosen))
    places = sorted({float(getattr(row, by)) for row in chosen})
    apart = min(np.diff(places), default=0.0) * _SPREAD / max(len(strategies), 1)
    for number, strategy in enumerate(strategies):
        line = [row for row in chosen if row.strategy == strategy]
        x = np.array([getattr(row, by) for row in line])
        mean = np.array([row.estimate.mean for row in line])
        margin = np.array([row.estimate.margin for row in line])
        style = "--" if strategy in _BASELINES else "-"
        axes.plot(x, mean, style, color=colors[strategy], linewidth=1.4, marker="o", markersize=3.5, label=strategy)
        beside = x + apart * (number - (len(strategies) - 1) / 2)
        axes.errorbar(beside, mean, margin, fmt="none", ecolor=colors[strategy], elinewidth=0.8, capsize=1.5)
    if measure in (RATE, CLEAN, KEPT):
        axes.set_ylim(-0.02, 1.02)
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    else:
        axes.set_ylim(bottom=0)


def _published(axes: Axes, measure: str) -> None:
    for one in PUBLISHED:
        if one.measure == measure:
            label = f"{one.strategy} in the paper (other data)"
            axes.plot([one.ratio], [one.value], "*", color="#000000", markersize=11, label=label)


def _save(figure: Figure, axes: Axes, path: Path) -> list[Path]:
    axes.legend(fontsize=8, frameon=False)
    files = [path.with_suffix(suffix) for suffix in (".svg", ".png")]
    with mpl.rc_context({"svg.hashsalt": "avlib", "svg.fonttype": "none"}):
        for file in files:
            metadata = {"Date": None} if file.suffix == ".svg" else {"Software": None}
            figure.savefig(file, dpi=150, metadata=metadata)
    return files
