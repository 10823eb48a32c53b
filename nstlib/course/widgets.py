"""Live widgets of the lessons: upload a photo, watch a transfer and stop it, slide over pictures.

What a widget does is in plain functions and methods that return values, so that it can be tested and used without a
browser. Each widget has static counterparts: ``.figure()``, and ``.still``, which takes its place in a page that cannot
run code. Works with ipywidgets 7.7 (Colab) and 8.
"""

from __future__ import annotations

import base64
import html
import io
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

from PIL import Image
from torch import Tensor

from ..architecture import layer_names
from ..data import gallery
from ..errors import ImageError, NstError, SettingError
from ..images import load, resize
from ..presets import RELU_1, InitName, OptimizerName, Preset, get_preset
from ..pretrained import Weights
from ..records import Record, Result
from ..runtime import Precision
from ..synthesis import transfer
from ..vgg import VGGFeatures
from . import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DISPLAY_SIDE = 380
"""Long side in pixels at which live pictures are shown."""

PREVIEW_SIDE = 200
"""Long side in pixels of the preview of an uploaded photo."""

STILL_SIDE = 320
"""Long side in pixels of the still picture that a stored notebook shows in place of a widget."""

WEIGHT_FACTORS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
KNOB_WEIGHTS = {"content_weight": "content weight", "style_weight": "style weight", "tv_weight": "prior weight"}
"""Weights that ``watch_transfer`` lets the student change, with their labels; the prior is the total variation."""

SIZES = (128, 192, 256, 384, 512)
"""Long sides in pixels that ``watch_transfer`` offers beside the photo's own."""

LIMIT_HINT = "(If nothing happens, it is too large: some Jupyter servers drop files of more than 10 MB without a word.)"
"""Nothing arrives here in that case, so it must be said before; ``make lab`` raises the limit."""


def require_ipywidgets() -> ModuleType:
    """Return the module ipywidgets.

    Raises:
        SettingError: It is not installed.
    """
    try:
        import ipywidgets
    except ImportError as error:
        raise SettingError("the live widgets need ipywidgets; run 'pip install ipywidgets' and restart.") from error
    return ipywidgets


class LivePicture:
    """A picture in a widget, with a text alternative, which ipywidgets' Image lacks.

    Attributes:
        value: The JPEG file.
        alt: What it shows, for readers who cannot see it.
        widget: The ipywidget, to be put into a box.
    """

    def __init__(self, value: bytes, alt: str, width: str = "auto") -> None:
        """Make the widget; ``width`` is its width in CSS, such as "45%"."""
        self._style = "" if width == "auto" else "width:100%"
        self.widget = require_ipywidgets().HTML(layout={"width": width})
        self.show(value, alt)

    def show(self, value: bytes, alt: str) -> None:
        """Show another picture."""
        self.value, self.alt = value, alt
        data = base64.b64encode(value).decode("ascii")
        self.widget.value = f"<img src='data:image/jpeg;base64,{data}' alt='{html.escape(alt)}' style='{self._style}'>"


class ShownWidget:
    """Base of objects that a notebook displays when they are the last line of a cell.

    Attributes:
        widget: The ipywidget to display.
        still: The picture that takes its place where there is no kernel, such as in a stored notebook.
    """

    widget: Any
    still: LivePicture

    def _ipython_display_(self) -> None:
        from IPython.display import display

        image = Image.open(io.BytesIO(self.still.value))
        image.thumbnail((STILL_SIDE, STILL_SIDE))
        view = {"model_id": self.widget.model_id, "version_major": 2, "version_minor": 0}
        bundle = {
            "application/vnd.jupyter.widget-view+json": view,
            "image/jpeg": base64.b64encode(figures.jpeg(image, quality=75)).decode("ascii"),
            "text/plain": self.still.alt,
        }
        display(bundle, raw=True, metadata={"image/jpeg": {"alt": self.still.alt}})


def resize_down(picture: Tensor, long_side: int) -> Tensor:
    """Return a picture (N, 3, H, W) reduced to a long side in pixels; a smaller picture stays as it is."""
    return resize(picture, long_side) if max(picture.shape[2:]) > long_side else picture


def _display_jpeg(picture: Tensor, side: int = DISPLAY_SIDE) -> bytes:
    return figures.jpeg(figures.enlarged(resize_down(picture, side), side))


