"""Sound that streams by, handed on in stretches around the times that somebody asks about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from avlib.arrays import Float32Array, Float64Array
from avlib.media import SoundPiece, place


@dataclass(frozen=True)
class SoundStretch:
    """rows: of the times that lie in it.  waveform: shape (n,), from from_s on, a whole second."""

    rows: slice
    from_s: float
    waveform: Float32Array


def sound_around(
    pieces: Iterable[SoundPiece], *, times_s: Float64Array, margin_s: float, sample_rate_hz: int, length_s: int = 30
) -> Iterator[SoundStretch]:
    """Stretches that together hold all times, each with margin_s of sound around its own; zeros where there is none.

    pieces: ascending.  times_s: shape (n,), ascending. No more than length_s + 2 · margin_s and a piece are held.
    """
    held: list[SoundPiece] = []
    coming = iter(pieces)
    number = np.floor(times_s / length_s).astype(np.int64)
    edges = np.flatnonzero(np.diff(number)) + 1
    for begin, after in zip([0, *edges], [*edges, len(times_s)], strict=True):
        if begin == after:
            return
        from_s = np.floor(times_s[begin] - margin_s)
        to_s = np.ceil(times_s[after - 1] + margin_s)
        first, end = round(from_s * sample_rate_hz), round(to_s * sample_rate_hz)
        held = [piece for piece in held if piece.end > first]
        while not held or held[-1].end < end:
            piece = next(coming, None)
            if piece is None:
                break
            if piece.end > first:
                held.append(piece)
        waveform = place(held, channels=1, first=first, samples=end - first)[0]
        yield SoundStretch(slice(int(begin), int(after)), float(from_s), waveform)
