"""Photos from COCO: select by category, licence and size, then download only those.

>>> index = load_annotations("data/coco", "val2017")  # downloads 241 MB the first time
>>> entries = select(index, "cat", licences="commercial+changes", min_side=400, limit=100)
>>> print(estimate(entries, "data/coco/cats"))  # before anything is downloaded
>>> print(download(entries, "data/coco/cats", progress=True))

An entry is the record of one picture in COCO's annotations: a dict with ``id``, ``file_name``, ``width``, ``height``,
``license``, ``coco_url`` and more. Whatever stops a call (Ctrl-C, a kill, a full disk) leaves only complete files and
``.part`` files, and the same call continues from there. Two calls must not use one folder at the same time.
"""

from __future__ import annotations

import contextlib
import enum
import shutil
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path, PureWindowsPath
from ssl import SSLError
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from tqdm.auto import tqdm

from ..errors import CocoError, did_you_mean

COCO = Any  # pycocotools.coco.COCO, which is imported only where it is needed
Entry = dict[str, Any]
FindProblem = Callable[[Path], str | None]  # returns what is wrong with a file, or None

# plain http, because the server's certificate is not valid for this name
ANNOTATIONS_URL = "http://images.cocodataset.org/annotations/annotations_trainval{year}.zip"

PAUSES = (1.0, 3.0, 9.0)
"""Seconds before the second, third and fourth attempt at a file."""

BYTES_PER_PIXEL = 0.6
"""COCO's 118,287 training pictures are about 19 GB; a single file may have half or double of that per pixel."""

CHUNK = 65_536
"""Bytes read at once."""

LICENCES: dict[int, str] = {
    1: "Attribution-NonCommercial-ShareAlike License",
    2: "Attribution-NonCommercial License",
    3: "Attribution-NonCommercial-NoDerivs License",
    4: "Attribution License",
    5: "Attribution-ShareAlike License",
    6: "Attribution-NoDerivs License",
    7: "No known copyright restrictions",
    8: "United States Government Work",
}
"""Numbers and names of the licences in COCO's own file; 1 to 6 are Creative Commons 2.0."""


@dataclass(frozen=True)
class Estimate:
    """What a download will take.

    Attributes:
        to_download: Number of pictures to download.
        already_there: Number of pictures that are in the folder already.
        megabytes: Estimated size of the download, in 10^6 bytes.
    """

    to_download: int
    already_there: int
    megabytes: float

    def __str__(self) -> str:
        return (
            f"{self.to_download:,} pictures to download, about {self.megabytes:,.1f} MB; "
            f"{self.already_there:,} are already there"
        )


@dataclass(frozen=True)
class DownloadReport:
    """What a download did.

    Attributes:
        downloaded: Files that were downloaded.
        already_there: Files that were in the folder already.
        skipped: Names of the files that could not be downloaded, and why.
        bytes_received: Bytes that came over the network, including failed attempts.
        seconds: Duration.
    """

    downloaded: list[Path]
    already_there: list[Path]
    skipped: dict[str, str]
    bytes_received: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"{len(self.downloaded):,} downloaded, {len(self.already_there):,} already there, "
            f"{len(self.skipped):,} skipped; {self.bytes_received / 1e6:,.1f} MB in {self.seconds:,.1f} s"
        )


# --- annotations --------------------------------------------------------------------------------------------------


def load_annotations(
    folder: str | Path,
    split: str = "val2017",
    url: str | None = None,
    pauses: Sequence[float] = PAUSES,
    timeout: float = 20.0,
    progress: bool = False,
) -> COCO:
    """Return COCO's annotations of one split; they are downloaded once.

    The year's zip (241 MB) is downloaded into ``folder`` and the split's file unpacked beside it: 20 MB for val2017;
    450 MB for train2017, which takes 2 GB of memory to read. Afterwards the zip may be deleted.

    Args:
        folder: Where the zip and the annotations are kept.
        split: "train2014", "val2014", "train2017" or "val2017".
        url: Address of another zip with ``instances_<split>.json`` in it.
        pauses: Seconds before each further attempt.
        timeout: Seconds without a byte before an attempt fails.
        progress: Show a progress bar.

    Returns:
        An instance of pycocotools' class ``COCO``.

    Raises:
        CocoError: The server cannot be reached, the disk is full, or the zip is not the right one.
    """
    path = Path(folder) / f"instances_{split}.json"
    if not path.is_file():
        url = url or ANNOTATIONS_URL.format(year=split[-4:])
        archive = path.with_name(_file_name(urlsplit(url).path))
        with _disk_errors(path.parent), tqdm(unit="B", unit_scale=True, desc=archive.name, disable=not progress) as bar:
            path.parent.mkdir(parents=True, exist_ok=True)
            downloader = _Downloader(pauses, timeout, on_bytes=bar.update)
            _download_annotations(url, archive, path, downloader)
    return read(path)


