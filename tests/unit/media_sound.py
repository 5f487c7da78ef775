"""The sound of a video as one waveform, for tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avlib.media import MediaInfo, SoundReader, place, spans_s


@dataclass(frozen=True)
class Sound:
    waveform: np.ndarray
    spans_s: np.ndarray
    damage: str | None


def read_sound(path: Path, info: MediaInfo, *, sample_rate_hz: int) -> Sound:
    reader = SoundReader(path, info, sample_rate_hz=sample_rate_hz)
    pieces = list(reader)
    waveform = place(pieces, channels=1, first=0, samples=pieces[-1].end)[0]
    spans = spans_s([(piece.first, piece.end) for piece in pieces], sample_rate_hz=sample_rate_hz)
    return Sound(waveform, spans, reader.damage)
