"""The set-up cell: on a hosted platform it installs what is missing and changes nothing that is installed."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from setup_cell import UNSTAMPED, check_address, read_address, setup_cell  # noqa: E402

from nstlib import bootstrap  # noqa: E402

OLD = {"torch": "2.1.0", "torchvision": "0.16.0", "numpy": "1.26.4", "matplotlib": "3.8.0", "scikit-image": "0.22.0"}
"""What the simulated platform brings. Only the metadata is made: these packages are large, and the versions old."""

WIDGETS = "7.7.5"  # really installed, because it is small; Colab has 7.7
MISSING = {"PIL", "safetensors", "tqdm", "pycocotools", "pooch"}
"""Modules that the simulated platform lacks, so that the set-up cell has something to install."""

ADDRESS = "https://github.com/someone/a-course"
HOSTS = ("COLAB_RELEASE_TAG", "KAGGLE_KERNEL_RUN_TYPE", "NST_PLATFORM", "NST_REPOSITORY", "PYTHONPATH", "NST_PROFILE")


def run(*command: object, **options: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command} failed\n{done.stdout}\n{done.stderr}"
    return done.stdout


def clean_environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in HOSTS}
    return {**kept, "OMP_NUM_THREADS": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", **more}


def link_modules(folder: Path) -> None:
    """Link the modules installed here into a folder, without the metadata by which pip would find them."""
    folder.mkdir()
    site = Path(importlib.util.find_spec("torch").origin).parent.parent
    left_out = MISSING | {"ipywidgets", "nstlib", "pip", "setuptools", "__pycache__"}
    for place in site.iterdir():
        if place.name not in left_out and place.suffix not in (".dist-info", ".egg-info", ".pth", ".egg-link"):
            (folder / place.name).symlink_to(place)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment that has old versions of the large packages and lacks the small ones."""
    folder = tmp_path_factory.mktemp("platform")
    run(sys.executable, "-m", "venv", folder / "venv")
    python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    link_modules(folder / "linked")
    (site / "linked.pth").write_text(str(folder / "linked"), encoding="utf-8")
    for name, version in OLD.items():
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
        (info / "INSTALLER").write_text("pip\n", encoding="utf-8")
        (info / "RECORD").write_text("", encoding="utf-8")
    return python


def freeze(python: Path) -> dict[str, str]:
    """Return the version of each installed package."""
    lines = run(python, "-m", "pip", "freeze", "--all", env=clean_environment()).splitlines()
    return dict(line.split("==") for line in lines)


@pytest.fixture(scope="module")
def repository_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The file URL of a git repository that holds the working tree as it is now."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this is not a git checkout")
    folder = tmp_path_factory.mktemp("repository")
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", cwd=ROOT)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    run("git", "init", "--quiet", folder)
    run("git", "-C", folder, "add", "--all")
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
    run("git", "-C", folder, *identity, "commit", "--quiet", "--message", "the working tree")
    return folder.as_uri()


@pytest.mark.slow
@pytest.mark.network
def test_colab_installs_only_what_is_missing(platform: Path, repository_url: str, tmp_path: Path):
    install_widgets = [
        platform,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--retries",
        "0",
        "--no-deps",
        f"ipywidgets=={WIDGETS}",
    ]
    if subprocess.run(install_widgets, env=clean_environment(), capture_output=True).returncode:
        pytest.skip("no package registry can be reached")
    before = freeze(platform)
    cell = tmp_path / "cell.py"
    code = f"code = {setup_cell(read_address())!r}\nexec(code)\nprint('again')\nexec(code)\n"  # run twice
    cell.write_text(code, encoding="utf-8")
    environment = clean_environment(NST_PLATFORM="colab", NST_REPOSITORY=repository_url, MPLBACKEND="agg")
    printed = run(platform, cell, cwd=tmp_path, env=environment)

    after = freeze(platform)
    assert {**OLD, "ipywidgets": WIDGETS}.items() <= before.items()
    assert before.items() <= after.items(), "something that was installed has changed"
    added = set(after) - set(before)
    assert {"pillow", "safetensors", "tqdm", "pycocotools", "pooch"} <= {name.lower() for name in added}
    assert "nstlib" not in added  # imported from its clone: installing it would install its dependencies
    assert (tmp_path / "nst-course" / "nstlib" / "bootstrap.py").is_file()
    first, again = printed.split("again\n")
    assert "installing" in first
    assert "installing" not in again
    for text in (first, again):
        assert "cpu" in text or "cuda" in text  # the device and the profile
        assert "profile" in text
        assert "compact" in text  # the extractor


def write_wheel(folder: Path, name: str, version: str, *requirements: str) -> None:
    """Write a wheel with one empty module."""
    info = f"{name}-{version}.dist-info"
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    lines += [f"Requires-Dist: {requirement}" for requirement in requirements]
    files = {
        f"{name}.py": "",
        f"{info}/METADATA": "\n".join(lines) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for file, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(file, text)


@pytest.mark.slow
def test_install_chooses_a_version_that_keeps_the_installed_numpy(platform: Path, tmp_path: Path):
    write_wheel(tmp_path, "greedy", "2.0", "numpy>=2")
    write_wheel(tmp_path, "greedy", "1.0", "numpy>=1")
    write_wheel(tmp_path, "numpy", "2.2.0")
    write_wheel(tmp_path, "newest", "1.0", "numpy>=2")
    offline = clean_environment(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path), PIP_CONFIG_FILE=os.devnull)
    script = f"""
        import runpy
        install = runpy.run_path({str(ROOT / "nstlib" / "bootstrap.py")!r})["install"]
        install(["greedy"])
        try:
            install(["newest"])
        except RuntimeError as error:
            print(error)
    """
    printed = run(platform, "-c", textwrap.dedent(script), env=offline)
    after = freeze(platform)
    assert after["greedy"] == "1.0"
    assert after["numpy"] == OLD["numpy"]
    assert "newest" not in after
    assert printed.startswith("pip could not install newest")


