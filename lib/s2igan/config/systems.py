"""The systems of the study: what each one is made of. A system is one row of a table; a new system needs nothing else.

A row says how the system differs from the paper's SEN or S2IGAN. `paper`: the system stands in the paper's tables,
so `make study-full` trains it. Others are trained when they are named.
"""

from __future__ import annotations

from typing import Any


def sen_system(*, distinctive: bool = True, text: bool = False) -> dict[str, Any]:
    """One way to turn a caption into a vector.

    Args:
        distinctive: trained with the distinctive loss L_d.
        text: a char-CNN-RNN reads the written caption; otherwise a speech encoder takes the spoken one.
    """
    return dict(distinctive=distinctive, text=text)


def rdg_system(
    *, sen: str | None = "SEN", matching: bool = False, dense: bool = True, relation: bool = True,
    loss: str = "non-saturating", paper: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """One way to turn a vector into an image.

    Args:
        sen: the embedding that conditions the generator, a row of SEN_SYSTEMS. None: the speech encoder starts
            untrained and learns in the same run, from the generator's loss.
        matching: that encoder learns from SEN's losses as well.
        dense: the generator has dense links between its stages.
        relation: the relation supervisor takes part.
        loss: the adversarial loss, by its name in losses.py.
    """
    return dict(sen=sen, matching=matching, dense=dense, relation=relation, loss=loss, paper=paper)


SEN_SYSTEMS: dict[str, dict[str, Any]] = {
    "SEN": sen_system(),
    "SEN w/o L_d": sen_system(distinctive=False),
    "text encoder": sen_system(text=True),
}
RDG_SYSTEMS: dict[str, dict[str, Any]] = {
    "S2IGAN": rdg_system(),
    "S2IGAN w/o Dense": rdg_system(dense=False),
    "S2IGAN w/o RS": rdg_system(relation=False),
    "S2IGAN w/o SEN": rdg_system(sen=None),
    "S2IGAN end-to-end": rdg_system(sen=None, matching=True),
    "S2IGAN w/o L_d": rdg_system(sen="SEN w/o L_d"),
    "StackGAN-v2 (S2IG)": rdg_system(dense=False, relation=False),
    "StackGAN-v2 (T2IG)": rdg_system(sen="text encoder", dense=False, relation=False),
    "S2IGAN hinge": rdg_system(loss="hinge", paper=False),
}
PAPER_SYSTEMS = tuple(name for name, row in RDG_SYSTEMS.items() if row["paper"])  # in its Tables 1 and 2
REFERENCE_SYSTEMS = ("SEN", "SEN w/o L_d", "text encoder", "S2IGAN")  # results/reference/weights has networks of them
DEFAULT_SYSTEMS = ("S2IGAN", "S2IGAN w/o L_d")  # what `make study` trains
