"""Activations and gradients compared with plain PyTorch, precision, and loading of weights."""

from __future__ import annotations

import copy
import io
import pickle
import urllib.error

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import narrow_state
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from nstlib import (
    ImageError,
    LayerError,
    SettingError,
    VGGFeatures,
    WeightsError,
    classify,
    default_weights,
    layer_names,
    pretrained,
    vgg,
)


def plain_vgg(state: dict, arch: str, images: torch.Tensor, pooling: str = "max") -> dict[str, torch.Tensor]:
    """Return the activations of every layer, from a plain loop."""
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    x, out = (images - mean) / std, {}
    for index, name in enumerate(layer_names(arch)):
        if name.startswith("conv"):
            x = F.conv2d(x, state[f"features.{index}.weight"], state[f"features.{index}.bias"], padding=1)
        elif name.startswith("relu"):
            x = x.clamp(min=0)
        else:
            x = F.max_pool2d(x, 2) if pooling == "max" else F.avg_pool2d(x, 2)
        out[name] = x
    return out


@pytest.mark.parametrize("arch", ["vgg16", "vgg19"])
@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_all_layers_in_one_pass(arch, pooling):
    state, images = narrow_state(arch), torch.rand(2, 3, 48, 32)
    network = VGGFeatures(arch, state, pooling=pooling, precision="float32")
    names = layer_names(arch)
    found, expected = network(images, names), plain_vgg(state, arch, images, pooling)
    assert list(found) == names
    for name in names:  # including conv and relu of the same layer, of which neither may be overwritten
        assert torch.allclose(found[name], expected[name], atol=1e-4), name
        assert found[name].shape[1] == network.channels(name)


def test_layer_names_are_in_the_order_of_torchvision():
    names = layer_names("vgg19")
    assert len(names) == 37
    assert names.index("conv4_2") == 21
    assert layer_names("vgg16").index("conv4_3") == 21


def test_forward_pass_ends_after_the_deepest_layer(state, monkeypatch):
    network, calls = VGGFeatures(weights=state), []
    for name, conv in network.convs.items():
        conv.register_forward_hook(lambda *_, name=name: calls.append(name))
    network(torch.rand(1, 3, 32, 32), ["relu2_1", "relu1_1"])
    assert calls == ["conv1_1", "conv1_2", "conv2_1"]


def test_gradients_flow_to_the_images_and_not_to_the_parameters(state):
    images = torch.rand(1, 3, 32, 32, requires_grad=True)
    network = VGGFeatures(weights=state)
    network(images, ["relu4_2"])["relu4_2"].float().sum().backward()
    assert images.grad.abs().sum() > 0
    assert all(p.grad is None for p in network.parameters())


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_gradients_equal_those_of_pytorch_layers(state, pooling):
    """In float64, at odd sizes, where a pooling drops a row; first and second derivatives also numerically."""
    network = VGGFeatures(weights=state, pooling=pooling).double()
    pool = nn.AvgPool2d(2) if pooling == "avg" else nn.MaxPool2d(2)
    sequential = nn.Sequential()
    for name in layer_names()[: layer_names().index("relu4_2") + 1]:
        if name.startswith("conv"):
            sequential.append(network.convs[name])
        else:
            sequential.append(pool if name.startswith("pool") else nn.ReLU())
    images = torch.rand(2, 3, 37, 43, dtype=torch.float64, requires_grad=True)
    found = network(images, ["relu4_2"])["relu4_2"]
    expected = sequential(images * network.input_scale - network.input_offset)
    weights = torch.rand_like(found)
    gradient, expected_gradient = (
        torch.autograd.grad((weights * features.square()).sum(), images)[0] for features in (found, expected)
    )
    assert torch.allclose(found, expected, rtol=1e-9, atol=1e-12)
    assert torch.allclose(gradient, expected_gradient, rtol=1e-9, atol=1e-12)
    small = images[:1, :, :9, :9].detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: network(x, ["conv2_1"])["conv2_1"], small, eps=1e-7)
    assert torch.autograd.gradgradcheck(lambda x: network(x, ["pool1"])["pool1"].square(), small[..., :4, :4], eps=1e-7)


