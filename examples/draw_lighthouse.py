"""Draw examples/lighthouse.png. Needs Pillow: python examples/draw_lighthouse.py"""

from __future__ import annotations

import itertools
import math
import random
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFilter

WIDTH, HEIGHT = 640, 400
SCALE = 3  # drawn larger, then made smaller: smooth edges
SEA = 268
LAMP = (452, 98)

Colour = tuple[int, int, int]
SKY: list[tuple[float, Colour]] = [
    (0.0, (24, 32, 74)),
    (0.4, (86, 66, 122)),
    (0.7, (206, 104, 110)),
    (0.9, (250, 168, 108)),
    (1.0, (255, 212, 144)),
]
WATER: list[tuple[float, Colour]] = [(0.0, (226, 140, 116)), (0.25, (116, 88, 124)), (1.0, (22, 34, 70))]


def scaled(*numbers: float) -> list[float]:
    return [number * SCALE for number in numbers]


def points(*pairs: tuple[float, float]) -> list[tuple[float, float]]:
    return [(x * SCALE, y * SCALE) for x, y in pairs]


def blend(stops: list[tuple[float, Colour]], at: float) -> Colour:
    for (low, first), (high, second) in itertools.pairwise(stops):
        if at <= high:
            share = (at - low) / (high - low)
            r, g, b = (round(one + (other - one) * share) for one, other in zip(first, second, strict=True))
            return r, g, b
    return stops[-1][1]


def draw_bands(draw: ImageDraw.ImageDraw, top: float, bottom: float, stops: list[tuple[float, Colour]]) -> None:
    first, last = round(top * SCALE), round(bottom * SCALE)
    for y in range(first, last):
        draw.line((0, y, WIDTH * SCALE, y), fill=blend(stops, (y - first) / (last - first)))


def draw_stars(draw: ImageDraw.ImageDraw, chance: random.Random) -> None:
    for _ in range(70):
        x, y = chance.uniform(0, WIDTH), chance.uniform(0, 120)
        size, light = chance.uniform(0.4, 1.1), round(chance.uniform(120, 235) * (1 - y / 150))
        draw.ellipse(
            scaled(x - size, y - size, x + size, y + size), fill=(light + 20, light + 18, min(255, light + 40))
        )


def glow(canvas: Image.Image, centre: tuple[float, float], radius: float, colour: Colour, blur: float) -> Image.Image:
    layer = Image.new("RGB", canvas.size)
    x, y = centre
    ImageDraw.Draw(layer).ellipse(scaled(x - radius, y - radius, x + radius, y + radius), fill=colour)
    return ImageChops.screen(canvas, layer.filter(ImageFilter.GaussianBlur(blur * SCALE)))


def beam(canvas: Image.Image, far: tuple[tuple[float, float], tuple[float, float]], light: int) -> Image.Image:
    layer = Image.new("RGB", canvas.size)
    draw = ImageDraw.Draw(layer)
    x, y = LAMP
    steps = 90
    for step in range(steps, 0, -1):
        share = step / steps
        edge = [(x + (fx - x) * share, y + (fy - y) * share) for fx, fy in far]
        shade = round(light * (1.05 - share))
        draw.polygon(
            points((x, y - 2), edge[0], edge[1], (x, y + 2)), fill=(shade, round(shade * 0.92), round(shade * 0.6))
        )
    return ImageChops.screen(canvas, layer.filter(ImageFilter.GaussianBlur(4 * SCALE)))


def draw_waves(draw: ImageDraw.ImageDraw, chance: random.Random) -> None:
    for _ in range(260):
        depth = chance.random() ** 1.6
        y = SEA + 3 + depth * (HEIGHT - SEA)
        length = 4 + 34 * depth
        near_sun = max(0.0, 1 - abs((x := chance.uniform(-20, WIDTH)) - 150) / (40 + 150 * depth))
        base = blend(WATER, min(1.0, depth))
        tint = [
            round(c + (target - c) * (0.16 + 0.75 * near_sun)) for c, target in zip(base, (255, 206, 150), strict=True)
        ]
        line = [(x + length * i / 8, y + math.sin(i / 8 * math.tau) * 0.9) for i in range(9)]
        draw.line(points(*line), fill=(tint[0], tint[1], tint[2]), width=round((0.7 + 1.1 * depth) * SCALE))


def draw_rocks(draw: ImageDraw.ImageDraw) -> None:
    draw.polygon(
        points(
            (300, 330), (322, 306), (346, 300), (362, 282), (392, 274), (410, 262), (446, 257), (494, 258), (516, 266)
        )
        + points((540, 268), (566, 284), (596, 290), (640, 306), (640, 400), (270, 400), (282, 352)),
        fill=(34, 30, 46),
    )
    for shape, colour in (
        (((346, 300), (362, 282), (392, 274), (410, 262), (430, 272), (388, 296), (370, 320)), (62, 50, 66)),
        (((410, 262), (446, 257), (494, 258), (470, 272), (430, 274)), (84, 68, 80)),
        (((300, 330), (322, 306), (346, 300), (352, 322), (320, 352), (290, 372)), (50, 42, 58)),
        (((540, 268), (566, 284), (560, 312), (520, 300)), (24, 22, 36)),
        (((430, 300), (480, 290), (500, 330), (450, 352), (410, 330)), (44, 38, 54)),
    ):
        draw.polygon(points(*shape), fill=colour)


