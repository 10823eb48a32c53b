"""The COCO module with a small generated data set and an HTTP server on loopback; no test uses the internet."""

from __future__ import annotations

import errno
import io
import json
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
import zipfile
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nstlib.data import coco
from nstlib.errors import CocoError, NstError

pytest.importorskip("pycocotools")
pytestmark = pytest.mark.network
QUICK = {"pauses": (0, 0, 0), "timeout": 5}
ZIP = "annotations_trainval2017.zip"


def name(i: int) -> str:
    return f"{i:012d}.jpg"


def size(i: int) -> tuple[int, int]:
    """Return (width, height): even pictures are larger, every third one is upright."""
    wide = (128, 96) if i % 2 == 0 else (96, 72)
    return wide[::-1] if i % 3 == 0 else wide


def jpeg(i: int) -> bytes:
    w, h = size(i)
    y, x = np.mgrid[:h, :w]
    wave = np.stack([np.sin(x / (3 + i)), np.cos(y / (2 + i)), np.sin((x + y) / 9)], axis=2)
    noise = np.random.default_rng(i).normal(0, 12, (h, w, 3))  # so that the files have a few kilobytes
    buffer = io.BytesIO()
    Image.fromarray((127 + 90 * wave + noise).clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def entries() -> dict:
    """Return annotations of twelve pictures: 1 to 8 show a cat, even ones a dog; 1 has an object as RLE, 3 a crowd."""
    images, objects = [], []

    def add(i: int, category: int, segmentation: object, crowd: int = 0) -> None:
        entry = {"id": len(objects) + 1, "image_id": i, "category_id": category, "iscrowd": crowd}
        objects.append({**entry, "segmentation": segmentation, "area": 1.0, "bbox": [0, 0, 1, 1]})

    for i in range(1, 13):
        w, h = size(i)
        images.append({"id": i, "file_name": name(i), "width": w, "height": h, "license": (i - 1) % 8 + 1})
        if i <= 8:
            add(i, 1, [[10, 20, 40, 20, 40, 60, 10, 60]])
        if i % 2 == 0:
            add(i, 2, [[0, 0, 8, 0, 8, 8, 0, 8]])
    # run lengths go down the columns: the first column holds zeros and the second ones; below, the first holds ones
    add(1, 1, {"size": [72, 96], "counts": [72, 72, 72 * 94]})
    add(3, 1, {"size": [96, 72], "counts": [0, 96, 96 * 71]}, crowd=1)
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}, {"id": 7, "name": "zebra"}]
    licences = [{"id": i, "name": n} for i, n in coco.LICENCES.items()]
    return {"images": images, "annotations": objects, "categories": categories, "licenses": licences}


def zipped(split: str = "val2017") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(f"annotations/instances_{split}.json", json.dumps(entries()))
        file.writestr("annotations/captions_val2017.json", "{}")
    return buffer.getvalue()


class Server(ThreadingHTTPServer):
    """Serves ``files``; ``faults[name]`` is one fault for every request, or a list with one fault per request."""

    daemon_threads, block_on_close = True, False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {name(i): jpeg(i) for i in range(1, 13)} | {ZIP: zipped()}
        self.faults: dict[str, object] = {}
        self.ranges, self.delay = True, 0.0
        self.requests: dict[str, list[str | None]] = defaultdict(list)  # the Range header of each
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address) -> None:
        """Print nothing when a client was killed."""