def test_order_of_layers(state):
    """``iter_features`` yields them in the order of the network, ``forward`` returns them in the order asked for."""
    network, layers = VGGFeatures(weights=state), ["relu3_1", "conv1_1", "pool2", "relu1_1"]
    found = [name for name, _ in network.iter_features(torch.rand(1, 3, 32, 32), layers)]
    assert found == ["conv1_1", "relu1_1", "pool2", "relu3_1"]
    assert list(network(torch.rand(1, 3, 32, 32), layers)) == layers


def test_activations_are_float32_rounded_to_bfloat16_until_the_chosen_layer():
    """In bfloat16 the first layers compute in float32, and only their results are rounded."""
    images = vgg._dead_leaves(64)
    exact = VGGFeatures(weights="compact", precision="float32")(images, ["relu2_2", "relu3_4"])
    for last, equal in (("conv3_4", True), ("conv1_1", False)):
        network = VGGFeatures(weights="compact", precision="bfloat16", float32_until=last)
        assert network.convs["conv1_1"].weight.dtype == torch.float32
        assert network.convs["conv4_1"].weight.dtype == torch.bfloat16
        for name, found in network(images, ["relu2_2", "relu3_4"]).items():
            assert found.dtype == torch.bfloat16
            assert torch.equal(found, exact[name].bfloat16()) is equal, (last, name)
    with pytest.raises(LayerError, match="conv2_2"):
        VGGFeatures(weights="compact", float32_until="relu9_9")


def test_bfloat16_is_close_to_float32():
    images = vgg._dead_leaves(96)
    gradients = []
    for precision in ("float32", "bfloat16"):
        x = images.clone().requires_grad_()
        found = VGGFeatures(weights="compact", pooling="avg", precision=precision)(x, ["relu3_1"])["relu3_1"]
        assert found.dtype == getattr(torch, precision)
        found.float().square().mean().backward()
        gradients.append(x.grad)
    assert F.cosine_similarity(*(g.flatten() for g in gradients), dim=0) > 0.999
    assert abs(gradients[1].norm() / gradients[0].norm() - 1) < 0.02


def test_rescaled_average_pooling_keeps_the_size_of_activations():
    picture = vgg._dead_leaves(160, seed=1)  # another picture than the one that sets the gain

    def means(**settings):
        network = VGGFeatures(weights="compact", precision="float32", **settings)
        return torch.stack([f.mean() for f in network(picture, ["relu2_1", "relu3_1", "relu4_1"]).values()])

    reference = means(pooling="max")
    plain_average, rescaled = means(pooling="avg"), means(pooling="avg", rescale=True)
    assert ((rescaled / reference - 1).abs() < (plain_average / reference - 1).abs()).all()
    assert (rescaled / reference - 1).abs().max() < 0.35


@pytest.mark.parametrize(("wrong", "right"), [("relu4-2", "relu4_2"), ("Conv1_1", "conv1_1"), ("pool6", "pool5")])
def test_errors_for_unknown_layers_suggest_the_nearest_name(state, wrong, right):
    with pytest.raises(LayerError, match=f"did you mean '{right}'"):
        VGGFeatures(weights=state)(torch.rand(1, 3, 32, 32), [wrong])


def test_files_may_hold_the_first_layers_only(tmp_path, state):
    first = {k: v for k, v in state.items() if int(k.split(".")[1]) <= 16}
    save_file(first, tmp_path / "w.safetensors")
    network = VGGFeatures(weights=tmp_path / "w.safetensors")
    assert network.available[-1] == "pool3"
    network(torch.rand(1, 3, 32, 32), ["relu3_4"])
    with pytest.raises(LayerError, match="end at 'pool3' and do not reach 'relu4_2'"):
        network(torch.rand(1, 3, 32, 32), ["relu4_2"])


def test_pth_files_are_read_without_executing_code(tmp_path, state):
    torch.save(state, tmp_path / "w.pth")
    assert VGGFeatures(weights=tmp_path / "w.pth").available[-1] == "pool5"
    torch.save({"features.0.weight": io.StringIO("code")}, tmp_path / "bad.pth")
    with pytest.raises(WeightsError, match="no weights that can be read"):
        VGGFeatures(weights=tmp_path / "bad.pth")


