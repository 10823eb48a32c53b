"""Photos from COCO: choose by category, licence and size, then fetch just those pictures.

>>> index = annotations("data/coco", "val2017")  # 241 MB the first time, then from the disk
>>> chosen = choose(index, "cat", licences="commercial+changes", min_side=400, limit=100)
>>> print(cost(chosen, "data/coco/cats"))  # before anything is fetched
>>> print(fetch(chosen, "data/coco/cats", progress=True))

Whatever stops a call (Ctrl-C, a kill, a full disk), only whole files and ``.part`` files are left,
and the same call again goes on from there. One folder is for one call at a time.
"""

from __future__ import annotations

import contextlib
import difflib
import shutil
import threading
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from http.client import HTTPException
from pathlib import Path, PureWindowsPath
from ssl import SSLError
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from tqdm.auto import tqdm

from .errors import NstError

COCO = Any  # pycocotools' class of this name: it is imported only where it is needed
# plain http: the server's certificate is not one for this name
ADDRESS = "http://images.cocodataset.org/annotations/annotations_trainval{year}.zip"
PAUSES = (1.0, 3.0, 9.0)  # seconds before the second, third and fourth try of a file
BYTES_PER_PIXEL = 0.6  # COCO's 118,287 training pictures take about 19 GB; one alone may need half or double of it
# as COCO's own file numbers and names them, from 1 on; 1 to 6 are Creative Commons 2.0
LICENCES: dict[int, str] = dict(enumerate((
    "Attribution-NonCommercial-ShareAlike License", "Attribution-NonCommercial License",
    "Attribution-NonCommercial-NoDerivs License", "Attribution License", "Attribution-ShareAlike License",
    "Attribution-NoDerivs License", "No known copyright restrictions", "United States Government Work"), start=1,
))  # fmt: skip


class CocoError(NstError):
    """Pictures of COCO could not be chosen or fetched."""


class _MissError(Exception):
    """One file did not come, for this reason."""


class Cost(NamedTuple):
    """What a fetch will take: pictures to fetch, pictures already there, megabytes (10^6 bytes, estimated)."""

    pictures: int
    there: int
    megabytes: float

    def __str__(self) -> str:
        return f"{self.pictures:,} pictures to fetch, about {self.megabytes:,.1f} MB; {self.there:,} are already there"


class Report(NamedTuple):
    """What a fetch did. ``skipped`` maps file names to reasons; ``bytes`` came over the line, retries included."""

    fetched: list[Path]
    already: list[Path]
    skipped: dict[str, str]
    bytes: int
    seconds: float

    def __str__(self) -> str:
        text = f"{len(self.fetched):,} fetched, {len(self.already):,} already there, {len(self.skipped):,} skipped; "
        return text + f"{self.bytes / 1e6:,.1f} MB in {self.seconds:,.1f} s"


def annotations(
    folder: str | Path, split: str = "val2017", address: str | None = None,
    pauses: Sequence[float] = PAUSES, timeout: float = 20.0, progress: bool = False,
) -> COCO:  # fmt: skip
    """COCO's annotations of one split: train2014, val2014, train2017 or val2017.

    The year's zip (241 MB) is fetched once into ``folder`` and the split's file unpacked beside it (20 MB
    for val2017; 450 MB for train2017, and 2 GB of memory to read); then the zip may be deleted. ``address``
    is another zip with ``instances_<split>.json`` in it; ``pauses`` and ``timeout`` are seconds.
    Raises CocoError if the server cannot be reached, the disk is full or the zip is not the right one.
    """
    folder, member = Path(folder), f"instances_{split}.json"
    if (folder / member).is_file():
        return read(folder / member)
    address = address or ADDRESS.format(year=split[-4:])
    archive, part = folder / _file_name(urlsplit(address).path), folder / f"{member}.part"
    with _disk(folder), tqdm(unit="B", unit_scale=True, desc=archive.name, disable=not progress) as bar:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _download(address, archive, _not_a_zip, pauses, timeout, bar.update, threading.Event())
            with zipfile.ZipFile(archive) as file:
                found = {_file_name(name): name for name in file.namelist()}
                if member not in found:
                    raise CocoError(f"{archive.name} holds no {member}, but {', '.join(sorted(found))}.")
                with file.open(found[member]) as source, open(part, "wb") as target:
                    shutil.copyfileobj(source, target)  # the zip's checksum is compared at the end
        except (_MissError, zipfile.BadZipFile, zipfile.zlib.error, EOFError) as error:
            archive.unlink(missing_ok=True)  # a damaged one
            raise CocoError(f"{address} could not be fetched ({error}); check address and split.") from error
        part.replace(folder / member)
    return read(folder / member)