class Handler(BaseHTTPRequestHandler):
    timeout = 5

    def log_message(self, *args) -> None:
        pass

    def do_GET(self) -> None:
        server, key = self.server, self.path.rsplit("/", 1)[-1]
        requested_range = self.headers.get("Range")
        server.requests[key].append(requested_range)
        fault = server.faults.get(key)
        if isinstance(fault, list):
            fault = fault.pop(0) if fault else None
        if isinstance(fault, int) or key not in server.files:
            self.send_error(fault or 404)
            return
        body, start = server.files[key], 0
        if requested_range and server.ranges:
            start = int(requested_range.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        rest = body[start:]
        self.send_header("Content-Length", str(len(rest) + {"long": 50, "short": -50}.get(fault, 0)))
        self.end_headers()
        rest = rest[: len(rest) // 2] if fault == "cut" else rest
        for i in range(0, len(rest), 1024):
            self.wfile.write(rest[i : i + 1024])
            time.sleep(server.delay)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as it:
        thread = threading.Thread(target=it.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield it
        it.shutdown()
        thread.join(5)


@pytest.fixture
def index(tmp_path):
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(entries()))
    return coco.read(path)


def ids(selected: list[dict]) -> list[int]:
    return [entry["id"] for entry in selected]


def one_sentence(error: pytest.ExceptionInfo) -> str:
    text = str(error.value)
    assert isinstance(error.value, NstError)
    assert "\n" not in text
    return text


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


# --- annotations ------------------------------------------------------------------------------


def test_annotations_are_downloaded_once_and_silently(server, tmp_path, capfd):
    server.faults[ZIP] = [503, "cut"]
    for _ in range(2):
        index = coco.load_annotations(tmp_path, url=f"{server.url}/a/{ZIP}", **QUICK)
        assert len(index.imgs) == 12
    half = len(server.files[ZIP]) // 2
    assert server.requests[ZIP] == [None, None, f"bytes={half}-"]
    assert capfd.readouterr() == ("", "")
    assert sorted(p.name for p in tmp_path.iterdir()) == [ZIP, "instances_val2017.json"]
    with pytest.raises(CocoError, match="contains no instances_train2017.json, but captions_val2017.json"):
        coco.load_annotations(tmp_path, "train2017", f"{server.url}/a/{ZIP}", **QUICK)
    assert len(server.requests[ZIP]) == 3  # the zip was still there


def test_errors_for_annotations_that_cannot_be_downloaded(server, tmp_path):
    with pytest.raises(CocoError) as error:
        coco.load_annotations(tmp_path, url=f"{server.url}/none.zip", **QUICK)
    assert "404" in one_sentence(error)
    server.files["page.zip"] = b"<html>please log in</html>"
    with pytest.raises(CocoError, match="is not a zip"):
        coco.load_annotations(tmp_path, url=f"{server.url}/page.zip", **QUICK)
    damaged = bytearray(zipped())
    damaged[200] ^= 0xFF
    server.files["damaged.zip"] = bytes(damaged)
    with pytest.raises(CocoError, match="CRC|could not be downloaded"):
        coco.load_annotations(tmp_path, url=f"{server.url}/damaged.zip", **QUICK)
    assert not (tmp_path / "damaged.zip").exists()
    assert not (tmp_path / "instances_val2017.json").exists()


@pytest.mark.parametrize("text", ["", "[1, 2]", '{"images": []}', '{"images": [{"id": 1}], "annotations": []'])
def test_errors_for_broken_annotation_files(tmp_path, text):
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(CocoError) as error:
        coco.read(tmp_path / "bad.json")
    assert "no complete COCO annotation file" in one_sentence(error)


def test_without_pycocotools(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)
    with pytest.raises(CocoError, match="pip install pycocotools"):
        coco.read(tmp_path / "any.json")


# --- selection ---------------------------------------------------------------------------------


def test_select_by_category(index):
    assert ids(coco.select(index)) == list(range(1, 13))
    assert ids(coco.select(index, "cat")) == list(range(1, 9))
    assert ids(coco.select(index, ["cat", "dog"])) == [2, 4, 6, 8]
    assert ids(coco.select(index, "cat", limit=3)) == [1, 2, 3]
    drawn = coco.select(index, limit=5, seed=1)
    assert drawn == coco.select(index, limit=5, seed=1)
    assert ids(drawn) != ids(coco.select(index, limit=5, seed=2))
    assert ids(drawn) == sorted(ids(drawn))


def test_select_by_size(index):
    assert ids(coco.select(index, min_side=96)) == [2, 4, 6, 8, 10, 12]  # the short side
    assert ids(coco.select(index, max_side=96)) == [1, 3, 5, 7, 9, 11]  # the long side


@pytest.mark.parametrize(
    ("licences", "numbers"),
    [
        ("all", range(1, 9)),
        ("commercial", [4, 5, 6, 7, 8]),
        ("changes", [1, 2, 4, 5, 7, 8]),
        ("commercial+changes", [4, 5, 7, 8]),
        (7, [7]),
        ([4, "United States Government Work"], [4, 8]),
    ],
)
def test_select_by_licence(index, licences, numbers):
    assert coco.licence_ids(index, licences) == set(numbers)
    assert {image["license"] for image in coco.select(index, licences=licences)} == set(numbers)


def test_errors_for_unknown_names_and_empty_selections(index):
    with pytest.raises(CocoError) as error:
        coco.select(index, ["Cats"])
    assert "did you mean 'cat'?" in one_sentence(error)
    with pytest.raises(CocoError) as error:
        coco.select(index, licences="comercial")
    assert "did you mean 'commercial'" in one_sentence(error)
    with pytest.raises(CocoError, match="no licence 9"):
        coco.select(index, licences=[4, 9])
    with pytest.raises(CocoError) as error:
        coco.select(index, "cat", licences=4, min_side=500)
    assert "8 show cat, 1 of them have the licence, 0 of those the size" in one_sentence(error)
    with pytest.raises(CocoError, match="0 show zebra"):
        coco.select(index, "zebra")


# --- download ---------------------------------------------------------------------------------


def test_download_once(server, index, tmp_path, capfd):
    folder, selected = tmp_path / "new" / "photos", coco.select(index, "cat")
    before = coco.estimate(selected, folder)
    assert (before.to_download, before.already_there) == (8, 0)
    assert before.megabytes == pytest.approx(sum(w * h for w, h in map(size, range(1, 9))) * 0.6e-6)
    assert str(before) == "8 pictures to download, about 0.0 MB; 0 are already there"
    calls = []
    report = coco.download(selected, folder, server.url, progress=lambda *call: calls.append(call), **QUICK)
    assert contents(folder) == {name(i): server.files[name(i)] for i in range(1, 9)}
    assert report.downloaded == [folder / name(i) for i in range(1, 9)]
    assert (report.already_there, report.skipped) == ([], {})
    assert report.bytes_received == sum(len(server.files[name(i)]) for i in range(1, 9))
    assert report.seconds > 0
    assert [call[:2] for call in calls] == [(i, 8) for i in range(1, 9)]
    assert capfd.readouterr() == ("", "")

    server.requests.clear()
    again = coco.download(selected, folder, server.url, progress=True, **QUICK)
    assert not server.requests
    assert (again.downloaded, len(again.already_there), again.bytes_received) == ([], 8, 0)
    assert str(again).startswith("0 downloaded, 8 already there, 0 skipped; 0.0 MB in")
    assert "8/8" in capfd.readouterr().err  # the bar
    assert str(coco.estimate(selected, folder)) == "0 pictures to download, about 0.0 MB; 8 are already there"


def test_download_from_the_urls_of_the_entries(server, index, tmp_path):
    selected = coco.select(index, limit=3)
    selected[0]["coco_url"] = f"{server.url}/val 2017/{name(1)}"  # with a space
    selected[1]["coco_url"] = (tmp_path / "instances.json").as_uri()  # only http and https are allowed
    report = coco.download(selected, tmp_path / "photos", **QUICK)
    assert [p.name for p in report.downloaded] == [name(1)]
    assert all("no address" in reason for reason in report.skipped.values())
    assert len(report.skipped) == 2


def test_faults_of_the_server(server, index, tmp_path):
    original = dict(server.files)
    server.faults = {
        name(1): ["cut", "cut"], name(2): 404, name(3): [500], name(4): 500, name(5): ["long"], name(6): "long",
        name(7): ["short"], name(12): [429, 503],
    }  # fmt: skip
    server.files[name(8)] = original[name(8)][:-400]
    server.files[name(9)] = b"<html>not here</html>"
    server.files[name(10)] = original[name(9)]  # a valid picture, but another one
    report = coco.download(coco.select(index), tmp_path / "photos", server.url, **QUICK)

    # resumed where the connection was cut
    first = len(original[name(1)]) // 2
    second = first + (len(original[name(1)]) - first) // 2
    assert server.requests[name(1)] == [None, f"bytes={first}-", f"bytes={second}-"]
    good = [1, 3, 5, 6, 7, 11, 12]
    assert report.downloaded == [tmp_path / "photos" / name(i) for i in good]
    # no broken pictures and no .part files of them
    assert contents(tmp_path / "photos") == {name(i): original[name(i)] for i in good}
    assert {key: len(server.requests[key]) for key in server.faults} == {
        name(1): 3, name(2): 1, name(3): 2, name(4): 4, name(5): 2, name(6): 2, name(7): 2, name(12): 3,
    }  # fmt: skip
    assert set(report.skipped) == {name(i) for i in (2, 4, 8, 9, 10)}
    assert "404" in report.skipped[name(2)]
    assert "500" in report.skipped[name(4)]
    assert "cut off" in report.skipped[name(8)]
    assert "not a picture" in report.skipped[name(9)]
    assert "96" in report.skipped[name(10)]


@pytest.mark.parametrize("fault", ["long", "short", "cut"])
def test_permanent_faults_of_a_server_without_ranges(server, index, tmp_path, fault):
    server.ranges, server.faults[name(1)] = False, fault
    report = coco.download(coco.select(index, limit=2), tmp_path / "photos", server.url, **QUICK)
    assert [p.name for p in report.downloaded] == [name(2)]
    assert ("cut off" if fault == "short" else "bytes came") in report.skipped[name(1)]
    assert len(server.requests[name(1)]) == (2 if fault == "short" else 4)
    server.faults = {}
    report = coco.download(coco.select(index, limit=2), tmp_path / "photos", server.url, **QUICK)
    assert contents(tmp_path / "photos") == {name(i): server.files[name(i)] for i in (1, 2)}


@pytest.mark.parametrize("content", ["complete", "too long", "of another file"])
def test_part_files_of_an_earlier_call(server, index, tmp_path, content):
    body = server.files[name(1)]
    part = tmp_path / "photos" / f"{name(1)}.part"
    part.parent.mkdir()
    part.write_bytes({"complete": body, "too long": b"?" + body, "of another file": b"?" * 300}[content])
    report = coco.download(coco.select(index, limit=1), part.parent, server.url, **QUICK)
    assert contents(part.parent) == {name(1): body}
    assert (report.bytes_received == 0) == (content == "complete")


def test_broken_files_are_downloaded_again(server, index, tmp_path):
    selected = coco.select(index, limit=2)
    coco.download(selected, tmp_path / "photos", server.url, **QUICK)
    (tmp_path / "photos" / name(1)).write_bytes(server.files[name(1)][:-300])
    report = coco.download(selected, tmp_path / "photos", server.url, **QUICK)
    assert [p.name for p in report.downloaded] == [name(1)]
    assert [p.name for p in report.already_there] == [name(2)]
    (tmp_path / "photos" / name(1)).write_bytes(b"")
    server.faults[name(1)] = 404
    report = coco.download(selected, tmp_path / "photos", server.url, **QUICK)
    assert list(contents(tmp_path / "photos")) == [name(2)]  # training must not read the broken one


def test_file_names_cannot_leave_the_folder(server, index, tmp_path):
    selected = coco.select(index, limit=3)
    for entry, bad in zip(selected, ("../../1.jpg", "..\\2.jpg", "..")):
        entry["coco_url"], entry["file_name"] = f"{server.url}/{entry['file_name']}", bad
    coco.download(selected, tmp_path / "a" / "photos", **QUICK)
    assert list(contents(tmp_path / "a" / "photos")) == ["1.jpg", "2.jpg", "unnamed"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "instances.json"]


def test_error_without_a_server(server, index, tmp_path):
    server.shutdown()
    server.server_close()
    for call in (
        lambda: coco.download(coco.select(index), tmp_path / "photos", server.url, **QUICK),
        lambda: coco.load_annotations(tmp_path, url=f"{server.url}/{ZIP}", **QUICK),
    ):
        with pytest.raises(CocoError) as error:
            call()
        assert f"127.0.0.1:{server.server_port} cannot be reached" in one_sentence(error)


def test_a_silent_server_times_out(server, index, tmp_path):
    server.delay = 30
    start = time.monotonic()
    report = coco.download(coco.select(index, limit=1), tmp_path / "photos", server.url, pauses=(0,), timeout=0.2)
    assert "TimeoutError" in report.skipped[name(1)]
    assert time.monotonic() - start < 5


def test_pauses_between_attempts(server, index, tmp_path):
    server.faults[name(1)] = [503, 503]
    report = coco.download(coco.select(index, limit=1), tmp_path / "photos", server.url, pauses=(0.1, 0.2))
    assert len(report.downloaded) == 1
    assert report.seconds >= 0.3


def test_errors_for_full_disks(server, index, tmp_path, monkeypatch):
    selected = coco.select(index)

    def full(path, mode="r"):
        if path.name == f"{name(3)}.part":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return open(path, mode)

    with monkeypatch.context() as patch:
        patch.setattr(coco, "open", full, raising=False)
        with pytest.raises(CocoError) as error:
            coco.download(selected, tmp_path / "photos", server.url, **QUICK)
    assert "No space left" in one_sentence(error)
    assert len(coco.download(selected, tmp_path / "photos", server.url, **QUICK).skipped) == 0

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(CocoError) as error:
        coco.download(selected, tmp_path / "other", server.url, **QUICK)
    assert "MB are needed" in one_sentence(error)
    (tmp_path / "file").write_text("")
    with pytest.raises(CocoError, match="cannot be written"):
        coco.download(selected, tmp_path / "file", server.url, **QUICK)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.usefixtures("default_sigint")
def test_a_stopped_download_continues(server, index, tmp_path, how):
    folder, selected, server.delay = tmp_path / "photos", coco.select(index), 0.03

    def download_quietly() -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        coco.download(selected, folder, server.url, workers=2)

    child = multiprocessing.get_context("fork").Process(target=download_quietly)
    child.start()
    end = time.monotonic() + 5
    while time.monotonic() < end:  # until some are complete and some are partial
        files = sorted(p.name for p in folder.glob("*")) if folder.exists() else []
        if sum(f.endswith(".jpg") for f in files) >= 2 and any(
            p.stat().st_size > 2000 for p in folder.glob("*.part") if p.exists()
        ):
            break
        time.sleep(0.005)
    os.kill(child.pid, how)
    child.join(5)
    assert child.exitcode not in (0, None)
    left = contents(folder)
    partial = {key.removesuffix(".part"): body for key, body in left.items() if key.endswith(".part")}
    assert partial
    assert len(left) < 12 + len(partial)
    for key, body in left.items():
        if key.endswith(".part"):
            assert server.files[key.removesuffix(".part")].startswith(body)
        else:
            assert body == server.files[key]

    server.delay = 0
    server.requests.clear()
    report = coco.download(selected, folder, server.url, **QUICK)
    assert {p.name for p in report.already_there} == {key for key in left if key.endswith(".jpg")}
    assert set(server.requests) == {p.name for p in report.downloaded}
    for key, body in partial.items():
        assert server.requests[key] == [f"bytes={len(body)}-" if body else None]
    assert contents(folder) == {name(i): server.files[name(i)] for i in range(1, 13)}


# --- masks ------------------------------------------------------------------------------------


def test_masks(index):
    cat = coco.mask(index, 2, "cat")
    assert (cat.shape, cat.dtype) == ((1, 1, 96, 128), torch.float32)
    expected = torch.zeros(96, 128)
    expected[20:60, 10:40] = 1
    assert torch.equal(cat[0, 0], expected)
    assert coco.mask(index, 2, "dog").sum() == 64
    both = coco.mask(index, 1, "cat")[0, 0]  # a polygon and an RLE
    assert both.shape == (72, 96)
    assert bool(both[:, 1].all())
    assert both.sum() == 30 * 40 + 72
    assert bool(coco.mask(index, 3, "cat")[0, 0, :, 0].all())  # the crowd


def test_errors_for_masks(index):
    with pytest.raises(CocoError) as error:
        coco.mask(index, 2, "zebra")
    assert "picture 2 shows no zebra here; it shows: cat, dog" in one_sentence(error)
    with pytest.raises(CocoError, match="picture 99"):
        coco.mask(index, 99, "cat")
    with pytest.raises(CocoError, match="did you mean 'zebra'"):
        coco.mask(index, 2, "zebro")
