"""Training a transformer network: photos in, a perceptual loss, Adam.

>>> train(TrainingConfig(photos="photos", styles=("waves.jpg",), output="out/waves", steps=2000))

Johnson, Alahi and Fei-Fei (2016), equations 1 to 5. One step is ``Trainer.step``. Checkpoints are in ``checkpoint``,
the network's card in ``card``. Several processes (GPUs, machines) come from Hugging Face Accelerate: start the same
command with ``accelerate launch``.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from .. import images as pictures
from ..errors import ImageError, SettingError, TrainingError, check_type
from ..files import check_place, try_place
from ..records import Callback, Record, call_with_image, check_callback
from ..runtime import keep_freed_memory, pick_device, pick_precision
from ..vgg import VGGFeatures, check_features
from .card import earlier_trainings, make_card
from .checkpoint import CHECKPOINT, Checkpoint, Progress
from .config import TrainingConfig
from .interrupt import DeferredInterrupt, ignore_interrupts
from .layers import InstanceNorm
from .lock import FolderLock
from .noise import PERIOD
from .perceptual_loss import PerceptualLoss, grid_share, identity_loss
from .photos import Crops, collate, find_photos, read_samples
from .sheet import paint_sheet
from .sources import check_same_sources, describe_sources, style_path
from .transformer import TransformerNet

if TYPE_CHECKING:
    from accelerate import Accelerator

NETWORK = "network.safetensors"

SHEETS = "pictures"
"""The folder of the sheets within the output folder."""

PATIENCE = 5
"""This many losses in a row that are not finite end the training."""

OUTLIER_THRESHOLD = 6.0
"""Values further than this from the mean of their map, in standard deviations, count as outliers."""

LR_WARMUP_STEPS = 50
"""Steps in which the learning rate of the "cosine" schedule grows from zero: Adam's first steps are least stable."""


def train(
    config: TrainingConfig,
    resume: bool = False,
    callback: Callback | None = None,
    progress: bool = False,
    features: VGGFeatures | None = None,
    overwrite: bool = False,
) -> TransformerNet:
    """Train a network; it is also written to ``output/network.safetensors``.

    A photo that cannot be read, or is gone by its turn, is left out and counted. A step whose loss is not finite is
    skipped and counted. The first checkpoint is written before the first step.

    Args:
        config: The settings.
        resume: Continue from ``output/checkpoint.pt``, exactly: on the CPU the weights at the end are the same bits as
            without the interruption. Settings that change what is learnt must be the same, and so must photos and
            styles (their paths may differ).
        callback: Called with one ``Record`` per step (losses already weighted; ``image`` is a painted sample).
            Returning False stops, and so does Ctrl-C: the checkpoint is written and the network returned as it is.
        progress: Whether to show a progress bar.
        features: An extractor that exists already; else one is made from ``arch`` and ``weights``.
        overwrite: Whether a training that is already in the output folder may be replaced: its checkpoint at once, its
            network at the end.

    Returns:
        The network in float32 on the CPU, with its card.

    Raises:
        SettingError: A setting cannot be used, the checkpoint was trained with others, or the output folder holds a
            training already.
        ImageError: The folder contains no photo that can be read, or a style cannot be read.
        LayerError: A layer is unknown, or the weights do not reach it.
        WeightsError: The extractor's weights, or the network to start from, cannot be loaded.
        FileError: The output folder cannot be written.
        TrainingError: The loss was not finite five times in a row; the checkpoint is damaged, or was trained with other
            photos, styles or networks; or another training writes to the output folder.
    """
    _check_arguments(config, features)
    check_callback(callback)
    if resume and overwrite:
        raise SettingError("resume continues a training and overwrite replaces it; choose one of them.")
    output = Path(config.output)
    is_main = _make_accelerator(pick_device(config.device)).is_main_process
    with FolderLock(output) if is_main else contextlib.nullcontext():
        if is_main:
            _check_output(config, resume or overwrite)
        checkpoint = Checkpoint.load(output) if resume else None
        return Trainer(config, features, checkpoint).run(callback, progress)


def learning_rate(config: TrainingConfig, step: int) -> float:
    """Return the learning rate of a step, counted from 0.

    "cosine" warms up in ``LR_WARMUP_STEPS``, once more after the identity steps, and falls to zero at the last step.
    """
    if config.decay == "none":
        return config.learning_rate
    since = step if step < config.identity_steps else step - config.identity_steps
    warmup = min(1, (since + 1) / LR_WARMUP_STEPS)
    return config.learning_rate * (warmup * 0.5 * (1 + math.cos(math.pi * step / config.steps)))


