"""Requests that no browser sends: each gets a sentence, the usual headers, and costs nobody else anything."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import time
import urllib.request
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from page_server import Page, answer_to, assert_plain, served, wait_until
from small_warehouse import SmallWarehouse

from avlib.config import load_settings
from avlib.retrieval.suggest import Wish
from avlib.web import Engine
from avlib.web.server import Workers

SETTINGS = load_settings()


@pytest.fixture(scope="module")
def page(made: SmallWarehouse) -> Iterator[Page]:
    with served(made.uri, SETTINGS) as opened:
        yield opened


@pytest.mark.parametrize("headers", [{"Host": "["}, {"Host": "[::1"}, {"Origin": "http://["}, {"Origin": "null"}])
def test_addresses_that_are_none_are_refused(headers: dict[str, str], page: Page) -> None:
    reply = page.get("/api/collection", headers)
    assert reply.status == 403
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.values["error"].startswith("this page answers only to its own address")


FIELD = b'Content-Disposition: form-data; name="picture"; filename="a.png"'
MALFORMED = {
    "header without a colon": b"--b\r\nno header\r\n\r\nx\r\n--b--\r\n",
    "header over-long": b"--b\r\n" + FIELD + b"\r\nX-A: " + b"a" * 100_000 + b"\r\n\r\nx\r\n--b--\r\n",
    "headers without end": b"--b\r\n" + FIELD + (b"\r\nX-A: " + b"a" * 500) * 500,
    "name of no letters": b"--b\r\n" + FIELD + b"\r\nX A: a\r\n\r\nx\r\n--b--\r\n",
    "unknown part encoding": b"--b\r\n" + FIELD + b"\r\nContent-Transfer-Encoding: x\r\n\r\nx\r\n--b--\r\n",
    "length that is no number": b"--b\r\n" + FIELD + b"\r\nContent-Length: x\r\n\r\nx\r\n--b--\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
@pytest.mark.parametrize("encoding", ["identity", "gzip", "deflate"])
def test_malformed_forms_get_a_sentence(name: str, encoding: str, page: Page) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=b", "Content-Encoding": encoding}
    reply = answer_to(urllib.request.Request(f"{page.address}/api/sounds", MALFORMED[name], headers))
    assert reply.status == 400, reply.body
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert_plain(reply.values["error"])


def slow_upload(page: Page, said_bytes: int) -> socket.socket:
    """A request whose form does not arrive."""
    host, _, port = page.address.removeprefix("http://").partition(":")
    client = socket.create_connection((host, int(port)), timeout=20)
    head = f"POST /api/sounds HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {said_bytes}\r\n"
    client.sendall(f"{head}Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n".encode())
    return client


def test_an_upload_that_does_not_arrive_is_given_up(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avlib.web.uploads.WITHIN_S", 0.3)
    with slow_upload(page, 1000) as client:
        answer = client.recv(4096)
    assert answer.startswith(b"HTTP/1.1 408 ") and b"took longer than 0.3 s" in answer


def test_uploads_beyond_the_memory_for_them_are_refused_unread(
    page: Page, made: SmallWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("avlib.web.uploads.HELD_BYTES", 1_000_000)
    with slow_upload(page, 990_000):
        time.sleep(0.3)
        with slow_upload(page, 900_000) as other:
            assert other.recv(4096).startswith(b"HTTP/1.1 503 ")
        query = {"picture": made.queries["red"].read_bytes()}
        assert page.post("/api/sounds", query, top=1).status == 200  # a small one has room
    until_s = time.monotonic() + 10
    while page.post("/api/sounds", query | {"sound": bytes(900_000)}, top=1).status == 503:
        assert time.monotonic() < until_s, "what a visitor who left had taken is not given back"
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("named", "status"),
    [
        ("attacker.example", 403),
        ("sounds.example.org", 200),
        ("Sounds.Example.org.:80", 200),
        ("192.0.2.7:8765", 200),
        ("[2001:db8::7]", 200),
        ("localhost", 200),
        (socket.gethostname(), 200),
    ],
)
def test_a_server_for_others_answers_to_the_names_it_knows(named: str, status: int, made: SmallWarehouse) -> None:
    settings = load_settings(assignments=['serve.names=["sounds.example.org"]'])
    with served(made.uri, settings, host="0.0.0.0") as page:
        assert page.get("/page.css", {"Host": named}).status == status


def test_nothing_is_kept_of_who_leaves_the_queue() -> None:
    class Upload:
        """Something that can be watched."""

    async def leave() -> bool:
        workers, go_on = Workers(1, waiting=5), threading.Event()
        first = asyncio.create_task(workers.run(go_on.wait, 20))
        upload = Upload()
        watched = weakref.ref(upload)
        second = asyncio.create_task(workers.run(repr, upload))
        await asyncio.sleep(0.1)
        second.cancel()
        await asyncio.wait([second])
        del upload, second
        gc.collect()
        kept = watched() is not None
        go_on.set()
        assert await first
        assert await workers.run(len, b"123") == 3
        await asyncio.to_thread(workers.close)
        return kept

    assert not asyncio.run(leave())


REST = FIELD + b"\r\n\r\nsecond\r\n--b--\r\n"


def test_who_leaves_the_queue_is_not_worked_for(made: SmallWarehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[bytes] = []
    go_on = threading.Event()

    def slow(engine: Engine, picture: bytes, wish: Wish) -> dict[str, object]:
        begun.append(picture)
        go_on.wait(20)
        return {}

    monkeypatch.setattr(Engine, "sounds_for", slow)
    settings = load_settings(assignments=["serve.workers=1", "serve.waiting=1"])
    with served(made.uri, settings) as page, ThreadPoolExecutor(2) as visitors:
        first = visitors.submit(page.post, "/api/sounds", {"picture": b"first"})
        wait_until(lambda: begun == [b"first"])
        with slow_upload(page, len(b"--b\r\n" + REST)) as leaving:
            leaving.sendall(REST)
            time.sleep(1)
            assert page.post("/api/sounds", {"picture": b"third"}).status == 503
        time.sleep(1)
        last = visitors.submit(page.post, "/api/sounds", {"picture": b"last"})
        time.sleep(0.5)
        go_on.set()
        assert (first.result().status, last.result().status) == (200, 200)
    assert begun == [b"first", b"last"]
