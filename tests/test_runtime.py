"""What is decided by the machine, driven with capabilities of other machines."""

from __future__ import annotations

import pytest
import torch

from nstlib import PRESETS
from nstlib.runtime import has_bfloat16, pick_precision

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
