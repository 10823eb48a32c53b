"""The floor of a step: the sum over VGG's layers of each convolution's own best time on this machine.

Each convolution runs alone, again and again on the same tensors, in both memory layouts; the fastest of all calls
counts, forward and backward with respect to its input. No step with these convolutions can be faster, and none can
reach it: the tensors between the layers would all have to be in the cache already.

``python -m benchmarks.floor '{"which": "full", "size": [256, 256]}'``
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial

import torch

from nstlib import VGGFeatures
from nstlib.runtime import keep_freed_memory, pick_device
from nstlib.timing import synchronize
from nstlib import layer_names

from .worker import weights_of

LAST = "relu5_1"


def best(call: Callable[[], object], repeats: int) -> float:
    found = []
    for _ in range(repeats + 1):
        synchronize()
        begin = time.perf_counter()
        call()
        synchronize()
        found.append(time.perf_counter() - begin)
    return min(found[1:])


@torch.no_grad()
def floor(which: str, size: tuple[int, int], device: torch.device, repeats: int = 5) -> dict[str, float]:
    """Seconds of all convolutions up to relu5_1, forward and backward."""
    if device.type == "cpu":
        keep_freed_memory()
    network = VGGFeatures(weights=weights_of(which), device=device)
    torch.backends.cudnn.benchmark = True
    sums = {"forward": 0.0, "backward": 0.0}
    height, width = size
    for name in layer_names("vgg19"):
        if name == LAST:
            break
        if name.startswith("pool"):
            height, width = height // 2, width // 2
        if not name.startswith("conv"):
            continue
        conv, found = network.convs[name], dict.fromkeys(sums, float("inf"))
        for layout in (torch.channels_last, torch.contiguous_format):
            w, bias = conv.weight.contiguous(memory_format=layout), conv.bias
            v = w.to(network.dtype)
            x, g = (
                torch.rand(1, channels, height, width, device=device).to(dtype).contiguous(memory_format=layout)
                for channels, dtype in ((w.shape[1], w.dtype), (w.shape[0], v.dtype))
            )
            calls = {
                "forward": partial(torch.conv2d, x, w, bias, padding=1),
                "backward": partial(torch.conv_transpose2d, g, v, padding=1),
            }
            found = {k: min(found[k], best(call, repeats)) for k, call in calls.items()}
        sums = {k: sums[k] + found[k] for k in sums}
    return sums


if __name__ == "__main__":
    spec = json.loads(sys.argv[1])
    print(json.dumps(floor(spec["which"], tuple(spec["size"]), pick_device(spec.get("device")), spec["repeats"])))
