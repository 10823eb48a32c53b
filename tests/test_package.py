"""What the package is: small, light to import, and whole as a wheel."""

from __future__ import annotations

import subprocess
import sys
import zipfile

import pytest
from conftest import ROOT

CODE = sorted((ROOT / "nstlib").rglob("*.py"))
COURSE = set("anatomy bootstrap checks course exercises figures gallery reference widgets".split())
AROUND = set("cli cli_networks coco export models photos timing training training_config".split())


def test_the_library_stays_small():
    """The core (pictures to synthesis), what stands around it (training, commands), and the lessons' layer."""
    lines = {p.relative_to(ROOT).as_posix(): len(p.read_text().splitlines()) for p in CODE}
    assert max(lines.values()) <= 400, lines
    core, around, course = 0, 0, 0
    for name, n in lines.items():
        stem = name.rsplit("/", 1)[1].removesuffix(".py")
        course += n * (stem in COURSE)
        around += n * (stem in AROUND)
        core += n * (stem not in COURSE | AROUND)
    assert core <= 2500, (core, lines)
    assert around <= 1700, (around, lines)
    assert course <= 2400, (course, lines)


def test_importing_needs_the_core_only():
    """With everything of the extras made impossible to import, the library still imports."""
    tomllib = pytest.importorskip("tomllib")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    names = {"scikit-image": "skimage"}
    blocked = [
        "matplotlib",
        "ipywidgets",
        "IPython",
        "skimage",
        "pycocotools",
        "pooch",
        "scipy",
        "accelerate",
        "onnx",
        "onnxscript",
        "onnxruntime",
    ]
    assert {names.get(n, n) for n in ("matplotlib", "ipywidgets", "scikit-image", "pycocotools", "pooch")} <= set(
        blocked
    )
    assert extras["course"]
    code = (
        f"import sys\nfor n in {blocked!r}: sys.modules[n] = None\nimport nstlib, nstlib.cli\nprint(nstlib.__version__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_every_public_name_is_documented():
    import nstlib

    for name in nstlib.__all__:
        thing = getattr(nstlib, name)
        if callable(thing):
            assert (thing.__doc__ or "").strip(), name


def test_the_weights_are_light():
    weights = ROOT / "nstlib" / "weights" / "compact_vgg19.safetensors"
    assert weights.stat().st_size <= 6_000_000
    networks = list((ROOT / "nstlib" / "weights" / "networks").glob("*.safetensors"))
    assert sum(p.stat().st_size for p in networks) <= 16_000_000
    for path in networks:
        assert path.with_suffix(".md").exists(), f"{path.name} has no card"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-q",
        "-w",
        folder,
        ROOT,
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if "BackendUnavailable" in done.stderr or "No module named 'setuptools'" in done.stderr:
        pytest.skip("setuptools is not installed here")
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


def test_the_wheel_is_whole_and_works_alone(wheel, tmp_path, photo, painting):
    """Unpacked into an empty folder, away from the repository, it paints."""
    from nstlib import images

    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    assert "nstlib/weights/compact_vgg19.safetensors" in names
    assert "nstlib/weights/networks/many.safetensors" in names
    assert not [n for n in names if n.startswith(("tests", "notebooks", "data", "tools"))]
    images.save(photo, tmp_path / "photo.png")
    images.save(painting, tmp_path / "painting.png")
    words = [
        "transfer",
        "photo.png",
        "painting.png",
        "-o",
        "out.png",
        "--size",
        "48",
        "--steps",
        "2",
        "--quiet",
    ]
    code = (
        "import sys; sys.path.insert(0, 'site'); import nstlib; assert 'site' in nstlib.__file__\n"
        f"from nstlib.cli import main; sys.exit(main({words!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.png").exists()