def draw_tower(draw: ImageDraw.ImageDraw) -> None:
    centre, top, bottom, narrow, wide = 452, 122, 262, 19, 31
    for row in range(round(top * SCALE), round(bottom * SCALE)):
        share = (row / SCALE - top) / (bottom - top)
        half = narrow + (wide - narrow) * share
        red = int(share * 5) % 2 == 0
        for step in range(round(2 * half * SCALE)):
            across = step / (2 * half * SCALE)
            shade = 0.46 + 0.62 * math.sin(math.pi * min(1.0, 0.16 + across * 0.8)) * (1.1 - across * 0.55)
            base = (206, 50, 48) if red else (250, 240, 226)
            colour = tuple(min(255, round(part * shade)) for part in base)
            draw.point(((centre - half) * SCALE + step, row), fill=colour)
    for y in (150, 206):
        draw.rounded_rectangle(scaled(447, y, 457, y + 15), radius=5 * SCALE, fill=(40, 32, 48))
        draw.rectangle(scaled(449, y + 5, 455, y + 13), fill=(255, 214, 122))
    draw.rounded_rectangle(scaled(443, 238, 461, 266), radius=8 * SCALE, fill=(52, 36, 46))


def draw_lantern(draw: ImageDraw.ImageDraw) -> None:
    dark = (36, 32, 48)
    draw.rectangle(scaled(424, 116, 480, 123), fill=dark)
    for x in range(426, 481, 9):
        draw.line(scaled(x, 106, x, 117), fill=dark, width=SCALE)
    draw.line(scaled(425, 106, 479, 106), fill=dark, width=round(1.6 * SCALE))
    draw.rectangle(scaled(438, 84, 466, 116), fill=(255, 236, 164))
    draw.ellipse(scaled(444, 90, 460, 108), fill=(255, 255, 240))
    for x in (438, 447, 457, 466):
        draw.line(scaled(x, 84, x, 116), fill=dark, width=round(1.4 * SCALE))
    draw.polygon(points((432, 85), (472, 85), (463, 71), (441, 71)), fill=(170, 38, 42))
    draw.ellipse(scaled(442, 62, 462, 80), fill=(190, 46, 46))
    draw.line(scaled(452, 50, 452, 64), fill=dark, width=round(1.6 * SCALE))
    draw.ellipse(scaled(450, 48, 454, 52), fill=dark)


def draw_house(draw: ImageDraw.ImageDraw) -> None:
    draw.rectangle(scaled(488, 236, 548, 274), fill=(214, 196, 184))
    draw.rectangle(scaled(530, 236, 548, 274), fill=(150, 132, 136))
    draw.polygon(points((482, 238), (554, 238), (540, 214), (496, 214)), fill=(122, 42, 48))
    draw.rectangle(scaled(530, 204, 538, 220), fill=(96, 60, 62))
    for x in (496, 512):
        draw.rectangle(scaled(x, 246, x + 10, 258), fill=(255, 212, 120))
        draw.line(scaled(x + 5, 246, x + 5, 258), fill=(110, 74, 66), width=SCALE)


def draw_boat(draw: ImageDraw.ImageDraw) -> None:
    draw.polygon(points((92, 290), (134, 290), (128, 300), (99, 300)), fill=(46, 30, 44))
    draw.line(scaled(113, 252, 113, 290), fill=(46, 30, 44), width=round(1.5 * SCALE))
    draw.polygon(points((115, 253), (115, 286), (136, 286)), fill=(252, 236, 216))
    draw.polygon(points((111, 258), (111, 286), (95, 286)), fill=(232, 196, 178))
    for i, width in enumerate((34, 26, 16)):
        y = 304 + i * 4
        draw.line(scaled(113 - width / 2, y, 113 + width / 2, y), fill=(118, 80, 104), width=SCALE)


def draw_gulls(draw: ImageDraw.ImageDraw) -> None:
    for x, y, size in ((246, 128, 11), (284, 108, 8), (212, 98, 7)):
        for side in (-1, 1):
            wing = [(x + side * size * i / 6, y - math.sin(i / 6 * 2.4) * size * 0.5) for i in range(7)]
            draw.line(points(*wing), fill=(56, 44, 72), width=round(1.5 * SCALE), joint="curve")


def main() -> None:
    chance = random.Random(20)
    canvas = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE))
    draw = ImageDraw.Draw(canvas)
    draw_bands(draw, 0, SEA, SKY)
    draw_stars(draw, chance)
    canvas = glow(canvas, (150, 258), 54, (150, 84, 40), 26)
    ImageDraw.Draw(canvas).ellipse(scaled(120, 228, 180, 288), fill=(255, 238, 190))
    draw = ImageDraw.Draw(canvas)
    draw_bands(draw, SEA, HEIGHT, WATER)
    draw_waves(draw, chance)
    draw_boat(draw)
    canvas = beam(canvas, ((-40, 20), (-40, 150)), 190)
    canvas = beam(canvas, ((680, 40), (680, 130)), 170)
    draw = ImageDraw.Draw(canvas)
    draw_gulls(draw)
    draw_rocks(draw)
    draw_house(draw)
    draw_tower(draw)
    draw_lantern(draw)
    canvas = glow(canvas, LAMP, 20, (190, 150, 80), 12)
    picture = canvas.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    picture.save(Path(__file__).with_name("lighthouse.png"), optimize=True)


if __name__ == "__main__":
    main()