def _download_annotations(url: str, archive: Path, path: Path, downloader: _Downloader) -> None:
    outcome = downloader.download(url, archive, _zip_problem)
    problem = outcome.reason
    if outcome.status is not _Status.SKIPPED:
        try:
            _unpack(archive, path)
            return
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            archive.unlink(missing_ok=True)
            problem = str(error)
    raise CocoError(f"{url} could not be downloaded ({problem}); check the address and the split.")


def _unpack(archive: Path, path: Path) -> None:
    """Unpack the member of a zip that has the file name of ``path``, in whatever folder of the zip."""
    part = path.with_name(f"{path.name}.part")
    with zipfile.ZipFile(archive) as file:
        members = {_file_name(member): member for member in file.namelist()}
        if path.name not in members:
            raise CocoError(f"{archive.name} contains no {path.name}, but {', '.join(sorted(members))}.")
        with file.open(members[path.name]) as source, open(part, "wb") as target:
            shutil.copyfileobj(source, target)  # compares the zip's checksum at the end
    part.replace(path)


def read(path: str | Path) -> COCO:
    """Read an annotation file (JSON) without the messages of pycocotools.

    Raises:
        CocoError: The file cannot be used, or pycocotools is not installed.
    """
    try:
        from pycocotools.coco import COCO

        with contextlib.redirect_stdout(None):
            coco = COCO(str(path))
        missing = {"images", "annotations", "categories"} - set(coco.dataset)
        needed = {"id", "file_name", "width", "height"}
        if missing or any(needed - set(entry) for entry in coco.imgs.values()):
            raise ValueError("entries are missing")
    except ImportError as error:
        raise CocoError("COCO is read with pycocotools; run 'pip install pycocotools'.") from error
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise CocoError(
            f"'{path}' is no complete COCO annotation file ({error}); delete it and get it again."
        ) from error
    return coco


# --- selection ----------------------------------------------------------------------------------------------------


def licence_ids(coco: COCO, licences: str | int | Iterable[int | str] = "all") -> set[int | None]:
    """Return the numbers of licences.

    "commercial" excludes the licences that COCO's file calls NonCommercial (1, 2, 3), "changes" those that it calls
    NoDerivs (3, 6): a stylised photo is a changed photo. "commercial+changes" leaves 4, 5, 7 and 8, of which 4 and 5
    require the author's name (``flickr_url`` leads there) and 5 the same licence for the result. This is what Flickr
    stated at the time, not legal advice.

    Args:
        coco: The annotations.
        licences: One or several of: a number, a name, "all", "commercial", "changes", "commercial+changes".

    Raises:
        CocoError: A licence is unknown.
    """
    names = LICENCES | {entry["id"]: entry.get("name", "") for entry in coco.dataset.get("licenses", [])}
    # other data sets may use the same numbers for other licences
    known_names = {number: name for number, name in names.items() if name in LICENCES.values()}
    commercial = {number for number, name in known_names.items() if "NonCommercial" not in name}
    changes = {number for number, name in known_names.items() if "NoDerivs" not in name}

    table: dict[int | str, set[int | None]] = {}
    for number, name in names.items():
        table[number] = {number}
        table[name] = {number}
    table["all"] = set(names) | {entry.get("license") for entry in coco.imgs.values()}
    table["commercial"] = set(commercial)
    table["changes"] = set(changes)
    table["commercial+changes"] = set(commercial & changes)

    chosen: set[int | None] = set()
    for licence in _as_list(licences):
        chosen |= _look_up("licence", licence, table)
    return chosen


