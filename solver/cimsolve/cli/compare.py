"""`cimsolve compare`: a grid of strategies, specs and models; or two solution files."""

from __future__ import annotations

from collections.abc import Collection
from typing import Self

from cimsolve.cli.parser import CommandOptions, Parser, listed, output_option, question_option, solution_files
from cimsolve.cli.places import OutputPlace
from cimsolve.cli.question import (
    DEFAULT_HARDWARE,
    DEFAULT_MODEL,
    ComparedOptions,
    objective_option,
    seed_option,
    time_limit_option,
)
from cimsolve.cli.short import batch_option, chips_option, demand_way, when_short_option
from cimsolve.cli.studying import TableOptions, exit_code, solve_study, study_of, tell_interrupted
from cimsolve.cli.values import whole, words
from cimsolve.errors import EXIT_DONE


class SubjectsOptions(CommandOptions):
    """Models on chips."""

    specs: tuple[str, ...] = question_option(
        "--hw SPEC[,SPEC]",
        "shipped names or JSON files; repeatable (default: {default})",
        words,
        (DEFAULT_HARDWARE,),
        repeat=listed,
        complete="hardware",
    )
    models: tuple[str, ...] = question_option(
        "--model MODEL[,MODEL]",
        "shipped names, config.json files or folders; repeatable (default: {default})",
        words,
        (DEFAULT_MODEL,),
        repeat=listed,
        complete="model",
    )


class Options(TableOptions, ComparedOptions, SubjectsOptions):
    """`cimsolve compare`: a grid, or two `files` and nothing of the question."""

    usage = "cimsolve compare [options] | cimsolve compare A.json B.json [options]"
    about = (
        "Set strategies side by side on every spec and model given, with ratios to one of them and gaps to the "
        "bounds; or set one answer's file against another."
    )
    epilog = """\
With two files: both are checked again; then what moved (arrays matched up to their numbers), what it bought, and
which stages take longer or shorter. Either may be an answer in rounds or on chips in a row: then what it bought alone.

exit codes:
  0    done, and every answer passed the checker
  1    an answer failed its check, or no question has an answer
  2    a wrong option or a file that cannot be used
  130  interrupted (by SIGTERM: 143); what is finished is kept, and the same command goes on from there

examples:
  cimsolve compare --hw rram256,paper256 --model bert-large,minilm-l6 --strategy spread,optimal
  cimsolve compare --hw pcm256 --model minilm-l6 --reference spread --format markdown
  cimsolve compare results/minilm-l6--paper256--spread.json results/minilm-l6--paper256--optimal.json
  cimsolve compare --hw paper256 --model minilm-l6 --structure dense --set array.count=64 --when-short rounds
"""

    files: tuple[str, ...] = solution_files(help="two answers, as written to results/", nargs="*", again=None)
    objective: tuple[str, ...] = objective_option()
    seed: int = seed_option("default: {default}")
    time_limit_s: float | None = time_limit_option("brake of each search")
    when_short: str = when_short_option()
    batch: int | None = batch_option()
    chips: int | None = chips_option()
    stages: int = output_option(
        "--stages N",
        "of two files: kinds of stages shown, those that differ most first (default: {default})",
        whole(0, 10_000),
        8,
        again=False,
    )
    """Most kinds of stages shown of two files."""

    @property
    def places(self) -> tuple[OutputPlace, ...]:
        return () if self.files else super().places

    def command(self, without: Collection[str] = ()) -> str:
        return super().command((*without, "question", "search") if self.files else without)

    def settled(self, parser: Parser) -> Self:
        if len(self.files) not in (0, 2):
            parser.error(f"FILE: got {len(self.files)}, expected two solution files, or none and options")
        if self.files:
            parser.demand_absent(["question"], "two files state their own questions; leave it out")
            solved = ("search", "execution", "--out")
            parser.demand_absent(solved, "is of a comparison that is solved; leave it out")
        else:
            parser.demand_absent(["--stages"], "is of two files; give them, or leave it out")
            demand_way(parser, self.when_short, self.batch, self.chips)
        return super().settled(parser)


def run(options: Options) -> int:
    """Compare; returns the exit code.

    Raises InputError where there is no question or a file is none, CheckError where a file fails its check.
    """
    from cimsolve.show.text.compare import ComparedRows, print_compared, print_two
    from cimsolve.show.text.progress import Progress

    if options.files:
        from cimsolve.study.two import compare_solutions

        with Progress(options.format == "table" and options.verbosity >= 0) as progress:
            progress.begin("checking both")
            found = compare_solutions(*options.files)
        print_two(found, options.files, options.command(), options.format, options.verbosity, options.stages)
        return EXIT_DONE
    study = study_of(
        options,
        {"model": list(options.models), "hw": list(options.specs), "strategy": list(options.strategies)},
        hw=options.specs[0],
        model=options.models[0],
        objective=list(options.objective),
        seed=options.seed,
        time_limit_s=options.time_limit_s,
        when_short=options.when_short,
        batch=options.batch,
        chips=options.chips,
    )
    solved, done = solve_study(study, options)
    code = exit_code(done, [one.state for one in solved])
    compared = ComparedRows(solved, options.against, options.command())
    print_compared(compared, options.format, options.verbosity, code)
    tell_interrupted(done, options)
    return code
