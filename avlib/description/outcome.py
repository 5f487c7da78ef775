"""What came of a video: the columns of `descriptions` that its file decides, put together from its parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from avlib.errors import MediaError
from avlib.media import MediaInfo


@dataclass(frozen=True)
class Problem:
    """Something that is missing of a video, and why. Fields as in MediaError."""

    error_class: str
    reason: str
    transient: bool = False

    @classmethod
    def of(cls, error: MediaError) -> Problem:
        """What an error says."""
        return cls(error.error_class, error.reason, error.transient)

    def and_also(self, other: Problem | None) -> Problem:
        """Both as one, of the other's class."""
        if other is None:
            return self
        return Problem(other.error_class, f"{self.reason}; {other.reason}", self.transient or other.transient)


@dataclass(frozen=True)
class SliceOutcome:
    """What came of the pictures of a video, or of a slice of it.

    start_s: of the slice.  wanted: loud frames.  samples: those described.
    covered_s: time over which there is sound, and pictures were read where any were wanted.
    problem: None where nothing is missing.
    """

    start_s: float
    wanted: int
    samples: int
    covered_s: float
    problem: Problem | None = None


@dataclass(frozen=True)
class Description:
    """What came of a video (see avlib.tables.DESCRIPTIONS)."""

    status: str = "ok"
    audio_status: str = "not_tried"
    visual_status: str = "not_tried"
    error_class: str | None = None
    transient: bool | None = None
    error: str | None = None
    covered_s: float | None = None
    content_hash: str | None = None
    container: str | None = None
    video_codec: str | None = None
    audio_codec: str | None = None
    video_stream: int | None = None
    audio_stream: int | None = None
    width: int | None = None
    height: int | None = None
    frame_rate_hz: float | None = None
    audio_rate_hz: int | None = None
    channels: int | None = None
    duration_s: float | None = None
    samples: int = 0

    def ended(self, status: str, problem: Problem) -> Description:
        """This description, ended by a problem."""
        return replace(
            self,
            status=status,
            error_class=problem.error_class,
            transient=problem.transient,
            error=problem.reason,
        )

    def with_info(self, info: MediaInfo) -> Description:
        """This description with what the container says."""
        said = asdict(info)
        return replace(self, **{name: said[name] for name in said if name in Description.__dataclass_fields__})

    def finished(self, sound: Problem | None, slices: Sequence[SliceOutcome]) -> Description:
        """This description with what came of the sound and of the pictures, slice by slice."""
        slices = sorted(slices, key=lambda one: one.start_s)
        problems = [] if sound is None else [sound]
        problems += [one.problem for one in slices if one.problem is not None]
        whole = replace(
            self,
            audio_status="ok" if sound is None else "partial",
            visual_status=_visual_status(slices),
            covered_s=math.fsum(one.covered_s for one in slices),
            samples=sum(one.samples for one in slices),
        )
        if not problems:
            return whole
        worst = next((problem for problem in problems if problem.error_class != "damaged"), problems[0])
        reasons = list(dict.fromkeys(problem.reason for problem in problems))
        more = f"; and {len(reasons) - 3} more" if len(reasons) > 3 else ""
        reason = "; ".join(reasons[:3]) + more
        status = "failed" if whole.visual_status == "failed" else "partial"
        transient = any(problem.transient for problem in problems)
        return whole.ended(status, Problem(worst.error_class, reason, transient))


def _visual_status(slices: Sequence[SliceOutcome]) -> str:
    if not any(one.wanted for one in slices):
        return "not_tried"
    if all(one.problem is None for one in slices):
        return "ok"
    return "partial" if any(one.samples for one in slices) else "failed"
