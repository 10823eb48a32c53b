"""The optimisation loop: falling losses, the range of pixels, stopping, the guard, and errors."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from conftest import narrow_state
from PIL import Image

from nstlib import (
    ImageError,
    Objective,
    SettingError,
    VGGFeatures,
    WeightsError,
    get_preset,
    paint,
    reconstruct,
    resize,
    synthesize,
    texture,
    transfer,
)
from nstlib.data import gallery
from nstlib.initialization import make_init
from nstlib.objective import Terms


@pytest.fixture(scope="module")
def network() -> VGGFeatures:
    return VGGFeatures(weights="compact", pooling="avg")


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam", "sign"])
def test_losses_fall_and_pixels_stay_in_range(network, photo, painting, optimizer):
    calls = []

    def callback(record):
        calls.append((record.step, record.image.min().item(), record.image.max().item()))

    result = transfer(photo, painting, features=network, steps=40, optimizer=optimizer, init="noise", callback=callback)
    share = {"lbfgs": 0.2, "adam": 0.4, "sign": 0.6}[optimizer]  # the steps of "sign" do not get smaller
    assert result.records[-1].total < share * result.records[0].total
    assert [step for step, _, _ in calls] == list(range(1, 41)) == [r.step for r in result.records]
    assert min(low for _, low, _ in calls) >= 0
    assert max(high for _, _, high in calls) <= 1
    assert result.image.shape == photo.shape
    assert result.stopped == "finished"


def test_result_is_the_best_picture(network, photo, painting):
    pictures = {}

    def callback(record):
        pictures[record.step] = record.image

    result = transfer(photo, painting, features=network, steps=25, callback=callback)
    assert torch.equal(result.image, pictures[result.best.step])
    objective = Objective(get_preset("course"), network, photo, torch.nn.functional.interpolate(painting, (46, 64)))
    assert objective(result.image).item() < objective(photo).item()


def test_totals_are_the_weighted_sums_of_the_losses(network, photo, painting):
    preset = get_preset("course")
    record = transfer(photo, painting, features=network, steps=2).records[-1]
    content = preset.content_weight * sum(record.content.values())
    style = preset.style_weight * sum(0.2 * v for v in record.style.values())
    assert math.isclose(record.content_total, content, rel_tol=1e-4)
    assert math.isclose(record.style_total, style, rel_tol=1e-4)
    assert math.isclose(record.total, content + style + record.tv_total, rel_tol=1e-4)
    with pytest.raises(SettingError, match="inside the callback"):
        _ = record.image


def test_report_is_json(network, photo, painting):
    report = json.loads(json.dumps(transfer(photo, painting, features=network, steps=2).report()))
    assert report["settings"]["name"] == "course"
    assert report["settings"]["size"] == [64, 48]
    assert report["evaluations"] == 2
    assert set(report["best"]["style"]) == {"relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"}


def test_the_seed_determines_the_picture(network, painting):
    one, two, other = (texture(painting, features=network, steps=5, seed=s).image for s in (3, 3, 4))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_an_interrupted_run_returns_the_best_picture(network, photo, painting, optimizer):
    def interrupt(record):
        if record.step == 7:
            raise KeyboardInterrupt

    result = transfer(photo, painting, features=network, steps=50, callback=interrupt, optimizer=optimizer)
    assert result.stopped == "interrupted"
    assert len(result.records) == 7
    assert torch.isfinite(result.image).all()


def test_a_callback_that_returns_false_stops_the_run(network, photo, painting):
    result = transfer(photo, painting, features=network, steps=50, callback=lambda r: r.step < 4)
    assert result.stopped == "callback"
    assert len(result.records) == 4


class Cliff:
    """A convex loss that is multiplied by ``bad`` in ``times`` evaluations after the fifth, like a spike."""

    def __init__(self, bad: float, times: int) -> None:
        self.bad, self.times, self.calls = bad, times, 0

    def terms(self, images):
        self.calls += 1
        steepness = torch.logspace(-2, 2, images[0].numel()).view_as(images[0])
        value = (steepness * ((images - 0.3).square() + (images - 0.3) ** 4)).sum((1, 2, 3))
        if self.calls > 5 and self.times > 0:
            self.times -= 1
            value = value * self.bad
        return Terms({"bowl": value}, {}, torch.zeros_like(value))

    def weighted_terms(self, terms):
        return torch.stack([terms.content["bowl"], terms.tv, terms.tv])


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e9])
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam", "sign"])
def test_guard_returns_to_the_best_picture_and_notes_it(bad, optimizer):
    result = synthesize(Cliff(bad, 1), torch.full((1, 3, 8, 8), 0.9), steps=60, optimizer=optimizer)
    assert result.rollbacks >= 1
    assert "diverged" in result.records[5].note
    assert "step size" in result.records[6].note
    assert torch.isfinite(result.image).all()
    assert result.records[-1].total < result.records[4].total
    assert result.stopped == "finished"


def test_guard_ends_a_run_that_never_recovers():
    result = synthesize(Cliff(float("nan"), 1000), torch.full((1, 3, 8, 8), 0.9), steps=60)
    assert result.stopped == "diverged"
    assert torch.isfinite(result.image).all()


def test_pixels_on_the_border_of_the_range_can_move(network, photo):
    """With a clamp inside the loss, pixels outside the range would have no gradient."""
    black = torch.zeros_like(photo)
    result = reconstruct(photo, "relu1_1", features=network, init=black, steps=60, tv_weight=0.0)
    assert (result.image - photo).abs().mean() < 0.05


def test_reconstruction_from_a_low_layer_is_nearly_perfect(network, photo):
    result = reconstruct(photo, "relu1_1", features=network, steps=120)
    error = (result.image - photo).square().mean()
    assert -10 * math.log10(error) > 25


def test_loss_of_a_batch_is_the_sum_over_its_pictures(network, photo, painting):
    """The loss of a batch of two equal pictures is twice that of one."""
    one = transfer(photo, painting, features=network, steps=3, optimizer="adam")
    two = transfer(photo.repeat(2, 1, 1, 1), painting, features=network, steps=3, optimizer="adam")
    assert math.isclose(two.records[-1].total, 2 * one.records[-1].total, rel_tol=1e-2)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_pictures_of_a_batch_come_out_as_from_single_runs(optimizer):
    """Each has its own L-BFGS and its own best picture; in float64, so that rounding does not grow."""
    features = VGGFeatures(weights=narrow_state(), pooling="avg", precision="float32").double()
    generator = torch.Generator().manual_seed(0)
    contents, styles, starts = (torch.rand(2, 3, 32, 48, generator=generator, dtype=torch.float64) for _ in range(3))
    contents[1] *= 0.3  # pictures that take different ways
    preset = get_preset("course")
    options = {"steps": 20, "optimizer": optimizer}
    both = synthesize(Objective(preset, features, contents, styles), starts, **options)
    singles = [
        synthesize(Objective(preset, features, *pair), start, **options)
        for *pair, start in zip(contents[:, None], styles[:, None], starts[:, None])
    ]
    assert both.rollbacks == 0
    assert (both.image - torch.cat([r.image for r in singles])).abs().max() < 1e-4
    totals = [sum(r.records[i].total for r in singles) for i in range(20)]
    assert torch.allclose(torch.tensor([r.total for r in both.records]), torch.tensor(totals), rtol=1e-4)
    one = transfer(contents.float(), styles.float(), features=features, **options).image[1:]
    other = transfer(contents[1:].float(), styles[1:].float(), features=features, **options).image
    assert (one - other).abs().max() < 1e-3


def test_each_picture_of_a_batch_keeps_its_own_best():
    class Wave:
        """Two losses of which one falls while the other rises."""

        calls = 0

        def terms(self, images):
            self.calls += 1
            value = images.mean((1, 2, 3)) * torch.tensor([1.0, -1.0]) + 2 + self.calls * torch.tensor([-0.1, 0.1])
            return Terms({"wave": value}, {}, torch.zeros_like(value))

        def weighted_terms(self, terms):
            return torch.stack([terms.content["wave"], terms.tv, terms.tv])

    pictures = []
    result = synthesize(
        Wave(), torch.full((2, 3, 4, 4), 0.5), steps=5, optimizer="sign", callback=lambda r: pictures.append(r.image)
    )
    assert torch.equal(result.image, torch.stack([pictures[-1][0], pictures[0][1]]))


def test_initial_pictures(photo):
    shape = tuple(photo.shape)
    assert torch.equal(make_init("content", photo, shape), photo)
    assert torch.equal(make_init("grey", None, shape), torch.full(shape, 0.5))
    assert torch.equal(make_init("noise", None, shape, 5), make_init("noise", None, shape, 5))
    mixed = make_init("content+noise", photo, shape)
    assert torch.allclose(mixed, 0.6 * photo + 0.4 * make_init("noise", None, shape))
    assert make_init(torch.rand(1, 3, 9, 9), None, shape).shape == shape
    with pytest.raises(SettingError, match="needs a content"):
        make_init("content", None, shape)
    with pytest.raises(SettingError, match="unknown"):
        make_init("blue", photo, shape)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": 0}, "steps"),
        ({"optimizer": "adagrad"}, "adagrad"),
        ({"content_weight": -1.0}, "content weight"),
        ({"style_weight": float("nan")}, "style weight"),
        ({"preset": "nothing"}, "nothing"),
        ({"learning_rate": -0.1, "optimizer": "adam"}, "learning rate must be a number > 0"),
        ({"learning_rate": float("nan"), "optimizer": "sign"}, "learning rate"),
        ({"history": 0}, "history"),
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"style_size": 0}, "style_size"),
        ({"style_size": "64"}, "style_size"),
        ({"init": "photo.jpg"}, "init 'photo.jpg' is unknown"),
    ],
)
def test_errors_for_settings(network, photo, painting, changes, words):
    with pytest.raises(SettingError, match=words):
        transfer(photo, painting, features=network, **changes)


def test_errors_for_pictures(network, photo):
    with pytest.raises(ImageError, match="not finite"):
        transfer(photo, torch.full_like(photo, float("nan")), features=network, steps=1)
    with pytest.raises(ImageError, match="at least 16"):
        transfer(photo[..., :10], photo, features=network, steps=1)


def use_as_content(picture, photo, network):
    return transfer(picture, photo, features=network, steps=1)


def use_as_style(picture, photo, network):
    return transfer(photo, picture, features=network, steps=1)


def use_as_start(picture, photo, network):
    return transfer(photo, photo, features=network, steps=1, init=picture)


def use_in_synthesize(picture, photo, network):
    return synthesize(Objective(get_preset("course"), network, photo, photo), picture, steps=1)


USES = {
    "content": use_as_content,
    "style": use_as_style,
    "start": use_as_start,
    "synthesize": use_in_synthesize,
    "texture": lambda picture, photo, network: texture(picture, features=network, steps=1),
    "reconstruct": lambda picture, photo, network: reconstruct(picture, "relu1_1", features=network, steps=1),
    "objective, content": lambda picture, photo, network: Objective(get_preset("course"), network, content=picture),
    "objective, style": lambda picture, photo, network: Objective(get_preset("course"), network, style=picture),
}
"""Everything that takes a picture."""


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: 255 * x, "255"),
        (lambda x: (1000 * x).int(), "dtype"),
        (lambda x: x.where(x > 0.1, float("nan")), "not finite"),
        (lambda x: x[:, :1], "shape"),
        (lambda x: 7, "type int"),
    ],
)
def test_pictures_are_checked_wherever_one_is_given(network, photo, use, change, words):
    with pytest.raises(ImageError, match=words):
        USES[use](change(photo), photo, network)


def test_arrays_and_pil_images_are_pictures(network, photo, painting):
    """Also 8-bit tensors and pictures without a batch dimension."""
    array, other = ((p[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8) for p in (photo, painting))
    as_tensors = [torch.from_numpy(a).permute(2, 0, 1)[None].float() / 255 for a in (array, other)]
    expected = transfer(*as_tensors, features=network, steps=2, init=as_tensors[1]).image
    for kind in (lambda a: a, Image.fromarray, lambda a: torch.from_numpy(a).permute(2, 0, 1)):
        result = transfer(kind(array), kind(other), features=network, steps=2, init=kind(other))
        assert torch.equal(result.image, expected)


def test_noise_outside_the_range_may_be_a_start(network, photo):
    """The PyTorch tutorial starts from Gaussian noise; it is clamped."""
    noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
    one, two = (
        reconstruct(photo, "relu1_1", features=network, steps=2, init=n).image for n in (noise, noise.clamp(0, 1))
    )
    assert torch.equal(one, two)


@pytest.mark.parametrize("size", [(0, 32), (32,), 32, (32, 32.5), (10**6, 10**6), ("a", 3)])
def test_errors_for_the_size_of_a_texture(network, painting, size):
    with pytest.raises(SettingError):
        texture(painting, size, features=network, steps=1)


def test_other_presets_reduce_the_loss_with_random_weights(photo, painting):
    for name in ("gatys2016", "pytorch_tutorial", "neural_style_pt"):
        preset = get_preset(name)
        network = VGGFeatures(
            weights=narrow_state(),
            pooling=preset.pooling,
            preprocessing=preset.preprocessing,
            precision="float32",
        )
        result = transfer(photo, painting, name, features=network, steps=30)
        assert result.best.total < result.records[0].total


@pytest.mark.slow
def test_lbfgs_makes_progress_from_every_seed_in_bfloat16():
    """With a first step lost in rounding, L-BFGS estimated a wrong curvature, and one run in three made no progress."""
    features = VGGFeatures(weights="compact", pooling="avg", precision="bfloat16")
    style = gallery.style("nocturne", 64)
    for seed in (0, 3, 6):
        result = texture(style, (52, 128), steps=20, features=features, seed=seed)
        assert result.best.total < 0.1 * result.records[0].total, (seed, result.best.total)


def test_settings_are_those_of_the_network_that_ran(network, photo, painting):
    settings = transfer(photo, painting, "gatys2016", features=network, steps=1).settings
    assert settings["pooling"] == network.pooling
    assert settings["preprocessing"] == network.preprocessing == "imagenet"  # gatys2016 asks for caffe255
    assert settings["arch"] == "vgg19"


def test_the_total_variation_is_on_the_scale_of_the_network_that_ran(network, photo, painting):
    """What ran is what the settings say: a preset with the settings' fields gives the same losses."""
    result = transfer(photo, painting, "gordicaleksa", features=network, steps=1, init="noise")
    preset = get_preset("gordicaleksa").replace(preprocessing=result.settings["preprocessing"])
    objective = Objective(preset, network, photo, resize(painting, 64))
    start = make_init("noise", photo, tuple(photo.shape))
    assert math.isclose(
        result.records[0].tv_total, objective.weighted_terms(objective.terms(start))[2].item(), rel_tol=1e-4
    )