def _label_html(sentence: str) -> str:
    return f"<div style='padding-left:.6em;line-height:1.4'>{html.escape(sentence)}</div>"


# --- upload a photo ------------------------------------------------------------------------------------


def uploaded_file(value: object) -> tuple[str, bytes] | None:
    """Return name and bytes of the newest file in ``FileUpload.value``, or None if there is none.

    In ipywidgets 7 the value is {name: {"metadata": ..., "content": bytes}}, in 8 a tuple of {"name", "content", ...}.
    """
    if not value:
        return None
    if isinstance(value, Mapping):
        name, entry = list(value.items())[-1]
    elif isinstance(value, Sequence):
        entry = value[-1]
        name = entry.get("name", "your file")
    else:
        return None
    return str(name), bytes(entry["content"])


def forget_file(button: Any) -> None:
    """Empty a ``FileUpload``, so that choosing the same file again is a change and is noticed."""
    if isinstance(button.value, Mapping):  # ipywidgets 7
        button.metadata, button.data = [], []
        button.set_trait("value", {})
    else:
        button.value = ()


def read_photo(name: str, content: bytes) -> Tensor:
    """Return an uploaded file as a picture (1, 3, H, W) in [0, 1].

    Raises:
        ImageError: The file cannot be used; the message names it.
    """
    if not content:
        raise ImageError(f"'{name}' is empty; choose it again.")
    try:
        return load(io.BytesIO(content))
    except ImageError as error:
        if name.lower().endswith((".heic", ".heif")):
            raise ImageError(f"'{name}' is in a format that cannot be read here; export it as JPEG first.") from error
        raise ImageError(str(error).replace("the picture", f"'{name}'", 1)) from error


class Upload(ShownWidget):
    """A button to choose a photo or another picture; until then the default one is used.

    Attributes:
        photo: The picture in use, (1, 3, H, W).
        name: Its name.
        uploaded: Whether it is the student's own.
        message: What happened last, in one sentence.
        button: The ``FileUpload`` widget, for further observers.
    """

    def __init__(
        self,
        default: str | Tensor = "chelsea",
        size: int = 512,
        what: str = "photo",
        then: str = "Run the next cells again.",
    ) -> None:
        """Make the widget; see ``upload_photo``.

        Args:
            default: Name of a photo of the gallery, or a picture (1, 3, H, W).
            size: Largest long side in pixels.
            what: What is chosen, for the button.
            then: What the student does after an upload.
        """
        widgets = require_ipywidgets()
        photo = gallery.content(default) if isinstance(default, str) else default
        self.size, self.what, self.then = size, what, then
        self.photo = resize_down(photo, size)
        self.name = default if isinstance(default, str) else f"the default {what}"
        self.uploaded = False
        self.message = f"No {what} chosen yet: {self.name} is used."
        self.button = widgets.FileUpload(accept="image/*", multiple=False, description=f"Choose a {what}")
        self.button.layout.width, self.button.layout.flex = "auto", "0 0 auto"
        self.preview = self.still = LivePicture(*self._preview())
        self.label = widgets.HTML(_label_html(f"{self.message} {LIMIT_HINT}"))
        self.button.observe(self._on_change, names="value")
        self.widget = widgets.VBox([widgets.HBox([self.button, self.label]), self.preview.widget])

    def accept(self, value: object) -> str:
        """Use the newest file of a ``FileUpload.value``; a file that cannot be read changes nothing.

        Returns:
            A sentence for the student.
        """
        try:
            file = uploaded_file(value)
            if file is None:
                return self.message
            name, content = file
            self.photo = resize_down(read_photo(name, content), self.size)
            self.name, self.uploaded = name, True
            height, width = self.photo.shape[2:]
            self.message = f"{name} is used, at {width} x {height} pixels. {self.then}"
        except ImageError as error:
            self.message = f"{error} {self.name} is still used."
        return self.message

    def image(self, size: int | None = None) -> Tensor:
        """Return the photo in use, (1, 3, H, W); ``size`` is its long side in pixels."""
        return resize(self.photo, size) if size else self.photo

    def figure(self) -> Figure:
        """Return the photo in use as a figure."""
        return figures.show(self.photo, self.name)

    def _preview(self) -> tuple[bytes, str]:
        return figures.jpeg(resize_down(self.photo, PREVIEW_SIDE)), f"the {self.what} in use: {self.name}"

    def _on_change(self, change: Mapping[str, object]) -> None:
        file = uploaded_file(change["new"])
        if file is None:
            return  # it was emptied here
        self.label.value = _label_html(f"Reading {file[0]} ...")  # a sentence that stays the same would be no answer
        self.accept(change["new"])
        forget_file(self.button)
        self.label.value = _label_html(self.message)
        self.preview.show(*self._preview())