FIVE_BY_FIVE = {"features.0.weight": torch.zeros(4, 3, 5, 5), "features.0.bias": torch.zeros(4)}


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ("nowhere.safetensors", "do not exist"),
        ({}, "features.0.weight"),
        ({"features.0.weight": 1, 2: "x"}, "features.0.weight"),
        (FIVE_BY_FIVE, "another network"),
        ([1], "a path or a state dict"),
    ],
)
def test_errors_for_weights_that_do_not_fit(weights, words):
    with pytest.raises(WeightsError, match=words):
        VGGFeatures(weights=weights)


@pytest.mark.parametrize("arch", ["vgg16", "vgg19"])
def test_imagenet_weights_are_loaded_with_torchvision(monkeypatch, arch):
    """The real loading code, with a random state dict that has the keys and shapes of torchvision's."""
    entry = pretrained.imagenet_entry(arch)
    arguments = {}

    def get_state_dict(self, *args, **kwargs):
        arguments.update(kwargs, url=self.url)
        return {**pretrained.random_state(arch), "classifier.0.weight": torch.zeros(1, 1)}

    monkeypatch.setattr(type(entry), "get_state_dict", get_state_dict)
    network = VGGFeatures(arch, "imagenet", precision="float32")
    assert arguments["check_hash"] is True
    assert arch in arguments["url"]
    import torchvision

    with torch.device("meta"):
        reference = getattr(torchvision.models, arch)().features
    shapes = [tuple(p.shape) for p in reference.parameters()]
    assert [tuple(p.shape) for p in network.convs.parameters()] == shapes


def test_error_for_a_failed_download_suggests_the_compact_weights(monkeypatch):
    entry = pretrained.imagenet_entry("vgg19")

    def fail(self, *args, **kwargs):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(type(entry), "get_state_dict", fail)
    with pytest.raises(WeightsError, match="no route to host.*weights='compact'"):
        VGGFeatures(weights="imagenet")


def test_default_weights_depend_on_the_profile_only(monkeypatch):
    for profile, weights in (("smoke", "compact"), ("cpu", "compact"), ("gpu", "imagenet")):
        monkeypatch.setenv("NST_PROFILE", profile)
        assert default_weights() == weights
    monkeypatch.delenv("NST_PROFILE")
    assert default_weights() == "compact"


def test_error_for_pictures_that_are_too_small(state):
    with pytest.raises(ImageError, match="at least 16 pixels"):
        VGGFeatures(weights=state)(torch.rand(1, 3, 15, 40), ["relu5_1"])
    assert VGGFeatures(weights=state)(torch.rand(1, 3, 16, 40), ["relu5_1"])["relu5_1"].shape[2:] == (1, 2)


@pytest.mark.parametrize(("loaded_as", "other"), [("vgg19", "vgg16"), ("vgg16", "vgg19")])
@pytest.mark.parametrize("own_keys", [False, True])
def test_weights_of_the_other_architecture_are_noticed(loaded_as, other, own_keys):
    state = narrow_state(other)
    if own_keys:
        state = VGGFeatures(other, state).state_dict()
    with pytest.raises(WeightsError, match=f"of a {other}, not of a {loaded_as}"):
        VGGFeatures(loaded_as, state)
    first = {k: v for k, v in narrow_state(other).items() if int(k.split(".")[1]) <= 14}
    assert VGGFeatures(loaded_as, first).available[-1] == ("pool3" if loaded_as == "vgg16" else "relu3_3")


def test_weights_with_a_gap_or_of_another_network_are_refused(state):
    gap = {k: v for k, v in state.items() if not k.startswith("features.10.")}
    no_weight = {k: v for k, v in state.items() if k != "features.10.weight"}
    with_norms = {f"features.{i}.{p}": torch.zeros(1) for i in (0, 1, 3, 4) for p in ("weight", "bias")}
    for wrong in (gap, no_weight, with_norms):
        with pytest.raises(WeightsError, match="another network"):
            VGGFeatures(weights=wrong)


