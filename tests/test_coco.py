"""COCO's pictures, from a small set that we paint, over a real HTTP server on loopback. Nothing leaves the machine."""

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

from nstlib import coco
from nstlib.coco import CocoError, NstError

pytest.importorskip("pycocotools")
QUICK = {"pauses": (0, 0, 0), "timeout": 5}
ZIP = "annotations_trainval2017.zip"


def name(i: int) -> str:
    return f"{i:012d}.jpg"


def size(i: int) -> tuple[int, int]:
    """(width, height): the even ones are larger, every third one stands upright."""
    wide = (128, 96) if i % 2 == 0 else (96, 72)
    return wide[::-1] if i % 3 == 0 else wide


def painted(i: int) -> bytes:
    w, h = size(i)
    y, x = np.mgrid[:h, :w]
    wave = np.stack([np.sin(x / (3 + i)), np.cos(y / (2 + i)), np.sin((x + y) / 9)], axis=2)
    noise = np.random.default_rng(i).normal(0, 12, (h, w, 3))  # makes the files a few kilobytes long
    buffer = io.BytesIO()
    Image.fromarray((127 + 90 * wave + noise).clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def entries() -> dict:
    """Twelve pictures; 1 to 8 show a cat, the even ones a dog; 1 has an object as RLE, 3 a crowd."""
    images, objects = [], []

    def add(i: int, category: int, segmentation: object, crowd: int = 0) -> None:
        objects.append({"id": len(objects) + 1, "image_id": i, "category_id": category, "iscrowd": crowd,
                        "segmentation": segmentation, "area": 1.0, "bbox": [0, 0, 1, 1]})  # fmt: skip

    for i in range(1, 13):
        w, h = size(i)
        images.append({"id": i, "file_name": name(i), "width": w, "height": h, "license": (i - 1) % 8 + 1})
        if i <= 8:
            add(i, 1, [[10, 20, 40, 20, 40, 60, 10, 60]])
        if i % 2 == 0:
            add(i, 2, [[0, 0, 8, 0, 8, 8, 0, 8]])
    # runs go down the columns: 72 zeros, then a column of ones (96 x 72); the other: a first column of ones (72 x 96)
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
    """Serves ``files``; ``faults[name]`` is a list used up one a request, or one fault that stays."""

    daemon_threads, block_on_close = True, False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {name(i): painted(i) for i in range(1, 13)} | {ZIP: zipped()}
        self.faults: dict[str, object] = {}
        self.ranges, self.slow = True, 0.0
        self.asked: dict[str, list[str | None]] = defaultdict(list)
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address) -> None:
        """A client that was killed is no news."""


class Handler(BaseHTTPRequestHandler):
    timeout = 5

    def log_message(self, *args) -> None:
        pass

    def do_GET(self) -> None:
        server, key = self.server, self.path.rsplit("/", 1)[-1]
        wanted = self.headers.get("Range")
        server.asked[key].append(wanted)
        fault = server.faults.get(key)
        if isinstance(fault, list):
            fault = fault.pop(0) if fault else None
        if isinstance(fault, int) or key not in server.files:
            self.send_error(fault or 404)
            return
        body, start = server.files[key], 0
        if wanted and server.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
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
            time.sleep(server.slow)


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


def ids(chosen: list[dict]) -> list[int]:
    return [image["id"] for image in chosen]


def one_sentence(error: pytest.ExceptionInfo) -> str:
    text = str(error.value)
    assert isinstance(error.value, NstError)
    assert "\n" not in text
    return text


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


# --- annotations ------------------------------------------------------------------------------


def test_annotations_come_once_and_silently(server, tmp_path, capfd):
    server.faults[ZIP] = [503, "cut"]
    for _ in range(2):
        index = coco.annotations(tmp_path, address=f"{server.url}/a/{ZIP}", **QUICK)
        assert len(index.imgs) == 12
    half = len(server.files[ZIP]) // 2
    assert server.asked[ZIP] == [None, None, f"bytes={half}-"]
    assert capfd.readouterr() == ("", "")
    assert sorted(p.name for p in tmp_path.iterdir()) == [ZIP, "instances_val2017.json"]
    with pytest.raises(CocoError, match="holds no instances_train2017.json, but captions_val2017.json"):
        coco.annotations(tmp_path, "train2017", f"{server.url}/a/{ZIP}", **QUICK)
    assert len(server.asked[ZIP]) == 3  # the zip was still there


