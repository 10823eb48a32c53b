"""Noise from the position, strokes by the picture's size, and the share of the grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nstlib.feedforward.layers import InstanceNorm
from nstlib.feedforward.noise import PERIOD, SMOOTH_GAIN, _white_noise, position_noise
from nstlib.feedforward.perceptual_loss import grid_share
from nstlib.feedforward.photos import Crops
from nstlib.feedforward.transformer import TransformerNet

TINY = {"width": 4, "blocks": 1}


def random_net(**settings: object) -> TransformerNet:
    torch.manual_seed(0)
    net = TransformerNet(**TINY, **settings)
    for module in net.modules():
        if isinstance(module, InstanceNorm):
            torch.nn.init.normal_(module.weight, 1.0, 0.3)
            torch.nn.init.normal_(module.bias, 0.0, 0.3)
    return net.eval()


# --- noise ----------------------------------------------------------------------------------------


def test_noise_has_mean_zero_deviation_one_and_no_peak_in_its_spectrum():
    noise = position_noise(256, 320, (1, 2, 4, 16))
    assert noise.shape == (1, 4, 256, 320)
    assert noise.mean((2, 3)).abs().max() < 0.1
    assert (noise.std((2, 3)) - 1).abs().max() < 0.15
    power = np.abs(np.fft.fft2(noise[0, 0].numpy())) ** 2
    assert power.max() < 100 * power.mean()  # a sum of 80,000 random phases reaches about 12


def test_noise_is_computed_with_whole_numbers_that_float32_holds():
    """The same in Python's integers of any size."""
    for channel, (y0, x0) in ((0, (0, 0)), (1, (1000, 3)), (2, (17, 1020))):
        noise = position_noise(40, 50, (1,) * 3, torch.tensor([[y0, x0]]))
        for y, x in ((0, 0), (39, 49), (20, 7), (5, 31)):
            a, b = (y0 + y) % PERIOD, (x0 + x) % PERIOD
            value = (b * b + 131 * (channel + 1) * a + 17) % PERIOD
            value = (value * value + 157 * b + 61 * channel) % PERIOD
            value = (value * value + 113 * a + 11) % PERIOD
            value = (value * value + 71 * b + 5) % PERIOD
            assert noise[0, channel, y, x].item() == pytest.approx((value / 510 - 1) * 3**0.5, abs=1e-6)


