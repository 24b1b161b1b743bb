"""The search for an answer in runs: a cut of the model into parts, each mapped as any question."""

from __future__ import annotations

import contextlib
import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Generic, NamedTuple

from cimsolve.errors import InfeasibleError, InputError
from cimsolve.price.cost import price
from cimsolve.problem.objective import names_of
from cimsolve.problem.plan import RUNS_MAX, run_problem
from cimsolve.problem.problem import Problem
from cimsolve.problem.routing import is_counted
from cimsolve.problem.solution import BoundEntry, Solution
from cimsolve.prove import Bound, relative_gap
from cimsolve.prove.arrays import least_arrays
from cimsolve.prove.runs import Cut, Run, Times, fewest_runs, shapes_of
from cimsolve.solve.effort import Effort
from cimsolve.solve.names import RULE_NAMES
from cimsolve.study.solving import library_versions, make_solution, mapping_of, problem_for, solve

SHAPES_MAX = 3
"""So many shapes of runs are searched without haste, those by which all can gain most."""
CUTS_MAX = 4
"""Most cuts that are mapped as a whole."""
QUICK = "spread"
"""The rule that maps runs before any is searched."""
CLOSE = 0.02
"""No run is searched where all together take no more above their bound, as a share of it."""
GAIN = 0.005
"""Nothing is tried that would gain no more of the whole, as bounds show it."""
PARTS = (1, 2, 3, 4, 8, 16, 32, 64)
"""Steps that are too large for the arrays are cut into parts of the cells of all, or of a half, a third, ..."""
PASSED = {"latency": "token", "prefill": "prefill", "throughput": "batch"}
"""Objective -> what passes through the runs while they are cut to take least."""


def question_of_runs(problem: Problem, strategy: str, kind: str) -> tuple[Problem, int]:
    """What a strategy answers in runs, and the arrays of a chip.

    Raises InputError where these are not limited, for limits of cost, and for a part of a model.
    """
    asked = problem_for(strategy, problem)
    for metric in asked.cost_limits:
        raise InputError(f"max_{metric}: is not obeyed in {kind}; leave it out")
    if asked.terms.steps is not None:
        raise InputError(f"steps = {asked.terms.steps}: a part of a model is not cut into {kind}; leave it out")
    if is_counted(asked.terms.routing):
        raise InputError(
            f"routing: counts of a file are of the whole model's choices, which {kind} cut apart; leave it out, or say "
            "zipf:S:SEED"
        )
    if asked.array_limit is None:
        raise InputError(f"{kind}: the arrays are not limited; give --max-arrays, or array.count in the spec")
    return asked, asked.array_limit


def passed(problem: Problem) -> str:
    """What the objective asks to pass through the runs in least time: a `token`, a `prefill` or a `batch`."""
    names = names_of(run_problem(problem, 0, len(problem.model.steps)).objective)
    return PASSED.get(names[0], "token")


class Mapped(NamedTuple, Generic[Times]):
    """A run with its mapping and what it takes; `like`: the number of an earlier run that it shares both with."""

    run: Run
    like: int | None
    solution: Solution
    times: Times


class FoundCut(NamedTuple, Generic[Times]):
    """A cut that is mapped as a whole with what it takes, and all shapes of runs that were mapped for it."""

    cycles: int
    cut: Cut
    solved: Mapping[Hashable, tuple[Solution, Times] | None]