def test_annotations_that_cannot_be_had(server, tmp_path):
    with pytest.raises(CocoError) as error:
        coco.annotations(tmp_path, address=f"{server.url}/none.zip", **QUICK)
    assert "404" in one_sentence(error)
    server.files["page.zip"] = b"<html>please log in</html>"
    with pytest.raises(CocoError, match="is not a zip"):
        coco.annotations(tmp_path, address=f"{server.url}/page.zip", **QUICK)
    damaged = bytearray(zipped())
    damaged[200] ^= 0xFF
    server.files["damaged.zip"] = bytes(damaged)
    with pytest.raises(CocoError, match="CRC|could not be fetched"):
        coco.annotations(tmp_path, address=f"{server.url}/damaged.zip", **QUICK)
    assert not (tmp_path / "damaged.zip").exists()
    assert not (tmp_path / "instances_val2017.json").exists()


@pytest.mark.parametrize("text", ["", "[1, 2]", '{"images": []}', '{"images": [{"id": 1}], "annotations": []'])
def test_annotations_that_are_none(tmp_path, text):
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(CocoError) as error:
        coco.read(tmp_path / "bad.json")
    assert "no whole COCO annotation file" in one_sentence(error)


def test_without_pycocotools(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)
    with pytest.raises(CocoError, match="pip install pycocotools"):
        coco.read(tmp_path / "any.json")


# --- choosing ---------------------------------------------------------------------------------


def test_choose_by_category(index):
    assert ids(coco.choose(index)) == list(range(1, 13))
    assert ids(coco.choose(index, "cat")) == list(range(1, 9))
    assert ids(coco.choose(index, ["cat", "dog"])) == [2, 4, 6, 8]
    assert ids(coco.choose(index, "cat", limit=3)) == [1, 2, 3]
    drawn = coco.choose(index, limit=5, seed=1)
    assert drawn == coco.choose(index, limit=5, seed=1)
    assert ids(drawn) != ids(coco.choose(index, limit=5, seed=2))
    assert ids(drawn) == sorted(ids(drawn))


def test_choose_by_size(index):
    assert ids(coco.choose(index, min_side=96)) == [2, 4, 6, 8, 10, 12]  # of a short side
    assert ids(coco.choose(index, max_side=96)) == [1, 3, 5, 7, 9, 11]  # of a long side


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
def test_choose_by_licence(index, licences, numbers):
    assert coco.licence_ids(index, licences) == set(numbers)
    assert {image["license"] for image in coco.choose(index, licences=licences)} == set(numbers)


def test_choosing_what_is_not_there(index):
    with pytest.raises(CocoError) as error:
        coco.choose(index, ["Cats"])
    assert "did you mean 'cat'?" in one_sentence(error)
    with pytest.raises(CocoError) as error:
        coco.choose(index, licences="comercial")
    assert "did you mean 'commercial'" in one_sentence(error)
    with pytest.raises(CocoError, match="no licence 9"):
        coco.choose(index, licences=[4, 9])
    with pytest.raises(CocoError) as error:
        coco.choose(index, "cat", licences=4, min_side=500)
    assert "8 show cat, 1 of them have the licence, 0 of those the size" in one_sentence(error)
    with pytest.raises(CocoError, match="0 show zebra"):
        coco.choose(index, "zebra")


# --- fetching ---------------------------------------------------------------------------------


def test_fetch_once(server, index, tmp_path, capfd):
    folder, chosen = tmp_path / "new" / "photos", coco.choose(index, "cat")
    before = coco.cost(chosen, folder)
    assert (before.pictures, before.there) == (8, 0)
    assert before.megabytes == pytest.approx(sum(w * h for w, h in map(size, range(1, 9))) * 0.6e-6)
    assert str(before) == "8 pictures to fetch, about 0.0 MB; 0 are already there"
    calls = []
    report = coco.fetch(chosen, folder, server.url, progress=lambda *call: calls.append(call), **QUICK)
    assert contents(folder) == {name(i): server.files[name(i)] for i in range(1, 9)}
    assert report.fetched == [folder / name(i) for i in range(1, 9)]
    assert (report.already, report.skipped) == ([], {})
    assert report.bytes == sum(len(server.files[name(i)]) for i in range(1, 9))
    assert report.seconds > 0
    assert [call[:2] for call in calls] == [(i, 8) for i in range(1, 9)]
    assert capfd.readouterr() == ("", "")

    server.asked.clear()
    again = coco.fetch(chosen, folder, server.url, progress=True, **QUICK)
    assert not server.asked
    assert (again.fetched, len(again.already), again.bytes) == ([], 8, 0)
    assert str(again).startswith("0 fetched, 8 already there, 0 skipped; 0.0 MB in")
    assert "8/8" in capfd.readouterr().err  # the bar
    assert str(coco.cost(chosen, folder)) == "0 pictures to fetch, about 0.0 MB; 8 are already there"


