"""The map of a collection: a plane of dots, coloured by component, whose frames show under the pointer."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from html import escape

import numpy as np
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from avlib.arrays import Float32Array, Float64Array, Int64Array
from avlib.errors import ParameterError
from avlib.notebook.sheet import opened

_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7b4fa3", "#8c564b", "#a0a000", "#2f4b4f")
_REST = "#999999"  # components beyond the largest
_WIDTH, _HEIGHT, _PANEL, _EDGE = 620, 460, 200, 18
_FRAMES_APART = 62  # of the still picture, in units of the map

# Nothing runs: the pointer or a finger on a dot shows what belongs to it.
_STYLE = (
    ".avlib-map g.dot>*:not(circle){display:none}.avlib-map g.dot:hover>*,.avlib-map g.dot:focus>*{display:inline}"
    ".avlib-map g.dot:hover>circle,.avlib-map g.dot:focus>circle{stroke:currentColor;stroke-width:2}"
    ".avlib-map g.dot{outline:none;cursor:pointer}"
)


@dataclass(frozen=True, eq=False)
class CollectionMap:
    """Samples on a plane.

    points: shape (n, 2).  shares: of the spread that the two axes show.  component_ids: shape (n,).  titles, pictures:
    of each; a picture is a data URI or None.  of: samples in the collection.
    """

    points: Float64Array
    shares: tuple[float, float]
    component_ids: Int64Array
    titles: tuple[str, ...]
    pictures: tuple[str | None, ...]
    of: int

    @property
    def said(self) -> str:
        """What is to be seen."""
        across, up = self.shares
        drawn = f"{len(self.points)} of {self.of} samples" if len(self.points) < self.of else f"{self.of} samples"
        return f"{drawn}, coloured by component; the axes show {across:.0%} and {up:.0%} of their spread"

    def html(self) -> str:
        """An SVG, all inside it. A frame shows under the pointer, or a finger."""
        size = f"0 0 {_WIDTH + _PANEL} {_HEIGHT}"
        left, top = _WIDTH + 12, 250
        dots = "".join(
            f'<g class="dot" tabindex="-1"><circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{color}" fill-opacity=".8"/>'
            f"{_frame(left, picture)}{_lines(left, 196, [title, f'component {component}'])}</g>"
            for (x, y), color, picture, title, component in zip(
                self._places().tolist(), self._colors(), self.pictures, self.titles, self.component_ids, strict=True
            )
        )
        key = "".join(
            f'<circle cx="{left + 5}" cy="{top + 20 * row - 4}" r="5" fill="{color}"/>'
            + _lines(left + 16, top + 20 * row, [text])
            for row, (color, text) in enumerate(self._legend(), start=1)
        )
        return (
            f'<div class="avlib-map" style="max-width:{_WIDTH + _PANEL}px;overflow-x:auto"><style>{_STYLE}</style>'
            f'<svg viewBox="{size}" role="img" aria-label="{escape(self.said)}" font-family="system-ui,sans-serif" '
            f'font-size="13" fill="currentColor" style="width:100%;min-width:560px;display:block">'
            f"{dots}{_lines(left, top, ['components'])}{key}</svg>"
            f'<p style="font:13px/1.4 system-ui,sans-serif;margin:4px 0">{escape(self.said)}. '
            "Point at a dot, or tap it, to see its frame.</p></div>"
        )

    def still(self) -> bytes:
        """The same as a PNG, with some frames where there is room for them."""
        figure = Figure(figsize=(6.4, 4.9), layout="constrained", dpi=110)
        axes = figure.add_subplot()
        places, colors = self._places() * [1, -1], self._colors()
        axes.scatter(places[:, 0], places[:, 1], c=colors, s=14, alpha=0.8, linewidths=0)
        for row in self._apart():
            frame = OffsetImage(np.asarray(opened(self.pictures[row] or "")), zoom=0.24)
            edge = {"edgecolor": colors[row], "linewidth": 2}
            axes.add_artist(AnnotationBbox(frame, tuple(places[row]), pad=0.1, bboxprops=edge))
        axes.set_axis_off()
        axes.set_title(self.said, fontsize=8)
        file = io.BytesIO()
        figure.savefig(file, format="png", metadata={"Software": None})
        return file.getvalue()

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {
            "text/html": self.html(),
            "image/png": base64.b64encode(self.still()).decode(),
            "text/plain": repr(self),
        }

    def __repr__(self) -> str:
        return f"map: {self.said}"

    def _places(self) -> Float64Array:
        """Where each dot is, shape (n, 2), downwards as in SVG; both axes to one scale."""
        low, high = self.points.min(axis=0), self.points.max(axis=0)
        room = np.array([_WIDTH - 2 * _EDGE, _HEIGHT - 2 * _EDGE])
        scale = float(np.min(room / np.maximum(high - low, 1e-12)))
        middle = np.array([_WIDTH, _HEIGHT]) / 2
        places: Float64Array = middle + (self.points - (low + high) / 2) * scale * np.array([1, -1])
        return places

    def _apart(self) -> list[int]:
        """Rows with frames that do not cover each other: always the one farthest from those before it."""
        places = self._places()
        rows = np.flatnonzero([picture is not None for picture in self.pictures])
        chosen: list[int] = []
        nearest = np.full(len(rows), np.inf)
        while len(rows) and nearest.max() > _FRAMES_APART:
            chosen.append(int(rows[np.argmax(nearest)]))
            nearest = np.minimum(nearest, np.abs(places[rows] - places[chosen[-1]]).max(axis=1))
        return chosen

    def _largest(self) -> list[int]:
        """Components that have a colour of their own, those with most dots first."""
        found, sizes = np.unique(self.component_ids, return_counts=True)
        return [int(component) for component in found[np.lexsort((found, -sizes))][: len(_COLORS)]]

    def _colors(self) -> list[str]:
        chosen = dict(zip(self._largest(), _COLORS, strict=False))
        return [chosen.get(component, _REST) for component in self.component_ids.tolist()]

    def _legend(self) -> list[tuple[str, str]]:
        """Colour and text of each line."""
        largest = self._largest()
        lines = [(color, str(component)) for color, component in zip(_COLORS, largest, strict=False)]
        others = len(np.unique(self.component_ids)) - len(largest)
        return [*lines, (_REST, f"{others} smaller ones")] if others else lines


def principal_plane(x: Float32Array) -> tuple[Float64Array, tuple[float, float]]:
    """The plane on which rows spread most (principal components).

    x: shape (n, d), n ≥ 3, d ≥ 2. Returns coordinates, shape (n, 2), and the share of the spread along each axis, the
    larger first. Axes point to where their largest entry is positive, so that a map does not flip from run to run.
    Raises ParameterError for fewer rows or columns.

    >>> points, shares = principal_plane(np.array([[0, 0, 0], [2, 0, 0], [4, 0, 0], [2, 1, 0]], np.float32))
    >>> points[[0, 2], 0].round(3).tolist(), [round(share, 2) for share in shares]
    ([-2.0, 2.0], [0.91, 0.09])
    """
    if x.ndim != 2 or len(x) < 3 or x.shape[1] < 2:
        raise ParameterError("x", f"an array of shape {x.shape}", "three rows and two columns at least")
    centred = x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)
    _, spread, axes = np.linalg.svd(centred, full_matrices=False)
    plane = axes[:2]
    plane *= np.sign(plane[np.arange(2), np.argmax(np.abs(plane), axis=1)])[:, None]
    squares = spread**2 / max(float(np.sum(spread**2)), 1e-300)
    return centred @ plane.T, (float(squares[0]), float(squares[1]))


def _frame(left: int, picture: str | None) -> str:
    return "" if picture is None else f'<image href="{picture}" x="{left}" y="8" width="172" height="172"/>'


def _lines(left: int, top: int, lines: list[str]) -> str:
    return "".join(f'<text x="{left}" y="{top + 18 * row}">{escape(line)}</text>' for row, line in enumerate(lines))
