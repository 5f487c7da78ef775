"""Reading videos in a process that can be killed: whatever a file does to it, it costs that file and nothing else."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from avlib.arrays import Float32Array, Float64Array, Int64Array, UInt8Array
from avlib.config import DecodeSettings
from avlib.errors import InputError, MediaError
from avlib.media.probe import MediaInfo
from avlib.media.runs import SoundPiece
from avlib.media.wire import Message, WireError, receive, send

_START_S = 120.0
_BROKEN_AFTER = ("memory_limit", "internal")
_END_S = 5.0
_HELD_S = 1.0  # without a sign of life, at least, where the system holds the process
_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(4 << 20), "MALLOC_TRIM_THRESHOLD_": str(256 << 20)}
# No secrets for the child, and memory settings of its own: pictures are too large for malloc to keep unless told so.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")


class Decoder:
    """A decoding process and the limits it works under.

    It starts with the first video, is replaced after a kill, a failure to answer in time, or settings.renew_after
    videos, and dies with this process. For one thread at a time; on Linux that thread must outlive it.
    """

    def __init__(self, settings: DecodeSettings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._answering = False
        self._videos = 0

    def __enter__(self) -> Decoder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, path: Path) -> IsolatedVideo:
        """A video to be read; its time begins to count. Opens nothing yet."""
        if self._videos >= self._settings.renew_after:
            self.close()
            self._videos = 0
        self._videos += 1
        return IsolatedVideo(self, path, self._settings)

    def still(self, path: Path, *, max_pixels: int, name: str) -> UInt8Array:
        """A picture file, as open_picture gives it.  name: for errors.

        Raises InputError as it does, and where that takes more than decode.still_s or decode.still_memory_mb.
        """
        limits = self._settings
        within_s = {"stall_s": limits.still_s, "video_s": limits.still_s}
        try:
            return IsolatedVideo(self, path, limits.model_copy(update=within_s)).still(max_pixels=max_pixels, name=name)
        except MediaError as error:
            match error.error_class:
                case "no_decoder":
                    raise
                case "no_picture":
                    said = error.reason
                case "stalled" | "timeout":
                    said = f"{name} cannot be decoded within {limits.still_s:g} s (decode.still_s); give another"
                case "memory_limit":
                    most = f"{limits.still_memory_mb} MB (decode.still_memory_mb)"
                    said = f"{name} cannot be decoded within {most}; give another"
                case _:
                    said = f"{name} is not a picture avlib can read ({error.error_class}); give another"
            raise InputError(said) from None

    def close(self) -> None:
        """End the process, if there is one; the next video starts another."""
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):  # held by the system: it ends when it comes back
                self._process.wait(timeout=_END_S)
        self._process = self._socket = None
        self._answering = False

    def begin(self) -> socket.socket:
        """The socket of a process that is free to answer: one that is still at another answer is replaced."""
        free = self._process is not None and self._process.poll() is None and not self._answering
        if self._socket is None or not free:
            self.close()
            self._start()
        assert self._socket is not None
        self._answering = True
        return self._socket

    def end(self, connection: socket.socket, *, answered: bool) -> None:
        """An answer has come whole, or will never."""
        if connection is self._socket:  # else it has been replaced meanwhile
            self._answering = False
            if not answered:
                self.close()

    def exit_code(self) -> int | None:
        """Of a process that closed its end; negative where a signal ended it, None where it does not end."""
        if self._process is None:  # it was ended here, for another video
            return None
        try:
            return self._process.wait(timeout=_END_S)
        except subprocess.TimeoutExpired:
            return None

    def held_by_system(self) -> bool:
        """Whether it waits for a disk or a mount, which nothing can interrupt. Linux tells; elsewhere: no."""
        if not (waiting := self._waiting()):
            return False
        time.sleep(_HELD_S)  # a disk that is slow lets go of it now and then
        return any(self._waiting().get(thread) == before for thread, before in waiting.items())

    def _waiting(self) -> dict[str, str]:
        """Its threads that wait without letting themselves be interrupted, and what is counted of each: its time, …"""
        found = {}
        if self._process is not None:
            with suppress(OSError):  # it ends
                for thread in Path(f"/proc/{self._process.pid}/task").glob("*/stat"):
                    counted = thread.read_text().rpartition(")")[2]
                    if counted.split()[0] == "D":
                        found[thread.parent.name] = counted
        return found

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        # Python's search path as it is here, so that the child finds avlib wherever this process did.
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        environment |= _MEMORY | {
            # Spark puts JARs on it, and Python may keep a file open for each: more than the child may open.
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path and not path.endswith(".jar")),
            "OPENBLAS_NUM_THREADS": "1",
        }
        command = [sys.executable, "-P", "-m", "avlib.media.child", str(theirs.fileno()), str(os.getpid())]
        with theirs:
            self._process = subprocess.Popen(
                [*command, self._settings.model_dump_json()],
                env=environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        self._socket = ours
        try:
            ready = receive(ours, within_s=_START_S)
        except (OSError, WireError):
            ready = None
        if ready is None:
            self.close()
            raise MediaError(
                "decoding process",
                "it did not start: mend what it says in this process's error output, and try again",
                error_class="no_decoder",
                transient=True,
            )


class IsolatedVideo:
    """One video, read in a Decoder's process. Methods as the functions and readers of avlib.media.

    Each raises MediaError as they do, and with error_class `stalled`, `timeout`, `memory_limit` or `crashed` where
    the process had to be killed or died; what was read until then has been handed out.
    """

    def __init__(self, decoder: Decoder, path: Path, settings: DecodeSettings) -> None:
        self.path = path
        self._decoder = decoder
        self._settings = settings
        self._left_s = settings.video_s

    def content_hash(self) -> str:
        """SHA-256 of the file, in hex. Takes no longer than reading it may, and nothing of the time for that."""
        left_s = self._left_s
        found = str(self._only("hash").values["hash"])
        self._left_s = left_s
        return found

    def probe(self) -> MediaInfo:
        """What the container says."""
        return MediaInfo(**self._only("probe").values["info"])

    def sound(self, info: MediaInfo, *, sample_rate_hz: int) -> IsolatedSound:
        """The whole sound in pieces, as SoundReader; no more than decode.max_duration_s of it."""
        given = {"info": asdict(info), "sample_rate_hz": sample_rate_hz}
        return IsolatedSound(self._all("sound", given))

    def sound_between(self, info: MediaInfo, *, sample_rate_hz: int, start_s: float, end_s: float) -> Float32Array:
        """The sound of a stretch, mono. Shape (n,)."""
        given = {"info": asdict(info), "sample_rate_hz": sample_rate_hz, "start_s": start_s, "end_s": end_s}
        waveform: Float32Array = self._only("sound_between", given).arrays["waveform"]
        return waveform

    def cut_sound(self, info: MediaInfo, *, start_s: float, duration_s: float) -> tuple[Float32Array, int, float]:
        """The sound of a stretch as it is in the file: shape (n, channels), its rate in Hz, where it begins, in s."""
        given = {"info": asdict(info), "start_s": start_s, "duration_s": duration_s}
        end = self._only("cut", given)
        return end.arrays["waveform"], end.values["sample_rate_hz"], end.values["start_s"]

    def pictures(self, info: MediaInfo, *, times_s: Float64Array, size_px: int, batch: int = 32) -> IsolatedPictures:
        """The pictures on display at wanted times, as PictureReader."""
        given = {"info": asdict(info), "size_px": size_px, "batch": batch}
        return IsolatedPictures(self._all("pictures", given, {"times_s": times_s}))

    def still(self, *, max_pixels: int, name: str) -> UInt8Array:
        """The picture that the file is, where it is no video; see Decoder.still."""
        picture: UInt8Array = self._only("still", {"max_pixels": max_pixels, "name": name}).arrays["picture"]
        return picture

    def _only(self, kind: str, values: dict[str, Any] | None = None) -> Message:
        *_, end = self._all(kind, values or {})
        return end

    def _all(
        self, kind: str, values: dict[str, Any], arrays: dict[str, Any] | None = None
    ) -> Generator[Message, None, None]:
        """The parts of an answer, then its end."""
        connection = self._decoder.begin()
        answered = False
        try:
            send(connection, Message(kind, {"path": str(self.path)} | values, arrays or {}))
            while not answered:
                message = self._next(connection)
                answered = message.kind in ("end", "error")
                if message.kind == "error":
                    answered = message.values["error_class"] not in _BROKEN_AFTER
                    raise MediaError(self.path, **message.values)
                if message.kind != "alive":
                    yield message
        except (WireError, OSError) as error:
            raise self._crashed(error) from None
        finally:
            self._decoder.end(connection, answered=answered)

    def _crashed(self, error: Exception) -> MediaError:
        code = self._decoder.exit_code()
        how = signal.Signals(-code).name if code is not None and code < 0 else f"{error}, exit code {code}"
        reason = f"the decoding process died of it ({how}); what it had read before is kept"
        # SIGKILL is the system's, short of memory, or somebody's: not the file's.
        return MediaError(self.path, reason, error_class="crashed", transient=code == -signal.SIGKILL)

    def _next(self, connection: socket.socket) -> Message:
        began_s = time.monotonic()
        limit_s = min(self._settings.stall_s, self._left_s)
        try:
            message = receive(connection, within_s=limit_s)
        except TimeoutError:
            if limit_s < self._left_s:
                held = self._decoder.held_by_system()
                reason = (
                    f"no progress for {limit_s:g} s (decode.stall_s)" + held * ": its disk or mount does not answer"
                )
                raise MediaError(self.path, reason, error_class="stalled", transient=held) from None
            reason = f"reading it took more than {self._settings.video_s:g} s (decode.video_s)"
            raise MediaError(self.path, reason, error_class="timeout") from None
        self._left_s -= time.monotonic() - began_s
        if message is None:
            raise WireError("it ended")
        return message


class IsolatedSound:
    """Iterate once to get SoundPieces; then `damage` and `goes_back` are those of SoundReader."""

    def __init__(self, messages: Iterator[Message]) -> None:
        self._messages = messages
        self.damage: str | None = None
        self.goes_back = False

    def __iter__(self) -> Iterator[SoundPiece]:
        for message in self._messages:
            if message.kind == "end":
                self.damage, self.goes_back = message.values["damage"], message.values["goes_back"]
            else:
                yield SoundPiece(message.values["first"], message.arrays["waveform"])


class IsolatedPictures:
    """Iterate once to get (indexes, pictures); then `damage` and `covered_s` are those of PictureReader."""

    def __init__(self, messages: Iterator[Message]) -> None:
        self._messages = messages
        self.damage: str | None = None
        self.covered_s = 0.0

    def __iter__(self) -> Iterator[tuple[Int64Array, UInt8Array]]:
        for message in self._messages:
            if message.kind == "end":
                self.damage, self.covered_s = message.values["damage"], message.values["covered_s"]
            else:
                yield message.arrays["indexes"], message.arrays["pictures"]