def select(
    coco: COCO,
    categories: str | Iterable[str] = (),
    licences: str | int | Iterable[int | str] = "all",
    min_side: int = 0,
    max_side: int | None = None,
    limit: int | None = None,
    seed: int | None = None,
) -> list[Entry]:
    """Return the entries of the pictures that show all of the categories, sorted by id.

    Args:
        coco: The annotations.
        categories: Names of categories; none for all pictures.
        licences: As in ``licence_ids``.
        min_side: Least length of the short side in pixels.
        max_side: Greatest length of the long side in pixels.
        limit: How many pictures at most: the first ones, or with a seed random ones.
        seed: Seed of the random choice.

    Raises:
        CocoError: A category or licence is unknown, or no picture is left.
    """
    categories = _as_list(categories)
    category_ids = [_category_id(coco, name) for name in categories]
    allowed = licence_ids(coco, licences)
    shown = [coco.imgs[i] for i in sorted(coco.getImgIds(catIds=category_ids)) if i in coco.imgs]
    licensed = [entry for entry in shown if entry.get("license") in allowed]
    chosen = [entry for entry in licensed if _has_size(entry, min_side, max_side)]
    if not chosen or (limit is not None and limit < 1):
        raise CocoError(
            f"no picture matches: {len(shown)} show {' and '.join(categories) or 'anything'}, "
            f"{len(licensed)} of them have the licence, {len(chosen)} of those the size; ask for less."
        )
    if seed is not None:
        np.random.default_rng(seed).shuffle(chosen)
    return sorted(chosen[:limit], key=lambda entry: entry["id"])


def mask(coco: COCO, image_id: int, category: str) -> Tensor:
    """Return where a picture shows a category.

    Args:
        coco: The annotations.
        image_id: The ``id`` of an entry.
        category: Name of a category.

    Returns:
        (1, 1, H, W), float32: 1 on all instances of the category, including crowds, and 0 elsewhere.

    Raises:
        CocoError: The category or the picture is unknown, or the picture does not show the category.
    """
    category_id = _category_id(coco, category)
    objects = coco.loadAnns(coco.getAnnIds(imgIds=[image_id], catIds=[category_id]))
    masks = [coco.annToMask(entry) for entry in objects if entry.get("segmentation")]  # each (H, W)
    if not masks:
        shown = sorted({coco.cats[entry["category_id"]]["name"] for entry in coco.imgToAnns.get(image_id, [])})
        raise CocoError(f"picture {image_id!r} shows no {category} here; it shows: {', '.join(shown) or 'nothing'}.")
    return torch.from_numpy(np.maximum.reduce(masks)).float()[None, None]  # (1, 1, H, W)


def _has_size(entry: Entry, min_side: int, max_side: int | None) -> bool:
    short, long = sorted((entry["width"], entry["height"]))
    return short >= min_side and (max_side is None or long <= max_side)


def _as_list(words: str | int | Iterable[Any]) -> list[Any]:
    return [words] if isinstance(words, (str, int)) else list(words)


def _category_id(coco: COCO, name: str) -> int:
    ids = {entry["name"]: entry["id"] for entry in coco.cats.values()}
    return int(_look_up("category", name, ids))


def _look_up(kind: str, word: Any, table: dict[Any, Any]) -> Any:
    if word not in table:
        guess = did_you_mean(word, [key for key in table if isinstance(key, str)])
        raise CocoError(f"there is no {kind} {word!r}; {guess}".rstrip("; "))
    return table[word]


# --- download -----------------------------------------------------------------------------------------------------


def estimate(entries: Iterable[Entry], folder: str | Path) -> Estimate:
    """Return what ``download`` into a folder will take, estimated from the sizes of the pictures in pixels."""
    entries = list(entries)
    new = [entry for entry in entries if not (Path(folder) / _file_name(entry["file_name"])).is_file()]
    pixels = sum(entry["width"] * entry["height"] for entry in new)
    return Estimate(len(new), len(entries) - len(new), pixels * BYTES_PER_PIXEL / 1e6)


