"""One candidate in a process of its own, which waits for commands: ``python -m benchmarks.worker '{...}'``.

A process per candidate is needed because memory belongs to a process, and because the library changes how the C library
keeps freed memory, from which the plain code in the same process would benefit too.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

import nstlib
from nstlib import get_preset
from nstlib.data import gallery
from nstlib.pretrained import load_state, random_state
from nstlib.runtime import keep_freed_memory, pick_device
from nstlib.timing import multiply_adds, peak_rss, synchronize

from .plain import PlainTraining, PlainTransfer, plain_network

ROOT = Path(__file__).resolve().parent.parent

Work = Callable[[], object]
"""One call of a candidate."""


@cache
def weights_of(name: str) -> Mapping[str, Tensor]:
    """Return weights by name; "full" is a full VGG-19 with random ones, because their values do not affect the time."""
    return random_state("vgg19") if name == "full" else load_state("vgg19", name)


@cache
def pictures(
    size: tuple[int, int], device: torch.device, pair: tuple[str, str] = ("chelsea", "waves")
) -> tuple[Tensor, Tensor]:
    """Return a content and a style, both (1, 3, *size)."""
    content, style = gallery.content(pair[0], max(size)), gallery.style(pair[1], max(size))
    return nstlib.resize(content, size).to(device), nstlib.resize(style, size).to(device)


def step(how: str, weights: str, size: tuple[int, int], device: torch.device) -> Work:
    """Return one evaluation of Gatys' loss and its gradient with respect to the picture."""
    content, style = pictures(size, device)
    x = (0.9 * content + 0.05).requires_grad_()
    state = weights_of(weights)
    if how == "plain":
        plain = PlainTransfer(state, content, style)
        return lambda: plain.step(x)
    preset = get_preset("course")
    if device.type == "cpu":
        keep_freed_memory()
    features = nstlib.VGGFeatures(weights=state, pooling=preset.pooling, device=device)
    objective = nstlib.Objective(preset, features, content, style)
    return lambda: torch.autograd.grad(objective(x).sum(), x)


def network(how: str, width: int, size: tuple[int, int], device: torch.device) -> Work:
    """Return one forward pass of a transformer network."""
    photo, _ = pictures(size, device)
    if how == "onnx":
        return onnx_network(width, photo)
    if how == "plain":
        forward = plain_network(width).to(device).eval()
    else:
        forward = nstlib.TransformerNet(width=width).eval().for_inference(device=device)
    if how == "compiled":
        forward = torch.compile(forward, dynamic=False)

    @torch.no_grad()
    def call() -> Tensor:
        return forward(photo)

    return call


def onnx_network(width: int, photo: Tensor) -> Work:
    """Return one forward pass of a transformer network in ONNX Runtime."""
    import onnxruntime

    from nstlib.feedforward.export import export_onnx

    net = nstlib.TransformerNet(width=width).eval()
    with tempfile.TemporaryDirectory() as folder:
        file = export_onnx(net, Path(folder, "net.onnx"))
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    feed = {"image": photo.cpu().numpy()}
    return lambda: session.run(["painted"], feed)


def training(how: str, weights: str, size: tuple[int, int], device: torch.device) -> Work:
    """Return one step of training a full network on four photos."""
    photo, style = pictures(size, device)
    photos = torch.cat([photo.roll(17 * i, 3) for i in range(4)])  # (4, 3, H, W)
    if how == "plain":
        plain = PlainTraining(weights_of(weights), style)
        return lambda: plain.step(photos)
    from nstlib.feedforward.training import Trainer

    folder = tempfile.mkdtemp()
    style_file = Path(folder, "style.png")
    nstlib.save(photo[:1].cpu(), Path(folder, "photo.png"))
    nstlib.save(style.cpu(), style_file)
    config = nstlib.TrainingConfig(
        photos=folder,
        styles=(str(style_file),),
        output=folder,
        size=max(size),
        style_size=max(size),
        device=str(device),
    )
    preset = config.loss_preset()
    features = nstlib.VGGFeatures(
        weights=weights_of(weights), pooling=preset.pooling, rescale=preset.rescale, device=device
    )
    trainer = Trainer(config, features=features)
    styles = torch.zeros(4, dtype=torch.long, device=device)
    return lambda: trainer.step(photos, styles)


BUILDERS: dict[str, Callable[[str, Any, tuple[int, int], torch.device], Work]] = {
    "step": step,
    "network": network,
    "training": training,
}


class TensorMemory(NamedTuple):
    """What the tensors of a function hold, in bytes, and the function's result."""

    peak: int
    left: int
    """Bytes still held after the function has returned."""

    result: Any


def tensor_memory(work: Work) -> TensorMemory:
    """Call a function and measure the memory of its tensors with PyTorch's profiler."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        result = work()
    now = peak = 0
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return TensorMemory(peak, now, result)


def serve(spec: dict[str, Any]) -> None:
    """Build a candidate, print "ready", and answer each line of input with one line.

    "go" calls the candidate and answers "done"; "report" answers with the measured memory and arithmetic, in JSON.
    """
    device, size = pick_device(spec.get("device")), tuple(spec["size"])
    build = BUILDERS[spec["what"]]
    count = bool(spec.get("count"))
    pictures(size, device)
    if spec["what"] != "network":
        weights_of(spec["which"])  # loaded before, so that only what a candidate makes of them is counted
    small_size = tuple(max(64, side // 8) for side in size)
    small = build(spec["how"], spec["which"], small_size, device)
    tensor_memory(small)  # loads the code of operators and profiler, which is not the candidate's memory
    del small
    before = peak_rss()
    built = tensor_memory(lambda: build(spec["how"], spec["which"], size, device))
    call = built.result
    called = tensor_memory(lambda: multiply_adds(call) if count else call())
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "go":
            call()
            synchronize()
            print("done", flush=True)
        else:
            report = {
                "peak": torch.cuda.max_memory_allocated() if device.type == "cuda" else peak_rss() - before,
                "tensors": max(built.peak, built.left + called.peak),
                "multiply_adds": called.result if count else 0,
            }
            print(json.dumps(report), flush=True)


class Worker:
    """The parent's side of ``serve``; calling it runs the candidate once. Raises RuntimeError if the process fails.

    Leaving its context ends the process.

    Args:
        spec: The candidate: "what", "how", "which", "size", "device", "count", and "keep" (freed memory).
    """

    def __init__(self, **spec: object) -> None:
        command = [sys.executable, "-m", "benchmarks.worker", json.dumps(spec)]
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the process
        environment = {**os.environ, "NST_KEEP_MEMORY": "1" if spec.get("keep", True) else "0"}  # read at import
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            cwd=ROOT,
            env=environment,
        )

    def wait_until_ready(self) -> None:
        """Return when the candidate has been built."""
        self._read("ready")

    def __call__(self) -> None:
        self._send("go")
        self._read("done")

    def report(self) -> dict[str, int]:
        """Return what the process reports: "peak", "tensors" and "multiply_adds"."""
        self._send("report")
        return json.loads(self._read())

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            with contextlib.suppress(BrokenPipeError):  # a command was left in the buffer
                stream.close()

    def _read(self, wanted: str = "") -> str:
        """Return the next line, or the next one equal to ``wanted``."""
        for line in self.process.stdout:
            if not wanted or line.strip() == wanted:
                return line
        self.errors.seek(0)
        raise RuntimeError(last_line(self.errors.read()))

    def _send(self, command: str) -> None:
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()


def last_line(errors: str) -> str:
    """Return the last line of a process's error output."""
    return (errors.strip() or "the process ended without a message").splitlines()[-1]


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))
