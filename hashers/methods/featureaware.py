"""Codes chosen for the features: what a bit is asked to tell apart is what its function can tell apart.

An estimator of our own, out of known parts: codes from labels (F. Shen et al., CVPR 2015, and `bqp.codes`), average
precision of relaxed codes by soft histograms (He, Cakir, Bargal and Sclaroff, "Hashing as tie-aware learning to rank",
CVPR 2018), and out-of-fold scores (stacking: Wolpert, Neural Networks 1992).
"""

import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
from sklearn.base import clone

from hashers.base import Hasher, _seed_unset
from hashers.functions import KernelFunction
from hashers.functions.base import as_function, check_count
from hashers.methods._score_codes import ScoreSpace
from hashers.methods._score_search import search
from hashers.targets import confusion_similarity, label_vectors, out_of_fold_scores

__all__ = ["FeatureAwareHash"]

SHARES = (1.0, 0.5, 0.0)

N_ANCHORS = 2000
"""Anchors of the default function."""

FEW_GROUPS, MOST_GROUPS = 100, 1000
"""Groups up to which every code learner gives a start, and up to which those do that learn from pairs of groups."""

EXACT_UP_TO = 15
"""Groups up to which bits of starts are enumerated: 2^20 codes of a bit take longer than all ascents."""

ALPHAS = (0.5, 0.0)
"""Exponents, beside 1, of the number of points of a group as its weight."""

UNEVEN = 2
"""How much larger the largest group is than the smallest where these weights are tried."""