def test_error_for_the_compact_vgg16_says_what_to_do():
    with pytest.raises(WeightsError, match=r"get_preset\(name\)\.replace\(arch='vgg19'\)"):
        VGGFeatures("vgg16", "compact")


def test_weights_that_expect_bgr(state):
    """Files from Caffe: the first convolution with red and blue exchanged is loaded as if it were not."""
    swapped = {**state, "features.0.weight": state["features.0.weight"].flip(1)}
    images, usual = torch.rand(1, 3, 32, 32), VGGFeatures(weights=state, precision="float32")
    network = VGGFeatures(weights=swapped, precision="float32", channel_order="bgr")
    assert torch.equal(network(images, "relu2_1")["relu2_1"], usual(images, "relu2_1")["relu2_1"])
    wrong = VGGFeatures(weights=swapped, precision="float32")(images, "relu2_1")["relu2_1"]
    assert not torch.allclose(wrong, usual(images, "relu2_1")["relu2_1"], atol=0.01)
    again = VGGFeatures(weights=network.state_dict(), precision="float32")  # holds weights for RGB
    assert torch.equal(again(images, "relu2_1")["relu2_1"], usual(images, "relu2_1")["relu2_1"])
    with pytest.raises(SettingError, match="channel_order"):
        VGGFeatures(weights=state, channel_order="rbg")


# --- as a module ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fast", [True, False])
def test_conversions_change_the_precision_truly(state, fast):
    network = VGGFeatures(weights=state, precision="float32", fast=fast, float32_until="conv1_2")
    images = torch.rand(1, 3, 16, 16)
    expected = network(images, "relu2_1")["relu2_1"]
    for convert, early, late, error in (
        (lambda n: n.double(), torch.float64, torch.float64, 1e-5),
        (lambda n: n.to(torch.bfloat16), torch.float32, torch.bfloat16, 0.05),
        (lambda n: n.half(), torch.float32, torch.float16, 0.01),
        (lambda n: n.float(), torch.float32, torch.float32, 1e-5),
    ):
        converted = convert(copy.deepcopy(network))
        found = converted(images, "relu2_1")["relu2_1"]
        assert (converted.convs["conv1_2"].weight.dtype, converted.convs["conv2_1"].weight.dtype) == (early, late)
        assert converted.dtype == found.dtype == late
        assert ((found.double() - expected.double()).norm() / expected.norm()) < error
        assert torch.equal(converted.convs["conv1_2"].weight.float(), network.convs["conv1_2"].weight)
    assert network.dtype == torch.float32  # the copies were converted


def test_precision_by_argument_and_by_conversion_are_the_same():
    images = vgg._dead_leaves(32)
    by_argument = VGGFeatures(weights="compact", precision="bfloat16")(images, "relu3_1")["relu3_1"]
    by_conversion = VGGFeatures(weights="compact", precision="float32").bfloat16()(images, "relu3_1")["relu3_1"]
    assert torch.equal(by_argument, by_conversion)


@pytest.mark.parametrize("arch", ["vgg16", "vgg19"])
def test_a_state_dict_can_be_given_back_as_weights(arch, tmp_path):
    network, images = VGGFeatures(arch, narrow_state(arch), precision="float32"), torch.rand(1, 3, 16, 16)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    for weights in (network.state_dict(), tmp_path / "w.pth"):
        again = VGGFeatures(arch, weights, precision="float32", preprocessing="caffe255")
        for ours, theirs in zip(again.convs["conv5_3"].parameters(), network.convs["conv5_3"].parameters()):
            assert torch.equal(ours, theirs)
            assert ours.data_ptr() != theirs.data_ptr()  # a copy, which can be trained alone
    again.load_state_dict(network.state_dict())
    assert again.preprocessing == "caffe255"
    assert not torch.equal(again(images, "relu1_1")["relu1_1"], network(images, "relu1_1")["relu1_1"])


