"""Losses of batches for `hashers.deep.DeepHash`: one loss, one class."""

from hashers.deep.losses.base import HashLoss, Pairs, PairSource
from hashers.deep.losses.cauchy import DCH, MMHH
from hashers.deep.losses.contrastive import DSH
from hashers.deep.losses.dmdh import DMDH
from hashers.deep.losses.greedyhash import GreedyHash
from hashers.deep.losses.likelihood import DHN, DPSH, HashNet
from hashers.deep.losses.mihash import MIHash
from hashers.deep.losses.talr import TALR
from hashers.deep.losses.triplet import TripletLoss

__all__ = [
    "DCH",
    "DHN",
    "DMDH",
    "DPSH",
    "DSH",
    "LOSSES",
    "MMHH",
    "TALR",
    "GreedyHash",
    "HashLoss",
    "HashNet",
    "MIHash",
    "PairSource",
    "Pairs",
    "TripletLoss",
    "get",
]

LOSSES: dict[str, type[HashLoss]] = {
    "dpsh": DPSH,
    "dhn": DHN,
    "dsh": DSH,
    "hashnet": HashNet,
    "greedyhash": GreedyHash,
    "dch": DCH,
    "mmhh": MMHH,
    "triplet": TripletLoss,
    "mihash": MIHash,
    "talr": TALR,
    "dmdh": DMDH,
}


def get(loss):
    """The loss of a name, or the loss itself.

    Parameters
    ----------
    loss : str or HashLoss
        A key of `LOSSES`, or an object with settings of your own.

    Returns
    -------
    loss : HashLoss

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> get("dsh")
    DSH()
    >>> get(DSH(margin=1.0)).margin
    1.0
    """
    if isinstance(loss, HashLoss):
        return loss
    if isinstance(loss, str) and loss in LOSSES:
        return LOSSES[loss]()
    raise ValueError(
        f"loss must be one of {', '.join(LOSSES)}, or a HashLoss such as hashers.deep.losses.DSH(margin=1.0): {loss!r}."
    )