def test_fetch_from_the_addresses_of_the_entries(server, index, tmp_path):
    chosen = coco.choose(index, limit=3)
    chosen[0]["coco_url"] = f"{server.url}/val 2017/{name(1)}"  # a space must be no trouble
    chosen[1]["coco_url"] = (tmp_path / "instances.json").as_uri()  # nothing but the web
    report = coco.fetch(chosen, tmp_path / "photos", **QUICK)
    assert [p.name for p in report.fetched] == [name(1)]
    assert all("no address" in reason for reason in report.skipped.values())
    assert len(report.skipped) == 2


def test_everything_that_can_go_wrong(server, index, tmp_path):
    whole = dict(server.files)
    server.faults = {
        name(1): ["cut", "cut"], name(2): 404, name(3): [500], name(4): 500, name(5): ["long"], name(6): "long",
        name(7): ["short"], name(12): [429, 503],
    }  # fmt: skip
    server.files[name(8)] = whole[name(8)][:-400]
    server.files[name(9)] = b"<html>not here</html>"
    server.files[name(10)] = whole[name(9)]  # a good picture, but another one
    report = coco.fetch(coco.choose(index), tmp_path / "photos", server.url, **QUICK)

    # resumed from where the line was cut, not from the start
    first = len(whole[name(1)]) // 2
    second = first + (len(whole[name(1)]) - first) // 2
    assert server.asked[name(1)] == [None, f"bytes={first}-", f"bytes={second}-"]
    good = [1, 3, 5, 6, 7, 11, 12]
    assert report.fetched == [tmp_path / "photos" / name(i) for i in good]
    assert contents(tmp_path / "photos") == {name(i): whole[name(i)] for i in good}  # and no .part of broken ones
    assert {key: len(server.asked[key]) for key in server.faults} == {
        name(1): 3, name(2): 1, name(3): 2, name(4): 4, name(5): 2, name(6): 2, name(7): 2, name(12): 3,
    }  # fmt: skip
    assert set(report.skipped) == {name(i) for i in (2, 4, 8, 9, 10)}
    assert "404" in report.skipped[name(2)]
    assert "500" in report.skipped[name(4)]
    assert "cut off" in report.skipped[name(8)]
    assert "not a picture" in report.skipped[name(9)]
    assert "96" in report.skipped[name(10)]


@pytest.mark.parametrize("fault", ["long", "short", "cut"])
def test_faults_that_stay_on_a_server_without_ranges(server, index, tmp_path, fault):
    server.ranges, server.faults[name(1)] = False, fault
    report = coco.fetch(coco.choose(index, limit=2), tmp_path / "photos", server.url, **QUICK)
    assert [p.name for p in report.fetched] == [name(2)]
    assert ("cut off" if fault == "short" else "bytes came") in report.skipped[name(1)]
    assert len(server.asked[name(1)]) == (2 if fault == "short" else 4)
    server.faults = {}
    report = coco.fetch(coco.choose(index, limit=2), tmp_path / "photos", server.url, **QUICK)
    assert contents(tmp_path / "photos") == {name(i): server.files[name(i)] for i in (1, 2)}


@pytest.mark.parametrize("rest", ["whole", "too long", "of another file"])
def test_parts_left_by_an_earlier_call(server, index, tmp_path, rest):
    body = server.files[name(1)]
    part = tmp_path / "photos" / f"{name(1)}.part"
    part.parent.mkdir()
    part.write_bytes({"whole": body, "too long": b"?" + body, "of another file": b"?" * 300}[rest])
    report = coco.fetch(coco.choose(index, limit=1), part.parent, server.url, **QUICK)
    assert contents(part.parent) == {name(1): body}
    assert (report.bytes == 0) == (rest == "whole")


def test_broken_files_are_fetched_again(server, index, tmp_path):
    chosen = coco.choose(index, limit=2)
    coco.fetch(chosen, tmp_path / "photos", server.url, **QUICK)
    (tmp_path / "photos" / name(1)).write_bytes(server.files[name(1)][:-300])
    report = coco.fetch(chosen, tmp_path / "photos", server.url, **QUICK)
    assert [p.name for p in report.fetched] == [name(1)]
    assert [p.name for p in report.already] == [name(2)]
    (tmp_path / "photos" / name(1)).write_bytes(b"")
    server.faults[name(1)] = 404
    report = coco.fetch(chosen, tmp_path / "photos", server.url, **QUICK)
    assert list(contents(tmp_path / "photos")) == [name(2)]  # a trainer must not meet the broken one


