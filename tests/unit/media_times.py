"""When flashes are seen and clicks are heard, for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from media_sound import read_sound

from avlib.media import PictureReader, probe

RATE_HZ = 16000
NEAR_S = 0.3


def click_s(waveform: np.ndarray, rate_hz: int) -> float:
    """Centre of energy of the loudest click."""
    energy = waveform.astype(np.float64) ** 2
    energy[energy < 0.1 * energy.max()] = 0
    return float(energy @ np.arange(energy.size) / energy.sum() / rate_hz)


def clicks_s(waveform: np.ndarray, rate_hz: int) -> list[float]:
    """The centres of all clicks that are not much softer than the loudest."""
    loud = np.flatnonzero(np.abs(waveform) > 0.3 * np.abs(waveform).max())
    begins = loud[np.diff(loud, prepend=-rate_hz) > NEAR_S * rate_hz]
    near = [slice(max(begin - round(NEAR_S * rate_hz), 0), begin + round(NEAR_S * rate_hz)) for begin in begins]
    return [click_s(waveform[stretch], rate_hz) + stretch.start / rate_hz for stretch in near]


def flashes_s(reader: PictureReader, times_s: np.ndarray) -> list[float]:
    """The middle of each stretch of white pictures."""
    white = np.zeros(times_s.size, bool)
    for indexes, pictures in reader:
        white[indexes] = pictures.mean(axis=(1, 2, 3)) > 128
    edges = np.flatnonzero(np.diff(np.concatenate([[False], white, [False]]).astype(int)))
    return [float(times_s[a] + times_s[b - 1]) / 2 for a, b in edges.reshape(-1, 2)]


def seen_and_heard_s(path: Path) -> tuple[list[float], list[float]]:
    """All flashes and all clicks of a whole video."""
    info = probe(path)
    grid_s = np.arange(0, 12, 0.002)
    reader = PictureReader(path, info, times_s=grid_s, size_px=16)
    flashes = flashes_s(reader, grid_s)
    sound = read_sound(path, info, sample_rate_hz=RATE_HZ)
    assert reader.damage is None and sound.damage is None
    return flashes, clicks_s(sound.waveform, RATE_HZ)
