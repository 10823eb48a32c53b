"""The package as a whole: its layers, its size, what importing it loads, and its wheel."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import tokenize
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import ROOT
from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NSTLIB = ROOT / "nstlib"
PACKAGES = ("data", "feedforward", "course", "cli")
MAY_IMPORT = {
    "core": {"core"},
    "data": {"core", "data"},
    "feedforward": {"core", "data", "feedforward"},
    "course": {"core", "data", "feedforward", "course"},
    "cli": {"core", "data", "feedforward", "cli"},
}
"""Which packages the modules of each package may import. ``nstlib/__init__.py``, the public interface, is exempt."""

CORE_LINES = 2_100
"""Limit on the logical lines of code of the core."""


def module_name(path: Path) -> str:
    """Return "data.coco" for nstlib/data/coco.py, "data" for nstlib/data/__init__.py, "" for nstlib/__init__.py."""
    parts = list(path.relative_to(NSTLIB).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(NSTLIB.rglob("*.py"))}


def package_of(module: str) -> str:
    first = module.split(".")[0]
    return first if first in PACKAGES else "core"


class Import(NamedTuple):
    """One ``from x import y`` or ``import x`` within nstlib: the module, and the name taken from it."""

    module: str
    name: str


def imports_of(module: str) -> list[Import]:
    """Return the imports of modules of nstlib, also those inside functions and for type checking."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.split(".")[0] == "nstlib"]
            found += [Import(name.partition(".")[2], "") for name in names]
        elif isinstance(node, ast.ImportFrom):
            base = _base_of(node, package)
            if base is None:
                continue
            for alias in node.names:
                inner = f"{base}.{alias.name}".lstrip(".")
                found.append(Import(inner, "") if inner in MODULES else Import(base, alias.name))
    return found


def _base_of(node: ast.ImportFrom, package: str) -> str | None:
    """Return the module of nstlib that an import starts from, or None for another package."""
    if node.level == 0:
        first, _, rest = (node.module or "").partition(".")
        return rest if first == "nstlib" else None
    parts = package.split(".") if package else []
    parents = parts[: len(parts) - (node.level - 1)]
    return ".".join([*parents, *([node.module] if node.module else [])])


def imported_modules(module: str) -> set[str]:
    return {entry.module for entry in imports_of(module)} - {module, ""}


@pytest.mark.parametrize("module", [m for m in MODULES if m])
def test_modules_import_only_their_own_and_lower_packages(module):
    own = package_of(module)
    for imported in imported_modules(module):
        assert imported in MODULES, f"{module} imports {imported}, which does not exist"
        assert package_of(imported) in MAY_IMPORT[own], f"{module} ({own}) imports {imported}"


