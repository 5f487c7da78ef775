"""The HTTP side: routes, limits, errors as plain sentences."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import resources
from typing import ParamSpec, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler

from avlib.errors import AvlibError, InputError, ParameterError, WarehouseError
from avlib.retrieval.suggest import NotReadyError
from avlib.web.engine import Engine, GoneError
from avlib.web.forms import LEAST_S, TooLargeError, read_stretch, usual_wish
from avlib.web.guard import guard, sentence
from avlib.web.uploads import BusyError, SlowError, Uploads

_P = ParamSpec("_P")
_T = TypeVar("_T")

_LOG = logging.getLogger("avlib.web")

_PAGE = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}

_STATUS: tuple[tuple[type[AvlibError], int], ...] = (
    (TooLargeError, 413),
    (SlowError, 408),
    (InputError, 400),
    (ParameterError, 400),
    (GoneError, 404),
    (NotReadyError, 409),
)


class Workers:
    """Threads that do the work, and a queue of limited length before them."""

    def __init__(self, threads: int, *, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="avlib-web")
        self._free = asyncio.Semaphore(threads)
        self._most, self._there = threads + waiting, 0

    async def run(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """The result of some work. Raises BusyError where too many wait already.

        Who goes away while waiting leaves the queue, and nothing of the request is kept; work that has begun is done.
        """
        if self._there >= self._most:
            raise BusyError
        self._there += 1
        try:
            await self._free.acquire()
        except asyncio.CancelledError:
            self._there -= 1
            raise
        loop = asyncio.get_running_loop()
        done = self._pool.submit(partial(work, *args, **kwargs))
        done.add_done_callback(lambda _: loop.call_soon_threadsafe(self._leave))
        return await asyncio.wrap_future(done)

    def close(self) -> None:
        """Wait for what is being done, drop what waits."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _leave(self) -> None:
        self._there -= 1
        self._free.release()


def make_app(engine: Engine, *, host: str) -> web.Application:
    """The application, to be run with handler_cancellation.  host: that it is bound to (see avlib.web.guard)."""
    settings = engine.settings
    workers = Workers(settings.serve.workers, waiting=settings.serve.waiting)
    uploads = Uploads(settings.serve.upload_bytes)

    async def about(request: web.Request) -> web.StreamResponse:
        limits = {"most": settings.serve.most, "least_s": LEAST_S, "longest_s": settings.suggest.longest_s}
        usual = usual_wish(settings)
        defaults = {"top": usual.top, "duration": "auto" if usual.duration_s is None else usual.duration_s}
        return web.json_response(await workers.run(engine.about) | {"limits": limits, "defaults": defaults})

    async def sounds(request: web.Request) -> web.StreamResponse:
        async with uploads.form(request) as form:
            picture, wish = form.file("picture"), form.wish(settings)
            return web.json_response(await workers.run(engine.sounds_for, picture, wish))

    async def pictures(request: web.Request) -> web.StreamResponse:
        async with uploads.form(request) as form:
            sound, wish = form.file("sound"), form.wish(settings)
            return web.json_response(await workers.run(engine.pictures_for, sound, wish))

    async def wav(request: web.Request) -> web.StreamResponse:
        stretch = read_stretch(request.query, request.match_info["sample_id"], settings)
        return _content(request, await workers.run(engine.wav, stretch), "audio/wav", "wav")

    async def frame(request: web.Request) -> web.StreamResponse:
        stretch = read_stretch({}, request.match_info["sample_id"], settings)
        return _content(request, await workers.run(engine.frame, stretch.sample_id), "image/jpeg", "jpg")

    async def film(request: web.Request) -> web.StreamResponse:
        async with uploads.form(request) as form:
            stretch = read_stretch(form.texts, form.texts.get("sample_id", ""), settings)
            made = await workers.run(engine.film, form.file("picture"), stretch)
        return web.Response(body=made, content_type="video/mp4")

    async def end(app: web.Application) -> None:
        await asyncio.to_thread(workers.close)
        engine.close()

    app = web.Application(
        middlewares=[guard(host, settings.serve.names), _plain_errors], client_max_size=settings.serve.upload_bytes
    )
    for path, (file, kind) in _PAGE.items():
        app.router.add_get(path, _static(file, kind))
    app.router.add_get("/api/collection", about)
    app.router.add_post("/api/sounds", sounds)
    app.router.add_post("/api/pictures", pictures)
    app.router.add_post("/api/films", film)
    app.router.add_get("/api/sounds/{sample_id}.wav", wav)
    app.router.add_get("/api/frames/{sample_id}.jpg", frame)
    app.on_cleanup.append(end)
    return app


def serve(engine: Engine, *, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve until interrupted.  say: is told once it listens. Raises OSError where the port cannot be had."""
    app = make_app(engine, host=host)

    address = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    web.run_app(app, host=host, port=port, print=lambda _: say(address), access_log=None, handler_cancellation=True)


def _static(file: str, kind: str) -> Handler:
    content = resources.files("avlib.web").joinpath(file).read_bytes()

    async def page(request: web.Request) -> web.StreamResponse:
        return web.Response(body=content, content_type=kind, charset="utf-8", headers={"Cache-Control": "no-cache"})

    return page


def _content(request: web.Request, content: bytes, kind: str, extension: str) -> web.StreamResponse:
    """A whole file, or the range of it that is asked for: browsers seek in sounds so."""
    name = f"avlib-{request.match_info['sample_id']}.{extension}"
    headers = {"Accept-Ranges": "bytes", "Content-Disposition": f'inline; filename="{name}"'}
    try:
        asked = request.http_range
    except ValueError:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(content)}"})
    if asked.start is None and asked.stop is None:
        return web.Response(body=content, content_type=kind, headers=headers)
    first, end, _ = asked.indices(len(content))
    if first >= end:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(content)}"})
    headers["Content-Range"] = f"bytes {first}-{end - 1}/{len(content)}"
    return web.Response(status=206, body=content[first:end], content_type=kind, headers=headers)


@web.middleware
async def _plain_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors as {"error": SENTENCE}; nothing of where or how they came about."""
    try:
        return await handler(request)
    except web.HTTPRequestEntityTooLarge:
        return sentence(413, "that is too large")
    except web.HTTPException as error:
        return sentence(error.status, f"there is nothing of the kind here ({error.reason.lower()})")
    except BusyError:
        return sentence(503, "too many others are asking; try again in a moment")
    except AvlibError as error:
        status = next((status for kind, status in _STATUS if isinstance(error, kind)), None)
        if status is not None:
            return sentence(status, error.sentence if isinstance(error, NotReadyError) else str(error))
        _LOG.exception("a request failed")
        at_fault = "the index cannot be read" if isinstance(error, WarehouseError) else "that could not be done"
        return sentence(409, f"{at_fault}; the log of this page's server says why")
    except Exception:
        _LOG.exception("a request failed")
        return sentence(500, "something went wrong; the log of this page's server says what")
