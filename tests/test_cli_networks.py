"""The commands nst train, stylize, models and export."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from nstlib import SettingError, TrainingConfig, TransformerNet, WeightsError, images
from nstlib.cli.main import main
from nstlib.cli.options import field_docs
from nstlib.feedforward.models import describe_model, load_model, model_names, style_weights, styles_of


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """The file of a small network with three styles."""
    torch.manual_seed(0)
    net = TransformerNet("conditional", styles=3, width=4, blocks=1)
    for name, value in net.named_parameters():
        if "norm" in name:
            torch.nn.init.normal_(value, 0.5, 0.5)
    card = {"config": {"styles": ["red", "green", "blue"]}}
    return net.save(tmp_path_factory.mktemp("net") / "three.safetensors", card)


@pytest.fixture
def folder(tmp_path, photo):
    root = tmp_path / "photos"
    images.save(photo, root / "a.jpg")
    images.save(photo.flip(3), root / "inside" / "a.png")
    images.to_pil(photo.flip(2)).save(root / "b.bmp")
    (root / "broken.png").write_bytes((root / "inside" / "a.png").read_bytes()[:200])
    (root / "notes.txt").write_text("not a picture")
    return root


def test_stylize_continues_after_a_broken_file(network, folder, tmp_path, capsys):
    out = tmp_path / "painted"
    status = main(["stylize", str(folder), "--model", str(network), "-o", str(out), "--quiet"])
    printed = capsys.readouterr()
    assert status == 1
    assert "3 of 4 pictures painted" in printed.out
    assert printed.err.count("nst:") == 1
    assert "broken.png' is damaged or cut off" in printed.err
    assert sorted(str(p.relative_to(out)) for p in out.rglob("*.*")) == ["a.jpg", "b.png", "inside/a.png"]
    painted, photo = images.load(out / "inside" / "a.png"), images.load(folder / "inside" / "a.png")
    assert painted.shape == photo.shape
    net = TransformerNet.load(network)
    with torch.no_grad():
        assert (net.for_inference()(photo, 0) - painted).abs().max() < 2 / 255


def test_stylize_with_a_style_a_mixture_and_a_size(network, folder, tmp_path, capsys):
    for style, out in (("blue", "one"), ("red=1,blue=3", "two")):
        words = [str(folder / "a.jpg"), "--model", str(network), "--style", style, "-o", str(tmp_path / out)]
        assert main(["stylize", *words, "--size", "32", "--quiet", "--precision", "float32"]) == 0
    one, two = (images.load(tmp_path / out / "a.jpg") for out in ("one", "two"))
    assert one.shape == two.shape == (1, 3, 24, 32)
    net, photo = TransformerNet.load(network), images.load(folder / "a.jpg", 32)
    with torch.no_grad():
        assert (net(photo, torch.tensor([0.25, 0, 0.75])) - two).abs().mean() < 0.03
    assert (one - two).abs().mean() > 0.01


def test_equal_names_are_numbered_and_no_input_is_overwritten(network, folder, tmp_path, capsys):
    first, second = folder / "a.jpg", tmp_path / "more" / "a.jpg"
    images.save(images.load(first), second)
    words = ["--model", str(network), "--quiet"]
    assert main(["stylize", str(first), str(second), "-o", str(tmp_path / "o"), *words]) == 0
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == ["a.jpg", "a_2.jpg"]
    before = first.read_bytes()
    assert main(["stylize", str(first), "-o", str(folder), *words]) == 2  # none was painted
    assert "would be overwritten" in capsys.readouterr().err
    assert first.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "nothing"], "there is no network 'nothing'"),
        (["--model", "{net}", "--style", "pink"], "holds no style 'pink'; it holds red, green, blue"),
        (["--model", "{net}", "--style", "red=much"], "'much' is not a number"),
        (["--model", "{net}", "--style", "red=-1,blue=2"], "must not be negative"),
        (["--model", "{net}", "--size", "3"], "--size must be a whole number"),
        (["--model", "missing.safetensors"], "does not exist"),
        (["--model", "{net}", "--style", ","], "',' names no style; the network holds red, green, blue"),
        (["--model", "{net}", "--device", "meta"], "device 'meta' cannot be used here"),
    ],
)
def test_errors_are_one_line_with_status_2(network, folder, tmp_path, capsys, words, message):
    words = [w.format(net=network) for w in words]
    assert main(["stylize", str(folder), *words, "-o", str(tmp_path / "o"), "--quiet"]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert not (tmp_path / "o").exists()


def test_train_from_a_file_and_stylize(folder, tmp_path, painting, capsys):
    """Train for a few steps, resume with other settings (an error), and use the network by its path."""
    images.save(painting, tmp_path / "style.png")
    config = {
        "photos": str(folder),
        "styles": [str(tmp_path / "style.png")],
        "content_layers": ["relu1_2"],
        "style_layers": ["relu1_1"],
        "width": 4,
        "blocks": 1,
        "size": 32,
        "style_size": 48,
        "batch": 2,
        "steps": 3,
        "identity_steps": 0,
        "picture_every": 2,
    }
    (tmp_path / "c.json").write_text(json.dumps(config))
    run = tmp_path / "run"
    words = ["train", "--quiet", "--config", str(tmp_path / "c.json"), "--output", str(run)]
    assert main(words) == 0
    printed = capsys.readouterr()
    assert "3 steps, 6 crops" in printed.out
    assert "1 photos could not be read" in printed.err
    assert (run / "pictures" / "000002.jpg").exists()
    assert main([*words, "--resume", "--steps", "4"]) == 2
    assert "trained with steps = 3, not 4" in capsys.readouterr().err
    net = run / "network.safetensors"
    assert main(["stylize", str(folder / "a.jpg"), "--model", str(net), "-o", str(tmp_path / "o"), "--quiet"]) == 0
    assert styles_of(load_model(net)) == ["style"]


@pytest.mark.slow
def test_export_prints_the_largest_difference(network, tmp_path, capsys):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    assert main(["export", str(network), "-o", str(tmp_path / "net.onnx")]) == 0
    printed = capsys.readouterr().out
    assert float(printed.split(": ")[1].split()[0]) < 1e-4
    assert "weights of red, green, blue" in printed
    assert main(["export", str(network), "-o", str(tmp_path / "net.pt")]) == 2


def test_mixtures_of_styles(network):
    net = TransformerNet.load(network)
    assert style_weights(net) == 0
    assert style_weights(net, "blue") == 2
    assert torch.allclose(style_weights(net, "red=2, blue=1"), torch.tensor([2 / 3, 0, 1 / 3]))
    with pytest.raises(SettingError):
        style_weights(net, "red=0")
    with pytest.raises(SettingError, match="the style is of the type int"):
        style_weights(net, 1)


def test_errors_for_a_name_where_a_network_belongs():
    for call in (styles_of, style_weights):
        with pytest.raises(SettingError, match="the network is of the type str"):
            call("many")
    for wrong in (None, 5, b"waves"):
        with pytest.raises(SettingError, match="give one of model_names"):
            load_model(wrong)


def test_a_network_is_exported_under_a_name_that_says_so(tmp_path, capsys):
    for name in ("x.txt", "."):
        assert main(["export", "waves", "-o", str(tmp_path / name)]) == 2
        assert "does not end in .onnx; give a name such as" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a place that only seems to be writable")
@pytest.mark.parametrize("words", [["stylize", "{photo}", "--model", "waves"], ["export", "waves"]])
def test_outputs_are_tried_before_the_work(folder, monkeypatch, capsys, words):
    monkeypatch.setattr("nstlib.cli.networks.load_model", lambda *_: pytest.fail("the work has begun"))
    assert main([*(w.format(photo=folder / "a.jpg") for w in words), "-o", "/proc/new/x.onnx"]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_network_of_a_single_style_gives_the_same_output(network, photo):
    net = TransformerNet.load(network)
    with torch.no_grad():
        for i in range(3):
            assert torch.allclose(net.single(i)(photo), net(photo, i), atol=1e-6)
    with pytest.raises(SettingError):
        net.single(3)


def test_networks_of_the_package(capsys, photo):
    """Each is listed and described, loads, and paints."""
    assert main(["models"]) == 0
    printed = capsys.readouterr().out
    for name in model_names():
        assert name in printed
        net, about = load_model(name), describe_model(name)
        assert about["styles"].split(", ") == styles_of(net)
        with torch.no_grad():
            painted = net.for_inference()(photo)
        assert painted.shape == photo.shape
        assert painted.std() > 0.05  # neither black nor grey
    with pytest.raises(WeightsError):
        load_model("nowhere.safetensors")


def test_help_of_train_explains_every_setting_with_its_default(capsys, monkeypatch):
    """The texts come from TrainingConfig's docstring, the defaults from the profile."""
    monkeypatch.setenv("NST_PROFILE", "cpu")
    monkeypatch.setenv("COLUMNS", "400")
    with pytest.raises(SystemExit) as stop:
        main(["train", "--help"])
    assert stop.value.code == 0
    printed = " ".join(capsys.readouterr().out.split())
    texts, defaults = field_docs(TrainingConfig), TrainingConfig.for_profile()
    for field in dataclasses.fields(TrainingConfig):
        option, text, default = f"--{field.name.replace('_', '-')}", texts[field.name], getattr(defaults, field.name)
        entry = printed[printed.rindex(option) :]
        assert entry.startswith(option)
        assert text in entry[: len(text) + 80], field.name
        if default is not None and default is not False and default not in ("", ()):
            assert f"{text} (default: {default})" in entry, field.name


def test_options_replace_the_settings_of_a_toml_file(folder, tmp_path, painting, capsys):
    images.save(painting, tmp_path / "style.png")
    file = tmp_path / "c.toml"
    file.write_text(
        f'photos = "{folder.as_posix()}"\nstyles = ["{(tmp_path / "style.png").as_posix()}"]\nwidth = 4\nblocks = 1\n'
        'size = 32\nstyle_size = 48\ncontent_layers = ["relu1_2"]\nstyle_layers = ["relu1_1"]\nsteps = 3\nbatch = 1\n'
    )
    words = ["train", "--quiet", "--config", str(file), "--output", str(tmp_path / "run"), "--steps", "2"]
    assert main([*words, "--identity-steps", "0", "--content-layers", "relu1_1", "relu1_2"]) == 0
    assert "2 steps, 2 crops" in capsys.readouterr().out
    card = TransformerNet.load(tmp_path / "run" / "network.safetensors").card
    assert list(card["config"]["content_layers"]) == ["relu1_1", "relu1_2"]
