"""The options of commands that give a table: its form, and how many points are solved at once."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from typing import Any

from cimsolve.cli.options.parser import DEFAULT_OUT, add_verbosity
from cimsolve.cli.options.question import QuestionOptions, question_options
from cimsolve.cli.places import Place
from cimsolve.cli.values import one_of, whole

FORMAT_NAMES = ("table", "markdown", "csv", "json")
JOBS_MAX = 1024


@dataclass(frozen=True, kw_only=True)
class TableOptions(QuestionOptions):
    """A question that is solved in many points; None for the default."""

    objective: tuple[str, ...]
    seed: int
    time_limit_s: float | None
    format: str
    jobs: int | None
    cluster: str | None
    cache: str | None
    fresh: bool

    @property
    def cache_folder(self) -> str:
        """Where results are kept: --cache, or the folder `cache` in --out."""
        return os.path.join(self.out, "cache") if self.cache is None else self.cache

    @property
    def places(self) -> tuple[Place, ...]:
        cache = Place("--cache", self.cache_folder, folder=True)
        return (cache,) if self.cache is not None else (Place("--out", self.out, folder=True), cache)


def table_options(found: argparse.Namespace) -> dict[str, Any]:
    """The fields of TableOptions."""
    return {
        **question_options(found),
        "objective": tuple(found.objective),
        "seed": found.seed,
        "time_limit_s": found.time_limit,
        "format": "json" if found.json else found.format,
        "jobs": found.jobs,
        "cluster": found.cluster,
        "cache": found.cache,
        "fresh": found.fresh,
    }


def add_table_output(parser: argparse.ArgumentParser, quiet: str) -> argparse._ArgumentGroup:
    """--format, --out and -q."""
    output = parser.add_argument_group("output")
    output.add_argument(
        "--format",
        type=one_of(FORMAT_NAMES),
        default="table",
        metavar="FORM",
        help="table, markdown, csv or json, on stdout; csv and json have raw values in ns, pJ and mm2 "
        "(default: %(default)s)",
    )
    output.add_argument("--json", action="store_true", help="short for --format json")
    output.add_argument(
        "--out", default=DEFAULT_OUT, metavar="FOLDER", help="where results are kept (default: %(default)s/)"
    )
    add_verbosity(output, quiet, "")
    return output


def add_execution(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """--jobs, --cluster, --cache and --fresh."""
    group = parser.add_argument_group("execution")
    group.add_argument(
        "--jobs",
        type=whole(1, JOBS_MAX),
        metavar="N",
        help="processes on this machine, one thread each (default: its cores)",
    )
    group.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="solve on the workers of the Dask scheduler there, such as tcp://host:8786; needs cimsolve[cluster]",
    )
    group.add_argument(
        "--cache",
        metavar="FOLDER",
        help="where checked results are kept by content, so that nothing is solved twice (default: OUT/cache)",
    )
    group.add_argument("--fresh", action="store_true", help="solve all again; the results replace those kept")
    return group
