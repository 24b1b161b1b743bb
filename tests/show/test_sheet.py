"""A table of figures in its forms: what LaTeX and CSV get of it."""

from __future__ import annotations

import math
import re

import pytest

from cimsolve.show.text.sheet import Column, Sheet, latex, print_csv, print_document, print_sheet, rounded, said_once

SHEET = Sheet(
    [
        Column("adc.\nper_array", "adc.per_array"),
        Column("token", "latency_ns", "time"),
        Column("gap", "gap_latency_ns", "gap"),
        Column("", "on_front", "mark"),
    ],
    [["a_b & 50%", 22571.5, 0.12345678, "*"], ["[x]", 123456.0, -0.5, None], [r"\y{$#~^}<|>", None, 0.0, None]],
)


def rows_of(text: str) -> list[list[str]]:
    """The cells of each row of a tabular, its head first; they hold no bare sign of LaTeX."""
    begin, *lines, end = text.splitlines()
    found = re.fullmatch(r"\\begin\{tabular\}\{([lr]+)\}", begin)
    assert found
    assert end == r"\end{tabular}"
    rules = [line.strip() for line in lines if line.strip() in (r"\toprule", r"\midrule", r"\bottomrule")]
    assert rules == [r"\toprule", r"\midrule", r"\bottomrule"]
    assert [lines[0].strip(), lines[2].strip(), lines[-1].strip()] == rules
    rows = []
    for line in lines:
        if line.strip() not in rules:
            assert line.endswith(r" \\")
            rows.append([cell.strip() for cell in re.split(r"(?<!\\)&", line.removesuffix(r"\\"))])
    assert {len(row) for row in rows} == {len(found[1])}
    return rows


def test_latex_has_units_in_the_head_and_numbers_as_shown() -> None:
    head, *rows = rows_of(latex(SHEET))
    assert head == [r"adc.per\_array", r"token ($\mu$s)", "gap", ""]
    assert rows[0] == [r"a\_b \& 50\%", "22.57", r"12.3\%", "{*}"]
    assert rows[1] == ["{[}x]", "123.5", r"$-$50.0\%", ""]
    assert rows[2][1:] == ["-", r"0\%", ""]


def test_no_sign_of_a_name_is_one_of_latex() -> None:
    name = rows_of(latex(SHEET))[3][0]
    plain = re.sub(r"\\(text[a-z]+\{\}|[&%$#_{}])", "", name)
    assert plain == "y"


def test_a_table_without_rows_is_one() -> None:
    assert len(rows_of(latex(Sheet(SHEET.columns, [])))) == 1


@pytest.mark.parametrize("form", ["latex", "markdown"])
def test_tables_of_a_document_have_their_titles(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_document(form, {"First": SHEET, "Second": SHEET}, "cimsolve sweep s.json\n\\input{x}")
    said = capsys.readouterr().out
    assert said.index("First") < said.index("Second")
    if form == "latex":
        assert all(line[:1] in ("%", " ", "\\", "") for line in said.splitlines())
        assert "% cimsolve sweep s.json\n% \\input{x} --format latex\n" in said


def test_csv_has_four_digits_in_the_unit_of_the_key(capsys: pytest.CaptureFixture[str]) -> None:
    print_csv(SHEET)
    head, first, second, _ = capsys.readouterr().out.splitlines()
    assert head == "adc.per_array,latency_ns,gap_latency_ns,on_front"
    assert first == "a_b & 50%,22570,0.1235,*"
    assert second == "[x],123500,-0.5,"


def test_what_is_counted_stays_whole() -> None:
    assert (rounded(123456), rounded("1.23456"), rounded(1.5e-7), rounded(0.00123456)) == (
        123456,
        "1.23456",
        1.5e-7,
        0.001235,
    )
    assert rounded(math.inf) == math.inf


def test_columns_in_which_all_rows_are_alike_are_said_once() -> None:
    columns = [Column("model"), Column("spec"), Column("strategy")]
    sheet, said = said_once(Sheet(columns, [["m", "a", "spread"], ["m", "b", "spread"]]))
    assert ([column.title for column in sheet.columns], said) == (["spec", "strategy"], "model m")
    assert sheet.rows == [["a", "spread"], ["b", "spread"]]
    assert said_once(Sheet(columns, [["m", "a", "spread"]])) == (Sheet(columns, [["m", "a", "spread"]]), "")


def test_a_table_that_does_not_fit_is_set_tight(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for width, gap in ((6, "  "), (7, " ")):
        print_sheet(Sheet([Column("x" * width)] * 10, [["y" * width] * 10]), unbroken=True)
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].rstrip() == gap.join(["x" * width] * 10)
        assert max(map(len, lines)) <= 80
