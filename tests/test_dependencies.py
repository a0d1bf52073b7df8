"""The dependency lists agree: pyproject.toml, requirements.lock, environment.yml."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]


def locked() -> list[Requirement]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return [Requirement(line) for line in lines if line.strip() and not line.lstrip().startswith("#")]


def test_lock_holds_exact_versions_and_no_addresses():
    assert "://" not in (ROOT / "requirements.lock").read_text()
    for requirement in locked():
        assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), requirement
        assert requirement.url is None


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_lock_has_every_dependency_in_range(python):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    where = {
        "python_version": python,
        "python_full_version": f"{python}.5",
        "sys_platform": "linux",
        "platform_machine": "x86_64",
    }
    versions = {}
    for requirement in locked():
        if requirement.marker is None or Marker(str(requirement.marker)).evaluate(where):
            assert requirement.name not in versions, f"{requirement.name} is locked twice for Python {python}"
            versions[requirement.name] = str(requirement.specifier).removeprefix("==")
    for line in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        wanted = Requirement(line)
        assert wanted.specifier.contains(versions[wanted.name]), (
            f"{line}, but {versions[wanted.name]} is locked for Python {python}"
        )


def test_conda_installs_the_lock_and_nothing_else():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    python, pip, section = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert python.removeprefix("python ") == project["requires-python"]
    assert pip == "pip"
    assert section == {"pip": ["-r requirements.lock", "-e ."]}
