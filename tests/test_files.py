"""Files are written whole or not at all, and only where a file belongs."""

from __future__ import annotations

import os
import resource
import stat
from pathlib import Path

import pytest

from nstlib.errors import FileError
from nstlib.files import check_place, try_place, write_atomically


def test_a_full_disk_keeps_the_old_file(tmp_path):
    """A limit on the size of files stands for the full disk: the write fails after some bytes."""
    path = write_atomically(tmp_path / "a.bin", b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(FileError, match="cannot be written"):
            write_atomically(path, bytes(1_000_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_an_interrupt_keeps_the_old_file(tmp_path, monkeypatch):
    path = write_atomically(tmp_path / "a.bin", b"old")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("read_only", ["folder", "file"])
def test_what_is_read_only_stays_as_it_is(tmp_path, monkeypatch, read_only):
    path = write_atomically(tmp_path / "a.bin", b"old")
    protected = {"folder": tmp_path, "file": path}[read_only]
    access = os.access
    # root may write everywhere, so that the answer of the system is replaced
    monkeypatch.setattr(os, "access", lambda place, mode: Path(place) != protected and access(place, mode))
    with pytest.raises(FileError, match="Permission denied"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"


def test_a_symbolic_link_stays_one(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "real")
    (tmp_path / "dangling").symlink_to(tmp_path / "new" / "real")
    assert write_atomically(tmp_path / "link", b"new") == tmp_path / "link"
    assert write_atomically(tmp_path / "dangling", b"new") == tmp_path / "dangling"
    for name in ("link", "dangling"):
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / name).read_bytes() == b"new"


def test_permissions(tmp_path):
    path = write_atomically(tmp_path / "a.bin", b"old")
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    path.chmod(0o640)
    write_atomically(path, b"new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_the_longest_name(tmp_path):
    """The temporary name was longer, and too long."""
    for name in ("a" * 255, "\u00e4" * 127):
        assert write_atomically(tmp_path / name, b"x").read_bytes() == b"x"


@pytest.mark.parametrize(
    "name",
    ["", ".", "/", "folder", "pipe", "loop", "file/x", "file/x/y", "a" * 300, "new/" + "a" * 300, "a\0b", "a\ud800"],
)
def test_error_where_no_file_can_be(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    os.mkdir("folder")
    os.mkfifo("pipe")  # for a device; a rename replaced it by a file
    os.symlink("loop", "loop")
    Path("file").write_text("old")
    with pytest.raises(FileError) as caught:
        write_atomically(name, b"new")
    message = str(caught.value)
    assert message.isprintable()
    assert message.endswith(".")
    assert {"folder", "pipe", "loop", "file"} <= set(os.listdir())
    assert stat.S_ISFIFO(os.stat("pipe").st_mode)
    assert Path("file").read_text() == "old"
    assert not list(tmp_path.rglob(".*"))


def test_devices_are_refused_before_anything_is_written():
    with pytest.raises(FileError, match="device"):
        check_place("/dev/null")


def test_a_trial_notices_a_place_that_only_says_that_it_can_be_written(tmp_path):
    """/proc does, for root; elsewhere the permissions already tell."""
    for place in ("/proc/x.png", "/proc/new/x.png", tmp_path / "new" / ("a" * 300)):
        with pytest.raises(FileError, match="cannot be written"):
            try_place(place)
    assert os.listdir(tmp_path) == []


def test_a_trial_leaves_nothing_behind(tmp_path):
    assert try_place(tmp_path / "new" / "newer" / "a.png") == tmp_path / "new" / "newer" / "a.png"
    assert os.listdir(tmp_path) == []
    (tmp_path / "a.png").write_bytes(b"old")
    assert try_place(tmp_path / "a.png").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.png"]


@pytest.mark.parametrize("path", [None, 5, b"a.png"])
def test_errors_for_what_is_no_path(path):
    for call in (check_place, try_place, lambda p: write_atomically(p, b"x")):
        with pytest.raises(FileError, match="give a path"):
            call(path)
