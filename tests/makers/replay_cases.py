"""Small solutions to replay, and their replay beside the simulation event by event."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from cimsolve.judge.check import rebuild_problem
from cimsolve.judge.replay import Replay, replay
from cimsolve.judge.replay.stream import Rules, replay_stream
from cimsolve.judge.replay.work import Work, find_work
from cimsolve.price.cost import evaluate
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Solution
from cimsolve.solve.effort import Effort
from cimsolve.solve.strategies import RULES
from cimsolve.study.solving import make_solution
from makers.builders import ask, fired_of, linears, step, with_experts
from makers.random_networks import random_places
from oracles import naive_replay

PRICED = {
    "digital__ops__activation": {"base_ns": 2, "per_element_ns": 1, "base_pj": 1, "per_element_pj": 0.25},
    "digital__ops__add": {"base_ns": 1, "per_element_ns": 3, "base_pj": 0.5, "per_element_pj": 0.125},
}


def replayed(solution: Solution, **settings: Any) -> Replay:
    problem = rebuild_problem(solution)
    return replay(solution.activations, evaluate(fired_of(problem, solution), solution.activations), **settings)


def work_of(problem: Problem, solution: Solution) -> Work:
    return find_work(fired_of(problem, solution), solution.activations)


def random_case(draw: random.Random, hardware: dict[str, Any], experts: bool = False) -> tuple[Problem, Solution]:
    """A graph of up to six steps with branches, barriers and digital work, by one of the rules; arrays anywhere.

    `experts`: half of the steps have some.
    """
    steps: list[dict[str, Any]] = []
    for number in range(draw.randint(2, 6)):
        reads = sorted(draw.sample(range(number), min(number, draw.choice([1, 1, 1, 2]))))
        keys: dict[str, Any] = {"reads": [f"s{read}" for read in reads]}
        if number and reads:
            name = draw.choice(["activation", "add"])
            keys["operations"] = [{"name": name, "elements": draw.randint(1, 12)}] * draw.randint(0, 2)
            keys["barrier"] = draw.random() < 0.3
        size = draw.choice([2, 4])
        listed = step(f"s{number}", *[(4, size)] * draw.randint(1, 2), **keys)
        if experts and draw.random() < 0.5:
            of = draw.choice([[0, 1], [0, 1, 2], [None, 0, 1]])
            shapes = [(4, size)] * len(of)
            listed = with_experts(step(f"s{number}", *shapes, **keys), of, draw.randint(1, 2), own=draw.random() < 0.5)
        steps.append(listed)
    problem = ask(linears(*steps, context=draw.randint(1, 5)), draw.choice(["dense", "2,2,1"]), hardware)
    return problem, solve_by_rule(draw, problem, draw.choice(["sparsemap", "densemap", "spread"]))


def solve_by_rule(draw: random.Random, problem: Problem, rule: str) -> Solution:
    mapping = RULES[rule](problem, Effort()).mapping
    place = random_places(draw, problem, int(mapping.pieces.array.max()) + 1)
    return make_solution(problem.asking(objective=("arrays",)), replace(mapping, place=place), strategy=rule)


def assert_same_times(problem: Problem, solution: Solution, draw: random.Random) -> None:
    """A few tokens by some way of replaying leave when they do in the simulation event by event."""
    work = work_of(problem, solution)
    stages = problem.workload.stages
    oldest, together, barriers = (draw.random() < 0.5 for _ in range(3))
    tokens: int | dict[int, int] = draw.randint(1, 5)
    if barriers and len(problem.workload.tails) > 1:
        of_pass = {name: draw.randint(1, 5) for name in problem.workload.tails}
        tokens = {stage.phase: of_pass[stage.pass_name] for stage in stages}
    pace = {stage.phase: draw.choice([0, 7, work.pace_cycles(stage.phase)]) for stage in stages}
    fast = replay_stream(work, tokens, Rules(pace, barriers, oldest, together)).tolist()
    slow = naive_replay.run(problem, solution, tokens, pace, barriers, oldest, together)
    assert fast == slow, (tokens, pace, barriers, oldest, together)
