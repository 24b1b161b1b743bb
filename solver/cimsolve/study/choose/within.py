"""Choices whose mapping has been checked, within limits of latency and energy.

The figures of a choice are those of the mapping of rule `RULE`, and no sum over linears: which share a stage and which
an array decides. So choices are made, mapped, checked, and made anew with less to choose from until they obey:

    energy    falls with the arrays: the largest number of arrays is sought, by bisection, whose choice obeys it
    latency   a step whose linears are all dense has no stage of second factors: the least number of steps that are
              kept dense is sought, by bisection; first those that cost least, by the price of an array

Neither falls all the way, a choice of fewer arrays may even be faster, so some of those are looked at too. A better
choice within the limits may be missed; what is found obeys them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from cimsolve.errors import InfeasibleError
from cimsolve.problem.problem import Problem
from cimsolve.problem.question import ask
from cimsolve.study.choose.ask import Chooser, Chosen
from cimsolve.study.choose.kept import kept
from cimsolve.study.solving import solve_passing

RULE = "spread"
"""The rule by which choices are mapped; others place the same structures differently."""
FEWER = (15 / 16, 7 / 8, 3 / 4, 5 / 8, 1 / 2)
"""Parts of the arrays on which a choice may be fast enough by itself."""
HALVINGS = 8
"""Of the range of arrays, while it is sought which of them obey a limit of energy."""


@dataclass(frozen=True)
class MappedChoice:
    """A choice, and the metrics of its checked mapping."""

    chosen: Chosen
    metrics: Mapping[str, float]

    def obeys(self, limits: Mapping[str, float]) -> bool:
        """Whether each of these metrics is at most its limit."""
        return all(self.metrics[name] <= limit for name, limit in limits.items())


def mapped(chooser: Chooser, chosen: Chosen) -> MappedChoice:
    """The choice, mapped and checked."""
    problem = Problem(ask(chooser.model, chooser.hardware, structure=chosen.structures))
    return MappedChoice(chosen, solve_passing(problem, RULE).header.metrics)


def choose_within(
    chooser: Chooser,
    arrays_max: int,
    limits: Mapping[str, float],
    listen: Callable[[int], None] = lambda _: None,
) -> MappedChoice:
    """The least loss found on at most so many arrays whose mapping has at most these `latency_ns` and `energy_pj`.

    `listen` is told how many choices were mapped. Raises InfeasibleError where none was found.
    """
    seen: list[MappedChoice] = []
    first = chooser.choose(arrays_max)

    def look(chosen: Chosen) -> MappedChoice:
        seen.append(mapped(chooser, chosen))
        listen(len(seen))
        return seen[-1]

    at_all = look(first)
    if at_all.obeys(limits):
        return at_all
    steps = _steps_by_price(chooser, first)
    energy = {name: limit for name, limit in limits.items() if name == "energy_pj"}

    def with_dense(count: int) -> MappedChoice | None:
        """The choice with so many steps dense, on as many arrays as the energy allows; None where there is none."""
        names = [name for step in steps[:count] for name in step]
        try:
            found = look(chooser.choose(arrays_max, names)) if count else at_all
        except InfeasibleError:
            return None
        if found.obeys(energy):
            return found
        low, high, best = 0, arrays_max, None
        for _ in range(HALVINGS):
            middle = (low + high) // 2
            if middle in (low, high):
                break
            try:
                found = look(chooser.choose(middle, names))
            except InfeasibleError:
                low = middle
                continue
            if found.obeys(energy):
                low, best = middle, found
            else:
                high = middle
        return best

    for part in FEWER if "latency_ns" in limits else ():
        with contextlib.suppress(InfeasibleError):
            if look(chooser.choose(int(arrays_max * part))).obeys(limits):
                break
    low, high = 0, len(steps)
    while low < high:
        count = (low + high) // 2
        found = with_dense(count)
        if found is None or found.obeys(limits):
            high = count
        else:
            low = count + 1
    with_dense(low)
    obeying = [each for each in seen if each.obeys(limits)]
    if not obeying:
        told = [f"{name} {limit:.6g}: {min(each.metrics[name] for each in seen):.6g}" for name, limit in limits.items()]
        raise InfeasibleError(
            f"{chooser.model.name} on {arrays_max} arrays: none of {len(seen)} choices obeys the limits as "
            f"mapped; the least found of each, {', '.join(told)}; allow more"
        )
    best = min(obeying, key=lambda each: (each.chosen.loss, each.chosen.arrays))
    return replace(best, chosen=replace(best.chosen, arrays_max=arrays_max, bound=first.bound))


def _steps_by_price(chooser: Chooser, chosen: Chosen) -> list[list[str]]:
    """The linears of each step that is not dense as chosen, those first that are made so for least."""
    found = kept(chooser.model, chooser.hardware, chosen.structures, chooser.losses)
    price = found.larger[0].saved_an_array if found.larger else 0.0
    cost: dict[str, float] = {}
    for linear in chooser.model.linears:
        stored = chosen.structures[linear.name].stored_weights(linear.n_in, linear.n_out)
        cost[linear.name] = price * (linear.weights - stored) / chooser.array_cells - found.losses[linear.name]
    steps = [[linear.name for linear in step.linears] for step in chooser.model.steps]
    squeezed = [names for names in steps if not all(chosen.structures[name].is_dense for name in names)]
    return sorted(squeezed, key=lambda names: sum(cost[name] for name in names))


def front_of(
    chooser: Chooser, compressions: Sequence[float], listen: Callable[[int], None] = lambda _: None
) -> list[MappedChoice]:
    """The choices at so many times fewer arrays than cells of the dense weights need; without those that have none."""
    found = []
    for done, compression in enumerate(compressions, 1):
        with contextlib.suppress(InfeasibleError):
            found.append(mapped(chooser, chooser.choose(chooser.arrays_for(compression))))
        listen(done)
    return found
