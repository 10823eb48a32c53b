"""Live pictures for the lessons: upload a photo, watch a transfer and stop it, slide over pictures.

What a widget does stands in plain functions and methods that return values, so that it can be tested and
used without a browser. Each widget has a static twin, ``.figure()``, for a page that cannot run code.
Works with ipywidgets 7.7 (Colab) and 8.
"""

from __future__ import annotations

import html
import io
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from . import figures, gallery
from .errors import ImageError, NstError, SettingError
from .images import load, resize
from .synthesis import Record, Result, transfer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE = 380
"""Long side at which live pictures are shown."""


def _ipywidgets():  # noqa: ANN202 - a module
    try:
        import ipywidgets
    except ImportError as error:
        raise SettingError("the live widgets need ipywidgets; run 'pip install ipywidgets' and restart.") from error
    return ipywidgets


class _Shown:
    """Something with a ``widget`` that a notebook shows when it is the last line of a cell."""

    widget: object

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.widget)


# --- a photo of one's own ----------------------------------------------------------------------------


def uploaded_file(value: object) -> tuple[str, bytes] | None:
    """Name and bytes of the newest file in ``FileUpload.value``, or None if there is none.

    ipywidgets 7 has {name: {"metadata": ..., "content": bytes}}, 8 has a tuple of {"name", "content", ...}.
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


def read_photo(name: str, content: bytes) -> Tensor:
    """An uploaded file as a picture; ImageError with one sentence that names the file."""
    if not content:
        raise ImageError(f"'{name}' is empty; choose it again.")
    try:
        return load(io.BytesIO(content))
    except ImageError as error:
        if name.lower().endswith((".heic", ".heif", ".avif")):
            raise ImageError(f"'{name}' is in a format that is not read here; export it as JPEG first.") from error
        raise ImageError(str(error).replace("the picture", f"'{name}'", 1)) from error


class Upload(_Shown):
    """A button for a photo; until one comes, the default stands in. ``message`` says what happened last."""

    def __init__(self, default: str | Tensor = "chelsea", size: int = 512) -> None:
        widgets = _ipywidgets()
        self.size = size
        self.photo = resize_down(gallery.content(default) if isinstance(default, str) else default, size)
        self.name = default if isinstance(default, str) else "the default photo"
        self.own = False
        self.message = f"No photo chosen yet: {self.name} stands in."
        self.button = widgets.FileUpload(accept="image/*", multiple=False, description="Choose a photo")
        self.preview = widgets.Image(value=figures.jpeg(resize_down(self.photo, 200)), format="jpeg")
        self.label = widgets.HTML(_text(self.message))
        self.button.observe(self._changed, names="value")
        self.widget = widgets.VBox([widgets.HBox([self.button, self.label]), self.preview])

    def take(self, value: object) -> str:
        """Take over what FileUpload holds; answers with a sentence. A bad file changes nothing."""
        try:
            found = uploaded_file(value)
            if found is None:
                return self.message
            self.photo = resize_down(read_photo(*found), self.size)
            self.name, self.own = found[0], True
            h, w = self.photo.shape[2:]
            self.message = f"{self.name} is in use, at {w} x {h} pixels. Run the next cells again."
        except ImageError as error:
            self.message = f"{error} {self.name} stays in use."
        return self.message

    def _changed(self, change: Mapping) -> None:
        self.take(change["new"])
        self.label.value = _text(self.message)
        self.preview.value = figures.jpeg(resize_down(self.photo, 200))

    def image(self, size: int | None = None) -> Tensor:
        """The photo, (1, 3, H, W); ``size`` is the long side."""
        return resize(self.photo, size) if size else self.photo

    def figure(self) -> Figure:
        """The photo in use, as a figure."""
        return figures.show(self.photo, self.name)


def upload_photo(default: str | Tensor = "chelsea", size: int = 512) -> Upload:
    """A widget to choose a photo: ``photo = upload_photo()``, later ``photo.image(256)``.

    ``default`` (a name of the gallery or a picture) stands in until a photo comes. ``size`` limits the
    long side that is kept, plenty for a lesson. The photo stays on the machine that runs the notebook.
    """
    return Upload(default, size)


def resize_down(picture: Tensor, long_side: int) -> Tensor:
    """The picture, made smaller if its long side is longer than ``long_side``."""
    return resize(picture, long_side) if max(picture.shape[2:]) > long_side else picture


# --- a transfer that one can watch and stop -------------------------------------------------------------


class Watch(_Shown):
    """Start and Stop, the picture being painted and its losses. ``result`` is there at the end or after Stop.

    The run is a thread of its own, so the notebook stays free: that is why Stop works.
    """

    latest: Watch | None = None

    def __init__(self, content: Tensor, style: Tensor, every: float = 0.4, **options: object) -> None:
        widgets = _ipywidgets()
        self.content, self.style, self.every, self.options = content, style, every, options
        self.result: Result | None = None
        self.error = ""
        self.records: list[Record] = []
        self.thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._shown = 0.0
        if Watch.latest is not None:
            Watch.latest.stop()  # a cell that is run again must not leave the earlier run painting unseen
        Watch.latest = self
        self.start_button = widgets.Button(description="Start", button_style="success", icon="play")
        self.stop_button = widgets.Button(description="Stop", button_style="danger", icon="stop", disabled=True)
        self.label = widgets.HTML(_text("Press Start and watch."))
        share = [widgets.Layout(width=w, height="auto", object_fit="contain") for w in ("45%", "54%")]
        self.picture = widgets.Image(value=_picture(content), format="jpeg", layout=share[0])
        self.plot = widgets.Image(value=figures.jpeg(_plot([])), format="jpeg", layout=share[1])
        self.start_button.on_click(lambda _: self.start())
        self.stop_button.on_click(lambda _: self.stop())
        buttons = widgets.HBox([self.start_button, self.stop_button, self.label])
        beside = widgets.HBox([self.picture, self.plot], layout=widgets.Layout(align_items="flex-start"))
        self.widget = widgets.VBox([buttons, beside])

    @property
    def running(self) -> bool:
        return self.thread is not None and self.thread.is_alive()

    def start(self) -> bool:
        """Begin from the start; answers with False if a run is under way."""
        if self.running:
            return False
        self._stop.clear()
        self.result, self.error, self.records, self._shown = None, "", [], 0.0
        self.start_button.disabled, self.stop_button.disabled = True, False
        self.label.value = _text("Getting ready ...")
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        return True

    def stop(self) -> bool:
        """Ask the run to end after its present step; answers with whether there was one."""
        self._stop.set()
        return self.running

    def wait(self, seconds: float | None = None) -> Result | None:
        """Wait until the run is over; answers with the result."""
        if self.thread is not None:
            self.thread.join(seconds)
        return self.result

    def step(self, record: Record) -> bool:
        """Called once a step: keep the record, now and then show the picture. False stops the run."""
        self.records.append(record)
        if time.perf_counter() - self._shown >= self.every:
            self._show(record.image)
            self.label.value = _text(progress_line(record))
            self._shown = time.perf_counter()  # after drawing, so that a slow page gets fewer pictures, not more work
        return not self._stop.is_set()

    def _run(self) -> None:
        try:
            self.result = transfer(self.content, self.style, **{**self.options, "callback": self.step})
            self._show(self.result.image)
            self.label.value = _text(end_line(self.result))
        except NstError as error:
            self.error = str(error)
        except Exception as error:  # in a thread an error would otherwise be lost
            self.error = f"{type(error).__name__}: {error}"
        finally:
            if self.error:
                self.label.value = _text(f"It did not work: {self.error}")
            self.start_button.disabled, self.stop_button.disabled = False, True

    def _show(self, picture: Tensor) -> None:
        self.picture.value = _picture(picture)
        self.plot.value = figures.jpeg(_plot(self.records))

    def figure(self) -> Figure:
        """The picture and the losses so far, as a figure."""
        picture = self.result.image if self.result else self.content
        return figures.painting_so_far(
            picture, self.records, "" if self.records else "the photo, before the first step"
        )


def watch_transfer(content: Tensor, style: Tensor, every: float = 0.4, **options: object) -> Watch:
    """A transfer with Start and Stop, live. ``options``: those of ``nstlib.transfer`` (steps, style_weight ...).

    ``every`` is the least time between two pictures, in seconds. Afterwards ``.result`` is there.
    """
    return Watch(content, style, every, **options)


def progress_line(record: Record) -> str:
    """Where a run is, in one line."""
    return f"step {record.step} · loss {record.total:,.0f} · {record.seconds:.1f} s"


def end_line(result: Result) -> str:
    """How a run ended, in one line."""
    words = {"finished": "Done", "callback": "Stopped; this is the best picture until then",
             "interrupted": "Interrupted", "diverged": "The loss ran away"}  # fmt: skip
    loss = f", loss {result.best.total:,.0f}" if result.records else ""
    how = words.get(result.stopped, result.stopped)
    return f"{how}: {len(result.records)} steps in {result.seconds:.1f} s{loss}."


def _picture(picture: Tensor, side: int = SIDE) -> bytes:
    return figures.jpeg(figures.enlarged(resize_down(picture, side), side))


def _plot(records: Sequence[Record]) -> Figure:
    if records:
        return figures.curve(records, width=4.4, height=2.8)
    figure = figures._figure(4.4, 2.8)
    figure.text(0.5, 0.5, "the losses will be drawn here", ha="center", color="#9aa0a6")
    return figure


# --- a slider over pictures that are there ---------------------------------------------------------------


class Slider(_Shown):
    """A slider that picks one of several pictures. They are encoded once, so that it answers at once."""

    def __init__(self, pictures: Sequence[Tensor], labels: Sequence[str], title: str = "", side: int = SIDE) -> None:
        if not pictures or len(pictures) != len(labels):
            raise SettingError(f"a slider needs as many labels as pictures, not {len(labels)} and {len(pictures)}.")
        widgets = _ipywidgets()
        self.pictures, self.labels = list(pictures), [str(label) for label in labels]
        self.files = [_picture(p, side) for p in self.pictures]
        options = [(label, i) for i, label in enumerate(self.labels)]
        self.slider = widgets.SelectionSlider(
            options=options, value=0, description=title, continuous_update=True,
            style={"description_width": "initial"}, layout=widgets.Layout(width="420px"),
        )  # fmt: skip
        self.view = widgets.Image(value=self.files[0], format="jpeg")
        self.slider.observe(lambda change: self.pick(change["new"]), names="value")
        self.widget = widgets.VBox([self.slider, self.view])

    def pick(self, index: int) -> bytes:
        """Show picture ``index``; answers with its JPEG file."""
        self.view.value = self.files[index]
        return self.files[index]

    def figure(self) -> Figure:
        """All pictures beside each other."""
        return figures.show(self.pictures, self.labels)


def slider_over(pictures: Sequence[Tensor], labels: Sequence[str], title: str = "", side: int = SIDE) -> Slider:
    """A slider over pictures that were computed before: ``slider_over([a, b], ["style weight 1", "10"])``.

    ``side`` is the long side at which they are shown.
    """
    return Slider(pictures, labels, title, side)


def _text(sentence: str) -> str:
    return f"<span style='padding-left:.6em'>{html.escape(sentence)}</span>"