class Trainer:
    """One training; see ``train``.

    Attributes:
        net: The network, prepared for all processes.
        adam: Its optimizer.
        loss: The perceptual loss.
        progress: How far the training has come.
    """

    def __init__(
        self, config: TrainingConfig, features: VGGFeatures | None = None, checkpoint: Checkpoint | None = None
    ) -> None:
        _check_arguments(config, features)
        self.accelerator = _make_accelerator(pick_device(config.device))  # picks each process's own GPU
        self.output = Path(config.output)
        found = find_photos(config.photos, without=[*config.samples, self.output / SHEETS])
        # a photo that has gone since keeps its place, so that all others keep theirs
        self.photos = [Path(config.photos, name) for name in checkpoint.sources.photos] if checkpoint else found
        config = config.with_steps_for(len(self.photos), config.batch * self.accelerator.num_processes)
        if checkpoint is not None:
            checkpoint.check_same_settings(config)
        self.config = config
        self.samples, self.broken_samples = read_samples(config.samples, found)
        self.device = pick_device(config.device) if config.device else self.accelerator.device
        self.dtype = pick_precision(config.precision, self.device)
        if self.device.type == "cpu":
            keep_freed_memory()
        torch.manual_seed(config.seed)
        net, self.earlier = _make_network(config)
        features = features or _make_features(config, self.device)
        self.extractor = features.weights_name
        self.sources = describe_sources(config, found, self.extractor)
        sizes = config.sizes or (config.style_size,)
        styles = [style_picture(style, size).to(self.device) for style in config.styles for size in sizes]
        self.loss = PerceptualLoss(config.loss_preset(), features, styles, config.compile)
        net = net.to(self.device).to(memory_format=torch.channels_last).train()
        adam = torch.optim.Adam(net.parameters(), lr=config.learning_rate)
        self.progress = Progress()
        self.is_resumed = checkpoint is not None
        if checkpoint is not None:
            self._restore(checkpoint, net, adam)
        self.norms = _watch_outliers(net) if config.outlier_weight else []
        self.net, self.adam = self.accelerator.prepare(net, adam)
        self.forward = torch.compile(self.net) if config.compile else self.net

    def _restore(self, checkpoint: Checkpoint, net: nn.Module, adam: torch.optim.Optimizer) -> None:
        check_same_sources(checkpoint.sources, self.sources, Path(self.config.photos), checkpoint.progress.broken)
        self.sources = checkpoint.sources
        net.load_state_dict(checkpoint.network)
        adam.load_state_dict(checkpoint.optimizer)
        torch.set_rng_state(checkpoint.generator)
        self.progress = checkpoint.progress

    # --- the loop -----------------------------------------------------------------------------------------

    def run(self, callback: Callback | None = None, progress: bool = False) -> TransformerNet:
        """Train until the last step, a stop or Ctrl-C; return the network."""
        is_main = self.accelerator.is_main_process
        if is_main and not self.is_resumed:
            self.save_checkpoint()
        failures = 0  # in a row
        between_steps = True
        bar = tqdm(total=self.config.steps, initial=self.progress.step, unit="step", disable=not (progress and is_main))
        try:
            with bar, DeferredInterrupt() as interrupt:
                for photos, styles, broken in self._batches():
                    if len(broken) == len(self.photos):
                        raise ImageError("none of the photos can be read; look at the folder.")
                    begin = time.perf_counter()
                    between_steps = False
                    record, finite = self.step(photos.to(self.device), styles.to(self.device))
                    self.progress.broken |= set(broken)
                    failures = 0 if finite else failures + 1
                    self._check_failures(failures)
                    self._add(record, time.perf_counter() - begin)
                    between_steps = True
                    bar.update()
                    bar.set_postfix_str(
                        f"content {record.content_total:.4g}, style {record.style_total:.4g}", refresh=False
                    )
                    if is_main:
                        self._write_when_due()
                    goes_on = callback is None or call_with_image(callback, record, self.painted_sample)
                    if interrupt.requested or not goes_on:
                        break
        except KeyboardInterrupt:  # raised by the callback, or by a second Ctrl-C
            pass
        finally:
            if is_main and between_steps:  # half a step must not replace the last checkpoint
                self.save_checkpoint()
        return self.finish()

    def step(self, photos: Tensor, styles: Tensor) -> tuple[Record, bool]:
        """Do one step of Adam.

        Args:
            photos: (N, 3, H, W) in [0, 1].
            styles: Index of each photo's style, (N,); with ``sizes``, of its style and size.

        Returns:
            The losses before the step, without penalties, and whether they and the gradient were finite;
            if not, nothing is changed.
        """
        identity = self.progress.step < self.config.identity_steps
        self._prepare_adam()
        painted = self._paint_batch(photos, styles)  # (N, 3, H, W)
        terms = identity_loss(painted, photos) if identity else self.loss(painted, photos, styles)  # (3, N)
        terms = terms.mean(1)  # (3,): content, style, variation
        loss = terms.sum()
        penalty = self._outlier_penalty()
        if penalty is not None and not identity:  # the identity loss is so small that the penalty would hide it
            loss = loss + self.config.outlier_weight * penalty
        if self.config.grid_weight and not identity:
            loss = loss + self.config.grid_weight * grid_share(painted).mean()
        self.adam.zero_grad()
        self.accelerator.backward(loss)
        content, style, tv, gradient_norm = self._mean_over_processes(terms.detach())
        total = content + style + tv
        finite = math.isfinite(total + gradient_norm)
        if finite:
            self.adam.step()
        self.progress.step += 1
        note = "identity" if identity else ""
        if not finite:
            self.progress.skipped += 1
            note = "skipped: the loss was not finite"
        record = Record(
            step=self.progress.step,
            seconds=0.0,
            total=total,
            content_total=content,
            style_total=style,
            tv_total=tv,
            content={},
            style={},
            note=note,
        )
        return record, finite

    def _prepare_adam(self) -> None:
        step = self.progress.step
        if step == self.config.identity_steps:
            self.adam.state.clear()  # the next loss is a thousand times larger: Adam's averages would mislead it
        for group in self.adam.param_groups:
            group["lr"] = learning_rate(self.config, step)

    def _paint_batch(self, photos: Tensor, styles: Tensor) -> Tensor:
        config, size, offsets = self.config, None, None
        if config.sizes:
            size = torch.tensor(config.sizes, device=self.device)[styles % len(config.sizes)]  # (N,)
            styles = styles // len(config.sizes)
        if config.noise != "none":
            offsets = torch.randint(PERIOD, (len(photos), 2)).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            painted: Tensor = self.forward(photos, styles if len(config.styles) > 1 else 0, size, offsets)
        return painted

    def _outlier_penalty(self) -> Tensor | None:
        """Return the sum of the penalties that the norms computed in the last forward pass, and clear them."""
        penalties = [norm.outlier_penalty for norm in self.norms if norm.outlier_penalty is not None]
        for norm in self.norms:
            norm.outlier_penalty = None
        return torch.stack(penalties).sum() if penalties else None

    def _mean_over_processes(self, terms: Tensor) -> list[float]:
        """Return the terms and the norm of the gradient, equal in all processes, so that all of them step or none."""
        gradient_norm = torch.nn.utils.clip_grad_norm_(self.net.parameters(), math.inf)  # clips nothing
        numbers: list[float] = self.accelerator.reduce(torch.stack([*terms, gradient_norm]), "mean").tolist()
        return numbers

    def _check_failures(self, failures: int) -> None:
        if failures >= PATIENCE:
            raise TrainingError(
                f"the loss was not finite {PATIENCE} times in a row, up to step {self.progress.step}; use a smaller "
                "learning_rate or precision='float32'."
            )

    def _add(self, record: Record, seconds: float) -> None:
        self.progress.seconds += seconds
        record.seconds = self.progress.seconds
        self.progress.records.append(record)

    def _batches(self) -> Iterable[tuple[Tensor, Tensor, list[int]]]:
        """Return batches of (photos, style indices, indices of broken files), from the step reached so far."""
        config, processes = self.config, self.accelerator.num_processes
        crops = Crops(
            self.photos, config.size, config.crop, len(config.styles), config.seed, config.crops, config.sizes
        )
        per_step = config.batch * processes
        numbers = range(self.progress.step * per_step, config.steps * per_step)
        loader = torch.utils.data.DataLoader(
            crops,
            batch_size=config.batch,
            sampler=numbers,
            num_workers=config.workers,
            collate_fn=collate,
            worker_init_fn=ignore_interrupts,
        )
        return self.accelerator.prepare(loader) if processes > 1 else loader

    # --- what is written -----------------------------------------------------------------------------------

    def _write_when_due(self) -> None:
        step, config = self.progress.step, self.config
        if config.picture_every and step % config.picture_every == 0:
            sheet = paint_sheet(self._inference_net(), self.samples, config.styles)
            pictures.save(sheet, self.output / SHEETS / f"{step:06d}.jpg")
        if config.checkpoint_every and step % config.checkpoint_every == 0:
            self.save_checkpoint()

    def save_checkpoint(self) -> None:
        """Write the checkpoint."""
        network = self.accelerator.unwrap_model(self.net).state_dict()
        generator, config = torch.get_rng_state(), self.config.as_dict()
        Checkpoint(self.progress, network, self.adam.state_dict(), generator, config, self.sources).save(self.output)

    def painted_sample(self) -> Tensor:
        """Return the first sample photo, painted in the first style: (1, 3, H, W) on the CPU."""
        photo = self.samples[0].to(self.device)
        with torch.no_grad():
            painted: Tensor = self._inference_net()(photo, 0)
        return painted.float().cpu()

    def _inference_net(self) -> TransformerNet:
        net: TransformerNet = self.accelerator.unwrap_model(self.net)
        return net.for_inference(self.config.precision)

    def finish(self) -> TransformerNet:
        """Write the network with its card; return it in float32 on the CPU."""
        net: TransformerNet = self.accelerator.unwrap_model(self.net)
        net.card = make_card(
            self.config, self.progress, len(self.photos), self.extractor, self.accelerator.num_processes, self.earlier
        )
        net.card["broken_samples"] = self.broken_samples  # as found by the run that wrote the network
        for norm in self.norms:
            norm.outlier_threshold = None
        if self.accelerator.is_main_process:
            net.save(self.output / NETWORK)
        return net.eval().to("cpu")


