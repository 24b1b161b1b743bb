"""Solving the points of a study for a command: what is kept already, what is left, and that no work is lost."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cimsolve.cli.options.question import QuestionOptions
from cimsolve.cli.options.sweep import SweepOptions
from cimsolve.cli.question import plain_number, words_unless_default
from cimsolve.cli.values import quantity
from cimsolve.errors import InputError
from cimsolve.files.json_file import parse_json_text
from cimsolve.files.text import one_line
from cimsolve.show.text.progress import Progress
from cimsolve.study.sweep.cache import Cache
from cimsolve.study.sweep.execute import load_distributed
from cimsolve.study.sweep.grid import FORMAT, Row, Study, Value, parse_study, setting_text
from cimsolve.study.sweep.run import Progressed, solve_rows

TEXT_KEYS = ("hw", "model", "structure", "strategy", "objective", "cut")
"""What `vary` takes as it is written; all else is JSON: numbers, true, null."""
LIMITS = {"max_latency_ns": quantity("time", "60us"), "max_energy_pj": quantity("energy", "12uJ")}
"""Keys whose values may have a unit, as those of --max-latency and --max-energy."""


@dataclass(frozen=True)
class Execution:
    """Where points are solved and their results kept."""

    jobs: int | None
    cluster: str | None
    cache: Path
    fresh: bool
    shown: bool
    """Whether progress is told on a terminal."""


def study_of(options: QuestionOptions, vary: Mapping[str, Sequence[Value]], **fields: Any) -> Study:
    """The study that options ask for; `fields` are further ones of Study. Raises InputError where it is none."""
    data = {
        "format": FORMAT,
        "hw": options.hardware,
        "model": options.model,
        "structure": list(options.structures),
        "tokens": options.tokens,
        "cut": options.cut,
        "max_arrays": options.max_arrays,
        "max_latency_ns": options.max_latency_ns,
        "max_energy_pj": options.max_energy_pj,
        "set": {key: read_value(key, text) for key, text in options.settings},
        "vary": {key: list(values) for key, values in vary.items()},
        **fields,
    }
    return parse_study(data, "the options")


def read_value(key: str, text: str) -> Value:
    """A value of the command line as a study file has it. Raises InputError for a limit that is no quantity."""
    if key in TEXT_KEYS:
        return text
    if key in LIMITS and text != "null":
        try:
            limit = LIMITS[key](text)
        except argparse.ArgumentTypeError as error:
            raise InputError(f"--vary {key}: {one_line(str(error))}") from None
        return int(limit) if limit.is_integer() else limit
    try:
        value: Any = parse_json_text(text)
    except (ValueError, RecursionError):
        return text
    return value  # type: ignore[no-any-return]


def solve_all(rows: Sequence[Row], execution: Execution) -> Progressed:
    """`sweep.run.solve_rows` with live progress. Raises InputError before any work where the cluster's library is
    missing.
    """
    if execution.cluster is not None:
        load_distributed()
    with Progress(execution.shown) as progress:
        progress.begin("points solved")
        cache = Cache(execution.cache)
        return solve_rows(rows, cache, execution.jobs, execution.cluster, execution.fresh, progress.count)


def row_command(row: Row) -> str:
    """The command that writes the solution of one point to a file."""
    asked = row.asked
    words = ["cimsolve", "--hw", asked.hw, "--model", asked.model]
    for structure in asked.structure:
        words += ["--structure", structure]
    for key, value in asked.set.items():
        words += ["--set", f"{key}={setting_text(value)}"]
    words += words_unless_default(
        ("--tokens", asked.tokens, None),
        ("--max-arrays", asked.max_arrays, None),
        ("--max-latency", asked.max_latency_ns, None),
        ("--max-energy", asked.max_energy_pj, None),
        ("--cut", asked.cut, "columns"),
        ("--objective", ",".join(asked.objective), "arrays,latency"),
        ("--seed", asked.seed, 0),
        ("--time-limit", asked.time_limit_s, None),
    )
    return shlex.join([*words, "--strategy", asked.strategy])


def sweep_command(options: SweepOptions, question: Sequence[str]) -> str:
    """The command that asks the same again; `question` are the words of the question."""
    words = ["cimsolve", "sweep", *([options.study] if options.study else question)]
    for key, values in options.vary:
        joined = (";" if any("," in value for value in values) else ",").join(values)
        words += ["--vary", f"{key}={joined}{';' if len(values) == 1 and ',' in joined else ''}"]
    words += words_unless_default(
        ("--strategy", ",".join(options.strategies), "optimal"),
        ("--objective", ",".join(options.objective), "arrays,latency"),
        ("--seed", options.seed, 0),
        ("--time-limit", options.time_limit_s, None),
        ("--front", ",".join(options.front), "latency,area,energy"),
        ("--plot", options.plot, None),
        ("--jobs", options.jobs, None),
        ("--cluster", options.cluster, None),
        ("--cache", options.cache, None),
    )
    return shlex.join(map(plain_number, words))
