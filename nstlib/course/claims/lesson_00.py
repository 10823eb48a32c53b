"""What lesson 00 states about its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from ...records import Record

Numbers = Mapping[str, float]


def the_content_term_rises_while_the_style_term_falls(records: Sequence[Record], profile: str) -> None:
    """The content term starts near 0 and rises; the style term falls, at the real size to less than a hundredth."""
    first, last = records[0], min(records, key=lambda record: record.total)
    content, style = (first.content_total, last.content_total), (first.style_total, last.style_total)
    assert content[0] < 0.01 * first.total, (content, first.total)
    assert content[1] > 10 * max(content[0], 1e-6), content
    assert style[1] < (0.5 if profile == "smoke" else 0.01) * style[0], style
    assert last.total < first.total, (first.total, last.total)


def the_first_eighth_of_the_steps_lowers_the_loss_most(records: Sequence[Record], profile: str) -> None:
    """The total falls more in the first eighth of the steps than in all the others (not in the few steps of smoke)."""
    if profile == "smoke":
        return
    early = min(record.total for record in records[: max(1, len(records) // 8)])
    first, best = records[0].total, min(record.total for record in records)
    assert first - early > early - best, (first, early, best)


def the_pixel_loss_makes_a_cross_fade(
    path: Mapping[str, Tensor], photo: Tensor, target: Tensor, rate: float, tolerance: float = 1e-4
) -> None:
    """After k steps the picture is target + (1 - 2 rate)^k (photo - target); the keys of ``path`` begin with k."""
    for name, picture in path.items():
        fade = target + (1 - 2 * rate) ** int(name.split()[0]) * (photo - target)
        error = (picture - fade).abs().max().item()
        assert error < tolerance, (name, error)


def pixels_prefer_blur_and_one_color_to_a_brighter_photo(pixels: Numbers) -> None:
    """By pixels the blurred photo is nearest, and one color is nearer than the brighter photo."""
    assert min(pixels, key=lambda name: pixels[name]) == "blurred", pixels
    assert pixels["one color"] < 0.9 * pixels["brighter"], pixels


def the_layer_prefers_a_brighter_or_shifted_photo_to_blur(layer: Numbers) -> None:
    """In the layer the brighter photo is nearest, then the shifted one; blur and one color are far."""
    assert min(layer, key=lambda name: layer[name]) == "brighter", layer
    assert max(layer["brighter"], layer["shifted"]) < 0.5 * min(layer["blurred"], layer["one color"]), layer


def both_measures_put_the_other_photo_last(pixels: Numbers, layer: Numbers) -> None:
    """By pixels and by the layer, another photo is farther than every changed copy."""
    for distances in (pixels, layer):
        assert max(distances, key=lambda name: distances[name]) == "coffee", distances


def the_layer_puts_the_mirrored_photo_behind_one_color(layer: Numbers) -> None:
    """In the layer the mirrored photo is farther than a single color."""
    assert layer["mirrored"] > 1.05 * layer["one color"], layer


def on_every_photo_pixels_prefer_blur_and_the_layer_the_shift(rows: Sequence[Sequence[object]]) -> None:
    """The rows are (name, pixels shifted, pixels blurred, layer shifted, layer blurred)."""
    assert len(rows) == 4, rows
    for name, *values in rows:
        pixels_shifted, pixels_blurred, layer_shifted, layer_blurred = map(float, map(str, values))
        assert pixels_blurred < 0.9 * pixels_shifted, (name, values)
        assert layer_shifted < 0.6 * layer_blurred, (name, values)


def one_color_is_nearer_than_the_brighter_photo_for_two_photos_only(photos: Mapping[str, Tensor]) -> None:
    """By pixels, one color is nearer than the brighter photo for chelsea and the rocket, not for the other two."""
    one_color = {name: photo.var(dim=(2, 3), correction=0).mean().item() for name, photo in photos.items()}
    brighter = {name: ((photo + 0.15).clamp(0, 1) - photo).square().mean().item() for name, photo in photos.items()}
    nearer = {name for name in photos if one_color[name] < brighter[name]}
    assert nearer == {"chelsea", "rocket"}, (one_color, brighter)


def the_distance_from_the_photo_levels_off_but_the_image_keeps_changing(
    from_photo: Numbers, from_previous: Numbers, profile: str
) -> None:
    """From 1,000 on the distance from the photo grows by less than a fifth, while each image differs from the last."""
    far, least = from_photo["1,000,000"], min(from_previous.values())
    growth = far / from_photo["1,000"]
    assert 0.9 < growth < (1.6 if profile == "smoke" else 1.2), from_photo
    if profile != "smoke":
        assert least > 0.095, from_previous
        assert max(from_previous.values()) < 0.175, from_previous
        assert from_previous["10,000"] > 0.85 * from_previous["100"], from_previous
        assert least > 2 * (far - from_photo["1,000"]), (from_photo, from_previous)


def more_style_weight_trades_content_for_style(losses: Mapping[str, Numbers], profile: str) -> None:
    """With each larger style weight the content loss is larger and the style loss smaller (smoke: up to 10,000)."""
    count = 4 if profile == "smoke" else None
    content, style = (list(losses[f"{term} loss"].values())[:count] for term in ("content", "style"))
    assert content == sorted(content), content
    assert style == sorted(style, reverse=True), style


def the_content_share_is_largest_in_the_middle(shares: Numbers, profile: str) -> None:
    """The content term's share of the total is small at both ends; at 10,000 it is about half."""
    values = list(shares.values())
    assert max(values) > 2 * max(values[0], values[-1]), shares
    if profile == "cpu":
        assert 42 < shares["style weight 10,000"] < 60, shares


def from_noise_less_of_the_photo_is_left(from_photo: Record, from_noise: Record) -> None:
    """With the same weights, the content loss ends higher when the run starts from noise."""
    assert from_noise.content_total > 1.05 * from_photo.content_total, (
        from_noise.content_total,
        from_photo.content_total,
    )


def the_compact_network_does_a_fraction_of_the_work(work: Numbers, profile: str) -> None:
    """VGG-19 up to conv5_1 takes 13 times as many multiplications as the compact one."""
    full, here = work.values()
    assert profile == "gpu" or 12.5 < full / here < 13.5, work
