"""One candidate in a process of its own, that waits for its turn: ``python -m benchmarks.worker '{...}'``.

Of its own, because memory is a process's, and because ours tells the C library how to keep freed memory, which the
plain code in the same process would gain by as well.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

import nstlib
from nstlib import get_preset
from nstlib.data import gallery
from nstlib.runtime import keep_freed_memory, pick_device
from nstlib.timing import multiply_adds, peak_rss, synchronize
from nstlib.pretrained import load_state, random_state

from .plain import PlainTraining, PlainTransfer, plain_network

ROOT = Path(__file__).resolve().parent.parent


@cache
def weights_of(name: str) -> Mapping[str, Tensor]:
    """Weights by name; "full" is a full VGG-19 of random weights: a convolution takes the same time whatever they are."""
    return random_state("vgg19") if name == "full" else load_state("vgg19", name)


@cache
def pictures(
    size: tuple[int, int], device: torch.device, pair: tuple[str, str] = ("chelsea", "waves")
) -> tuple[Tensor, Tensor]:
    content, style = gallery.content(pair[0], max(size)), gallery.style(pair[1], max(size))
    return tuple(nstlib.resize(p, size).to(device) for p in (content, style))


def step(how: str, weights: str, size: tuple[int, int], device: torch.device) -> Callable[[], object]:
    """One evaluation of Gatys' loss and its gradient with respect to the picture."""
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
    goal = nstlib.Objective(preset, features, content, style)
    return lambda: torch.autograd.grad(goal(x).sum(), x)


def network(how: str, width: int, size: tuple[int, int], device: torch.device) -> Callable[[], object]:
    """One picture through a transformer network."""
    photo, _ = pictures(size, device)
    if how == "plain":
        plain = plain_network(width).to(device).eval()
        return torch.no_grad()(lambda: plain(photo))
    net = nstlib.TransformerNet(width=width).eval()
    if how == "onnx":
        import onnxruntime

        from nstlib.feedforward.export import export_onnx

        with tempfile.TemporaryDirectory() as folder:
            file = export_onnx(net, Path(folder, "net.onnx"))
            session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        feed = {"image": photo.cpu().numpy()}
        return lambda: session.run(["painted"], feed)
    fast = net.for_inference(device=device)
    call = torch.compile(fast, dynamic=False) if how == "compiled" else fast
    return torch.no_grad()(lambda: call(photo))


def training(how: str, weights: str, size: tuple[int, int], device: torch.device) -> Callable[[], object]:
    """One step of training a full network on four photos."""
    photo, style = pictures(size, device)
    photos = torch.cat([photo.roll(17 * i, 3) for i in range(4)])
    if how == "plain":
        plain = PlainTraining(weights_of(weights), style)
        return lambda: plain.step(photos)
    from nstlib.feedforward.training import Trainer

    folder = tempfile.mkdtemp()
    nstlib.save(photo[:1].cpu(), Path(folder, "photo.png"))
    nstlib.save(style.cpu(), Path(folder, "style.png"))
    config = nstlib.TrainingConfig(
        photos=folder, styles=(str(Path(folder, "style.png")),), output=folder, size=max(size), device=str(device),
        style_size=max(size),
    )  # fmt: skip
    preset = config.loss_preset()
    features = nstlib.VGGFeatures(
        weights=weights_of(weights), pooling=preset.pooling, rescale=preset.rescale, device=device
    )
    trainer = Trainer(config, features=features)
    return lambda: trainer.step(photos, torch.zeros(4, dtype=torch.long, device=device))


BUILDERS = {"step": step, "network": network, "training": training}


def peak_tensors(work: Callable[[], object]) -> tuple[int, int, object]:
    """Bytes of tensors that ``work`` holds at once at most, those that it leaves, and its answer."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        answer = work()
    now = peak = 0
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    for event in sorted(events, key=lambda e: e.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak, now, answer


def serve(spec: dict) -> None:
    """Answer each line that comes in with one: "go" with the word done, "report" with what was counted."""
    device = pick_device(spec.get("device"))
    what, how, which, size = spec["what"], spec["how"], spec["which"], tuple(spec["size"])
    pictures(size, device)
    if what != "network":
        weights_of(which)  # stays, so that what a candidate makes of it is counted in full
    small = BUILDERS[what](how, which, tuple(max(64, n // 8) for n in size), device)
    peak_tensors(small)  # loads the code of operators and profiler: libraries are not what a candidate needs
    del small
    before = peak_rss()
    built, kept, call = peak_tensors(lambda: BUILDERS[what](how, which, size, device))
    stepped, _, counted = peak_tensors(lambda: multiply_adds(call) if spec.get("count") else call())
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "go":
            call()
            synchronize()
            print("done", flush=True)
        else:
            peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else peak_rss() - before
            tensors = max(built, kept + stepped)
            print(
                json.dumps({"peak": peak, "tensors": tensors, "multiply_adds": counted if spec.get("count") else 0}),
                flush=True,
            )


class Worker:
    """The other end of ``serve``: calling it does the candidate's work once. Raises RuntimeError where it cannot."""

    def __init__(self, **spec: object) -> None:
        command = [sys.executable, "-m", "benchmarks.worker", json.dumps(spec)]
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - as long as the process
        environment = {**os.environ, "NST_KEEP_MEMORY": "1" if spec.get("keep", True) else "0"}  # read at import
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, cwd=ROOT,
            env=environment,
        )  # fmt: skip

    def _read(self, wanted: str = "") -> str:
        for line in self.process.stdout:
            if not wanted or line.strip() == wanted:
                return line
        self.errors.seek(0)
        raise RuntimeError((self.errors.read().strip().splitlines() or ["it ended without a word"])[-1])

    def _ask(self, word: str) -> None:
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def __call__(self) -> None:
        self._ask("go")
        self._read("done")

    def close(self) -> dict[str, int]:
        self._ask("report")
        answer = json.loads(self._read())
        self.process.stdin.close()
        self.process.wait(timeout=60)
        return answer


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))
