"""What a loud frame looks and sounds like, as numbers (Solèr et al. 2016, §3.1).

torch is imported only when a network describes pictures or its weights are read; librosa only where
sound is described.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avlib.descriptors.context import audio_context
    from avlib.descriptors.loudness import RmsMeter
    from avlib.descriptors.mfcc import mfcc_windows
    from avlib.descriptors.normalise import (
        DescriptorStats,
        ExactSums,
        l2_normalise,
        normalise_audio,
        normalise_visual,
        standardise,
    )
    from avlib.descriptors.rms import loud_frames, rms_energy
    from avlib.descriptors.track import log_mel_track
    from avlib.descriptors.visual import HOG_COLOR, PICTURES_TOGETHER, VisualDescriptor, load_visual_descriptor
    from avlib.descriptors.weights import model_hash, resolve_weights, save_weights

__all__ = [
    "HOG_COLOR",
    "PICTURES_TOGETHER",
    "DescriptorStats",
    "ExactSums",
    "RmsMeter",
    "VisualDescriptor",
    "audio_context",
    "l2_normalise",
    "load_visual_descriptor",
    "log_mel_track",
    "loud_frames",
    "mfcc_windows",
    "model_hash",
    "normalise_audio",
    "normalise_visual",
    "resolve_weights",
    "rms_energy",
    "save_weights",
    "standardise",
]

_MODULES = {
    "audio_context": "context",
    "log_mel_track": "track",
    "RmsMeter": "loudness",
    "mfcc_windows": "mfcc",
    "loud_frames": "rms",
    "rms_energy": "rms",
    "HOG_COLOR": "visual",
    "PICTURES_TOGETHER": "visual",
    "VisualDescriptor": "visual",
    "load_visual_descriptor": "visual",
    "model_hash": "weights",
    "resolve_weights": "weights",
    "save_weights": "weights",
}


def __getattr__(name: str) -> Any:
    """Import a public name's module when the name is first used (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'normalise')}"), name)