def download(
    entries: Iterable[Entry],
    folder: str | Path,
    base_url: str | None = None,
    workers: int = 8,
    pauses: Sequence[float] = PAUSES,
    timeout: float = 20.0,
    progress: bool | Callable[[int, int, str], object] = False,
) -> DownloadReport:
    """Download the pictures of some entries into a folder; complete pictures that are there already are kept.

    A picture must have the length that the server announced, decode, and have the size of its annotation. After cut
    connections, wrong lengths and errors of the server, another attempt continues from the last byte. Missing and
    broken pictures are skipped.

    Args:
        entries: From ``select``.
        folder: Where the pictures go; it is made if necessary.
        base_url: Address of a folder of pictures to use instead of each entry's ``coco_url``.
        workers: How many pictures are downloaded at the same time.
        pauses: Seconds before each further attempt at a picture.
        timeout: Seconds without a byte before an attempt fails; Ctrl-C may take as long.
        progress: True for a progress bar, or a function of (pictures done, all pictures, file name).

    Raises:
        CocoError: The server cannot be reached, or the disk is full.
    """
    started = time.monotonic()
    folder = Path(folder)
    by_name = {_file_name(entry["file_name"]): entry for entry in entries}
    _check_disk(by_name.values(), folder)
    outcomes: dict[str, _Outcome] = {}
    received: list[int] = []  # appending is safe from several threads
    downloader = _Downloader(pauses, timeout, on_bytes=received.append)
    bar = tqdm(total=len(by_name), unit="picture", disable=progress is not True)
    pool = ThreadPoolExecutor(max(1, workers))
    try:
        names: dict[Future[_Outcome], str] = {}
        for name, entry in by_name.items():
            find_problem = partial(_picture_problem, entry)
            future = pool.submit(downloader.download, _picture_url(entry, base_url), folder / name, find_problem)
            names[future] = name
        for done, future in enumerate(as_completed(names), start=1):
            name = names[future]
            with _disk_errors(folder):
                outcomes[name] = future.result()
            bar.update()
            if callable(progress):
                progress(done, len(by_name), name)
    finally:
        downloader.stop.set()  # after Ctrl-C or an error the threads end and leave their .part files
        pool.shutdown(wait=True, cancel_futures=True)
        bar.close()
    return DownloadReport(
        downloaded=[folder / name for name in by_name if outcomes[name].status is _Status.DOWNLOADED],
        already_there=[folder / name for name in by_name if outcomes[name].status is _Status.ALREADY_THERE],
        skipped={name: outcome.reason for name, outcome in outcomes.items() if outcome.status is _Status.SKIPPED},
        bytes_received=sum(received),
        seconds=time.monotonic() - started,
    )


def _check_disk(entries: Iterable[Entry], folder: Path) -> None:
    """Make the folder and raise CocoError if the pictures would not fit on its disk."""
    with _disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        needed = estimate(entries, folder).megabytes
        free = shutil.disk_usage(folder).free / 1e6
    if needed > free:
        raise CocoError(f"the disk of '{folder}' has {free:,.1f} MB free and about {needed:,.1f} MB are needed.")


def _picture_url(entry: Entry, base_url: str | None) -> str:
    url = f"{base_url.rstrip('/')}/{entry['file_name']}" if base_url else entry.get("coco_url") or ""
    return quote(url, safe=":/%?&=+,;@~")


class _Status(enum.Enum):
    """How the download of one file ended."""

    DOWNLOADED = "downloaded"
    ALREADY_THERE = "already there"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class _Outcome:
    """How the download of one file ended and, if it was skipped, why."""

    status: _Status
    reason: str = ""


@dataclass(frozen=True)
class _Attempt:
    """How one request for a file ended.

    Attributes:
        problem: What went wrong; None if all bytes are there.
        retry: Whether another attempt can help.
        unreachable: Why the server cannot be reached, if that was the problem.
    """

    problem: str | None = None
    retry: bool = True
    unreachable: str | None = None


