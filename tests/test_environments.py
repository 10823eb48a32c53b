"""pyproject.toml, constraints.txt, the conda environments and the set-up of hosted notebooks say the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from nstlib import bootstrap

tomllib = pytest.importorskip("tomllib", reason="Python 3.10 cannot read TOML")

ROOT = Path(__file__).resolve().parent.parent
CONDA_NAMES = {"pytorch": "torch", "pytorch-cpu": "torch"}
ENVIRONMENTS = ("environment.yml", "binder/environment.yml")


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def requirements(*groups: str) -> dict[str, Requirement]:
    """The package's requirements and those of the named extras, by name."""
    lines = list(project()["dependencies"])
    for group in groups:
        lines += project()["optional-dependencies"][group]
    return {need.name: need for need in map(Requirement, lines)}


def environment(name: str) -> tuple[dict[str, Requirement], list[str]]:
    """What an environment file takes from conda-forge, by PyPI's names, and what from pip."""
    data = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    assert data["name"] == "nst-course"
    assert data["channels"] == ["conda-forge", "nodefaults"]
    pip = [line for entry in data["dependencies"] if isinstance(entry, dict) for line in entry["pip"]]
    found = {}
    for entry in data["dependencies"]:
        if isinstance(entry, str) and not entry.startswith("python="):  # conda's exact pin is no PEP 440
            need = Requirement(entry)
            found[CONDA_NAMES.get(need.name, need.name)] = need
    return found, pip


def pins() -> dict[str, Requirement]:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {need.name: need for need in map(Requirement, lines)}


def test_constraints_pin_every_direct_dependency_once_and_within_its_range():
    needs = requirements("course", "dev", "onnx")
    assert set(pins()) == set(needs)
    for name, pin in pins().items():
        (spec,) = pin.specifier
        assert spec.operator == "=="
        assert spec.version in needs[name].specifier, f"{pin} is outside {needs[name]}"


def test_constraints_name_no_registry():
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert "://" not in text
    assert "index" not in text


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_environment_has_what_the_course_needs_in_the_same_ranges(name):
    found, _ = environment(name)
    known = requirements("course", "dev", "onnx")
    missing = set(requirements("course")) - set(found)
    assert not missing, f"{name} lacks {missing}"
    for package in set(found) - {"python", "pip"}:
        assert found[package].specifier == known[package].specifier, f"{name}: {found[package]}"


def test_the_environments_install_the_package_and_nothing_else_by_pip():
    assert environment("environment.yml")[1] == ["-e ."]
    assert environment("binder/environment.yml")[1] == []
    script = ROOT / "binder" / "postBuild"
    assert os.access(script, os.X_OK)
    assert "pip install --no-deps" in script.read_text(encoding="utf-8")


def test_python_agrees():
    assert str(environment("environment.yml")[0]["python"].specifier) == project()["requires-python"]
    text = (ROOT / "binder" / "environment.yml").read_text(encoding="utf-8")
    assert "- python=3.11\n" in text
    assert "3.11" in Requirement(f"python{project()['requires-python']}").specifier
    assert "pytorch-cpu" in text


def test_hosted_notebooks_install_the_same_ranges():
    wanted = {n: need for n, need in requirements("course").items() if not need.marker or need.marker.evaluate()}
    for name in (*bootstrap.PLATFORM_BRINGS, "jupyterlab"):  # Colab and Kaggle have a notebook of their own
        del wanted[name]
    assert {str(Requirement(need)) for need in bootstrap.NEEDS.values()} == {f"{n.name}{n.specifier}" for n in wanted.values()}
