"""What the scenes are painted with: colours, gradients, smooth noise, shapes, and the camera.

Scenes are painted on a world of WORLD_PX and seen through a camera that crops, scales, lights and adds
grain: scaling down is what smooths the edges.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from avlib.arrays import Float32Array, Float64Array, UInt8Array

WORLD_PX = (640, 480)
"""Width and height of the world."""

Color = tuple[int, int, int]
Points = Sequence[tuple[float, float]]


def hsv(hue: float, saturation: float, value: float) -> Color:
    """Return the RGB colour of a hue (turns, any real number), a saturation and a value in [0, 1]."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, min(max(saturation, 0), 1), min(max(value, 0), 1))
    return round(255 * red), round(255 * green), round(255 * blue)


def mix(first: Color, second: Color, share: float) -> Color:
    """Return the colour that lies the given share of the way from the first to the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def shade(color: Color, factor: float) -> Color:
    """Return the colour made darker (factor < 1) or lighter (towards white, factor > 1)."""
    return mix((0, 0, 0), color, factor) if factor <= 1 else mix(color, (255, 255, 255), factor - 1)


def smooth_noise(rng: np.random.Generator, cells: tuple[int, int], size_px: tuple[int, int]) -> Float32Array:
    """Return a smooth random field in [0, 1], shape (height, width), of cells (across, down) blobs."""
    coarse = Image.fromarray(rng.random((cells[1], cells[0]), dtype=np.float32))
    field: Float32Array = np.asarray(coarse.resize(size_px, Image.Resampling.BICUBIC)).clip(0, 1)
    return field


def gradient(top: Color, bottom: Color) -> Image.Image:
    """Return a world that goes from one colour at the top to another at the bottom."""
    share = np.linspace(0, 1, WORLD_PX[1])[:, None, None]
    rows = np.asarray(top) * (1 - share) + np.asarray(bottom) * share
    return Image.fromarray(np.broadcast_to(rows, (WORLD_PX[1], WORLD_PX[0], 3)).astype(np.uint8))


def mottle(world: Image.Image, rng: np.random.Generator, cells: tuple[int, int], amount: float) -> Image.Image:
    """Return the world with smooth random light and shade, up to ± amount / 2 of its brightness."""
    field = 1 + amount * (smooth_noise(rng, cells, WORLD_PX) - 0.5)
    return Image.fromarray(np.clip(np.asarray(world) * field[:, :, None], 0, 255).astype(np.uint8))


def veil(world: Image.Image, color: Color, share: Float32Array) -> Image.Image:
    """Return the world with a colour laid over it; share: (height, width) in [0, 1]."""
    return Image.composite(Image.new("RGB", world.size, color), world, Image.fromarray((255 * share).astype(np.uint8)))


def glow(center: tuple[float, float], radius_px: float) -> Float32Array:
    """Return a round light, 1 at the centre and fading outwards, shape (height, width) of the world."""
    x, y = np.arange(WORLD_PX[0]), np.arange(WORLD_PX[1])[:, None]
    squared = ((x - center[0]) ** 2 + (y - center[1]) ** 2) / radius_px**2
    return np.exp(-squared).astype(np.float32)


def disc(draw: ImageDraw.ImageDraw, center: tuple[float, float], radii: tuple[float, float], color: Color) -> None:
    """Paint an upright ellipse."""
    (x, y), (across, down) = center, radii
    draw.ellipse((x - across, y - down, x + across, y + down), fill=color)


def place(shape: Points | Float64Array, at: tuple[float, float], *, scale: float = 1.0, turn: float = 0.0) -> Points:
    """Return a shape's points scaled, turned clockwise by an angle in radians about (0, 0), then moved."""
    points = np.asarray(shape, dtype=np.float64) * scale
    x = at[0] + points[:, 0] * np.cos(turn) - points[:, 1] * np.sin(turn)
    y = at[1] + points[:, 0] * np.sin(turn) + points[:, 1] * np.cos(turn)
    return list(zip(x.tolist(), y.tolist(), strict=True))


def oval(radii: tuple[float, float], center: tuple[float, float] = (0.0, 0.0)) -> Points:
    """Return the outline of an ellipse as a shape for `place`."""
    angle = np.linspace(0, 2 * np.pi, 33)[:-1]
    x, y = center[0] + radii[0] * np.cos(angle), center[1] + radii[1] * np.sin(angle)
    return list(zip(x.tolist(), y.tolist(), strict=True))


class Camera:
    """A view of the world that pans and zooms slowly, with its own light, tint and grain."""

    def __init__(self, rng: np.random.Generator, size_px: tuple[int, int]) -> None:
        """Draw the path, the light and the grain of a camera whose pictures are size_px (width, height)."""
        self._size_px = size_px
        self._zoom = rng.uniform(0.8, 0.95, size=2)
        self._center = rng.uniform(-1, 1, size=(2, 2))
        self._pace_hz = float(rng.uniform(0.03, 0.08))
        gain = rng.uniform(0.88, 1.1) * rng.uniform(0.96, 1.04, size=3)
        gamma = float(rng.uniform(0.88, 1.15))
        tone = 255 * (np.arange(256) / 255) ** gamma
        self._tones: list[int] = np.clip(gain[:, None] * tone, 0, 255).astype(int).ravel().tolist()
        grain = 128 + rng.normal(0, rng.uniform(0.8, 2.5), size=(size_px[1] + 64, size_px[0] + 64))
        self._grain = Image.fromarray(np.rint(grain).astype(np.uint8)).convert("RGB")
        self._grain_rng = rng

    def view(self, world: Image.Image, time_s: float) -> UInt8Array:
        """Return the picture of the world at a time, shape (height, width, 3), RGB."""
        width, height = self._size_px
        share = 0.5 - 0.5 * np.cos(2 * np.pi * self._pace_hz * time_s)
        zoom = self._zoom[0] + share * (self._zoom[1] - self._zoom[0])
        fit = min(WORLD_PX[0] / width, WORLD_PX[1] / height) * zoom
        across, down = width * fit, height * fit
        lean = self._center[0] + share * (self._center[1] - self._center[0])
        left, top = (WORLD_PX[0] - across) * (1 + lean[0]) / 2, (WORLD_PX[1] - down) * (1 + lean[1]) / 2
        box = (left, top, left + across, top + down)
        seen = world.resize(self._size_px, Image.Resampling.BOX, box=box).point(self._tones)
        dx, dy = self._grain_rng.integers(0, 64, size=2).tolist()
        grain = self._grain.crop((dx, dy, dx + width, dy + height))
        return np.asarray(ImageChops.add(seen, grain, 1, -128))
