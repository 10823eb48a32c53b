"""The total loss of each preset compared with the formula of its source, on random weights.

The formulas share no code with the library: they have their own forward pass, Gram matrices and constants.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import narrow_state

from nstlib import PRESETS, Objective, SettingError, VGGFeatures, get_preset
from nstlib.initialization import make_init

INDEX = {
    "conv1_1": 0,
    "conv1_2": 2,
    "conv2_1": 5,
    "conv2_2": 7,
    "conv3_1": 10,
    "conv3_3": 14,
    "conv4_1": 19,
    "conv4_2": 21,
    "conv4_3": 23,
    "conv5_1": 28,
}
"""Index of each convolution in torchvision's ``features``."""

STYLE_LAYERS = ["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"]
CAFFE = torch.tensor([123.68, 116.779, 103.939]).view(1, 3, 1, 1)
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


def activations(state, x, relu: bool, average: bool):
    """Return the activations before or after the ReLU, by the name of the convolution."""
    out = {}
    for i in range(30):
        if f"features.{i}.weight" in state:
            x = F.conv2d(x, state[f"features.{i}.weight"], state[f"features.{i}.bias"], padding=1)
            if not relu:
                out[i] = x
        elif f"features.{i - 1}.weight" in state:
            x = F.relu(x)
            if relu:
                out[i - 1] = x
        else:
            x = F.avg_pool2d(x, 2) if average else F.max_pool2d(x, 2)
    return {n: out[i] for n, i in INDEX.items()}


def gram(f):
    v = f[0].reshape(f.shape[1], -1)  # (C, H*W)
    return v @ v.T


def course(state, x, c, s, preset="course", layer="conv4_2"):
    fx, fc, fs = (activations(state, (t - MEAN) / STD, True, True) for t in (x, c, s))
    content = ((fx[layer] - fc[layer]) ** 2).sum() / (fc[layer] ** 2).sum()
    style = 0
    for n in STYLE_LAYERS:
        g, a = gram(fx[n]) / fx[n][0, 0].numel(), gram(fs[n]) / fs[n][0, 0].numel()
        style += ((g - a) ** 2).sum() / (a**2).sum() / 5
    tv = ((x[:, :, 1:] - x[:, :, :-1]) ** 2).mean() + ((x[..., 1:] - x[..., :-1]) ** 2).mean()
    p = PRESETS[preset]
    return p.content_weight * content + p.style_weight * style + p.tv_weight * tv


def course_network(state, x, c, s):
    return course(state, x, c, s, "course_network", "conv3_3")


def gatys2016(state, x, c, s):
    fx, fc, fs = (activations(state, t * 255 - CAFFE, True, True) for t in (x, c, s))
    content = 0.5 * ((fx["conv4_2"] - fc["conv4_2"]) ** 2).sum()
    style = 0
    for n in STYLE_LAYERS:  # 1/(4 N^2 M^2) sum (G - A)^2, each Gram matrix with the M of its own picture
        channels = fx[n].shape[1]
        g, a = gram(fx[n]) / fx[n][0, 0].numel(), gram(fs[n]) / fs[n][0, 0].numel()
        style += 0.2 * ((g - a) ** 2).sum() / (4 * channels**2)
    return content + 1e3 * style


def gatys_pytorch(state, x, c, s):
    fx, fc, fs = (activations(state, t * 255 - CAFFE, True, False) for t in (x, c, s))
    total = F.mse_loss(fx["conv4_2"], fc["conv4_2"])
    for n in STYLE_LAYERS:
        g, a = gram(fx[n]) / fx[n][0, 0].numel(), gram(fs[n]) / fs[n][0, 0].numel()
        total += 1e3 / fx[n].shape[1] ** 2 * F.mse_loss(g, a)
    return total


def pytorch_tutorial(state, x, c, s):
    fx, fc, fs = (activations(state, (t - MEAN) / STD, False, False) for t in (x, c, s))
    total = F.mse_loss(fx["conv2_2"], fc["conv2_2"])
    for n in ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"):
        total += 1e6 * F.mse_loss(gram(fx[n]) / fx[n].numel(), gram(fs[n]) / fs[n].numel())
    return total


