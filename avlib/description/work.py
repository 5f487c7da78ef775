"""How much work videos are before they have been opened: by their durations where these are known, else by sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence

_USUAL_BYTES = 10_000_000  # of a video of unknown size
_USUAL_BYTES_PER_S = 100_000.0  # where no video has both a size and a duration
_SOUND_SHARE = 0.04  # of describing a video: of one that will be cut into slices only the sound is read first


def expected_work_s(sizes: Sequence[int | None], durations_s: Sequence[float | None], *, slice_s: float) -> list[float]:
    """Seconds of video, or what is as much work, of each video.

    sizes: in bytes.  durations_s: as a manifest or an earlier attempt tells them, which may be anything.
    slice_s: describe.slice_s.
    """
    known = [duration if duration and math.isfinite(duration) and duration > 0 else None for duration in durations_s]
    both = [(size, duration) for size, duration in zip(sizes, known, strict=True) if size and duration]
    rate = sum(size for size, _ in both) / sum(duration for _, duration in both) if both else _USUAL_BYTES_PER_S
    return [
        (size or _USUAL_BYTES) / rate if duration is None else duration * (_SOUND_SHARE if duration > slice_s else 1.0)
        for size, duration in zip(sizes, known, strict=True)
    ]
