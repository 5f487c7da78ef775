"""A web server on loopback that behaves as its paths say."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY = bytes(range(256)) * 40
MODIFIED = "Sat, 21 Nov 2026 07:00:00 GMT"


@dataclass
class WebServer:
    """address: host:port.  asked: method and path of every request so far."""

    address: str
    asked: list[str] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://{self.address}/{path}"


@contextmanager
def serve(host: str = "127.0.0.1", *, redirect_to: str = "", body: bytes = BODY) -> Iterator[WebServer]:
    """body: of every file that it has."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(f"{self.command} {self.path}")
            name = re.split("[?./]", self.path.strip("/"))[0]
            if name.isdigit():
                self._answer(int(name), length=0)
            elif name == "redirect":
                self._answer(302, length=0, Location=redirect_to)
            elif name == "circle":
                self._answer(302, length=0, Location=self.path)
            elif name == "silent":
                time.sleep(3)
            elif name == "chunked":
                self._answer(200, **{"Transfer-Encoding": "chunked"})
                for start in range(0, len(body), 1000):
                    piece = body[start : start + 1000]
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.write(b"0\r\n\r\n")
            elif name == "endless":
                self._answer(200)
                while True:
                    self.wfile.write(body)
            elif name == "odd":
                self.send_response(200)
                self.send_header("Content-Length", str(10**19))
                self.send_header("Last-Modified", "Mon, 99 Jan 99999999999999999999 00:00:00 GMT")
                self.end_headers()
            elif name == "gibberish":
                self.wfile.write(b"\x01\x02 no answer\r\n\r\n")
            else:
                lie = {"short": 500, "long": -500, "huge": 1 << 40}.get(name, 0)
                self._answer(200, length=len(body) + lie, **{"Last-Modified": MODIFIED})
                if self.command == "GET":
                    self._send(name)

        def _send(self, name: str) -> None:
            pause_s = {"stalled": 3.0, "slow": 0.3}.get(name, 0)
            for start in range(0, len(body), 1024):
                self.wfile.write(body[start : start + 1024])
                self.wfile.flush()
                time.sleep(pause_s)

        do_HEAD = do_GET

        def _answer(self, status: int, *, length: int | None = None, **headers: str) -> None:
            self.send_response(status)
            if length is not None:
                self.send_header("Content-Length", str(length))
            for key, value in headers.items():
                self.send_header(key, value)
            self.end_headers()

        def handle(self) -> None:
            with suppress(OSError):  # the client had enough
                super().handle()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((host, 0), Handler)
    served = WebServer(f"{host}:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