def test_copies_and_pickles_are_equal(state):
    network = VGGFeatures(weights=state, pooling="avg", rescale=True)
    images = torch.rand(1, 3, 32, 32)
    for other in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert torch.equal(other(images, "relu3_1")["relu3_1"], network(images, "relu3_1")["relu3_1"])
        assert other.pool_gain == network.pool_gain


def test_hooks_see_activations_with_gradients(state):
    """The fast path computes values outside autograd's graph; with a hook the plain loop runs."""
    network, seen = VGGFeatures(weights=state, precision="float32"), {}
    images = torch.rand(1, 3, 16, 16, requires_grad=True)
    handle = network.convs["conv1_2"].register_forward_hook(lambda module, inputs, output: seen.update(out=output))
    found = network(images, ["conv1_2"])["conv1_2"]
    assert torch.equal(seen["out"], found)
    assert torch.autograd.grad(seen["out"].sum(), images)[0].abs().sum() > 0
    handle.remove()
    gradients = []
    network.convs["conv1_2"].register_full_backward_hook(lambda module, before, after: gradients.append(before))
    network(images, ["relu2_1"])["relu2_1"].sum().backward()
    assert len(gradients) == 1


def test_parameters_can_be_trained_when_they_are_unfrozen(state):
    network = VGGFeatures(weights=state, precision="float32").requires_grad_()
    network(torch.rand(1, 3, 16, 16), ["relu2_1"])["relu2_1"].sum().backward()
    assert network.convs["conv1_1"].weight.grad.abs().sum() > 0


def test_transforms_of_torch_func_work_on_the_plain_loop(state):
    network = VGGFeatures(weights=state, precision="float32", fast=False)
    images = torch.rand(2, 3, 16, 16)

    def loss(x):
        return network(x, "relu2_1")["relu2_1"].square().sum()

    x = images.clone().requires_grad_()
    (expected,) = torch.autograd.grad(loss(x), x)
    assert torch.allclose(torch.func.grad(loss)(images), expected, atol=1e-4)
    each = torch.func.vmap(torch.func.grad(lambda picture: loss(picture[None])))(images)
    assert torch.allclose(each, expected, atol=1e-4)
    _, slope = torch.func.jvp(loss, (images,), (torch.ones_like(images),))
    assert torch.isclose(slope, expected.sum(), rtol=1e-3)


# --- what is not a picture -----------------------------------------------------------------------------


def test_one_layer_may_be_given_by_name(state):
    network, images = VGGFeatures(weights=state), torch.rand(1, 3, 16, 16)
    assert list(network(images, "relu1_1")) == [name for name, _ in network.iter_features(images, "relu1_1")]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (torch.zeros(1, 3, 16, 16, dtype=torch.uint8), "floats .* not torch.uint8"),
        (torch.full((1, 3, 16, 16), 200.0), "divide by 255"),
        (torch.rand(3, 16, 16), "floats"),
        (torch.rand(1, 3, 16, 16, device="meta"), "on meta, the network on cpu"),
        ("photo.jpg", "path"),
    ],
)
def test_errors_for_images_that_cannot_be_used(state, wrong, words):
    with pytest.raises(ImageError, match=words):
        VGGFeatures(weights=state)(wrong, ["relu1_1"])


def test_images_may_leave_the_range_a_little_and_may_be_arrays(state):
    network = VGGFeatures(weights=state)
    assert torch.isfinite(network(torch.full((1, 3, 16, 16), 1.7), "relu1_1")["relu1_1"]).all()
    array = (np.random.default_rng(0).random((16, 16, 3)) * 255).astype(np.uint8)
    tensor = torch.from_numpy(array).permute(2, 0, 1)[None].float() / 255
    expected = network(tensor, "relu1_1")["relu1_1"]
    for picture in (array, Image.fromarray(array)):
        assert torch.equal(network(picture, "relu1_1")["relu1_1"], expected)


def test_error_for_a_device_that_is_not_there(state):
    with pytest.raises(SettingError, match="'cuda:99' cannot be used"):
        VGGFeatures(weights=state, device="cuda:99")