class FeatureAwareHash(Hasher):
    """Codes that raise the average precision of out-of-fold hash codes.

    1. Scores F of every label for points that the function has not seen: leave-one-out in closed form, or out of
    fold. 2. Class codes as starts: from labels (groups of n_g points weighted by n_g, and where groups differ in size
    by n_g^0.5 and n_g^0 too), from confusions of F, and from other learners. 3. From each start, the projection P
    of scores to bits is improved by stochastic ascent of the average precision of tanh(F P). The highest is taken, and
    ascents on some of the training points, judged on others, say how far to go, whether to keep P, its class codes, or
    their middle, and whether all this beats the best start. 4. The function is fitted: to the targets that P gives each
    label or, where the function takes codes only, to class codes.

    Parameters
    ----------
    n_bits : int
        Code length.
    function : HashFunction or classifier, optional
        As in `TSH`. Functions that take targets (`KernelFunction`, ``LinearFunction(solver="ridge")``, scikit-learn
        regressors) get real ones; any other is fitted to class codes chosen by the scores of `scorer`. Default:
        ``KernelFunction(n_anchors=2000)``, twice the usual anchors.
    scorer : HashFunction or classifier, optional
        Gives the out-of-fold scores. Default: `function` where it takes targets, else the default function.
    n_folds : int
        Folds of the out-of-fold scores, at least 2; `KernelFunction` leaves out one point at a time instead.
    n_steps : int
        Steps of an ascent; 0 keeps the best start.
    n_jobs : int, optional
        Threads of the code learners and of the evaluation; the result does not depend on it.
    random_state : int, RandomState instance or None
        Folds, hold-out, batches, and the function.
    verbose : int
        1 shows on the standard error stream what is being done.
    unlabeled : object
        Label that marks an unknown one; None takes every label as a class.

    Attributes
    ----------
    codes_ : ndarray of shape (n_samples, n_bits), int8
        Codes of perfect scores: one a class or label set; an unlabelled point has the code that the function gives it.
    selection_ : list of dict
        What was compared. ``start``: "labels" ("labels^0.5" and "labels^0" by the weights), "sdh", "confusion", "hbmp",
        "lfh". ``rate`` of the ascent, 0 without one. ``share``: 1 real targets, 0 class codes. ``map``: of codes of
        training points, with scores that have not seen them; after an ascent on other points or, where ``seen``, on
        these, which is a few hundredths too much and compares starts only. ``gain`` in standard errors of the paired
        difference: of a start over the first one, of an ascent on other points over the best start; two are asked for.
        ``chosen``: one of the rows. Below 20 points nothing is compared: "labels" is taken and ``map`` is None.
    result_ : bqp.codes.CodeResult
        ``objective`` is 1 - MAP of out-of-fold codes on all training points (a little optimistic, see `selection_`);
        ``ksh_objective`` and its bound are those of `codes_`. The trace holds 1 - relaxed MAP of the last ascent.
    function_ : HashFunction
    n_bits_, n_features_in_ : int

    Raises
    ------
    ValueError
        In `fit_pairs` and `fit_similarity`: labels are needed.

    Notes
    -----
    Everything is chosen on training points. Time at n points and L labels: scores (a fit and its leave-one-out margins,
    or `n_folds` fits), the code learners, and up to eleven ascents of `n_steps` at O(500,000 q) a step (below 3,000
    points fifteen, of smaller steps). Memory O(n L + C L) for C groups, beside the function. From 1,001 groups on only
    codes that predict labels ("sdh") are a start.

    The gain over TSH with the same function is what confused classes leave: see docs/hashers.md for figures. It lies in
    the order of the ranking, not in accuracy: bits are spent so that points of confused classes stay near to each
    other, and margins of doubtful points cross zero in few bits.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> hasher = FeatureAwareHash(n_bits=16, random_state=0).fit(X[:500], y[:500])
    >>> hasher.transform(X[500:]).shape
    (1297, 16)
    >>> [row["start"] for row in hasher.selection_ if row["rate"] == 0]
    ['labels', 'sdh', 'confusion', 'hbmp', 'lfh']
    """

    _needs_labels = True

    def __init__(
        self,
        n_bits=32,
        function=None,
        scorer=None,
        n_folds=5,
        n_steps=200,
        n_jobs=None,
        random_state=None,
        verbose=0,
        unlabeled=-1,
    ):
        self.n_bits = n_bits
        self.function = function
        self.scorer = scorer
        self.n_folds = n_folds
        self.n_steps = n_steps
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.unlabeled = unlabeled

    def _learn(self, X, S, function, n_bits, n_jobs, rng, progress):
        for name, least in (("n_folds", 2), ("n_steps", 0)):
            check_count(getattr(self, name), name, least)
        began = time.perf_counter()
        labels = label_vectors(S)
        known = np.asarray(S.known)
        everyone = bool(known.all())
        rows, inside = (X, S) if everyone else (X[known], S.restrict(np.flatnonzero(known)))
        seeds = np.random.default_rng(rng).integers(2**31, size=4)
        fold_seed, split_seed, batch_seed, scorer_seed = (int(seed) for seed in seeds)

        real = function.takes_targets
        scorer = self._scorer(function, real, scorer_seed)
        design = scorer.design(rows)
        scores = design.leave_one_out((2 * labels[inside.groups] - 1).astype(np.int8))
        if scores is None:
            scores = out_of_fold_scores(scorer, rows, labels, inside.groups, self.n_folds, fold_seed)
        own = real and self.scorer is None
        progress.say(f"out-of-fold scores of {labels.shape[1]} labels in {time.perf_counter() - began:.2f} s")
        space = ScoreSpace(scores, inside, labels)
        result, starts = _starts(inside, scores, n_bits, n_jobs, rng, progress.callback, own)
        choice = search(space, starts, SHARES if own else SHARES[-1:], self.n_steps, split_seed, batch_seed, n_jobs)
        self.selection_ = choice.rows
        progress.say(f"chosen: {next(row for row in choice.rows if row['chosen'])}")

        codes = space.codes(choice.P) if choice.rate else starts[choice.start]
        B = codes[S.groups].astype(np.int8)
        result = replace(_result(result, inside, B[known], space, choice, began), B=B)
        if choice.share:
            return result, design.fit_targets((space.ideal @ choice.P)[inside.groups])
        return result, design.fit(B[known]) if own else function.fit(rows, B[known])

    def _default_function(self):
        return KernelFunction(n_anchors=N_ANCHORS)

    def _scorer(self, function, real, seed):
        """The unfitted function of the out-of-fold scores."""
        if self.scorer is None and real:
            return clone(function)
        scorer = self._default_function() if self.scorer is None else as_function(self.scorer)
        _seed_unset(scorer, seed)
        return scorer


