"""Train the compact VGG-19 that comes with nstlib.

    python tools/train_compact.py --teacher imagenet --photos PHOTOS [--labelled CLASSES] --out WORK

PHOTOS: folders or zip files of photos. CLASSES: folders or zip files that contain one folder of 64 x 64 thumbnails per
class (the layout of Tiny ImageNet); without it only the first stage can run. The teacher is torchvision's VGG-19
("imagenet"), or a safetensors file with its first layers under torchvision's keys.

There are two stages, whose lengths are set by the --minutes options; --stage runs one of them alone:

features   conv1_1 to conv3_4 learn the teacher's activations. Each of seven layers goes through a 1 x 1 convolution of
           its own (a probe, not used after training) and is compared with the teacher's activations, divided by their
           standard deviation. The inputs are photos, thumbnails, both with noise and grids, and, after a while,
           pictures that an optimizer paints with the network in its present state: those show the errors that matter.
classes    conv4_1 to conv5_4 and a linear head learn to classify the thumbnails from conv3_4.

The network has batch normalisation in training; ``tools/export_compact.py`` folds it into the convolutions.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from compact_data import Labelled, Photos, degrade, shake_colours
from safetensors.torch import load_file
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from nstlib.runtime import keep_freed_memory, pick_precision

WIDTHS = (16, 32, 80, 128, 128)
CONVS = (2, 2, 4, 4, 4)
NAMES = [f"conv{block + 1}_{i + 1}" for block, count in enumerate(CONVS) for i in range(count)]
MATCHED = ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_4")
LAYER_WEIGHT = {"conv1_1": 1.5, "conv2_1": 1.5, "conv3_1": 1.5}
TEACHER_INDEX = dict(zip(NAMES, (0, 2, 5, 7, 10, 12, 14, 16)))  # torchvision's vgg19.features
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
LR_WARMUP_STEPS = 200
CROP = 96
"""Side of the photos' crops and of the painted pictures, in pixels."""

PAINTED_AT = (4, 15, 30, 45, 60)
"""Evaluations whose pictures are kept while textures are painted; the last one ends the painting."""

DTYPE = pick_precision("auto", torch.device("cpu"))
"""bfloat16, or float32 on processors where that is faster."""

Teacher = dict[str, tuple[Tensor, Tensor]]
"""Weight and bias of the teacher's convolutions, by layer."""


class Student(nn.Module):
    """The compact VGG-19 in training: convolutions, each with batch normalisation and a ReLU."""

    def __init__(self, classes: int = 0) -> None:
        super().__init__()
        self.convs, self.norms = nn.ModuleDict(), nn.ModuleDict()
        in_channels = 3
        for name in NAMES:
            out_channels = WIDTHS[int(name[4]) - 1]
            self.convs[name] = nn.Conv2d(in_channels, out_channels, 3, padding=1)
            nn.init.kaiming_normal_(self.convs[name].weight, nonlinearity="relu")
            nn.init.zeros_(self.convs[name].bias)
            self.norms[name] = nn.BatchNorm2d(out_channels, momentum=0.02)
            in_channels = out_channels
        self.head = nn.Linear(in_channels, classes) if classes else None

    def forward(
        self, x: Tensor, first: str = "conv1_1", last: str = "conv5_4", pool: str = "max", pooled: bool = False
    ) -> dict[str, Tensor]:
        """Return the activations after the ReLU of the layers from ``first`` to ``last``.

        ``x`` is the input of ``first``: normalised pictures (N, 3, H, W), or activations. With ``pooled``, the
        pooling before ``first`` has already been applied to it.
        """
        out: dict[str, Tensor] = {}
        for name in NAMES[NAMES.index(first) : NAMES.index(last) + 1]:
            if name.endswith("_1") and name != "conv1_1" and not (pooled and name == first):
                x = pool_once(x, pool)
            x = F.relu(self.norms[name](self.convs[name](x)))
            out[name] = x
        return out


def pool_once(x: Tensor, pool: str) -> Tensor:
    """Halve the sides of activations by "max" or "avg" pooling."""
    return F.max_pool2d(x, 2) if pool == "max" else F.avg_pool2d(x, 2)


