"""The program that draws the figures of the real VGG-19, with random weights of the same keys and shapes."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch
from conftest import ROOT, narrow_state
from PIL import Image
from safetensors.torch import save_file

from nstlib.pretrained import random_state

FIGURES = ["A2_feature_maps.jpg", "B1_content.jpg", "C1_style_sets.jpg", "C2_style_single.jpg", "D1_texture.jpg"]


@pytest.fixture
def program(monkeypatch):
    """The module of the program."""
    monkeypatch.syspath_prepend(ROOT / "tools")
    import real_vgg19

    monkeypatch.setattr(real_vgg19, "SCALE", 0.5)  # the files' size, and the time, are those of the stored figures / 16
    return real_vgg19


@pytest.fixture
def draw(program, tmp_path):
    """A function that draws small figures in two steps and returns the exit status, the folder and the numbers."""

    def call(weights, *words):
        out = tmp_path / "figures"
        options = ["--size", "32", "--steps", "2", "--out", str(out), "--cache", str(tmp_path / "cache"), *words]
        status = program.main([str(weights), *options])
        numbers = out / "numbers.json"
        return status, out, json.loads(numbers.read_text()) if numbers.is_file() else None

    return call


def psnr_titles(numbers):
    return {name: list(numbers["figures"]["B1"][name]) for name in ("real", "compact")}


def test_weights_that_end_at_conv3_4(draw, tmp_path):
    weights = tmp_path / "teacher.safetensors"
    save_file(random_state(last="conv3_4"), weights)
    status, out, numbers = draw(weights)
    assert status == 0
    assert sorted(path.name for path in out.iterdir()) == [*FIGURES, "numbers.json"]
    for name in FIGURES:
        with Image.open(out / name) as image:
            assert image.width == 420
        assert (out / name).stat().st_size < 300_000
    assert numbers["real"] == {"sha256": hashlib.sha256(weights.read_bytes()).hexdigest(), "last_layer": "pool3"}
    assert set(numbers["versions"]) == {"nstlib", "torch", "python"}
    figures = numbers["figures"]
    assert list(figures["A2"]["layers"]) == ["conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_4"]
    assert all(0 < entry["explained_percent"] <= 100 for entry in figures["A2"]["layers"].values())
    assert psnr_titles(numbers) == dict.fromkeys(("real", "compact"), ["conv1_1", "conv2_1", "conv3_1"])
    assert list(figures["C1"]["real"]) == ["(a) relu1_1", "(b) to relu2_1", "(c) to relu3_1"]
    assert list(figures["C2"]["compact"]) == ["pool1", "pool2", "pool3"]
    assert figures["D1"]["layers"] == ["relu1_1", "relu2_1", "relu3_1"]
    assert all(figures[row]["steps"] == 2 and figures[row]["size"] == 32 for row in ("B1", "C1", "C2", "D1"))
    assert "teacher" not in json.dumps(numbers)  # no name of a file or a folder


def test_weights_that_hold_all_layers(draw, tmp_path):
    weights = tmp_path / "all.pth"
    torch.save(narrow_state(), weights)
    status, out, numbers = draw(weights)
    assert status == 0
    assert sorted(path.name for path in out.iterdir()) == [*FIGURES, "numbers.json"]
    figures = numbers["figures"]
    assert list(figures["A2"]["layers"]) == ["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1", "conv5_4"]
    assert len(psnr_titles(numbers)["real"]) == len(psnr_titles(numbers)["compact"]) == 5
    assert list(figures["C1"]["real"])[-1] == "(e) to relu5_1"
    assert list(figures["C2"]["real"]) == [f"pool{block}" for block in range(1, 6)]
    assert len(figures["D1"]["layers"]) == 5


def test_finished_pictures_are_not_computed_again(draw, program, tmp_path, monkeypatch, capsys):
    weights = tmp_path / "first.safetensors"
    save_file(random_state(widths=(4, 5, 6, 7, 8), last="conv1_1"), weights)
    status, out, numbers = draw(weights, "--only", "B1", "A2")
    assert status == 0
    assert set(numbers["figures"]) == {"A2", "B1"}
    before = (out / "B1_content.jpg").read_bytes()
    monkeypatch.setattr(program, "reconstruct", lambda *_, **__: pytest.fail("computed again"))
    status, _, again = draw(weights, "--only", "B1")
    assert status == 0
    assert (out / "B1_content.jpg").read_bytes() == before
    assert again == numbers  # the other figure's numbers stay
    capsys.readouterr()
    assert draw(weights, "--only", "C2")[0] == 0  # there is no pooling in these weights
    assert "C2: these weights hold none of its layers" in capsys.readouterr().err
    other = tmp_path / "other.safetensors"
    save_file(random_state(widths=(4, 5, 6, 7, 8), last="conv1_1", seed=1), other)
    assert set(draw(other, "--only", "A2")[2]["figures"]) == {"A2"}  # numbers of other weights do not


def test_explained_variance(program):
    maps = torch.randn((1, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    mixed = torch.stack([2 * maps[0, 0] - maps[0, 2] + 5, maps[0, 1]])[None]
    assert program._explained(maps, mixed) == pytest.approx(1, abs=1e-4)
    assert program._explained(maps[:, :1], maps[:, 1:]) < 0.2
    assert program._explained(torch.ones(1, 2, 8, 8) + maps[:, :1] * 0, mixed) == pytest.approx(0, abs=1e-6)


def test_layers_to_show(program):
    assert program.layers_to_show(["conv1_1", "relu1_1"]) == ["conv1_1"]
    layers = ["conv1_1", "conv1_2", "pool1", "conv2_1", "conv2_2", "conv3_1", "conv3_2"]
    assert program.layers_to_show(layers) == ["conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2"]


def test_no_file_is_larger_than_the_limit(program):
    noise = torch.rand((1, 3, 256, 256), generator=torch.Generator().manual_seed(0))
    figure = program.sheet([[("noise", noise)] * 3], "a caption\nof two lines")
    sizes = [len(program.encode(figure, limit)) for limit in (300_000, 60_000, 30_000)]
    assert sizes[0] < 300_000
    assert sizes[1] < 60_000
    assert sizes[2] < 30_000 < 60_000 - sizes[2]


def not_there(folder):
    return folder / "none.safetensors"


def no_weights(folder):
    (folder / "text.safetensors").write_text("no weights")
    return folder / "text.safetensors"


def of_vgg16(folder):
    save_file(narrow_state("vgg16"), folder / "vgg16.safetensors")
    return folder / "vgg16.safetensors"


def without_a_layer(folder):
    state = {key: value for key, value in narrow_state().items() if not key.startswith("features.2.")}
    save_file(state, folder / "gap.safetensors")
    return folder / "gap.safetensors"


def of_another_shape(folder):
    state = narrow_state()
    state["features.2.weight"] = torch.zeros(4, 9, 3, 3)
    save_file(state, folder / "shape.safetensors")
    return folder / "shape.safetensors"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (not_there, "do not exist"),
        (no_weights, "no weights that can be read"),
        (of_vgg16, "these weights are of a vgg16"),
        (without_a_layer, "another network"),
        (of_another_shape, "belong to another network"),
    ],
)
def test_a_wrong_file_gives_one_sentence(draw, tmp_path, capsys, make, words):
    status, out, _ = draw(make(tmp_path))
    message = capsys.readouterr().err
    assert status == 2
    assert words in message
    assert message.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize("words", [["--size", "8"], ["--steps", "0"]])
def test_a_value_that_cannot_be_used(draw, tmp_path, capsys, words):
    assert draw(tmp_path / "unread", *words)[0] == 2
    assert words[0][2:] in capsys.readouterr().err


def test_an_unknown_figure_or_option(program, capsys):
    with pytest.raises(SystemExit) as stop:
        program.main(["weights", "--only", "Z9"])
    assert stop.value.code == 2
    assert "Z9" in capsys.readouterr().err


def test_the_stored_figures_belong_to_the_numbers(program):
    folder = ROOT / "docs" / "images" / "real_vgg19"
    numbers = json.loads((folder / "numbers.json").read_text())
    compact = ROOT / "nstlib" / "weights" / "compact_vgg19.safetensors"
    assert numbers["compact"]["sha256"] == hashlib.sha256(compact.read_bytes()).hexdigest()
    drawn = sorted(program.FIGURES[row][0] for row in numbers["figures"])
    assert sorted(path.name for path in folder.glob("*.jpg")) == drawn
    assert all((folder / name).stat().st_size < 300_000 for name in drawn)
