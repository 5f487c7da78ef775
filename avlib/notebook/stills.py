"""Still pictures for notebooks: how they are lettered and packed."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib as mpl
from PIL import Image, ImageDraw, ImageFont

WAVEFORM_POINTS = 160
_WAVEFORM_PX = 48


@cache
def font(size_px: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib."""
    return ImageFont.truetype(str(Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), size_px)


def to_jpeg(picture: Image.Image) -> str:
    """In base64, as notebooks hold pictures."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=75, optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def waveform_png(outline: Sequence[float]) -> bytes:
    """Bars as high as a sound is loud, on white.  outline: in [0, 1], as `Sound.outline` gives it; scaled to fit."""
    loudest = max(max(outline, default=0.0), 1e-6)
    page = Image.new("RGB", (2 * len(outline) or 1, _WAVEFORM_PX), "white")
    pen = ImageDraw.Draw(page)
    middle = _WAVEFORM_PX / 2
    for place, value in enumerate(outline):
        half = max((middle - 2) * value / loudest, 0.5)
        pen.line((2 * place, middle - half, 2 * place, middle + half), fill="#0f6a73")
    file = io.BytesIO()
    page.save(file, "PNG", optimize=True)
    return file.getvalue()
