"""Whether reading gets anywhere: told to whoever has to give up on it (avlib.media.child)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from av.packet import Packet


class _Progress:
    """Furthest time and place of the packets of one request, since a file was opened last."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.begin_anew()

    def begin_anew(self) -> None:
        self._stamp = self._place = float("-inf")

    def advance(self, packet: Packet[Any]) -> None:
        stamp = packet.pts if packet.pts is not None else packet.dts
        time_s = float(stamp * packet.time_base) if stamp is not None and packet.time_base else self._stamp
        place = packet.pos if packet.pos is not None else -1
        if time_s > self._stamp or place > self._place:
            self._stamp, self._place = max(time_s, self._stamp), max(place, self._place)
            self.callback()


_current: _Progress | None = None


def tell(callback: Callable[[], None]) -> None:
    """Begin a request: from now on call back whenever a packet lies further on than all before it, and at `go_on`."""
    global _current
    _current = _Progress(callback)


def begin_anew() -> None:
    """A file is opened, perhaps once more: what was passed before is passed again."""
    if _current is not None:
        _current.begin_anew()


def go_on() -> None:
    """Something has been read that can be read once only."""
    if _current is not None:
        _current.callback()


def advance(packet: Packet[Any]) -> None:
    """A packet has been read."""
    if _current is not None:
        _current.advance(packet)
