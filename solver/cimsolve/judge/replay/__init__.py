"""Replay: a discrete-event simulation of a solution, which finds times instead of computing them.

Arrays, digital units, interconnect and memory are units with queues, on a chip with a network each of its links and
buses and the hub's port either way; activations, gaps and moves are jobs with durations, taken from the solution and
the chip. From this alone it says how long one token, a prefill and a stream of many sequences take, for comparison
with the equations of `cost`. docs/cost-model.md has what was found.

Not modelled: buffers (they never overflow), control, the routes of a flat chip's transfers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cimsolve.errors import InputError
from cimsolve.judge.names import Controller, SharedUnits
from cimsolve.judge.replay.run import TOKENS_MAX, VISITS_MAX, ReplayedRun, Serving, demand_tokens, most_tokens
from cimsolve.judge.replay.stream import settled_interval
from cimsolve.model.model import SOURCE
from cimsolve.price.cost import Costs
from cimsolve.price.memory import least_interval
from cimsolve.problem.tables import Activations

__all__ = ["Figure", "Replay", "Stream", "replay"]

STREAM_MIN = 384
JOBS_MAX = 200_000_000
"""Most jobs of groups of arrays in a stream whose length is left to us: seconds."""


@dataclass(frozen=True)
class Figure:
    """One figure by the equations and by replay, ns."""

    analytical_ns: float
    replayed_ns: float

    @property
    def difference(self) -> float:
        """How far the replay lies above the equation, as a share of it."""
        return self.replayed_ns / self.analytical_ns - 1


@dataclass(frozen=True)
class Stream:
    """Many independent sequences, one token of each, admitted at the pace of the busiest unit."""

    tokens: int
    interval: Figure
    """II."""
    latency_ns: float
    """Mean over the last third of the tokens."""
    settled: bool
    """Whether the stream was long enough, beside the tokens in flight, for its interval to mean something."""

    @property
    def in_flight(self) -> float:
        """Tokens on the chip at one time (Little's law)."""
        return self.latency_ns / self.interval.replayed_ns


@dataclass(frozen=True)
class Replay:
    """Replayed times beside the analytical ones."""

    token: Figure
    tokens: int
    source_tokens: int | None
    """None: there is no source."""
    prefill: Figure
    busiest: str
    """The unit that worked most in the prefill."""
    utilisation: float
    """The share of the time that it worked."""
    pace_share: float
    """Share of the time that the busiest unit of every phase worked; 1 would be a prefill without waiting."""
    stream: Stream | None

    @property
    def agrees(self) -> bool:
        """Whether one token takes exactly as long as the equations say."""
        return self.token.replayed_ns == self.token.analytical_ns


def replay(
    activations: Activations,
    costs: Costs,
    *,
    tokens: int | None = None,
    source_tokens: int | None = None,
    stream: int | None = None,
    controller: Controller = "paced",
    gaps: SharedUnits = "apart",
) -> Replay:
    """Replay one token, a prefill of `tokens` and a stream of `stream` tokens of many sequences.

    The tables must obey the rules; `costs` are those that the equations give for them. `tokens` None: the prefill
    of the question, as are `source_tokens`, those of an encoder-decoder's source. `stream` None: as many as it takes,
    0: no stream.

    `controller`: `paced` admits the tokens of a phase one by one, at the pace of its busiest unit, and every unit
    serves first come, first served; with `oldest` digital units and a flat chip's interconnect take the oldest token
    that waits; `burst` admits all tokens of a prefill at once. `gaps`: digital units and interconnect serve different
    tokens at once (`apart`), or a gap holds both, a network as a whole (`together`).

    Raises InputError for numbers of tokens that are none.
    """
    problem = costs.fired.problem
    run = ReplayedRun(activations, costs, Serving(controller, gaps))
    work, together = run.work, run.serving.together
    count = problem.model.tokens if tokens is None else tokens
    most = most_tokens(run.visits)
    of_source = problem.model.source_tokens if source_tokens is None else source_tokens
    demand_tokens(problem.model, most, tokens=count, source_tokens=of_source)
    passes = {stage.phase: stage.pass_name for stage in problem.workload.stages}
    through = {phase: of_source if of_source and name == SOURCE else count for phase, name in passes.items()}
    if stream and not 3 <= stream <= most:
        raise InputError(f"--stream: {stream} cannot be replayed for {problem.model.name}; expected 0, or 3 to {most}")
    clock_ns = problem.hardware.clock_ps / 1000

    alone, pace = run.token_cycles, run.pace
    prefill = int(run.prefill(through, pace).max())
    busy = np.sum([run.of_prefill.busy_cycles(phase, together) * each for phase, each in through.items()], axis=0)
    expected = sum(phase.fill_cycles + (through[phase.phase] - 1) * phase.ii_cycles for phase in costs.phases)
    return Replay(
        token=Figure(int(costs.metrics["latency_cycles"]) * clock_ns, alone * clock_ns),
        tokens=count,
        source_tokens=of_source,
        prefill=Figure(expected * clock_ns, prefill * clock_ns),
        busiest=work.units[int(np.argmax(busy))],
        utilisation=float(busy.max() / prefill),
        pace_share=sum(each * pace[phase] for phase, each in through.items()) / prefill,
        stream=_replay_many(run, stream),
    )


def _replay_many(run: ReplayedRun, asked: int | None) -> Stream | None:
    work, alone, costs, together = run.work, run.token_cycles, run.costs, run.serving.together
    pace = max(work.pace_cycles(together=together), least_interval(costs.fired.problem, alone))
    # Twelve times the tokens in flight: a third settles, two are long beside the waves in which tokens leave.
    enough = max(STREAM_MIN, 12 * -(-alone // pace))
    jobs = work.jobs(together)
    users = sum(len(job.users) + 100 for job in jobs)
    most = max(3, min(JOBS_MAX // users, VISITS_MAX // len(jobs), TOKENS_MAX))
    count = min(enough, most) if asked is None else asked
    if not count:
        return None
    finished = run.stream(count, pace)
    taken = finished - pace * np.arange(count)
    clock_ns = costs.metrics["latency_ns"] / costs.metrics["latency_cycles"]
    return Stream(
        tokens=count,
        interval=Figure(costs.metrics["ii_cycles"] * clock_ns, settled_interval(finished) * clock_ns),
        latency_ns=float(taken[-(count // 3) :].mean()) * clock_ns,
        settled=count >= enough,
    )
