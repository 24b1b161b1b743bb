"""Stages by what they do: every layer's `qkv`, `feed_forward_up` and so on are one kind, drawn in one colour."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cimsolve.columns import Bools, Ints
from cimsolve.problem.problem import Problem
from cimsolve.show.seen.judged import printable

KINDS_MAX = 9
"""More kinds than a colour-blind reader can tell apart share the last one."""
OTHERS = "other steps"
WORDS = {
    "qkv": "Q, K, V",
    "attention_output": "attention output",
    "feed_forward_up": "feed-forward up",
    "feed_forward_down": "feed-forward down",
    "cross_kv": "cross K, V",
    "cross_q": "cross Q",
    "cross_output": "cross output",
}
"""Kinds of the shipped families in plain words."""


@dataclass(frozen=True)
class Kinds:
    """`names` of the kinds; of each stage its kind and whether it holds `L` factors, both of shape (stages,)."""

    names: tuple[str, ...]
    of_stage: Ints
    second: Bools

    def label(self, kind: int, second: bool) -> str:
        """A kind in words, with its factors where it has stages of `R` and of `L`."""
        return f"{self.names[kind]} {'L' if second else 'R'}" if self.has_both[kind] else self.names[kind]

    @cached_property
    def has_both(self) -> Bools:
        """Whether each kind has stages of `L` factors; shape (kinds,)."""
        found = np.zeros(len(self.names), dtype=bool)
        found[self.of_stage[self.second]] = True
        return found


def find_kinds(problem: Problem) -> Kinds:
    """The kinds of a question's stages, in order of their first stage; from `KINDS_MAX` on all are one."""
    numbers: dict[str, int] = {}
    of_stage: list[int] = []
    second: list[bool] = []
    for stage in problem.workload.stages:
        stored = {problem.workload.factors[factor].kind for factor in problem.workload.factors_of_stage[stage.id]}
        name = stage.name if stored == {"dense"} else stage.name[: -len(".R")]
        of_stage.append(numbers.setdefault(kind_of_stage(name), len(numbers)))
        second.append("L" in stored)
    names = [WORDS.get(name, printable(name)) for name in numbers]
    if len(names) > KINDS_MAX:
        names = [*names[: KINDS_MAX - 1], OTHERS]
    return Kinds(tuple(names), np.minimum(np.array(of_stage), len(names) - 1), np.array(second))


def kind_of_stage(name: str) -> str:
    """A stage's name without its layer: `layer3.qkv` -> `qkv`, `h.3.mlp` -> `h.*.mlp`."""
    kind = re.sub(r"^(layer|encoder|decoder)\d+\.", "", name).removeprefix("decoder.")
    return re.sub(r"(?<=\.)\d+(?=\.)", "*", kind)
