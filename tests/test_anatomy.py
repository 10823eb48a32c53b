"""Heat maps, the ranking of channels, the table, the browser and the figures of the lessons."""

from __future__ import annotations

import pytest
import torch

from nstlib.course import anatomy, figures

pytest.importorskip("matplotlib")


def random_maps(channels: int = 6, height: int = 12, width: int = 16) -> torch.Tensor:
    return torch.randn(1, channels, height, width, generator=torch.Generator().manual_seed(0))


def test_a_heatmap_keeps_the_shape_and_the_order_of_the_values():
    values = torch.linspace(0, 1, 8).expand(4, 8)
    picture = anatomy.heatmap(values, 64)
    assert picture.shape == (1, 3, 32, 64)
    light = picture[0].sum(0)[0]
    assert light[-1] > light[32] > light[0]
    assert len(light.unique()) == 8  # each value is a square, nothing is smoothed
    assert anatomy.heatmap(values, 4).shape == (1, 3, 2, 4)


def test_a_signed_heatmap_has_two_colours_and_a_neutral_zero():
    red, blue = anatomy.heatmap(torch.tensor([[-1.0, 0.0, 1.0]]), 3, signed=True)[0, [0, 2], 0]
    assert blue[0] > red[0]
    assert red[2] > blue[2]
    assert abs(red[1] - blue[1]) < 0.02


def test_a_heatmap_of_zeros_is_dark_and_finite():
    assert torch.isfinite(anatomy.heatmap(torch.zeros(3, 3))).all()
    assert anatomy.heatmap(torch.zeros(3, 3)).mean() < 0.02


def test_vmax_sets_the_value_of_the_brightest_colour():
    values = torch.tensor([[0.0, 1.0]])
    assert anatomy.heatmap(values, 2, vmax=2.0).mean() < anatomy.heatmap(values, 2, vmax=1.0).mean()


def test_the_channel_that_varies_most_comes_first_and_its_copy_last():
    x = random_maps()
    x[0, 4] *= 5
    x[0, 2] = 4 * x[0, 4] / 5
    found = anatomy.top_channels(x, 6)
    assert found[0] == 4
    assert found[-1] == 2
    assert sorted(found) == list(range(6))
    assert len(anatomy.top_channels(x, 3)) == 3


def test_the_border_does_not_count():
    x = random_maps()
    x[0, 1] = 0
    x[0, 1, 0] = 100
    assert anatomy.top_channels(x, 6)[-1] == 1


def test_a_table_shows_integers_with_commas():
    table = anatomy.Table(["layer", "count"], [["conv1_1 <b>", 1792], ["fc6", 102764544]])
    assert repr(table).splitlines()[2].endswith("102,764,544")
    assert "&lt;b&gt;" in table._repr_html_()


def test_the_browser_shows_the_selected_map():
    pytest.importorskip("ipywidgets")
    browser = anatomy.Browser({"relu1_1": random_maps(), "relu2_1": random_maps(4, 6, 8)}, channels=5)
    assert browser.channel.max == 4
    first = browser.view.value
    browser.layer.value = "relu2_1"
    second = browser.view.value
    browser.channel.value = 3
    assert len({first, second, browser.view.value}) == 3
    assert "relu2_1" in browser.label.value
    assert "of 4, 8 x 6" in browser.label.value


def test_figures_are_drawn():
    photo = torch.rand(1, 3, 20, 30)
    predictions = {"a": [("tabby, tabby cat", 0.6), ("lion", 0.2)]}
    for figure in (
        anatomy.show_predictions({"a": photo}, predictions),
        anatomy.lines({"x": {"a": 1.0, "b": 20.0}, "y": {"a": 2.0, "b": 3.0}}, "title", "%", log=True),
        anatomy.panels(2)[0],
    ):
        assert figures.jpeg(figure).startswith(b"\xff\xd8")


def test_long_names_of_classes_do_not_make_the_photos_smaller():
    photos = {name: torch.rand(1, 3, 40, 60) for name in ("a", "b", "c")}
    classes = [("tabby, tabby cat", 0.6), ("a class with an endless name that nobody can read", 0.2), ("lynx", 0.1)]
    figure = anatomy.show_predictions(photos, dict.fromkeys(photos, classes))
    figure.draw_without_rendering()
    photo_axes, bar_axes = figure.axes[:3], figure.axes[3:]
    for ax, bars in zip(photo_axes, bar_axes):
        assert ax.get_window_extent().width == pytest.approx(figures.PAGE_WIDTH / 3, rel=0.06)
        assert all(note.get_window_extent().x1 <= bars.get_window_extent().x1 for note in bars.texts)
    assert bar_axes[0].texts[0].get_text() == "tabby  60%"
    assert "…" in bar_axes[0].texts[1].get_text()
    assert "a: tabby, tabby cat 60%" in figures.alt_text(figure)
