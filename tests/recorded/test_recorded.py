"""What the commands print and write is what is recorded: answers change only where somebody wants them to.

Where a change is wanted, `cd tests; python -m recorded.recording [NAME ...]` records anew, and the difference is for
review.
"""

from __future__ import annotations

import difflib
from functools import cache
from pathlib import Path

import pytest

from recorded.questions import QUESTIONS
from recorded.recording import RECORDED, current_versions, record, recorded_versions

HELD_BY_ARITHMETIC = "bytes: "
"""Begins the line over the bytes of a file: sums of floats in it differ in their last digit between machines."""


@cache
def changed_versions() -> dict[str, str]:
    """What is another version here than where the answers were recorded, and how that is said."""
    now, then = current_versions(), recorded_versions()
    return {name: f"{name} is {now[name]}, recorded with {then[name]}" for name in now if now[name] != then[name]}


def compared_lines(text: str) -> list[str]:
    lines = text.splitlines(keepends=True)
    same_sums = "arithmetic" not in changed_versions()
    return [line for line in lines if same_sums or not line.startswith(HELD_BY_ARITHMETIC)]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * asked.slow) for name, asked in QUESTIONS.items()]
)
def test_answers_are_those_recorded(name: str, tmp_path: Path) -> None:
    question = QUESTIONS[name]
    for module in question.needs:
        pytest.importorskip(module)
    for library in question.rests_on:
        if library in changed_versions():
            pytest.skip(changed_versions()[library])
    path = RECORDED / f"{name}.txt"
    then, now = compared_lines(path.read_text()), compared_lines(record(question, tmp_path))
    if then != now:
        shown = "".join(difflib.unified_diff(then, now, f"{path.name}, recorded", "now", n=2))
        pytest.fail(f"{name} has another answer\n{shown}", pytrace=False)


def test_every_record_is_of_a_question() -> None:
    assert {path.stem for path in RECORDED.glob("*.txt")} == {*QUESTIONS, "versions"}
