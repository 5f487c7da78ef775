"""What the page's requests come down to, in threads of its own: queries, cuts, pictures, films. No HTTP."""

from __future__ import annotations

import io
import os
import tempfile
import threading
import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from PIL import Image

from avlib.arrays import UInt8Array
from avlib.config import Settings
from avlib.errors import AvlibError, InputError, MediaError
from avlib.inputs import video_name
from avlib.media import IsolatedVideo
from avlib.retrieval.answers import picture_at
from avlib.retrieval.films import film
from avlib.retrieval.search import Neighbor
from avlib.retrieval.sounds import Sound, cut
from avlib.retrieval.suggest import Found, NotReadyError, Suggester, Wish
from avlib.sources import Sources
from avlib.warehouse import Warehouse
from avlib.web.cache import Cache

FRAME_PX = 288
OUTLINE_POINTS = 160

_CHECK_EVERY_S = 1.0
_EARLIER_S = 0.1  # a stretch that was handed out begins where it began, but for rounding
_GONE = "the source video cannot be read any more"

Values: TypeAlias = dict[str, object]


class GoneError(AvlibError):
    """What is asked for is not there, or not any more."""


@dataclass(frozen=True)
class VideoStretch:
    """A part of a sample's video.  start_s: None: around the sample.  duration_s: None: of the event there."""

    sample_id: int
    start_s: float | None
    duration_s: float | None