def read(path: str | Path) -> COCO:
    """Read an annotation file (JSON) without pycocotools' messages. Raises CocoError if it cannot be used."""
    try:
        from pycocotools.coco import COCO

        with contextlib.redirect_stdout(None):
            coco = COCO(str(path))
        lacks = {"images", "annotations", "categories"} - set(coco.dataset)
        if lacks or any({"id", "file_name", "width", "height"} - set(image) for image in coco.imgs.values()):
            raise ValueError("entries are missing")
    except ImportError as error:
        raise CocoError("COCO is read with pycocotools; run 'pip install pycocotools'.") from error
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise CocoError(f"'{path}' is no whole COCO annotation file ({error}); delete it, get it again.") from error
    return coco


def licence_ids(coco: COCO, licences: str | int | Iterable[int | str] = "all") -> set[int | None]:
    """The numbers of licences given by number, by name or as "all", "commercial", "changes", "commercial+changes".

    "commercial" leaves out what COCO's file calls NonCommercial (1, 2, 3), "changes" what it calls NoDerivs
    (3, 6): a stylised photo is a changed photo. Both leave 4, 5, 7 and 8; 4 and 5 want the author named
    (``flickr_url`` leads there), 5 the same licence again. It is what Flickr said then, not legal advice.
    """
    known = LICENCES | {entry["id"]: entry.get("name", "") for entry in coco.dataset.get("licenses", [])}
    table: dict[Any, set] = {name: {i} for i, name in known.items()} | {i: {i} for i in known}
    table["all"] = set(known) | {image.get("license") for image in coco.imgs.values()}
    ours = {i: name for i, name in known.items() if name in LICENCES.values()}  # other sets number other licences
    table["commercial"] = {i for i, name in ours.items() if "NonCommercial" not in name}
    table["changes"] = {i for i, name in ours.items() if "NoDerivs" not in name}
    table["commercial+changes"] = table["commercial"] & table["changes"]
    return set().union(*(_pick("licence", word, table) for word in _listed(licences)))