def gordicaleksa(state, x, c, s):
    mean = torch.tensor([123.675, 116.28, 103.53]).view(1, 3, 1, 1)
    x, c, s = (t * 255 - mean for t in (x, c, s))
    fx, fc, fs = (activations(state, t, True, False) for t in (x, c, s))
    style = sum(((gram(fx[n]) / fx[n].numel() - gram(fs[n]) / fs[n].numel()) ** 2).sum() for n in STYLE_LAYERS) / 5
    tv = (x[:, :, :, :-1] - x[:, :, :, 1:]).abs().sum() + (x[:, :, :-1] - x[:, :, 1:]).abs().sum()
    return 1e5 * F.mse_loss(fx["conv4_2"], fc["conv4_2"]) + 3e4 * style + tv


def neural_style_pt(state, x, c, s):
    x, c, s = (t * 255 - CAFFE for t in (x, c, s))
    fx, fc, fs = (activations(state, t, True, False) for t in (x, c, s))
    total = 5 * F.mse_loss(fx["conv4_2"], fc["conv4_2"])
    for n in STYLE_LAYERS:
        total += 1e2 * F.mse_loss(gram(fx[n]) / fx[n].numel(), gram(fs[n]) / fs[n].numel())
    tv = (x[:, :, 1:] - x[:, :, :-1]).abs().sum() + (x[..., 1:] - x[..., :-1]).abs().sum()
    return total + 1e-3 * tv


def pytorch_examples(state, x, c, s):
    fx, fc, fs = (activations(state, (t - MEAN) / STD, True, False) for t in (x, c, s))
    total = 1e5 * F.mse_loss(fx["conv2_2"], fc["conv2_2"])
    for n in ("conv1_2", "conv2_2", "conv3_3", "conv4_3"):
        total += 1e10 * F.mse_loss(gram(fx[n]) / fx[n].numel(), gram(fs[n]) / fs[n].numel())
    return total


ALL = (
    course,
    course_network,
    gatys2016,
    gatys_pytorch,
    pytorch_tutorial,
    gordicaleksa,
    neural_style_pt,
    pytorch_examples,
)
FORMULAS = {f.__name__: f for f in ALL}


def test_every_preset_has_a_formula():
    assert set(FORMULAS) == set(PRESETS)


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("style_size", [(32, 48), (40, 36)])
def test_loss_equals_the_formula_of_the_source(name, style_size, painting):
    generator = torch.Generator().manual_seed(1)
    x, c = torch.rand(1, 3, 32, 48, generator=generator), torch.rand(1, 3, 32, 48, generator=generator)
    s = torch.rand(1, 3, *style_size, generator=generator)
    state, preset = narrow_state(), get_preset(name)
    features = VGGFeatures(
        weights=state, pooling=preset.pooling, precision="float32", preprocessing=preset.preprocessing
    )
    ours = Objective(preset, features, c, s)(x)
    expected = FORMULAS[name](state, x, c, s)
    assert ours.shape == (1,)
    assert torch.isclose(ours[0], expected, rtol=2e-4), (ours.item(), expected.item())


def test_loss_of_course_hardly_depends_on_the_size_of_the_pictures():
    """Pictures repeated 2 x 2 give nearly the same loss, so that one weight suits every size.

    Only nearly, because the zeros of the padding have less influence in a larger picture.
    """
    features = VGGFeatures(weights="compact", pooling="avg", precision="float32")
    generator = torch.Generator().manual_seed(0)
    x, c, s = (torch.rand(1, 3, 128, 128, generator=generator) ** power for power in (2, 1, 0.2))
    one = Objective(get_preset("course"), features, c, s)(x)
    four = Objective(get_preset("course"), features, *(t.repeat(1, 1, 2, 2) for t in (c, s)))(x.repeat(1, 1, 2, 2))
    assert torch.isclose(one, four, rtol=0.15).all(), (one, four)


