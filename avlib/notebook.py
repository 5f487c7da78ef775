"""Sounds for pictures in a notebook:

from avlib.notebook import open_warehouse
suggestions = open_warehouse("/data/warehouse").suggest("picture.jpg")
suggestions[0].play()
"""

from __future__ import annotations

import base64
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from avlib.config import Settings, SuggestSettings, load_settings
from avlib.errors import InputError
from avlib.media import Region, open_picture
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


class Player(str):
    """A sound that notebooks show as a player; elsewhere it is its HTML."""

    def _repr_html_(self) -> str:
        return str(self)


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
        data = base64.b64encode(self.sound().wav()).decode()
        return Player(f'<audio controls src="data:audio/wav;base64,{data}"></audio>')

    def picture(self) -> object:
        """Its picture, a PIL image. Raises MediaError where the video is gone."""
        return self.collection.picture(self.sample)

    def save(self, to: str | Path) -> Path:
        """Write its sound to a .wav file, or with the query picture to an .mp4. Raises InputError for another name."""
        path = Path(to)
        if path.suffix == ".wav":
            path.write_bytes(self.sound().wav())
        elif path.suffix == ".mp4":
            most = self.collection.settings.suggest.max_pixels
            path.write_bytes(film(open_picture(self.query, max_pixels=most), self.sound()))
        else:
            raise InputError(f"{path}: give a name that ends in .wav or .mp4")
        return path

    def __repr__(self) -> str:
        return f"{self.sample.uri} at {self.sample.time_s:.2f} s, distance {self.sample.distance:.3f}"


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
        region: Region | None = None,
    ) -> list[Moment]:
        """Moments whose sound goes with a picture; or, for a sound or a video, whose picture goes with it; best first.

        What is not given is as the settings say. Raises InputError for a query that cannot be read and for a value out
        of range.
        """
        chosen = {"top": top, "duration_s": duration_s}
        given = {name: value for name, value in chosen.items() if value is not None}
        try:
            settings = SuggestSettings.model_validate(self.settings.suggest.model_dump() | given)
        except ValidationError as error:
            wrong = error.errors()[0]
            raise InputError(f"suggest: {wrong['loc'][0]} = {wrong['input']!r}: {wrong['msg'].lower()}") from None
        wish, path = Wish.of(settings, diverse=diverse, region=region), Path(query)
        if path.suffix.lower().lstrip(".") in self.settings.ingest.extensions:
            with self._sources.open(str(path)) as video:
                found = self._suggester.suggest_pictures(video, wish, name=str(path))
        else:
            found = self._suggester.suggest(path, wish)
        return [Moment(self, one, wish, path, found.confidence) for one in found.neighbors]

    def cut(self, sample: Neighbor, wish: Wish) -> Sound:
        """The sound of a sample. Raises MediaError where its video is gone."""
        with self._sources.open(sample.uri) as video:
            return cut(video, sample.time_s, duration_s=wish.duration_s, settings=self.settings.suggest, start_s=None)

    def picture(self, sample: Neighbor) -> object:
        """The picture of a sample, a PIL image. Raises MediaError where its video is gone."""
        from PIL import Image

        with self._sources.open(sample.uri) as video:
            return Image.fromarray(picture_at(video, sample.time_s, size_px=PICTURE_PX))
