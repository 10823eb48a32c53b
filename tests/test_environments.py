"""pyproject.toml, constraints.txt, the conda environments and the set-up of hosted notebooks agree."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from nstlib import bootstrap

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
CONDA_NAMES = {"pytorch": "torch", "pytorch-cpu": "torch"}
ENVIRONMENTS = ("environment.yml", "binder/environment.yml")


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def requirements(*groups: str) -> dict[str, Requirement]:
    """Return the requirements of the package and of the named extras, by name."""
    lines = list(project()["dependencies"])
    for group in groups:
        lines += project()["optional-dependencies"][group]
    return {requirement.name: requirement for requirement in map(Requirement, lines)}


def environment(name: str) -> tuple[dict[str, Requirement], list[str]]:
    """Return what an environment file installs from conda-forge, by the names of PyPI, and what with pip."""
    data = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    assert data["name"] == "nst-course"
    assert data["channels"] == ["conda-forge", "nodefaults"]
    pip = [line for entry in data["dependencies"] if isinstance(entry, dict) for line in entry["pip"]]
    found = {}
    for entry in data["dependencies"]:
        if isinstance(entry, str) and not entry.startswith("python="):  # an exact pin of conda is not PEP 440
            requirement = Requirement(entry)
            found[CONDA_NAMES.get(requirement.name, requirement.name)] = requirement
    return found, pip


def pins(name: str = "constraints.txt") -> dict[str, Requirement]:
    text = (ROOT / name).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {requirement.name: requirement for requirement in map(Requirement, lines)}


def test_constraints_pin_every_direct_dependency_once_and_within_its_range():
    required = requirements("course", "dev", "onnx")
    assert set(pins()) == set(required)
    for name, pin in pins().items():
        (spec,) = pin.specifier
        assert spec.operator == "=="
        assert spec.version in required[name].specifier, f"{pin} is outside {required[name]}"


def test_oldest_constraints_pin_every_lower_bound():
    """CI runs the unit tests with these versions, so that the lower bounds are known to hold."""
    required = requirements("course", "dev")  # onnx needs a later torch than the rest
    oldest = pins("constraints-oldest.txt")
    assert set(oldest) == set(required)
    for name, pin in oldest.items():
        (spec,) = pin.specifier
        (bound,) = (s.version for s in required[name].specifier if s.operator == ">=")
        assert Version(spec.version) == Version(bound), f"{pin} is not the lower bound of {required[name]}"
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    assert [str(Requirement(line)) for line in build] == [str(required["setuptools"])]


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-oldest.txt"])
def test_constraints_name_no_registry(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert "index" not in text


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_conda_environments_contain_the_course_requirements_in_the_same_ranges(name):
    found, _ = environment(name)
    all_requirements = requirements("course", "dev", "onnx")
    missing = set(requirements("course")) - set(found)
    assert not missing, f"{name} lacks {missing}"
    for package in set(found) - {"python", "pip"}:
        assert found[package].specifier == all_requirements[package].specifier, f"{name}: {found[package]}"


def test_conda_environments_install_nothing_but_the_package_with_pip():
    assert environment("environment.yml")[1] == ["-e ."]
    assert environment("binder/environment.yml")[1] == []
    script = ROOT / "binder" / "postBuild"
    assert os.access(script, os.X_OK)
    assert "pip install --no-deps" in script.read_text(encoding="utf-8")


def test_python_versions_agree():
    assert str(environment("environment.yml")[0]["python"].specifier) == project()["requires-python"]
    text = (ROOT / "binder" / "environment.yml").read_text(encoding="utf-8")
    assert "- python=3.11\n" in text
    assert "3.11" in Requirement(f"python{project()['requires-python']}").specifier
    assert "pytorch-cpu" in text


def test_hosted_notebooks_install_the_same_ranges():
    expected = {name: r for name, r in requirements("course").items() if not r.marker or r.marker.evaluate()}
    for name in (*bootstrap.PLATFORM_BRINGS, "jupyterlab"):  # Colab and Kaggle have a notebook interface of their own
        del expected[name]
    installed = {str(Requirement(line)) for line in bootstrap.NEEDS.values()}
    assert installed == {f"{requirement.name}{requirement.specifier}" for requirement in expected.values()}
