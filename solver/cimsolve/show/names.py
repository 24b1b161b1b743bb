"""The forms of tables and charts, which the command line needs before anything heavy is imported."""

from __future__ import annotations

from typing import Literal, get_args

TableForm = Literal["table", "markdown", "csv", "json"]
TABLE_FORMS: tuple[TableForm, ...] = get_args(TableForm)
FIGURE_FORMATS = ("svg", "png", "pdf")
"""Kinds of files that charts are written as."""
