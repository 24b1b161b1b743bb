"""What kind of JSON file it is, for one that was given in the place of another."""

from __future__ import annotations

from pathlib import Path

from cimsolve.errors import InputError

SOLUTION, SPEC, MODEL, STUDY = "a solution", "a hardware spec", "a model config", "a study"
STRUCTURES = "a file of structures"
ROUNDS, CHIPS = "an answer in rounds", "an answer on chips in a row"

KINDS = {
    "cimsolve-solution": SOLUTION,
    "cimsolve-rounds": ROUNDS,
    "cimsolve-chips": CHIPS,
    "cimsolve-hw": SPEC,
    "cimsolve-study": STUDY,
    "cimsolve-structures": STRUCTURES,
    "cimsolve-infeasible": "what `cimsolve sweep` keeps of a question without an answer",
}
"""What `format` says before its version -> the kind; other formats of cimsolve are of what it prints."""


FIRST_BYTES = {
    b"GGUF": "a GGUF file",
    b"FUGG": "a GGUF file of a big-endian machine",
    b"PK\x03\x04": "a zip archive, such as PyTorch's pickled weights, which can run code and are never loaded",
    b"\x80": "a pickle, such as PyTorch's older weights, which can run code and are never loaded",
    b"\x08": "a protocol buffer, read as an ONNX graph where its name ends in .onnx",
    b"\x89HDF": "an HDF5 file",
    b"\x1f\x8b": "a gzip archive",
    b"\x93NUMPY": "a numpy array",
}
"""How files begin that are given in the place of a config; no JSON begins so."""


def kind_of(data: object) -> str | None:
    """The kind of parsed JSON, by its `format`, or `model_type` in a config; None where neither says one."""
    if not isinstance(data, dict):
        return None
    form = data.get("format")
    if isinstance(form, str) and form.startswith("cimsolve-"):
        return KINDS.get(form.partition("/")[0], "what `cimsolve ... --json` prints")
    if isinstance(data.get("model_type"), str):
        return MODEL
    return "a trace of a schedule" if "traceEvents" in data else None


def kind_of_weights(path: Path) -> str | None:
    """What kind of file with a model's weights or graph it is, by its first bytes; None where it is none."""
    try:
        if not path.is_file():  # of a pipe, bytes can be read once
            return None
        with path.open("rb") as stream:
            start = stream.read(16)
    except (OSError, ValueError):
        return None  # for its reader to tell
    named = (kind for first, kind in FIRST_BYTES.items() if start.startswith(first))
    return next(named, "a safetensors file" if start[8:9] == b"{" and b"\0" in start[:8] else None)


def demand_kind(data: object, expected: str, origin: str) -> None:
    """Raise InputError for a file that is known to be of another kind; what is of none is for its reader to tell."""
    found = kind_of(data)
    if found not in (None, expected):
        raise InputError(f"{origin}: this is {found}; expected {expected}")
