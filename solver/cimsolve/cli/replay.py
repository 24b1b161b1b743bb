"""`cimsolve replay`: simulate when everything happens, and compare with the equations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cimsolve.cli.each_file import Found, each_file
from cimsolve.cli.parser import CommandOptions, json_switch, option, solution_files, verbosity
from cimsolve.cli.values import OneOf, whole
from cimsolve.judge.names import CONTROLLERS, GAPS, Controller, SharedUnits

if TYPE_CHECKING:
    from cimsolve.show.text.progress import Progress


class Options(CommandOptions):
    about = (
        "Replay solution files by discrete events: one token, a prefill, and a stream of many sequences, beside what "
        "the equations say. Exit codes: 0 one token takes exactly as long as they say, 1 it does not or a file fails "
        "its check, 2 a file cannot be read."
    )
    epilog = """\
examples:
  cimsolve replay results/*.json
  cimsolve replay results/bert-large--rram256--optimal.json --tokens 64 --controller oldest
"""

    files: tuple[str, ...] = solution_files()
    tokens: int | None = option("--tokens N", "of the prefill (default: as many as the solution says)", whole(1))
    source_tokens: int | None = option(
        "--source-tokens N", "of the source of an encoder-decoder (default: as many as the solution says)", whole(1)
    )
    stream: int | None = option(
        "--stream N",
        "tokens of the stream, each of a sequence of its own, 0 for none (default: what it takes to settle); of an "
        "answer in rounds, tokens of a batch (default: as many as it says)",
        whole(0),
    )
    controller: Controller = option(
        "--controller WHICH",
        "paced: tokens enter a phase at the pace of its busiest unit, first come, first served; oldest: likewise, but "
        "digital units and a flat chip's interconnect serve the oldest token; burst: all tokens of a prefill enter at "
        "once (default: {default})",
        OneOf(CONTROLLERS),
        "paced",
    )
    gaps: SharedUnits = option(
        "--gaps HOW",
        "apart: digital units and interconnect serve different tokens at once; together: a gap holds both, a network "
        "as a whole (default: {default})",
        OneOf(GAPS),
        "apart",
    )
    json: bool = json_switch(group="")
    verbosity: int = verbosity("one line a file", group="")


def run(options: Options) -> int:
    """Replay every file; returns 2 where one cannot be read or replayed, else 1 where one differs, else 0."""
    from cimsolve.judge.check import check_solution
    from cimsolve.judge.check.plan import check_plan
    from cimsolve.judge.replay import replay
    from cimsolve.judge.replay.plan import replay_plan
    from cimsolve.problem.plan import is_plan, read_plan
    from cimsolve.problem.solution import read_solution
    from cimsolve.show.text.replay import (
        REPLAY_FORMAT,
        describe_replay,
        describe_replayed_plan,
        print_replayed,
        print_replayed_plan,
    )

    how = {name: getattr(options, name) for name in ("tokens", "source_tokens", "stream", "controller", "gaps")}

    def look_at_plan(name: str, progress: Progress) -> Found:
        plan = read_plan(Path(name))
        verdict = check_plan(plan)
        progress.begin(f"replaying {name}")
        found = replay_plan(plan, verdict.costs, **how) if verdict.costs else None
        return Found(
            not (verdict.passed and found is not None and found.agrees),
            lambda: describe_replayed_plan(verdict, plan, found),
            lambda: print_replayed_plan(name, plan, verdict, found, options.verbosity),
        )

    def look(name: str, progress: Progress) -> Found:
        if is_plan(Path(name)):
            return look_at_plan(name, progress)
        solution = read_solution(Path(name))
        report = check_solution(solution)
        progress.begin(f"replaying {name}")
        found = None  # where the tables break a rule no times follow from them
        if report.costs is not None:
            found = replay(solution.activations, report.costs, **how)
        return Found(
            not (report.passed and found is not None and found.agrees),
            lambda: describe_replay(report, solution.header, found),
            lambda: print_replayed(name, solution.header, report, found, options.verbosity),
        )

    return each_file(options.files, look, form=REPLAY_FORMAT, json=options.json, progress=options.verbosity >= 0)