def block_of(parameter: str) -> int:
    """Return 1 to 5 for a parameter of conv1_* to conv5_*, and 6 for one of the head."""
    return 6 if parameter.startswith("head") else int(parameter.split(".")[1][4])


def channels_last(x: Tensor) -> Tensor:
    """Return a tensor (N, C, H, W) in the memory format that is fastest on the CPU."""
    return x.contiguous(memory_format=torch.channels_last)


def mixed_precision() -> torch.autocast:
    """Return a context in which convolutions compute in ``DTYPE``."""
    return torch.autocast("cpu", torch.bfloat16, enabled=DTYPE is torch.bfloat16)


def load_teacher(source: str) -> Teacher:
    """Return the teacher's first convolutions, in ``DTYPE``, from "imagenet" or a safetensors file."""
    if source == "imagenet":
        from torchvision.models import VGG19_Weights

        state = VGG19_Weights.IMAGENET1K_V1.get_state_dict(progress=True, check_hash=True)
    else:
        state = load_file(source)
    teacher = {}
    for name, index in TEACHER_INDEX.items():
        weight, bias = (state[f"features.{index}.{kind}"].to(DTYPE) for kind in ("weight", "bias"))
        teacher[name] = (channels_last(weight), bias)
    return teacher


@torch.no_grad()
def teacher_activations(teacher: Teacher, x: Tensor, pool: str) -> dict[str, Tensor]:
    """Return the teacher's activations at the layers in ``MATCHED`` for normalised pictures (N, 3, H, W)."""
    x = channels_last(x.to(DTYPE))
    out = {}
    for name, (weight, bias) in teacher.items():
        if name in ("conv2_1", "conv3_1"):
            x = pool_once(x, pool)
        x = F.relu_(F.conv2d(x, weight, bias, padding=1))
        if name in MATCHED:
            out[name] = x
    return out


def set_learning_rate(optimizer: torch.optim.Optimizer, peak: float, step: int, progress: float) -> float:
    """Set and return the learning rate: a linear warm-up to ``peak`` times half a cosine over ``progress``, 0 to 1."""
    rate = peak * min(1, (step + 1) / LR_WARMUP_STEPS) * (0.5 + 0.5 * math.cos(math.pi * progress)) + 1e-5
    for group in optimizer.param_groups:
        group["lr"] = rate
    return rate


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


def save_parts(path: Path, parts: dict[str, Any], **rest: object) -> None:
    """Write a checkpoint with the states of networks and optimizer, and other plain data."""
    save(path, {**{name: part.state_dict() for name, part in parts.items()}, **rest})


# --- first stage: features ------------------------------------------------------------------------------------


def paint(student: Student, styles: Tensor, inits: Tensor, keep: tuple[int, ...], pool: str) -> list[Tensor]:
    """Paint the textures of ``styles`` from ``inits`` with L-BFGS, matching the student's Gram matrices.

    Returns the pictures (N, 3, H, W) at the evaluations in ``keep``; the last of them is the last evaluation.
    """
    student.eval()
    layers = ("conv1_1", "conv2_1", "conv3_1", "conv3_4")

    def grams(images: Tensor) -> list[Tensor]:
        with mixed_precision():
            found = student((images - MEAN) / STD, last="conv3_4", pool=pool)
        flat = [found[n].float().flatten(2) for n in layers]  # (N, C, H*W)
        return [f @ f.transpose(1, 2) / f.shape[2] for f in flat]  # (N, C, C)

    with torch.no_grad():
        targets = grams(styles)
    x = inits.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([x], max_iter=keep[-1], max_eval=keep[-1], history_size=8)
    kept: list[Tensor] = []
    count = 0

    def closure() -> Tensor:
        nonlocal count
        count += 1
        if count in keep:
            kept.append(x.detach().clone())
        optimizer.zero_grad()
        losses = sum(((a - b) ** 2).sum((1, 2)) / (b**2).sum((1, 2)) for a, b in zip(grams(x), targets))  # (N,)
        total = losses.sum()
        total.backward()
        return total

    optimizer.step(closure)
    student.train()
    return [k.clamp(0, 1) for k in kept if torch.isfinite(k).all()]


