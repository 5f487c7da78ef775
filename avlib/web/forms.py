"""What visitors send, read within limits and checked before anything is done with it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from avlib.config import Settings
from avlib.errors import InputError, ParameterError
from avlib.media import Region
from avlib.retrieval.suggest import Wish
from avlib.web.engine import VideoStretch

_TEXT_BYTES = 200
LEAST_S = 0.05  # of a sound that is asked for; a video may have less
_USUAL_S = 2.0
_FILES = ("picture", "sound")
_FIELDS = ("top", "duration", "diverse", "region", "sample_id", "start")


class TooLargeError(InputError):
    """More bytes than allowed."""


@dataclass(frozen=True)
class Form:
    """files: by name, `picture` or `sound`.  texts: the other fields."""

    files: Mapping[str, bytes]
    texts: Mapping[str, str]

    def file(self, name: str) -> bytes:
        """An upload. Raises InputError where it is missing or empty."""
        if not self.files.get(name):
            raise InputError(f"no {name} was sent; send it as the form's field `{name}`")
        return self.files[name]

    def wish(self, settings: Settings) -> Wish:
        """What is asked for. Raises ParameterError for a value that is out of range."""
        usual, text = usual_wish(settings), self.texts.get("duration", "")
        duration_s = usual.duration_s if not text else None
        if text not in ("", "auto"):
            duration_s = _number("duration", text, settings.suggest.longest_s, least=LEAST_S, or_else=", or auto")
        top = _number("top", self.texts.get("top", str(usual.top)), settings.serve.most, least=1)
        if top != int(top):
            raise ParameterError("top", top, "a whole number")
        region = Region.parse(self.texts["region"]) if self.texts.get("region") else None
        return Wish(int(top), duration_s, self.texts.get("diverse", "") in ("1", "true", "on"), region)


def usual_wish(settings: Settings) -> Wish:
    """What a visitor gets who says nothing: as the settings of suggestions say, within the page's limits."""
    wish, longest_s = Wish.of(settings.suggest), settings.suggest.longest_s
    duration_s = None if wish.duration_s is None else min(max(wish.duration_s, LEAST_S), longest_s)
    return replace(wish, top=min(wish.top, settings.serve.most), duration_s=duration_s)


async def read_form(request: web.Request, *, limit_bytes: int) -> Form:
    """A multipart form. Raises InputError for anything else, TooLargeError where the files hold more than allowed."""
    if not request.content_type.startswith("multipart/form-data"):
        raise InputError("send a form (multipart/form-data) with the fields of the API")
    files: dict[str, bytes] = {}
    texts: dict[str, str] = {}
    left = limit_bytes
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            if not isinstance(part, BodyPartReader) or part.name not in (*_FILES, *_FIELDS):
                raise InputError("the form has a field that the API does not know")
            is_file = part.name in _FILES
            content = await _read(part, left if is_file else _TEXT_BYTES)
            if is_file:
                files[part.name], left = content, left - len(content)
            else:
                texts[part.name] = content.decode("utf-8").strip()
    except (ValueError, AssertionError, HttpProcessingError, web.RequestPayloadError):  # aiohttp's for one that is none
        raise InputError("the form cannot be read; send multipart/form-data") from None
    return Form(files, texts)


def read_stretch(values: Mapping[str, str], sample_id: str, settings: Settings) -> VideoStretch:
    """Which stretch of which sample is asked for. Raises ParameterError for anything out of range."""
    if not (sample_id.isascii() and sample_id.isdigit() and len(sample_id) <= 19 and int(sample_id) < 1 << 63):
        raise InputError("sample_id: expected the id of a sample, as a suggestion names it")
    longest_s = settings.suggest.longest_s
    duration_s = _number("duration", values.get("duration", str(min(_USUAL_S, longest_s))), longest_s, least=0.001)
    start_s = _number("start", values["start"], settings.decode.max_duration_s, least=0) if "start" in values else None
    return VideoStretch(int(sample_id), start_s, duration_s)


async def _read(part: BodyPartReader, limit_bytes: int) -> bytes:
    content = bytearray()
    while chunk := await part.read_chunk(1 << 16):
        content += chunk
        if len(content) > limit_bytes:
            raise TooLargeError(f"that is too large; send at most {max(limit_bytes >> 20, 1)} MB")
    return bytes(content)


def _number(name: str, text: str, most: float, *, least: float, or_else: str = "") -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most * 1.000001:
        raise ParameterError(name, text, f"a number from {least:g} to {most:g}{or_else}")
    return value
