"""The page that suggests sounds for pictures and pictures for sounds, and its JSON API.

Nothing that a visitor sends is written to a disk or kept: pictures are decoded in memory, sounds are handed to the
decoding process as a file in memory. Nothing that a visitor sends is a path; samples are asked for by their ids, and
answers name videos without their folders. The page asks nothing of any other server.
"""

from __future__ import annotations

from avlib.web.engine import Engine
from avlib.web.server import make_app, serve

__all__ = ["Engine", "make_app", "serve"]
