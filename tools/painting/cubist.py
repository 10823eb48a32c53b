"""Still life with a guitar, in the manner of analytical turned synthetic cubism.

The picture is split again and again into facets; every facet shows the still life
from another viewpoint, a little moved, turned and scaled, so that outlines break
where facets meet.  Each facet is shaded from one edge and scrubbed with a dry
brush along its own direction; dark lines pick up some of the edges.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from . import colour, fields
from .brush import Brush, Canvas
from .colour import lch

OCHRE, UMBER, CREAM = lch(0.73, 0.115, 78), lch(0.42, 0.065, 55), lch(0.89, 0.045, 88)
BLUE, DEEP, GREEN = lch(0.56, 0.095, 240), lch(0.31, 0.065, 258), lch(0.56, 0.085, 152)
ROSE, SIENNA, BLACK = lch(0.71, 0.105, 22), lch(0.56, 0.135, 42), lch(0.22, 0.02, 280)


def _facets(x, y, rng: np.random.Generator, centre, smallest: float) -> tuple[np.ndarray, np.ndarray]:
    """Split the plane by lines into facets; return labels and each facet's direction."""
    labels = np.zeros(x.shape, np.int32)
    flat, px, py = labels.reshape(-1), x.reshape(-1), y.reshape(-1)
    pixel = 1.0 / x.shape[0] ** 2
    main = np.deg2rad([24, -38, 68, -72, 4, 88])  # a family of directions ties it together
    queue = [(np.arange(flat.size), float(rng.choice(main)))]
    angles: list[float] = []
    while queue:
        members, angle = queue.pop()
        mx, my = px[members], py[members]
        area = len(members) * pixel
        cx, cy = float(mx.mean()), float(my.mean())
        away = np.hypot((cx - centre[0]) * 0.8, cy - centre[1])
        target = smallest * (1 + 3.2 * away**1.5) * np.exp(0.45 * rng.standard_normal())
        if area < target or len(members) < 60:
            flat[members] = len(angles)
            angles.append(angle)
            continue
        turned = float(rng.choice(main) + rng.normal(0, 0.10))
        if abs(np.sin(turned - angle)) < 0.35:
            turned += np.pi / 2 + rng.normal(0, 0.2)
        across = -np.sin(turned) * (mx - cx) + np.cos(turned) * (my - cy)
        # Now and then the cut is an arc instead of a line.
        if rng.random() < 0.22:
            along = np.cos(turned) * (mx - cx) + np.sin(turned) * (my - cy)
            across = across + rng.choice([-1, 1]) * 1.6 * along**2
        side = across < rng.normal(0, 0.16) * np.sqrt(area)
        for part in (members[side], members[~side]):
            if len(part):
                queue.append((part, turned if rng.random() < 0.75 else float(rng.choice(main))))
    return labels, np.array(angles, np.float32)