def test_no_import_cycles():
    graph = {module: imported_modules(module) for module in MODULES if module}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path, module])
        if module not in done:
            for imported in graph[module]:
                visit(imported, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def private_names_used(path: Path) -> list[str]:
    """Return the private names (_x) of nstlib that a file imports or uses as attributes of an imported module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    aliases, found = set(), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            from_nstlib = isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith("nstlib"))
            for alias in node.names:
                if from_nstlib or alias.name.split(".")[0] == "nstlib":
                    aliases.add(alias.asname or alias.name.split(".")[0])
                    if alias.name.startswith("_") and not alias.name.startswith("__"):
                        found.append(alias.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
            name = node.attr
            if name.startswith("_") and not name.startswith("__"):
                found.append(f"{node.value.id}.{name}")
    return found


USERS = [
    *MODULES.values(),
    *sorted((ROOT / "notebooks" / "source").glob("*.py")),
    *sorted((ROOT / "tools").glob("*.py")),
    *sorted((ROOT / "benchmarks").glob("*.py")),
]


@pytest.mark.parametrize("path", USERS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_private_names_are_not_used_in_other_modules(path):
    assert private_names_used(path) == []


def test_the_tests_above_can_fail(tmp_path):
    """A private import, a private attribute and a wrong direction are all found."""
    path = tmp_path / "bad.py"
    path.write_text("from nstlib.vgg import _dead_leaves\nfrom nstlib import figures\nfigures._array(1)\n")
    assert private_names_used(path) == ["_dead_leaves", "figures._array"]
    assert package_of("course.lessons") not in MAY_IMPORT["core"]
    assert "errors" in imported_modules("images")
    assert "feedforward.layers" in imported_modules("feedforward.transformer")


def code_lines(path: Path) -> tuple[int, int]:
    """Count the logical and the physical lines of code, without comments, docstrings and empty lines.

    A statement that is wrapped over several physical lines is one logical line, so that the limit below does not
    reward density.
    """
    source = path.read_text(encoding="utf-8")
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            docstrings |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    no_code = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    logical, physical = 0, set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.start[0] in docstrings:
            continue
        logical += token.type == tokenize.NEWLINE
        if token.type not in no_code:
            physical |= set(range(token.start[0], token.end[0] + 1))
    return logical, len(physical)


def test_core_stays_small(capsys):
    lines = {module: code_lines(path) for module, path in MODULES.items() if package_of(module) == "core"}
    logical, physical = (sum(counts) for counts in zip(*lines.values()))
    with capsys.disabled():
        print(f"\ncore: {logical} lines of code ({physical} as wrapped) in {len(lines)} modules, limit {CORE_LINES}")
    assert logical < CORE_LINES, lines


OPTIONAL = (
    "matplotlib ipywidgets IPython skimage pycocotools pooch scipy accelerate onnx onnxscript onnxruntime"
).split()
"""Modules of the packages that only the extras need, directly or indirectly."""


def test_import_loads_none_of_the_optional_packages():
    """A new interpreter loads only the dependencies of the core, and what these load themselves."""
    code = "import sys, nstlib\nprint(' '.join(sorted({m.split('.')[0] for m in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    loaded = set(done.stdout.split())
    assert {"torch", "numpy", "PIL", "tqdm", "nstlib"} <= loaded
    assert not loaded & set(OPTIONAL)


@pytest.mark.slow
def test_import_works_without_the_optional_packages():
    """The library and its command line import although no package of the extras can be imported."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    names = {Requirement(line).name for group in ("course", "onnx") for line in extras[group]}
    names -= {"jupyterlab"}  # an application, never imported
    assert {{"scikit-image": "skimage"}.get(name, name) for name in names} <= set(OPTIONAL)
    code = (
        f"import sys\nfor name in {OPTIONAL!r}: sys.modules[name] = None\n"
        "import nstlib, nstlib.cli.main\nprint(nstlib.__version__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_every_public_name_is_documented():
    import nstlib

    for name in nstlib.__all__:
        thing = getattr(nstlib, name)
        if callable(thing):
            assert (thing.__doc__ or "").strip(), name


def test_weights_are_small():
    weights = ROOT / "nstlib" / "weights" / "compact_vgg19.safetensors"
    assert weights.stat().st_size <= 6_000_000
    networks = list((ROOT / "nstlib" / "weights" / "networks").glob("*.safetensors"))
    assert sum(p.stat().st_size for p in networks) <= 16_000_000
    for path in networks:
        assert path.with_suffix(".md").exists(), f"{path.name} has no card"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"]
    done = subprocess.run([*command, "-w", folder, ROOT], capture_output=True, text=True)
    if "BackendUnavailable" in done.stderr or "No module named 'setuptools'" in done.stderr:
        pytest.skip("setuptools is not installed here")
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


@pytest.mark.slow
def test_wheel_is_complete_and_works_alone(wheel, tmp_path, photo, painting):
    """Unpacked into an empty folder, away from the repository, it makes a transfer."""
    from nstlib import images

    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    assert "nstlib/weights/compact_vgg19.safetensors" in names
    assert "nstlib/weights/networks/many.safetensors" in names
    assert not [n for n in names if n.startswith(("tests", "notebooks", "data", "tools"))]
    images.save(photo, tmp_path / "photo.png")
    images.save(painting, tmp_path / "painting.png")
    words = "transfer photo.png painting.png -o out.png --size 48 --steps 2 --quiet".split()
    code = (
        "import sys; sys.path.insert(0, 'site'); import nstlib; assert 'site' in nstlib.__file__\n"
        f"from nstlib.cli.main import main; sys.exit(main({words!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.png").exists()
