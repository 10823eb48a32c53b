"""Lower bound of a step: the sum of the best times of VGG's convolutions on this machine.

Each convolution runs alone, several times on the same tensors, in both memory formats and in the library's own way
(nstlib/winograd.py), forward and backward with respect to its input; the fastest call counts. No step with these
convolutions can be faster. None can reach the bound either, because all tensors between the layers would have to be in
the cache already.

``python -m benchmarks.floor '{"weights": "full", "size": [256, 256], "repeats": 5}'``
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial

import torch

from nstlib import VGGFeatures, layer_names
from nstlib.runtime import keep_freed_memory, pick_device
from nstlib.timing import synchronize
from nstlib.winograd import conv3x3, conv3x3_transposed

from .worker import weights_of

LAST = "relu5_1"


def best_time(call: Callable[[], object], repeats: int) -> float:
    """Return the shortest time of ``repeats`` calls in seconds; one call before them is not counted."""
    seconds = []
    for _ in range(repeats + 1):
        synchronize()
        started = time.perf_counter()
        call()
        synchronize()
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])


@torch.no_grad()
def floor(weights: str, size: tuple[int, int], device: torch.device, repeats: int = 5) -> dict[str, float]:
    """Return the seconds of all convolutions up to relu5_1, "forward" and "backward"."""
    if device.type == "cpu":
        keep_freed_memory()
    network = VGGFeatures(weights=weights_of(weights), device=device)
    torch.backends.cudnn.benchmark = True
    sums = {"forward": 0.0, "backward": 0.0}
    height, width = size
    for name in layer_names("vgg19"):
        if name == LAST:
            break
        if name.startswith("pool"):
            height, width = height // 2, width // 2
        if name.startswith("conv"):
            times = convolution_times(network.convs[name], network.dtype, (height, width), device, repeats)
            sums = {direction: sums[direction] + times[direction] for direction in sums}
    return sums


def convolution_times(
    conv: torch.nn.Conv2d, backward_dtype: torch.dtype, size: tuple[int, int], device: torch.device, repeats: int
) -> dict[str, float]:
    """Return the best seconds of one convolution over both memory formats and both ways to compute it.

    The forward pass runs in the dtype of the weights, the backward pass in ``backward_dtype``.
    """
    times = {"forward": float("inf"), "backward": float("inf")}
    out_channels, in_channels = conv.weight.shape[:2]
    for memory_format in (torch.channels_last, torch.contiguous_format):
        weight = conv.weight.contiguous(memory_format=memory_format)
        backward_weight = weight.to(backward_dtype)
        x = torch.rand(1, in_channels, *size, device=device).to(weight.dtype)
        grad = torch.rand(1, out_channels, *size, device=device).to(backward_dtype)
        x, grad = (tensor.contiguous(memory_format=memory_format) for tensor in (x, grad))
        ways = {
            "forward": [partial(torch.conv2d, x, weight, conv.bias, padding=1), partial(conv3x3, x, weight, conv.bias)],
            "backward": [
                partial(torch.conv_transpose2d, grad, backward_weight, padding=1),
                partial(conv3x3_transposed, grad, backward_weight),
            ],
        }
        for direction, calls in ways.items():
            times[direction] = min(times[direction], *(best_time(call, repeats) for call in calls))
    return times


def main(spec: dict[str, object]) -> None:
    """Print the result for a specification in JSON."""
    size, device = tuple(spec["size"]), pick_device(spec.get("device"))
    print(json.dumps(floor(spec["weights"], size, device, spec["repeats"])))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