class PaintedPictures:
    """The last 600 pictures that the optimizer passed through while it painted with the student."""

    def __init__(self, photos: Photos) -> None:
        self.photos = photos
        self.pictures: list[Tensor] = []

    def paint_more(self, student: Student, rng: np.random.Generator) -> None:
        """Paint twelve textures, eight from noise and four from photos, and keep each at five evaluations."""
        styles = shake_colours(self.photos.crops(12, CROP, rng), rng)
        inits = torch.rand(styles.shape)
        inits[8:] = self.photos.crops(4, CROP, rng)
        pool = ("max", "avg")[int(rng.integers(2))]
        for batch in paint(student, styles, inits, PAINTED_AT, pool):
            self.pictures += list(batch)
        self.pictures = self.pictures[-600:]

    def batch(self, rng: np.random.Generator) -> Tensor:
        """Return ten painted pictures and six photos, (16, 3, CROP, CROP)."""
        chosen = [self.pictures[i] for i in rng.integers(len(self.pictures), size=10)]
        return torch.cat([torch.stack(chosen), self.photos.crops(6, CROP, rng)])


@torch.no_grad()
def activation_scales(teacher: Teacher, photos: Photos, rng: np.random.Generator) -> dict[str, Tensor]:
    """Return what the teacher's activations are divided by, for every channel of every layer, (1, C, 1, 1)."""
    sample = torch.cat([photos.crops(24, CROP, rng) for _ in range(2)])
    scales = {}
    for name, activations in teacher_activations(teacher, (sample - MEAN) / STD, "max").items():
        deviation = activations.float().std((0, 2, 3))  # (C,)
        # the geometric mean of a channel's deviation and the layer's: weak channels count, but less
        scales[name] = (deviation * deviation.mean()).sqrt().clamp_min(1e-3).view(1, -1, 1, 1)
    return scales


def matching_losses(
    student: Student,
    probes: nn.ModuleDict,
    teacher: Teacher,
    scales: dict[str, Tensor],
    x: Tensor,
    pool: str,
    rng: np.random.Generator,
) -> dict[str, Tensor]:
    """Return the mean squared difference between probed student and scaled teacher, by layer.

    Of the first block every third position is compared, of the second block every second one, which is enough and fast.
    """
    target = teacher_activations(teacher, x, pool)
    losses = {}
    with mixed_precision():
        found = student(channels_last(x), last="conv3_4", pool=pool)
        grids = {}
        for name in MATCHED:
            stride = 4 - int(name[4])
            grids[name] = np.s_[:, :, int(rng.integers(stride)) :: stride, int(rng.integers(stride)) :: stride]
        predicted = {name: probes[name](found[name][grids[name]]) for name in MATCHED}
    for name in MATCHED:
        losses[name] = F.mse_loss(predicted[name].float(), target[name][grids[name]].float() / scales[name])
    return losses


def next_batch(
    step: int, thumbnails: Tensor | None, photos: Photos, painted: PaintedPictures, rng: np.random.Generator
) -> Tensor:
    """Return the pictures of a step in [0, 1]: in turn thumbnails, photos, and painted pictures, once there are any."""
    if step % 3 == 0 and thumbnails is not None:
        return thumbnails[torch.from_numpy(rng.integers(len(thumbnails), size=36))].float() / 255
    if step % 3 == 1 or not painted.pictures:
        return photos.crops(16, CROP, rng)
    return painted.batch(rng)


