"""Uploads: how much of them is kept in memory at a time, and how long one may take to arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from avlib.errors import InputError
from avlib.web.forms import Form, read_form

HELD_BYTES = 1 << 30
WITHIN_S = 120.0


class BusyError(Exception):
    """More requests wait than may."""


class SlowError(InputError):
    """An upload that does not arrive."""


class Uploads:
    """Forms in memory, all of them together no larger than HELD_BYTES, save where one alone may be.

    limit_bytes: of one. For one event loop.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes, self._held_bytes = limit_bytes, 0

    @asynccontextmanager
    async def form(self, request: web.Request) -> AsyncIterator[Form]:
        """A visitor's form, for as long as it is worked with. Raises as read_form does.

        Also BusyError, before anything is read, where others hold too much, and SlowError after WITHIN_S.
        """
        size_bytes = self._most_bytes(request)
        if self._held_bytes and self._held_bytes + size_bytes > HELD_BYTES:
            raise BusyError
        self._held_bytes += size_bytes
        try:
            yield await self._read(request)
        finally:
            self._held_bytes -= size_bytes

    def _most_bytes(self, request: web.Request) -> int:
        """What a form can come to: as long as it says, unless it is packed or does not say."""
        said = request.content_length
        if said is None or "Content-Encoding" in request.headers:
            return self._limit_bytes
        return min(said, self._limit_bytes)

    async def _read(self, request: web.Request) -> Form:
        try:
            async with asyncio.timeout(WITHIN_S):
                return await read_form(request, limit_bytes=self._limit_bytes)
        except TimeoutError:
            raise SlowError(f"the upload took longer than {WITHIN_S:g} s; try again, or send less") from None
