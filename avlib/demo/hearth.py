"""Moving pictures of a fire."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from avlib.arrays import Float32Array
from avlib.demo.beat import Beat
from avlib.demo.canvas import (
    WORLD_PX,
    disc,
    glow,
    gradient,
    hsv,
    mix,
    oval,
    place,
    shade,
    smooth_noise,
    veil,
)

WIDTH, HEIGHT = WORLD_PX


class Fire:
    """A camp fire at night, or one in a brick hearth."""

    _GRID = (56, 72)

    def __init__(self, rng: np.random.Generator, beat: Beat) -> None:
        """Draw the shapes, colours and places of one scene."""
        self._beat = beat
        self._foot = (float(rng.uniform(270, 370)), float(rng.uniform(390, 425)))
        self._size = (float(rng.uniform(230, 320)), float(rng.uniform(250, 345)))
        self._dim = self._hearth(rng) if rng.random() < 0.4 else self._camp(rng)
        self._logs(rng)
        light = glow((self._foot[0], self._foot[1] - 70), float(rng.uniform(200, 280)))
        self._lit = veil(self._dim, hsv(rng.uniform(0.04, 0.08), 0.75, 0.9), 0.6 * light)
        across, down = self._GRID
        self._fine = np.tile(smooth_noise(rng, (9, 40), (across, down * 4)), (2, 1))
        self._broad = np.tile(smooth_noise(rng, (5, 16), (across, down * 4)), (2, 1))
        self._speed = float(rng.uniform(0.8, 1.3))
        self._heat = float(rng.uniform(1.0, 1.35))
        self._sparks = rng.random((14, 4))
        heat = np.linspace(0, 1, 256)[:, None]
        stops = [
            (40, 5, 0),
            hsv(rng.uniform(0.0, 0.02), 0.95, 0.8),
            hsv(rng.uniform(0.06, 0.09), 0.95, 1),
            (255, 240, 150),
        ]
        colors = [np.interp(heat[:, 0], [0, 0.3, 0.6, 1], [stop[i] for stop in stops]) for i in range(3)]
        self._palette = np.stack([*colors, np.clip(heat[:, 0] * 3.5 - 0.25, 0, 1) * 255], axis=1).astype(np.uint8)

    def _camp(self, rng: np.random.Generator) -> Image.Image:
        world = gradient(hsv(rng.uniform(0.6, 0.72), 0.6, rng.uniform(0.06, 0.2)), hsv(0.65, 0.4, 0.16))
        draw = ImageDraw.Draw(world)
        for x in rng.uniform(0, WIDTH, size=int(rng.integers(4, 11))):
            tall = float(rng.uniform(110, 260))
            draw.polygon([(x - tall / 4, 340), (x, 340 - tall), (x + tall / 4, 340)], fill=(10, 16, 14))
        draw.rectangle((0, 335, WIDTH, HEIGHT), fill=hsv(rng.uniform(0.06, 0.3), 0.4, 0.13))
        for angle in np.linspace(0, 2 * np.pi, int(rng.integers(9, 15)), endpoint=False):
            stone = (self._foot[0] + 165 * np.cos(angle), self._foot[1] + 8 + 34 * np.sin(angle))
            disc(draw, stone, (24, 15), hsv(0.08, 0.1, rng.uniform(0.2, 0.4)))
        return world

    def _hearth(self, rng: np.random.Generator) -> Image.Image:
        brick = hsv(rng.uniform(0.0, 0.05), rng.uniform(0.35, 0.6), rng.uniform(0.3, 0.5))
        world = Image.new("RGB", WORLD_PX, shade(brick, 0.5))
        draw = ImageDraw.Draw(world)
        for row in range(0, HEIGHT, 30):
            for x in range(-(row // 30 % 2) * 35, WIDTH, 70):
                draw.rectangle((x, row, x + 66, row + 26), fill=shade(brick, float(rng.uniform(0.75, 1.05))))
        left, right = self._foot[0] - 200, self._foot[0] + 200
        draw.rounded_rectangle((left, 60, right, HEIGHT + 60), radius=70, fill=(20, 14, 12))
        return world

    def _logs(self, rng: np.random.Generator) -> None:
        draw = ImageDraw.Draw(self._dim)
        for lean in rng.uniform(-0.35, 0.35, size=int(rng.integers(3, 6))):
            color = hsv(rng.uniform(0.04, 0.08), 0.6, rng.uniform(0.2, 0.38))
            at = (self._foot[0] + float(rng.uniform(-25, 25)), self._foot[1] + float(rng.uniform(-8, 18)))
            draw.polygon(place([(-120, -13), (120, -13), (120, 13), (-120, 13)], at, turn=float(lean)), fill=color)
            draw.polygon(place(oval((8, 13), (120, 0)), at, turn=float(lean)), fill=shade(color, 1.4))

    def __call__(self, time_s: float) -> Image.Image:
        """Paint the fire; it flares up on every beat."""
        gust = float(np.exp(-3 * self._beat.since(time_s) / self._beat.period_s))
        world = Image.blend(self._dim, self._lit, 0.6 + 0.3 * gust + 0.1 * float(np.sin(19 * time_s)))
        flame = Image.fromarray(self._palette[(255 * self._flame(time_s, gust)).astype(np.uint8)], mode="RGBA")
        across, down = round(self._size[0]), round(self._size[1])
        flame = flame.resize((across, down), Image.Resampling.BILINEAR)
        world.paste(flame, (round(self._foot[0] - across / 2), round(self._foot[1] + 14 - down)), flame)
        draw = ImageDraw.Draw(world)
        for start, pace, side, sway in self._sparks:
            rise = (start + time_s * (0.3 + 0.5 * pace)) % 1.0
            x = self._foot[0] + 130 * (side - 0.5) * (0.4 + rise) + 14 * np.sin(6 * rise + 6 * sway)
            disc(
                draw,
                (x, self._foot[1] - 80 - 300 * rise),
                (2.2, 2.2),
                mix((255, 210, 110), (150, 40, 10), rise),
            )
        return world

    def _flame(self, time_s: float, gust: float) -> Float32Array:
        """Return how hot each cell of the flame is, in [0, 1]: noise that rises inside a tapering outline."""
        across, down = self._GRID
        rows = down * 4
        fine = int(time_s * 150 * self._speed) % rows
        broad = int(time_s * 85 * self._speed) % rows
        noise = 0.5 * self._fine[fine : fine + down] + 0.5 * self._broad[broad : broad + down]
        up = np.linspace(1, 0, down)[:, None]
        side = np.linspace(-1, 1, across) - 0.25 * up * np.sin(4 * time_s * self._speed - 3 * up)
        outline = 1 - up * (1.1 - 0.15 * gust) - (side / (0.85 - 0.45 * up)) ** 2 * 0.9
        heat = self._heat * (outline + 0.9 * (noise - 0.5) + 0.1)
        return np.clip(heat * np.minimum(1, 12 * up - 0.9 * side**2 + 0.35), 0, 1).astype(np.float32)
