"""The forms of tables and charts, which the command line needs before anything heavy is imported."""

from __future__ import annotations

TABLE_FORMS = ("table", "markdown", "csv", "latex", "json")
FIGURE_FORMATS = ("svg", "png", "pdf")
"""Kinds of files that charts are written as."""
