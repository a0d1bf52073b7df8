"""The data sets of the study. A data set is a row of a table; `data/sources.py` reads its folder."""

from __future__ import annotations

# synthetic: drawn and spoken here from a seed, so it needs no folder.
# downloadable: DOWNLOAD=1 downloads what its folder lacks.
DATASETS: dict[str, dict[str, bool]] = {
    "mini-birds": {"synthetic": True, "downloadable": False},
    "mini-flowers": {"synthetic": True, "downloadable": False},
    "cub": {"synthetic": False, "downloadable": True},
    "oxford": {"synthetic": False, "downloadable": True},
    "folder": {"synthetic": False, "downloadable": False},
}
SYNTHETIC = tuple(name for name, row in DATASETS.items() if row["synthetic"])
DOWNLOADABLE = tuple(name for name, row in DATASETS.items() if row["downloadable"])
