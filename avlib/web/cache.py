"""Files made for visitors, kept as long as there is room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Cache(Generic[Key]):
    """Contents by key, at most `limit_bytes` in all: the least lately used go first. For any number of threads."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes, self._bytes = limit_bytes, 0
        self._kept: OrderedDict[Key, bytes] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Key) -> bytes | None:
        """What was kept, None where it is gone."""
        with self._lock:
            content = self._kept.get(key)
            if content is not None:
                self._kept.move_to_end(key)
            return content

    def put(self, key: Key, content: bytes) -> None:
        """Keep a content; one that is larger than all the room is not kept."""
        if len(content) > self._limit_bytes:
            return
        with self._lock:
            self._bytes += len(content) - len(self._kept.pop(key, b""))
            self._kept[key] = content
            while self._bytes > self._limit_bytes:
                _, gone = self._kept.popitem(last=False)
                self._bytes -= len(gone)