def upload_photo(default: str | Tensor = "chelsea", size: int = 512, what: str = "photo") -> Upload:
    """Return a widget to choose a photo; ``.image(256)`` is the photo at a long side of 256 pixels.

    The photo stays on the machine that runs the notebook.

    Args:
        default: Photo until one is chosen: a name of the gallery or a picture (1, 3, H, W).
        size: Largest long side in pixels; larger photos are reduced.
        what: What is chosen, such as "style picture".
    """
    return Upload(default, size, what)


# --- settings of a transfer ----------------------------------------------------------------------------


def weight_choices(value: float, usual: float = 1.0) -> tuple[list[float], int]:
    """Return the weights that a slider offers, and the index of ``value`` among them.

    Args:
        value: The weight at first; the others are 0 and from a hundredth to a hundred times of it.
        usual: What the others are multiples of where ``value`` is 0.
    """
    if value == 0:
        return [0.0, *(factor * (usual or 1.0) for factor in WEIGHT_FACTORS)], 0
    choices = [0.0, *(value if factor == 1 else factor * value for factor in WEIGHT_FACTORS)]
    return choices, 1 + WEIGHT_FACTORS.index(1)


class Knobs:
    """Sliders, boxes and buttons for the settings of a transfer: both pictures, weights, style layers, size, steps.

    Attributes:
        photo: The button for the content.
        painting: The button for the style.
        weights: A slider for each of ``KNOB_WEIGHTS``.
        layers: A check box for each style layer.
        size: The long side of the result in pixels.
        steps: The number of evaluations.
        widget: All of them.
    """

    def __init__(self, content: Tensor, style: Tensor, preset: Preset, given: Mapping[str, Any]) -> None:
        """Make the widgets.

        Args:
            content: The photo until another is chosen, (1, 3, H, W).
            style: The painting, likewise.
            preset: Gives the values of what is not given.
            given: Values at first of "steps" and of the weights; None takes the preset's.
        """
        widgets = require_ipywidgets()
        self.preset = preset
        then = "Press Start."
        self.photo = Upload(content, max(512, *content.shape[2:]), "photo", then)
        self.painting = Upload(style, max(512, *style.shape[2:]), "style picture", then)
        look = {"style": {"description_width": "110px"}, "layout": widgets.Layout(width="380px")}
        self.weights = {}
        for name, label in KNOB_WEIGHTS.items():
            usual = getattr(preset, name)
            choices, index = weight_choices(usual if given.get(name) is None else given[name], usual)
            options = [(f"{weight:,.10g}", weight) for weight in choices]
            self.weights[name] = widgets.SelectionSlider(options=options, index=index, description=label, **look)
        own_size = max(content.shape[2:])
        sizes = sorted({own_size, *SIZES})
        self.size = widgets.Dropdown(options=sizes, value=own_size, description="long side", **look)
        steps = preset.steps if given.get("steps") is None else given["steps"]
        self.steps = widgets.BoundedIntText(value=steps, min=1, max=max(2000, steps), description="steps", **look)
        names = [name for name in layer_names(preset.arch) if name in {*RELU_1, *preset.style_layers}]
        self.layers = {
            name: widgets.Checkbox(value=name in preset.style_layers, description=name, indent=False) for name in names
        }
        self.widget = self._arranged(widgets)

    def pictures(self) -> tuple[Tensor, Tensor]:
        """Return content and style; the content has the chosen size, to which ``transfer`` resizes the style."""
        content, size = self.photo.photo, self.size.value
        return content if max(content.shape[2:]) == size else resize(content, size), self.painting.photo

    def style_layers(self) -> dict[str, float] | None:
        """Return the weights of the checked layers, or None if they are the preset's.

        A layer keeps its weight of the preset, or has the mean weight; all are scaled so that their sum stays.
        """
        preset = dict(self.preset.style_layers)
        checked = [name for name, box in self.layers.items() if box.value]
        if set(checked) == set(preset):
            return None
        total = sum(preset.values())
        weights = {name: preset.get(name, total / max(1, len(preset))) for name in checked}
        scale = total / (sum(weights.values()) or 1)
        return {name: weight * scale for name, weight in weights.items()}

    def settings(self) -> dict[str, Any]:
        """Return the settings for ``transfer``.

        Raises:
            SettingError: No style layer is checked, and the style has a weight.
        """
        settings: dict[str, Any] = {"steps": self.steps.value}
        settings.update({name: slider.value for name, slider in self.weights.items()})
        layers = self.style_layers()
        if layers is not None:
            if not layers and settings["style_weight"]:
                raise SettingError("no style layer is checked; check one, or set the style weight to 0.")
            settings["style_layers"] = layers or dict(self.preset.style_layers)
        return settings

    def _arranged(self, widgets: ModuleType) -> Any:
        """Return all widgets in one box."""
        half = widgets.Layout(width="50%", min_width="300px")
        self.painting.label.value = _label_html(self.painting.message)  # the photo's label has the hint already
        uploads = self.photo, self.painting
        pictures = [widgets.VBox([u.button, u.label, u.preview.widget], layout=half) for u in uploads]
        layers = widgets.VBox([widgets.HTML("style layers"), *self.layers.values()])
        numbers = widgets.VBox([*self.weights.values(), self.size, self.steps])
        rows = [
            widgets.HTML("<b>Settings</b>, used from the next Start on"),
            widgets.HBox([numbers, layers], layout=widgets.Layout(flex_flow="row wrap")),
            widgets.HBox(pictures, layout=widgets.Layout(flex_flow="row wrap")),
        ]
        return widgets.VBox(rows, layout=widgets.Layout(margin="8px 0 0 0"))