# --- parts of a training ------------------------------------------------------------------------------------


def _check_arguments(config: TrainingConfig, features: VGGFeatures | None) -> None:
    check_type("config", config, TrainingConfig, "make one with TrainingConfig(...) or TrainingConfig.from_dict(...)")
    config.check()
    if features is not None:
        check_features(features)
    config.loss_preset().check_weights()


def _check_output(config: TrainingConfig, may_exist: bool) -> None:
    """Raise an error if the output folder holds a training already, or cannot take the files of one."""
    output = Path(config.output)
    photos, sheets = Path(config.photos).resolve(), (output / SHEETS).resolve()
    if sheets in (photos, *photos.parents):
        raise SettingError(f"the sheets would go to '{sheets}', among the photos; choose another output.")
    held = [name for name in (NETWORK, CHECKPOINT) if (output / name).exists()]
    if held and not may_exist:
        raise SettingError(
            f"'{output}' holds a training already ({held[0]}); choose another output, go on with resume, or replace it "
            "with overwrite."
        )
    for name in (NETWORK, CHECKPOINT):
        check_place(output / name)  # the lock that is in the folder by now shows that it can be written
        for left in output.glob(f".{name}.*"):  # what a killed training was writing
            left.unlink(missing_ok=True)
    if config.picture_every:
        try_place(output / SHEETS / f"{0:06d}.jpg")


