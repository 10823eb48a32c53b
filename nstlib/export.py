"""Transformer networks as ONNX files with free height and width, checked against PyTorch.

>>> net = TransformerNet.load("waves.safetensors")
>>> check_onnx(net, export_onnx(net, "waves.onnx"))  # the largest difference found, 0 to 1
"""

from __future__ import annotations

import importlib.util
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from .errors import ImageError, NstError, SettingError
from .images import write_atomically
from .transformer import MIN_SIDE, TransformerNet

OPSET = 18
"""What PyTorch's exporter writes without conversion; runtimes since early 2023 read it."""

MAX_SIDE = 16384


class ExportError(NstError):
    """A network could not be exported, or its file could not be run."""


class _Exported(nn.Module):
    """The network with what ONNX knows as inputs: pictures, and weights of styles where there are several."""

    def __init__(self, net: TransformerNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor, style: Tensor | None = None) -> Tensor:
        return self.net.run(image, 0 if style is None else style)


def _need(*modules: str) -> None:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(f"ONNX needs {' and '.join(missing)}; run pip install 'nstlib[onnx]'.")


def export_onnx(net: TransformerNet, path: str | Path, opset: int = OPSET) -> Path:
    """Write the network as one ONNX file and return its path; the file appears whole or not at all.

    Inputs: ``image``, float32 (1, 3, H, W) in [0, 1] with H and W from 5 to 16384, and, where the network holds
    several styles, ``style``, float32 (1, styles), weights that sum to one. Output: ``painted``, of the image's
    shape and range. Weights are float32.

    Raises ExportError without the packages of the extra "onnx", and where PyTorch cannot export.
    """
    _need("onnx", "onnxscript")
    if opset < OPSET:
        raise SettingError(f"opset {opset} is too old for the exporter; use {OPSET} or later.")
    if tuple(int(n) for n in torch.__version__.split(".")[:2]) < (2, 6):
        raise ExportError(f"PyTorch {torch.__version__} cannot export free sizes well; use version 2.6 or later.")
    plain = net.for_inference("float32", "cpu")
    examples, names = [torch.rand(1, 3, 48, 72)], ["image"]
    free = {axis: torch.export.Dim(name, min=MIN_SIDE, max=MAX_SIDE) for axis, name in ((2, "height"), (3, "width"))}
    shapes: list[dict] = [free]
    if net.styles > 1:
        examples, names, shapes = [*examples, torch.eye(net.styles)[:1]], [*names, "style"], [free, {}]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about PyTorch's own inside; what matters is raised or checked
        written = Path(folder, "net.onnx")
        try:
            torch.onnx.export(
                _Exported(plain).eval(), tuple(examples), str(written), input_names=names, output_names=["painted"],
                opset_version=opset, dynamo=True, external_data=False, dynamic_shapes=tuple(shapes), verbose=False,
            )  # fmt: skip
        except Exception as error:  # the exporter raises many types
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ExportError(f"PyTorch could not export this network ({reason}); try another version.") from error
        data = written.read_bytes()
    try:
        write_atomically(Path(path), data)
    except ImageError as error:
        raise ExportError(str(error)) from error
    return Path(path)


def check_onnx(
    net: TransformerNet, path: str | Path, sizes: Sequence[tuple[int, int]] = ((64, 64), (5, 7), (101, 75))
) -> float:
    """Run the file with onnxruntime beside the network; the largest difference of any value, in [0, 1].

    sizes: (height, width) of the random pictures tried. Each style is tried in turn, and an even mixture.
    About 1e-5 is rounding; 4e-3 would be one grey level. Raises ExportError if the file cannot be run.
    """
    _need("onnxruntime")
    import onnxruntime

    plain = net.for_inference("float32", "cpu")
    mixtures = [*torch.eye(net.styles).unbind(), torch.full((net.styles,), 1 / net.styles)]
    generator, largest = torch.Generator().manual_seed(0), 0.0
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        for i in range(max(len(sizes), len(mixtures) if net.styles > 1 else 0)):
            image = torch.rand(1, 3, *sizes[i % len(sizes)], generator=generator)
            weights = mixtures[i % len(mixtures)][None]
            feed = {"image": image.numpy(), **({"style": weights.numpy()} if net.styles > 1 else {})}
            found = torch.from_numpy(session.run(["painted"], feed)[0])
            if found.shape != image.shape:
                raise ExportError(f"'{path}' gives {tuple(found.shape)} for a picture {tuple(image.shape)}.")
            with torch.no_grad():
                wanted = plain(image, weights if net.styles > 1 else 0)
            largest = max(largest, (found - wanted).abs().max().item())
    except NstError:
        raise
    except Exception as error:  # onnxruntime's errors share no type of their own
        raise ExportError(f"'{path}' is no ONNX file that onnxruntime can run; export it again.") from error
    return largest
