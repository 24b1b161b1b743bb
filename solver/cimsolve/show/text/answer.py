"""The end of a run in words: what was asked, whether it fits, the best answer, and what it is better and worse than."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cimsolve.files.library import shipped_hardware
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
        sentences += _experts(problem, found.best)
        sentences.append(_decided(problem, found.best))
        sentences += _not_counted(problem)
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


def _experts(problem: Problem, header: Header) -> list[str]:
    """What the figures are of where a token fires some of the experts, and what they are in the mean."""
    metrics = header.metrics
    if "mean_latency_ns" not in metrics:
        return []
    kind, _, said = (problem.terms.routing or "").partition(":")
    together = ", and with each other," if "|" in said else ""
    how = {"": "all alike", "zipf": f"by Zipf's law ({said})", "counts": f"as often{together} as was counted"}[kind]
    error = metrics["mean_latency_error_ns"]
    gap = header.bounds["mean_latency_ns"].gap
    within = [f"standard error {quantity(error, 'time')}"] if error else []
    within.append("proved least" if gap == 0 else f"{share(gap)} above its bound")
    return [
        "These are of the worst choice of experts, stage by stage. In the mean, with experts chosen "
        f"{how}: token latency {quantity(metrics['mean_latency_ns'], 'time')} ({', '.join(within)}), II "
        f"{quantity(metrics['mean_ii_ns'], 'time')}, energy {quantity(metrics['mean_energy_pj'], 'energy')}."
    ]


def _decided(problem: Problem, header: Header) -> str:
    """What share of a token's time and energy the mapping decides, and what there is in both and in the rest."""
    metrics, parts = header.metrics, latency_parts_ns(header)
    words = {"arrays": "arrays", "moves": "moves", "sums": "adding sums", "wait": "waiting"}
    inside = [f"{quantity(parts[part], 'time')} in {word}" for part, word in words.items() if parts.get(part, 0) > 0]
    if parts.get("wait", 0) < 0:
        inside.append(f"less {quantity(-parts['wait'], 'time')} that overlap")
    moved = [f"{quantity(metrics['network_energy_pj'], 'energy')} in moves"] if parts else []
    rest = [f"digital work ({quantity(parts['digital'], 'time')})"] if parts else ["digital work", "transfers"]
    if problem.hardware.memory is not None:
        time, energy = header.breakdown.latency_cycles["memory"] * clock_ns(header), metrics["memory_energy_pj"]
        rest.append(f"reading keys and values ({quantity(time, 'time')}, {quantity(energy, 'energy')})")
    return (
        f"The mapping decides {_share_decided(LATENCY, header)} of the latency{_in_brackets(inside)} and "
        f"{_share_decided(ENERGY, header)} of the energy{_in_brackets(moved)}; the rest has {_and(rest)}."
    )


def _share_decided(figure: CostFigure, header: Header) -> str:
    total = figure.total(header)
    return share(max(0.0, 1 - header.metrics[f"fixed_{figure.key}"] / total) if total else 0.0)


def _and(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def _in_brackets(parts: Sequence[str]) -> str:
    return f" ({', '.join(parts)})" if parts else ""


def _not_counted(problem: Problem) -> list[str]:
    """What the chip does not state, so that no figure has it, and the shipped chip that is the same with it."""
    hardware = problem.hardware
    missing = [] if hardware.network is not None else ["distance between arrays"]
    missing += ["reading keys and values"] if hardware.memory is None and problem.model.cached_elements else []
    with_distance = f"{hardware.name}-mesh"
    # Neither experts nor many positions are priced on a network.
    is_priced = all(step.experts is None and step.positions == 1 for step in problem.model.steps)
    instead = f"; {with_distance} does" if is_priced and with_distance in shipped_hardware() else ""
    return [f"Not counted, as the chip does not state it: {_and(missing)}{instead}."] if missing else []


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
