"""The layers of a transformer network: ``InstanceNorm``, ``ConvLayer``, ``ResidualBlock``, and a fast last convolution.

Every layer takes activations (N, C, H, W) and ``style_weights``, which select the style: an index for the whole batch,
or a tensor (1, styles) or (N, styles) of weights that mix the styles.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Norm = Literal["instance", "batch", "conditional"]
Upsample = Literal["nearest", "bilinear", "transposed"]
StyleWeights = int | Tensor


class InstanceNorm(nn.Module):
    """Instance normalisation (Ulyanov et al. 2016) with a scale and a shift per style (Dumoulin et al. 2017).

    For picture n, channel c and style s, with the mean and the variance of one map over its H * W positions::

        y[n, c] = weight[s, c] * (x[n, c] - mean(x[n, c])) / sqrt(var(x[n, c]) + 1e-5) + bias[s, c]

    Args:
        channels: Number of feature maps C.
        styles: Number of styles.

    Attributes:
        weight: The scales, (styles, C).
        bias: The shifts, (styles, C).
        outlier_threshold: None, or a number of standard deviations; normalised values beyond it are outliers.
            Training sets it, because a network can learn to produce one huge value where it does not show (in a black
            corner), which determines the scale of the whole map: a visible spot (Karras et al. 2020, section 2).
        outlier_penalty: With a threshold, the mean square of what exceeds it, from the last forward pass.
    """

    def __init__(self, channels: int, styles: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(styles, channels))
        self.bias = nn.Parameter(torch.zeros(styles, channels))
        self.outlier_threshold: float | None = None
        self.outlier_penalty: Tensor | None = None

    def forward(self, x: Tensor, style_weights: StyleWeights) -> Tensor:
        """Normalise activations (N, C, H, W); the shape and the dtype stay the same."""
        # In training in float32: with the CPU's bfloat16 gradient of group_norm a step took twice as long.
        y = x.float() if x.requires_grad and x.dtype != torch.float64 else x
        # Group normalisation with one channel per group is instance normalisation. PyTorch's instance_norm copies
        # channels_last activations twice and took 4 to 10 times as long on the CPU.
        y = _centered(y)
        groups = y.shape[1]
        scale = _select(self.weight, style_weights).to(y.dtype)  # (1, C) or (N, C)
        shift = _select(self.bias, style_weights).to(y.dtype)
        # torch 2.7 crashes where only scale and shift have gradients
        fused = len(scale) == 1 and (y.requires_grad or not scale.requires_grad)
        if fused and self.outlier_threshold is None:
            return F.group_norm(y, groups, scale[0], shift[0]).to(x.dtype)
        y = F.group_norm(y, groups)
        if self.outlier_threshold is not None:
            self.outlier_penalty = F.relu(y.abs() - self.outlier_threshold).square().mean()
        return torch.addcmul(shift[:, :, None, None], y, scale[:, :, None, None]).to(x.dtype)


def _centered(x: Tensor) -> Tensor:
    """Return maps (N, C, H, W) less an estimate of each map's mean, which does not change what normalization returns.

    On the CPU, group_norm takes the variance as mean(x^2) - mean(x)^2, which in float32 is wrong for maps whose mean is
    large beside their deviation: flat or bright areas. The estimate, from every fourth row and column, is at most four
    standard deviations from the mean (Cauchy-Schwarz), which leaves no such difference.
    """
    return x - x.detach()[:, :, ::4, ::4].mean((2, 3), keepdim=True)


def _select(table: Tensor, style_weights: StyleWeights) -> Tensor:
    """Return one row of a table (styles, C), or mixtures of its rows: (1, C) or (N, C)."""
    if isinstance(style_weights, int):
        return table[style_weights][None]
    return style_weights @ table


class ConvLayer(nn.Module):
    """Optional upsampling by 2, reflection padding, convolution, normalisation and ReLU.

    Args:
        in_channels: Feature maps of the input.
        out_channels: Feature maps of the output.
        kernel_size: Side of the kernel, odd.
        norm: "batch" for batch normalisation, otherwise ``InstanceNorm``.
        styles: Number of styles of the ``InstanceNorm``.
        stride: Step of the convolution; 2 halves the sides, rounded up.
        upsample: None, "nearest" (repeat pixels before the convolution), "bilinear" (interpolate before it) or
            "transposed" (a transposed convolution, which cannot use reflection padding).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        norm: Norm,
        styles: int,
        stride: int = 1,
        upsample: Upsample | None = None,
    ) -> None:
        super().__init__()
        self.upsample = upsample
        self.name = f"{out_channels} x {kernel_size} x {kernel_size} conv, stride {'1/2' if upsample else stride}"
        padding = kernel_size // 2
        self.conv: nn.Conv2d | nn.ConvTranspose2d
        if upsample == "transposed":
            self.conv = nn.ConvTranspose2d(in_channels, out_channels, kernel_size, 2, padding, output_padding=1)
        else:
            self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, padding_mode="reflect")
        self.norm = nn.BatchNorm2d(out_channels) if norm == "batch" else InstanceNorm(out_channels, styles)

    def forward(self, x: Tensor, style_weights: StyleWeights, relu: bool = True) -> Tensor:
        """Return activations (N, out_channels, H', W'): H and W divided by the stride or doubled."""
        if self.upsample in ("nearest", "bilinear"):
            x = F.interpolate(x, scale_factor=2.0, mode=self.upsample)  # (N, C, 2H, 2W)
        x = self.conv(x)  # (N, out_channels, H', W')
        x = self.norm(x) if isinstance(self.norm, nn.BatchNorm2d) else self.norm(x, style_weights)
        return F.relu_(x) if relu else x  # in place: the gradient of the normalisation needs its input, not its output