def test_settings_are_plain_data_of_what_ran(network, photo, painting):
    settings = transfer(
        photo, painting, features=network, steps=np.int64(1), seed=np.int64(3), content_layers=["relu1_1", "relu2_1"]
    ).settings
    assert json.loads(json.dumps(settings)) == settings
    assert settings["learning_rate"] == settings["scales"][0]["learning_rate"] == 1.0
    assert settings["content_layers"] == {"relu1_1": 0.5, "relu2_1": 0.5}
    assert (settings["style_size"], settings["tile"], settings["guard"], settings["seed"]) == (64, None, True, 3)
    settings = transfer(photo, painting, features=network, steps=1, optimizer="adam").settings
    assert settings["learning_rate"] == 0.02
    settings = transfer(photo, painting, features=network, steps=1, optimizer="adam", learning_rate=0.1).settings
    assert settings["learning_rate"] == 0.1


def test_the_preset_decides_the_architecture(photo, painting):
    preset = get_preset("pytorch_examples")
    settings = transfer(photo, painting, preset, weights=narrow_state("vgg16"), steps=1).settings
    assert (settings["arch"], settings["optimizer"]) == ("vgg16", "adam")
    with pytest.raises(WeightsError, match="replace"):
        transfer(photo, painting, preset, weights="compact", steps=1)
    network = VGGFeatures(weights=narrow_state())
    assert transfer(photo, painting, preset, features=network, steps=1).settings["arch"] == "vgg19"
    assert (
        transfer(photo, painting, preset.replace(arch="vgg19"), weights="compact", steps=1).settings["arch"] == "vgg19"
    )