def test_smooth_noise_is_white_noise_interpolated():
    for scale, (h, w) in ((4, (37, 50)), (16, (64, 33))):
        coarse = _white_noise(h // scale + 2, w // scale + 2, 0, None)
        expected = F.interpolate(coarse, scale_factor=float(scale), mode="bilinear")[:, :, :h, :w]
        assert torch.allclose(position_noise(h, w, (scale,)), SMOOTH_GAIN * expected, atol=1e-5)


def test_noise_at_another_offset_is_the_noise_further_on():
    whole = position_noise(60, 60, (1,))
    parts = position_noise(30, 20, (1,), torch.tensor([[0, 0], [7, 40]]))
    assert torch.equal(parts[0], whole[0, :, :30, :20])
    assert torch.equal(parts[1], whole[0, :, 7:37, 40:60])


@pytest.mark.parametrize("noise", ["input", "bottleneck"])
def test_a_network_with_noise_varies_on_a_flat_picture_and_repeats_itself(noise):
    net, flat = random_net(noise=noise, upsample="bilinear"), torch.full((2, 3, 64, 64), 0.5)
    painted = net(flat)
    assert torch.equal(painted, net(flat))
    assert torch.equal(painted[0], painted[1])
    assert (
        painted[0, :, 16:48, 16:48].std((1, 2)).min() > 100 * random_net()(flat)[0, :, 16:48, 16:48].std((1, 2)).max()
    )
    other = net(flat, offsets=torch.tensor([[0, 0], [100, 30]]))
    assert torch.allclose(other[0], painted[0], atol=1e-5)
    assert (other[1] - painted[1]).abs().mean() > 0.001


# --- sizes ----------------------------------------------------------------------------------------


def test_sizes_are_chosen_by_the_long_side_and_mixed_between():
    net = random_net(norm="conditional", styles=2, sizes=(32, 128))
    rows = {size: net._row_weights(1, torch.zeros(1, 3, 20, size), None) for size in (16, 32, 64, 128, 400)}
    assert rows[16].tolist() == rows[32].tolist() == [[0, 0, 1, 0]]
    assert rows[64].tolist() == [[0, 0, 0.5, 0.5]]
    assert rows[128].tolist() == rows[400].tolist() == [[0, 0, 0, 1]]
    mixed = net._row_weights(torch.tensor([[0.25, 0.75]]), torch.zeros(1, 3, 64, 20), None)
    assert mixed.tolist() == [[0.125, 0.125, 0.375, 0.375]]
    three = random_net(sizes=(32, 64, 256))
    assert three._row_weights(0, torch.zeros(1, 3, 8, 8), 128).tolist() == [[0, 0.5, 0.5]]


def test_sizes_of_the_whole_picture_can_be_given():
    net, part = random_net(sizes=(32, 128), noise="input"), torch.rand(2, 3, 32, 32)
    painted = net(part, 0, size=torch.tensor([32, 128]))
    assert torch.allclose(painted[:1], net(part[:1]), atol=1e-5)
    assert torch.allclose(painted[1:], net(part[1:], size=128), atol=1e-5)
    assert (painted[1] - net(part)[1]).abs().mean() > 0.001


def test_a_single_style_keeps_its_sizes(tmp_path):
    net, photo = random_net(norm="conditional", styles=3, sizes=(16, 64), noise="bottleneck"), torch.rand(1, 3, 24, 32)
    single = net.single(1)
    assert torch.allclose(single(photo), net(photo, 1), atol=1e-5)
    loaded = TransformerNet.load(single.save(tmp_path / "net.safetensors"))
    assert loaded.sizes == (16, 64)
    assert torch.equal(loaded(photo), single(photo))


def test_crops_show_the_photo_as_it_is_at_the_size_of_its_style(monkeypatch):
    wide = torch.rand(1, 3, 300, 480, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr("nstlib.feedforward.photos.load_or_none", lambda file: wide)
    crops = Crops([None], 128, 0.5, styles=2, seed=0, sizes=(384, 768))
    sides: dict[int, list[int]] = {}

    def keep(photo: Tensor, side: int, top: float, left: float) -> Tensor:
        sides.setdefault(len(drawn), []).append(side)
        return torch.zeros(1, 3, 4, 4)

    drawn: list[int] = []
    monkeypatch.setattr(crops, "_crop", keep)
    for n in range(40):
        style = crops[n][1]
        drawn.append(style)
    assert set(drawn) == {0, 1, 2, 3}
    for n, style in enumerate(drawn):
        exact = 128 * 480 / (384, 768)[style % 2]
        assert exact / 1.16 < sides[n][0] < exact * 1.16


# --- the grid ---------------------------------------------------------------------------------------


def test_grid_share_of_a_weave_and_of_noise():
    generator = torch.Generator().manual_seed(0)
    noise = 0.5 + 0.1 * torch.randn(1, 3, 96, 128, generator=generator)
    weave = 0.5 + 0.1 * torch.randn(1, 3, 4, 4, generator=generator).tile(1, 1, 24, 32)
    shares = grid_share(torch.cat([noise, weave, torch.full_like(noise, 0.5), (noise + weave) / 2]))
    assert shares[0] < 0.02
    assert shares[1] > 0.95
    assert shares[2] == 0
    assert shares[0] < shares[3] < shares[1]


def test_grid_share_has_gradients_for_any_picture():
    for picture in (torch.full((1, 3, 64, 64), 0.5), torch.rand(1, 3, 70, 90)):
        grid_share(picture.requires_grad_()).sum().backward()
        assert torch.isfinite(picture.grad).all()