def style_picture(source: str, size: int) -> Tensor:
    """Return a style, (1, 3, H, W), from a picture's path or a name in data/styles.

    Args:
        source: The path or the name.
        size: Long side in pixels; 0 keeps the picture's own.
    """
    return pictures.load(style_path(source), size or None)


def _make_network(config: TrainingConfig) -> tuple[TransformerNet, list[dict[str, Any]]]:
    """Return a random network, or the one to start from, with the trainings behind it."""
    settings: dict[str, Any] = {
        "norm": config.norm,
        "styles": len(config.styles),
        "width": config.width,
        "blocks": config.blocks,
        "upsample": config.upsample,
        "pixels": config.pixels,
        "noise": config.noise,
        "sizes": list(config.sizes),
    }
    net = TransformerNet(**settings)
    if not config.start:
        return net, []
    first = TransformerNet.load(config.start)
    if any(first.config[name] != value for name, value in settings.items()):
        raise SettingError(f"'{config.start}' holds another network ({first.config}) than the settings ask for.")
    net.load_state_dict(first.state_dict())
    return net, earlier_trainings(first.card)


def _make_features(config: TrainingConfig, device: torch.device) -> VGGFeatures:
    preset = config.loss_preset()
    return VGGFeatures(
        arch=preset.arch,
        weights=config.weights,
        pooling=preset.pooling,
        rescale=preset.rescale,
        precision=config.precision,
        device=device,
        preprocessing=preset.preprocessing,
        float32_until="conv1_1",  # a batch is noisier than rounding
    )


def _watch_outliers(net: nn.Module) -> list[InstanceNorm]:
    """Let the instance norms of a network compute their outlier penalty; return them."""
    norms = [module for module in net.modules() if isinstance(module, InstanceNorm)]
    for norm in norms:
        norm.outlier_threshold = OUTLIER_THRESHOLD
    return norms


def _make_accelerator(device: torch.device) -> Accelerator:
    try:
        from accelerate import Accelerator
    except ImportError as error:
        raise SettingError("training needs the package accelerate; run 'pip install accelerate'.") from error
    return Accelerator(cpu=device.type == "cpu")
