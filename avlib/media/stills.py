"""Read a query picture: a still in one of the usual formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from avlib.arrays import UInt8Array
from avlib.errors import InputError
from avlib.media.normalising import normalise_picture

PICTURE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
_WHITE = (255, 255, 255, 255)


def load_picture(path: Path, *, size_px: int, max_pixels: int = 100_000_000) -> UInt8Array:
    """Open a picture and normalise it as frames of videos are: shape (size_px, size_px, 3), uint8 RGB.

    Turned as its EXIF data says; transparent parts become white; of an animation the first picture counts.
    Raises InputError where it is not a picture, is damaged, or has more than max_pixels.
    """
    try:
        with Image.open(path, formats=PICTURE_FORMATS) as picture:
            if picture.width * picture.height > max_pixels:
                size = f"{picture.width} x {picture.height}"
                raise InputError(f"{path} is too large a picture ({size}); give one of at most {max_pixels} pixels")
            upright = ImageOps.exif_transpose(picture)
            return normalise_picture(_rgb(upright), size_px=size_px)
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        formats = ", ".join(PICTURE_FORMATS)
        raise InputError(f"{path} is not a picture avlib can read; give one of {formats}") from error


def _rgb(picture: Image.Image) -> UInt8Array:
    if picture.mode.startswith("I"):  # 16 bits of grey: PIL would clip instead of scaling
        grey = np.clip(np.asarray(picture, np.float64) / 257, 0, 255).round().astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", layer.size, _WHITE), layer)
    return np.asarray(picture.convert("RGB"))
