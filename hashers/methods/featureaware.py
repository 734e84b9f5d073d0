"""Codes chosen for the features: what a bit is asked to tell apart is what its function can tell apart.

An estimator of our own, out of known parts: codes from labels (F. Shen et al., CVPR 2015, and `bqp.codes`), average
precision of relaxed codes by soft histograms (He, Cakir, Bargal and Sclaroff, "Hashing as tie-aware learning to rank",
CVPR 2018), and out-of-fold scores (stacking: Wolpert, Neural Networks 1992).
"""

import time
from dataclasses import replace
from itertools import pairwise
from numbers import Integral

import numpy as np
from sklearn.base import clone

from hashers.base import Hasher, _seed_unset
from hashers.functions.base import as_function
from hashers.methods._score_codes import ScoreSpace
from hashers.targets import confusion_similarity, label_vectors, out_of_fold_scores

__all__ = ["FeatureAwareHash"]

RATES = (0.1, 0.3)
SHARES = (1.0, 0.5, 0.0)
N_PARTS, MANY_POINTS, MOST_HELD_OUT = 4, 3000, 3000
"""Parts of the training points; each is held out in turn, from MANY_POINTS on only two of them."""

CLEARLY = 2
"""Standard errors by which an ascent must beat the best start on held-out points."""

FEWEST_POINTS = 20
"""Points below which nothing is held out, and the codes are those of the labels."""

MOST_GROUPS = 1000
"""Groups up to which codes are learned from pairs of them; beyond, only codes that predict labels."""


class FeatureAwareHash(Hasher):
    """Codes that raise the average precision of out-of-fold hash codes.

    1. Out-of-fold scores F of every label, from the function itself. 2. Class codes from labels, from out-of-fold
    confusions, and (label sets) codes that predict the labels, as starts. 3. From each, the projection P of scores to
    bits is improved by stochastic ascent of the average precision of tanh(F P), on scores of one part of the training
    points; the other part chooses the start, how far to go, and whether to keep P, its class codes, or their middle.
    4. P is improved again on all points, and the function is fitted: to the targets that P gives each label or, where
    the function takes codes only, to class codes.

    Parameters
    ----------
    n_bits : int
        Code length.
    function : HashFunction or classifier, optional
        As in `TSH`. Functions that take targets (`KernelFunction`, ``LinearFunction(solver="ridge")``, scikit-learn
        regressors) get real ones; any other is fitted to class codes chosen by the scores of `scorer`.
    scorer : HashFunction or classifier, optional
        Gives the out-of-fold scores. Default: `function` where it takes targets, else `KernelFunction()`.
    n_folds : int
        Folds of the out-of-fold scores, at least 2.
    n_steps : int
        Steps of an ascent; 0 keeps the codes of the labels.
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
        What was compared: ``start`` ("labels", "confusion", "sdh"), ``rate`` (of the ascent; 0 without one), ``share``
        (1 real targets, 0 class codes), ``map`` (of out-of-fold codes of held-out training points), ``gain`` (over the
        best start, in standard errors of the paired difference; None, like ``map``, below 20 points), ``chosen``.
        Ascents from the start that loses are judged on half of the held-out points.
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
    Everything is chosen on training points. Time: ``n_folds + 1`` fits of L labels, the code learner, and seven ascents
    of `n_steps`, O(500,000 q) a step (below 3,000 points thirteen ascents of smaller steps). Memory O(n L + C L) for L
    labels and C groups, beside the function.

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
    ['labels', 'confusion']
    """

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
            _check_count(getattr(self, name), name, least)
        began = time.perf_counter()
        labels = label_vectors(S)
        known = np.asarray(S.known)
        everyone = bool(known.all())
        rows, inside = (X, S) if everyone else (X[known], S.restrict(np.flatnonzero(known)))
        seeds = np.random.default_rng(rng).integers(2**31, size=4)
        fold_seed, split_seed, batch_seed, scorer_seed = (int(seed) for seed in seeds)

        real = function.takes_targets
        scorer = self._scorer(function, real, scorer_seed)
        scores = out_of_fold_scores(scorer, rows, labels, inside.groups, self.n_folds, fold_seed)
        progress.say(f"out-of-fold scores of {labels.shape[1]} labels in {time.perf_counter() - began:.2f} s")
        space = ScoreSpace(scores, inside, labels)
        results = _starts(inside, scores, n_bits, n_jobs, rng, progress.callback)
        starts = {name: _by_group(result.B, inside) for name, result in results.items()}
        shares = SHARES if real and self.scorer is None else SHARES[-1:]
        self.selection_ = _compare(space, starts, shares, self.n_steps, split_seed, batch_seed, n_jobs)
        chosen = next(row for row in self.selection_ if row["chosen"])
        progress.say(f"chosen: {chosen}")

        P, course = space.projection(starts[chosen["start"]]), np.empty(0)
        codes, targets = starts[chosen["start"]], None
        if chosen["rate"]:
            P, course = space.ascend(P, np.arange(len(space)), chosen["rate"], self.n_steps, batch_seed)
            P = space.mixed(P, chosen["share"])
            codes = space.codes(P)
            targets = space.ideal @ P if chosen["share"] else None
        B = codes[S.groups].astype(np.int8)
        result = _result(results, inside, B[known], space, P, course, began, chosen)
        if targets is None:
            return replace(result, B=B), function.fit(rows, B[known])
        return replace(result, B=B), function.fit_targets(rows, targets[inside.groups])

    def _scorer(self, function, real, seed):
        """The unfitted function of the out-of-fold scores."""
        if self.scorer is None and real:
            return clone(function)
        scorer = as_function(self.scorer)
        _seed_unset(scorer, seed)
        return scorer


