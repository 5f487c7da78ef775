"""Suggestions of a warehouse, to be looked at, played and saved."""

from __future__ import annotations

import base64
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from pydantic import ValidationError

from avlib.arrays import UInt8Array
from avlib.config import Settings, SuggestSettings, load_settings
from avlib.errors import AvlibError, InputError
from avlib.inputs import video_name
from avlib.media import Region
from avlib.notebook.sheet import Clip, ContactSheet
from avlib.notebook.stills import WAVEFORM_POINTS, waveform_png
from avlib.report import clips
from avlib.retrieval.answers import PICTURE_PX, picture_at
from avlib.retrieval.films import film
from avlib.retrieval.search import Neighbor
from avlib.retrieval.sounds import Sound, cut
from avlib.retrieval.suggest import Suggester, Wish
from avlib.sources import Sources
from avlib.warehouse import Warehouse


def open_warehouse(
    warehouse: str | Path, *, name: str = "default", config: Sequence[Path] = (), assign: Sequence[str] = ()
) -> Collection:
    """The collection of a filter run.  config, assign: as the command line's --config and --set.

    Raises WarehouseError where there is none, or its index is missing or does not fit.
    """
    return Collection(Warehouse(str(warehouse), name=name), load_settings(config, assign))


@dataclass(frozen=True, eq=False)
class Player:
    """A sound that notebooks show as a player, and as its waveform where one is only looked at."""

    sound: Sound

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.sound.wav()).decode()
        return f'<audio controls src="data:audio/wav;base64,{data}"></audio>'

    def _repr_png_(self) -> bytes:
        return waveform_png(self.sound.outline(WAVEFORM_POINTS))

    def __repr__(self) -> str:
        return f"{self.sound.duration_s:.1f} s of sound"


@dataclass(frozen=True, eq=False)
class Moment:
    """One suggestion: a moment of a video.

    sample: it, with uri, time_s and distance.  confidence: of the answer it is part of (see README, Suggest).
    """

    collection: Collection
    sample: Neighbor
    wish: Wish
    query: Path
    confidence: float | None

    def sound(self) -> Sound:
        """Its sound, cut as asked for: `waveform`, `sample_rate_hz`. Raises MediaError where the video is gone."""
        return self.collection.cut(self.sample, self.wish)

    def play(self) -> Player:
        """Its sound as a player, the last value of a notebook's cell. Raises MediaError where the video is gone."""
        return Player(self.sound())

    def picture(self) -> Image.Image:
        """Its picture. Raises MediaError where the video is gone."""
        return self.collection.picture(self.sample)

    def clip(self) -> Clip:
        """Small, for a contact sheet; without sound or picture where the video is gone."""
        try:
            cut = self.sound()
            sound: str | None = clips.playable(cut.waveform, sample_rate_hz=cut.sample_rate_hz)
        except AvlibError:
            sound = None
        picture = self.collection.thumbnail(self.sample)
        note = f"{self.sample.time_s:.1f} s, distance {self.sample.distance:.2f}"
        return Clip(video_name(self.sample.uri), note, picture, sound)

    def save(self, to: str | Path) -> Path:
        """Write its sound to a .wav file, or with the query picture to an .mp4. Raises InputError for another name."""
        path = Path(to)
        if path.suffix == ".wav":
            path.write_bytes(self.sound().wav())
        elif path.suffix == ".mp4":
            path.write_bytes(film(self.collection.read(self.query), self.sound()))
        else:
            raise InputError(f"{path}: give a name that ends in .wav or .mp4")
        return path

    def __repr__(self) -> str:
        return f"{video_name(self.sample.uri)} at {self.sample.time_s:.2f} s, distance {self.sample.distance:.3f}"


