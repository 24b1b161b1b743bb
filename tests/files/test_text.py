"""The words of messages: names and values on one line, and hints at what was meant."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cimsolve.errors import InputError
from cimsolve.files.text import (
    NAME_SHOWN_MAX,
    SHOWN_MAX,
    TOLD_MAX,
    demand_known,
    message_line,
    near_name,
    one_line,
    shown_name,
    shown_value,
    told,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a b", "a b"),
        ("a\nb", "a\\nb"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\udc80", "\\udc80"),
        ("é", "é"),
        ("", ""),
        ("é\x9b\u202e\u2028\u200b", "é\\x9b\\u202e\\u2028\\u200b"),
    ],
)
def test_what_cannot_be_printed_is_escaped(text: str, shown: str) -> None:
    assert one_line(text) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({}, "an object"),
        ([1], "a list"),
        ((), "a list"),
        ("x\n", '"x\\n"'),
        (None, "null"),
        (b"x", "a bytes"),
        ("\x7f", '"\\u007f"'),
    ],
)
def test_values_are_short_json(value: object, shown: str) -> None:
    assert shown_value(value) == shown


def test_long_values_are_cut() -> None:
    shown = shown_value("x" * 100)
    assert len(shown) == SHOWN_MAX
    assert shown.endswith("...")


def test_long_names_keep_both_ends() -> None:
    shown = shown_name("/a/" + "x" * 4000 + "/config.json\n")
    assert len(shown) <= NAME_SHOWN_MAX
    assert shown.startswith("/a/x")
    assert shown.endswith("/config.json\\n")
    assert shown_name("x" * NAME_SHOWN_MAX) == "x" * NAME_SHOWN_MAX


def test_messages_are_one_line_of_names_that_end() -> None:
    told = message_line(f"a.json: no tensor {'x' * 999}\n; it holds \x1b[31m{'y' * 999}, z")
    assert told.isprintable()
    assert max(map(len, told.split())) <= NAME_SHOWN_MAX
    assert told.startswith("a.json: no tensor xxx")
    assert told.endswith("yyy, z")


def test_what_a_library_says_is_short() -> None:
    assert told(ValueError("header\n" + "\x00 " * 999)).startswith("header\\n\\x00 ")
    assert len(told("\x00 " * 999)) == TOLD_MAX


def test_the_nearest_name_in_the_words_of_a_hint() -> None:
    assert near_name("latncy", ["energy", "latency"]) == "latency"
    assert near_name("latncy", ["energy", "latency"], "; did you mean {}?") == "; did you mean latency?"
    assert near_name("beauty", ["energy", "latency"], "; did you mean {}?") == ""


def test_an_unknown_name_is_told_with_all_that_are_known() -> None:
    demand_known("method", "als", ("als", "plain"))
    with pytest.raises(InputError) as near:
        demand_known("method", "alz", ("als", "plain"))
    assert str(near.value) == "method 'alz': there is none of that name; did you mean als? known: als, plain"
    with pytest.raises(InputError) as far:
        demand_known("method", "x", ("als", "plain"))
    assert str(far.value) == "method 'x': there is none of that name; known: als, plain"


def test_the_words_load_nothing_heavy() -> None:
    program = "import cimsolve.files.text, sys; sys.exit(any(name in sys.modules for name in ('numpy', 'pydantic')))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
