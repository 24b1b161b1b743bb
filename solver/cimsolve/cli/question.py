"""From options to the question, and back: the command that asks the same again, the names of its files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import cast

from cimsolve.api import Structures, load_model, make_problem
from cimsolve.chip.read import load_hardware
from cimsolve.chip.settings import with_settings
from cimsolve.cli.options.parser import DEFAULT_OUT
from cimsolve.cli.options.question import QuestionOptions
from cimsolve.problem.problem import Cut, Problem
from cimsolve.weights.project import stored_structures

SHORT_NAMES = {"adc.per_array": "adcs", "adc.model": "adc-"}
"""What changed keys are called in file names."""

NAME_MAX = 60
"""Most characters of a file name that one thing the user gave may take."""


def problem_of(options: QuestionOptions, weights: str | None = None) -> Problem:
    """The question that is asked; a file of factors, `weights`, says how linears are stored.

    Raises InputError where it is none, and where the file is none or --structure says otherwise.
    """
    model = load_model(options.model, tokens=options.tokens)
    structures: Structures = options.structures
    if weights is not None:
        structures = stored_structures(model, weights, options.structures)
    return make_problem(
        model,
        with_settings(load_hardware(options.hardware), dict(options.settings)),
        structure=structures,
        cut=cast(Cut, options.cut),
        max_arrays=options.max_arrays,
        max_latency_ns=options.max_latency_ns,
        max_energy_pj=options.max_energy_pj,
    )


def changes_of(options: QuestionOptions) -> list[str]:
    return [f"{key}={value}" for key, value in options.settings]


def question_words(options: QuestionOptions) -> list[str]:
    """The options that ask the same question, and where its answers go."""
    words = ["--hw", options.hardware, "--model", options.model]
    for structure in options.structures:
        words += ["--structure", structure]
    for change in changes_of(options):
        words += ["--set", change]
    return words + words_unless_default(
        ("--tokens", options.tokens, None),
        ("--max-arrays", options.max_arrays, None),
        ("--max-latency", options.max_latency_ns, None),
        ("--max-energy", options.max_energy_pj, None),
        ("--cut", options.cut, "columns"),
        ("--out", options.out, DEFAULT_OUT),
    )


def words_unless_default(*options: tuple[str, object, object]) -> list[str]:
    """Flag and value of those that differ from their default: (flag, value, default) each."""
    return [word for flag, given, default in options if given != default for word in (flag, plain_number(given))]


def file_name(options: QuestionOptions, problem: Problem, answer: Sequence[str], search: Sequence[str] = ()) -> str:
    """`<model>--<hardware>--<answer>.json` and what was asked beyond the defaults: no run hides another."""
    model = [problem.model.name, *options.structures]
    model += [f"tokens{options.tokens}"] if options.tokens is not None else []
    hardware = [problem.hardware.name]
    for key, value in options.settings:
        hardware.append(SHORT_NAMES.get(key, key) + value)
    how = list(answer)
    how += [f"max{options.max_arrays}"] if options.max_arrays is not None else []
    how += [f"latency{plain_number(options.max_latency_ns)}ns"] if options.max_latency_ns is not None else []
    how += [f"energy{plain_number(options.max_energy_pj)}pJ"] if options.max_energy_pj is not None else []
    how += [f"cut-{options.cut}"] if options.cut != "columns" else []
    how += search
    return "--".join("-".join(map(plain_name, parts)) for parts in (model, hardware, how)) + ".json"


def plain_name(text: str) -> str:
    """`text` as a part of a file name; what must be replaced or cut leaves a short hash, so names differ."""
    plain = re.sub(r"-{2,}", "-", re.sub(r"[^A-Za-z0-9._+=,-]", "_", text)).strip("-.")[:NAME_MAX]
    if text and plain == text:
        return text
    digest = hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()
    return f"{plain}~{digest[:6]}"


def plain_number(value: object) -> str:
    """A value as text that reads as the same value; whole floats without `.0`."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() and value < 1e15 else str(value)