def test_names_never_lead_out_of_the_folder(server, index, tmp_path):
    chosen = coco.choose(index, limit=3)
    for image, bad in zip(chosen, ("../../1.jpg", "..\\2.jpg", "..")):
        image["coco_url"], image["file_name"] = f"{server.url}/{image['file_name']}", bad
    coco.fetch(chosen, tmp_path / "a" / "photos", **QUICK)
    assert list(contents(tmp_path / "a" / "photos")) == ["1.jpg", "2.jpg", "unnamed"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "instances.json"]


def test_no_server(server, index, tmp_path):
    server.shutdown()
    server.server_close()
    for call in (
        lambda: coco.fetch(coco.choose(index), tmp_path / "photos", server.url, **QUICK),
        lambda: coco.annotations(tmp_path, address=f"{server.url}/{ZIP}", **QUICK),
    ):
        with pytest.raises(CocoError) as error:
            call()
        assert f"127.0.0.1:{server.server_port} cannot be reached" in one_sentence(error)


def test_a_silent_server_is_given_up(server, index, tmp_path):
    server.slow = 30
    start = time.monotonic()
    report = coco.fetch(coco.choose(index, limit=1), tmp_path / "photos", server.url, pauses=(0,), timeout=0.2)
    assert "TimeoutError" in report.skipped[name(1)]
    assert time.monotonic() - start < 5


def test_pauses_are_kept(server, index, tmp_path):
    server.faults[name(1)] = [503, 503]
    report = coco.fetch(coco.choose(index, limit=1), tmp_path / "photos", server.url, pauses=(0.1, 0.2))
    assert len(report.fetched) == 1
    assert report.seconds >= 0.3


def test_full_disks(server, index, tmp_path, monkeypatch):
    chosen = coco.choose(index)

    def full(path, mode="r"):
        if path.name == f"{name(3)}.part":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return open(path, mode)

    with monkeypatch.context() as patch:
        patch.setattr(coco, "open", full, raising=False)
        with pytest.raises(CocoError) as error:
            coco.fetch(chosen, tmp_path / "photos", server.url, **QUICK)
    assert "No space left" in one_sentence(error)
    assert len(coco.fetch(chosen, tmp_path / "photos", server.url, **QUICK).skipped) == 0

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(CocoError) as error:
        coco.fetch(chosen, tmp_path / "other", server.url, **QUICK)
    assert "MB are needed" in one_sentence(error)
    (tmp_path / "file").write_text("")
    with pytest.raises(CocoError, match="cannot be written"):
        coco.fetch(chosen, tmp_path / "file", server.url, **QUICK)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_run_goes_on(server, index, tmp_path, how):
    folder, chosen, server.slow = tmp_path / "photos", coco.choose(index), 0.03
    child = multiprocessing.get_context("fork").Process(
        target=lambda: (os.dup2(os.open(os.devnull, os.O_WRONLY), 2), coco.fetch(chosen, folder, server.url, workers=2))
    )
    child.start()
    end = time.monotonic() + 5
    while time.monotonic() < end:  # until some are whole and some half
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
    halves = {key.removesuffix(".part"): body for key, body in left.items() if key.endswith(".part")}
    assert halves
    assert len(left) < 12 + len(halves)
    for key, body in left.items():
        if key.endswith(".part"):
            assert server.files[key.removesuffix(".part")].startswith(body)
        else:
            assert body == server.files[key]

    server.slow = 0
    server.asked.clear()
    report = coco.fetch(chosen, folder, server.url, **QUICK)
    assert {p.name for p in report.already} == {key for key in left if key.endswith(".jpg")}
    assert set(server.asked) == {p.name for p in report.fetched}
    for key, body in halves.items():
        assert server.asked[key] == [f"bytes={len(body)}-" if body else None]
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


def test_masks_of_what_is_not_there(index):
    with pytest.raises(CocoError) as error:
        coco.mask(index, 2, "zebra")
    assert "picture 2 shows no zebra here; it shows: cat, dog" in one_sentence(error)
    with pytest.raises(CocoError, match="picture 99"):
        coco.mask(index, 99, "cat")
    with pytest.raises(CocoError, match="did you mean 'zebra'"):
        coco.mask(index, 2, "zebro")
