"""The transformer network: its architecture, a plain reimplementation, shapes, styles, files."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file

from nstlib import images
from nstlib.errors import FileError, ImageError, SettingError, WeightsError
from nstlib.feedforward.layers import InstanceNorm, reflect_conv, reflect_conv_four_at_once
from nstlib.feedforward.transformer import EXAMPLES_LAYERS, TransformerNet, stylize

TINY = {"width": 4, "blocks": 1}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def with_random_norms(net: TransformerNet) -> TransformerNet:
    """Give each style its own scales and shifts, as training does."""
    for module in net.modules():
        if isinstance(module, InstanceNorm):
            torch.nn.init.normal_(module.weight, 1.0, 0.3)
            torch.nn.init.normal_(module.bias, 0.0, 0.3)
    return net


# --- the architecture -----------------------------------------------------------------------------


def test_activation_sizes():
    """All rows of figure 5 in report 000 (docs/sources.md)."""
    assert TransformerNet().activation_sizes(256, 256) == [
        ("input", (3, 256, 256)),
        ("32 x 9 x 9 conv, stride 1", (32, 256, 256)),
        ("64 x 3 x 3 conv, stride 2", (64, 128, 128)),
        ("128 x 3 x 3 conv, stride 2", (128, 64, 64)),
        *[("residual block, 128 filters", (128, 64, 64))] * 5,
        ("64 x 3 x 3 conv, stride 1/2", (64, 128, 128)),
        ("32 x 3 x 3 conv, stride 1/2", (32, 256, 256)),
        ("3 x 9 x 9 conv, stride 1", (3, 256, 256)),
    ]


def test_number_of_parameters():
    # Convolutions, weights and biases:
    #   9x9    3 ->  32:     3 * 81 *  32 +  32 =     7 808
    #   3x3   32 ->  64:    32 *  9 *  64 +  64 =    18 496
    #   3x3   64 -> 128:    64 *  9 * 128 + 128 =    73 856
    #   3x3  128 -> 128:  (128 *  9 * 128 + 128) * 10 = 1 475 840   five blocks of two
    #   3x3  128 ->  64:   128 *  9 *  64 +  64 =    73 792
    #   3x3   64 ->  32:    64 *  9 *  32 +  32 =    18 464
    #   9x9   32 ->   3:    32 * 81 *   3 +   3 =     7 779
    # A scale and a shift for each normalised channel: 2 * (32 + 64 + 128 + 10 * 128 + 64 + 32) = 3 200
    assert count(TransformerNet()) == 1_676_035 + 3_200
    assert count(TransformerNet(norm="batch")) == count(TransformerNet(upsample="transposed")) == 1_679_235
    assert count(TransformerNet(norm="conditional", styles=16)) == 1_676_035 + 16 * 3_200
    assert count(TransformerNet.slim()) == 424_899
    assert TransformerNet.slim(norm="conditional", styles=2).config["width"] == 16


def count(net: TransformerNet) -> int:
    return sum(p.numel() for p in net.parameters())


def plain_network(state: dict, x: torch.Tensor) -> torch.Tensor:
    """Run the network of pytorch/examples from its state dict; pictures are in [0, 255].

    Written from its description, one operation per line, without code of this library.
    """

    def conv(x, name, stride=1):
        weight = state[f"{name}.conv2d.weight"]
        pad = weight.shape[-1] // 2
        return F.conv2d(F.pad(x, (pad, pad, pad, pad), mode="reflect"), weight, state[f"{name}.conv2d.bias"], stride)

    def norm(x, name):
        mean = x.mean((2, 3), keepdim=True)
        variance = (x - mean).square().mean((2, 3), keepdim=True)
        scale, shift = state[f"{name}.weight"][:, None, None], state[f"{name}.bias"][:, None, None]
        return (x - mean) / (variance + 1e-5).sqrt() * scale + shift

    def double(x):
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

    x = norm(conv(x, "conv1"), "in1").clamp(min=0)
    x = norm(conv(x, "conv2", 2), "in2").clamp(min=0)
    x = norm(conv(x, "conv3", 2), "in3").clamp(min=0)
    for i in range(1, 6):
        y = norm(conv(x, f"res{i}.conv1"), f"res{i}.in1").clamp(min=0)
        x = x + norm(conv(y, f"res{i}.conv2"), f"res{i}.in2")
    x = norm(conv(double(x), "deconv1"), "in4").clamp(min=0)
    x = norm(conv(double(x), "deconv2"), "in5").clamp(min=0)
    return conv(x, "deconv3")


def examples_state(old: bool = False) -> dict:
    """Return random weights with the published keys and shapes."""
    widths = {"conv1": (3, 32, 9), "conv2": (32, 64, 3), "conv3": (64, 128, 3)}
    norms = {"in1": 32, "in2": 64, "in3": 128, "in4": 64, "in5": 32}
    for i in range(1, 6):
        widths |= {f"res{i}.conv{n}": (128, 128, 3) for n in (1, 2)}
        norms |= {f"res{i}.in{n}": 128 for n in (1, 2)}
    widths |= {"deconv1": (128, 64, 3), "deconv2": (64, 32, 3), "deconv3": (32, 3, 9)}
    state = {}
    for name, (in_channels, out_channels, kernel) in widths.items():
        weight = torch.randn(out_channels, in_channels, kernel, kernel)
        state[f"{name}.conv2d.weight"] = weight / (in_channels * kernel**2) ** 0.5
        state[f"{name}.conv2d.bias"] = 0.1 * torch.randn(out_channels)
    for name, channels in norms.items():
        state[f"{name}.weight"] = 1 + 0.3 * torch.randn(channels)
        state[f"{name}.bias"] = 0.3 * torch.randn(channels)
        if old:  # as written by PyTorch 0.3
            state |= {f"{name}.running_mean": torch.randn(channels), f"{name}.running_var": torch.rand(channels)}
    # in the middle of [0, 255], so that few pixels are clamped
    state["deconv3.conv2d.weight"] *= 30
    state["deconv3.conv2d.bias"] += 127
    return state


@pytest.mark.parametrize("size", [(64, 48), (37, 50)])
def test_checkpoints_of_pytorch_examples(size):
    state, picture = examples_state(old=True), torch.rand(2, 3, *size)
    net = TransformerNet.from_pytorch_examples(state).eval()
    with torch.no_grad():
        expected, found = plain_network(state, picture * 255), net(picture)
    expected = expected[:, :, : size[0], : size[1]] / 255  # theirs is up to three pixels larger
    inside = (expected > 0) & (expected < 1)
    assert inside.float().mean() > 0.9
    assert expected[inside].std() > 0.05
    assert (found - expected.clamp(0, 1)).abs().max() < 1e-4


def test_errors_for_other_checkpoints():
    state = examples_state()
    for wrong in (
        {},
        {k: v for k, v in state.items() if k != "res3.in2.bias"},
        {**state, "in4.weight": torch.ones(7)},
        {**state, "extra.weight": torch.ones(7)},
    ):
        with pytest.raises(WeightsError, match="pytorch/examples"):
            TransformerNet.from_pytorch_examples(wrong)


def test_activation_sizes_of_variants_leave_statistics_unchanged():
    net = TransformerNet(norm="batch", upsample="transposed", **TINY)
    assert isinstance(net.up1.conv, torch.nn.ConvTranspose2d)
    mean = net.first.norm.running_mean.clone()
    assert net.activation_sizes(32, 48)[-2:] == [
        ("4 x 3 x 3 conv, stride 1/2", (4, 32, 48)),
        ("3 x 9 x 9 conv, stride 1", (3, 32, 48)),
    ]
    assert torch.equal(net.first.norm.running_mean, mean)


# --- input and output --------------------------------------------------------------------------

SIZES = [(1, 1), (1, 9), (4, 4), (5, 7), (6, 5), (7, 30), (8, 8), (13, 15), (16, 17), (33, 34), (39, 75)]


@pytest.mark.parametrize("upsample", ["nearest", "bilinear", "transposed"])
@pytest.mark.parametrize("size", SIZES)
def test_output_has_the_size_of_the_input(size, upsample):
    net = with_random_norms(TransformerNet(upsample=upsample, **TINY))
    for version in (net, net.for_inference("bfloat16")):
        out = version(torch.rand(2, 3, *size))
        assert out.shape == (2, 3, *size)
        assert out.dtype == torch.float32
        assert torch.isfinite(out).all()
        assert out.min() >= 0
        assert out.max() <= 1


def test_black_white_and_grey_pictures_stay_finite():
    net = with_random_norms(TransformerNet(**TINY))
    for grey in (0.0, 0.5, 1.0):
        assert torch.isfinite(net(torch.full((1, 3, 16, 16), grey))).all()


def test_output_reaches_white_and_keeps_a_gradient_there():
    """A tanh alone never reaches white, and a clamp alone has no gradient beyond it."""
    net = TransformerNet(**TINY)
    torch.nn.init.zeros_(net.last.weight)
    torch.nn.init.constant_(net.last.bias, 2.0)
    out = net(torch.rand(1, 3, 8, 8))
    assert (out == 1).all()
    out.sum().backward()
    assert (net.last.bias.grad > 0).all()


@pytest.mark.parametrize(
    "wrong",
    [torch.rand(3, 8, 8), torch.rand(1, 4, 8, 8), torch.zeros(1, 3, 8, 8, dtype=torch.uint8), torch.rand(1, 3, 0, 8)],
)
def test_errors_for_pictures_of_the_wrong_shape_or_type(wrong):
    with pytest.raises(ImageError, match=r"floats \(N, 3, H, W\)"):
        TransformerNet(**TINY)(wrong)


def test_four_pixels_at_once_equal_the_plain_convolution():
    conv = torch.nn.Conv2d(6, 3, 9, padding=4, padding_mode="reflect")
    x = torch.randn(2, 6, 12, 20)
    assert torch.equal(reflect_conv(x, conv), conv(x))
    assert torch.allclose(reflect_conv_four_at_once(x, conv), reflect_conv(x, conv), atol=1e-5)


def test_instance_norm_removes_contrast_and_batch_norm_does_not(photo):
    dull = 0.4 + 0.3 * photo
    difference = {}
    for norm in ("instance", "batch"):
        net = TransformerNet(norm=norm, **TINY)
        for _ in range(30):  # the batch normalisation learns the statistics of the original photo
            net(photo)
        net.eval()
        with torch.no_grad():
            out = net(photo)
            difference[norm] = (net(dull) - out).abs().mean() / (out - out.mean((2, 3), keepdim=True)).abs().mean()
    assert difference["instance"] < 0.02  # due to the epsilon under the square root
    assert difference["batch"] > 0.2


def test_instance_norm_equals_pytorch():
    ours, theirs = InstanceNorm(6), torch.nn.InstanceNorm2d(6, affine=True)
    torch.nn.init.normal_(ours.weight)
    torch.nn.init.normal_(ours.bias)
    theirs.load_state_dict({"weight": ours.weight[0], "bias": ours.bias[0]})
    x = (5 + 3 * torch.randn(2, 6, 9, 11)).contiguous(memory_format=torch.channels_last)
    assert torch.allclose(ours(x, 0), theirs(x), atol=1e-5)
    assert torch.allclose(ours(x, torch.ones(1, 1)), theirs(x), atol=1e-5)


# --- styles -----------------------------------------------------------------------------------------


@pytest.fixture
def many() -> TransformerNet:
    return with_random_norms(TransformerNet(norm="conditional", styles=3, **TINY)).eval()


@torch.no_grad()
def test_one_hot_weights_equal_the_style_index(many, photo):
    pure = [many(photo, style) for style in range(3)]
    assert (pure[0] - pure[1]).abs().mean() > 0.01
    for style, corner in enumerate(torch.eye(3)):
        assert torch.allclose(many(photo, corner), pure[style], atol=1e-5)
        assert torch.allclose(many(photo, corner.tolist()), pure[style], atol=1e-5)
    both = many(photo, [0.5, 0.5, 0.0])
    assert min((both - p).abs().mean() for p in pure) > 1e-3


@torch.no_grad()
def test_each_picture_of_a_batch_can_have_its_own_style(many, photo):
    pair = torch.cat([photo, photo.flip(3)])
    for style in ([2, 0], torch.tensor([2, 0]), torch.tensor([[0.0, 0, 1], [1, 0, 0]])):
        out = many(pair, style)
        assert torch.allclose(out[:1], many(pair[:1], 2), atol=1e-5)
        assert torch.allclose(out[1:], many(pair[1:], 0), atol=1e-5)
    assert torch.allclose(many(pair, torch.tensor(1)), many(pair, 1), atol=1e-5)


@pytest.mark.parametrize(
    ("style", "words"),
    [
        (3, "there is no style 3"),
        (-1, "holds 3, counted from 0"),
        ([0, 5], "there is no style"),
        ([0, 1, 2, 0], "shapes"),
        ([0.5, 0.5], "shapes"),
        ([0.5, 0.6, 0.1], "sum to one"),
        ([1.5, -0.5, 0.0], "not be negative"),
        ([float("nan"), 0.0, 1.0], "not be negative"),
        ("waves", "a number or weights"),
        (None, "a number or weights"),
        (10**19, "a number or weights"),
    ],
)
def test_errors_for_styles_that_do_not_exist(many, style, words):
    with pytest.raises(SettingError, match=words):
        many(torch.rand(1, 3, 8, 8), style)


def test_a_style_can_be_trained_with_everything_else_frozen(many):
    """How Dumoulin et al. add a style: only its scales and shifts get gradients."""
    for name, parameter in many.named_parameters():
        parameter.requires_grad_(".norm." in name)
    many(torch.rand(1, 3, 16, 16), 1).square().mean().backward()
    for name, parameter in many.named_parameters():
        if ".norm." not in name:
            assert parameter.grad is None, name
        else:
            assert not parameter.grad[[0, 2]].any(), name
    assert many.up2.norm.weight.grad[1].abs().sum() > 0


@pytest.mark.parametrize(
    "kind", [{}, {"norm": "batch"}, {"upsample": "transposed"}, {"noise": "input"}, {"noise": "bottleneck"}]
)
def test_gradients_reach_every_parameter(kind):
    net = TransformerNet(**TINY, **kind)
    net(torch.rand(2, 3, 18, 14)).square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())
    assert all(p.grad.abs().sum() > 0 for name, p in net.named_parameters() if name.endswith("conv.weight"))


# --- inference and files -------------------------------------------------------------------------------


@torch.no_grad()
def test_bfloat16_is_close_to_float32(photo):
    for kind in ({}, {"norm": "batch"}, {"norm": "conditional", "styles": 2}):
        net = with_random_norms(TransformerNet(width=8, blocks=2, **kind)).eval()
        style = [0.3, 0.7] if "styles" in kind else 0
        full, rounded = (net.for_inference(p)(photo, style) for p in ("float32", "bfloat16"))
        assert torch.allclose(full, net(photo, style), atol=1e-5)
        assert 0 < (full - rounded).abs().mean() < 0.01


def test_gradients_in_bfloat16_are_close_to_float32(photo):
    net = with_random_norms(TransformerNet(width=8, blocks=1, norm="conditional", styles=2))
    grads = []
    for mixed in (False, True):
        net.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            out = net(photo, [0.5, 0.5])
        assert out.dtype == torch.float32
        (out - photo).square().mean().backward()
        grads.append(torch.cat([p.grad.flatten() for p in net.parameters()]))
    assert F.cosine_similarity(*grads, dim=0) > 0.98


def test_for_inference_leaves_the_network_unchanged():
    net = TransformerNet(**TINY)
    fast = net.for_inference("bfloat16")
    assert fast.last.weight.dtype == torch.bfloat16
    assert not fast.training
    assert not any(p.requires_grad for p in fast.parameters())
    assert net.training
    assert all(p.requires_grad and p.dtype == torch.float32 for p in net.parameters())


def test_stylize_reads_files_and_uses_running_statistics(tmp_path, photo):
    net = TransformerNet(norm="batch", **TINY)
    net(photo)
    expected = stylize(net, photo)
    assert net.training
    assert torch.equal(expected, net.eval()(photo))
    assert not expected.requires_grad
    images.save(photo, tmp_path / "photo.png")
    assert (stylize(net, tmp_path / "photo.png") - expected).abs().max() < 0.05


def test_stylize_takes_arrays_and_pil_images(photo):
    net = TransformerNet(**TINY)
    array = (photo[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    expected = stylize(net, torch.from_numpy(array).permute(2, 0, 1)[None].float() / 255)
    for picture in (array, Image.fromarray(array), torch.from_numpy(array).permute(2, 0, 1)):
        assert torch.equal(stylize(net, picture), expected)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: 255 * x, "255"),
        (lambda x: x.where(x > 0.1, float("nan")), "not finite"),
        (lambda x: x[:, :2], "shape"),
        (lambda x: (255 * x).int(), "dtype"),
    ],
)
def test_errors_of_stylize_for_pictures_that_cannot_be_used(photo, change, words):
    with pytest.raises(ImageError, match=words):
        stylize(TransformerNet(**TINY), change(photo))


def test_error_for_a_device_that_is_not_there():
    with pytest.raises(SettingError, match="'cuda:99' cannot be used"):
        TransformerNet(**TINY).for_inference(device="cuda:99")


def test_error_for_weights_that_are_not_finite(tmp_path):
    net = TransformerNet(**TINY)
    torch.nn.init.constant_(net.last.bias, float("inf"))
    with pytest.raises(WeightsError, match="not finite"):
        TransformerNet.load(net.save(tmp_path / "net.safetensors"))


@pytest.mark.parametrize("kind", [{}, {"norm": "batch"}, {"norm": "conditional", "styles": 3, "pixels": "byte"}])
def test_save_and_load(tmp_path, kind):
    net = with_random_norms(TransformerNet(**TINY, **kind))
    net(torch.rand(1, 3, 16, 16))
    path = net.save(tmp_path / "folder" / "net.safetensors", card={"steps": 10, "style": "wäves"})
    again = TransformerNet.load(path)
    assert again.config == net.config
    assert again.card == {"steps": 10, "style": "wäves"}
    assert all(torch.equal(v, net.state_dict()[k]) for k, v in again.state_dict().items())
    assert [p.name for p in path.parent.iterdir()] == ["net.safetensors"]
    half = TransformerNet.load(net.save(tmp_path / "half.safetensors", half=True))
    assert half.last.weight.dtype == torch.float32
    assert (tmp_path / "half.safetensors").stat().st_size < path.stat().st_size
    assert torch.allclose(half.last.weight, net.last.weight, atol=1e-3)


def test_errors_for_files_without_a_network(tmp_path):
    path = tmp_path / "net.safetensors"
    with pytest.raises(WeightsError, match="does not exist"):
        TransformerNet.load(path)
    path.write_bytes(b"not a network")
    with pytest.raises(WeightsError, match="damaged"):
        TransformerNet.load(path)
    net = TransformerNet(**TINY)
    net.save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="damaged"):
        TransformerNet.load(path)
    save_file({"features.0.weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="no transformer network"):
        TransformerNet.load(path)
    for changed in ({"width": 5}, {"width": "x"}, {"colour": 1}):
        net.config = {**TINY, **changed}
        net.save(path)
        with pytest.raises(WeightsError, match="do not fit its own description"):
            TransformerNet.load(path)


def test_error_for_a_path_that_cannot_be_written(tmp_path):
    with pytest.raises(FileError, match="folder"):
        TransformerNet(**TINY).save(tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [{"norm": "layer"}, {"upsample": "cubic"}, {"pixels": "word"}, {"width": 0}, {"blocks": -1}, {"width": 2.0}]
    + [{"norm": "conditional", "styles": 0}, {"styles": 2}, {"noise": "output"}, {"sizes": [768, 384]}, {"sizes": [0]}]
    + [{"sizes": [384, 768], "norm": "batch"}],
)
def test_errors_for_unknown_settings(wrong):
    with pytest.raises(SettingError):
        TransformerNet(**wrong)


# --- outliers ---------------------------------------------------------------------------------------


def test_outlier_penalty_grows_with_outliers_and_changes_no_output():
    normal = torch.randn(2, 4, 24, 24).clamp(-3, 3)
    spiky = normal.clone()
    spiky[:, 1, 5, 5] = 80.0
    plain, penalised = InstanceNorm(4), InstanceNorm(4)
    penalised.outlier_threshold = 6.0
    for style_weights in (0, torch.ones(2, 1)):
        for x, has_outlier in ((normal, False), (spiky, True)):
            assert torch.allclose(penalised(x, style_weights), plain(x, style_weights), atol=1e-6)
            assert (penalised.outlier_penalty.item() > 0.01) == has_outlier
    assert plain.outlier_penalty is None


def test_for_inference_drops_the_outlier_threshold():
    net = TransformerNet(**TINY)
    for module in net.modules():
        if isinstance(module, InstanceNorm):
            module.outlier_threshold = 6.0
    norms = [module for module in net.for_inference().modules() if isinstance(module, InstanceNorm)]
    assert norms
    assert all(norm.outlier_threshold is None for norm in norms)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_damage_to_a_file_is_noticed(tmp_path, dtype):
    """Every flipped byte: in the weights, in the configuration and in the card."""
    path = TransformerNet(width=4, blocks=0).to(dtype).save(tmp_path / "net.safetensors", card={"steps": 12})
    whole = path.read_bytes()
    TransformerNet.load(path)
    for position in range(0, len(whole), max(1, len(whole) // 100)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(WeightsError):
            TransformerNet.load(path)


# --- what a critical user tried ----------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [{"width": True}, {"norm": "conditional", "styles": True}, {"blocks": False}])
def test_truth_values_are_no_numbers(wrong):
    with pytest.raises(SettingError, match="must be a whole number"):
        TransformerNet(**wrong)


def test_whole_numbers_of_numpy_can_be_saved(tmp_path):
    net = TransformerNet(width=np.int64(4), blocks=0)
    assert TransformerNet.load(net.save(tmp_path / "net.safetensors")).config == net.config


def test_the_network_says_what_it_takes():
    net = TransformerNet(**TINY)
    for wrong in (Image.new("RGB", (8, 8)), np.zeros((1, 3, 8, 8)), "photo.jpg", None):
        with pytest.raises(ImageError, match="or use stylize"):
            net(wrong)
    with pytest.raises(SettingError, match=r"the network is of the type str; .* load_model\('waves'\)"):
        stylize("waves", torch.rand(1, 3, 8, 8))
    for wrong in (None, 5):
        with pytest.raises(FileError, match="give a path"):
            TransformerNet.load(wrong)
        with pytest.raises(FileError, match="give a path"):
            net.save(wrong)


def test_a_checkpoint_of_pytorch_examples_that_is_not_finite_is_refused():
    net = TransformerNet(**TINY, pixels="byte")
    state = {f"{theirs}.weight": net.get_parameter(f"{ours}.weight") for theirs, ours in EXAMPLES_LAYERS.items()}
    state |= {f"{theirs}.bias": net.get_parameter(f"{ours}.bias") for theirs, ours in EXAMPLES_LAYERS.items()}
    for number, ours in ((1, "first"), (2, "second")):
        for kind, layer in (("conv", "conv.conv2d"), ("in", "norm")):
            for name in ("weight", "bias"):
                theirs = f"res1.{kind}{number}{'.conv2d' if kind == 'conv' else ''}.{name}"
                state[theirs] = net.get_parameter(f"blocks.0.{ours}.{layer.split('.')[0]}.{name}")
    state = {key: value.detach()[0] if value.dim() == 2 else value.detach() for key, value in state.items()}
    TransformerNet.from_pytorch_examples(state)
    state["in1.weight"] = state["in1.weight"] * float("nan")
    with pytest.raises(WeightsError, match="weights that are not finite"):
        TransformerNet.from_pytorch_examples(state)