def test_errors_for_unknown_presets_and_fields():
    with pytest.raises(SettingError, match="did you mean 'gatys2016'"):
        get_preset("gatys")
    with pytest.raises(SettingError, match="no field"):
        get_preset("course").replace(contentweight=3)
    with pytest.raises(SettingError, match="unknown"):
        get_preset(["course"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"content_weight": float("nan")}, "content weight must be a number >= 0, not nan"),
        ({"style_weight": "much"}, "style weight must be a number"),
        ({"tv_weight": -1}, "tv weight"),
        ({"style_weight": torch.tensor([1.0, -2.0])}, "style weight"),
        ({"content_layers": {"relu4_2": math.inf}}, "the weight of relu4_2"),
        ({"style_layers": [1, 2]}, "layers are names"),
        ({"style_layers": 5}, "layers are names"),
        ({"learning_rate": 0}, "learning rate must be a number > 0"),
        ({"steps": 0}, "steps must be a whole number, at least 1"),
        ({"steps": 10**19}, "at most 1000000000"),
        ({"steps": True}, "steps"),
        ({"history": 2.5}, "history"),
        ({"optimizer": "sgd"}, "optimizer 'sgd' is unknown; use one of lbfgs"),
        ({"pooling": ["max"]}, "pooling"),
        ({"preprocessing": "caffe256"}, "preprocessing"),
        ({"gram_divisor": "wh"}, "gram_divisor"),
        ({"arch": "vgg13"}, "vgg13"),
    ],
)
def test_presets_are_checked_when_they_are_made(changes, words):
    with pytest.raises(SettingError, match=words):
        get_preset("course").replace(**changes)


def test_layers_may_be_named_without_weights():
    """Names alone share a weight of 1 equally; weights may be tensors with one number for each picture."""
    preset = get_preset("course").replace(content_layers="relu2_1", style_layers=["relu1_1", "relu2_1"])
    assert preset.content_layers == {"relu2_1": 1.0}
    assert preset.style_layers == {"relu1_1": 0.5, "relu2_1": 0.5}
    weights = torch.tensor([1.0, 0.0])
    assert get_preset("course").replace(content_layers={"relu2_1": weights}).content_layers["relu2_1"] is weights


def test_first_picture_of_neural_style_pt_is_black_before_the_mean_is_added():
    """It starts near zero on the scale of the Caffe weights: the mean color once the preprocessing is undone."""
    preset = get_preset("neural_style_pt")
    picture = make_init(preset.init, None, (2, 3, 4, 5))
    assert preset.preprocessing == "caffe255"
    assert (picture * 255 - CAFFE).abs().max() < 1e-4


def test_settings_that_follow_the_original_code():
    assert get_preset("gatys_pytorch").history == 100  # torch's L-BFGS without arguments
    assert get_preset("pytorch_examples").arch == "vgg16"
    assert all(preset.arch == "vgg19" for name, preset in PRESETS.items() if name != "pytorch_examples")


HUGE = 10**400


@pytest.mark.parametrize("value", [HUGE, -HUGE, 10**5000], ids=["huge", "negative", "too long to print"])
@pytest.mark.parametrize("name", ["content_weight", "style_weight", "tv_weight", "learning_rate", "style_factor"])
def test_whole_numbers_beyond_the_range_of_floats_are_refused(name, value):
    """They ended in OverflowError, or in ValueError where the message would have shown them."""
    with pytest.raises(SettingError, match=f"{name.replace('_', ' ')} must be a number"):
        get_preset("course").replace(**{name: value})
    with pytest.raises(SettingError, match="steps must be a whole number"):
        get_preset("course").replace(steps=10**5000)


def test_messages_are_one_line_whatever_they_show():
    with pytest.raises(SettingError) as caught:
        get_preset("course").replace(style_layers=[np.zeros((9, 9))])
    assert "\n" in caught.value.args[0]
    assert "\n" not in str(caught.value)


def test_an_objective_takes_the_name_of_a_preset(painting):
    features = VGGFeatures(weights=narrow_state(), pooling="avg")
    by_name, by_preset = (Objective(p, features, painting, painting) for p in ("course", get_preset("course")))
    assert by_name.preset is by_preset.preset
    assert torch.equal(by_name(1 - painting), by_preset(1 - painting))
    with pytest.raises(SettingError, match="preset 'coarse' is unknown"):
        Objective("coarse", features, painting)
    with pytest.raises(SettingError, match="features is of the type str"):
        Objective("course", "vgg19", painting)