# --- watch a transfer and stop it ----------------------------------------------------------------------


class LiveTransfer(ShownWidget):
    """Start and Stop, the picture as it is painted, and its losses.

    The run has its own thread, so that the notebook stays free and Stop works.

    Attributes:
        result: The result, after the run ended or was stopped; else None.
        records: The records so far.
        error: Why the run failed, in one sentence, or "".
    """

    latest: ClassVar[LiveTransfer | None] = None
    """The newest one: it stops when another is made, as when a cell is run again."""

    def __init__(
        self, content: Tensor, run: Callable[..., Result], every: float = 0.4, knobs: Knobs | None = None
    ) -> None:
        """Make the widget; see ``watch_transfer``.

        Args:
            content: Picture to show before the first step, (1, 3, H, W).
            run: Performs the transfer; called with the keyword ``callback``.
            every: Least time between two displayed pictures, in seconds.
            knobs: Settings to be shown below; ``run`` reads them.
        """
        widgets = require_ipywidgets()
        self.content, self.run, self.every, self.knobs = content, run, every, knobs
        self.result: Result | None = None
        self.records: list[Record] = []
        self.error = ""
        self.thread: threading.Thread | None = None
        self._stop_requested = threading.Event()
        self._shown_at = 0.0
        if LiveTransfer.latest is not None:
            LiveTransfer.latest.stop()
        LiveTransfer.latest = self
        self.start_button = widgets.Button(description="Start", button_style="success", icon="play")
        self.stop_button = widgets.Button(description="Stop", button_style="danger", icon="stop", disabled=True)
        self.label = widgets.HTML(_label_html("Press Start and watch."))
        self.picture = self.still = LivePicture(_display_jpeg(content), "the photo before the first step", "45%")
        self.plot = LivePicture(*_plot([]), "54%")
        self.start_button.on_click(lambda _: self.start())
        self.stop_button.on_click(lambda _: self.stop())
        buttons = widgets.HBox([self.start_button, self.stop_button, self.label])
        views = widgets.HBox([self.picture.widget, self.plot.widget], layout=widgets.Layout(align_items="flex-start"))
        self.widget = widgets.VBox([buttons, views, *([knobs.widget] if knobs else [])])
        if knobs:
            for widget in (knobs.photo.button, knobs.size):
                widget.observe(lambda _: self.show_photo(), "value")

    def show_photo(self) -> None:
        """Show the photo that the next run begins with, unless one is in progress."""
        if self.knobs and not self.running:
            self.content = self.knobs.pictures()[0]
            self.picture.show(_display_jpeg(self.content), "the photo before the first step")
            self.label.value = _label_html("Press Start and watch.")

    @property
    def running(self) -> bool:
        """Whether a run is in progress."""
        return self.thread is not None and self.thread.is_alive()

    def start(self) -> bool:
        """Begin a new run; return False if one is in progress."""
        if self.running:
            return False
        self._stop_requested.clear()
        self.result, self.records, self.error = None, [], ""
        self._shown_at = 0.0
        self.start_button.disabled, self.stop_button.disabled = True, False
        self.label.value = _label_html("Preparing ...")
        self.thread = threading.Thread(target=self._run_in_thread, daemon=True)
        self.thread.start()
        return True

    def stop(self) -> bool:
        """Ask the run to end after the current step; return whether one is in progress."""
        self._stop_requested.set()
        return self.running

    def wait(self, timeout: float | None = None) -> Result | None:
        """Wait until the run has ended, at most ``timeout`` seconds, and return the result."""
        if self.thread is not None:
            self.thread.join(timeout)
        return self.result

    def on_record(self, record: Record) -> bool:
        """Keep a record and show its picture if the last one is old enough; return False to stop the run."""
        self.records.append(record)
        if time.perf_counter() - self._shown_at >= self.every:
            self._show(record.image)
            self.label.value = _label_html(progress_line(record))
            # measured after drawing, so that a slow page gets fewer pictures
            self._shown_at = time.perf_counter()
        return not self._stop_requested.is_set()

    def figure(self) -> Figure:
        """Return the picture and the losses so far as a figure."""
        picture = self.result.image if self.result else self.content
        title = "" if self.records else "the photo, before the first step"
        return figures.painting_so_far(picture, self.records, title)

    def _run_in_thread(self) -> None:
        try:
            self.result = self.run(callback=self.on_record)
            self._show(self.result.image)
            self.label.value = _label_html(end_line(self.result))
        except NstError as error:
            self.error = str(error)
        except Exception as error:  # in a thread it would otherwise be lost
            self.error = f"{type(error).__name__}: {error}"
        finally:
            if self.error:
                self.label.value = _label_html(f"The run failed: {self.error}")
            self.start_button.disabled, self.stop_button.disabled = False, True

    def _show(self, picture: Tensor) -> None:
        self.picture.show(_display_jpeg(picture), f"the picture after step {self.records[-1].step}")
        self.plot.show(*_plot(self.records))


