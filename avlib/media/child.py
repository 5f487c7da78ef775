"""The decoding process: opens media files for its parent and can be killed (see avlib.media.decoder).

Started as `python -m avlib.media.child SOCKET PARENT LIMITS`; answers requests until the socket closes. It imports
neither torch nor Spark, writes no file, and dies with its parent.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from avlib.config import DecodeSettings
from avlib.errors import AvlibError, InputError, MediaError
from avlib.media import progress
from avlib.media.content import content_hash
from avlib.media.cutting import cut_sound, sound_between
from avlib.media.pictures import PictureReader
from avlib.media.probe import MediaInfo, probe
from avlib.media.sound import SoundReader
from avlib.media.stills import open_picture
from avlib.media.wire import Message, receive, send

_PR_SET_PDEATHSIG = 1
_OPEN_FILES = 64
_ALIVE_EVERY_S = 0.5


def main(arguments: list[str]) -> None:
    """Serve requests on an inherited socket."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # an interrupted notebook ends it, without a word
    handle, parent, limits = int(arguments[0]), int(arguments[1]), DecodeSettings.model_validate_json(arguments[2])
    _die_with(parent)
    _restrict(limits)
    with socket.socket(fileno=handle) as to_parent:
        send(to_parent, Message("ready"))
        while (request := receive(to_parent)) is not None:
            _answer(to_parent, request, limits)


def _die_with(parent: int) -> None:
    if sys.platform == "linux":  # elsewhere the closed socket ends it, once it is done with what it is at
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before
        sys.exit()


def _restrict(limits: DecodeSettings) -> None:
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
    _limit(resource.RLIMIT_AS, max(limits.memory_mb, limits.still_memory_mb) << 20)
    _take_memory(limits.memory_mb)


def _limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (limit, limit))


def _take_memory(most_mb: int) -> None:
    """Address space, within what the process may have at all."""
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (min(most_mb << 20, hard), hard))


def _answer(to_parent: socket.socket, request: Message, limits: DecodeSettings) -> None:
    """All messages of one answer: parts, then `end` or `error`; `alive` in between, while there is progress."""
    said_s = time.monotonic()

    def say(message: Message) -> None:
        nonlocal said_s
        try:
            send(to_parent, message)
        except OSError:
            sys.exit()  # the parent is gone
        said_s = time.monotonic()

    def alive() -> None:
        if time.monotonic() - said_s > _ALIVE_EVERY_S:
            say(Message("alive"))

    progress.tell(alive)
    try:
        for message in _REQUESTS[request.kind](request, limits):
            say(message)
    except MediaError as error:
        say(_error(error.reason, error.error_class, transient=error.transient))
    except MemoryError:
        reason = f"it needs more than the {limits.memory_mb} MB of memory that decode.memory_mb gives one video"
        say(_error(reason, "memory_limit"))
    except InputError as error:
        say(_error(str(error), "no_picture"))
    except AvlibError as error:
        say(_error(str(error), "internal"))
    except OSError as error:
        say(_error(f"it cannot be read: {error.strerror or error}", "unreadable", transient=True))
    except Exception as error:
        with suppress(OSError):  # into a file it may not write
            traceback.print_exc()
        say(_error(f"avlib failed on it: {type(error).__name__}: {error}", "internal"))


def _error(reason: str, error_class: str, *, transient: bool = False) -> Message:
    return Message("error", {"reason": reason, "error_class": error_class, "transient": transient})


def _hash(request: Message, limits: DecodeSettings) -> Iterator[Message]:
    yield Message("end", {"hash": content_hash(Path(request.values["path"]))})


def _probe(request: Message, limits: DecodeSettings) -> Iterator[Message]:
    info = probe(Path(request.values["path"]), max_pixels=limits.max_pixels)
    yield Message("end", {"info": asdict(info)})


def _sound(request: Message, limits: DecodeSettings) -> Iterator[Message]:
    rate_hz = request.values["sample_rate_hz"]
    reader = SoundReader(*_video(request), sample_rate_hz=rate_hz, until_s=limits.max_duration_s)
    for piece in reader:
        yield Message("part", {"first": piece.first}, {"waveform": piece.waveform})
    yield Message("end", {"damage": reader.damage, "goes_back": reader.goes_back})


def _sound_between(request: Message, limits: DecodeSettings) -> Iterator[Message]:
    given = {name: request.values[name] for name in ("sample_rate_hz", "start_s", "end_s")}
    yield Message("end", arrays={"waveform": sound_between(*_video(request), **given)})


def _cut(request: Message, limits: DecodeSettings) -> Iterator[Message]:
    given = {name: request.values[name] for name in ("start_s", "duration_s")}
    waveform, rate_hz, start_s = cut_sound(*_video(request), **given)
    yield Message("end", {"sample_rate_hz": rate_hz, "start_s": start_s}, {"waveform": waveform})


def _pictures(request: Message, limits: DecodeSettings) -> Iterator[Message]:
    reader = PictureReader(
        *_video(request),
        times_s=request.arrays["times_s"],
        size_px=request.values["size_px"],
        batch=request.values["batch"],
        max_pixels=limits.max_pixels,
    )
    for indexes, pictures in reader:
        yield Message("part", arrays={"indexes": indexes, "pictures": pictures})
    yield Message("end", {"damage": reader.damage, "covered_s": reader.covered_s})


def _still(request: Message, limits: DecodeSettings) -> Iterator[Message]:
    path, name, most = (request.values[key] for key in ("path", "name", "max_pixels"))
    _take_memory(limits.still_memory_mb)
    try:
        yield Message("end", arrays={"picture": open_picture(Path(path), max_pixels=most, name=name)})
    finally:
        _take_memory(limits.memory_mb)


def _video(request: Message) -> tuple[Path, MediaInfo]:
    return Path(request.values["path"]), MediaInfo(**request.values["info"])


_REQUESTS: dict[str, Callable[[Message, DecodeSettings], Iterator[Message]]] = {
    "hash": _hash,
    "probe": _probe,
    "sound": _sound,
    "sound_between": _sound_between,
    "cut": _cut,
    "pictures": _pictures,
    "still": _still,
}

if __name__ == "__main__":
    main(sys.argv[1:])
