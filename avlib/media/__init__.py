"""Reading videos: what they hold, their sound, their pictures, and cuts of their sound. numpy in, numpy out.

Conventions:

- Times are in seconds from the container's start time and come from presentation time stamps, never from
  counting frames. A file that starts at 0.53 s on its own clock starts at 0 here.
- Sound is float32 in [-1, 1]; pictures are uint8 RGB of shape (height, width, 3).
- Decoding uses one thread and only local files, in the formats `ALLOWED_FORMATS` names.
- What cannot be read raises `MediaError`, with an error_class out of `ERROR_CLASSES`; what is partly damaged
  is read as far as it goes, on both sides of the damage, and `damage` says in words what is missing.
- Decoding is FFmpeg's (PyAV); none of its exceptions leaves this package.
- `Decoder` does all of it in a process of its own, within limits: the product reads videos through it alone. The
  functions and readers themselves are what runs in there.
"""

from __future__ import annotations

from avlib.media.cutting import cut_sound, sound_between
from avlib.media.decoder import Decoder, IsolatedVideo
from avlib.media.normalising import PictureNormaliser, normalise_picture
from avlib.media.opening import ALLOWED_FORMATS, ERROR_CLASSES
from avlib.media.pictures import PictureReader
from avlib.media.probe import MediaInfo, probe
from avlib.media.runs import JITTER_S, SoundPiece, place, spans_s
from avlib.media.sound import SoundReader
from avlib.media.stills import PICTURE_FORMATS, Region, load_picture, open_picture

__all__ = [
    "ALLOWED_FORMATS",
    "ERROR_CLASSES",
    "JITTER_S",
    "PICTURE_FORMATS",
    "Decoder",
    "IsolatedVideo",
    "MediaInfo",
    "PictureNormaliser",
    "PictureReader",
    "Region",
    "SoundPiece",
    "SoundReader",
    "cut_sound",
    "load_picture",
    "normalise_picture",
    "open_picture",
    "place",
    "probe",
    "sound_between",
    "spans_s",
]