def watch_transfer(
    content: Tensor,
    style: Tensor,
    every: float = 0.4,
    *,
    preset: str | Preset = "course",
    steps: int | None = None,
    content_weight: float | None = None,
    style_weight: float | None = None,
    tv_weight: float | None = None,
    init: InitName | Tensor | None = None,
    seed: int = 0,
    optimizer: OptimizerName | None = None,
    features: VGGFeatures | None = None,
    weights: Weights | None = None,
    precision: Precision = "auto",
) -> LiveTransfer:
    """Return a widget that performs a transfer with Start and Stop; afterwards its ``result`` is there.

    Below are knobs: content weight, style weight, weight of the prior (total variation), style layers, size, steps, and
    buttons for one's own photo and one's own style picture. The arguments are their values at first.

    Args:
        content: The photo, (1, 3, H, W), RGB in [0, 1].
        style: The painting, (1, 3, h, w), RGB in [0, 1].
        every: Least time between two displayed pictures, in seconds.
        preset: Name of a preset or a preset; None in the arguments below takes its value.
        steps: Evaluations of loss and gradient.
        content_weight: Weight of the content loss.
        style_weight: Weight of the style loss.
        tv_weight: Weight of the total variation.
        init: The first picture, see ``initialization.make_init``.
        seed: Seed of the noise in the first picture.
        optimizer: "lbfgs", "adam" or "sign".
        features: A network to use; else one is made from ``weights`` and ``precision``.
        weights: Weights of the network, see ``VGGFeatures``.
        precision: "auto", "float32" or "bfloat16".
    """
    given = {
        "steps": steps,
        "content_weight": content_weight,
        "style_weight": style_weight,
        "tv_weight": tv_weight,
    }
    fixed = {
        "init": init,
        "seed": seed,
        "optimizer": optimizer,
        "features": features,
        "weights": weights,
        "precision": precision,
    }
    knobs = Knobs(content, style, get_preset(preset), given)
    return LiveTransfer(content, partial(_transfer_with, knobs, preset, fixed), every, knobs)


