"""Which pictures and sounds belong together, by what other videos show and sound like. Without labels."""

from avlib.agreement.accident import Mixed, mixed
from avlib.agreement.drawing import MOST_ACCIDENTAL, draw_keys, drawn, drawn_pieces
from avlib.agreement.evidence import (
    NOBODY,
    PIECE_BITS,
    SLICE_BITS,
    Companions,
    Evidence,
    Views,
    Weights,
    agreement,
    equal_weights,
    evidence,
    supporters,
    weight,
)
from avlib.agreement.in_memory import (
    ACROSS_VIDEOS,
    SUPPORTERS,
    Scored,
    accidental_scores,
    agreement_in_memory,
    asked,
    check_videos,
    slice_scores,
)
from avlib.agreement.projection import (
    Described,
    Projection,
    Shortening,
    fit_pictures,
    fit_shortening,
    fit_sounds,
)
from avlib.agreement.stretches import stretch_scores
from avlib.agreement.threshold import Histogram, threshold_doubting, threshold_keeping

__all__ = [
    "ACROSS_VIDEOS",
    "MOST_ACCIDENTAL",
    "NOBODY",
    "PIECE_BITS",
    "SLICE_BITS",
    "SUPPORTERS",
    "Companions",
    "Described",
    "Evidence",
    "Histogram",
    "Mixed",
    "Projection",
    "Scored",
    "Shortening",
    "Views",
    "Weights",
    "accidental_scores",
    "agreement",
    "agreement_in_memory",
    "asked",
    "check_videos",
    "draw_keys",
    "drawn",
    "drawn_pieces",
    "equal_weights",
    "evidence",
    "fit_pictures",
    "fit_shortening",
    "fit_sounds",
    "mixed",
    "slice_scores",
    "stretch_scores",
    "supporters",
    "threshold_doubting",
    "threshold_keeping",
    "weight",
]