def _check_count(value, name, least):
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}: {value!r}.")


def _starts(S, scores, n_bits, n_jobs, rng, callback):
    """Results of code learners by name; the first has bounds for S.

    No kicks: what they take off the objective is small beside what the ascent adds, and they cost seconds.
    """
    from bqp import codes

    arguments = {"n_bits": n_bits, "rng": rng, "n_jobs": n_jobs}
    results = {}
    is_set = S.classes is not None and np.ndim(S.classes) == 2
    many = S.n_groups > MOST_GROUPS
    if is_set or many:
        results["sdh"] = codes.discrete_cyclic(S, callback=callback, **arguments)
    if not many:
        results["labels"] = codes.learn(S, callback=callback, n_kicks=0, certify="auto", **arguments)
    if not (is_set or many):
        soft = confusion_similarity(scores, S)
        results["confusion"] = codes.learn(soft, callback=callback, n_kicks=0, certify=False, **arguments)
    return results


def _by_group(B, S):
    """Codes by group, from the first point of each; groups without points get +1."""
    codes = np.ones((S.n_groups, B.shape[1]), dtype=np.int8)
    groups, first = np.unique(S.groups, return_index=True)
    codes[groups] = B[first]
    return codes


def _compare(space, starts, shares, n_steps, split_seed, batch_seed, n_jobs):
    """The table of candidates by MAP of held-out points: all starts on half of the parts, the best one on all."""
    candidates = [(name, 0.0, 0.0) for name in starts]
    if len(space) < FEWEST_POINTS:
        return [_row(key, None, None, k == 0) for k, key in enumerate(candidates)]
    parts = np.array_split(np.random.default_rng(split_seed).permutation(len(space)), N_PARTS)
    parts = parts if len(space) < MANY_POINTS else parts[:2]
    held = [part[:MOST_HELD_OUT] for part in parts]
    rest = [np.setdiff1d(np.arange(len(space)), part) for part in parts]
    scores = {key: [] for key in candidates}

    def judge(key, P, k):
        scores.setdefault(key, []).append(space.average_precision(P, held[k], n_jobs))

    def judge_ascents(name, k):
        for rate in RATES if n_steps else ():
            P, _ = space.ascend(space.projection(starts[name]), rest[k], rate, n_steps, batch_seed)
            for share in shares:
                judge((name, rate, share), space.mixed(P, share), k)

    half = len(parts) // 2
    for name in starts:
        for k in range(len(parts)):
            judge((name, 0.0, 0.0), space.projection(starts[name]), k)
        for k in range(half):
            judge_ascents(name, k)
    start = max(scores, key=lambda key: np.concatenate(scores[key][:half]).mean())[0]
    for k in range(half, len(parts)):
        judge_ascents(start, k)

    scores = {key: np.concatenate(parts) for key, parts in scores.items()}
    plain = max(candidates, key=lambda key: scores[key].mean())
    whole = [key for key in scores if key[0] == start or key[1] == 0]
    best = max(whole, key=lambda key: scores[key].mean())
    if _gain(scores[best] - scores[plain]) <= CLEARLY:
        best = plain
    return [
        _row(key, scores[key].mean(), _gain(scores[key] - scores[plain][: len(scores[key])]), key == best)
        for key in scores
    ]


def _gain(difference):
    """Mean in standard errors; 0 where nothing differs."""
    error = difference.std() / np.sqrt(len(difference))
    return float(difference.mean() / error) if error > 0 else 0.0


def _row(key, score, gain, chosen):
    score, gain = (None if value is None else float(value) for value in (score, gain))
    return {"start": key[0], "rate": key[1], "share": key[2], "map": score, "gain": gain, "chosen": chosen}


def _result(results, S, B, space, P, course, began, chosen):
    """The code result, with the bound that a learner proved for S."""
    from bqp.codes.result import CodeTrace

    first = next(iter(results.values()))
    ends = np.linspace(0, len(course), min(20, len(course)) + 1).astype(int)
    means = [float(1 - course[a:b].mean()) for a, b in pairwise(ends)]
    elapsed = time.perf_counter() - began
    rows = [(elapsed * (k + 1) / len(means), int(ends[k + 1]), value) for k, value in enumerate(means)]
    return replace(
        first,
        B=B,
        objective=float(1 - space.average_precision(P, np.random.default_rng(0).permutation(len(space))).mean()),
        lower_bound=0.0,
        ksh_objective=S.ksh_objective(B),
        loss="average_precision",
        method="feature_aware",
        trace=CodeTrace.from_rows(rows),
        bits=(),
        weights=None,
        time=elapsed,
        stats={"chosen": chosen, "starts": {name: result.ksh_objective for name, result in results.items()}},
    )
