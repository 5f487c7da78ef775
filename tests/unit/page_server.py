"""The page's server in a thread of this process, and a client that says what came back."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from avlib.config import Settings
from avlib.warehouse import Warehouse
from avlib.web import Engine, make_app


@dataclass(frozen=True)
class Reply:
    """status, headers and body of an answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def values(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Page:
    """Where a server listens."""

    address: str

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        return answer_to(urllib.request.Request(self.address + path, headers=dict(headers or {})))

    def post(
        self, path: str, files: Mapping[str, bytes], headers: Mapping[str, str] | None = None, **texts: Any
    ) -> Reply:
        boundary, lines = uuid.uuid4().hex, []
        for name, content in {**files, **{key: str(value).encode() for key, value in texts.items()}}.items():
            named = f'name="{name}"' + ('; filename="../../etc/passwd"' if name in files else "")
            head = f"--{boundary}\r\nContent-Disposition: form-data; {named}\r\n\r\n"
            lines.append(head.encode() + content + b"\r\n")
        body = b"".join([*lines, f"--{boundary}--\r\n".encode()])
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        return answer_to(urllib.request.Request(self.address + path, body, kind | dict(headers or {})))


def answer_to(request: urllib.request.Request) -> Reply:
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return Reply(response.status, dict(response.headers), response.read())
    except urllib.error.HTTPError as error:
        return Reply(error.code, dict(error.headers), error.read())


@contextmanager
def served(warehouse: str, settings: Settings, *, host: str = "127.0.0.1") -> Iterator[Page]:
    """The page of a warehouse, at a free port of loopback.  host: that the page believes to be bound to."""
    loop = asyncio.new_event_loop()
    app = make_app(Engine(Warehouse(warehouse), settings), host=host)
    runner = web.AppRunner(app, handler_cancellation=True)

    async def start() -> int:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return int(runner.addresses[0][1])

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        port = asyncio.run_coroutine_threadsafe(start(), loop).result(60)
        yield Page(f"http://127.0.0.1:{port}")
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def assert_plain(sentence: str) -> None:
    """One line without a path or a trace."""
    assert 10 < len(sentence) < 500
    assert "\n" not in sentence and "Traceback" not in sentence
    assert not re.search(r"(?<![\w/])/(tmp|proc|etc|root|home|usr|var)\b", sentence), sentence
    assert "secret" not in sentence


def wait_until(happens: Callable[[], bool]) -> None:
    for _ in range(40):
        if happens():
            return
        time.sleep(0.1)
    raise AssertionError("it did not happen")
