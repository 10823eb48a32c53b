"""What lesson 02 claims, each claim as a function that asserts it on the numbers of the run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ...records import Result

Numbers = Mapping[str, float]


def lbfgs_lowers_the_loss_further_than_adam(adam: float, lbfgs: float) -> None:
    """With the same number of evaluations, L-BFGS ends at less than half of Adam's content loss."""
    assert lbfgs < adam / 2, (adam, lbfgs)


def a_hundred_steps_leave_grain(decibels: float) -> None:
    """After a hundred steps of Adam the photo is recognizable, and far from the photo."""
    assert 10 < decibels < 22, decibels


def quality_falls_from_the_first_layer_to_the_last(decibels: Numbers, profile: str) -> None:
    """The first layer is best, conv4_1 and conv5_1 are worst in this order; at the real size conv1_1 exceeds 25 dB."""
    values = list(decibels.values())
    assert values[0] == max(values), decibels
    assert values[-1] == min(values), decibels
    assert values[-2] < min(values[:3]), decibels
    assert values[0] > values[-1] + 8, decibels
    assert profile == "smoke" or values[0] > 25, decibels


def the_reconstruction_is_nearer_than_noise_and_blur(losses: Numbers, profile: str) -> None:
    """In conv5_1 the reconstruction has a smaller loss than the noisy and the blurred photo; by a factor of 5."""
    assert (1 if profile == "smoke" else 5) * losses["reconstruction"] < min(losses["noise"], losses["blur"]), losses


def a_picture_with_a_smaller_loss_exists(losses: Numbers, profile: str) -> None:
    """The photo with invisible noise has a smaller loss than the reconstruction, at the real size."""
    if profile != "smoke":
        assert losses["noise of 40 dB"] < losses["reconstruction"] / 2, losses


def more_steps_still_lower_the_loss_of_deep_layers(factors: Numbers) -> None:
    """Three times the steps lower the content loss of conv4_1 and conv5_1 to less than half."""
    assert min(factors.values()) > 2, factors


def more_steps_help_conv4_more_than_conv5(rises: Numbers, profile: str) -> None:
    """The PSNR of conv4_1 rises by more than 1.5 dB, that of conv5_1 by less than 1 dB and less than conv4_1's."""
    assert rises["conv4_1"] > rises["conv5_1"], rises
    if profile != "smoke":
        assert rises["conv4_1"] > 1.5, rises
    assert rises["conv5_1"] < 1.0, rises


def deeper_layers_have_fewer_large_gains(counts: Sequence[int]) -> None:
    """The number of directions with a gain of 1/20 or more falls strongly from conv1_1 to conv2_1 and to conv4_1."""
    assert counts[0] > counts[1] > counts[3], counts
    assert counts[0] > 2 * counts[3], counts