def _starts(S, scores, n_bits, n_jobs, rng, callback, own):
    """The first learner's result, which has bounds for S, and codes of the groups by the name of their learner.

    Learners whose codes do not follow the similarity are left out unless the function gives the scores itself (`own`):
    which of their codes another function can keep, a scorer does not tell.

    No kicks, and no enumeration over many groups: what they take off the objective is small beside what the ascent
    adds, and they cost seconds.
    """
    from bqp import codes, supervision

    arguments = {"n_bits": n_bits, "rng": rng, "callback": callback}
    fast = {"n_kicks": 0, "exact_up_to": EXACT_UP_TO}
    learners = {}
    if S.n_groups <= MOST_GROUPS:
        learners["labels"] = lambda **more: codes.learn(S, n_jobs=n_jobs, **arguments, **fast, **more)
    if own or not learners or np.ndim(S.classes) == 2:
        learners["sdh"] = lambda **more: codes.discrete_cyclic(S, n_jobs=n_jobs, **arguments, **more)
    if S.n_groups <= MOST_GROUPS:
        soft = confusion_similarity(scores, S)
        learners["confusion"] = lambda **more: codes.learn(soft, n_jobs=n_jobs, **arguments, **fast, **more)
    if own and S.n_groups <= FEW_GROUPS:
        learners["hbmp"] = lambda **more: codes.matrix_pursuit(S, n_jobs=n_jobs, **arguments, **more)
        learners["lfh"] = lambda **more: codes.latent_factor(S, **arguments, **more)
    results = [learner(certify="auto" if k == 0 else False) for k, learner in enumerate(learners.values())]
    starts = {name: _by_group(result.B, S) for name, result in zip(learners, results)}
    mass = np.bincount(S.groups, minlength=S.n_groups)
    if S.n_groups <= MOST_GROUPS and mass.max() > UNEVEN * mass[mass > 0].min():
        for alpha in ALPHAS:
            weights = np.where(mass > 0, np.maximum(mass, 1) ** alpha, 0.0)
            each = supervision.from_groups(np.arange(S.n_groups), S.T, weights=weights)
            starts[f"labels^{alpha:g}"] = codes.learn(each, n_jobs=n_jobs, certify=False, **arguments, **fast).B
    return results[0], starts


def _by_group(B, S):
    """Codes by group, from the first point of each; groups without points get +1."""
    codes = np.ones((S.n_groups, B.shape[1]), dtype=np.int8)
    groups, first = np.unique(S.groups, return_index=True)
    codes[groups] = B[first]
    return codes


def _result(first, S, B, space, choice, began):
    """The code result, with the bound that a learner proved for S."""
    from bqp.codes.result import CodeTrace

    course = choice.course
    ends = np.linspace(0, len(course), min(20, len(course)) + 1).astype(int)
    means = [float(1 - course[a:b].mean()) for a, b in pairwise(ends)]
    elapsed = time.perf_counter() - began
    rows = [(elapsed * (k + 1) / len(means), int(ends[k + 1]), value) for k, value in enumerate(means)]
    order = np.random.default_rng(0).permutation(len(space))
    return replace(
        first,
        B=B,
        objective=float(1 - space.average_precision(choice.P, order).mean()),
        lower_bound=0.0,
        ksh_objective=S.ksh_objective(B),
        loss="average_precision",
        method="feature_aware",
        trace=CodeTrace.from_rows(rows),
        bits=(),
        weights=None,
        time=elapsed,
        stats={"chosen": {"start": choice.start, "rate": choice.rate, "share": choice.share}},
    )
