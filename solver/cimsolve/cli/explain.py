"""`cimsolve explain`: why an answer is as it is; of a question without one, what would do."""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from cimsolve.cli.drawing import losses_option
from cimsolve.cli.limits import settle_limits
from cimsolve.cli.parser import Parser, json_switch, listed, option, output_option, search_option, verbosity
from cimsolve.cli.question import GraphOptions, objective_option, problem_of, seed_option, time_limit_option
from cimsolve.cli.short import told_ladder
from cimsolve.cli.values import OneOf, near, whole
from cimsolve.errors import EXIT_DONE, EXIT_FAILED, InfeasibleError, InputError
from cimsolve.solve.names import STRATEGY_NAMES
from cimsolve.study.names import RUN_WHAT_IFS, WHAT_IFS

if TYPE_CHECKING:
    from cimsolve.problem.problem import Problem
    from cimsolve.problem.solution import Solution
    from cimsolve.show.text.progress import Progress
    from cimsolve.solve.effort import Effort
    from cimsolve.study.explain.limits import Short


CHANGES = tuple({**WHAT_IFS, **RUN_WHAT_IFS})


def what_ifs(text: str) -> tuple[str, ...]:
    """Names of changes, or KEY=VALUE, between commas."""
    found = tuple(name.strip() for name in text.split(","))
    for name in found:
        if name not in (*CHANGES, "none") and "=" not in name:
            raise argparse.ArgumentTypeError(
                f"{name!r}: there is no such change{near(name, CHANGES)}; known: {', '.join(CHANGES)}, none, KEY=VALUE"
            )
    return found


class Options(GraphOptions):
    """`cimsolve explain`: a solution `file`, or a question."""

    usage = "cimsolve explain FILE [options] | cimsolve explain [options]"
    about = (
        "Say why an answer takes its time and its arrays: the critical chain of stages, the busiest array, what binds "
        "each, and what a change would buy. Of a question without an answer, say which limits are short and what "
        "would do."
    )
    epilog = """\
names of --what-if:
  again         the same question solved again: what a new search finds by itself
  adc+1         one more converter an array
  array+1       one more array; arrays+1%: a hundredth more
  bit+1, bit-1  converters of one bit more, or less
  sample-hold   conversions of a phase overlap the next phase's read
  digital-x2    twice the digital units
  transfer-x2   twice the transfer rate, of a network that of its links; by default only of a network
  port-x2       twice the rate of the port between a network and its hub
  hub-place     the hub in the middle of the mesh, or at the edge if it is not there
  core-x2       twice the arrays a core, on half the places
  tree          links that carry what goes to several cores once, not once for each
  banks-x2      twice the banks of the memory of keys and values; by default only where there is one
  KEY=VALUE     any key of the hardware spec; none: nothing

and of answers in rounds and on chips in a row, for the same cut, but array+1 and chip+1, solved again:
  array+1       one more array a chip
  batch-x2      batches twice as large; load-x2: twice the rate of the load link
  write-x2      rows written in half the time
  link-x2       twice the rate of links between chips
  chip+1        one more chip

Every other change is solved again by the strategy of the answer, and checked. Without a FILE the question given by the
options is solved first; where it has no answer, the least limits that would do are searched for.

exit codes:
  0    explained
  1    the file fails its check, or the question has no answer under its limits (what would do is shown)
  2    a wrong option or a file that cannot be used

examples:
  cimsolve explain results/bert-large--rram256--optimal.json
  cimsolve explain results/bert-large--rram256--spread.json --what-if adc+1,read_ns=5 --what-if array.rows=128
  cimsolve explain results/minilm--rram256--spread.json --losses chosen.json --what-if none
  cimsolve explain --hw paper256 --model bert-large --max-arrays 100
  cimsolve explain --hw paper256 --model minilm-l6 --max-arrays 12 --max-latency 20us
"""

    file: str | None = option("FILE", "a solution, as written to results/", nargs="?", complete="file")
    strategy: str = search_option("--strategy NAME", "default: {default}", OneOf(STRATEGY_NAMES), "optimal")
    objective: tuple[str, ...] = objective_option()
    seed: int = seed_option("default: {default}")
    time_limit_s: float | None = time_limit_option("brake of the first search")
    what_ifs: tuple[str, ...] | None = search_option(
        "--what-if NAME[,NAME]",
        "changes to solve again, listed below; repeatable (default: those of every chip, and of its network)",
        what_ifs,
        repeat=lambda groups: tuple(name for name in listed(groups) if name != "none"),
        complete=CHANGES,
    )
    losses: str | None = losses_option()
    kinds: int = output_option(
        "--kinds N", "kinds of stages shown, the longest first (default: {default})", whole(1, 10_000), 10
    )
    """Most kinds of stages shown in a table."""
    json: bool = json_switch("one JSON object on stdout, every stage in it")
    verbosity: int = verbosity("only the tables", "every stage of the chain, not only kinds")

    def settled(self, parser: Parser) -> Self:
        if self.file is not None:
            asked = ("question", "--strategy", "--objective", "--seed", "--time-limit")
            parser.demand_absent(asked, f"{self.file} states its own question; leave one of them out")
        return self


