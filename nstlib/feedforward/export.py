"""Transformer networks as ONNX files with free height and width, checked against PyTorch.

>>> net = TransformerNet.load("waves.safetensors")
>>> check_onnx(net, export_onnx(net, "waves.onnx"))  # the largest difference of any pixel, 0 to 1
"""

from __future__ import annotations

import importlib.util
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ExportError, NstError, SettingError, whole_number
from ..files import check_place, write_atomically
from .transformer import MIN_SIDE, TransformerNet, check_network

OPSET = 18
"""The version of ONNX that PyTorch's exporter writes without a conversion; runtimes since early 2023 read it."""

MAX_SIDE = 16384

CHECKED_SIZES = ((64, 64), (5, 7), (101, 75))


class _OnnxNet(nn.Module):
    """The network with the inputs of the ONNX file: pictures, and style weights where there are several styles."""

    def __init__(self, net: TransformerNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor, style: Tensor | None = None) -> Tensor:
        return self.net.run(image, 0 if style is None else style)


def export_onnx(net: TransformerNet, path: str | Path, opset: int = OPSET) -> Path:
    """Write a network as one ONNX file with float32 weights; the file appears whole or not at all.

    Inputs of the file: ``image``, float32 (1, 3, H, W) in [0, 1] with H and W from 5 to 16384; and for a network with
    several styles ``style``, float32 (1, styles), weights that sum to one. Output: ``painted``, of the image's shape
    and range.

    Args:
        net: The network.
        path: Where to write.
        opset: Version of ONNX, 18 or later.

    Returns:
        The path.

    Raises:
        ExportError: The packages of the extra "onnx" are missing, or PyTorch cannot export the network.
        SettingError: The network is none, or the opset is too old or no whole number.
        FileError: The file cannot be written.
    """
    check_network(net)
    check_place(path)
    if whole_number("the opset", opset) < OPSET:
        raise SettingError(f"opset {opset} is too old for the exporter; use {OPSET} or later.")
    _require("onnx", "onnxscript")
    if tuple(int(n) for n in torch.__version__.split(".")[:2]) < (2, 11):
        raise ExportError(f"PyTorch {torch.__version__} cannot export free sizes well; use version 2.11 or later.")
    try:
        data = _to_onnx(net, opset)
    except Exception as error:  # the exporter raises many types
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ExportError(f"PyTorch could not export this network ({reason}); try another version.") from error
    return write_atomically(path, data)


def _to_onnx(net: TransformerNet, opset: int) -> bytes:
    height = torch.export.Dim("height", min=MIN_SIDE, max=MAX_SIDE)
    width = torch.export.Dim("width", min=MIN_SIDE, max=MAX_SIDE)
    names = ["image"]
    examples = [torch.rand(1, 3, 48, 72)]
    free_axes: list[dict[int, Any]] = [{2: height, 3: width}]  # one dict per input
    if net.styles > 1:
        names.append("style")
        examples.append(torch.eye(net.styles)[:1])  # (1, styles)
        free_axes.append({})
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the exporter's internals; what matters is raised or checked
        file = Path(folder, "net.onnx")
        torch.onnx.export(
            _OnnxNet(net.for_inference("float32", "cpu")).eval(),
            tuple(examples),
            str(file),
            input_names=names,
            output_names=["painted"],
            opset_version=opset,
            dynamo=True,
            external_data=False,
            dynamic_shapes=tuple(free_axes),
            verbose=False,
        )
        return file.read_bytes()


def check_onnx(net: TransformerNet, path: str | Path, sizes: Sequence[tuple[int, int]] = CHECKED_SIZES) -> float:
    """Run an ONNX file with onnxruntime and compare it with the network.

    Args:
        net: The network that was exported.
        path: The file.
        sizes: (height, width) of the random pictures. Each style is tried in turn, and an equal mixture of all.

    Returns:
        The largest difference of any pixel value, in [0, 1]. About 1e-5 is rounding; 4e-3 would be one grey level.

    Raises:
        ExportError: onnxruntime is missing, cannot run the file, or the output has another shape.
    """
    check_network(net)
    _require("onnxruntime")
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return _largest_difference(net, session, sizes)
    except NstError:
        raise
    except Exception as error:  # onnxruntime's errors have no common type
        raise ExportError(f"'{path}' is not an ONNX file that onnxruntime can run; export it again.") from error


def _largest_difference(net: TransformerNet, session: Any, sizes: Sequence[tuple[int, int]]) -> float:
    net = net.for_inference("float32", "cpu")
    several = net.styles > 1
    mixtures = [*torch.eye(net.styles).unbind(), torch.full((net.styles,), 1 / net.styles)]
    generator = torch.Generator().manual_seed(0)
    largest = 0.0
    for i in range(max(len(sizes), len(mixtures)) if several else len(sizes)):
        image = torch.rand(1, 3, *sizes[i % len(sizes)], generator=generator)
        weights = mixtures[i % len(mixtures)][None]  # (1, styles)
        inputs = {"image": image.numpy()}
        if several:
            inputs["style"] = weights.numpy()
        found = torch.from_numpy(session.run(["painted"], inputs)[0])
        if found.shape != image.shape:
            raise ExportError(f"the file returns {tuple(found.shape)} for a picture {tuple(image.shape)}.")
        with torch.no_grad():
            expected = net(image, weights if several else 0)
        largest = max(largest, (found - expected).abs().max().item())
    return largest


def _require(*modules: str) -> None:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(f"ONNX needs {' and '.join(missing)}; run pip install 'nstlib[onnx]'.")
