"""The rules again, with no solver: judges any solution and recomputes its figures.

`hw`, `model`, `structure`, `objective` and `options` of a solution are the question; all else is a claim. The checker
rebuilds factors, stages and gaps from the question and tests every claim against them. The rules stand in
docs/formulation.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from cimsolve.errors import CimsolveError
from cimsolve.files.text import one_line
from cimsolve.judge.check import claims, firing, placement, tables
from cimsolve.judge.check.case import Case, CheckReport, Rule, Verdict, Violation
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Solution

__all__ = ["RULES", "CheckReport", "Rule", "Verdict", "Violation", "check_solution", "rebuild_problem"]

TABLE_RULES = (
    (Rule("tables", tables.sites_are_those_of_a_network), Rule("tables", tables.columns_are_in_range)),
    (Rule("tables", tables.blocks_and_ends_are_possible), Rule("S1", tables.s1_every_piece_fires_once)),
)
"""What must hold before anything can be computed from the tables, in two steps."""
COVER_RULES = (Rule("P1", placement.p1_pieces_tile_every_block), Rule("sites", placement.every_array_has_a_place))
"""What must hold on a chip with a network before what moves can be computed."""
RULES: tuple[Rule, ...] = (
    Rule("factors", claims.factors_are_those_of_the_model),
    Rule("P1", placement.p1_pieces_tile_every_block),
    Rule("cut", placement.cuts_are_those_allowed),
    Rule("P2", placement.p2_pieces_lie_inside_their_array),
    Rule("P3", placement.p3_pieces_share_no_cell),
    Rule("P4", placement.p4_a_core_holds_no_more_arrays_than_it_has),
    Rule("P5", placement.p5_weights_that_fire_again_are_stored_once),
    Rule("array", firing.an_activation_fires_pieces_of_its_own_array),
    Rule("stage", firing.an_activation_serves_one_stage),
    Rule("S7", firing.s7_an_activation_is_of_one_expert),
    Rule("S2", firing.s2_shared_rows_need_one_input),
    Rule("S3 outputs", firing.s3_fired_pieces_share_columns_of_one_output),
    Rule("S3 columns", firing.s3_no_other_piece_lies_on_driven_rows_and_read_columns),
    Rule("durations", firing.durations_follow_from_the_hardware),
    Rule("adc_bits", firing.converter_bits_follow_from_the_stack),
    Rule("S4", firing.s4_an_array_does_one_thing_at_a_time),
    Rule("S5", firing.s5_stages_follow_the_dataflow),
    Rule("S6 rows", firing.s6_no_more_rows_are_driven_than_allowed),
    Rule("S6 converters", firing.s6_converters_lose_nothing_unless_allowed),
    Rule("S6 arrays", firing.s6_no_more_arrays_are_used_than_there_are),
    Rule("S6 shared units", firing.s6_gaps_use_the_shared_units_one_at_a_time),
    Rule("stages", claims.stages_are_those_of_the_model),
    Rule("metrics", claims.metrics_follow_from_the_tables, on_claims=True),
    Rule("breakdown", claims.breakdown_follows_from_the_tables, on_claims=True),
    Rule("limits", claims.no_cost_is_over_its_limit, on_claims=True),
    Rule("bounds", claims.bounds_are_those_that_hold, on_claims=True),
    Rule("below bound", claims.no_value_lies_below_its_bound, on_claims=True),
    Rule("status", claims.optimal_means_that_value_and_bound_meet, on_claims=True),
)
"""Every rule after the shape of the tables and S1, without which nothing else is defined."""


def rebuild_problem(solution: Solution) -> Problem:
    """The problem that a solution claims to answer. Raises InputError where it is unsound."""
    return Problem(solution.question())


def check_solution(solution: Solution, problem: Problem | None = None, rules: Sequence[Rule] = RULES) -> CheckReport:
    """Judge every claim of `solution`; with `problem`, also that it answers this question and no other."""
    try:
        asked = rebuild_problem(solution)
        if problem is not None and (found := asked.question.difference(problem.question)):
            return CheckReport((Violation("question", f"{found.path}: it is not the one that was asked"),), problem)
        return _judge(Case(asked, solution.header, solution.pieces, solution.activations, solution.sites), rules)
    except CimsolveError as error:
        return CheckReport((Violation("question", one_line(str(error))),))


def _judge(case: Case, rules: Sequence[Rule]) -> CheckReport:
    covers = COVER_RULES if case.sites is not None else ()
    for asked in (*TABLE_RULES, covers, [rule for rule in rules if not rule.on_claims]):
        if broken := _broken(case, asked):
            return CheckReport(broken, case.problem)
    broken = _broken(case, [rule for rule in rules if rule.on_claims])
    return CheckReport(broken, case.problem, case.costs, case.bounds, claims.unverified_claims(case))


def _broken(case: Case, rules: Sequence[Rule]) -> tuple[Violation, ...]:
    return tuple(Violation(rule.name, one_line(text)) for rule in rules for text in rule.find(case))
