"""Training a transformer network: photos in, the losses of a preset, Adam, and checkpoints that survive anything.

>>> train(TrainingConfig(photos="photos", styles=("waves.jpg",), output="out/waves", steps=2000))

Johnson, Alahi and Fei-Fei (2016), equations 1 to 5. Several processes (GPUs, machines) come from Hugging Face
Accelerate: start the same command with ``accelerate launch``.
"""

from __future__ import annotations

import dataclasses
import io
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from . import images as pictures
from .errors import SettingError, TrainingError
from .objective import Objective
from .photos import Crops, find_photos
from .presets import Preset
from .runtime import keep_freed_memory, pick_device, pick_precision
from .synthesis import Record
from .training_config import TrainingConfig
from .transformer import InstanceNorm, TransformerNet
from .vgg import VGGFeatures

CHECKPOINT, NETWORK, FORMAT = "checkpoint.pt", "network.safetensors", "nstlib.training/1"
PATIENCE = 5
"""So many losses in a row that are not finite end the training."""

SPIKE = 6.0
"""Values further than this from the mean of their map, in standard deviations, count as spikes."""

STAGE = ("steps", "pictures", "seconds", "size", "styles")
"""What a card keeps of the trainings before the last one."""

RAMP = 50
"""Steps in which the rate of the "cosine" schedule grows from zero: Adam's first steps are its wildest."""

FREE = {"output", "device", "compile", "workers", "checkpoint_every", "picture_every"}
"""Settings that may differ when a training is resumed: they do not change what is learnt."""


class TrainingLoss:
    """The preset's loss of painted pictures, each against its own photo and its own style."""

    def __init__(self, preset: Preset, features: VGGFeatures, styles: Sequence[Tensor]) -> None:
        each = [Objective(preset, features, style=style) for style in styles]
        self.grams = {n: torch.cat([o.style_targets[n] for o in each]) for n in preset.style_layers}
        self.objective, self.features = each[0], features
        self.objective.content_layers = dict(preset.content_layers)

    def __call__(self, painted: Tensor, photos: Tensor, styles: Tensor) -> Tensor:
        """Weighted content, style and variation, (3, N); all (N, 3, H, W) in [0, 1], ``styles`` indices (N,)."""
        goal = self.objective
        with torch.no_grad():
            goal.content_targets = self.features(photos, goal.content_layers)
        goal.style_targets = {n: gram[styles] for n, gram in self.grams.items()}
        return goal.weigh(*goal.terms(painted))


def style_picture(source: str, size: int) -> Tensor:
    """A style as a picture's path or a name in ``data/styles``, (1, 3, H, W)."""
    from . import gallery

    known = not Path(source).exists() and source in gallery.style_names()
    return gallery.style(source, size) if known else pictures.load(source, size)


