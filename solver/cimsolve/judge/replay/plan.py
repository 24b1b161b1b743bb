"""Replay of answers in runs: writing, computing and links as work of units, from the first weight to the last token.

Each run is replayed as any solution. In rounds the load link and the write drivers are units beside it, and so are the
arrays: all of them, or either half where a run is written beside the one before. On chips in a row each link is a unit
that serves tokens first come, first served; tokens come to a chip when the link before it brings them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cimsolve.columns import Ints
from cimsolve.errors import InputError
from cimsolve.judge.names import Controller, SharedUnits
from cimsolve.judge.replay import JOBS_MAX, STREAM_MIN, Figure
from cimsolve.judge.replay.run import TOKENS_MAX, VISITS_MAX, ReplayedRun, Serving, demand_tokens, most_tokens
from cimsolve.judge.replay.stream import Arrivals, settled_interval
from cimsolve.judge.replay.writing import Writing, replay_writing
from cimsolve.model.model import SOURCE
from cimsolve.price.chips import ChipTimes, LinkUse, least_interval_of_row, row_of, use_link
from cimsolve.price.cost import Costs
from cimsolve.price.rounds import RunTimes, period_cycles, times_of_run, total_cycles
from cimsolve.problem.plan import AnyPlan, RoundsHeader
from cimsolve.problem.problem import Problem

LAPS = 4
"""Batches that follow each other until the time from one to the next is read off."""


@dataclass(frozen=True)
class PlanReplay:
    """Replayed times beside the analytical ones; `stream` is of a batch after a batch, or of many sequences."""

    token: Figure
    tokens: int
    source_tokens: int | None
    prefill: Figure
    stream_tokens: int
    """In rounds those of a batch."""
    stream: Figure | None
    settled: bool
    """Whether the stream was long enough for its interval to mean something."""
    writing: Figure | None
    """All of it, and where no row is written before its weights have come; None where nothing is written."""
    busy: Mapping[str, Mapping[str, float]]
    """Unit -> of the time of a `token`, a `prefill` and the `stream` the share that it works."""

    @property
    def agrees(self) -> bool:
        """Whether one token takes exactly as long as the equations say."""
        return self.token.replayed_ns == self.token.analytical_ns


@dataclass(frozen=True)
class _Tokens:
    """How many tokens pass: of a prefill, of its source, and of a stream or batch."""

    prefill: int
    source: int | None
    stream: int | None

    def through(self, problem: Problem, phases: Sequence[int], first: int, end: int) -> dict[int, int]:
        """Phase, as a run of these steps numbers it -> tokens of its pass."""
        passes = dict.fromkeys((step.phase, step.pass_name) for step in problem.model.steps[first:end])
        counts = (self.source if self.source and name == SOURCE else self.prefill for _, name in passes)
        return dict(zip(phases, counts, strict=True))


def replay_plan(
    plan: AnyPlan,
    costs: Sequence[Costs],
    *,
    tokens: int | None = None,
    source_tokens: int | None = None,
    stream: int | None = None,
    controller: Controller = "paced",
    gaps: SharedUnits = "apart",
) -> PlanReplay:
    """Replay one token, a prefill, and batches one after the other or a stream of tokens of many sequences.

    The plan must obey the rules; `costs` are those that the equations give for each of its runs. `stream`: tokens of a
    batch (None: the plan's) or of the stream (None: as many as it takes); 0: none. The rest is as `replay` has it.

    Raises InputError for numbers of tokens that are none.
    """
    problem = Problem(plan.question())
    serving, made = Serving(controller, gaps), dict[int, ReplayedRun]()
    runs = [
        made.setdefault(id(cost), ReplayedRun(solution.activations, cost, serving))
        for solution, cost in zip(plan.runs, costs, strict=True)
    ]
    model = problem.model
    given = _Tokens(model.tokens if tokens is None else tokens, source_tokens or model.source_tokens, stream)
    most = most_tokens(max(run.visits for run in runs))
    demand_tokens(model, most, given.prefill, given.source)
    least, of_stream = (1, plan.header.batch) if isinstance(plan.header, RoundsHeader) else (3, None)
    of_stream = of_stream if stream is None else stream
    if of_stream and not least <= of_stream <= most:
        raise InputError(f"--stream: {of_stream} cannot be replayed for {model.name}; expected 0, or {least} to {most}")
    if isinstance(plan.header, RoundsHeader):
        return _replay_rounds(problem, plan, plan.header, runs, given)
    return _replay_chips(problem, plan, runs, given)


def _replay_rounds(
    problem: Problem, plan: AnyPlan, header: RoundsHeader, runs: Sequence[ReplayedRun], given: _Tokens
) -> PlanReplay:
    batch = header.batch if given.stream is None else given.stream
    written: dict[int, Writing] = {}
    prefills: dict[int, tuple[int, int]] = {}
    batches: dict[int, int] = {}
    times: list[RunTimes] = []
    for entry, solution, run in zip(header.runs, plan.runs, runs, strict=True):
        key = id(run)
        if key not in written:
            written[key] = replay_writing(problem, solution.pieces)
            through = given.through(problem, run.phases, entry.first, entry.end)
            prefills[key] = int(run.prefill(through, run.pace).max()), _prefill_cycles(run, through)
            if batch:
                batches[key] = int(run.stream(batch, run.work.pace_cycles(together=run.serving.together)).max())
        analysed = times_of_run(problem.hardware, solution.pieces, run.costs.metrics)
        times.append(RunTimes(analysed.write, analysed.latency, analysed.ii, prefills[key][1]))
    clock_ns = problem.hardware.clock_ps / 1000
    write = [written[id(run)] for run in runs]
    busy: dict[str, dict[str, float]] = {"write drivers": {}, "load link": {}, "arrays": {}}

    def found(of: str, analytical: int, computing: Sequence[int], laps: int) -> Figure:
        ends = _ends_of_laps([each.cycles for each in write], computing, header.double, laps)
        taken = ends[-1] if laps == 1 else ends[-1] - ends[-2]
        for name, work in (
            ("write drivers", sum(each.drivers for each in write)),
            ("load link", sum(each.link for each in write)),
            ("arrays", sum(computing)),
        ):
            busy[name][of] = work / taken
        return Figure(analytical * clock_ns, taken * clock_ns)

    token = found("token", total_cycles(times, header.double, "token"), [run.token_cycles for run in runs], 1)
    computing = [prefills[id(run)][0] for run in runs]
    prefill = found("prefill", total_cycles(times, header.double, "prefill"), computing, 1)
    stream = None
    if batch:
        computing = [batches[id(run)] for run in runs]
        stream = found("stream", period_cycles(times, header.double, batch), computing, LAPS)
    return PlanReplay(
        token=token,
        tokens=given.prefill,
        source_tokens=given.source,
        prefill=prefill,
        stream_tokens=batch,
        stream=stream,
        settled=True,
        writing=Figure(sum(each.write for each in times) * clock_ns, sum(each.row_by_row for each in write) * clock_ns),
        busy=busy,
    )


def _prefill_cycles(run: ReplayedRun, through: Mapping[int, int]) -> int:
    """What the equations give for a prefill of a run."""
    return sum(phase.fill_cycles + (through[phase.phase] - 1) * phase.ii_cycles for phase in run.costs.phases)


def _ends_of_laps(write: Sequence[int], compute: Sequence[int], double: bool, laps: int) -> list[int]:
    """When each of some batches has passed all runs: units that serve runs in their order, as soon as they are free."""
    arrays = [0, 0] if double else [0]
    writers = computing = number = 0
    ends = []
    for _ in range(laps):
        for writes, computes in zip(write, compute, strict=True):
            own = number % len(arrays)
            writers = max(writers, arrays[own]) + writes
            computing = arrays[own] = max(writers, computing) + computes
            number += 1
        ends.append(computing)
    return ends


def _replay_chips(problem: Problem, plan: AnyPlan, runs: Sequence[ReplayedRun], given: _Tokens) -> PlanReplay:
    entries, clock_ns = plan.header.runs, problem.hardware.clock_ps / 1000
    ends = [entry.end for entry in entries]
    links = [use_link(problem, end) for end in ends[:-1]]
    through = [
        given.through(problem, run.phases, entry.first, entry.end) for entry, run in zip(entries, runs, strict=True)
    ]
    times = [
        ChipTimes(
            int(run.costs.metrics["latency_cycles"]),
            int(run.costs.metrics["ii_cycles"]),
            tuple(phase.ii_cycles for phase in run.costs.phases),
            tuple(count - 1 for count in counts.values()),
        )
        for run, counts in zip(runs, through, strict=True)
    ]
    row = row_of(problem, ends, times)
    alone = sum(run.token_cycles for run in runs) + sum(link.latency for link in links)
    prefill = _prefill_of_row(problem, plan, runs, links, through)
    together = runs[0].serving.together
    paces = [*(run.work.pace_cycles(together=together) for run in runs), *(link.busy for link in links)]
    least = least_interval_of_row(problem, ends, row.latency)
    pace = max(*paces, least)
    enough = max(STREAM_MIN, 12 * -(-alone // pace))
    users = sum(len(job.users) + 100 for run in runs for job in run.work.jobs(together))
    most = max(3, min(JOBS_MAX // users, VISITS_MAX // sum(run.visits for run in runs), TOKENS_MAX))
    count = min(enough, most) if given.stream is None else given.stream
    stream = None
    if count:

        def leave(place: int, came: Ints | None) -> Ints:
            return runs[place].stream(count, pace, None if came is None else Arrivals(came, None))

        left = _through_row(links, leave)
        stream = Figure(max(row.ii, least) * clock_ns, settled_interval(left) * clock_ns)
    work = {"a chip": max(paces[: len(runs)]), "a link": max((link.busy for link in links), default=0)}
    taken = {"token": alone, "stream": stream.replayed_ns / clock_ns if stream is not None else None}
    return PlanReplay(
        token=Figure(row.latency * clock_ns, alone * clock_ns),
        tokens=given.prefill,
        source_tokens=given.source,
        prefill=Figure(row.prefill * clock_ns, prefill * clock_ns),
        stream_tokens=count,
        stream=stream,
        settled=count >= enough,
        writing=None,
        busy={
            name: {of: cycles / time for of, time in taken.items() if time is not None} for name, cycles in work.items()
        },
    )


def _prefill_of_row(
    problem: Problem,
    plan: AnyPlan,
    runs: Sequence[ReplayedRun],
    links: Sequence[LinkUse],
    through: Sequence[Mapping[int, int]],
) -> int:
    """When the last token of one sequence has left the last chip; a phase has one pace on all its chips and links."""
    steps, entries = problem.model.steps, plan.header.runs
    numbers = [
        dict(zip(run.phases, dict.fromkeys(step.phase for step in steps[entry.first : entry.end]), strict=True))
        for run, entry in zip(runs, entries, strict=True)
    ]
    pace: dict[int, int] = {}
    for run, number in zip(runs, numbers, strict=True):
        for phase, cycles in run.pace.items():
            pace[number[phase]] = max(pace.get(number[phase], 0), cycles)
    for entry, link in zip(entries, links, strict=False):
        phase = steps[entry.end - 1].phase
        pace[phase] = max(pace[phase], link.busy)

    def leave(place: int, came: Ints | None) -> Ints:
        run, first = runs[place], entries[place].first
        of_phase = {phase: pace[number] for phase, number in numbers[place].items()}
        goes_on = first > 0 and steps[first].phase == steps[first - 1].phase
        arrivals = None if came is None else Arrivals(came, run.phases[0] if goes_on else None)
        return run.prefill(through[place], of_phase, arrivals)

    return int(_through_row(links, leave).max())


def _through_row(links: Sequence[LinkUse], leave: Callable[[int, Ints | None], Ints]) -> Ints:
    """When tokens leave the last chip: `leave` says when they do each, by when they come over the link before it."""
    left = leave(0, None)
    for place, link in enumerate(links, 1):
        left = leave(place, _over_link(link, left))
    return left


def _over_link(link: LinkUse, came: Ints) -> Ints:
    """When each token is on the next chip, first come, first served."""
    order = np.argsort(came, kind="stable")
    # In order of arrival: begins[i] = max(came[i], begins[i - 1] + busy).
    steps = np.arange(len(came)) * link.busy
    found = np.empty_like(came)
    found[order] = np.maximum.accumulate(came[order] - steps) + steps + link.latency
    return found
