"""What kind of JSON file it is, for one that was given in the place of another."""

from __future__ import annotations

from cimsolve.errors import InputError

SOLUTION, SPEC, MODEL, STUDY = "a solution", "a hardware spec", "a model config", "a study"

KINDS = {
    "cimsolve-solution": SOLUTION,
    "cimsolve-hw": SPEC,
    "cimsolve-study": STUDY,
    "cimsolve-infeasible": "what `cimsolve sweep` keeps of a question without an answer",
}
"""What `format` says before its version -> the kind; other formats of cimsolve are of what it prints."""


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


def demand_kind(data: object, expected: str, origin: str) -> None:
    """Raise InputError for a file that is known to be of another kind; what is of none is for its reader to tell."""
    found = kind_of(data)
    if found not in (None, expected):
        raise InputError(f"{origin}: this is {found}; expected {expected}")
