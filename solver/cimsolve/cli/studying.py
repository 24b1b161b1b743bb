"""What commands with tables share: their forms; those that solve many points: that each is solved once and kept."""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from cimsolve.cli import solve
from cimsolve.cli.parser import Option, execution_option, output_option, verbosity
from cimsolve.cli.places import OutputPlace
from cimsolve.cli.question import AMOUNTS, CHOICES, DEFAULT_OUT, TermsOptions, tell_unknown_keys
from cimsolve.cli.values import OneOf, whole
from cimsolve.errors import EXIT_DONE, EXIT_FAILED, InputError
from cimsolve.files.text import one_line
from cimsolve.problem.terms import Terms
from cimsolve.show.names import TABLE_FORMS
from cimsolve.study.interrupts import interrupted_exit_code

if TYPE_CHECKING:
    from cimsolve.study.sweep.grid import Row, SweepStudy, Value
    from cimsolve.study.sweep.point import Point
    from cimsolve.study.sweep.run import Progressed, SolvedRow

JOBS_MAX = 1024
TEXT_KEYS = ("hw", "model", "structure", "strategy", "objective", "when_short", *CHOICES)
"""What `vary` takes as it is written; all else is JSON: numbers, true, null."""


format_option = partial(
    output_option,
    "--format FORM",
    "table, markdown, csv, latex (booktabs) or json, on stdout; csv has ns, pJ and mm2 with four digits, json with "
    "all (default: {default})",
    OneOf(TABLE_FORMS),
    "table",
    again=False,
    short=(Option("--json", "short for --format json", const="json"),),
)


class TableOptions(TermsOptions):
    """Questions that are solved in many points; None for the default."""

    jobs: int | None = execution_option(
        "--jobs N", "processes on this machine, one thread each (default: its cores)", whole(1, JOBS_MAX)
    )
    cluster: str | None = execution_option(
        "--cluster ADDRESS",
        "solve on the workers of the Dask scheduler there, such as tcp://host:8786; needs cimsolve[cluster]",
    )
    cache: str | None = execution_option(
        "--cache FOLDER",
        "where checked results are kept by content, so that nothing is solved twice (default: OUT/cache)",
        complete="folder",
    )
    fresh: bool = execution_option("--fresh", "solve all again; the results replace those kept", again=False)
    format: str = format_option()
    out: str = output_option(
        "--out FOLDER", "where results are kept (default: {default}/)", default=DEFAULT_OUT, complete="folder"
    )
    verbosity: int = verbosity("only the tables")

    @property
    def cache_folder(self) -> str:
        """Where results are kept: --cache, or the folder `cache` in --out."""
        return os.path.join(self.out, "cache") if self.cache is None else self.cache

    @property
    def places(self) -> tuple[OutputPlace, ...]:
        cache = OutputPlace("--cache", self.cache_folder, folder=True)
        others = super().places
        return (
            (*others, cache)
            if self.cache is not None
            else (OutputPlace("--out", self.out, folder=True), cache, *others)
        )


def study_of(options: TermsOptions, vary: Mapping[str, Sequence[Value]], **fields: Any) -> SweepStudy:
    """The study that options ask for; `fields` are others of SweepStudy. Raises InputError where it is unsound."""
    from cimsolve.study.sweep.grid import FORMAT, parse_study

    data = {
        "format": FORMAT,
        "structure": list(options.structures),
        **options.terms,
        "set": {key: read_value(key, text) for key, text in options.settings},
        "vary": {key: list(values) for key, values in vary.items()},
        **fields,
    }
    return parse_study(data, "the options")


def read_value(key: str, text: str) -> Value:
    """A value of the command line as a study file has it. Raises InputError for a limit that is no quantity."""
    from cimsolve.files.json_file import parse_json_text

    if key in TEXT_KEYS:
        return text
    if key in AMOUNTS and text != "null":
        try:
            limit = AMOUNTS[key](text)
        except argparse.ArgumentTypeError as error:
            raise InputError(f"--vary {key}: {one_line(str(error))}") from None
        return int(limit) if limit.is_integer() else limit
    try:
        return parse_json_text(text)  # type: ignore[return-value]
    except (ValueError, RecursionError):
        return text


def solve_study(study: SweepStudy, options: TableOptions) -> tuple[list[SolvedRow], Progressed]:
    """Every combination of a study with what came of it. Raises as `expand` and `solve_all` do."""
    from cimsolve.model.load import load_model
    from cimsolve.study.sweep.grid import expand
    from cimsolve.study.sweep.run import SolvedRow

    rows = expand(study)
    for name in dict.fromkeys(row.asked.model for row in rows if row.point is not None):
        tell_unknown_keys(load_model(name))
    done = solve_all([row.point for row in rows if row.point is not None], options)
    digests = ["" if row.point is None else row.point.digest() for row in rows]
    return [
        SolvedRow(row, done.records.get(digest), digest in done.kept, row_command(row))
        for row, digest in zip(rows, digests, strict=True)
    ], done


def solve_all(points: Iterable[Point], options: TableOptions) -> Progressed:
    """The points as `study.sweep.run.solve_missing` gives them, with live progress.

    Raises InputError before any work where the cluster's library is missing.
    """
    from cimsolve.show.text.console import say
    from cimsolve.show.text.progress import Progress
    from cimsolve.study.sweep.execute import load_distributed
    from cimsolve.study.sweep.run import solve_missing

    if options.cluster is not None:
        load_distributed()
    with Progress(options.format == "table" and options.verbosity >= 0) as progress:
        progress.begin("points solved")
        how = (options.cache_folder, options.jobs, options.cluster, options.fresh)
        return solve_missing(points, *how, progress.count, say)


def exit_code(done: Progressed, states: Collection[str]) -> int:
    """What the command exits with, having found these states of rows: an answer must be there, and none be wrong."""
    if done.interrupted:
        return interrupted_exit_code()
    return EXIT_FAILED if "failed" in states or "solved" not in states else EXIT_DONE


def tell_interrupted(done: Progressed, options: TableOptions) -> None:
    """One line on stderr, where Ctrl-C has ended the work: what is kept, and how to go on."""
    from cimsolve.show.text.console import say

    if done.interrupted:
        kept = f"{len(done.records)} results are kept in {options.cache_folder}"
        say(f"interrupted; {kept}: the same command goes on from there")


def row_command(row: Row) -> str:
    """The command that writes the solution of one point to a file."""
    from cimsolve.study.sweep.grid import setting_text

    asked = row.asked
    options = solve.Options(
        hardware=asked.hw,
        model=asked.model,
        structures=tuple(asked.structure),
        settings=tuple((key, setting_text(value)) for key, value in asked.set.items()),
        **{name: getattr(asked, name) for name in Terms.model_fields},
        strategies=(asked.strategy,),
        objective=tuple(asked.objective),
        time_limit_s=asked.time_limit_s,
        seed=asked.seed,
        when_short=asked.when_short,
        batch=asked.batch,
        chips=asked.chips,
    )
    return options.command(without=("--workers",) if asked.seed else ("--workers", "--seed"))
