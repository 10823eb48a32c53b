"""ONNX files against PyTorch; without the packages of the extra "onnx", only the errors are tested."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from nstlib.errors import ExportError, FileError, SettingError
from nstlib.feedforward.export import check_onnx, export_onnx
from nstlib.feedforward.transformer import TransformerNet

TINY = {"width": 4, "blocks": 1}
SIZES = [(5, 7), (64, 48), (51, 90)]


def test_errors_name_missing_packages(monkeypatch, tmp_path):
    for name in ("onnx", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None)
    net = TransformerNet(**TINY)
    with pytest.raises(ExportError, match=r"nstlib\[onnx\]"):
        export_onnx(net, tmp_path / "net.onnx")
    with pytest.raises(ExportError, match="onnxruntime.*nstlib"):
        check_onnx(net, tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def _packages():
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name)


def inputs_and_outputs(path: Path) -> tuple[dict, list]:
    """Return the inputs with their axes (lengths, or names of free ones) and the names of the outputs."""
    import onnx

    graph = onnx.load(path).graph
    inputs = {i.name: [d.dim_param or d.dim_value for d in i.type.tensor_type.shape.dim] for i in graph.input}
    return inputs, [o.name for o in graph.output]


@pytest.mark.usefixtures("_packages")
@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"norm": "conditional", "styles": 3},
        {"norm": "batch", "upsample": "transposed", "pixels": "byte"},
        {"upsample": "bilinear", "noise": "input", "sizes": (40, 90)},
        {"norm": "conditional", "styles": 3, "noise": "bottleneck", "sizes": (40, 80, 100)},
    ],
)
def test_file_equals_network_at_three_sizes(tmp_path, kind):
    torch.manual_seed(0)
    net = TransformerNet(**TINY, **kind)
    for name, parameter in net.named_parameters():
        if ".norm." in name:
            torch.nn.init.normal_(parameter, 1.0, 0.3)
    path = export_onnx(net, tmp_path / "folder" / "net.onnx")
    assert [p.name for p in path.parent.iterdir()] == ["net.onnx"]
    assert net.training
    assert inputs_and_outputs(path) == (
        {"image": [1, 3, "height", "width"], **({"style": [1, 3]} if "styles" in kind else {})},
        ["painted"],
    )
    assert check_onnx(net, path, SIZES) < 1e-4
    torch.nn.init.normal_(net.last.bias)  # the check must detect a difference
    assert check_onnx(net, path, SIZES) > 1e-2


@pytest.mark.usefixtures("_packages")
def test_errors_for_unusable_files_and_settings(tmp_path, monkeypatch):
    path = tmp_path / "net.onnx"
    net = TransformerNet(**TINY)
    with pytest.raises(ExportError, match="onnxruntime can run"):
        check_onnx(net, path)
    path.write_bytes(b"no network")
    with pytest.raises(ExportError, match="onnxruntime can run"):
        check_onnx(net, path)
    with pytest.raises(SettingError, match="opset 11"):
        export_onnx(net, path, opset=11)
    monkeypatch.setattr(torch.onnx, "export", lambda net, args, file, **_: Path(file).write_bytes(b"exported"))
    with pytest.raises(FileError, match="folder"):
        export_onnx(net, tmp_path)
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: 1 / 0)
    with pytest.raises(ExportError, match=r"could not export this network \(division by zero\)"):
        export_onnx(net, path)
    assert path.read_bytes() == b"no network"


def test_errors_for_what_is_no_network_or_no_path(tmp_path):
    for call in (lambda: export_onnx("waves", tmp_path / "a.onnx"), lambda: check_onnx("waves", tmp_path / "a.onnx")):
        with pytest.raises(SettingError, match="the network is of the type str"):
            call()
    with pytest.raises(FileError, match="give a path"):
        export_onnx(TransformerNet(**TINY), None)
    with pytest.raises(SettingError, match="the opset must be a whole number"):
        export_onnx(TransformerNet(**TINY), tmp_path / "a.onnx", opset="18")
