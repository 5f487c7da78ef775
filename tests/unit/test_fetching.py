"""Fetching videos over HTTP from a server of its own that misbehaves, and what is kept private."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from http_server import BODY, WebServer, serve

from avlib.config import FetchSettings
from avlib.errors import MediaError
from avlib.fetching import fetched, find_remote, identify_remote
from avlib.fetching.addresses import is_public, public_socket

SETTINGS = FetchSettings(quota_bytes=1 << 20, timeout_s=1.5, stall_s=0.6, allow_private=True)
GUARDED = SETTINGS.model_copy(update={"allow_private": False})


@pytest.fixture(scope="module")
def web() -> Iterator[WebServer]:
    with serve() as server:
        yield server


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder, which every test leaves as it was."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def error_of(uri: str, settings: FetchSettings = SETTINGS) -> MediaError:
    with pytest.raises(MediaError) as caught, fetched(uri, settings):
        pass
    return caught.value


@pytest.mark.parametrize("name", ["a.mp4", "chunked.webm", "a.mp4?id=7&x=%20b", "an%20odd%2Fname.mp4"])
def test_a_complete_file_that_lives_inside_the_block(web: WebServer, scratch: Path, name: str) -> None:
    with fetched(web.url(name), SETTINGS) as path:
        assert path.read_bytes() == BODY
        assert path.suffix == Path(name.partition("?")[0]).suffix
        assert path.is_relative_to(scratch)
    assert list(scratch.iterdir()) == []
    assert web.asked[-1] == f"GET /{name}"  # as it is written


def test_no_more_is_read_than_was_announced(web: WebServer) -> None:
    with fetched(web.url("long.mp4"), SETTINGS) as path:
        assert path.read_bytes() == BODY[:-500]


def test_local_files_are_taken_as_they_are(scratch: Path) -> None:
    file = scratch / "a b.mp4"
    file.write_bytes(b"1")
    for uri in (str(file), f"file://{scratch}/a%20b.mp4"):
        with fetched(uri, SETTINGS) as path:
            assert path == file
    assert file.exists()


@pytest.mark.parametrize(
    ("name", "error_class", "transient", "reason"),
    [
        ("404.mp4", "fetch_not_found", False, "answered 404"),
        ("410.mp4", "fetch_not_found", False, "answered 410"),
        ("403.mp4", "fetch_refused", False, "answered 403"),
        ("401.mp4", "fetch_refused", False, "answered 401"),
        ("400.mp4", "fetch_failed", False, "answered 400"),
        ("500.mp4", "fetch_failed", True, "answered 500"),
        ("503.mp4", "fetch_failed", True, "answered 503"),
        ("429.mp4", "fetch_failed", True, "answered 429"),
        ("short.mp4", "fetch_failed", True, "ends before its end"),
        ("silent.mp4", "fetch_failed", True, "no data for fetch.stall_s = 0.6 s"),
        ("stalled.mp4", "fetch_failed", True, "no data for fetch.stall_s = 0.6 s"),
        ("slow.mp4", "fetch_failed", True, "not here after fetch.timeout_s = 1.5 s"),
        ("huge.mp4", "fetch_too_large", False, "fetch.quota_bytes = 1048576"),
        ("endless.mp4", "fetch_too_large", False, "fetch.quota_bytes = 1048576"),
        ("circle.mp4", "fetch_failed", False, "in a circle"),
    ],
)
def test_what_goes_wrong_has_a_class(
    web: WebServer, scratch: Path, name: str, error_class: str, transient: bool, reason: str
) -> None:
    started_s = time.monotonic()
    error = error_of(web.url(name))
    assert time.monotonic() - started_s < 2.5
    assert (error.error_class, error.transient) == (error_class, transient)
    assert reason in error.reason
    assert list(scratch.iterdir()) == []


def test_no_connection_and_no_such_host() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        error = error_of(f"http://127.0.0.1:{unused.getsockname()[1]}/a.mp4")
    assert (error.error_class, error.transient) == ("fetch_failed", True)
    assert error_of("http://no-such-host.invalid/a.mp4").transient
    for nonsense in ("http://", "http:///a.mp4", "http://[::1/a.mp4", "http://a b/c.mp4", "http://x:99999/a.mp4"):
        assert error_of(nonsense).error_class in ("fetch_failed", "scheme")


@pytest.mark.parametrize("uri", ["ftp://me:pw@host/a.mp4", "gs://bucket/a.mp4", "concat://a|b"])
def test_other_schemes_are_named_without_credentials(uri: str) -> None:
    error = error_of(uri)
    assert error.error_class == "scheme"
    assert "pw" not in str(error)
    assert "s3:// or http(s)://" in error.reason


def test_errors_do_not_show_credentials(web: WebServer) -> None:
    error = error_of(f"http://me:pw@{web.address}/404.mp4?token=abc&id=7")
    assert error.path == web.url("404.mp4?id=7")


@pytest.mark.parametrize("host", ["2130706433", "127.1", "0177.0.0.1"])
def test_other_spellings_of_an_address_lead_nowhere(web: WebServer, host: str) -> None:
    asked = len(web.asked)
    for settings in (GUARDED, SETTINGS):
        error = error_of(f"http://{host}:{web.address.partition(':')[2]}/a.mp4", settings)
        assert (error.error_class, error.transient) == ("fetch_failed", False)
    assert len(web.asked) == asked


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f000001", "0.0.0.0", "[::ffff:127.0.0.1]"])
def test_loopback_is_refused_under_all_its_names(web: WebServer, host: str) -> None:
    asked = len(web.asked)
    uri = f"http://{host}:{web.address.partition(':')[2]}/a.mp4"
    error = error_of(uri, GUARDED)
    assert (error.error_class, error.transient) == ("fetch_refused", False)
    assert "fetch.allow_private" in error.reason
    assert identify_remote(uri, GUARDED).bytes is None
    assert len(web.asked) == asked
    with fetched(uri, SETTINGS) as path:  # the name does lead there
        assert path.read_bytes() == BODY


def test_a_redirect_to_a_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avlib.fetching.addresses.is_public", lambda host: host == "127.0.0.2")
    with serve() as private, serve("127.0.0.2", redirect_to=private.url("a.mp4")) as public:
        with fetched(public.url("a.mp4"), GUARDED) as path:
            assert path.read_bytes() == BODY
        assert error_of(public.url("redirect"), GUARDED).error_class == "fetch_refused"
        assert identify_remote(public.url("redirect"), GUARDED).bytes is None
        assert private.asked == []
        assert [line for line in public.asked if "redirect" in line] == ["GET /redirect", "HEAD /redirect"]
        with fetched(public.url("redirect"), SETTINGS) as path:
            assert path.read_bytes() == BODY


def test_a_redirect_to_another_scheme_is_refused() -> None:
    with serve(redirect_to="file:///etc/hostname") as web:
        assert error_of(web.url("redirect")).error_class == "fetch_failed"


@pytest.mark.parametrize(
    ("host", "public"),
    [
        ("93.184.216.34", True),
        ("2606:4700::1111", True),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::5db8:d822", True),
        ("10.0.0.1", False),
        ("172.31.255.255", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("127.8.8.8", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("::127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("fe80::1%eth0", False),
        ("fd00:ec2::254", False),
        ("ff02::1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("2002:a9fe:a9fe::", False),
        ("192.0.0.192", False),
        ("168.63.129.16", False),
        ("168.63.129.17", True),
        ("fec0::1", False),
        ("3fff::1", False),
    ],
)
def test_public_addresses(host: str, public: bool) -> None:
    assert is_public(host) == public


def test_the_address_that_is_connected_to_is_the_one_checked() -> None:
    with pytest.raises(PermissionError):
        public_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 80)))
    public_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 80))).close()


def test_identity_from_the_server(web: WebServer) -> None:
    file = identify_remote(f"HTTP://me:pw@{web.address}/a.mp4", SETTINGS)
    assert (file.uri, file.bytes) == (web.url("a.mp4"), len(BODY))
    assert file.modified == datetime(2026, 11, 21, 7, tzinfo=UTC)
    for name in ("404.mp4", "500.mp4", "silent.mp4", "chunked.mp4", "odd.mp4", "gibberish.mp4"):
        unknown = identify_remote(web.url(name), SETTINGS)
        assert (unknown.uri, unknown.bytes, unknown.modified) == (web.url(name), None, None)


def test_what_is_no_answer_of_a_web_server_is_told_in_a_line(web: WebServer) -> None:
    said = r"what came is no answer of a web server \([^\n]+\): check the URI$"
    with pytest.raises(MediaError, match=said), fetched(web.url("gibberish.mp4"), SETTINGS):
        pass


def test_many_servers_are_asked_at_once(web: WebServer) -> None:
    uris = [web.url(f"silent.mp4?{i}") for i in range(20)]
    started_s = time.monotonic()
    found = find_remote(uris, extensions=["mp4"], settings=SETTINGS)
    assert time.monotonic() - started_s < 5 * SETTINGS.stall_s
    assert [file.uri for file in found] == uris


def test_what_a_killed_process_leaves_is_removed_by_the_next(scratch: Path, web: WebServer) -> None:
    script = (
        "import os, sys, tempfile\n"
        "from avlib.fetching.folders import own_folder\n"
        "with own_folder('u') as folder:\n"
        "    (folder / 'video.mp4').write_bytes(b'1')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    environment = os.environ | {"TMPDIR": str(scratch)}
    subprocess.run([sys.executable, "-c", script], env=environment, check=False)
    (left,) = scratch.iterdir()
    alive = scratch / left.name.replace(left.name.split(".")[-1].partition("-")[0], str(os.getppid()))
    alive.mkdir()
    script = script.replace("os.kill(os.getpid(), 9)", "pass")
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)
    assert list(scratch.iterdir()) == [alive]


def test_a_full_disk_is_transient(web: WebServer, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(scratch / "gone"))
    error = error_of(web.url("a.mp4"))
    assert (error.error_class, error.transient) == ("fetch_failed", True)
    assert "cannot be written" in error.reason
