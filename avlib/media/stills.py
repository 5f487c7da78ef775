"""Read a query picture: a still in one of the usual formats."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from avlib.arrays import UInt8Array
from avlib.errors import InputError, ParameterError
from avlib.media.normalising import normalise_picture

PICTURE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
MOST_SIDE_PX = 65_535
"""Longest side of a picture, as of JPEG; FFmpeg, which scales it, takes no frame of a million pixels in a row."""

MOST_PIXELS = 100_000_000
"""Of a picture, where nobody asks for fewer."""

_HELD_PIXELS = 16_000_000
"""A larger picture is made smaller strip by strip, before anything else copies it."""

_STRIP_ROWS = 256
_ROUNDING = 1e-4  # shares that are written with some digits may add up to more than 1; what lies outside is left out
_WHITE = (255, 255, 255, 255)
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture upright, by its EXIF orientation (EXIF 2.32, tag 0x0112); 1 is upright."""


@dataclass(frozen=True)
class Region:
    """A part of a picture, as shares of its width and height: left edge, upper edge, width, height.

    Raises ParameterError unless it lies in the picture and is not empty.
    """

    x: float
    y: float
    width: float
    height: float

    def __post_init__(self) -> None:
        inside = 0 <= self.x < 1 and 0 <= self.y < 1 and self.width > 0 and self.height > 0
        if not (inside and max(self.x + self.width, self.y + self.height) <= 1 + _ROUNDING):
            given = ",".join(f"{value:g}" for value in (self.x, self.y, self.width, self.height))
            raise ParameterError("region", given, "x,y,width,height as shares of the picture, from 0 to 1, inside it")

    @classmethod
    def parse(cls, text: str) -> Region:
        """From "x,y,width,height". Raises ParameterError where that is not what it says."""
        try:
            x, y, width, height = (float(part) for part in text.split(","))
        except ValueError:
            expected = "four numbers x,y,width,height, shares of the picture from 0 to 1, such as 0.5,0,0.5,1"
            raise ParameterError("region", text, expected) from None
        return cls(x, y, width, height)

    def of(self, picture: UInt8Array) -> UInt8Array:
        """That part of a picture, at least one pixel of it. Shape (height, width, 3) → the same, smaller."""
        height, width = picture.shape[:2]
        left, top = min(round(self.x * width), width - 1), min(round(self.y * height), height - 1)
        right = max(round((self.x + self.width) * width), left + 1)
        bottom = max(round((self.y + self.height) * height), top + 1)
        return picture[top:bottom, left:right]


def load_picture(path: Path | BinaryIO, *, size_px: int, max_pixels: int = MOST_PIXELS) -> UInt8Array:
    """Open a picture and normalise it as frames of videos are: shape (size_px, size_px, 3), RGB.

    Raises InputError as open_picture does.
    """
    return normalise_picture(open_picture(path, max_pixels=max_pixels), size_px=size_px)


def open_picture(path: Path | BinaryIO, *, max_pixels: int = MOST_PIXELS, name: str = "") -> UInt8Array:
    """A picture from a path or an open file: shape (height, width, 3), uint8 RGB.  name: for errors.

    Decodes in this process; pictures of strangers are left to Sources.picture. Turned as its EXIF
    data says; transparent parts become white; of an animation the first picture counts. One of more than 16 megapixels
    is given at a half, a third … of its size, so that it takes hardly more memory than its decoder does.

    Raises InputError where it is not a picture, is damaged, or has more than max_pixels or a side of more than
    MOST_SIDE_PX, without naming open files; MemoryError where decoding takes too much.
    """
    name = name or (str(path) if isinstance(path, Path) else "this")
    most = f"give one of at most {max_pixels} pixels, no side longer than {MOST_SIDE_PX}"
    try:
        with Image.open(path, formats=PICTURE_FORMATS) as picture:
            if picture.width * picture.height > max_pixels or max(picture.size) > MOST_SIDE_PX:
                raise InputError(f"{name} is too large a picture ({picture.width} x {picture.height}); {most}")
            by = _shrinkage(picture)
            picture.draft(None, (picture.width // by, picture.height // by))  # JPEG can be decoded smaller
            picture.load()
            return np.asarray(_upright(_smaller(picture), _orientation(picture)))
    except (InputError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise InputError(f"{name}: there is no such file") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{name} is too large a picture; {most}") from error
    except Exception as error:  # Pillow's decoders raise whatever damaged bytes lead them to
        formats = ", ".join(PICTURE_FORMATS)
        raise InputError(f"{name} is not a picture avlib can read; give one of {formats}") from error


def _shrinkage(picture: Image.Image) -> int:
    """By how much both sides are to be divided."""
    return max(math.ceil(math.sqrt(picture.width * picture.height / _HELD_PIXELS)), 1)


def _smaller(picture: Image.Image) -> Image.Image:
    """The picture in RGB, no larger than is held."""
    by = _shrinkage(picture)
    if by == 1:
        return _rgb(picture)
    smaller = Image.new("RGB", (-(-picture.width // by), -(-picture.height // by)))
    for top in range(0, picture.height, by * _STRIP_ROWS):
        strip = picture.crop((0, top, picture.width, min(top + by * _STRIP_ROWS, picture.height)))
        smaller.paste(_rgb(strip).reduce(by), (0, top // by))
    return smaller


def _orientation(picture: Image.Image) -> int:
    """As EXIF data says; data that cannot be read says nothing: the pixels may be whole all the same."""
    try:
        return int(picture.getexif().get(_ORIENTATION, 1))
    except Exception:
        return 1


def _upright(picture: Image.Image, orientation: int) -> Image.Image:
    method = _UPRIGHT.get(orientation)
    return picture if method is None else picture.transpose(method)


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):  # 16 bits of grey: PIL would clip instead of scaling
        grey = np.clip(np.asarray(picture, np.float64) / 257, 0, 255).round().astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", layer.size, _WHITE), layer)
    return picture.convert("RGB")
