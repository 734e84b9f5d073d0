"""Models on disk without pickle: one zip file of arrays and JSON, sealed by checksums.

The archive holds ``model.json`` and the members that it names (arrays in npy, text, what skops writes). ``model.json``
has ``format``, ``version``, the versions of the libraries that wrote it, the SHA-256 of every member, and the model
(see `hashers.persistence.encoding`). The comment of the archive, its last bytes, is the SHA-256 of everything before.
Any zip program can look into the file; one that writes it again breaks the seal.
"""

import hashlib
import io
import json
import platform
import re
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from hashers._atomic import atomic_file
from hashers.errors import BackendNotFound, MissingModule, ModelFileError
from hashers.persistence.encoding import Decoder, Encoder

__all__ = ["FORMAT", "VERSION", "load", "save"]

FORMAT = "hashers model"
VERSION = 1
INDEX = "model.json"
SEAL = b"hashers-sha256:"
SEALED = re.compile(SEAL + rb"[0-9a-f]{64}")
LIBRARIES = ("bqp", "numpy", "scipy", "scikit-learn", "lightgbm", "skops", "torch", "safetensors")


def save(estimator, path):
    """Write a fitted hasher, hash function, or pipeline with one, to a file.

    Parameters
    ----------
    estimator : estimator of hashers, or sklearn.pipeline.Pipeline
        Fitted.
    path : str or Path
        Replaced in one step when the file is complete.

    Raises
    ------
    ValueError
        If something in the estimator cannot be written without pickle (a class of your own, a function); the message
        names the attribute.
    sklearn.exceptions.NotFittedError
        If it is not fitted.

    Notes
    -----
    What is kept: parameters and fitted attributes. Left out: the solver's solution of each bit (``result_.bits``) and
    entries of ``result_.stats`` that are no plain data. The learned codes are kept, so the file grows with the training
    set: about an eighth of a byte a bit after compression.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from hashers.baselines import LSH
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "lsh.model"
    >>> hasher = LSH(n_bits=4, random_state=0).fit([[0.0, 1.0], [0.0, 2.0]])
    >>> save(hasher, path)
    >>> bool((load(path).transform([[3.0, 1.0]]) == hasher.transform([[3.0, 1.0]])).all())
    True
    """
    if not isinstance(estimator, BaseEstimator):
        raise ValueError(f"save takes an estimator: this is a {type(estimator).__name__}.")
    if type(estimator).__module__.startswith("sklearn.") and type(estimator).__name__ != "Pipeline":
        raise ValueError(
            f"save takes estimators of hashers, and pipelines with them: this is a {type(estimator).__name__}. "
            "Save estimators of scikit-learn by skops."
        )
    check_is_fitted(estimator)
    encoder = Encoder()
    root = encoder.node(estimator, type(estimator).__name__)
    index = {
        "format": FORMAT,
        "version": VERSION,
        "libraries": _libraries(),
        "members": {name: hashlib.sha256(data).hexdigest() for name, data in sorted(encoder.members.items())},
        "model": root,
    }
    text = json.dumps(index, indent=1, allow_nan=False).encode("ascii")
    with atomic_file(path) as file:
        file.write(_sealed({INDEX: text, **encoder.members}))


