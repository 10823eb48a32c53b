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

from nstlib.runtime import keep_freed_memory, pick_device, pick_precision
from nstlib.timing import synchronize
from nstlib.vgg import layer_names

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
    dtype = pick_precision("auto", device)
    torch.backends.cudnn.benchmark = True
    sums = {"forward": 0.0, "backward": 0.0}
    height, width = size
    state = weights_of(which)
    for index, name in enumerate(layer_names("vgg19")):
        if name == LAST:
            break
        if name.startswith("pool"):
            height, width = height // 2, width // 2
        if not name.startswith("conv"):
            continue
        weight, bias = (state[f"features.{index}.{k}"].to(device, dtype) for k in ("weight", "bias"))
        found = dict.fromkeys(sums, float("inf"))
        for layout in (torch.channels_last, torch.contiguous_format):
            w = weight.contiguous(memory_format=layout)
            x, g = (
                torch.rand(1, channels, height, width, device=device).to(dtype).contiguous(memory_format=layout)
                for channels in (w.shape[1], w.shape[0])
            )
            settings = ([1, 1], [1, 1], [1, 1], False, [0, 0], 1)  # stride, padding, dilation; not transposed
            calls = {
                "forward": partial(torch.conv2d, x, w, bias, padding=1),
                "backward": partial(
                    torch.ops.aten.convolution_backward, g, x, w, [len(w)], *settings, [True, False, False]
                ),
            }
            found = {k: min(found[k], best(call, repeats)) for k, call in calls.items()}
        sums = {k: sums[k] + found[k] for k in sums}
    return sums


if __name__ == "__main__":
    spec = json.loads(sys.argv[1])
    print(json.dumps(floor(spec["which"], tuple(spec["size"]), pick_device(spec.get("device")), spec["repeats"])))