def _still_life(x, y, seed: int):
    """Colours of the still life at arbitrary points, and the number of the thing there."""
    # Background: window, wall and a hanging cloth; then the table.
    picture = np.empty(x.shape + (3,), np.float32)
    picture[...] = lch(0.60, 0.045, 225)

    things = np.zeros(x.shape, np.int32)
    number = 0

    def put(share, tone):
        nonlocal picture, number
        number += 1
        picture = colour.mix(picture, tone, np.clip(share, 0, 1))
        things[np.asarray(share) > 0.45] = number

    def step(value, soft=0.002):
        return fields.smoothstep(soft, -soft, value)

    put(step(x - 0.36), GREEN)
    put(step(np.abs(x - 0.20) - 0.10) * step(np.abs(y - 0.20) - 0.17), lch(0.78, 0.075, 225))
    put(step(np.abs(x - 0.20) - 0.006) * step(y - 0.37), UMBER)
    put(step(0.92 - x + 0.12 * np.sin(y * 7)), ROSE)
    put(step(0.92 - x + 0.12 * np.sin(y * 7)) * (np.sin((x + 0.3 * y) * 75) > 0.35), lch(0.52, 0.13, 18))
    table = 0.66 - 0.10 * (x - 0.6)
    put(step(table - y), SIENNA)
    put(
        step(table - y) * (np.sin((y * 1.2 + 0.25 * x + 0.02 * fields.noise(x * 0.3, y, 9, seed)) * 120) > 0.5) * 0.7,
        UMBER,
    )
    put(step(np.abs(y - table) - 0.008), DEEP)
    put(step(y - 0.93) * 0 + step(0.93 - y - 0.1 * (x - 0.6)), DEEP)
    # White cloth hanging over the corner.
    cloth = np.maximum(np.abs(x - 0.88 - 0.4 * (y - 0.8)) - 0.17, np.abs(y - 0.80) - 0.12)
    put(step(cloth), CREAM)
    put(step(cloth) * (np.sin((x - 0.4 * y) * 62) > 0.55) * 0.8, lch(0.72, 0.05, 250))
    # Sheet of music.
    u, v = (x - 0.33) * 0.94 + (y - 0.76) * 0.34, -(x - 0.33) * 0.34 + (y - 0.76) * 0.94
    sheet = np.maximum(np.abs(u) - 0.155, np.abs(v) - 0.105)
    put(step(sheet), CREAM)
    staff = (np.sin(v * 330) > 0.80) & (np.sin(v * 48 + 0.9) > -0.2)
    put(step(sheet + 0.014) * staff, UMBER)
    notes = (np.hypot((u * 30) % 1 - 0.5, (v * 26 + 0.7 * np.round(u * 30)) % 1 - 0.5) < 0.24) & (
        np.sin(v * 48 + 0.9) > -0.1
    )
    put(step(sheet + 0.016) * notes, BLACK)
    # Bottle.
    t = (y - 0.13) / 0.56
    half = 0.026 + 0.050 * fields.smoothstep(0.30, 0.47, t)
    bottle = np.maximum(np.abs(x - 0.355) - half, np.abs(y - 0.41) - 0.28)
    put(step(bottle), lch(0.38, 0.085, 160))
    put(step(np.maximum(bottle, x - 0.335)) * 0.8, lch(0.66, 0.10, 150))
    put(step(bottle) * step(np.abs(y - 0.52) - 0.065), CREAM)
    put(step(bottle + 0.008) * step(np.abs(y - 0.52) - 0.03), ROSE)
    put(step(bottle) * step(y - 0.185), SIENNA)
    # Guitar, leaning to the right.
    c, s = np.cos(0.62), np.sin(0.62)
    gx, gy = c * (x - 0.645) + s * (y - 0.565), -s * (x - 0.645) + c * (y - 0.565)
    lower, upper = np.hypot(gx, (gy - 0.125) * 1.08) - 0.185, np.hypot(gx, (gy + 0.13) * 1.05) - 0.137
    waist = np.maximum(np.abs(gx) - 0.112, np.abs(gy) - 0.12)
    body = np.minimum(np.minimum(lower, upper), waist)
    put(step(body - 0.014), UMBER)
    put(step(body), OCHRE)
    put(step(body) * step(gx), lch(0.80, 0.12, 82))
    put(step(body + 0.012) * step(np.abs(body + 0.016) - 0.0035), SIENNA)
    put(step(np.maximum(np.abs(gx) - 0.030, np.abs(gy + 0.40) - 0.30)), UMBER)
    put(step(np.maximum(np.abs(gx) - 0.030, np.abs(gy + 0.40) - 0.30)) * (np.sin(gy * 190) > 0.93), CREAM)
    put(step(np.maximum(np.abs(gx) - 0.045, np.abs(gy + 0.70) - 0.055)), BLACK)
    hole = np.hypot(gx, gy + 0.015)
    put(step(hole - 0.074), SIENNA)
    put(step(hole - 0.058), CREAM)
    put(step(hole - 0.052), BLACK)
    put(step(np.maximum(np.abs(gx) - 0.075, np.abs(gy - 0.175) - 0.014)), DEEP)
    strings = np.abs(((gx / 0.0098) % 1) - 0.5) < 0.13
    put(step(np.maximum(np.abs(gx) - 0.0245, np.abs(gy + 0.26) - 0.43)) * strings, CREAM)
    # Glass and fruit.
    wide = 0.062 - 0.035 * fields.smoothstep(0.60, 0.66, y) + 0.03 * fields.smoothstep(0.735, 0.75, y)
    glass = np.maximum(np.abs(x - 1.045) - wide, np.abs(y - 0.635) - 0.125)
    put(step(glass) * 0.9, lch(0.82, 0.05, 215))
    put(step(np.maximum(glass, 0.575 - y)) * step(y - 0.66), lch(0.45, 0.14, 18))
    put(step(np.abs(glass + 0.004) - 0.0045), DEEP)
    for fx, fy, r, tone, lit in (
        (0.115, 0.70, 0.070, SIENNA, lch(0.76, 0.14, 65)),
        (0.215, 0.665, 0.060, GREEN, lch(0.80, 0.13, 118)),
        (0.16, 0.79, 0.060, lch(0.52, 0.14, 24), ROSE),
    ):
        d = np.hypot(x - fx, y - fy) - r
        put(step(d - 0.006), BLACK)
        put(step(d), tone)
        put(step(np.hypot(x - fx + 0.022, y - fy + 0.022) - 0.62 * r), lit)
    return picture, things


