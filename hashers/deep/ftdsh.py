"""FTDSH: codes from triplets, eight bits at a time, with a net for each group of bits.

B. Zhuang, G. Lin, C. Shen and I. Reid, "Fast training of triplet-based deep binary embedding networks", CVPR 2016. The
codes are those of `bqp.codes.triplets`, where each bit is the exact binary quadratic program of the triplet loss.
"""

from hashers.deep.base import NetFeatures
from hashers.methods.triplet import TripletHash

__all__ = ["FTDSH"]


class FTDSH(NetFeatures, TripletHash):
    """Two-step hashing from triplets with nets.

    Minimises ``sum_t w_t max(0, margin q - (d(a, n) - d(a, p)))`` over triplets of an anchor, a positive and a
    negative. With labels or pairs, triplets are drawn.

    Parameters
    ----------
    n_bits : int
        Code length.
    function : HashFunction or classifier, optional
        Step 2; default `NetFunction()`. Images: ``NetFunction(image_shape=(28, 28))``. Cloned.
    margin : float
        How much farther the negative should be, as a share of the bits.
    coupled : bool, optional
        Whether a net is trained for each group of bits as soon as it is learned, and the distances of the next group
        start from what the nets give. Default: only in published mode. False: all codes first, then one net for all
        bits.
    group_size : int
        Bits a group.
    n_per_anchor : int, optional
        Triplets drawn for each point, where none are given; default 100 (published: 500).
    solver : str or solver object
        Solver of a bit, see `bqp.codes.triplets`.
    mode : {"default", "published"}
        "published": greedy blocks, one pass of cuts, no cycles; coupled.
    n_jobs : int, optional
        Threads of the code learner.
    random_state : int, RandomState instance or None
        Seeds codes and nets; an int gives the same model at each fit.
    verbose : int
        1 shows a bar on the standard error stream.
    unlabeled : object
        Label that marks an unknown one in `fit`; None takes every label as a class.

    Attributes
    ----------
    codes_ : ndarray of shape (n_samples, n_bits), int8
        Learned codes of the training points; a point without supervision has the code that the nets give it.
    result_ : bqp.codes.CodeResult
        Objective, proven bounds, trace.
    function_ : HashFunction
        Fitted functions.
    n_bits_, n_features_in_ : int

    Notes
    -----
    The paper fine-tunes one VGG net with the bits of the present group as its outputs; here each group has a net of its
    own, so that the bits of earlier groups stay what later distances took them for. ``coupled=True`` in default mode
    trains nets again in the cycles, and replaces a group only where its new net lowers the loss.

    One net for all bits (default) costs a quarter of the training of four groups of eight, and shares its layers.

    References
    ----------
    Zhuang, Lin, Shen and Reid, "Fast training of triplet-based deep binary embedding networks", CVPR 2016.

    Examples
    --------
    >>> hasher = FTDSH(n_bits=16, mode="published", random_state=0)
    >>> hasher.group_size, hasher.margin
    (8, 0.5)
    """

    def __init__(
        self,
        n_bits=32,
        function=None,
        margin=0.5,
        coupled=None,
        group_size=8,
        n_per_anchor=None,
        solver="auto",
        mode="default",
        n_jobs=None,
        random_state=None,
        verbose=0,
        unlabeled=-1,
    ):
        super().__init__(
            n_bits=n_bits,
            function=function,
            margin=margin,
            coupled=coupled,
            group_size=group_size,
            n_per_anchor=n_per_anchor,
            solver=solver,
            mode=mode,
            n_jobs=n_jobs,
            random_state=random_state,
            verbose=verbose,
            unlabeled=unlabeled,
        )

    @property
    def _is_coupled(self):
        return self.mode == "published" if self.coupled is None else self.coupled