def test_errors_of_classify(photo):
    with pytest.raises(SettingError, match="top"):
        classify(photo, weights="compact", top=1000)
    with pytest.raises(ImageError, match="255"):
        classify(255 * photo, weights="compact")


def test_classify_returns_the_likeliest_classes(photo):
    predictions = classify(photo, weights="compact", top=3)
    assert len(predictions) == 3
    assert all(isinstance(name, str) and 0 < probability < 1 for name, probability in predictions)
    assert predictions[0][1] >= predictions[1][1]


@pytest.mark.parametrize(
    ("value", "words"),
    [(float("nan"), "not finite or above 10"), (float("inf"), "not finite or above 10"), (200.0, "divide by 255")],
)
def test_images_that_are_not_finite_are_refused(state, value, words):
    images = torch.rand(1, 3, 16, 16)
    images[0, 1, 2, 3] = value
    with pytest.raises(ImageError, match=words):
        VGGFeatures(weights=state)(images, "relu1_1")


def test_sparse_images_are_refused(state):
    with pytest.raises(ImageError, match="sparse"):
        VGGFeatures(weights=state)(torch.rand(1, 3, 16, 16).to_sparse(), "relu1_1")


@pytest.mark.parametrize("layers", [None, 5, [None], [["relu1_1"]]])
def test_errors_for_layers_that_are_no_names(state, layers):
    network, images = VGGFeatures(weights=state), torch.rand(1, 3, 16, 16)
    for call in (lambda: network(images, layers), lambda: network.iter_features(images, layers)):
        with pytest.raises(LayerError, match="layers are names such as"):
            call()
    with pytest.raises(LayerError, match="layers are names such as"):
        network.check(layers)


@pytest.mark.parametrize("arch", [[], {}, None, 19])
def test_errors_for_an_architecture_that_is_no_name(arch, state):
    for call in (layer_names, lambda arch: VGGFeatures(arch, state)):
        with pytest.raises(SettingError, match="architecture .* is unknown"):
            call(arch)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("key", ["features.0.weight", "features.28.bias"])
def test_weights_that_are_not_finite_are_refused(state, key, value):
    state[key].flatten()[0] = value
    with pytest.raises(WeightsError, match="are not finite numbers"):
        VGGFeatures(weights=state)
    with pytest.raises(WeightsError, match="are not finite numbers"):
        VGGFeatures(weights={name: tensor.to("meta") for name, tensor in narrow_state().items()})


def test_a_network_may_be_given_as_weights(state):
    """The message had four lines."""
    network, images = VGGFeatures(weights=state, precision="float32"), torch.rand(1, 3, 16, 16)
    theirs = nn.Module()
    theirs.features = nn.Sequential(
        *(
            nn.Conv2d(*state[f"features.{i}.weight"].shape[1::-1], 3) if name.startswith("conv") else nn.ReLU()
            for i, name in enumerate(layer_names("vgg19"))
        )
    )
    theirs.load_state_dict(state)
    for weights in (network, theirs):
        again = VGGFeatures(weights=weights, precision="float32")
        assert torch.equal(again(images, "relu2_1")["relu2_1"], network(images, "relu2_1")["relu2_1"])
        assert again.weights_name == "a dictionary"
    with pytest.raises(WeightsError, match="torchvision's key names") as caught:
        VGGFeatures(weights=nn.Sequential(nn.ReLU(), nn.ReLU()))
    assert "\n" not in str(caught.value)
    with pytest.raises(WeightsError, match="a path or a state dict, not array") as caught:
        VGGFeatures(weights=np.zeros((3, 3)))
    assert "\n" not in str(caught.value)


def test_channels_are_not_reversed_twice(state):
    bgr = {**state, "features.0.weight": state["features.0.weight"].flip(1)}
    network = VGGFeatures(weights=bgr, channel_order="bgr")
    for weights in (network.state_dict(), network, "compact"):
        with pytest.raises(SettingError, match="are for RGB already; leave out channel_order='bgr'"):
            VGGFeatures(weights=weights, channel_order="bgr")


def test_weights_with_an_empty_name_are_called_so():
    with pytest.raises(WeightsError, match="weights '' do not exist"):
        VGGFeatures(weights="")
