"""What several test files need."""

import pytest
import torch
from packed_study import pack_small_study
from small_training import OF_MACHINE, make_drawn, make_world

from s2igan.config import Settings
from s2igan.demo.load import load

torch.set_num_threads(1)  # `make test` runs test files side by side
for name, value in OF_MACHINE.items():  # of the trainings in this process
    Settings.model_fields[name].default = value
    Settings.model_rebuild(force=True)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """A folder with the store of a data set drawn small, in store/, and an untrained backbone.safetensors."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("drawn")
    make_drawn(root)
    return root


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """What `make_world` makes."""
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory, drawn):
    """The root of what `pack_small_study` makes."""
    root = tmp_path_factory.mktemp("project")
    pack_small_study(root, drawn)
    return root


@pytest.fixture
def project(finished, monkeypatch):
    """The same, as the current folder."""
    monkeypatch.chdir(finished)
    return finished


@pytest.fixture(scope="session")
def pipeline(finished):
    """The packed networks of the same."""
    return load(finished / "results/reference/weights/mini-flowers")


def pytest_collection_modifyitems(items):
    """The slowest files come first, so that two processes end at about the same time."""
    slow = ("test_notebooks.py", "test_workflow.py", "test_kill.py", "test_solutions.py", "test_parallel.py")
    items.sort(key=lambda item: slow.index(item.path.name) if item.path.name in slow else len(slow))