def counting_bounds_the_number_of_gains(gains: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """No layer has more gains above 1/100,000 than the narrowest layer up to it has values (``shapes``)."""
    names = list(shapes)
    for name, gain in gains.items():
        narrowest = min(math.prod(shapes[before]) for before in names[: names.index(name) + 1])
        assert int((gain > 1e-5).sum()) <= narrowest, (name, narrowest)


def the_first_layer_has_no_small_gain(count: int) -> None:
    """No direction of the patch has a gain below 1/100,000 in conv1_1."""
    assert count == 0, count


def small_gains_are_fine_patterns(directions: Tensor, chosen: Sequence[int]) -> None:
    """Neighboring pixels differ more in the last three chosen directions than in the first three."""
    x = directions[list(chosen)].view(-1, 3, 16, 16)
    fine = (x[..., 1:] - x[..., :-1]).square().mean((1, 2, 3)) + (x[:, :, 1:] - x[:, :, :-1]).square().mean((1, 2, 3))
    assert fine[3:].min() > 2 * fine[:3].max(), fine


def the_gain_zero_mixture_is_invisible_only_while_small(noise: Numbers, mixture: Numbers) -> None:
    """As a share of the response to noise, that to the mixture is below 1/5 when weak and above 1/2 at 0.1."""
    shares = {strength: mixture[strength] / noise[strength] for strength in noise}
    assert shares["0.0003"] < 0.2, shares
    assert shares["0.1"] > 0.5, shares


def the_prior_helps_every_layer_and_conv5_least(bare: Numbers, helped: Numbers) -> None:
    """The total variation raises the PSNR in every layer; least in conv5_1, and by more than 3 dB in conv2_1."""
    rise = {name: helped[name] - bare[name] for name in bare}
    assert min(rise.values()) > 0, rise
    assert min(rise, key=lambda name: rise[name]) == "conv5_1", rise
    assert rise["conv2_1"] > 3, rise
    assert list(helped.values()) == sorted(helped.values(), reverse=True), helped


def the_prior_costs_content_loss_in_low_layers_and_lowers_it_in_conv5(
    bare: Mapping[str, Result], helped: Mapping[str, Result], profile: str
) -> None:
    """The content loss ends higher with the prior in conv1_1 and conv2_1, and lower in conv4_1 and conv5_1."""
    factor = {name: helped[name].best.content_total / bare[name].best.content_total for name in bare}
    if profile != "smoke":
        assert min(factor["conv1_1"], factor["conv2_1"]) > 1.1, factor
        assert max(factor["conv4_1"], factor["conv5_1"]) < 1, factor


def too_much_prior_costs_content(swept: Mapping[str, Result]) -> None:
    """The content loss with the weight 10 is more than three times that with 0.1."""
    losses = {weight: run.best.content_total for weight, run in swept.items()}
    assert losses["10"] > 3 * losses["0.1"], losses


def a_gray_start_helps(from_noise: float, from_gray: float) -> None:
    """Without a prior, the reconstruction from gray is nearer to the photo than that from noise, by more than 3 dB."""
    assert from_gray > from_noise + 3, (from_noise, from_gray)


def the_relu_costs_little(cost: Numbers) -> None:
    """The ReLU costs less than 1 dB in conv3_1; in conv4_1 the PSNR before and after it differs by less than 3 dB."""
    assert cost["conv3_1"] < 1, cost
    assert abs(cost["conv4_1"]) < 3, cost


def activations_below_zero_get_no_gradient(before: Tensor, wanted: Tensor, gradient: Tensor) -> None:
    """The gradient by formula is that of autograd, and zero where the input of the ReLU is negative."""
    x = before.detach().clone().requires_grad_()
    (expected,) = torch.autograd.grad(0.5 * (F.relu(x) - wanted).square().sum(), x)
    assert torch.allclose(gradient, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())
    assert bool((expected[before <= 0] == 0).all())


def a_part_of_the_activations_starts_without_gradient(share: float) -> None:
    """Some of the activations that should be positive are zero at the start, but not all."""
    assert 0.01 < share < 0.99, share


def conv4_keeps_the_arrangement_and_frees_the_pixels(
    shared: Mapping[str, tuple[float, float, float]], unrelated: float, profile: str
) -> None:
    """For each layer (PSNR of two runs, arrangement of two runs, arrangement of a run and the photo).

    conv2_1 determines the pixels; conv4_1 does not, but its arrangement is the photo's; in conv5_1 it is less so.
    """
    low, middle, deep = (shared[name] for name in ("conv2_1", "conv4_1", "conv5_1"))
    assert low[0] > middle[0] + 5, shared
    assert middle[2] > unrelated + 0.3, (shared, unrelated)
    assert middle[2] > deep[2], shared
    if profile != "smoke":
        assert middle[1] > deep[1], shared


def the_own_prior_helps(first: float, improved: float) -> None:
    """The picture of the open exercise is nearer to the photo than that of section 1, by more than 1.5 dB."""
    assert improved > first + 1.5, (first, improved)
