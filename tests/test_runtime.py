"""What is decided by the machine, driven with capabilities of other machines."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import nstlib
from nstlib import PRESETS, SettingError
from nstlib.runtime import has_bfloat16, pick_device, pick_precision

T4, V100, A100, H100 = (7, 5), (7, 0), (8, 0), (9, 0)


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [(T4, torch.float32), (V100, torch.float32), (A100, torch.bfloat16), (H100, torch.bfloat16)],
)
def test_auto_is_bfloat16_only_where_the_gpu_has_it_natively(monkeypatch, capability, dtype):
    """A T4 emulates bfloat16, and PyTorch says that it supports it."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)
    assert pick_precision("auto", torch.device("cuda")) == dtype
    assert pick_precision("bfloat16", torch.device("cuda")) == torch.bfloat16


def test_other_devices_have_no_fast_bfloat16():
    assert not has_bfloat16(torch.device("meta"))


def test_presets_can_be_keys():
    assert len({preset: preset.name for preset in PRESETS.values()}) == len(PRESETS)


@pytest.mark.parametrize(("capability", "expected"), [("AVX512", True), ("AVX2", False), ("DEFAULT", False)])
def test_a_processor_restricted_by_the_environment_has_no_fast_bfloat16(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert has_bfloat16(torch.device("cpu")) is expected


def test_the_environment_is_set_before_pytorch_is_loaded():
    code = "import os, nstlib; print(os.environ['GOMP_SPINCOUNT'])"
    for given, expected in ((None, "10000"), ("7", "7")):
        environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
        environment |= {} if given is None else {"GOMP_SPINCOUNT": given}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == expected
    source = Path(nstlib.__file__).read_text(encoding="utf-8")
    assert source.index("import environment") < source.index("from .architecture")


def test_an_optimizer_works_without_dynamo():
    code = """
import sys, torch
from nstlib.runtime import leave_dynamo_unloaded
leave_dynamo_unloaded()
x = torch.full((3,), 2.0, requires_grad=True)
optimizer = torch.optim.LBFGS([x], max_iter=20)
def closure():
    optimizer.zero_grad()
    loss = ((x - 1) ** 2).sum()
    loss.backward()
    return loss
optimizer.step(closure)
assert torch.allclose(x.detach(), torch.ones(3)), x
assert "torch._dynamo" not in sys.modules
import torch._dynamo
torch.optim.Adam([x]).step()
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_device_without_values_cannot_be_used():
    with pytest.raises(SettingError, match="'meta' cannot be used here"):
        pick_device("meta")
