"""`cimsolve compare`: a grid of strategies, specs and models; or two solution files."""

from __future__ import annotations

import shlex
from pathlib import Path

from cimsolve.cli.commands.solve import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED
from cimsolve.cli.options.compare import CompareOptions
from cimsolve.cli.options.question import DEFAULT_HARDWARE, DEFAULT_MODEL
from cimsolve.cli.question import question_words, words_unless_default
from cimsolve.cli.studying import Execution, row_command, solve_all, study_of
from cimsolve.show.text.compare import Compared, print_compared, print_two
from cimsolve.show.text.console import say
from cimsolve.show.text.progress import Progress
from cimsolve.study.sweep.grid import expand
from cimsolve.study.sweep.run import SolvedRow
from cimsolve.study.two import compare_solutions


def run(options: CompareOptions) -> int:
    """Compare; returns the exit code.

    Raises InputError where there is no question or a file is none, CheckError where a file fails its check.
    """
    if options.files:
        return _two(options)
    study = study_of(
        options,
        {"model": list(options.models), "hw": list(options.specs), "strategy": list(options.strategies)},
        objective=list(options.objective),
        seed=options.seed,
        time_limit_s=options.time_limit_s,
    )
    rows = expand(study)
    shown = options.format == "table" and options.verbosity >= 0
    cache = Path(options.cache_folder)
    done = solve_all(rows, Execution(options.jobs, options.cluster, cache, options.fresh, shown))
    solved = [
        SolvedRow(row, done.records.get(row.point.digest()) if row.point else None, False, row_command(row))
        for row in rows
    ]
    broken = any(one.state == "failed" for one in solved) or not any(one.has_figures for one in solved)
    code = EXIT_INTERRUPTED if done.interrupted else EXIT_FAILED if broken else EXIT_DONE
    compared = Compared(solved, options.reference, command_line(options))
    print_compared(compared, options.format, options.verbosity, code)
    if done.interrupted:
        say(f"interrupted; {len(done.records)} results are kept in {cache}: the same command goes on from there")
    return code


def _two(options: CompareOptions) -> int:
    with Progress(options.format == "table" and options.verbosity >= 0) as progress:
        progress.begin("checking both")
        found = compare_solutions(*options.files)
    print_two(found, options.files, options.format, options.verbosity, options.stages)
    return EXIT_DONE


def command_line(options: CompareOptions) -> str:
    """The command that asks the same again."""
    skip = 4  # --hw and --model, of which there may be several here
    words = ["cimsolve", "compare"]
    words += words_unless_default(
        ("--hw", ",".join(options.specs), DEFAULT_HARDWARE), ("--model", ",".join(options.models), DEFAULT_MODEL)
    )
    words += [*question_words(options)[skip:], "--strategy", ",".join(options.strategies)]
    words += words_unless_default(
        ("--reference", options.reference, options.strategies[0]),
        ("--objective", ",".join(options.objective), "arrays,latency"),
        ("--seed", options.seed, 0),
        ("--time-limit", options.time_limit_s, None),
        ("--jobs", options.jobs, None),
        ("--cluster", options.cluster, None),
        ("--cache", options.cache, None),
    )
    return shlex.join(words)