def test_local_set_up_starts_no_process(monkeypatch: pytest.MonkeyPatch):
    def refuse(*args: object, **options: object) -> None:
        raise AssertionError(f"the set-up cell ran {args}")

    from nstlib import course

    called = []
    for name in HOSTS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    monkeypatch.setattr(course, "setup", lambda: called.append(True))
    for place in ("subprocess.run", "subprocess.Popen", "os.system", "runpy.run_path"):
        monkeypatch.setattr(place, refuse)
    path = list(sys.path)
    exec(setup_cell(read_address()), {})
    assert called == [True]
    assert sys.path == path


@pytest.fixture
def hosted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[list[list[str]], list[str]]:
    """The commands and the files that the set-up cell would run on a hosted platform; nothing is really run."""
    from nstlib import course

    commands: list[list[str]] = []
    prepared: list[str] = []
    for name in HOSTS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(course, "setup", lambda: None)

    def clone(command: list[str], check: bool) -> None:
        commands.append(command)
        Path(command[-1]).mkdir()

    monkeypatch.setattr("subprocess.run", clone)
    monkeypatch.setattr("runpy.run_path", lambda path: {"prepare": lambda: prepared.append(path)})
    return commands, prepared


@pytest.mark.parametrize("variable", ["COLAB_RELEASE_TAG", "KAGGLE_KERNEL_RUN_TYPE", "NST_PLATFORM"])
def test_hosted_set_up_clones_the_repository_once(variable: str, monkeypatch: pytest.MonkeyPatch, hosted):
    commands, prepared = hosted
    monkeypatch.setenv(variable, "yes")
    for _ in range(2):
        exec(setup_cell(ADDRESS), {})
    assert commands == [["git", "clone", "--quiet", "--depth", "1", ADDRESS, "nst-course"]]
    assert len(prepared) == 2


def test_an_unstamped_set_up_cell_fetches_nothing_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch, hosted):
    commands, prepared = hosted
    monkeypatch.setenv("NST_PLATFORM", "colab")
    with pytest.raises(RuntimeError, match=r"no public address yet; .* tools/stamp_address.py"):
        exec(setup_cell(UNSTAMPED), {})
    assert (commands, prepared) == ([], [])
    monkeypatch.setenv("NST_REPOSITORY", "file:///a/clone")
    exec(setup_cell(UNSTAMPED), {})
    assert commands[0][-2] == "file:///a/clone"


def test_set_up_cell_is_short():
    assert len(setup_cell(ADDRESS).splitlines()) <= 14
    assert "invalid" not in setup_cell(ADDRESS)


def test_the_unstamped_address_cannot_exist():
    assert urlsplit(UNSTAMPED).hostname.endswith(".invalid")  # reserved by RFC 2606
    check_address(UNSTAMPED)


FETCHED_FROM = re.compile(
    r"git clone[^\n]*?(https?://\S+)|git\+(https?://\S+)|colab\.research\.google\.com/github/([\w.-]+/[\w.-]+)"
    r"|mybinder\.org/v2/gh/([\w.-]+/[\w.-]+)|kernels/welcome\?src=(https?://github\.com/[\w.-]+/[\w.-]+)"
    r'|NST_REPOSITORY\\?", \\?"(\w+://[^"\\]+)'
)
"""Addresses that code is run from: of clones, of packages, of notebooks opened elsewhere, of the set-up cell."""


def test_code_is_fetched_from_no_other_address():
    """Whoever registers a name that a file fetches code from could run code on the readers' machines."""
    address = read_address()
    shown = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff", "Makefile")]
    for pattern in ("docs/*.md", "binder/*", "notebooks/**/*.ipynb", "notebooks/source/*.py", ".github/**/*.yml"):
        shown += ROOT.glob(pattern)
    found = {
        next(filter(None, match.groups())).strip("`\"'")
        for path in shown
        for match in FETCHED_FROM.finditer(path.read_text(encoding="utf-8"))
    }
    assert address in found  # of the set-up cells
    assert found <= {address, address.removeprefix("https://github.com/")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(project["urls"].values()) == {address}
    assert f"repository-code: {address}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_bootstrap_imports_the_standard_library_only():
    tree = ast.parse((ROOT / "nstlib" / "bootstrap.py").read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names


def test_pins_are_valid_requirements():
    from packaging.requirements import Requirement

    pins = bootstrap.pins()
    assert {"torch", "numpy"} <= {Requirement(pin).name for pin in pins}
    assert len(pins) == len({Requirement(pin).name for pin in pins})


def test_error_names_what_the_platform_should_bring(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PYTHONPATH", "")
    with pytest.raises(RuntimeError, match="torch, torchvision, numpy"):
        bootstrap.prepare(tmp_path)