def paint(size: int, seed: int) -> NDArray[np.uint8]:
    """Paint it; ``size`` is the long side in pixels."""
    rng = np.random.default_rng(seed)
    canvas = Canvas(size, int(size * 0.8125), lch(0.50, 0.07, 62))
    x, y = canvas.x, canvas.y
    # Facets are cut on a plan of fixed size, so that every size gets the same ones.
    rows = 780
    plan_x, plan_y = fields.grid(int(rows * canvas.aspect), rows)
    labels, direction = _facets(plan_x, plan_y, rng, (0.60, 0.50), 0.0058)
    row = np.minimum((y * rows).astype(np.intp), rows - 1)
    column = np.minimum((x * rows).astype(np.intp), labels.shape[1] - 1)
    facet = labels[row, column]
    count = len(direction)
    weight = np.maximum(np.bincount(labels.reshape(-1), minlength=count), 1)
    centre = np.stack(
        [np.bincount(labels.reshape(-1), p.reshape(-1), count) / weight for p in (plan_x, plan_y)], 1
    ).astype(np.float32)
    radius = np.sqrt(weight / rows**2 / np.pi).astype(np.float32)

    # The still life as each facet shows it.
    turn = rng.normal(0, 0.13, count).astype(np.float32)[facet]
    zoom = np.exp(rng.normal(0, 0.13, count)).astype(np.float32)[facet]
    move = rng.normal(0, 0.019, (count, 2)).astype(np.float32)[facet]
    dx, dy = x - centre[facet, 0], y - centre[facet, 1]
    seen_x = centre[facet, 0] + zoom * (np.cos(turn) * dx - np.sin(turn) * dy) + move[..., 0]
    seen_y = centre[facet, 1] + zoom * (np.sin(turn) * dx + np.cos(turn) * dy) + move[..., 1]
    plan, things = _still_life(0.60 + (seen_x - 0.60) / 1.08, 0.50 + (seen_y - 0.50) / 1.08, seed)
    stencil = facet * 64 + things
    # Some facets get a glaze of one of the palette's colours.
    palette = np.array([OCHRE, BLUE, GREEN, ROSE, CREAM, DEEP, SIENNA])
    veil = palette[rng.choice(len(palette), count, p=[0.26, 0.22, 0.14, 0.12, 0.14, 0.06, 0.06])]
    share = np.where(rng.random(count) < 0.50, rng.uniform(0.15, 0.50, count), 0.05).astype(np.float32)
    plan = colour.mix(plan, veil[facet], share[facet])
    # Shade: from dark at one edge to light at the other, strongest in the small ones.
    lean = direction + np.where(rng.random(count) < 0.5, 1, -1) * np.pi / 2
    ramp = (np.cos(lean)[facet] * dx + np.sin(lean)[facet] * dy) / (radius[facet] * 1.5)
    ramp = np.clip(ramp, -1, 1)
    depth = rng.uniform(0.09, 0.22, count).astype(np.float32)[facet]
    plan[..., 0] += depth * ramp + rng.normal(0, 0.03, count).astype(np.float32)[facet]
    warm = 0.022 * ramp
    plan[..., 1] += 0.4 * warm
    plan[..., 2] += warm
    plan = plan.astype(np.float32)

    angle = direction[facet] + 0.12 * fields.noise(x, y, 6, seed + 5)
    canvas.lab[...] = colour.mix(canvas.lab, plan, 0.7)
    block = Brush(dry=0.10, bristles=14, shape="flat", relief=0.7, tint=0.02)
    scrub = Brush(dry=0.42, bristles=16, shape="flat", relief=1.0, tint=0.035, seed=2)
    fine = Brush(dry=0.26, bristles=9, relief=1.0, tint=0.03, seed=3)
    for number, length, width, brush, spread in (
        (3500, 80, 30, block, (0.02, 0.010, 6)),
        (7000, 64, 17, scrub, (0.026, 0.012, 8)),
        (9000, 46, 9, scrub, (0.030, 0.012, 8)),
        (11000, 30, 5, fine, (0.028, 0.012, 8)),
    ):
        starts = fields.scatter(number, canvas.aspect, rng)
        tones = colour.jitter(canvas.pick(plan, starts), rng, *spread)
        scale = np.exp(0.2 * rng.standard_normal((2, len(starts))))
        # Centre each stroke on its start, so that small pieces get whole strokes.
        heading = canvas.pick(angle, starts)
        back = (length * scale[0] / 1920)[:, None] * np.stack([np.cos(heading), np.sin(heading)], 1)
        paths = np.stack([starts - back, starts - back / 3, starts + back / 3, starts + back], 1).astype(np.float32)
        canvas.ribbons(
            paths,
            np.ones(len(starts), np.float32),
            width * scale[1],
            length * scale[0],
            tones,
            brush,
            rng,
            stencil,
            canvas.pick(stencil, starts),
        )
    # Lines: along some edges between facets, swelling and fading, as if drawn in charcoal.
    edge = np.zeros(facet.shape, bool)
    edge[1:] |= facet[1:] != facet[:-1]
    edge[:, 1:] |= facet[:, 1:] != facet[:, :-1]
    distance = ndimage.distance_transform_edt(~edge) / canvas.unit
    swell = fields.noise(x, y, 5, seed + 7) + 0.35 * fields.noise(x, y, 60, seed + 8)
    line = fields.smoothstep(1.0, 0.2, distance / np.maximum(0.4 + 3.4 * (swell + 0.25), 0.05))
    canvas.glaze(lch(0.235, 0.03, 275), 0.78 * line)
    # On the shadow side of edges the paint is scumbled darker, on the other lighter.
    canvas.lab[..., 0] += 0.035 * fields.smoothstep(9, 2, distance) * np.sign(ramp) * fields.smoothstep(0.0, 0.4, swell)
    return canvas.finish(relief=0.055, weave=0.3, gloss=0.012)