def test_first_pictures_and_batches_that_do_not_fit(network, photo, painting):
    with pytest.raises(ImageError, match="2 first pictures for 1"):
        transfer(photo, painting, features=network, init=photo.repeat(2, 1, 1, 1))
    with pytest.raises(ImageError, match="2 first pictures for 3"):
        make_init(photo.repeat(2, 1, 1, 1), None, (3, 3, 48, 64))
    with pytest.raises(ImageError, match="2 styles for 3 pictures"):
        transfer(photo.repeat(3, 1, 1, 1), painting.repeat(2, 1, 1, 1), features=network)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam", "sign"])
def test_the_callers_mode_does_not_matter(photo, painting, mode, optimizer):
    settings = {"weights": "compact", "precision": "float32", "steps": 3, "optimizer": optimizer}
    usual = transfer(photo, painting, **settings).image
    with mode():
        assert torch.equal(transfer(photo.clone(), painting.clone(), **settings).image, usual)


def test_a_callbacks_own_stop_iteration_is_not_swallowed(network, photo, painting):
    def stop(record):
        raise StopIteration

    with pytest.raises(StopIteration):
        transfer(photo, painting, features=network, steps=3, callback=stop)


# --- what a critical user tried ------------------------------------------------------------------------------


@pytest.mark.parametrize("guard", [True, False])
def test_error_where_no_evaluation_was_finite(network, photo, painting, guard):
    """The content came back as the result."""
    with pytest.raises(SettingError, match="a finite loss and gradient; use smaller weights"):
        transfer(photo, painting, features=network, steps=5, style_weight=1e308, guard=guard)


