"""The compact extractor as it ships: its parameters, and the losses of its pictures in the real VGG-19.

The second part needs the first layers of the real network, paintings and thumbnails, which are not part of the project;
without them it is skipped.
"""

from __future__ import annotations

import importlib.util
import io
import json
import zipfile

import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image

from nstlib import VGGFeatures, images, layer_names, load, save, texture, transfer
from nstlib.pretrained import compact_state

OUTSIDE = ROOT.parent / "shared"
JUDGE = OUTSIDE / "tools" / "judge_style.py"
needs_judge = pytest.mark.skipif(
    not JUDGE.exists(), reason="the weights of the real VGG-19 and the paintings are not here"
)


def test_architecture_is_a_narrow_vgg19():
    network = VGGFeatures(weights="compact")
    assert network.available == layer_names("vgg19")
    metadata = compact_state()[1]
    assert [network.channels(f"relu{b}_1") for b in range(1, 6)] == json.loads(metadata["widths"])
    assert len(json.loads(metadata["classes"])) == 202


def test_mean_activations_are_about_one():
    """Rescaled as in Gatys 2016: over photos the mean activation of a filter is 1; none is near zero or very large."""
    pytest.importorskip("skimage")
    from skimage import data

    photos = [Image.fromarray(a) for a in (data.astronaut(), data.chelsea(), data.coffee())]
    batch = torch.cat([images.load(p, exact=(128, 128)) for p in photos])
    network = VGGFeatures(weights="compact", precision="float32")
    for name, found in network(batch, [n for n in layer_names() if n.startswith("relu")]).items():
        means = found.mean((0, 2, 3))
        assert 0.5 < means.mean() < 2, (name, means.mean())
        assert means.max() < 12, (name, means.max())
        assert (means > 0.02).float().mean() > 0.9, name


@pytest.fixture(scope="module")
def judge():
    spec = importlib.util.spec_from_file_location("judge", JUDGE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    weights = module.load_file(module.WEIGHTS)
    return lambda style, picture, content=None: module.distances(style, picture, content, weights)


@pytest.mark.slow
@needs_judge
def test_texture_has_a_small_style_loss_in_the_real_network(judge, tmp_path):
    style = OUTSIDE / "paintings" / "starry_night_google.jpg"
    result = texture(load(style, 256), steps=150)
    assert judge(style, save(result.image, tmp_path / "a.png"))["style"] <= 0.035


@pytest.mark.slow
@needs_judge
def test_transfer_has_small_losses_in_the_real_network(judge, tmp_path):
    style, content = OUTSIDE / "paintings" / "the_scream.jpg", OUTSIDE / "contents" / "golden_gate.jpg"
    result = transfer(load(content, 256), load(style), steps=100)
    losses = judge(style, save(result.image, tmp_path / "a.png"), content)
    assert losses["style"] <= 0.025
    assert losses["content"] <= 1.0


@pytest.mark.slow
@needs_judge
def test_accuracy_on_thumbnails_that_were_held_out():
    """The tenth that was not trained on: the same split as in tools/compact_data.py (sorted by name, seed 0)."""
    files = {}
    for half in "ab":
        archive = zipfile.ZipFile(OUTSIDE / "photos" / f"tiny-imagenet-{half}.zip")
        files.update({n: archive for n in archive.namelist() if n.lower().endswith((".jpeg", ".jpg"))})
    names = sorted(files)
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(0))[: len(names) // 10][:2000]
    classes = sorted({n.split("/")[0] for n in names})
    state, metadata = compact_state()
    network = VGGFeatures(weights="compact")
    correct = 0
    for part in order.split(200):
        chosen = [names[i] for i in part]
        pixels = [np.array(Image.open(io.BytesIO(files[n].read(n))).convert("RGB")) for n in chosen]
        batch = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255
        deepest = network(batch, ["relu5_4"])["relu5_4"].float().mean((2, 3))
        scores = deepest @ state["head.weight"].float().T + state["head.bias"].float()
        labels = torch.tensor([classes.index(n.split("/")[0]) for n in chosen])
        correct += (scores.argmax(1) == labels).sum().item()
    assert len(json.loads(metadata["classes"])) == len(classes)
    assert correct / len(order) >= 0.38  # the whole held-out tenth is measured in the model card
