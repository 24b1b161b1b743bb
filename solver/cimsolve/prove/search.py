"""Which bounds an exhaustive search can prove, beyond those that the question gives at once."""

from __future__ import annotations

from cimsolve.problem.problem import Problem

SEARCH = "search"
"""The proof of a bound that only an exhaustive search shows."""
SEARCHED_OBJECTIVES = ("arrays", "latency")
SEARCHED_METRICS = ("arrays", "latency_cycles")
"""The only metrics that the exact model minimises."""
ITEMS_MAX = 64
"""Most items of the exact model; pairs of them times items are constraints (S3)."""


def why_not_modelled(problem: Problem) -> str | None:
    """The reason why the exact model does not take this problem, whatever is asked of it, or None."""
    if (reason := why_no_part_is_modelled(problem)) is not None:
        return reason
    items = count_items(problem)
    return f"{items} items are more than {ITEMS_MAX}" if items > ITEMS_MAX else None


def why_no_part_is_modelled(problem: Problem) -> str | None:
    """The reason why the exact model does not take this problem however few its items are, or None."""
    table = problem.table
    if problem.hardware.interconnect is not None:
        return "the chip has a network, whose moves the exact model does not know"
    if problem.workload.has_experts:
        return "a token fires some of the model's experts, and the exact model all"
    if problem.workload.has_positions:
        return "stages fire more than once in a pass, and those of the exact model once"
    if problem.cut == "both":
        return "rows may be cut"
    if problem.must_cut_rows:
        return "blocks must be cut along their rows"
    if problem.cut == "none" and bool((table.block_cols > problem.weights_per_row).any()):
        return "blocks must be cut along their columns, and cut is none"
    if any(stage.after != ((stage.id - 1,) if stage.id else ()) for stage in problem.workload.stages):
        return "stages do not follow each other one by one"
    return None


def why_not_searched(problem: Problem) -> str | None:
    """The reason why no search answers this question, or None."""
    if set(problem.objective) <= set(SEARCHED_OBJECTIVES) and not problem.has_cost_limits:
        return why_not_modelled(problem)
    return "its objectives are arrays and latency, one after the other, without other limits"


def count_items(problem: Problem) -> int:
    """What the exact model places: blocks, or every column of them where columns may be cut."""
    table = problem.table
    return int((table.blocks * (table.block_cols if problem.cut == "columns" else 1)).sum())
