"""Moving pictures of two things that swing: a pendulum clock on a wall and a bell in its tower."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from avlib.demo.beat import Beat
from avlib.demo.canvas import (
    WORLD_PX,
    disc,
    gradient,
    hsv,
    mix,
    mottle,
    oval,
    place,
    shade,
    smooth_noise,
    veil,
)

WIDTH, HEIGHT = WORLD_PX


class Clock:
    """A pendulum clock on a papered or painted wall."""

    def __init__(self, rng: np.random.Generator, beat: Beat) -> None:
        """Draw the shapes, colours and places of one scene."""
        self._beat = beat
        paint = hsv(rng.choice([0.09, 0.13, 0.35, 0.55, 0.95]), rng.uniform(0.08, 0.35), rng.uniform(0.7, 0.92))
        world = mottle(Image.new("RGB", WORLD_PX, paint), rng, (4, 3), 0.25)
        draw = ImageDraw.Draw(world)
        if rng.random() < 0.6:
            step = int(rng.integers(36, 70))
            for x in range(0, WIDTH, step):
                draw.rectangle((x, 0, x + step // 3, HEIGHT), fill=shade(paint, 0.9))
        if rng.random() < 0.6:
            self._frame(draw, rng)
        self._x = float(rng.uniform(290, 350))
        self._wide = float(rng.uniform(82, 100))
        wood = hsv(rng.uniform(0.03, 0.09), rng.uniform(0.5, 0.75), rng.uniform(0.3, 0.55))
        self._case(draw, rng, wood)
        self._world = world
        self._hands = rng.uniform(0, 2 * np.pi)
        self._brass = hsv(rng.uniform(0.1, 0.14), rng.uniform(0.4, 0.7), rng.uniform(0.75, 0.95))
        self._bob = float(rng.uniform(19, 28))
        self._reach = float(rng.uniform(0.24, 0.34))

    @staticmethod
    def _frame(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
        x, y = float(rng.choice([40, 470])), float(rng.uniform(90, 180))
        draw.rectangle((x, y, x + 130, y + 100), fill=hsv(0.08, 0.5, 0.4))
        draw.rectangle((x + 10, y + 10, x + 120, y + 90), fill=hsv(rng.random(), 0.3, 0.8))
        draw.polygon(
            [(x + 10, y + 90), (x + 55, y + 40), (x + 85, y + 70), (x + 120, y + 55), (x + 120, y + 90)],
            fill=hsv(rng.random(), 0.4, 0.5),
        )

    def _case(self, draw: ImageDraw.ImageDraw, rng: np.random.Generator, wood: tuple[int, int, int]) -> None:
        x, wide = self._x, self._wide
        if rng.random() < 0.5:
            draw.polygon([(x - wide - 18, 66), (x, 16), (x + wide + 18, 66)], fill=shade(wood, 0.8))
        else:
            draw.pieslice((x - wide, 22, x + wide, 110), 180, 360, fill=shade(wood, 0.8))
        draw.rounded_rectangle((x - wide, 58, x + wide, 442), radius=10, fill=wood)
        draw.rectangle((x - wide - 12, 434, x + wide + 12, 454), fill=shade(wood, 0.75))
        draw.rectangle((x - wide - 10, 58, x + wide + 10, 70), fill=shade(wood, 0.75))
        draw.rounded_rectangle((x - wide + 18, 248, x + wide - 18, 424), radius=8, fill=shade(wood, 0.35))
        face = hsv(0.12, rng.uniform(0.02, 0.2), rng.uniform(0.88, 1.0))
        disc(draw, (x, 158), (wide - 12, wide - 12), hsv(0.12, 0.55, 0.7))
        disc(draw, (x, 158), (wide - 20, wide - 20), face)
        for hour in range(12):
            turn = hour * np.pi / 6
            long = 16 if hour % 3 == 0 else 9
            mark = [(-2.5, 25 - wide), (2.5, 25 - wide), (2.5, 25 - wide + long), (-2.5, 25 - wide + long)]
            draw.polygon(place(mark, (x, 158), turn=turn), fill=(40, 32, 28))

    def __call__(self, time_s: float) -> Image.Image:
        """Paint the clock; its pendulum is at an end on every beat."""
        world = self._world.copy()
        draw = ImageDraw.Draw(world)
        swing = self._reach * self._beat.swing(time_s)
        pivot = (self._x, 250.0)
        draw.polygon(place([(-2.5, 0), (2.5, 0), (2.5, 130), (-2.5, 130)], pivot, turn=swing), fill=self._brass)
        draw.polygon(place(oval((self._bob, self._bob), (0, 138)), pivot, turn=swing), fill=shade(self._brass, 0.8))
        shine = place(oval((self._bob * 0.6, self._bob * 0.6), (-4, 133)), pivot, turn=swing)
        draw.polygon(shine, fill=shade(self._brass, 1.3))
        face = (self._x, 158.0)
        hands = ((self._hands + time_s / 600, 44, 4), (12 * self._hands + time_s / 50, 60, 2.5))
        for turn, long, half in hands:
            hand = [(-half, 10), (half, 10), (half / 2, -long), (-half / 2, -long)]
            draw.polygon(place(hand, face, turn=float(turn)), fill=(30, 24, 22))
        disc(draw, face, (6, 6), (30, 24, 22))
        return world


class Bell:
    """A bell that swings in the arch of its tower, or under a beam."""

    _PROFILE = ((0, 18), (24, 20), (44, 36), (54, 70), (62, 120), (78, 160), (104, 186), (108, 200), (0, 200))

    def __init__(self, rng: np.random.Generator, beat: Beat) -> None:
        """Draw the shapes, colours and places of one scene."""
        self._beat = beat
        self._metal = hsv(rng.uniform(0.08, 0.14), rng.uniform(0.45, 0.75), rng.uniform(0.5, 0.8))
        self._scale = float(rng.uniform(1.1, 1.35))
        self._pivot = (float(rng.uniform(295, 345)), float(rng.uniform(78, 105)))
        self._reach = float(rng.uniform(0.3, 0.5))
        self._world = self._tower(rng)

    def _tower(self, rng: np.random.Generator) -> Image.Image:
        dusk = rng.random() < 0.3
        hue = float(rng.uniform(0.02, 0.08) if dusk else rng.uniform(0.55, 0.6))
        sky = gradient(hsv(0.6, 0.45, 0.75), hsv(hue, 0.35, 0.95))
        sky = veil(sky, (248, 246, 244), np.clip(smooth_noise(rng, (6, 8), WORLD_PX) - 0.55, 0, 0.6))
        stone = hsv(rng.uniform(0.06, 0.12), rng.uniform(0.08, 0.35), rng.uniform(0.45, 0.75))
        wall = Image.new("RGB", WORLD_PX, shade(stone, 0.7))
        draw = ImageDraw.Draw(wall)
        high = int(rng.integers(38, 56))
        for row, y in enumerate(range(0, HEIGHT, high)):
            for x in range(-(row % 2) * high, WIDTH, 2 * high):
                block = shade(stone, float(rng.uniform(0.82, 1.08)))
                draw.rectangle((x, y, x + 2 * high - 3, y + high - 3), fill=block)
        wall = mottle(wall, rng, (12, 9), 0.3)
        opening = Image.new("L", WORLD_PX, 0)
        half = float(rng.uniform(205, 245))
        left, right = self._pivot[0] - half, self._pivot[0] + half
        arch = ImageDraw.Draw(opening)
        round_by = 190 if rng.random() < 0.65 else 12
        arch.rounded_rectangle((left, 24, right, float(rng.uniform(425, 620))), radius=round_by, fill=255)
        wall.paste(sky, (0, 0), opening)
        draw = ImageDraw.Draw(wall)
        beam = hsv(0.07, 0.55, float(rng.uniform(0.22, 0.4)))
        draw.rectangle((left - 20, self._pivot[1] - 24, right + 20, self._pivot[1] - 2), fill=beam)
        draw.rectangle((left - 20, self._pivot[1] - 24, right + 20, self._pivot[1] - 18), fill=shade(beam, 1.25))
        return wall

    def __call__(self, time_s: float) -> Image.Image:
        """Paint the bell; it is at an end of its swing, where the clapper strikes, on every beat."""
        world = self._world.copy()
        draw = ImageDraw.Draw(world)
        swing = self._reach * self._beat.swing(time_s)
        iron = (50, 46, 44)
        clapper = place(oval((15, 17), (0, 214)), self._pivot, scale=self._scale, turn=1.25 * swing)
        draw.polygon(clapper, fill=iron)
        profile = np.asarray(self._PROFILE, dtype=np.float64)
        # Nested outlines, from the full width inwards and lighter each time, give the round, shiny look.
        for share, light in ((1.0, 0.62), (0.8, 0.85), (0.55, 1.0), (0.3, 1.18)):
            right, left = profile * (share, 1), (profile * (-share, 1))[::-1]
            offset = np.asarray([22 * (share - 1), 0]) * (profile[:, 1:] / 200)
            outline = np.concatenate([right + offset, left + offset[::-1]])
            draw.polygon(place(outline, self._pivot, scale=self._scale, turn=swing), fill=shade(self._metal, light))
        for y, half in ((150, 74), (178, 97)):
            ring = [(-half, y), (half, y), (half + 2, y + 6), (-half - 2, y + 6)]
            draw.polygon(place(ring, self._pivot, scale=self._scale, turn=swing), fill=shade(self._metal, 0.5))
        head = [(-16, -22), (16, -22), (16, 24), (-16, 24)]
        draw.polygon(place(head, self._pivot, scale=self._scale, turn=swing), fill=mix(iron, self._metal, 0.3))
        return world
