"""Names that tables and the command line use for methods and hash functions.

A new method is one entry of `METHODS`: where its class lives, and which of its arguments a name may set. `parse_method`
reads the notation ``NAME[-WORD ...][:SOLVER]``: every word is a value of one of these arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

__all__ = ["FUNCTIONS", "METHODS", "MethodEntry", "MethodSpec", "make_function", "parse_method"]


@dataclass(frozen=True)
class MethodEntry:
    """Where a method lives and what its name may say.

    Attributes
    ----------
    path : str
        ``"module:Class"``; imported on use.
    words : mapping of str to tuple of str, or to a mapping of str to value
        For each argument of the class that a word may set, the words (and what they stand for, where that is not the
        word itself); the first is the default. A word belongs to one argument only.
    takes_solver : bool
        Whether ``:SOLVER`` (a name of `bqp.available_solvers`) sets the argument `solver`.
    takes_function : bool
        Whether the class takes a hash function; without one it is run once per code length.
    takes_bits : bool
        Whether the code length can be chosen; otherwise there is a bit for each class, and it is run once per function.
    has_codes : bool
        Whether items are ranked by codes; otherwise by real numbers, which the class itself scores
        (`hashers.baselines.Posterior`).
    own_function : str
        What tables call the hash function of a class that takes none.
    settings : mapping
        Arguments of the class that the entry sets.
    about : str
        One sentence for help texts and reports.
    """

    path: str
    about: str
    words: Mapping[str, tuple[str, ...] | Mapping[str, Any]] = field(default_factory=dict)
    takes_solver: bool = False
    takes_function: bool = True
    takes_bits: bool = True
    has_codes: bool = True
    own_function: str = "own"
    settings: Mapping[str, Any] = field(default_factory=dict)

    def value(self, argument, word):
        """What a word stands for."""
        words = self.words[argument]
        return words[word] if isinstance(words, Mapping) else word


MODES = ("default", "published")
SIMILARITIES = ("given", "confusion")
LOSSES = ("ksh", "bre", "hinge", "exponential", "likelihood")

REGRESS = ("codes", "factors")

METHODS: dict[str, MethodEntry] = {
    "tsh": MethodEntry(
        "hashers.methods.tsh:TSH",
        "Two-step hashing: codes from labels by binary quadratic programs or a joint search; then a function per bit.",
        words={
            "loss": LOSSES,
            "target": ("residual", "stagewise", "full"),
            "order": ("auto", "joint", "cyclic", "sequential"),
            "similarity": SIMILARITIES,
        },
        takes_solver=True,
    ),
    "fasthash": MethodEntry(
        "hashers.methods.fasthash:FastHash",
        "Bits by graph cuts of blocks of similar points, each replaced by what its function gives before the next.",
        words={"loss": LOSSES, "mode": MODES, "similarity": SIMILARITIES},
    ),
    "sdh": MethodEntry(
        "hashers.methods.sdh:SDH",
        "Supervised discrete hashing: codes from which a linear map predicts the labels.",
        words={"loss": ("squared", "hinge"), "mode": MODES, "similarity": SIMILARITIES},
    ),
    "fsdh": MethodEntry(
        "hashers.methods.fsdh:FSDH",
        "Fast supervised discrete hashing: codes that the labels predict, in closed form.",
        words={"mode": MODES, "similarity": SIMILARITIES},
    ),
    "hadamard": MethodEntry(
        "hashers.methods.hadamard:HadamardHash",
        "Class codes from a Hadamard matrix; at least as many bits as labels.",
        words={"mode": MODES},
    ),
    "cosdish": MethodEntry(
        "hashers.methods.cosdish:COSDISH",
        "Codes from sampled columns of the similarity, one binary quadratic program a bit.",
        words={"mode": MODES, "similarity": SIMILARITIES},
        takes_solver=True,
    ),
    "affhash": MethodEntry(
        "hashers.methods.affhash:AffHash",
        "Codes and functions in turn, drawn together by a growing penalty (auxiliary coordinates).",
        words={"loss": LOSSES, "mode": MODES, "similarity": SIMILARITIES},
        takes_solver=True,
    ),
    "hbmp": MethodEntry(
        "hashers.methods.hbmp:HBMP",
        "Binary matrix pursuit: the similarity as a weighted sum of outer products of bits.",
        words={"weighted": {"weighted": True, "unweighted": False}, "mode": MODES, "similarity": SIMILARITIES},
        takes_solver=True,
    ),
    "triplet": MethodEntry(
        "hashers.methods.triplet:TripletHash",
        "Codes from triplets (anchor, positive, negative) drawn from the labels.",
        words={"coupled": {"separate": False, "coupled": True}, "mode": MODES},
        takes_solver=True,
    ),
    "ksh": MethodEntry(
        "hashers.methods.ksh:KSH",
        "Supervised hashing with kernels: signs of kernel functions, bit after bit; no second step.",
        words={"mode": MODES, "similarity": SIMILARITIES},
        takes_function=False,
    ),
    "lfh": MethodEntry(
        "hashers.methods.lfh:LFH",
        "Latent factor hashing: signs of real factors that explain the similarity.",
        words={"regress": REGRESS, "mode": MODES, "similarity": SIMILARITIES},
    ),
    "dgh": MethodEntry(
        "hashers.methods.dgh:DGH",
        "Discrete graph hashing: balanced codes that neighbours share, without labels.",
        words={"mode": MODES},
        takes_function=False,
    ),
    "mlh": MethodEntry(
        "hashers.methods.mlh:MLH",
        "Minimal loss hashing: linear functions by stochastic gradients of a bound on a hinge-like loss of pairs.",
        takes_function=False,
    ),
    "feature-aware": MethodEntry(
        "hashers.methods.featureaware:FeatureAwareHash",
        "Codes chosen for what the function can tell apart: they raise the average precision of out-of-fold codes.",
    ),
    "lsh": MethodEntry(
        "hashers.baselines.lsh:LSH",
        "Signs of random projections, without labels: the floor that a supervised method must clear.",
        takes_function=False,
        own_function="random",
    ),
    "itq": MethodEntry(
        "hashers.baselines.itq:ITQ",
        "Iterative quantisation, without labels: principal components, rotated so that their signs lose least.",
        takes_function=False,
    ),
    "sh": MethodEntry(
        "hashers.baselines.sh:SH",
        "Spectral hashing, without labels: signs of sinusoids along principal axes.",
        takes_function=False,
    ),
    "agh": MethodEntry(
        "hashers.baselines.agh:AGH",
        "Anchor graph hashing, without labels: signs of the smoothest functions on a neighbour graph.",
        takes_function=False,
    ),
    "agh-two-layer": MethodEntry(
        "hashers.baselines.agh:AGH",
        "Anchor graph hashing with two bits from each function on the graph.",
        takes_function=False,
        settings={"n_layers": 2},
    ),
    "sth": MethodEntry(
        "hashers.baselines.sth:STH",
        "Self-taught hashing, without labels: codes from a neighbour graph, then one function per bit.",
    ),
    "sgh": MethodEntry(
        "hashers.baselines.sgh:SGH",
        "Scalable graph hashing, without labels: bits of kernel features against what is left of a similarity.",
        takes_function=False,
    ),
    "one-hot": MethodEntry(
        "hashers.baselines.one_hot:OneHot",
        "A plain classifier whose predicted class is the code, one bit a class: what a hash must beat.",
        takes_bits=False,
    ),
    "posterior": MethodEntry(
        "hashers.baselines.posterior:Posterior",
        "Ranking by inner products of class probabilities, real numbers and not a hash: the topline of the function.",
        takes_bits=False,
        has_codes=False,
    ),
}

FUNCTIONS: dict[str, str] = {
    "linear": "hashers.functions:LinearFunction",
    "kernel": "hashers.functions:KernelFunction",
    "trees": "hashers.functions:TreesFunction",
}


@dataclass(frozen=True)
class MethodSpec:
    """A method with its settings, as `parse_method` reads it.

    Attributes
    ----------
    text : str
        The name as written, for tables.
    entry : MethodEntry
    settings : dict
        Arguments of the class that the name sets.
    """

    text: str
    entry: MethodEntry
    settings: dict[str, Any]

    def in_force(self):
        """Every word the method takes, and the solver: as set by the name, or the default."""
        settings = {}
        for argument, words in self.entry.words.items():
            chosen = self.settings.get(argument, self.entry.value(argument, next(iter(words))))
            settings[argument] = next(word for word in words if self.entry.value(argument, word) == chosen)
        if self.entry.takes_solver:
            settings["solver"] = self.settings.get("solver", "auto")
        return settings

    def make(self, n_bits, function=None, n_jobs=1, random_state=0):
        """Return an unfitted hasher.

        Parameters
        ----------
        n_bits : int
            Left out for methods whose code length follows from the labels.
        function : hash function, optional
            Left out for methods that take none.
        n_jobs, random_state : int
            Left out for methods that take none.
        """
        cls = _load(self.entry.path)
        arguments: dict[str, Any] = {**self.entry.settings, **self.settings}
        if self.entry.takes_bits:
            arguments["n_bits"] = n_bits
        if self.entry.takes_function:
            arguments["function"] = function
        accepted = cls._get_param_names()
        for name, value in (("n_jobs", n_jobs), ("random_state", random_state)):
            if name in accepted:
                arguments[name] = value
        return cls(**arguments)


def parse_method(text):
    """Read ``NAME[-WORD ...][:SOLVER]``.

    Parameters
    ----------
    text : str
        For example "tsh", "tsh-hinge", "tsh-bre-sequential" or "tsh-ksh:tabu_search".

    Returns
    -------
    spec : MethodSpec

    Raises
    ------
    ValueError
        If the name, a word or the solver is unknown, or two words set the same argument.

    Examples
    --------
    >>> parse_method("tsh-hinge-sequential:tabu_search").settings
    {'loss': 'hinge', 'order': 'sequential', 'solver': 'tabu_search'}
    """
    head, colon, solver = text.partition(":")
    names = [name for name in METHODS if head == name or head.startswith(name + "-")]
    if not names:
        raise ValueError(f"unknown method {text!r}. Known are {', '.join(METHODS)}.")
    name = max(names, key=len)
    entry, settings = METHODS[name], {}
    for word in head[len(name) + 1 :].split("-") if head != name else []:
        argument = next((key for key, words in entry.words.items() if word in words), None)
        if argument is None:
            known = ", ".join(word for words in entry.words.values() for word in words) or "none"
            raise ValueError(f"unknown word {word!r} in method {text!r}. After {name}- may come: {known}.")
        if argument in settings:
            raise ValueError(f"method {text!r} sets {argument} twice: {settings[argument]}, {word}. Keep one.")
        settings[argument] = entry.value(argument, word)
    if colon:
        settings["solver"] = _known_solver(solver, text, entry)
    return MethodSpec(text, entry, settings)


def make_function(name, random_state=0):
    """Return the unfitted hash function of that name.

    Raises
    ------
    ValueError
        If the name is unknown.

    Examples
    --------
    >>> make_function("kernel", random_state=7)
    KernelFunction(random_state=7)
    """
    if name not in FUNCTIONS:
        raise ValueError(f"unknown function {name!r}. Known are {', '.join(FUNCTIONS)}.")
    cls = _load(FUNCTIONS[name])
    return cls(random_state=random_state) if "random_state" in cls._get_param_names() else cls()


def _known_solver(solver, text, entry):
    import bqp

    if not entry.takes_solver:
        raise ValueError(f"method {text!r} has no inner solver. Leave out :{solver}.")
    known = ["auto", *bqp.available_solvers()]
    if solver not in known:
        raise ValueError(f"unknown solver {solver!r} in method {text!r}. Known are {', '.join(known)}.")
    return solver


def _load(path):
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
