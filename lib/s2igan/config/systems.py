"""The systems of the study: what each one is made of. A system is a row of a table."""

from __future__ import annotations

from typing import Any

DATASETS = ("mini-birds", "mini-flowers", "cub", "oxford", "folder")
SYNTHETIC = ("mini-birds", "mini-flowers")
DOWNLOADABLE = ("cub", "oxford")  # can be downloaded
# What turns a caption into a vector. `text`: the caption is read by a char-CNN-RNN; the others hear it.
SEN_SYSTEMS: dict[str, dict[str, Any]] = {
    "SEN": {"distinctive": True, "text": False},
    "SEN w/o L_d": {"distinctive": False, "text": False},
    "text encoder": {"distinctive": True, "text": True},
}
# The systems of the paper's tables (its Tables 1 and 2). `sen` names the embedding
# that conditions the generator; None: the speech encoder starts untrained and learns in the same run, with the generator's loss alone
# or (`matching`) with SEN's losses as well.
RDG_SYSTEMS: dict[str, dict[str, Any]] = {
    "S2IGAN": {"sen": "SEN", "dense": True, "relation": True, "matching": False},
    "S2IGAN w/o Dense": {"sen": "SEN", "dense": False, "relation": True, "matching": False},
    "S2IGAN w/o RS": {"sen": "SEN", "dense": True, "relation": False, "matching": False},
    "S2IGAN w/o SEN": {"sen": None, "dense": True, "relation": True, "matching": False},
    "S2IGAN end-to-end": {"sen": None, "dense": True, "relation": True, "matching": True},
    "S2IGAN w/o L_d": {"sen": "SEN w/o L_d", "dense": True, "relation": True, "matching": False},
    "StackGAN-v2 (S2IG)": {"sen": "SEN", "dense": False, "relation": False, "matching": False},
    "StackGAN-v2 (T2IG)": {"sen": "text encoder", "dense": False, "relation": False, "matching": False},
}
REFERENCE_SYSTEMS = ("SEN", "SEN w/o L_d", "text encoder", "S2IGAN")  # of which results/reference/weights has networks
DEFAULT_SYSTEMS = ("S2IGAN", "S2IGAN w/o L_d")  # what `make study` trains; `make study-full` trains all
