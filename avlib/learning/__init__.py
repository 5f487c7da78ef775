"""A sound descriptor learned from a collection's own sound, without labels. No Spark.

A small network hears two seconds of sound at a time. It is trained to tell that two windows which lie within a second
of each other in one video, each changed at random (louder, through another equaliser, with parts blanked), are the
same sound, among windows of other videos (a contrastive loss: Chen et al. 2020, "A Simple Framework for Contrastive
Learning of Visual Representations"; for sound, Saeed et al. 2021, "Contrastive Learning of General-Purpose Audio
Representations"). Other windows of the same video are left out: whether they sound the same, nobody knows. What the
network's last layer holds, before the part that only the loss looks at, is the descriptor.

torch is imported only when a name that needs it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avlib.learning.descriptor import SoundDescriptor, load_sound_descriptor
    from avlib.learning.job import LearningJob, deal
    from avlib.learning.report import LearningReport
    from avlib.learning.stretches import sound_around

__all__ = [
    "LearningJob",
    "LearningReport",
    "SoundDescriptor",
    "deal",
    "load_sound_descriptor",
    "sound_around",
]

_MODULES = {
    "LearningJob": "job",
    "LearningReport": "report",
    "SoundDescriptor": "descriptor",
    "deal": "job",
    "load_sound_descriptor": "descriptor",
    "sound_around": "stretches",
}


def __getattr__(name: str) -> Any:
    """Import a public name's module when the name is first used (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
