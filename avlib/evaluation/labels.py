"""labels.csv: what is really seen and heard in each stretch of a video. For measuring, never for filtering.

Columns: video (file name), start_s, end_s, picture_category, sound_category, is_clean (1 or 0); others are
ignored.
A stretch covers the times start_s ≤ t < end_s; stretches of one video do not overlap, and may leave gaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import csv

from avlib.arrays import BoolArray, Float64Array, Int64Array
from avlib.errors import InputError, ParameterError

StrArray = npt.NDArray[np.str_]

LABEL_COLUMNS = ("video", "start_s", "end_s", "picture_category", "sound_category", "is_clean")

_CLEAN = {"1": True, "0": False, "true": True, "false": False}


@dataclass(frozen=True, eq=False)
class Truth:
    """What the labels say of samples. All of shape (n,).

    picture, sound: categories, empty where there is no label.  clean: picture and sound belong together.
    labelled: whether there is a label at all.
    """

    picture: StrArray
    sound: StrArray
    clean: BoolArray
    labelled: BoolArray

    def take(self, rows: Int64Array | BoolArray) -> Truth:
        """The truth of the samples in these rows."""
        return Truth(self.picture[rows], self.sound[rows], self.clean[rows], self.labelled[rows])


@dataclass(frozen=True)
class Cleanliness:
    """How clean a set of samples is.  labelled: those the labels speak of, and `clean` of them are."""

    samples: int
    labelled: int
    clean: int

    @classmethod
    def of(cls, truth: Truth) -> Cleanliness:
        """Count samples whose truth is known."""
        return cls(len(truth.clean), int(truth.labelled.sum()), int(truth.clean.sum()))

    @property
    def share(self) -> float:
        """Clean samples among the labelled ones, in [0, 1]; NaN where none is labelled."""
        return self.clean / self.labelled if self.labelled else float("nan")


class Labels:
    """The labelled stretches of a collection of videos."""

    def __init__(self, stretches: pa.Table) -> None:
        self._picture = _strings(stretches["picture_category"])
        self._sound = _strings(stretches["sound_category"])
        self._clean: BoolArray = stretches["is_clean"].to_numpy()
        self._start_s: Float64Array = stretches["start_s"].to_numpy()
        self._end_s: Float64Array = stretches["end_s"].to_numpy()
        videos = _strings(stretches["video"])
        names, first = np.unique(videos, return_index=True)
        last = np.append(first[1:], len(videos))
        self._rows = {str(name): (int(a), int(b)) for name, a, b in zip(names, first, last, strict=True)}

    @property
    def videos(self) -> tuple[str, ...]:
        """File names of the labelled videos, in order."""
        return tuple(self._rows)

    def at(self, videos: Sequence[str] | StrArray, times_s: Float64Array) -> Truth:
        """The truth of samples.  videos: n file names.  times_s: shape (n,), from the video's start."""
        names = np.asarray(videos, dtype=np.str_)
        if names.shape != times_s.shape or times_s.ndim != 1:
            raise ParameterError("videos", f"{names.shape} names", f"one for each time, {times_s.shape}")
        stretch = np.full(len(names), -1, np.int64)
        for name in np.unique(names):
            here = np.flatnonzero(names == name)
            stretch[here] = self._stretch_at(str(name), times_s[here])
        labelled = stretch >= 0
        return Truth(
            picture=np.where(labelled, self._picture[stretch], ""),
            sound=np.where(labelled, self._sound[stretch], ""),
            clean=labelled & self._clean[stretch],
            labelled=labelled,
        )

    def _stretch_at(self, video: str, times_s: Float64Array) -> Int64Array:
        """The row of the stretch each time falls into, -1 where there is none."""
        first, last = self._rows.get(video, (0, 0))
        if first == last:
            return np.full(len(times_s), -1, np.int64)
        row = first + np.searchsorted(self._start_s[first:last], times_s, side="right") - 1
        inside = (row >= first) & (times_s < self._end_s[np.maximum(row, first)])
        return np.where(inside, row, -1).astype(np.int64)


def read_labels(path: Path) -> Labels:
    """Read labels.csv.

    Raises InputError, naming the file and the row: no such file, a missing column, no rows, an empty name, a
    value that is no number or no 0/1, a stretch that ends before it begins, two of a video that overlap.
    """
    stretches = _read(path)
    if not stretches.num_rows:
        raise InputError(f"{path}: no labels in it; one row for each stretch is needed")
    start_s, end_s = stretches["start_s"].to_numpy(), stretches["end_s"].to_numpy()
    for row in np.flatnonzero(~((start_s >= 0) & (start_s < end_s) & (end_s < np.inf))):  # NaN compares as False
        raise InputError(
            f"{path}: row {row + 1} runs from {start_s[row]} to {end_s[row]} s: end_s must lie after start_s"
        )
    stretches = stretches.append_column("row", pa.array(np.arange(1, stretches.num_rows + 1)))
    stretches = stretches.sort_by([("video", "ascending"), ("start_s", "ascending")])
    _refuse_overlaps(path, stretches)
    return Labels(stretches)


def _read(path: Path) -> pa.Table:
    """The needed columns, typed; is_clean as booleans."""
    types = {column: pa.float64() if column.endswith("_s") else pa.string() for column in LABEL_COLUMNS}
    convert = csv.ConvertOptions(column_types=types, strings_can_be_null=False)
    try:
        found = csv.read_csv(path, convert_options=convert)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); name a labels.csv") from None
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: not a labels file: {str(error).splitlines()[0]}") from None
    missing = [column for column in LABEL_COLUMNS if column not in found.column_names]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}; labels need {', '.join(LABEL_COLUMNS)}")
    found = found.select(list(LABEL_COLUMNS))
    for column in LABEL_COLUMNS:
        for row, value in enumerate(found[column].to_pylist(), start=1):
            if value is None or value == "":
                raise InputError(f"{path}: row {row} has no {column}")
            if column == "is_clean" and value.lower() not in _CLEAN:
                raise InputError(f"{path}: row {row} has is_clean = {value!r}: write 1 or 0")
    clean = pa.array([_CLEAN[value.lower()] for value in found["is_clean"].to_pylist()], pa.bool_())
    return found.set_column(LABEL_COLUMNS.index("is_clean"), "is_clean", clean)


def _refuse_overlaps(path: Path, stretches: pa.Table) -> None:
    """stretches: sorted by video and start_s."""
    videos, rows = _strings(stretches["video"]), stretches["row"].to_numpy()
    start_s, end_s = stretches["start_s"].to_numpy(), stretches["end_s"].to_numpy()
    overlapping = (videos[1:] == videos[:-1]) & (start_s[1:] < end_s[:-1])
    for place in np.flatnonzero(overlapping):
        pair = f"rows {rows[place]} and {rows[place + 1]}"
        raise InputError(f"{path}: {pair} of {videos[place]} overlap: a moment has one label")


def _strings(column: pa.ChunkedArray) -> StrArray:
    return np.asarray(column.to_pylist(), dtype=np.str_)