class _Downloader:
    """Downloads files, each into a ``.part`` file that is checked and then renamed; used by several threads.

    Args:
        pauses: Seconds before each further attempt at a file.
        timeout: Seconds without a byte before an attempt fails.
        on_bytes: Called with the length of each chunk.

    Attributes:
        stop: When set, running downloads end and leave their ``.part`` files.
    """

    def __init__(self, pauses: Sequence[float], timeout: float, on_bytes: Callable[[int], object]) -> None:
        self.pauses = pauses
        self.timeout = timeout
        self.on_bytes = on_bytes
        self.stop = threading.Event()

    def download(self, url: str, path: Path, find_problem: FindProblem) -> _Outcome:
        """Download one file, unless it is there and has no problem.

        Raises:
            CocoError: The server cannot be reached, so that other files would fail too.
            OSError: The disk is full or cannot be written.
        """
        if path.is_file():
            if find_problem(path) is None:
                return _Outcome(_Status.ALREADY_THERE)
            path.unlink()
        if not url.startswith(("http://", "https://")):
            return _Outcome(_Status.SKIPPED, f"has no address on the web: {url!r}")
        part = path.with_name(f"{path.name}.part")
        was_broken = False
        for pause in (*self.pauses, None):  # None: the last attempt
            attempt = self._attempt(url, part)
            if attempt.problem is None:
                problem = find_problem(part)
                if problem is None:
                    part.replace(path)
                    return _Outcome(_Status.DOWNLOADED)
                part.unlink(missing_ok=True)
                # the first time two attempts may not fit together; the second time the file itself is broken
                attempt = _Attempt(problem, retry=not was_broken)
                was_broken = True
            if pause is None and attempt.unreachable is not None:
                server = urlsplit(url).netloc
                raise CocoError(
                    f"the server {server} cannot be reached ({attempt.unreachable}); "
                    "check the connection and call again to continue."
                )
            if pause is None or not attempt.retry or self.stop.wait(pause):
                break
        return _Outcome(_Status.SKIPPED, attempt.problem or "")

    def _attempt(self, url: str, part: Path) -> _Attempt:
        """Request what is missing of a file once."""
        try:
            return _Attempt(self._receive(url, part))
        except HTTPError as error:
            error.close()
            if error.code == 416:  # nothing is missing: an earlier call was stopped just before the rename
                return _Attempt()
            retry = error.code in (408, 425, 429) or error.code >= 500
            return _Attempt(f"the server responds with {error.code} {error.reason}", retry)
        except (URLError, ConnectionError, TimeoutError, SSLError, HTTPException) as error:
            problem = f"the connection was cut ({type(error).__name__})"
            unreachable = str(error.reason) if isinstance(error, URLError) else None
            return _Attempt(problem, unreachable=unreachable)

    def _receive(self, url: str, part: Path) -> str | None:
        """Append what is missing to a ``.part`` file; return a problem, or None if all announced bytes came."""
        start = part.stat().st_size if part.is_file() else 0
        headers = {"User-Agent": "nstlib"}
        if start:
            headers["Range"] = f"bytes={start}-"
        received = 0
        with urlopen(Request(url, headers=headers), timeout=self.timeout) as response:
            length = response.headers.get("Content-Length", "")
            # a server that does not support ranges responds with 200 and sends the whole file
            mode = "ab" if response.status == 206 else "wb"
            with open(part, mode) as file:
                while chunk := response.read1(CHUNK):
                    file.write(chunk)
                    received += len(chunk)
                    self.on_bytes(len(chunk))
                    if self.stop.is_set():
                        return "stopped"
        if length.isdigit() and received != int(length):
            return f"only {received} of {length} bytes came"
        return None


def _picture_problem(entry: Entry, path: Path) -> str | None:
    """Return what is wrong with a picture, or None."""
    try:
        with Image.open(path) as picture:
            width, height = picture.size
            if (width, height) != (entry["width"], entry["height"]):  # before decoding: it may be far too large
                return f"has {width} x {height} pixels, not those of its annotation"
            picture.load()
    except UnidentifiedImageError:
        return "is not a picture"
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        return f"is damaged or cut off ({error})"
    return None


def _zip_problem(path: Path) -> str | None:
    """Return what is wrong with a zip, or None."""
    return None if zipfile.is_zipfile(path) else "is not a zip"


def _file_name(path: str) -> str:
    """Return the last part of a path with either kind of slash; a name from the web must not leave the folder."""
    name = PureWindowsPath(path).name
    return name if name.strip(".") else "unnamed"


@contextlib.contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """Turn errors of the disk (full, read-only, no folder) into one sentence."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise CocoError(f"'{folder}' cannot be written ({reason}); solve that and call again to continue.") from error
