"""Answers to many queries, as files. One that cannot be read costs its own answer only."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from avlib.arrays import UInt8Array
from avlib.config import SuggestSettings
from avlib.errors import AvlibError, InputError, MediaError
from avlib.media import IsolatedVideo
from avlib.retrieval.films import film
from avlib.retrieval.sounds import cut
from avlib.retrieval.suggest import Found, Suggester, Suggestion, Wish
from avlib.sources import Sources

PICTURE_PX = 448
"""Side of a suggested picture."""

_NAMES = ("rank", "uri", "time_s", "distance", "sample_id", "component_id", "start_s", "duration_s", "file")


@dataclass(frozen=True)
class Answer:
    """What a query got.  confidence, note: see avlib.retrieval.suggest.Found.  error: one line, where it failed."""

    query: str
    suggestions: tuple[Suggestion, ...] = ()
    error: str | None = None
    confidence: float | None = None
    note: str | None = None

    def as_json(self) -> dict[str, object]:
        """query, confidence, suggestions (rank, uri, time_s …), and note, error, film, unavailable where needed."""
        answer: dict[str, object] = {"query": self.query, "confidence": self.confidence}
        answer["suggestions"] = [_plain(one) for one in self.suggestions]
        return answer | {key: value for key in ("note", "error") if (value := getattr(self, key))}


def _plain(suggestion: Suggestion) -> dict[str, object]:
    values: dict[str, object] = {name: getattr(suggestion, name) for name in _NAMES}
    return values | {key: value for key in ("film", "unavailable") if (value := getattr(suggestion, key))}


@dataclass(frozen=True)
class Workshop:
    """What makes files of suggestions.

    sound_extensions: of queries that are sounds (or videos, for their sound); every other query is a picture.
    films: whether an MP4 of the picture with each sound is made too.
    """

    sources: Sources
    settings: SuggestSettings
    out: Path
    sound_extensions: Collection[str] = ()
    films: bool = False

    def answer_all(self, suggester: Suggester, queries: Sequence[Path], wish: Wish) -> list[Answer]:
        """Suggest for every query; files in `out` are QUERY-RANK.wav, .mp4 or .jpg, both counted from 1."""
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise InputError(f"{self.out} is a file; give --out a folder") from None
        answers = []
        for number, query in enumerate(queries, start=1):
            try:
                answers.append(self._answer(suggester, query, wish, f"{number:03}"))
            except InputError as error:
                answers.append(Answer(str(query), error=str(error)))
        return answers

    def _answer(self, suggester: Suggester, query: Path, wish: Wish, prefix: str) -> Answer:
        if query.suffix.lower().lstrip(".") in self.sound_extensions:
            if not query.is_file():
                raise InputError(f"{query}: there is no such file")
            with self.sources.open(str(query)) as video:
                found = suggester.suggest_pictures(video, wish, self.sources, name=str(query))
            made = [self._picture(one, prefix) for one in found.suggestions]
        else:
            picture = self.sources.picture(query, max_pixels=self.settings.max_pixels)
            found = suggester.suggest(picture, wish, self.sources)
            shown = picture if self.films else None
            events = [neighbor.event for neighbor in found.neighbors]
            pairs = zip(found.suggestions, events, strict=True)
            made = [self._sound(one, wish, shown, prefix, event=event) for one, event in pairs]
        return _answer_of(query, found, made)

    def _sound(
        self, one: Suggestion, wish: Wish, shown: UInt8Array | None, prefix: str, *, event: tuple[float, float] | None
    ) -> Suggestion:
        """With its sound as a WAV file. A source that is gone or has no sound there leaves it without, and says why."""
        try:
            with self.sources.open(one.uri) as video:
                length_s, settings = wish.duration_s, self.settings
                sound = cut(video, one.time_s, duration_s=length_s, settings=settings, start_s=None, event=event)
        except AvlibError as error:
            return replace(one, unavailable=str(error))
        file = self.out / f"{prefix}-{one.rank:02}.wav"
        file.write_bytes(sound.wav())
        one = replace(one, file=str(file), start_s=round(sound.start_s, 3), duration_s=sound.duration_s)
        if shown is None:
            return one
        file.with_suffix(".mp4").write_bytes(film(shown, sound))
        return replace(one, film=str(file.with_suffix(".mp4")))

    def _picture(self, one: Suggestion, prefix: str) -> Suggestion:
        """With the picture on display then as a JPEG file."""
        try:
            with self.sources.open(one.uri) as video:
                picture = picture_at(video, one.time_s, size_px=PICTURE_PX)
        except AvlibError as error:
            return replace(one, unavailable=str(error))
        file = self.out / f"{prefix}-{one.rank:02}.jpg"
        Image.fromarray(picture).save(file, quality=90)
        return replace(one, file=str(file))


def picture_at(video: IsolatedVideo, time_s: float, *, size_px: int) -> UInt8Array:
    """The picture on display at a time, cropped as the descriptor sees it. Shape (size_px, size_px, 3), RGB.

    Raises MediaError where there is none.
    """
    for _, pictures in video.pictures(video.probe(), times_s=np.array([time_s]), size_px=size_px):
        first: UInt8Array = pictures[0]
        return first
    raise MediaError(video.path, f"no picture in it is on display at {time_s:.2f} s", error_class="undecodable")


def _answer_of(query: Path, found: Found, made: Sequence[Suggestion]) -> Answer:
    return Answer(str(query), tuple(made), confidence=found.confidence, note=found.note)


def as_text(answers: Sequence[Answer]) -> str:
    """The answers for a reader."""
    lines = []
    for answer in answers:
        lines.append(answer.error or answer.query)
        if answer.confidence is not None:
            lines.append(f"  confidence {answer.confidence:.3f}" + (f": {answer.note}" if answer.note else ""))
        for suggestion in answer.suggestions:
            files = suggestion.film or suggestion.file or f"nothing: {suggestion.unavailable}"
            length = f", {suggestion.duration_s:.2f} s" if suggestion.duration_s else ""
            place = f"{suggestion.uri} at {suggestion.time_s:.2f} s"
            lines.append(f"  {suggestion.rank}. {place}, distance {suggestion.distance:.3f}{length} → {files}")
    return "\n".join(lines)


def as_json(answers: Sequence[Answer]) -> str:
    """The answers as a JSON list, one object per query."""
    return json.dumps([answer.as_json() for answer in answers], indent=1, ensure_ascii=False)