def _transfer_with(knobs: Knobs, preset: str | Preset, fixed: Mapping[str, Any], **more: Any) -> Result:
    """Perform a transfer with what the knobs show now."""
    return transfer(*knobs.pictures(), preset, **{**knobs.settings(), **fixed, **more})


def progress_line(record: Record) -> str:
    """Return how far a run is, in one line."""
    return f"step {record.step} · loss {record.total:,.0f} · {record.seconds:.1f} s"


_ENDINGS = {
    "finished": "Done",
    "callback": "Stopped; this is the best picture so far",
    "interrupted": "Interrupted",
    "diverged": "The loss diverged",
}


def end_line(result: Result) -> str:
    """Return how a run ended, in one line."""
    loss = f", loss {result.best.total:,.0f}" if result.records else ""
    ending = _ENDINGS.get(result.stopped, result.stopped)
    return f"{ending}: {len(result.records)} steps in {result.seconds:.1f} s{loss}."


def _plot(records: Sequence[Record]) -> tuple[bytes, str]:
    """Return the plot of the losses as a JPEG file, and what it shows."""
    width, height = 4.4, 2.8
    if records:
        figure = figures.curve(records, width=width, height=height)
        return figures.jpeg(figure), figures.alt_text(figure)
    figure = figures.new_figure(width, height)
    sentence = "the losses will be drawn here"
    figure.text(0.5, 0.5, sentence, ha="center", color="#9aa0a6")
    return figures.jpeg(figure), sentence


# --- slide over pictures -------------------------------------------------------------------------------


class Slider(ShownWidget):
    """A slider that selects one of several pictures; they are encoded once, so that it reacts at once.

    Attributes:
        pictures: The pictures.
        labels: Their labels.
        files: Their JPEG files, as bytes.
        slider: The ``SelectionSlider`` widget.
        view: The picture that is shown.
    """

    def __init__(
        self, pictures: Sequence[Tensor], labels: Sequence[str], title: str = "", side: int = DISPLAY_SIDE
    ) -> None:
        """Make the widget; see ``slider_over``."""
        if not pictures or len(pictures) != len(labels):
            raise SettingError(f"a slider needs as many labels as pictures, not {len(labels)} and {len(pictures)}.")
        widgets = require_ipywidgets()
        self.pictures, self.labels = list(pictures), [str(label) for label in labels]
        self.files = [_display_jpeg(picture, side) for picture in self.pictures]
        self.slider = widgets.SelectionSlider(
            options=[(label, i) for i, label in enumerate(self.labels)],
            value=0,
            description=title,
            continuous_update=True,
            style={"description_width": "initial"},
            layout=widgets.Layout(width="420px"),
        )
        self.view = self.still = LivePicture(*self._selected(0))
        self.slider.observe(lambda change: self.select(change["new"]), names="value")
        self.widget = widgets.VBox([self.slider, self.view.widget])

    def select(self, index: int) -> bytes:
        """Show the picture with this index and return its JPEG file."""
        self.view.show(*self._selected(index))
        return self.files[index]

    def _selected(self, index: int) -> tuple[bytes, str]:
        return self.files[index], f"picture {index + 1} of {len(self.files)}: {self.labels[index]}"

    def figure(self) -> Figure:
        """Return all pictures beside each other as a figure."""
        return figures.show(self.pictures, self.labels)


def slider_over(pictures: Sequence[Tensor], labels: Sequence[str], title: str = "", side: int = DISPLAY_SIDE) -> Slider:
    """Return a slider over pictures: ``slider_over([a, b], ["style weight 1", "10"])``.

    Args:
        pictures: Tensors (1, 3, H, W) in [0, 1].
        labels: One per picture.
        title: Text before the slider.
        side: Long side in pixels at which the pictures are shown.

    Raises:
        SettingError: The numbers of labels and pictures differ, or ipywidgets is not installed.
    """
    return Slider(pictures, labels, title, side)
