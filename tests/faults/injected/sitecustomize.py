"""Decoders that misbehave: put on Python's path, this makes FFmpeg and Pillow hang, hog or crash where they decode.

Python imports a module of this name by itself. A file's name says what is to happen when it is opened, or, with
`late-`, when its fifth picture is shown.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import signal
import sys
import time


def _misbehave(name: str) -> None:
    if "sleeps" in name:
        time.sleep(1e6)
    if "holds" in name:  # for ever, without letting go of Python's lock, deaf to polite signals
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        ctypes.PyDLL(None).sleep(1_000_000)
    if "waits" in name and not ctypes.PyDLL(None).vfork():  # the system holds a parent until its child ends
        time.sleep(20)
        os._exit(0)
    if "hogs" in name:  # address space, which is what is limited: to write into it can take longer than a stall
        from numpy import empty

        hoard = []
        while True:
            hoard.append(empty(64 << 20, "u1"))
    if "crashes" in name:
        os.kill(os.getpid(), signal.SIGSEGV)


def _inject() -> None:
    import av
    import numpy as np
    from PIL import Image

    from avlib.media import sound
    from avlib.media.normalising import PictureNormaliser
    from avlib.media.runs import SoundPiece

    really_open, really_normalise = av.open, PictureNormaliser.__call__
    really_read_sound, really_open_still = sound.sound_pieces, Image.open
    opened = {"name": "", "pictures": 0}

    def open_badly(file: str, *arguments: object, **options: object) -> object:
        name = os.path.basename(file)  # noqa: PTH119 - a URL, not a path
        opened.update(name=name, pictures=0)
        if "late-" not in name:
            _misbehave(name)
        return really_open(file, *arguments, **options)

    def open_still_badly(file: object, **options: object) -> object:
        _misbehave(os.path.basename(str(file)))  # noqa: PTH119
        return really_open_still(file, **options)

    def normalise_badly(self: PictureNormaliser, frame: object) -> object:
        opened["pictures"] += 1
        if opened["pictures"] == 5 and "late-" in opened["name"]:
            _misbehave(opened["name"])
        return really_normalise(self, frame)

    def read_sound_badly(*arguments: object, **options: object) -> object:
        if "goes-on" not in opened["name"]:
            yield from really_read_sound(*arguments, **options)
            return
        for second in itertools.count():
            time.sleep(0.01)
            yield SoundPiece(16_000 * second, np.zeros((1, 16_000), np.float32))

    sound.sound_pieces, Image.open = read_sound_badly, open_still_badly
    av.open, PictureNormaliser.__call__ = open_badly, normalise_badly


if any(argument.endswith("avlib.media.child") for argument in sys.orig_argv):
    _inject()
