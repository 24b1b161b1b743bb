"""The end of a run in words: what was asked, whether it fits, the best answer, and what it is better and worse than."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cimsolve.problem.objective import names_of
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Header
from cimsolve.show.as_json import picked
from cimsolve.show.figures import ARRAYS, ENERGY, FIGURES, LATENCY, CostFigure, clock_ns
from cimsolve.show.text.console import heading, indented
from cimsolve.show.units import millions, plural, quantity, share
from cimsolve.solve.names import DENSE, DENSE_RULE, RULE_NAMES
from cimsolve.study.ask import Asked
from cimsolve.study.conclusion import Against, Conclusion, Need, latency_parts_ns

BROKEN_FROM = 0.1
"""Relative error of the weights from which a model is called broken: results/accuracy.md has none that works above."""


def print_answer(asked: Asked, found: Conclusion, first: bool = False) -> None:
    """The answer in words, a paragraph a sentence."""
    heading("Answer", first=first)
    for sentence in answer_sentences(asked.problem, found):
        indented(sentence)


def answer_sentences(problem: Problem, found: Conclusion) -> list[str]:
    """The answer in words: the fit, the best mapping, what it is better and worse than, the error of the weights."""
    sentences = [_fit(problem, found)]
    if found.best is not None:
        sentences.append(_best(found.best))
        sentences += _spent(found.best)
        sentences += [_memory(found.best)] if problem.hardware.memory is not None else []
        sentences += [_against(each, found.best) for each in found.against]
    if found.factored is not None:
        sentences.append(_error(found))
    return sentences


def _fit(problem: Problem, found: Conclusion) -> str:
    allowed = "as many arrays as needed" if found.limit is None else f"at most {plural(found.limit, 'array')}"
    parts = [f"dense ({millions(problem.model.weight_count)} weights) {_takes(found, found.dense)}"]
    if found.factored is not None:
        stored = f"{millions(problem.workload.weight_count)}, {found.times_fewer_weights:.3g} times fewer"
        parts.append(f"factored ({stored}) {_takes(found, found.factored)}")
    return f"{problem.model.name} on {problem.hardware.name}, {allowed}: {'; '.join(parts)}."


def _takes(found: Conclusion, need: Need) -> str:
    proof = ", proved the fewest" if need.is_proved else ""
    least = "" if need.found is not None else "at least "
    if found.limit is None:
        return f"takes {least}{plural(need.arrays, 'array')}{proof}"
    if found.fits(need):
        return f"fits, on {plural(need.arrays, 'array')}{proof}"
    verdict = "was not brought to fit" if found.fits(need) is None else "does not fit"
    return f"{verdict}: it needs {least}{plural(need.arrays, 'array')}"


def _best(header: Header) -> str:
    told = [
        figure
        for figure in FIGURES
        if figure in (ARRAYS, LATENCY, ENERGY) or figure.objective in names_of(header.objective)
    ]
    return f"{header.strategy}: {', '.join(_value(figure, header) for figure in told)}."


def _spent(header: Header) -> list[str]:
    """What of a token's time and energy a mapping decides, on a chip with a network."""
    parts, total = latency_parts_ns(header), LATENCY.total(header)
    if not parts:
        return []
    energy = ENERGY.total(header)
    fixed = parts.pop("digital")
    words = {"arrays": "arrays", "moves": "moves", "sums": "adding sums", "wait": "waiting"}
    told = [f"{quantity(value, 'time')} pass in {words[part]}" for part, value in parts.items() if value > 0]
    told = [told[0], *(each.replace("pass ", "") for each in told[1:])]
    told.append(f"and {quantity(fixed, 'time')} in digital work that no mapping changes")
    if parts["wait"] < 0:
        told.append(f"less {quantity(-parts['wait'], 'time')} that overlap")
    moved = f"; {share(header.metrics['network_energy_pj'] / energy)} of its energy is moves" if energy else ""
    return [f"Of {quantity(total, 'time')} a token {', '.join(told)}{moved}."]


