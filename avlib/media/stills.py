"""Read a query picture: a still in one of the usual formats."""

from __future__ import annotations

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


def load_picture(
    path: Path | BinaryIO, *, size_px: int, max_pixels: int = 100_000_000, region: Region | None = None
) -> UInt8Array:
    """Open a picture and normalise it, or a region of it, as frames of videos are: shape (size_px, size_px, 3), RGB.

    Raises InputError as open_picture does.
    """
    picture = open_picture(path, max_pixels=max_pixels)
    return normalise_picture(picture if region is None else region.of(picture), size_px=size_px)


def open_picture(path: Path | BinaryIO, *, max_pixels: int) -> UInt8Array:
    """A picture from a path or an open file: shape (height, width, 3), uint8 RGB.

    Turned as its EXIF data says; transparent parts become white; of an animation the first picture counts.
    Raises InputError where it is not a picture, is damaged, or has more than max_pixels or a side of more than
    MOST_SIDE_PX, without naming open files.
    """
    name = str(path) if isinstance(path, Path) else "this"
    most = f"give one of at most {max_pixels} pixels, no side longer than {MOST_SIDE_PX}"
    try:
        with Image.open(path, formats=PICTURE_FORMATS) as picture:
            if picture.width * picture.height > max_pixels or max(picture.size) > MOST_SIDE_PX:
                raise InputError(f"{name} is too large a picture ({picture.width} x {picture.height}); {most}")
            picture.load()
            return _rgb(_upright(picture))
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{name}: there is no such file") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{name} is too large a picture; {most}") from error
    except Exception as error:  # Pillow's decoders raise whatever damaged bytes lead them to
        formats = ", ".join(PICTURE_FORMATS)
        raise InputError(f"{name} is not a picture avlib can read; give one of {formats}") from error


def _upright(picture: Image.Image) -> Image.Image:
    """Turned as its EXIF data says; data that cannot be read says nothing."""
    try:
        method = _UPRIGHT.get(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # the pixels may be whole all the same
        method = None
    return picture if method is None else picture.transpose(method)


def _rgb(picture: Image.Image) -> UInt8Array:
    if picture.mode.startswith("I"):  # 16 bits of grey: PIL would clip instead of scaling
        grey = np.clip(np.asarray(picture, np.float64) / 257, 0, 255).round().astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", layer.size, _WHITE), layer)
    return np.asarray(picture.convert("RGB"))