def fitting(problem: Problem, arrays: int, told: str) -> Iterator[Problem]:
    """The question as it is, where each step may fit so many arrays alone; else with large steps cut, ever finer.

    Raises InfeasibleError, `told` first, where no cut does.
    """
    alone = _too_large_step(problem, arrays)
    if alone is None:
        yield problem
        return
    cells, fits, finest = arrays * problem.rows * problem.weights_per_row, False, problem
    for parts in PARTS if problem.terms.cut_steps is None else ():
        cut = problem.asking(cut_steps=max(1, cells // parts))
        if len(cut.model.steps) > RUNS_MAX:
            break
        if (left := _too_large_step(cut, arrays)) is None:
            fits = True
            yield cut
        else:
            finest, alone = cut, left
    if not fits:
        need = least_arrays(run_problem(finest, alone, alone + 1), arrays + 1)[0]
        raise InfeasibleError(
            f"{told}: {finest.model.steps[alone].name} alone needs at least {need} arrays, of which a run has "
            f"{arrays}, and cannot be cut further: allow more arrays, or store less by --structure"
        )


def _too_large_step(problem: Problem, arrays: int) -> int | None:
    """The first step that does not fit so many arrays alone, as a bound shows."""
    may_fit = shapes_of(problem).may_fit
    return next((step for step in range(len(problem.model.steps)) if not may_fit(step, step + 1, arrays)), None)


@dataclass
class RunSearch(ABC, Generic[Times]):
    """Runs on so many arrays each, mapped as far as a cut asks for them."""

    problem: Problem
    strategy: str
    effort: Effort
    arrays: int
    begin: Callable[[str], None]
    runs_max: int | None = None
    solved: dict[Hashable, tuple[Solution, Times] | None] = field(default_factory=dict)
    """Shape of runs -> the mapping of one of them, and what it takes; None where it does not fit."""
    kind: ClassVar[str]
    shares: ClassVar[tuple[float, ...]] = ()
    """Of the arrays' cells: runs that fill no more are tried first."""

    @property
    def fills(self) -> bool:
        """Whether as many steps go into each run as fit, as a rule does it."""
        return self.strategy in RULE_NAMES

    @property
    @abstractmethod
    def least(self) -> Mapping[Run, Times]:
        """What every run that may fit takes at least."""

    @abstractmethod
    def times_of(self, solution: Solution, run: Problem) -> Times:
        """What a run takes as it is mapped."""

    @abstractmethod
    def best_cut(self, runs: Mapping[Run, Times]) -> Cut | None:
        """The cut into these runs that takes least; None where they do not join."""

    @abstractmethod
    def cycles(self, runs: Mapping[Run, Times], cut: Cut) -> int:
        """What a cut takes in all."""

    def least_cycles(self) -> float:
        """What the best cut would take if every run took its least."""
        cut = self.best_cut(self.least)
        return math.inf if cut is None else self.cycles(self.least, cut)

    def run(self) -> list[Mapped[Times]]:
        """The runs of the best cut found in order. Raises InfeasibleError where there is none."""
        return self.refined(self.draft)

    @cached_property
    def draft(self) -> FoundCut[Times]:
        """What a rule finds, or a search that is brief where that leaves more than CLOSE to the bound.

        Raises InfeasibleError where neither finds anything.
        """
        if self.fills:
            return self._settled(self.strategy, self.effort)
        try:
            found = self._settled(QUICK, self.effort)
        except InfeasibleError:
            found = None
        if found is not None and self._is_close(found):
            return found
        self.solved = {}
        try:
            brief = self._settled(self.strategy, replace(self.effort, brief=True))
        except InfeasibleError:
            if found is None:
                raise
            return found
        return brief if found is None else min(found, brief, key=lambda each: each.cycles)

    def refined(self, found: FoundCut[Times]) -> list[Mapped[Times]]:
        """The runs of a draft, those searched again that all of it can gain most by; the best cut of what is known."""
        self.solved = dict(found.solved)
        if self.fills or self._is_close(found):
            return self._mapped(found.cut)
        gains: dict[Hashable, tuple[int, Run]] = {}
        for shape, run in {self.shape(run): run for run in found.cut}.items():
            known = self._known() | {each: self.least[each] for each in self.least if self.shape(each) == shape}
            gains[shape] = found.cycles - self.cycles(known, found.cut), run
        hopeful = sorted(gains.items(), key=lambda each: -each[1][0])[:SHAPES_MAX]
        for shape, (gain, run) in hopeful:
            before = self.solved[shape]
            if gain > GAIN * found.cycles:
                self._solve(run, self.strategy, self.effort)
                if before is not None and self.cycles(self._known(), found.cut) >= found.cycles:
                    self.solved[shape] = before
        mapped = {run: times for run, times in self._known().items() if self.shape(run) in self.solved}
        return self._mapped(self.best_cut(mapped) or found.cut)

    def _is_close(self, found: FoundCut[Times]) -> bool:
        return found.cycles <= self.least_cycles() * (1 + CLOSE)

    def _settled(self, strategy: str, effort: Effort) -> FoundCut[Times]:
        """A cut of which all runs are mapped. Raises InfeasibleError where none is found.

        The first is one of small runs, if their bounds allow it: they leave most room for each. Then the one is mapped
        that would take least if what is not mapped took as much above its least as what is.
        """
        count = len(self.problem.model.steps)
        best: FoundCut[Times] | None = None
        cuts, above = 0, 1.0
        while True:
            known = self._known(above)
            cut = _filled(known, count) if self.fills else self.best_cut(known) if best else self._smallest(known)
            if cut is None or (self.runs_max is not None and len(cut) > self.runs_max):
                if best is not None:
                    return best
                raise self._too_large(known)
            missing = {shape: run for run in cut if (shape := self.shape(run)) not in self.solved}
            hopeless = best is not None and self.cycles(known, cut) > best.cycles * (1 - GAIN)
            if best is not None and (not missing or hopeless or cuts == CUTS_MAX):
                return best
            for shape, run in missing.items():
                self._solve(run, strategy, effort)
                if self.solved[shape] is None:
                    break
            else:
                cuts += 1
                cycles = self.cycles(self._known(), cut)
                above = max(1.0, cycles / max(1, self.cycles(self.least, cut)))
                if best is None or cycles < best.cycles:
                    best = FoundCut(cycles, cut, self.solved)
                if self.fills:
                    return best

    def _smallest(self, runs: Mapping[Run, Times]) -> Cut | None:
        """The best cut into runs that fill a small share of the arrays, if that is about as good as any."""
        best = self.best_cut(runs)
        if best is None:
            return None
        stored = self.problem.structures
        steps = (
            sum(stored[each.name].stored_weights(each.n_in, each.n_out) for each in step.linears)
            for step in self.problem.model.steps
        )
        until = list(itertools.accumulate(steps, initial=0))
        cells, least = self.arrays * self.problem.rows * self.problem.weights_per_row, self.cycles(runs, best)
        for share in self.shares:
            small = {run: times for run, times in runs.items() if until[run[1]] - until[run[0]] <= share * cells}
            cut = self.best_cut(small)
            if cut is not None and self.cycles(runs, cut) <= least * (1 + CLOSE):
                return cut
        return best

    def shape(self, run: Run) -> Hashable:
        """What runs that are mapped alike have in common."""
        return shapes_of(self.problem).of(*run)

    def _known(self, above: float = 1.0) -> dict[Run, Times]:
        """What runs take that may fit, as they are mapped, or else so many times their least."""
        found = {}
        for run, least in self.least.items():
            shape = self.shape(run)
            mapped = self.solved.get(shape)
            if mapped is not None or shape not in self.solved:
                found[run] = (least.slowed(above) if above > 1 else least) if mapped is None else mapped[1]
        return found

    def _asked(self, run: Run) -> Problem:
        asked = run_problem(self.problem, *run)
        return asked.asking(max_arrays=self.arrays) if self.arrays != asked.array_limit else asked

    def _solve(self, run: Run, strategy: str, effort: Effort) -> None:
        steps = self.problem.model.steps
        self.begin(f"{strategy}: run from {steps[run[0]].name} to {steps[run[1] - 1].name}")
        shape = self.shape(run)
        self.solved[shape] = None
        with contextlib.suppress(InfeasibleError):  # the bound on arrays was not reached: no cut has such a run
            asked = self._asked(run)
            solution = solve(asked, strategy, effort)
            self.solved[shape] = solution, self.times_of(solution, asked)

    def _mapped(self, cut: Cut) -> list[Mapped[Times]]:
        """The runs of a cut that is mapped as a whole."""
        first: dict[Hashable, int] = {}
        found: list[Mapped[Times]] = []
        for number, run in enumerate(cut):
            like = first.setdefault(self.shape(run), number)
            if like != number:
                found.append(found[like]._replace(run=run, like=like))
                continue
            mapped = self.solved[self.shape(run)]
            assert mapped is not None
            found.append(Mapped(run, None, self._solution_for(run, mapped[0]), mapped[1]))
        return found

    def _solution_for(self, run: Run, like: Solution) -> Solution:
        """The solution of a run from that of another of its shape."""
        asked = self._asked(run)
        if like.header.options == asked.terms:
            return like
        mapping, strategy = mapping_of(like, asked), like.header.strategy
        return make_solution(asked, mapping, strategy=strategy, seed=self.effort.seed, priced=price(asked, mapping))

    def _too_large(self, known: Mapping[Run, Times]) -> InfeasibleError:
        alone = [step for step in range(len(self.problem.model.steps)) if (step, step + 1) not in known]
        if alone:
            name = self.problem.model.steps[alone[0]].name
            return InfeasibleError(
                f"{self.strategy}: {self.kind}: no mapping of {name} alone on {self.arrays} arrays was found; allow "
                "more arrays, or store less by --structure"
            )
        least = fewest_runs(self.problem, self.arrays)
        return InfeasibleError(
            f"{self.strategy}: {self.kind}: no cut into at most {self.runs_max} runs of {self.arrays} arrays was "
            f"found, and none is into fewer than {least}; allow more, or store less by --structure"
        )


def claims_of(
    search: RunSearch[Times], metrics: Mapping[str, int | float], bounds: Mapping[str, Bound]
) -> dict[str, Any]:
    """What the header of any answer in runs says beside its runs."""
    entries = {}
    for name, bound in bounds.items():
        gap = relative_gap(name, metrics[name], bound.value)
        entries[name] = BoundEntry(value=metrics[name], lower=bound.value, gap=gap, proof=bound.proof)
    return {
        **search.problem.question.to_json(),
        "strategy": search.strategy,
        "seed": search.effort.seed,
        "metrics": metrics,
        "bounds": entries,
        "versions": library_versions(),
    }


def _filled(runs: Mapping[Run, object], steps: int) -> Cut | None:
    """As many steps into each run as fit, one run after the other."""
    found: list[Run] = []
    while not found or found[-1][1] < steps:
        first = found[-1][1] if found else 0
        ends = [end for begin, end in runs if begin == first]
        if not ends:
            return None
        found.append((first, max(ends)))
    return tuple(found)
