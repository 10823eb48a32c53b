"""Train the compact VGG-19 that nstlib carries.

    python tools/train_compact.py --teacher imagenet --photos PHOTOS [--labelled CLASSES] --out WORK

PHOTOS: any folders or zip files of photos. CLASSES: folders or zip files that hold one folder of
64 x 64 thumbnails a class (Tiny ImageNet's layout); without it only the first stage can run. The
teacher is torchvision's VGG-19 ("imagenet"), or a safetensors file with its first layers under
torchvision's key names.

Two stages, each as long as its --minutes say; --stage runs one of them alone:

features   conv1_1 to conv3_4 learn the teacher's activations. Every layer of ours is compared
           through a 1 x 1 convolution of its own, which is thrown away afterwards, with the
           teacher's activations divided by their standard deviation. Photos, thumbnails, pictures
           with noise and grids in them, and, after a while, the pictures that an optimiser makes
           when it paints with the network as it stands: there the mistakes are that matter.
classes    conv4_1 to conv5_4 and a linear head learn to name the thumbnails from conv3_4.

Training keeps batch normalisation; `tools/export_compact.py` folds it away.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from compact_data import Labelled, Photos, make_foreign, shake_colours
from safetensors.torch import load_file
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from nstlib.runtime import keep_freed_memory

WIDTHS = (16, 32, 80, 128, 128)
CONVS = (2, 2, 4, 4, 4)
NAMES = [f"conv{b + 1}_{i + 1}" for b, n in enumerate(CONVS) for i in range(n)]
MATCHED = ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_4")
LAYER_WEIGHT = {"conv1_1": 1.5, "conv2_1": 1.5, "conv3_1": 1.5}
TEACHER_INDEX = dict(zip(NAMES, (0, 2, 5, 7, 10, 12, 14, 16)))  # torchvision's vgg19.features
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
CL = torch.channels_last


class Student(nn.Module):
    """The compact VGG-19 in training: convolution, batch normalisation, ReLU."""

    def __init__(self, classes: int = 0) -> None:
        super().__init__()
        self.convs, self.norms = nn.ModuleDict(), nn.ModuleDict()
        before = 3
        for name in NAMES:
            width = WIDTHS[int(name[4]) - 1]
            self.convs[name] = nn.Conv2d(before, width, 3, padding=1)
            nn.init.kaiming_normal_(self.convs[name].weight, nonlinearity="relu")
            nn.init.zeros_(self.convs[name].bias)
            self.norms[name] = nn.BatchNorm2d(width, momentum=0.02)
            before = width
        self.head = nn.Linear(before, classes) if classes else None

    def forward(
        self, x: Tensor, first: str = "conv1_1", last: str = "conv5_4", pool: str = "max", pooled: bool = False
    ) -> dict[str, Tensor]:
        out: dict[str, Tensor] = {}
        for name in NAMES[NAMES.index(first) : NAMES.index(last) + 1]:
            if name.endswith("_1") and name != "conv1_1" and not (pooled and name == first):
                x = F.max_pool2d(x, 2) if pool == "max" else F.avg_pool2d(x, 2)
            x = F.relu(self.norms[name](self.convs[name](x)))
            out[name] = x
        return out


def block_of(parameter: str) -> int:
    """1 to 5 for a parameter of conv1_* to conv5_*, 6 for the head."""
    return 6 if parameter.startswith("head") else int(parameter.split(".")[1][4])


def load_teacher(source: str) -> dict[str, tuple[Tensor, Tensor]]:
    if source == "imagenet":
        from torchvision.models import VGG19_Weights

        state = VGG19_Weights.IMAGENET1K_V1.get_state_dict(progress=True, check_hash=True)
    else:
        state = load_file(source)
    keys = {name: f"features.{i}" for name, i in TEACHER_INDEX.items()}
    return {
        n: (state[f"{k}.weight"].bfloat16().contiguous(memory_format=CL), state[f"{k}.bias"].bfloat16())
        for n, k in keys.items()
    }


@torch.no_grad()
def ask_teacher(teacher: dict[str, tuple[Tensor, Tensor]], x: Tensor, pool: str) -> dict[str, Tensor]:
    x = x.bfloat16().contiguous(memory_format=CL)
    out = {}
    for name, (weight, bias) in teacher.items():
        if name in ("conv2_1", "conv3_1"):
            x = F.max_pool2d(x, 2) if pool == "max" else F.avg_pool2d(x, 2)
        x = F.relu_(F.conv2d(x, weight, bias, padding=1))
        if name in MATCHED:
            out[name] = x
    return out


def paint(
    student: Student, styles: Tensor, starts: Tensor, evaluations: int, keep: tuple[int, ...], pool: str
) -> list[Tensor]:
    """Pictures on the way from ``starts`` to the textures of ``styles``, by L-BFGS on our Grams."""
    student.eval()
    layers = ("conv1_1", "conv2_1", "conv3_1", "conv3_4")

    def grams(images: Tensor) -> list[Tensor]:
        with torch.autocast("cpu", torch.bfloat16):
            found = student((images - MEAN) / STD, last="conv3_4", pool=pool)
        flat = [found[n].float().flatten(2) for n in layers]
        return [f @ f.transpose(1, 2) / f.shape[2] for f in flat]

    with torch.no_grad():
        targets = grams(styles)
    x = starts.clone().requires_grad_()
    optimiser = torch.optim.LBFGS([x], max_iter=evaluations, max_eval=evaluations, history_size=8)
    kept: list[Tensor] = []
    count = 0

    def closure() -> Tensor:
        nonlocal count
        count += 1
        if count in keep:
            kept.append(x.detach().clone())
        optimiser.zero_grad()
        loss = sum(((a - b) ** 2).sum((1, 2)) / (b**2).sum((1, 2)) for a, b in zip(grams(x), targets))
        total = loss.sum()
        total.backward()
        return total

    optimiser.step(closure)
    student.train()
    return [k.clamp(0, 1) for k in kept if torch.isfinite(k).all()]


def train_features(args: argparse.Namespace) -> None:
    rng = np.random.default_rng(args.seed)
    torch.manual_seed(args.seed)
    teacher = load_teacher(args.teacher)
    photos = Photos(args.photos)
    small = Labelled(args.labelled).images if args.labelled else None
    student = Student().to(memory_format=CL)
    with torch.no_grad():  # the scale of every channel of the teacher
        probe = torch.cat([photos.crops(24, 96, rng) for _ in range(2)])
        seen = ask_teacher(teacher, (probe - MEAN) / STD, "max")
        scale = {}
        for n, t in seen.items():
            deviation = t.float().std((0, 2, 3))
            # between one scale a channel and one a layer: weak channels count, but count less
            scale[n] = (deviation * deviation.mean()).sqrt().clamp_min(1e-3).view(1, -1, 1, 1)
    probes = nn.ModuleDict({n: nn.Conv2d(WIDTHS[int(n[4]) - 1], len(teacher[n][1]), 1) for n in MATCHED})
    probes.to(memory_format=CL)
    parameters = [p for n, p in student.named_parameters() if block_of(n) <= 3]
    optimiser = torch.optim.AdamW([*parameters, *probes.parameters()], lr=args.lr, weight_decay=1e-5, betas=(0.9, 0.98))
    pool_of_paintings: list[Tensor] = []
    start, step, spent = time.time(), 0, 0.0
    checkpoint = args.out / "features.pt"
    log: list[dict] = []
    total = args.minutes_features * 60
    if args.resume and checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        student.load_state_dict(state["student"])
        probes.load_state_dict(state["probes"])
        optimiser.load_state_dict(state["optimiser"])
        step, spent = state["step"], state["seconds"]
    means: dict[str, float] = {}
    painted_at = spent
    while (now := spent + time.time() - start) < total:
        progress = now / total
        lr = args.lr * min(1, (step + 1) / 200) * (0.5 + 0.5 * math.cos(math.pi * progress)) + 1e-5
        for group in optimiser.param_groups:
            group["lr"] = lr
        if progress > 0.15 and (now - painted_at > 45 or not pool_of_paintings):
            painted_at = now
            styles = shake_colours(photos.crops(12, 96, rng), rng)
            starts = torch.rand(styles.shape)
            starts[8:] = photos.crops(4, 96, rng)
            pool = ("max", "avg")[int(rng.integers(2))]
            pool_of_paintings += [p for k in paint(student, styles, starts, 60, (4, 15, 30, 45, 60), pool) for p in k]
            pool_of_paintings = pool_of_paintings[-600:]
        if step % 3 == 0 and small is not None:
            x = small[torch.from_numpy(rng.integers(len(small), size=36))].float() / 255
        elif step % 3 == 1 or not pool_of_paintings:
            x = photos.crops(16, 96, rng)
        else:
            chosen = [pool_of_paintings[i] for i in rng.integers(len(pool_of_paintings), size=10)]
            x = torch.cat([torch.stack(chosen), photos.crops(6, 96, rng)])
        x = (make_foreign(shake_colours(x, rng), rng) - MEAN) / STD
        settled = progress > args.settle  # from here on the statistics stand still, as they will after folding
        if settled:
            student.norms.eval()
        pool = "avg" if settled and rng.random() < args.average else "max"
        wanted = ask_teacher(teacher, x, pool)
        with torch.autocast("cpu", torch.bfloat16):
            found = student(x.contiguous(memory_format=CL), last="conv3_4", pool=pool)
            # every third position of the first block, every second of the next: enough, and quick
            grids = {n: (int(rng.integers(s)), int(rng.integers(s)), s) for n in MATCHED for s in [4 - int(n[4])]}
            found, wanted = ({n: f[n][:, :, y::s, x::s] for n, (y, x, s) in grids.items()} for f in (found, wanted))
            guesses = {n: probes[n](found[n]) for n in MATCHED}
        loss = 0.0
        for n in MATCHED:
            part = F.mse_loss(guesses[n].float(), wanted[n].float() / scale[n])
            loss = loss + LAYER_WEIGHT.get(n, 1.0) * part
            means[n] = 0.98 * means.get(n, part.item()) + 0.02 * part.item()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 5.0)
        optimiser.step()
        step += 1
        if step % 200 == 0:
            log.append({"step": step, "seconds": round(now), "lr": lr, **{n: round(v, 4) for n, v in means.items()}})
            print(json.dumps(log[-1]), flush=True)
            save(
                checkpoint,
                {
                    "student": student.state_dict(),
                    "probes": probes.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "step": step,
                    "seconds": now,
                    "log": log,
                    "scale": scale,
                },
            )
    save(
        checkpoint,
        {
            "student": student.state_dict(),
            "probes": probes.state_dict(),
            "scale": scale,
            "optimiser": optimiser.state_dict(),
            "step": step,
            "seconds": total,
            "log": log,
        },
    )


def train_classes(args: argparse.Namespace) -> None:
    """conv4_1 to conv5_4 and the head, on what the finished conv3_4 says of ``--views`` versions of every thumbnail."""
    rng = np.random.default_rng(args.seed + 1)
    torch.manual_seed(args.seed + 1)
    small = Labelled(args.labelled)
    student = Student(classes=len(small.classes)).to(memory_format=CL)
    checkpoint = args.out / "classes.pt"
    source = checkpoint if args.resume and checkpoint.exists() else args.out / "features.pt"
    student.load_state_dict(torch.load(source, weights_only=True)["student"], strict=False)
    for name, norm in student.norms.items():
        norm.momentum = 0.1 if block_of(f"norms.{name}") > 3 else 0.0
    deep = [p for n, p in student.named_parameters() if block_of(n) > 3]
    optimiser = torch.optim.AdamW(deep, lr=args.lr_classes, weight_decay=0.05)
    smooth = AveragedModel(student, multi_avg_fn=get_ema_multi_avg_fn(0.998), use_buffers=True)  # what is kept
    log: list[dict] = []

    @torch.no_grad()
    def base(x: Tensor) -> Tensor:
        """Activations of the part that is finished, pooled: (N, C, 8, 8) for 64 x 64 pixels."""
        student.eval()
        with torch.autocast("cpu", torch.bfloat16):
            found = student(((x - MEAN) / STD).contiguous(memory_format=CL), last="conv3_4")["conv3_4"]
        return F.max_pool2d(found, 2)

    def name_it(network: Student, features: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            deepest = network(features, first="conv4_1", pooled=True)["conv5_4"]
        return network.head(deepest.float().mean((2, 3)))

    def view() -> Tensor:
        """One more version of all thumbnails: crops enlarged again, other colours, flips."""
        out = []
        for part in small.images.split(256):
            side = int(rng.choice([44, 50, 56, 64]))
            y, x = rng.integers(65 - side, size=2)
            crop = part[:, :, y : y + side, x : x + side].float() / 255
            out.append(base(shake_colours(F.interpolate(crop, (64, 64), mode="bilinear"), rng)))
        return torch.cat(out)

    views = [view() for _ in range(args.views)]
    held = torch.cat([base(part.float() / 255) for part in small.held_images.split(256)])

    def accuracy() -> float:
        smooth.eval()
        with torch.no_grad():
            named = torch.cat([name_it(smooth.module, part).argmax(1) for part in held.split(256)])
        return (named == small.held_labels).float().mean().item()

    start, step, total = time.time(), 0, args.minutes_classes * 60
    order = np.empty(0, dtype=int)
    while (now := time.time() - start) < total:
        lr = args.lr_classes * min(1, (step + 1) / 200) * (0.5 + 0.5 * math.cos(math.pi * now / total)) + 1e-5
        for group in optimiser.param_groups:
            group["lr"] = lr
        if len(order) < 128:
            order = np.concatenate([order, rng.permutation(len(small.labels))])
        pick, order = torch.from_numpy(order[:128]), order[128:]
        chosen = views[int(rng.integers(len(views)))][pick].contiguous(memory_format=CL)
        student.train()
        student.norms.train()
        # mixup: between two pictures the answer lies between their classes; far less is learnt by heart
        mix, other = float(rng.beta(0.4, 0.4)), torch.from_numpy(rng.permutation(len(pick)))
        named = name_it(student, mix * chosen + (1 - mix) * chosen[other])
        loss = mix * F.cross_entropy(named, small.labels[pick], label_smoothing=0.1)
        loss = loss + (1 - mix) * F.cross_entropy(named, small.labels[pick][other], label_smoothing=0.1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        smooth.update_parameters(student)
        step += 1
        if step % 1000 == 0:
            log.append({"step": step, "seconds": round(now), "lr": lr, "loss": loss.item(), "top1": accuracy()})
            print(json.dumps(log[-1]), flush=True)
            save(checkpoint, {"student": smooth.module.state_dict(), "classes": small.classes, "log": log})
    log.append({"step": step, "seconds": round(total), "top1": accuracy()})
    print(json.dumps(log[-1]), flush=True)
    save(checkpoint, {"student": smooth.module.state_dict(), "classes": small.classes, "log": log})


def save(path: Path, state: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    torch.save(state, beside)
    beside.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="imagenet")
    parser.add_argument("--photos", type=Path, nargs="+", required=True)
    parser.add_argument("--labelled", type=Path, nargs="+", default=[])
    parser.add_argument("--out", type=Path, default=Path("out/compact"))
    parser.add_argument("--stage", choices=("features", "classes", "both"), default="both")
    parser.add_argument("--minutes-features", type=float, default=240)
    parser.add_argument("--minutes-classes", type=float, default=90)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--lr-classes", type=float, default=2e-3)
    parser.add_argument("--views", type=int, default=8, help="versions of every thumbnail")
    parser.add_argument("--average", type=float, default=0.4, help="share of the last batches with average pooling")
    parser.add_argument(
        "--settle", type=float, default=0.5, help="share of the time after which statistics stand still"
    )
    parser.add_argument("--resume", action="store_true")
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
