"""A little of ``make torture``: a training is stopped at random moments, resumed, and ends with the same bits."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from conftest import ROOT

pytest.importorskip("accelerate")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_training_survives_a_handful_of_stops():
    words = "tests/torture/run.py --stops 6 --flips 10 --writes 2 --seed 1".split()
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| flipped bytes noticed | 10 | 0 |" in done.stdout
    assert "| stopped by SIGKILL | 2 | 0 |" in done.stdout