class ResidualBlock(nn.Module):
    """x + f(x), where f is two 3 x 3 layers; no ReLU after the sum (Gross and Wilber 2016, as in Johnson et al. 2016).

    Args:
        channels: Feature maps of the input and of the output.
        norm: As in ``ConvLayer``.
        styles: As in ``ConvLayer``.
    """

    def __init__(self, channels: int, norm: Norm, styles: int) -> None:
        super().__init__()
        self.name = f"residual block, {channels} filters"
        self.first = ConvLayer(channels, channels, 3, norm, styles)
        self.second = ConvLayer(channels, channels, 3, norm, styles)

    def forward(self, x: Tensor, style_weights: StyleWeights) -> Tensor:
        """Return activations of the same shape (N, C, H, W)."""
        residual: Tensor = self.first(x, style_weights)
        residual = self.second(residual, style_weights, relu=False)
        return x + residual


def reflect_conv(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """Apply ``conv`` with stride 1 and reflection padding: the plain version of ``reflect_conv_four_at_once``."""
    padding = conv.kernel_size[0] // 2
    x = F.pad(x, (padding,) * 4, mode="reflect")  # (N, C, H + 2 * padding, W + 2 * padding)
    return F.conv2d(x, conv.weight, conv.bias)  # (N, out_channels, H, W)


def reflect_conv_four_at_once(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """Return ``reflect_conv(x, conv)``, computed faster for the three output channels of a picture.

    Three output channels leave most of a vector unit idle. So four output pixels, a 2 x 2 square, become 12 channels of
    a convolution with stride 2, whose larger kernel holds the original one at four offsets. The sums are the same.

    Args:
        x: Activations (N, C, H, W) with even H and W.
        conv: A convolution with a bias and an odd kernel; it supplies the parameters.

    Returns:
        (N, out_channels, H, W).
    """
    padding = conv.kernel_size[0] // 2
    shifted = [F.pad(conv.weight, (dx, 1 - dx, dy, 1 - dy)) for dy in (0, 1) for dx in (0, 1)]
    weight = torch.stack(shifted, 1).flatten(0, 1)  # (4 * out_channels, C, k + 1, k + 1)
    assert conv.bias is not None
    bias = conv.bias.repeat_interleave(4)
    x = F.pad(x, (padding,) * 4, mode="reflect")
    y = F.conv2d(x, weight, bias, stride=2)  # (N, 4 * out_channels, H/2, W/2)
    return F.pixel_shuffle(y, 2)  # (N, out_channels, H, W)