def train_features(args: argparse.Namespace) -> None:
    """Train conv1_1 to conv3_4 for ``--minutes-features``; write features.pt."""
    rng = np.random.default_rng(args.seed)
    torch.manual_seed(args.seed)
    teacher = load_teacher(args.teacher)
    photos = Photos(args.photos)
    thumbnails = Labelled(args.labelled).images if args.labelled else None
    student = Student().to(memory_format=torch.channels_last)
    scales = activation_scales(teacher, photos, rng)
    probes = nn.ModuleDict({n: nn.Conv2d(WIDTHS[int(n[4]) - 1], len(teacher[n][1]), 1) for n in MATCHED})
    probes.to(memory_format=torch.channels_last)
    parameters = [p for n, p in student.named_parameters() if block_of(n) <= 3]
    optimizer = torch.optim.AdamW([*parameters, *probes.parameters()], lr=args.lr, weight_decay=1e-5, betas=(0.9, 0.98))
    painted = PaintedPictures(photos)
    checkpoint = args.out / "features.pt"
    parts = {"student": student, "probes": probes, "optimizer": optimizer}
    step, spent = 0, 0.0
    if args.resume and checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        step, spent = state["step"], state["seconds"]
    log: list[dict[str, float]] = []
    means: dict[str, float] = {}  # moving averages of the losses
    total = args.minutes_features * 60
    started, painted_at = time.time(), spent
    while (now := spent + time.time() - started) < total:
        progress = now / total
        rate = set_learning_rate(optimizer, args.lr, step, progress)
        if progress > 0.15 and (now - painted_at > 45 or not painted.pictures):
            painted_at = now
            painted.paint_more(student, rng)
        x = next_batch(step, thumbnails, photos, painted, rng)
        x = (degrade(shake_colours(x, rng), rng) - MEAN) / STD
        settled = progress > args.settle  # from here on the statistics are fixed, as they will be after folding
        if settled:
            student.norms.eval()
        pool = "avg" if settled and rng.random() < args.average else "max"
        losses = matching_losses(student, probes, teacher, scales, x, pool, rng)
        total_loss = sum(LAYER_WEIGHT.get(name, 1.0) * loss for name, loss in losses.items())
        optimizer.zero_grad()
        total_loss.backward()
        nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()
        step += 1
        for name, loss in losses.items():
            means[name] = 0.98 * means.get(name, loss.item()) + 0.02 * loss.item()
        if step % 200 == 0:
            rounded = {name: round(value, 4) for name, value in means.items()}
            log.append({"step": step, "seconds": round(now), "lr": rate, **rounded})
            print(json.dumps(log[-1]), flush=True)
            save_parts(checkpoint, parts, step=step, seconds=now, log=log, scale=scales)
    save_parts(checkpoint, parts, step=step, seconds=total, log=log, scale=scales)


# --- second stage: classes ------------------------------------------------------------------------------------


@torch.no_grad()
def trained_part(student: Student, x: Tensor) -> Tensor:
    """Return the pooled activations of conv3_4, (N, C, 8, 8), for thumbnails (N, 3, 64, 64) in [0, 1]."""
    student.eval()
    with mixed_precision():
        found = student(channels_last((x - MEAN) / STD), last="conv3_4")["conv3_4"]
    return F.max_pool2d(found, 2)


@torch.no_grad()
def make_view(student: Student, thumbnails: Tensor, rng: np.random.Generator) -> Tensor:
    """Return ``trained_part`` for random crops of all thumbnails, enlarged to 64 x 64, with changed colours."""
    out = []
    for part in thumbnails.split(256):
        side = int(rng.choice([44, 50, 56, 64]))
        y, x = rng.integers(65 - side, size=2)
        crop = part[:, :, y : y + side, x : x + side].float() / 255
        out.append(trained_part(student, shake_colours(F.interpolate(crop, (64, 64), mode="bilinear"), rng)))
    return torch.cat(out)


def class_scores(network: Student, features: Tensor) -> Tensor:
    """Return the scores (N, classes) for pooled activations of conv3_4."""
    with mixed_precision():
        deepest = network(features, first="conv4_1", pooled=True)["conv5_4"]
    return network.head(deepest.float().mean((2, 3)))


@torch.no_grad()
def top_1(network: AveragedModel, features: Tensor, labels: Tensor) -> float:
    """Return the share of thumbnails whose best score is that of their class."""
    network.eval()
    predicted = torch.cat([class_scores(network.module, part).argmax(1) for part in features.split(256)])
    return (predicted == labels).float().mean().item()


def mixup_loss(student: Student, features: Tensor, labels: Tensor, rng: np.random.Generator) -> Tensor:
    """Return the cross-entropy of mixtures of two pictures, for both labels; mixtures reduce overfitting."""
    share, other = float(rng.beta(0.4, 0.4)), torch.from_numpy(rng.permutation(len(labels)))
    scores = class_scores(student, share * features + (1 - share) * features[other])
    loss = share * F.cross_entropy(scores, labels, label_smoothing=0.1)
    return loss + (1 - share) * F.cross_entropy(scores, labels[other], label_smoothing=0.1)


