"""What several test files need."""

import pytest
import torch

from s2igan import backbone, data, embedded


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """A folder with the store of a data set drawn small, in store/, and an untrained backbone.safetensors."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("drawn")
    embedded.write_dataset("mini-flowers", root / "drawn", 0, 20, 3, 5, 1, workers=1, progress=lambda line: None)
    data.build_store(
        data.read_source("mini-flowers", root / "drawn"), root / "store", crop_from=34, captions=1, voices=("en-us",), words_per_minute=300,
        seed=0, validation=0.2, workers=1, progress=lambda line: None,
    )  # fmt: skip
    torch.manual_seed(0)
    backbone.save_network(backbone.freeze(backbone.StandIn(20, {})), root / "backbone.safetensors")
    return root
