"""Who is answered: requests to the page's own address that come from no other site's page."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def guard(host: str, names: Sequence[str]) -> Middleware:
    """Refuse what another site's page makes a visitor's browser send, and add headers that keep the page to itself.

    host: that the server is bound to.  names: of the server besides. A site can let its own name point to this
    server's address (DNS rebinding), but not to a name that is known here.
    """
    known = {name.lower() for name in (host, socket.gethostname(), *names)}

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if _is_own(request, known, loopback_only=is_loopback(host)):
            response = await handler(request)
        else:
            response = sentence(403, "this page answers only to its own address (serve.names can name another)")
        response.headers.update(_HEADERS)
        return response

    return guarded


def sentence(status: int, error: str) -> web.Response:
    """An error as {"error": SENTENCE}."""
    return web.json_response({"error": error}, status=status)


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own."""
    return host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)


def _is_own(request: web.Request, known: set[str], *, loopback_only: bool) -> bool:
    """Whether a request names this server, and comes from no other site's page."""
    try:
        named = (urlsplit(f"//{request.host}").hostname or "").removesuffix(".")
        origin = request.headers.get("Origin")
        foreign = bool(origin) and urlsplit(origin).netloc != request.host
    except ValueError:  # no address at all
        return False
    return not foreign and (is_loopback(named) or named in known or (_is_address(named) and not loopback_only))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