class Engine:
    """Answers queries about one warehouse. Its methods may be called from any number of threads.

    Each thread that calls gets a decoding process, so there should be few, and they must outlive it. Raises
    WarehouseError where there is no collection at all; one that is not ready is looked at again with every query.
    """

    def __init__(self, warehouse: Warehouse, settings: Settings) -> None:
        most = min(settings.suggest.max_pixels, settings.serve.max_pixels)
        self.settings, self.suggest = settings, settings.suggest.model_copy(update={"max_pixels": most})
        self._warehouse = warehouse
        self._cache: Cache[tuple[Hashable, ...]] = Cache(settings.serve.cache_bytes)
        self._local = threading.local()
        self._opened: list[Sources] = []
        self._opened_lock, self._ready_lock = threading.Lock(), threading.Lock()
        self._suggester: Suggester | None = None
        self._checked_s = 0.0
        with suppress(NotReadyError):  # visitors are told
            self._ready()

    def close(self) -> None:
        """End all decoding processes."""
        for sources in self._opened:
            sources.__exit__()

    def about(self) -> Values:
        """What the collection is."""
        manifest = self._ready().manifest
        names = {"filter": self._warehouse.name, "model": manifest.model.name, "sound_descriptor": manifest.audio}
        return {"samples": manifest.samples, **names, "sounds": manifest.sound is not None}

    def sounds_for(self, picture: bytes, wish: Wish) -> Values:
        """Suggested sounds for a picture's bytes."""
        suggester = self._ready()
        return self._answer(suggester, suggester.suggest(self._pixels(picture), wish, self._sources), wish)

    def pictures_for(self, sound: bytes, wish: Wish) -> Values:
        """Suggested pictures for a sound's (or a video's) bytes."""
        with _as_file(sound) as path, self._sources.open(str(path)) as video:
            suggester = self._ready()
            found = suggester.suggest_pictures(video, wish, self._sources, name="this")
        return self._answer(suggester, found, wish)

    def wav(self, stretch: VideoStretch) -> bytes:
        """A stretch of a sample's sound. Raises GoneError where there is none."""
        suggester = self._ready()
        key = _key(suggester, "wav", stretch)
        content = self._cache.get(key)
        if content is None:
            content = self._cut(_sample(suggester, stretch.sample_id), stretch).wav()
            self._cache.put(key, content)
        return content

    def frame(self, sample_id: int) -> bytes:
        """The picture of a sample, JPEG. Raises GoneError where there is none."""
        suggester = self._ready()
        key = _key(suggester, "frame", sample_id)
        content = self._cache.get(key)
        if content is None:
            sample = _sample(suggester, sample_id)
            with self._video(sample) as video:
                picture = picture_at(video, sample.time_s, size_px=FRAME_PX)
            file = io.BytesIO()
            Image.fromarray(picture).save(file, "JPEG", quality=85)
            content = file.getvalue()
            self._cache.put(key, content)
        return content

    def film(self, picture: bytes, stretch: VideoStretch) -> bytes:
        """An MP4 of a picture with a stretch of a sample's sound."""
        sample = _sample(self._ready(), stretch.sample_id)
        return film(self._pixels(picture), self._cut(sample, stretch))

    def _pixels(self, picture: bytes) -> UInt8Array:
        with _as_file(picture) as path:
            return self._sources.picture(path, max_pixels=self.suggest.max_pixels, name="this")

    def _answer(self, suggester: Suggester, found: Found, wish: Wish) -> Values:
        made = [self._with_sound(suggester, one, wish) for one in found.neighbors]
        ranked = [{"rank": rank} | values for rank, values in enumerate(made, start=1)]
        sure = None if found.confidence is None else round(found.confidence, 4)
        return {"confidence": sure, "note": found.note, "suggestions": ranked}

    def _with_sound(self, suggester: Suggester, one: Neighbor, wish: Wish) -> Values:
        """A suggestion and where its files are; a source that is gone leaves it without, and says why."""
        values: Values = {
            "sample_id": str(one.sample_id),  # a string: JavaScript has no such integers
            "video": video_name(one.uri),
            "time_s": round(one.time_s, 3),
            "distance": round(one.distance, 4),
            "component_id": str(one.component_id),
            "frame": f"/api/frames/{one.sample_id}.jpg",
        }
        try:
            sound = self._cut(one, VideoStretch(one.sample_id, None, wish.duration_s))
        except GoneError as error:
            return values | {"unavailable": str(error)}
        stretch = VideoStretch(one.sample_id, round(sound.start_s, 3), max(round(sound.duration_s, 3), 0.001))
        self._cache.put(_key(suggester, "wav", stretch), sound.wav())
        query = f"start={stretch.start_s}&duration={stretch.duration_s}"
        return values | {
            "start_s": stretch.start_s,
            "duration_s": stretch.duration_s,
            "sound": f"/api/sounds/{one.sample_id}.wav?{query}",
            "outline": sound.outline(OUTLINE_POINTS),
        }

    def _cut(self, sample: Neighbor, stretch: VideoStretch) -> Sound:
        start_s, length_s, event = stretch.start_s, stretch.duration_s, sample.event
        with self._video(sample) as video:
            sound = cut(video, sample.time_s, duration_s=length_s, settings=self.suggest, start_s=start_s, event=event)
        if start_s is not None and sound.start_s < start_s - _EARLIER_S:
            raise GoneError("the video ends before that")
        return sound

    @contextmanager
    def _video(self, sample: Neighbor) -> Iterator[IsolatedVideo]:
        """The sample's video, whose errors say nothing of where it lies."""
        try:
            with self._sources.open(sample.uri) as video:
                yield video
        except MediaError as error:
            raise GoneError(f"{_GONE} ({error.error_class})") from error

    @property
    def _sources(self) -> Sources:
        """Of the thread that calls."""
        if not hasattr(self._local, "sources"):
            self._local.sources = Sources(self.settings.fetch, self.settings.decode)
            with self._opened_lock:
                self._opened.append(self._local.sources)
        sources: Sources = self._local.sources
        return sources

    def _ready(self) -> Suggester:
        """The suggester of the index as it is now. Raises NotReadyError where it does not fit the collection."""
        with self._ready_lock:
            if self._suggester is not None and time.monotonic() - self._checked_s > _CHECK_EVERY_S:
                try:
                    self._suggester.check()
                except NotReadyError:
                    self._suggester = None  # perhaps there is a new index by now
                self._checked_s = time.monotonic()
            if self._suggester is None:
                self._suggester = Suggester(self._warehouse, self.suggest)
                self._suggester.open_all()  # an index that replaces it takes its files away
                self._checked_s = time.monotonic()
            return self._suggester


def _key(suggester: Suggester, kind: str, of: Hashable) -> tuple[Hashable, ...]:
    """Of a file in the cache: what another collection had is not handed out any more."""
    return suggester.manifest.collection_id, suggester.manifest.collection_version, kind, of


def _sample(suggester: Suggester, sample_id: int) -> Neighbor:
    found = suggester.sample(sample_id)
    if found is None:
        raise GoneError("the collection has no such sample")
    return found


@contextmanager
def _as_file(content: bytes) -> Iterator[Path]:
    """The bytes as a file that another process of this user can read: in memory where the system has such files."""
    if not content:
        raise InputError("this is empty; give a picture or a sound")
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create("upload")
        with open(handle, "wb") as file:  # noqa: PTH123 - a handle, no path
            file.write(content)
            file.flush()
            yield Path(f"/proc/{os.getpid()}/fd/{handle}")
        return
    with tempfile.NamedTemporaryFile(prefix="avlib-") as file:
        file.write(content)
        file.flush()
        yield Path(file.name)
