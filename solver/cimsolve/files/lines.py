"""Text of a file that reports, tables and pages repeat as it is."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from cimsolve.files.text import NAME_SHOWN_MAX, shown_value


def visible(text: str) -> str:
    """The text itself. Raises ValueError where it has more than visible signs on one line."""
    if text.isprintable():
        return text
    raise ValueError(
        f"{shown_value(text)}: expected visible signs on one line, no control characters and none that turn the "
        "direction of text; write it anew"
    )


Visible = AfterValidator(visible)
"""Of a text with other bounds than Line."""
Line = Annotated[str, Field(max_length=NAME_SHOWN_MAX, pattern=r"^[^\x00-\x1f\x7f]*$"), Visible]
"""A name on one line; the pattern is what a JSON Schema can say of that."""
Name = Annotated[Line, Field(min_length=1)]
