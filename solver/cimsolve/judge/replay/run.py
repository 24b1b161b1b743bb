"""A solution as work: one token of it alone, a prefill, and what both rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from cimsolve.columns import Ints
from cimsolve.errors import InputError
from cimsolve.judge.names import Controller, SharedUnits
from cimsolve.judge.replay.stream import Arrivals, Rules, replay_stream
from cimsolve.judge.replay.token import replay_token
from cimsolve.judge.replay.work import Work, find_work
from cimsolve.model.model import Model
from cimsolve.price.cost import Costs
from cimsolve.problem.tables import Activations

TOKENS_MAX = 2**16
VISITS_MAX = 2**24
"""Most tokens times stages and tails: memory and minutes."""


@dataclass(frozen=True)
class Serving:
    """How tokens are admitted, and what a gap holds; see `replay`."""

    controller: Controller = "paced"
    gaps: SharedUnits = "apart"

    @property
    def together(self) -> bool:
        return self.gaps == "together"

    def rules(self, pace: Mapping[int, int], barriers: bool) -> Rules:
        """With tokens of one sequence (`barriers`) or of many, at this `pace` of each phase."""
        admitted = dict.fromkeys(pace, 0) if barriers and self.controller == "burst" else pace
        return Rules(admitted, barriers, self.controller == "oldest", self.together)


@dataclass(frozen=True)
class ReplayedRun:
    """A solution whose tables obey the rules, with the costs that the equations give for it."""

    activations: Activations
    costs: Costs
    serving: Serving

    @cached_property
    def work(self) -> Work:
        """What one token asks for."""
        return find_work(self.costs.fired, self.activations)

    @cached_property
    def of_prefill(self) -> Work:
        """What a token of a prefill asks for: only the memory of keys and values is used otherwise."""
        if self.costs.fired.problem.hardware.memory is None:
            return self.work
        return find_work(self.costs.fired, self.activations, in_prefill=True)

    @cached_property
    def token_cycles(self) -> int:
        """One token alone."""
        return replay_token(self.work, self.costs.fired, self.activations, self.costs.stages.begins)

    @cached_property
    def phases(self) -> tuple[int, ...]:
        """Numbers of its phases in order."""
        return tuple(dict.fromkeys(node.phase for node in self.work.nodes))

    @cached_property
    def pace(self) -> Mapping[int, int]:
        """Phase -> the most that one unit works for a token of a prefill."""
        together = self.serving.together
        return {phase: self.of_prefill.pace_cycles(phase, together) for phase in self.phases}

    @property
    def visits(self) -> int:
        """Jobs of one token."""
        return len(self.work.jobs(self.serving.together))

    def prefill(self, through: Mapping[int, int], pace: Mapping[int, int], arrivals: Arrivals | None = None) -> Ints:
        """When each token of one sequence has left it; `through`: phase -> tokens, `arrivals` as `replay_stream`."""
        return replay_stream(self.of_prefill, through, self.serving.rules(pace, True), arrivals)

    def stream(self, tokens: int, pace: int, arrivals: Arrivals | None = None) -> Ints:
        """When each token of many sequences has left it."""
        rules = self.serving.rules(dict.fromkeys(self.phases, pace), False)
        return replay_stream(self.work, tokens, rules, arrivals)


def most_tokens(visits: int) -> int:
    """Most tokens that can be replayed, of so many jobs each."""
    return min(TOKENS_MAX, VISITS_MAX // visits)


def demand_tokens(model: Model, most: int, tokens: int, source_tokens: int | None) -> None:
    """Raise InputError for numbers of tokens that cannot be replayed, or of a source where there is none."""
    if source_tokens is not None and model.source_tokens is None:
        raise InputError(f"--source-tokens: {source_tokens}: {model.name} has no source beside it; leave it out")
    for flag, number in (("--tokens", tokens), ("--source-tokens", source_tokens)):
        if number is not None and not 1 <= number <= most:
            raise InputError(f"{flag}: {number} cannot be replayed for {model.name}; expected 1 to {most}")