class Trainer:
    """One training: ``Trainer(config, resume=...).run(callback)`` gives the network. See ``train``."""

    def __init__(self, config: TrainingConfig, resume: bool = False, features: VGGFeatures | None = None) -> None:
        config.check()
        self.config, self.output = config, Path(config.output)
        device = pick_device(config.device)
        self.accelerator = _accelerator(device)
        if not config.device:
            device = self.accelerator.device
        self.device, self.dtype = device, pick_precision(config.precision, device)
        if device.type == "cpu":
            keep_freed_memory()
        torch.manual_seed(config.seed)
        saved = self._read_checkpoint() if resume else None
        self.photos = find_photos(config.photos, without=config.samples)
        self.before: list[dict[str, Any]] = []
        net = self._new_network()
        preset = config.loss_preset()
        features = features or VGGFeatures(config.arch, config.weights, preset.pooling, preset.rescale,
                                           config.precision, device, preset.preprocessing,
                                           exact="conv1_1")  # fmt: skip  # a batch is noisier than rounding
        self.extractor = features.source
        styles = [style_picture(s, config.style_size).to(device) for s in config.styles]
        self.loss = TrainingLoss(preset, features, styles)
        net = net.to(device).to(memory_format=torch.channels_last).train()
        adam = torch.optim.Adam(net.parameters(), lr=config.learning_rate)
        self.step, self.seconds, self.broken, self.skipped, self.records = 0, 0.0, set(), 0, []
        if saved:
            net.load_state_dict(saved["network"])
            adam.load_state_dict(saved["optimizer"])
            torch.set_rng_state(saved["generator"])
            self.step, self.seconds, self.skipped = saved["step"], saved["seconds"], saved["skipped"]
            self.broken, self.records = set(saved["broken"]), [Record(**r) for r in saved["records"]]
        self.norms = [m for m in net.modules() if isinstance(m, InstanceNorm)] if config.spike_weight else []
        for norm in self.norms:
            norm.limit = SPIKE
        self.net, self.adam = self.accelerator.prepare(net, adam)
        self.call = torch.compile(self.net) if config.compile else self.net
        if config.compile:
            whole = torch.compile(lambda images, layers: dict(VGGFeatures.walk(features, images, layers)))
            features.walk = lambda images, layers: whole(images, list(layers)).items()

    def run(self, callback: Callable[[Record], object] | None = None, progress: bool = False) -> TransformerNet:
        config, main = self.config, self.accelerator.is_main_process
        in_a_row = 0
        bar = tqdm(total=config.steps, initial=self.step, unit="step", disable=not (progress and main))
        try:
            for photos, styles, broken in self._batches():
                begin = time.perf_counter()
                record = self._learn(photos.to(self.device), styles.to(self.device))
                self.broken |= set(broken.tolist()) - {-1}
                in_a_row = in_a_row + 1 if record.note.startswith("skipped") else 0
                self.skipped += in_a_row > 0
                if in_a_row >= PATIENCE:
                    raise TrainingError(
                        f"the loss was not finite {PATIENCE} times in a row, up to step {self.step}; use a smaller "
                        "learning_rate or precision='float32'."
                    )
                self.seconds += time.perf_counter() - begin
                record.seconds = self.seconds
                self.records.append(record)
                bar.update()
                bar.set_postfix_str(f"content {record.content_total:.4g}, style {record.style_total:.4g}", False)
                if main:
                    if config.picture_every and self.step % config.picture_every == 0:
                        self.sheet(self.output / "pictures" / f"{self.step:06d}.jpg")
                    if config.checkpoint_every and self.step % config.checkpoint_every == 0:
                        self.save()
                if callback is not None:
                    record._picture = self.painted_sample
                    keep_going = callback(record)
                    record._picture = None
                    if keep_going is False:
                        break
        except KeyboardInterrupt:
            pass
        finally:
            bar.close()
            if main and in_a_row < PATIENCE:
                self.save()
        return self.finish()

    def _new_network(self) -> TransformerNet:
        c = self.config
        settings = {"norm": c.norm, "styles": len(c.styles), "width": c.width, "blocks": c.blocks,
                    "upsample": c.upsample}  # fmt: skip
        net = TransformerNet(**settings)
        if c.start:
            first = TransformerNet.load(c.start)
            if any(first.config[k] != v for k, v in settings.items()):
                raise SettingError(f"'{c.start}' holds another network ({first.config}) than the settings ask for.")
            net.load_state_dict(first.state_dict())
            self.before = [*first.card.get("before", []), {k: first.card.get(k) for k in STAGE}]
        return net

    def _batches(self) -> Iterable[list[Tensor]]:
        c, processes = self.config, self.accelerator.num_processes
        crops = Crops(self.photos, c.size, c.crop, len(c.styles), c.seed)
        numbers = range(self.step * c.batch * processes, c.steps * c.batch * processes)
        loader = torch.utils.data.DataLoader(crops, batch_size=c.batch, sampler=numbers, num_workers=c.workers)
        return self.accelerator.prepare(loader) if processes > 1 else loader

    def _learn(self, photos: Tensor, styles: Tensor) -> Record:
        c, warm = self.config, self.step < self.config.warmup
        if self.step == c.warmup:  # another loss, a thousand times larger: what Adam knows of the first misleads it
            self.adam.state.clear()
        rate = c.learning_rate
        if c.decay == "cosine":
            since = self.step if warm else self.step - c.warmup
            rate *= min(1, (since + 1) / RAMP) * 0.5 * (1 + math.cos(math.pi * self.step / c.steps))
        for group in self.adam.param_groups:
            group["lr"] = rate
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            painted = self.call(photos, styles if len(c.styles) > 1 else 0)
        if warm:
            apart = (painted - photos).square().flatten(1).mean(1)
            parts = torch.stack([apart, torch.zeros_like(apart), torch.zeros_like(apart)])
        else:
            parts = self.loss(painted, photos, styles)
        parts = parts.mean(1)
        self.adam.zero_grad()
        excess = sum((norm.excess for norm in self.norms), parts.new_zeros(()))
        # not while it learns to copy: that loss is so small that it would drown
        self.accelerator.backward(parts.sum() + (0.0 if warm else c.spike_weight) * excess)
        for norm in self.norms:
            norm.excess = None
        norm = torch.nn.utils.clip_grad_norm_(self.net.parameters(), math.inf)
        # the same numbers in every process, or one would step and another not
        *numbers, norm = self.accelerator.reduce(torch.stack([*parts.detach(), norm]), "mean").tolist()
        note = "warm-up" if warm else ""
        if math.isfinite(sum(numbers) + norm):
            self.adam.step()
        else:
            note = "skipped: the loss was not finite"
        self.step += 1
        return Record(self.step, 0.0, sum(numbers), *numbers, content={}, style={}, note=note)

    @torch.no_grad()
    def painted_sample(self) -> Tensor:
        """The first sample photo, painted in the first style: (1, 3, H, W) on the CPU."""
        return self._paint(self._samples()[0], 0)

    def _paint(self, photo: Tensor, style: int) -> Tensor:
        net = self.accelerator.unwrap_model(self.net).for_inference(self.config.precision)
        with torch.no_grad():
            return net(photo.to(self.device), style).float().cpu()

    def _samples(self) -> list[Tensor]:
        return [pictures.load(p, 384) for p in self.config.samples or self.photos[:2]]

    def sheet(self, path: Path) -> None:
        """Write the sample photos beside their paintings, in up to six styles."""
        shown, labels = [], []
        for photo in self._samples():
            names = self.config.styles[:6]
            shown += [photo, *(self._paint(photo, i) for i in range(len(names)))]
            labels += ["photo", *(Path(s).stem for s in names)]
        pictures.save(pictures.side_by_side(shown, labels, height=256), path)

    def save(self) -> None:
        """Write the checkpoint, whole or not at all: a process killed at any moment leaves the one before."""
        state = {
            "format": FORMAT, "config": asdict(self.config), "step": self.step, "seconds": self.seconds,
            "network": self.accelerator.unwrap_model(self.net).state_dict(), "optimizer": self.adam.state_dict(),
            "generator": torch.get_rng_state(), "skipped": self.skipped, "broken": sorted(self.broken),
            "records": [r.as_dict() for r in self.records], "torch": str(torch.__version__),
        }  # fmt: skip
        buffer = io.BytesIO()
        torch.save(state, buffer)
        pictures.write_atomically(self.output / CHECKPOINT, buffer.getvalue())

    def _read_checkpoint(self) -> dict[str, Any]:
        path = self.output / CHECKPOINT
        if not path.is_file():
            raise SettingError(f"there is no checkpoint in '{self.output}'; start without resuming.")
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many types for a broken file
            raise TrainingError(f"the checkpoint '{path}' is damaged; start again without resuming.") from error
        if state.get("format") != FORMAT:
            raise TrainingError(f"'{path}' is not a checkpoint of this version; start again without resuming.")
        old, new = state["config"], asdict(self.config)
        for name in new:
            if name not in FREE and old.get(name) != new[name]:
                raise SettingError(f"the checkpoint was trained with {name} = {old.get(name)!r}, not {new[name]!r}.")
        return state

    def card(self) -> dict[str, Any]:
        """What was trained on what, for how long, and the mean losses of the last hundred steps."""
        last = [r for r in self.records[-100:] if math.isfinite(r.total)]
        mean = {k: sum(getattr(r, f"{k}_total") for r in last) / max(1, len(last)) for k in ("content", "style", "tv")}
        config = {f.name: getattr(self.config, f.name) for f in dataclasses.fields(self.config) if f.name not in FREE}
        config |= {"photos": len(self.photos), "styles": [Path(s).stem for s in self.config.styles], "samples": [],
                   "start": Path(self.config.start).stem}  # fmt: skip
        return {
            "config": config, "extractor": self.extractor, "steps": self.step, "seconds": round(self.seconds),
            "pictures": self.step * self.config.batch * self.accelerator.num_processes, "losses": mean,
            "broken": len(self.broken), "skipped": self.skipped, "size": self.config.size,
            "styles": len(self.config.styles), "before": self.before,
        }  # fmt: skip

    def finish(self) -> TransformerNet:
        """Write the network with its card; give it back in float32 on the CPU."""
        net = self.accelerator.unwrap_model(self.net)
        net.card = self.card()
        for norm in self.norms:
            norm.limit = 0.0
        if self.accelerator.is_main_process:
            net.save(self.output / NETWORK)
        return net.eval().to("cpu")


def _accelerator(device: torch.device):  # noqa: ANN202 - a class of a package that is optional
    try:
        from accelerate import Accelerator
    except ImportError as error:
        raise SettingError("training needs the package accelerate; run 'pip install accelerate'.") from error
    return Accelerator(cpu=device.type == "cpu")


def train(
    config: TrainingConfig, resume: bool = False, callback: Callable[[Record], object] | None = None,
    progress: bool = False, features: VGGFeatures | None = None,
) -> TransformerNet:  # fmt: skip
    """Train a network as ``config`` says; the network is also written to ``output/network.safetensors``.

    resume: go on from ``output/checkpoint.pt``, exactly: on the CPU the weights at the end are the same bits as
        without the break. Settings that change what is learnt must be the same.
    callback: called with one ``Record`` a step (losses already weighted; ``image`` is a sample, painted); returning
        False stops, and so does Ctrl-C: the checkpoint is written and the network as it is given back.
    features: a loss network that is already there; else one is made as ``arch`` and ``weights`` say.

    A picture that cannot be read is left out and counted. A step whose loss is not finite is skipped and counted;
    after five in a row TrainingError is raised. Raises SettingError and ImageError for what cannot be used.
    """
    return Trainer(config, resume, features).run(callback, progress)