def test_a_later_scale_without_a_finite_evaluation_keeps_the_scale_before(network, photo, painting, monkeypatch):
    terms = Objective.terms

    def overflowing(self, images):
        found = terms(self, images)
        return found._replace(tv=found.tv * math.inf) if max(images.shape) > 40 else found

    monkeypatch.setattr(Objective, "terms", overflowing)
    result = transfer(photo, painting, features=network, steps=5, scales=2)
    assert (result.stopped, len(result.records)) == ("diverged", 5)
    assert result.image.shape == photo.shape
    assert math.isfinite(result.best.total)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda p, s: transfer(p, s, features="vgg19"), "features is of the type str; make a network"),
        (lambda p, s: transfer(p, s, callback=5), "callback is of the type int; give a function"),
        (lambda p, s: texture(s, 256.0), "must be a whole number|has the shape"),
        (lambda p, s: texture(s, (256.0, 256)), "must be a whole number"),
        (lambda p, s: paint(p, s, 5), r"has the shape \(N, 3, height, width\), not 5"),
        (lambda p, s: transfer(p, s, style_weight=10**400), "style weight must be a number"),
        (lambda p, s: transfer(p, s, content_weight=0, style_weight=0, tv_weight=0), "weights are all 0"),
        (lambda p, s: texture(s, style_weight=0, tv_weight=0), "weights are all 0"),
        (lambda p, s: texture(s, style_layers={"relu1_1": 0}, tv_weight=0.0), "weights are all 0"),
        (lambda p, s: reconstruct(p, "relu1_1", content_weight=torch.zeros(1), tv_weight=0), "weights are all 0"),
    ],
)
def test_mistakes_are_noticed_before_the_network_is_made(photo, painting, monkeypatch, call, words):
    monkeypatch.setattr("nstlib.synthesis.VGGFeatures", lambda *_, **__: pytest.fail("the work has begun"))
    with pytest.raises(SettingError, match=words):
        call(photo, painting)


def test_one_weight_above_zero_is_enough(network, photo, painting):
    zero, some = torch.zeros(1), torch.tensor([0.0])
    some[0] = 2.0
    for weights in ({"tv_weight": 1.0}, {"content_weight": some}, {"style_weight": 3}):
        given = {"content_weight": zero, "style_weight": 0, "tv_weight": 0.0, **weights}
        assert transfer(photo, painting, features=network, steps=2, **given).stopped == "finished"


def test_error_of_synthesize_for_a_callback_that_cannot_be_called(network, photo, painting):
    with pytest.raises(SettingError, match="callback is of the type str"):
        synthesize(Objective("course", network, photo, painting), photo, callback="print")
