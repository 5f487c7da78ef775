"""Videos that are uploaded again, encoded anew, or cut into others: found by what they show and sound like."""

from avlib.copies.in_memory import MOST_ORIGINALS, CopiesFound, copies_in_memory
from avlib.copies.sketch import COMPARED, Sketch, random_pair_medians, search_weights
from avlib.copies.stretches import Stretch, compared, copied_stretches, frame_rate_hz, originals_of, thinning

__all__ = [
    "COMPARED",
    "MOST_ORIGINALS",
    "CopiesFound",
    "Sketch",
    "Stretch",
    "compared",
    "copied_stretches",
    "copies_in_memory",
    "frame_rate_hz",
    "originals_of",
    "random_pair_medians",
    "search_weights",
    "thinning",
]