def _memory(best: Header) -> str:
    """What keys and values take, and what share of a token no mapping changes."""
    metrics, of_memory = best.metrics, best.breakdown.latency_cycles["memory"] * clock_ns(best)
    time, energy = (metrics[f"fixed_{name}"] / metrics[name] for name in ("latency_ns", "energy_pj"))
    return (
        f"The memory of keys and values takes {quantity(of_memory, 'time')} and "
        f"{quantity(metrics['memory_energy_pj'], 'energy')} of a token; with it no mapping changes "
        f"{share(time)} of its time and {share(energy)} of its energy."
    )


def _value(figure: CostFigure, header: Header) -> str:
    total, gap = figure.total(header), figure.gap(header)
    value = plural(int(total), "array") if figure is ARRAYS else f"{figure.title} {quantity(total, figure.kind)}"
    if gap and figure is ARRAYS and figure.objective not in names_of(header.objective):
        return value  # nobody asked for few
    return f"{value} ({'proved least' if gap == 0 else f'{share(gap)} above its bound'})"


def _against(comparison: Against, best: Header) -> str:
    better, worse = comparison.better(), comparison.worse()
    gains = ", ".join(
        f"{ratio:.3g} times {'fewer' if name == ARRAYS.objective else 'less'} {_title(name)}"
        for name, ratio in better.items()
    )
    losses = ", ".join(f"{ratio:.3g} times the {_title(name)}" for name, ratio in worse.items())
    text = "; but ".join(part for part in (gains, losses) if part) or "as good within 1 %"
    if comparison.strategy == DENSE:
        text += _what_factors_buy(better, worse)
        return f"Against {DENSE}, the weights stored whole: {text}."
    instead = [name for name in worse if name not in names_of(best.objective)]
    if instead:
        first = ["arrays"] if "arrays" in best.objective and "arrays" not in worse else []
        text += f". --objective {','.join([*first, instead[0]])} asks for less {_title(instead[0])}"
    rule = {DENSE_RULE: "dense tiles"}.get(comparison.strategy, best_rule_words(best))
    return f"Against {comparison.strategy}, {rule}: {text}."


def best_rule_words(best: Header) -> str:
    """What the rule is called that the best answer is compared with."""
    return "the next best rule" if best.strategy in RULE_NAMES else "the best rule"


def _what_factors_buy(better: Mapping[str, float], worse: Mapping[str, float]) -> str:
    kinds = {"arrays": "arrays", "energy": "energy", "latency": "speed"}
    bought = [kind for name, kind in kinds.items() if name in better]
    paid = [kind for name, kind in kinds.items() if name in worse]
    if not bought or not paid:
        return ""
    return f". Factors buy {' and '.join(bought)} here, not {' nor '.join(paid)}"


def _title(objective: str) -> str:
    return next(figure.title for figure in FIGURES if figure.objective == objective)


def _error(found: Conclusion) -> str:
    smaller = f"Stored {found.times_fewer_weights:.3g} times smaller"
    if found.weight_error is None:
        return f"{smaller}; no weights were given, so their error is not known: expect to need fine-tuning."
    error = f"{smaller}; weights differ by {found.weight_error:.2g}"
    if found.weight_error < BROKEN_FROM:
        return f"{error}: `cimsolve accuracy` measures what that costs."
    return f"{error}: not a working model without fine-tuning."


def describe_answer(asked: Asked, found: Conclusion) -> dict[str, Any]:
    """The answer as plain data, and the sentences that say it."""
    needs = {"dense": found.dense, "factored": found.factored}
    return {
        "array_limit": found.limit,
        **{
            name: None if need is None else {**picked(need, "least", "found"), "fits": found.fits(need)}
            for name, need in needs.items()
        },
        **picked(found, "times_fewer_weights", "weight_error"),
        "best": None if found.best is None else found.best.strategy,
        **({"latency_parts_ns": parts} if found.best is not None and (parts := latency_parts_ns(found.best)) else {}),
        "over": {each.strategy: each.ratios for each in found.against},
        "sentences": answer_sentences(asked.problem, found),
    }