def choose(
    coco: COCO, categories: str | Iterable[str] = (), licences: str | int | Iterable[int | str] = "all",
    min_side: int = 0, max_side: int | None = None, limit: int | None = None, seed: int | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """The pictures that show all of ``categories``, as COCO's entries, sorted by id.

    ``min_side`` is the least short side, ``max_side`` the greatest long side, in pixels; ``licences`` as in
    ``licence_ids``. ``limit`` takes the first so many, or with ``seed`` so many drawn by chance.
    Raises CocoError for an unknown category or licence, and when no picture is left.
    """
    found = coco.getImgIds(catIds=[_category(coco, name) for name in _listed(categories)])
    shown, allowed = [coco.imgs[i] for i in sorted(found) if i in coco.imgs], licence_ids(coco, licences)
    free = [image for image in shown if image.get("license") in allowed]
    large = [image for image in free if min(image["width"], image["height"]) >= min_side]
    chosen = [image for image in large if max_side is None or max(image["width"], image["height"]) <= max_side]
    if not chosen or (limit is not None and limit < 1):
        text = f"{len(shown)} show {' and '.join(_listed(categories)) or 'anything'}, {len(free)} of them have the"
        raise CocoError(f"no picture matches: {text} licence, {len(chosen)} of those the size; ask for less.")
    if seed is not None:
        np.random.default_rng(seed).shuffle(chosen)
    return sorted(chosen[:limit], key=lambda image: image["id"])


def cost(chosen: Iterable[dict[str, Any]], folder: str | Path) -> Cost:
    """What ``fetch`` of these pictures into ``folder`` will take, estimated from their sizes in pixels."""
    chosen = list(chosen)
    new = [image for image in chosen if not (Path(folder) / _file_name(image["file_name"])).is_file()]
    pixels = sum(image["width"] * image["height"] for image in new)
    return Cost(len(new), len(chosen) - len(new), pixels * BYTES_PER_PIXEL / 1e6)


def fetch(
    chosen: Iterable[dict[str, Any]], folder: str | Path, images: str | None = None, workers: int = 8,
    pauses: Sequence[float] = PAUSES, timeout: float = 20.0, progress: bool | Callable[[int, int, str], None] = False,
) -> Report:  # fmt: skip
    """Fetch the chosen pictures into ``folder``, ``workers`` at a time; whole ones there are left alone.

    A picture must have the length the server said, decode, and have the size of its annotation. Cut
    connections, wrong lengths and the server's own errors are tried again after ``pauses`` (seconds), from
    where they stopped; missing and broken pictures are skipped. ``images`` is a folder's address instead of
    each ``coco_url``, ``timeout`` the seconds without a byte (Ctrl-C may wait as long), ``progress`` a bar or
    a function of (done, total, file name). Raises CocoError for an unreachable server and a full disk.
    """
    started, folder, came = time.monotonic(), Path(folder), []
    jobs = {_file_name(image["file_name"]): image for image in chosen}
    ends: dict[str, bool | str] = {}  # fetched (True), already there (False), or why it was skipped
    with _disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        need, free = cost(jobs.values(), folder).megabytes, shutil.disk_usage(folder).free / 1e6
    if need > free:
        raise CocoError(f"the disk of '{folder}' has {free:,.1f} MB free and about {need:,.1f} MB are needed.")
    stop, pool, waiting = threading.Event(), ThreadPoolExecutor(max(1, workers)), {}
    bar = tqdm(total=len(jobs), unit="picture", disable=progress is not True)
    try:
        for name, image in jobs.items():
            address = f"{images.rstrip('/')}/{image['file_name']}" if images else image.get("coco_url") or ""
            what = quote(address, safe=":/%?&=+,;@~"), folder / name, partial(_broken, image)
            waiting[pool.submit(_download, *what, pauses, timeout, came.append, stop)] = name
        for done, future in enumerate(as_completed(waiting), 1):
            try:
                with _disk(folder):
                    ends[waiting[future]] = future.result()
            except _MissError as error:
                ends[waiting[future]] = str(error)
            bar.update()
            if callable(progress):
                progress(done, len(jobs), waiting[future])
    finally:
        stop.set()  # after Ctrl-C or an error the threads leave their .part files and end
        pool.shutdown(wait=True, cancel_futures=True)
        bar.close()
    fetched, already = ([folder / name for name in jobs if ends[name] is end] for end in (True, False))
    skipped = {name: end for name, end in ends.items() if isinstance(end, str)}
    return Report(fetched, already, skipped, sum(came), time.monotonic() - started)


def mask(coco: COCO, image_id: int, category: str) -> Tensor:
    """Where a picture shows a category: 1 on all its instances (crowds too), else 0; (1, 1, H, W), float32.
    Raises CocoError for an unknown category, and for a picture that is unknown or does not show it."""
    entries = coco.loadAnns(coco.getAnnIds(imgIds=[image_id], catIds=[_category(coco, category)]))
    parts = [coco.annToMask(entry) for entry in entries if entry.get("segmentation")]
    if not parts:
        shown = sorted({coco.cats[entry["category_id"]]["name"] for entry in coco.imgToAnns.get(image_id, [])})
        raise CocoError(f"picture {image_id!r} shows no {category} here; it shows: {', '.join(shown) or 'nothing'}.")
    return torch.from_numpy(np.maximum.reduce(parts)).float()[None, None]


def _listed(words: str | int | Iterable[Any]) -> list[Any]:
    return [words] if isinstance(words, (str, int)) else list(words)


def _category(coco: COCO, name: str) -> int:
    return _pick("category", name, {entry["name"]: entry["id"] for entry in coco.cats.values()})


def _pick(kind: str, word: Any, table: dict[Any, Any]) -> Any:
    if word not in table:
        near = difflib.get_close_matches(str(word).lower(), [w for w in table if isinstance(w, str)], 1, 0.0)
        raise CocoError(f"there is no {kind} {word!r}; did you mean {near[0] if near else None!r}?")
    return table[word]


def _download(
    address: str, path: Path, check: Callable[[Path], str | None], pauses: Sequence[float], timeout: float,
    count: Callable[[int], Any], stop: threading.Event,
) -> bool:  # fmt: skip
    """One file into its ``.part``, checked, renamed. False if it was there; raises _MissError, CocoError, OSError."""
    if path.is_file():
        if check(path) is None:
            return False
        path.unlink()
    if not address.startswith(("http://", "https://")):
        raise _MissError(f"has no address on the web: {address!r}")
    part, bad = path.with_name(path.name + ".part"), 0
    for pause in (*pauses, None):
        again = True
        try:
            problem = _receive(address, part, timeout, count, stop)
        except HTTPError as error:
            error.close()
            again = error.code in (408, 425, 429) or error.code >= 500
            # 416: nothing is missing, we were stopped between the last byte and the rename
            problem = None if error.code == 416 else f"the server answers {error.code} {error.reason}"
        except (URLError, ConnectionError, TimeoutError, SSLError, HTTPException) as error:
            problem = f"the connection was cut ({type(error).__name__})"
            if pause is None and isinstance(error, URLError):  # then the other files would not come either
                text = f"the server {urlsplit(address).netloc} cannot be reached ({error.reason})"
                raise CocoError(f"{text}; check the connection and call again to go on.") from error
        if problem is None:
            problem = check(part)
            if problem is None:
                part.replace(path)
                return True
            part.unlink(missing_ok=True)
            bad += 1
            again = bad == 1  # once may be the seam between two tries or a bad line; twice is the file itself
        if pause is None or not again or stop.wait(pause):
            break
    raise _MissError(problem)


def _receive(
    address: str, part: Path, timeout: float, count: Callable[[int], Any], stop: threading.Event
) -> str | None:
    """Add to ``part`` what is missing of it; says what went wrong, if it was not the line itself."""
    start, got = part.stat().st_size if part.is_file() else 0, 0
    headers = {"User-Agent": "nstlib"} | ({"Range": f"bytes={start}-"} if start else {})
    with urlopen(Request(address, headers=headers), timeout=timeout) as response:
        length = response.headers.get("Content-Length", "")
        # a server that knows no ranges answers 200 and sends all of it
        with open(part, "ab" if response.status == 206 else "wb") as file:
            while chunk := response.read1(1 << 16):
                file.write(chunk)
                got += len(chunk)
                count(len(chunk))
                if stop.is_set():
                    return "stopped"
    return f"only {got} of {length} bytes came" if length.isdigit() and got != int(length) else None


def _broken(image: dict[str, Any], path: Path) -> str | None:
    """What is wrong with the picture at this place, if anything."""
    try:
        with Image.open(path) as picture:
            if picture.size != (image["width"], image["height"]):  # before decoding, so that no bomb goes off
                return "has {} x {} pixels, not those of its annotation".format(*picture.size)
            picture.load()
    except UnidentifiedImageError:
        return "is not a picture"
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        return f"is damaged or cut off ({error})"
    return None


def _not_a_zip(path: Path) -> str | None:
    return None if zipfile.is_zipfile(path) else "is not a zip"


def _file_name(address: str) -> str:
    """The last part of a path, of both kinds of slashes; a name from the web must never lead out of the folder."""
    name = PureWindowsPath(address).name
    return name if name.strip(".") else "unnamed"


@contextlib.contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """The disk's own errors (full, read-only, no folder) as one sentence."""
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        raise CocoError(f"'{folder}' cannot be written ({why}); mend that and call again to go on.") from error