def run(options: Options) -> int:
    """Explain; returns the exit code.

    Raises InputError where there is no question or the file is none, CheckError where it fails its check,
    InfeasibleError for a question that has no answer although it has no limits.
    """
    from cimsolve.problem.plan import is_plan
    from cimsolve.show.text.explain import print_explained, print_short
    from cimsolve.show.text.progress import Progress
    from cimsolve.solve.effort import Effort
    from cimsolve.study.explain.answer import explain_solution
    from cimsolve.study.explain.limits import Short

    if options.file is not None and is_plan(Path(options.file)):
        return _explain_runs(options.file, options)
    shown = not options.json and options.verbosity >= 0
    with Progress(shown) as progress:
        name, answer = options.file, None
        if name is None:
            name = f"{options.model} on {options.hardware} by {options.strategy}"
            progress.begin(f"reading {name}")
            effort = Effort(options.time_limit_s or math.inf, options.seed)
            settled = settle_limits(options, lambda these: problem_of(these, these.objective), lambda: effort, False)
            name += "".join(f"; {told}" for told in settled.told)
            progress.begin(f"solving {name}")
            answer = _solve(options, settled.problem, replace(effort, start=settled.start), progress)
        if not isinstance(answer, Short):
            given = options.file or answer
            assert given is not None
            explained = explain_solution(
                *(given, options.what_ifs),
                losses=options.losses,
                name=name,
                begin=progress.begin,
                listen=progress.listen,
            )
    if isinstance(answer, Short):
        print_short(answer, options.json)
        return EXIT_FAILED
    print_explained(explained, options.json, options.verbosity, options.kinds)
    return EXIT_DONE


def _explain_runs(file: str, options: Options) -> int:
    """Explain an answer in runs. Raises InputError where losses are given: they are of a solution's structures."""
    if options.losses is not None:
        raise InputError(f"--losses {options.losses}: tells of solutions; {file} is an answer in runs, leave it away")
    from cimsolve.show.text.explain_runs import print_explained_plan
    from cimsolve.show.text.progress import Progress
    from cimsolve.study.explain.runs import explain_plan

    with Progress(not options.json and options.verbosity >= 0) as progress:
        explained = explain_plan(file, options.what_ifs, name=file, begin=progress.begin)
    print_explained_plan(explained, options.json, options.verbosity)
    return EXIT_DONE


def _solve(options: Options, problem: Problem, effort: Effort, progress: Progress) -> Solution | Short:
    """The answer to the question, or what is short in it."""
    from cimsolve.study.explain.limits import Short, find_relief, limits_of, relax_all
    from cimsolve.study.short import is_short_of_arrays
    from cimsolve.study.solving import problem_for, solve, whole_answers_only

    try:
        return solve(problem, options.strategy, replace(effort, listen=whole_answers_only(progress.listen)))
    except InfeasibleError as error:
        if not limits_of(problem):
            raise
        question = problem_for(options.strategy, problem)
        reason = str(error) + (told_ladder(question) if is_short_of_arrays(question) else "")
    began = time.monotonic()
    progress.begin("searching for limits that would do")
    relief = find_relief(problem, options.strategy, options.seed, progress.listen)
    together = None
    if all(one.least is None for one in relief):
        together = relax_all(problem, options.strategy, options.seed, progress.listen)
    return Short(question, options.strategy, reason, relief, together, time.monotonic() - began)
