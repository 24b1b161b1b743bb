"""An answer in runs as plain columns: its figures beside their bounds, and its runs, or chips, over time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from cimsolve.columns import ceil_div
from cimsolve.errors import CheckError
from cimsolve.files.text import one_line
from cimsolve.judge.check.plan import check_plan
from cimsolve.price.chips import use_link
from cimsolve.price.rounds import RunTimes, begins_of_runs
from cimsolve.problem.plan import AnyPlan, ChipsHeader, RoundsHeader
from cimsolve.problem.problem import Problem
from cimsolve.show.seen.comparison import BoundRow, amount, symbol
from cimsolve.show.units import choose_unit, in_unit, plural, share

TOKEN, PREFILL = ("token latency", "latency_ns", "latency_cycles"), ("prefill", "prefill_ns", "prefill_ns")
FIGURES: Mapping[type[RoundsHeader] | type[ChipsHeader], tuple[tuple[str, str, str], ...]] = {
    RoundsHeader: (TOKEN, PREFILL, ("batch", "batch_ns", "batch_cycles")),
    ChipsHeader: (TOKEN, PREFILL, ("II", "ii_ns", "ii_cycles")),
}
"""Kind of answer -> title, metric in ns and the metric of its bound."""
ROWS_MAX = 40
"""More runs than can be read as lines share them, some that follow each other on each."""

TOLD_MAX = 3
"""Up to so many runs of a line are told one by one."""

Role = Literal["write", "wait", "compute", "link"]


SUMS: Mapping[Role, str] = {"write": "written in", "wait": "wait", "compute": "compute", "link": "on links"}


class Spell(NamedTuple):
    """What a run does for some time, ns."""

    run: int
    role: Role
    begin_ns: float
    end_ns: float


@dataclass(frozen=True)
class OverTime:
    """Runs or chips over the time of something that passes them, `name` in one word, `of` in words."""

    name: str
    of: str
    spells: tuple[Spell, ...]
    labels: tuple[str, ...]
    """Of each line, from the top."""
    tips: tuple[str, ...]
    """Of each line, in words."""
    runs_a_line: int
    end_ns: float
    says: str


@dataclass(frozen=True)
class JudgedPlan:
    """An answer in runs that passed the checker, under the `name` it is shown by."""

    name: str
    plan: AnyPlan
    problem: Problem

    @property
    def bounds(self) -> list[BoundRow]:
        """Its figures of time beside what no answer goes below; the proof says for which."""
        header, found = self.plan.header, []
        for title, metric, bounded in FIGURES[type(header)]:
            entry, value = header.bounds[bounded], float(header.metrics[metric])
            lower = entry.lower * (value / entry.value)
            unit = choose_unit("time", [value])
            texts = in_unit(value, unit), in_unit(lower, unit), share(entry.gap)
            row = BoundRow(title, symbol(unit.name), "time", value, lower, *texts[:2], entry.gap, texts[2], "", "")
            found.append(row)
        return found


def judge_plan(plan: AnyPlan, name: str) -> JudgedPlan:
    """Ask the checker. Raises CheckError, in one line, where the answer breaks a rule or misstates a figure."""
    name, violations = one_line(name), check_plan(plan).violations
    if violations:
        others = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        raise CheckError(f"{name}: fails its check, nothing was drawn: {violations[0]}{others}")
    return JudgedPlan(name, plan, Problem(plan.question()))


def times_of_runs(rounds: AnyPlan) -> list[RunTimes]:
    """What the runs of an answer in rounds take, as its files claim."""
    assert isinstance(rounds.header, RoundsHeader)
    clock_ns = float(rounds.header.hw["clock_ns"])
    return [
        RunTimes(
            run.write_cycles,
            int(solution.header.metrics["latency_cycles"]),
            int(solution.header.metrics["ii_cycles"]),
            round(float(solution.header.metrics["prefill_ns"]) / clock_ns),
        )
        for run, solution in zip(rounds.header.runs, rounds.runs, strict=True)
    ]


def over_time(judged: JudgedPlan) -> list[OverTime]:
    """All that passes the runs, one after the other: in rounds a prefill, a token and a batch; of chips a token."""
    plan, header = judged.plan, judged.plan.header
    if not isinstance(header, RoundsHeader):
        return [_token_on_chips(judged)]
    of = {
        "prefill": f"a prefill of {judged.problem.model.tokens_told}",
        "token": "one token",
        "batch": f"a batch of {plural(header.batch, 'token')}",
    }
    times = times_of_runs(plan)
    names = first_steps(judged.problem, plan)
    return [_rounds_over_time(plan, header, times, names, name, told) for name, told in of.items()]


def _rounds_over_time(
    plan: AnyPlan, header: RoundsHeader, times: Sequence[RunTimes], names: Sequence[str], name: str, of: str
) -> OverTime:
    clock_ns = float(header.hw["clock_ns"])
    spells, tips = [], []
    begins = begins_of_runs(times, header.double, name, header.batch)
    computed = waited = 0
    ended = 0
    for run, (each, (write, compute)) in enumerate(zip(times, begins, strict=True)):
        takes = each.compute(name, header.batch)
        waited += compute - ended
        computed += takes
        ended = compute + takes
        for role, begin, end in _steps_of_run(write, write + each.write, compute, ended):
            spells.append(Spell(run, role, begin * clock_ns, end * clock_ns))
        parts = [f"written in {amount(each.write * clock_ns, 'time')}", f"computes {amount(takes * clock_ns, 'time')}"]
        parts += [f"waits {amount((compute - write - each.write) * clock_ns, 'time')}"] * (compute > write + each.write)
        tips.append(f"run {run + 1}, {_told(plan, run, names[run])}: {', '.join(parts)}")
    says = (
        f"{plural(len(times), 'run')} in {amount(ended * clock_ns, 'time')}; arrays compute {share(computed / ended)} "
        f"of it and wait for weights {share(waited / ended)}"
    )
    return _lined(name, of, spells, [f"{at} {name}" for at, name in enumerate(names, 1)], tips, says)


def _steps_of_run(write: int, written: int, compute: int, ended: int) -> Iterator[tuple[Role, int, int]]:
    yield "write", write, written
    if compute > written:
        yield "wait", written, compute
    yield "compute", compute, ended


def _token_on_chips(judged: JudgedPlan) -> OverTime:
    plan, clock_ns = judged.plan, float(judged.plan.header.hw["clock_ns"])
    names = first_steps(judged.problem, plan)
    spells: list[Spell] = []
    tips = []
    at = linked = 0.0
    for chip, (entry, solution) in enumerate(zip(plan.header.runs, plan.runs, strict=True)):
        metrics = solution.header.metrics
        ends = at + float(metrics["latency_ns"])
        spells.append(Spell(chip, "compute", at, ends))
        takes, every = amount(ends - at, "time"), amount(float(metrics["ii_ns"]), "time")
        tip = (
            f"chip {chip + 1}, {_told(plan, chip, names[chip])}: a token takes {takes}, a new one enters every {every}"
        )
        at = ends
        if chip < len(plan.runs) - 1:
            link = use_link(judged.problem, entry.end)
            at += link.latency * clock_ns
            linked += link.latency * clock_ns
            spells.append(Spell(chip, "link", ends, at))
            tip += f"; {link.bits} bits to the next in {amount(link.latency * clock_ns, 'time')}"
        tips.append(tip)
    says = f"{plural(len(plan.runs), 'chip')}; a token takes {amount(at, 'time')}, {share(linked / at)} of it on links"
    labels = [f"{at} {name}" for at, name in enumerate(names, 1)]
    return _lined("token", "one token", spells, labels, tips, says)


def _lined(
    name: str, of: str, spells: Sequence[Spell], labels: Sequence[str], tips: Sequence[str], says: str
) -> OverTime:
    """As many lines as can be read, of runs that follow each other."""
    size = ceil_div(len(labels), ROWS_MAX)
    parts = [slice(at, at + size) for at in range(0, len(labels), size)]
    lines = [labels[part][0] if size == 1 else f"from {labels[part][0]}" for part in parts]
    told = ["; ".join(tips[part]) if size <= TOLD_MAX else _together(spells, part, len(labels)) for part in parts]
    return OverTime(name, of, tuple(spells), tuple(lines), tuple(told), size, max(each.end_ns for each in spells), says)


def _together(spells: Sequence[Spell], part: slice, count: int) -> str:
    """What many runs of a line do, in sums."""
    sums: dict[Role, float] = {}
    for spell in spells:
        if part.start <= spell.run < part.stop:
            sums[spell.role] = sums.get(spell.role, 0.0) + spell.end_ns - spell.begin_ns
    told = ", ".join(f"{SUMS[role]} {amount(taken, 'time')}" for role, taken in sums.items())
    return f"{part.start + 1} to {min(part.stop, count)}, in all: {told}"


def first_steps(problem: Problem, plan: AnyPlan) -> list[str]:
    """The name of the first step of each run."""
    return [problem.model.steps[entry.first].name for entry in plan.header.runs]


def _told(plan: AnyPlan, run: int, first: str) -> str:
    entry, arrays = plan.header.runs[run], int(plan.runs[run].header.metrics["arrays"])
    return f"{plural(entry.end - entry.first, 'step')} from {first} on {plural(arrays, 'array')}"
