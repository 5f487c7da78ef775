"""Requests that no browser sends: each gets a sentence, the usual headers, and costs nobody else anything."""

from __future__ import annotations

import socket
import time
import urllib.request
from collections.abc import Iterator

import pytest
from page_server import Page, answer_to, assert_plain, served
from small_warehouse import SmallWarehouse, make_warehouse

from avlib.config import load_settings

SETTINGS = load_settings()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SmallWarehouse:
    return make_warehouse(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def page(made: SmallWarehouse) -> Iterator[Page]:
    with served(made.uri, SETTINGS) as opened:
        yield opened


@pytest.mark.parametrize("headers", [{"Host": "["}, {"Host": "[::1"}, {"Origin": "http://["}, {"Origin": "null"}])
def test_addresses_that_are_none_are_refused(headers: dict[str, str], page: Page) -> None:
    reply = page.get("/api/collection", headers)
    assert reply.status == 403
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.values["error"] == "this page answers only to its own address"


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