def load(path, module=None):
    """Read what `save` wrote.

    Parameters
    ----------
    path : str or Path
    module : torch.nn.Module, optional
        For a net that was made from a module of your own: such a module, as it was passed to `NetFunction`. The file
        holds its trained weights and no code.

    Returns
    -------
    estimator
        Equal parameters and fitted attributes; the same margins, codes and learned codes, bit for bit, with the same
        versions of the libraries.

    Raises
    ------
    ModelFileError
        If the file is truncated, damaged, edited, foreign, of an unknown version, or names a class that is not allowed.
    MissingModule
        If it needs `module`.
    BackendNotFound
        If the model needs a library that is not installed (LightGBM, skops, safetensors).
    OSError
        If the file cannot be opened.

    Notes
    -----
    No code comes from the file: it can name only classes of this package, plain data, LightGBM's text models, and
    scikit-learn estimators of skops's trusted list and a few more. The checksums tell damage, not malice: whoever
    writes a model can seal it. LightGBM and the tree structures of scikit-learn do not check their input for
    out-of-range indices, so take tree models from those you trust.
    """
    path = Path(path)
    try:
        return _rebuilt(_members(path.read_bytes()), module)
    except MissingModule as error:
        raise MissingModule(f"{path}: {error}.") from None
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}. Copy the file again, or write it again with save.") from error.__cause__
    except (OSError, BackendNotFound, MemoryError):
        raise
    except Exception as error:  # what an edited file makes constructors raise
        raise ModelFileError(
            f"{path}: the model cannot be rebuilt ({type(error).__name__}: {error}). It was edited, or written by "
            "another version of hashers."
        ) from error


def _libraries():
    """Versions of Python and of the libraries that matter to a model."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _sealed(members):
    """Bytes of a zip archive of `members`, with the checksum of itself as its comment."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))  # the same model gives the same bytes
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, data)
        archive.comment = SEAL + bytes(64)
    data = buffer.getvalue()[:-64]
    return data + hashlib.sha256(data).hexdigest().encode("ascii")


def _members(data):
    """Members of a sealed archive by name."""
    if not data.startswith(b"PK\x03\x04"):
        found = f"its first bytes are {data[:8]!r}" if data else "it is empty"
        raise ModelFileError(f"no model file: {found}")
    if not SEALED.fullmatch(data[-len(SEAL) - 64 :]):
        raise ModelFileError(
            "the checksum at the end of the file is missing: it is truncated, was written again by another program, or "
            "is no model of hashers"
        )
    if hashlib.sha256(data[:-64]).hexdigest().encode("ascii") != data[-64:]:
        raise ModelFileError("the file does not match its checksum: it was damaged or edited")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            members = {name: archive.read(name) for name in names}
    except Exception as error:  # damage surfaces as a dozen kinds of error of zipfile and zlib
        raise ModelFileError(f"the archive cannot be read ({type(error).__name__}: {error})") from error
    if len(members) != len(names):
        raise ModelFileError("the archive has two members of one name")
    return members


def _rebuilt(members, module=None):
    """The estimator of a sealed archive."""
    if INDEX not in members:
        raise ModelFileError(f"there is no {INDEX}: no model of hashers")
    try:
        index = json.loads(members.pop(INDEX))
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{INDEX} is no JSON ({error})") from error
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise ModelFileError(f"{INDEX} does not say that its format is {FORMAT!r}")
    if type(index.get("version")) is not int or index["version"] != VERSION:
        came, wrote = index.get("version"), index.get("libraries")
        raise ModelFileError(
            f"version {came!r} of the format (written with {wrote}); this hashers reads version {VERSION}. Install the "
            "hashers that wrote it"
        )
    listed = index.get("members")
    if not isinstance(listed, dict):
        raise ModelFileError(f"{INDEX} lists no members")
    if set(listed) != set(members):
        odd = sorted(set(listed) ^ set(members))[0]
        raise ModelFileError(f"the member {odd!r} is {'missing' if odd in listed else 'not listed'}")
    for name, data in members.items():
        if hashlib.sha256(data).hexdigest() != listed[name]:
            raise ModelFileError(f"the member {name!r} does not match its checksum: it was replaced or edited")
    node = index.get("model")
    if not isinstance(node, dict) or node.get("type") != "estimator":
        raise ModelFileError(f"{INDEX} holds no estimator")
    decoder = Decoder(members, module)
    estimator = decoder.value(node)
    unused = sorted(set(members) - decoder.used)
    if unused:
        raise ModelFileError(f"the member {unused[0]!r} belongs to nothing")
    check_is_fitted(estimator)
    return estimator
