"""Moving pictures of three things outdoors: sea, bird, helicopter. The others: `clockwork` and `hearth`.

A scene draws its shapes and colours once, from its generator, and is then a function of time:
`scene(time_s)` paints the world at that time.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from avlib.demo.beat import Beat
from avlib.demo.canvas import (
    WORLD_PX,
    Color,
    disc,
    glow,
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


class Sea:
    """Waves that roll in under a clear, grey or evening sky."""

    def __init__(self, rng: np.random.Generator, beat: Beat) -> None:
        """Draw the shapes, colours and places of one scene."""
        self._beat = beat
        self._horizon = float(rng.uniform(120, 185))
        mood = rng.choice(["day", "grey", "evening"], p=[0.5, 0.25, 0.25])
        top, low, water = {
            "day": (
                hsv(rng.uniform(0.55, 0.6), 0.6, 0.9),
                hsv(0.55, 0.18, 0.98),
                hsv(rng.uniform(0.5, 0.57), 0.75, 0.6),
            ),
            "grey": (hsv(0.58, 0.12, 0.6), hsv(0.58, 0.06, 0.82), hsv(rng.uniform(0.48, 0.55), 0.45, 0.45)),
            "evening": (hsv(0.68, 0.4, 0.6), hsv(rng.uniform(0.04, 0.1), 0.5, 0.98), hsv(0.58, 0.5, 0.45)),
        }[str(mood)]
        self._far, self._near = mix(low, water, 0.55), water
        self._sand = hsv(rng.uniform(0.09, 0.12), rng.uniform(0.25, 0.45), rng.uniform(0.75, 0.9))
        sky = gradient(top, low)
        sun = (float(rng.uniform(80, 560)), self._horizon - float(rng.uniform(20, 90)))
        if mood != "grey":
            sky = veil(sky, (255, 248, 225), 0.7 * glow(sun, float(rng.uniform(50, 90))))
            disc(ImageDraw.Draw(sky), sun, (20, 20), (255, 246, 214))
        clouds = np.clip(smooth_noise(rng, (9, 14), WORLD_PX) - 0.55, 0, 1) * 1.6
        self._sky = veil(sky, shade(low, 1.5), np.clip(clouds, 0, 0.8))
        self._phase = rng.uniform(0, 2 * np.pi, size=(9, 2))
        self._choppy = float(rng.uniform(0.7, 1.4))
        self._shore = float(rng.uniform(405, 450))
        self._boat = (float(rng.uniform(60, 580)), float(rng.uniform(0.6, 1.1))) if rng.random() < 0.4 else None
        self._boat_color = hsv(rng.random(), 0.7, 0.8)

    def __call__(self, time_s: float) -> Image.Image:
        """Paint the sea; a wave breaks on the shore on every beat."""
        world = self._sky.copy()
        draw = ImageDraw.Draw(world)
        x = np.linspace(0, WIDTH, 65)
        draw.rectangle((0, self._horizon, WIDTH, HEIGHT), fill=self._far)
        rows = len(self._phase)
        turn = 2 * np.pi * (time_s - self._beat.first_s) / self._beat.period_s
        for row in range(rows):
            depth = row / (rows - 1)
            if row == 2 and self._boat:
                self._paint_boat(draw, time_s)
            base = self._horizon + 4 + (self._shore - self._horizon - 20) * depth**1.5
            height = (1.5 + 13 * depth) * self._choppy
            first, second = self._phase[row]
            swell = np.sin(x * (0.05 - 0.035 * depth) + first - turn * 0.5)
            crest = base - height * (swell + 0.35 * np.sin(x * 0.06 + second + turn) + 0.5 * np.sin(turn + first))
            outline = list(zip(x.tolist(), crest.tolist(), strict=True))
            color = mix(self._far, self._near, depth)
            draw.polygon([(0, HEIGHT), *outline, (WIDTH, HEIGHT)], fill=shade(color, 1 - 0.15 * (row % 2)))
            draw.line(outline, fill=shade(color, 1.25 + 0.45 * depth), width=1 + round(5 * depth))
        wash = self._shore + 18 * np.cos(turn) + 5 * np.sin(x * 0.03 + self._phase[0, 0] + 0.4 * turn)
        foam = [
            (0.0, float(HEIGHT)),
            *zip(x.tolist(), wash.tolist(), strict=True),
            (float(WIDTH), float(HEIGHT)),
        ]
        draw.polygon([(px, py - 12) for px, py in foam], fill=(240, 246, 246))
        draw.polygon(foam, fill=shade(self._sand, 0.85))
        draw.polygon([(px, py + 26) for px, py in foam[1:-1]] + [(WIDTH, HEIGHT), (0, HEIGHT)], fill=self._sand)
        return world

    def _paint_boat(self, draw: ImageDraw.ImageDraw, time_s: float) -> None:
        assert self._boat
        x, scale = self._boat
        at = (x + 4 * time_s, self._horizon + 6 + 2 * np.sin(2 * time_s))
        lean = 0.06 * float(np.sin(1.3 * time_s))
        draw.polygon(place([(-26, -6), (26, -6), (18, 5), (-18, 5)], at, scale=scale, turn=lean), fill=(70, 45, 40))
        draw.polygon(place([(0, -62), (24, -10), (0, -10)], at, scale=scale, turn=lean), fill=(250, 250, 245))
        draw.polygon(place([(-3, -55), (-3, -10), (-18, -10)], at, scale=scale, turn=lean), fill=self._boat_color)


class Bird:
    """A small bird that sings on a branch in front of leaves."""

    def __init__(self, rng: np.random.Generator, beat: Beat) -> None:
        """Draw the shapes, colours and places of one scene."""
        self._beat = beat
        hue = float(rng.uniform(0.2, 0.36))
        world = mottle(gradient(hsv(hue, 0.35, 0.85), hsv(hue + 0.03, 0.6, 0.45)), rng, (8, 6), 0.6)
        draw = ImageDraw.Draw(world)
        for _ in range(70):
            radius = float(rng.uniform(14, 52))
            color = hsv(hue + rng.uniform(-0.06, 0.05), rng.uniform(0.35, 0.8), rng.uniform(0.3, 0.9))
            disc(draw, (rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT)), (radius, radius), color)
        world = world.filter(ImageFilter.GaussianBlur(7))
        draw = ImageDraw.Draw(world)
        self._perch = (float(rng.uniform(270, 370)), float(rng.uniform(315, 365)))
        slope = float(rng.uniform(-0.12, 0.12))
        bark = hsv(rng.uniform(0.05, 0.09), 0.5, rng.uniform(0.25, 0.45))
        ends = [(-40, -10), (700, -6), (700, 8), (-40, 16)]
        branch = [(px, py + self._perch[1] + 8 + slope * (px - self._perch[0])) for px, py in ends]
        draw.polygon(branch, fill=bark)
        draw.line(branch[:2], fill=shade(bark, 1.3), width=4)
        for _ in range(int(rng.integers(8, 20))):
            x = float(rng.uniform(0, WIDTH))
            y = self._perch[1] + 8 + slope * (x - self._perch[0]) + float(rng.uniform(-30, 34))
            leaf = place(oval((30, 11)), (x, y), scale=float(rng.uniform(0.6, 1.3)), turn=float(rng.uniform(0, 3.1)))
            draw.polygon(leaf, fill=hsv(hue + rng.uniform(-0.05, 0.03), 0.75, rng.uniform(0.4, 0.75)))
        self._world = world
        self._coat = hsv(rng.choice([0.02, 0.08, 0.13, 0.55, 0.6]), rng.uniform(0.5, 0.85), rng.uniform(0.55, 0.9))
        self._belly = hsv(rng.choice([0.03, 0.07, 0.13, 0.15]), rng.uniform(0.3, 0.8), rng.uniform(0.85, 1.0))
        self._beak = hsv(rng.uniform(0.07, 0.13), 0.8, rng.uniform(0.3, 0.95))
        self._scale = float(rng.uniform(0.85, 1.15))
        self._faces = float(rng.choice([-1, 1]))
        self._tempo = rng.uniform(0.3, 0.6, size=2)

    def __call__(self, time_s: float) -> Image.Image:
        """Paint the bird; its beak opens on every beat."""
        world = self._world.copy()
        draw = ImageDraw.Draw(world)
        hop = 10 * max(0.0, float(np.sin(2 * np.pi * self._tempo[0] * time_s))) ** 6
        sings = max(0.0, 1 - self._beat.since(time_s) / 0.35)
        tilt = 0.08 * float(np.sin(2 * np.pi * self._tempo[1] * time_s)) - 0.1 * sings
        at = (self._perch[0], self._perch[1] - hop)

        def paint(shape: list[tuple[float, float]], color: Color) -> None:
            turned = place(shape, (0, 0), scale=self._scale, turn=tilt)
            draw.polygon([(at[0] + self._faces * x, at[1] + y) for x, y in turned], fill=color)

        for leg in (-8, 12):
            paint([(leg, -30), (leg + 4, -30), (leg + 8, 8), (leg + 3, 8)], shade(self._beak, 0.6))
        paint([(-50, -75), (-150, -28), (-140, -8), (-40, -45)], shade(self._coat, 0.7))
        paint(list(oval((82, 56), (0, -78))), self._coat)
        paint(list(oval((62, 40), (20, -64))), self._belly)
        paint([(-62, -112), (22, -100), (10, -62), (-30, -48), (-92, -50)], shade(self._coat, 0.8))
        paint([(-50, -98), (2, -92), (-8, -74), (-66, -62)], shade(self._coat, 1.25))
        open_by = 15 * sings
        paint([(94, -140), (142, -136 - open_by), (96, -127)], self._beak)
        paint([(94, -134), (136, -131 + open_by), (92, -121)], shade(self._beak, 0.75))
        paint(list(oval((42, 39), (64, -138))), self._coat)
        paint(list(oval((22, 17), (78, -124))), self._belly)
        paint(list(oval((8, 8), (77, -147))), (18, 16, 16))
        paint(list(oval((2.5, 2.5), (80, -150))), (255, 255, 255))
        return world


class Helicopter:
    """A helicopter that hovers in the sky above hills."""

    def __init__(self, rng: np.random.Generator, beat: Beat) -> None:
        """Draw the shapes, colours and places of one scene."""
        self._beat = beat
        hue, pale = float(rng.uniform(0.54, 0.62)), float(rng.uniform(0.0, 0.35))
        sky = gradient(hsv(hue, 0.65 - pale, 0.85), hsv(hue - 0.03, 0.25 - pale / 3, 0.97))
        clouds = np.clip((smooth_noise(rng, (7, 9), WORLD_PX) - 0.5) * 2.2, 0, 0.85)
        world = veil(sky, (250, 250, 252), clouds)
        draw = ImageDraw.Draw(world)
        land = float(rng.choice([0.09, 0.27, 0.33]))
        for ridge in range(3):
            rough = smooth_noise(rng, (6 + 4 * ridge, 2), (65, 2))[0]
            tops = float(rng.uniform(365, 395)) + 32 * ridge - 60 * rough
            outline = list(zip(np.linspace(0, WIDTH, 65).tolist(), tops.tolist(), strict=True))
            color = mix(hsv(land, 0.5, 0.5 - 0.1 * ridge), hsv(hue, 0.2, 0.85), 0.5 - 0.25 * ridge)
            draw.polygon([(0, HEIGHT), *outline, (WIDTH, HEIGHT)], fill=color)
        self._world = world
        self._body = hsv(rng.choice([0.0, 0.1, 0.3, 0.6, 0.65]), rng.uniform(0.5, 0.9), rng.uniform(0.35, 0.8))
        self._stripe = (245, 245, 240) if rng.random() < 0.6 else shade(self._body, 0.5)
        self._faces = float(rng.choice([-1, 1]))
        self._scale = float(rng.uniform(0.95, 1.3))
        self._home = (float(rng.uniform(280, 360)), float(rng.uniform(185, 235)))
        self._drift = rng.uniform(0.08, 0.2, size=2)

    def __call__(self, time_s: float) -> Image.Image:
        """Paint the helicopter; a rotor blade passes on every beat."""
        world = self._world.copy()
        draw = ImageDraw.Draw(world)
        wander = np.sin(2 * np.pi * self._drift * time_s)
        at = (self._home[0] + 30 * wander[0], self._home[1] + 20 * wander[1])
        tilt = 0.06 + 0.05 * float(wander[1])

        def paint(shape: list[tuple[float, float]], color: Color) -> None:
            turned = place(shape, (0, 0), scale=self._scale, turn=tilt)
            draw.polygon([(at[0] + self._faces * x, at[1] + y) for x, y in turned], fill=color)

        dark = (45, 48, 52)
        for leg in (-25, 38):
            paint([(leg, 35), (leg + 5, 35), (leg + 9, 66), (leg + 4, 66)], dark)
        paint([(-62, 64), (78, 64), (90, 56), (92, 60), (79, 70), (-62, 70)], dark)
        paint([(-40, -22), (-190, -16), (-212, -58), (-226, -58), (-206, 0), (-40, 18)], shade(self._body, 0.85))
        paint(list(oval((88, 44), (10, 0))), self._body)
        paint([(-70, 8), (92, 8), (88, 18), (-62, 18)], self._stripe)
        paint([(40, -33), (70, -28), (92, -10), (97, 2), (50, 2)], (150, 195, 220))
        paint([(-2, -34), (30, -35), (36, 2), (-2, 2)], (120, 170, 200))
        paint([(-22, -42), (30, -42), (14, -58), (4, -58), (4, -72), (-2, -72), (-2, -58)], dark)
        angle = np.pi * (time_s - self._beat.first_s) / self._beat.period_s
        reach = 165 * abs(float(np.cos(angle)))
        paint(list(oval((168, 5), (0, -73))), (128, 134, 142))
        paint([(-reach, -76), (reach, -78), (reach, -71), (-reach, -69)], dark)
        tail = place([(-30, -3), (30, -3), (30, 3), (-30, 3)], (0, 0), turn=float(2.3 * angle))
        paint([(x - 214, y - 40) for x, y in tail], dark)
        return world