class Suggestions(list[Moment]):
    """The answer to a query, best first; as the value of a notebook's cell a contact sheet with players.

    note: a sentence where the collection hardly holds the like of the query (see README, Suggest).
    """

    def __init__(self, moments: Iterable[Moment], *, query: Path, note: str | None) -> None:
        super().__init__(moments)
        self.query, self.note = query, note

    def sheet(self) -> ContactSheet:
        """The query, marked, where it is a picture, and the suggestions."""
        own = Clip("the query", self.query.name, clips.still(self.query), None, marked=True)
        shown = [own] if own.picture else []
        return ContactSheet((*shown, *(moment.clip() for moment in self)), self.note or "")

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return self.sheet()._repr_mimebundle_()

    def __repr__(self) -> str:
        return "\n".join(map(repr, self))


class Collection:
    """An open collection. It keeps a decoding process, which goes with it, or with a `with` block."""

    def __init__(self, warehouse: Warehouse, settings: Settings) -> None:
        self.settings = settings
        self._suggester = Suggester(warehouse, settings.suggest)
        self._sources = Sources(settings.fetch, settings.decode)
        self._close = weakref.finalize(self, self._sources.__exit__)

    def __enter__(self) -> Collection:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def suggest(
        self,
        query: str | Path,
        *,
        top: int | None = None,
        duration_s: float | Literal["auto"] | None = None,
        diverse: bool = False,
        region: Region | tuple[float, float, float, float] | None = None,
    ) -> Suggestions:
        """Moments whose sound goes with a picture; or, for a sound or a video, whose picture goes with it; best first.

        region: the part of the picture that counts: left, top, width, height as shares of it. What is not given is as
        the settings say. Raises InputError for a query that cannot be read and for a value out of range, ParameterError
        for a region that is not in the picture, WarehouseError where the collection was filtered or indexed anew since.
        """
        chosen = {"top": top, "duration_s": duration_s}
        given = {name: value for name, value in chosen.items() if value is not None}
        try:
            settings = SuggestSettings.model_validate(self.settings.suggest.model_dump() | given)
        except ValidationError as error:
            wrong = error.errors()[0]
            raise InputError(f"suggest: {wrong['loc'][0]} = {wrong['input']!r}: {wrong['msg'].lower()}") from None
        part = Region(*region) if isinstance(region, tuple) else region
        wish, path = Wish.of(settings, diverse=diverse, region=part), Path(query)
        if not path.is_file():
            raise InputError(f"{path}: there is no such file")
        self._suggester.check()
        if path.suffix.lower().lstrip(".") in self.settings.ingest.extensions:
            with self._sources.open(str(path)) as video:
                found = self._suggester.suggest_pictures(video, wish, self._sources, name=str(path))
        else:
            found = self._suggester.suggest(self.read(path), wish, self._sources)
        moments = [Moment(self, one, wish, path, found.confidence) for one in found.neighbors]
        return Suggestions(moments, query=path, note=found.note)

    def read(self, query: Path) -> UInt8Array:
        """A query picture, shape (height, width, 3), RGB. Raises InputError where it is none."""
        return self._sources.picture(query, max_pixels=self.settings.suggest.max_pixels)

    def cut(self, sample: Neighbor, wish: Wish) -> Sound:
        """The sound of a sample. Raises MediaError where its video is gone."""
        length_s, settings, event = wish.duration_s, self.settings.suggest, sample.event
        with self._sources.open(sample.uri) as video:
            return cut(video, sample.time_s, duration_s=length_s, settings=settings, start_s=None, event=event)

    def picture(self, sample: Neighbor) -> Image.Image:
        """The picture of a sample. Raises MediaError where its video is gone."""
        with self._sources.open(sample.uri) as video:
            return Image.fromarray(picture_at(video, sample.time_s, size_px=PICTURE_PX))

    def thumbnail(self, sample: Neighbor) -> str | None:
        """The same, small, as a data URI; None where its video is gone."""
        return clips.thumbnails(self._sources, sample.uri, np.array([sample.time_s]))[0]
