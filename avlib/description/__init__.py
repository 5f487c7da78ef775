"""One video → its loud frames, and what came of it (Solèr et al. 2016, §3.1). No Spark, no network.

The sound is read first and decides which frames are loud. Pictures are then streamed, and only those of loud frames
are kept. A video longer than describe.slice_s is described in slices, so that none needs more memory than another.
"""

from __future__ import annotations

from avlib.description.listening import Frames, Heard, listen, loud
from avlib.description.outcome import Description, Problem, SliceOutcome
from avlib.description.video import FrameBatch, LongVideo, Slice, describe_slice, describe_video
from avlib.description.work import expected_work_s

__all__ = [
    "Description",
    "FrameBatch",
    "Frames",
    "Heard",
    "LongVideo",
    "Problem",
    "Slice",
    "SliceOutcome",
    "describe_slice",
    "describe_video",
    "expected_work_s",
    "listen",
    "loud",
]