def train_classes(args: argparse.Namespace) -> None:
    """Train conv4_1 to conv5_4 and the head for ``--minutes-classes``, on ``--views`` versions of every thumbnail.

    The input is what the trained conv3_4 computes from the thumbnails, once. Writes classes.pt.
    """
    rng = np.random.default_rng(args.seed + 1)
    torch.manual_seed(args.seed + 1)
    data = Labelled(args.labelled)
    student = Student(classes=len(data.classes)).to(memory_format=torch.channels_last)
    checkpoint = args.out / "classes.pt"
    source = checkpoint if args.resume and checkpoint.exists() else args.out / "features.pt"
    student.load_state_dict(torch.load(source, weights_only=True)["student"], strict=False)
    for name, norm in student.norms.items():
        norm.momentum = 0.1 if block_of(f"norms.{name}") > 3 else 0.0
    parameters = [p for n, p in student.named_parameters() if block_of(n) > 3]
    optimizer = torch.optim.AdamW(parameters, lr=args.lr_classes, weight_decay=0.05)
    # the moving average of the weights is what is saved
    average = AveragedModel(student, multi_avg_fn=get_ema_multi_avg_fn(0.998), use_buffers=True)
    views = [make_view(student, data.images, rng) for _ in range(args.views)]
    held = torch.cat([trained_part(student, part.float() / 255) for part in data.held_images.split(256)])
    log: list[dict[str, float]] = []

    def write_checkpoint(entry: dict[str, float]) -> None:
        log.append(entry)
        print(json.dumps(entry), flush=True)
        save(checkpoint, {"student": average.module.state_dict(), "classes": data.classes, "log": log})

    started, step, total = time.time(), 0, args.minutes_classes * 60
    order = np.empty(0, dtype=int)
    while (now := time.time() - started) < total:
        rate = set_learning_rate(optimizer, args.lr_classes, step, now / total)
        if len(order) < 128:
            order = np.concatenate([order, rng.permutation(len(data.labels))])
        pick, order = torch.from_numpy(order[:128]), order[128:]
        features = channels_last(views[int(rng.integers(len(views)))][pick])
        student.train()
        student.norms.train()
        loss = mixup_loss(student, features, data.labels[pick], rng)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        average.update_parameters(student)
        step += 1
        if step % 1000 == 0:
            top1 = top_1(average, held, data.held_labels)
            write_checkpoint({"step": step, "seconds": round(now), "lr": rate, "loss": loss.item(), "top1": top1})
    write_checkpoint({"step": step, "seconds": round(total), "top1": top_1(average, held, data.held_labels)})


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="imagenet", help='"imagenet" or a safetensors file')
    parser.add_argument("--photos", type=Path, nargs="+", required=True, help="folders or zip files of photos")
    parser.add_argument("--labelled", type=Path, nargs="+", default=[], help="folders or zip files, a folder per class")
    parser.add_argument("--out", type=Path, default=Path("out/compact"), help="folder of the checkpoints")
    parser.add_argument("--stage", choices=("features", "classes", "both"), default="both")
    parser.add_argument("--minutes-features", type=float, default=240, help="length of the first stage")
    parser.add_argument("--minutes-classes", type=float, default=90, help="length of the second stage")
    parser.add_argument("--lr", type=float, default=3e-3, help="peak learning rate of the first stage")
    parser.add_argument("--lr-classes", type=float, default=2e-3, help="peak learning rate of the second stage")
    parser.add_argument("--views", type=int, default=8, help="versions of every thumbnail in the second stage")
    parser.add_argument(
        "--average",
        type=float,
        default=0.4,
        help="share of batches with average pooling, after --settle",
    )
    parser.add_argument(
        "--settle", type=float, default=0.5, help="share of the first stage after which the statistics are fixed"
    )
    parser.add_argument("--resume", action="store_true", help="continue from the checkpoint")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    keep_freed_memory()
    if args.stage in ("features", "both"):
        train_features(args)
    if args.stage == "classes" and not args.labelled:
        parser.error("the stage classes needs --labelled")
    if args.stage in ("classes", "both") and args.labelled:
        train_classes(args)


if __name__ == "__main__":
    main()
