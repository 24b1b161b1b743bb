"""What commands that show and draw answers share: how large drawings are, and losses to tell of."""

from __future__ import annotations

import argparse
import re
from functools import partial

from cimsolve.cli.parser import CommandOptions, Parser, output_option
from cimsolve.cli.values import plain, whole

INCHES = {"in": 1.0, "cm": 1 / 2.54, "mm": 1 / 25.4}
WIDTH_MIN_IN, WIDTH_MAX_IN = 3.0, 20.0
DPI_MIN, DPI_MAX = 50, 1200

plot_option = partial(output_option, "--plot FILE", writes="file")

losses_option = partial(
    output_option,
    "--losses FILE",
    "of `choose`: also tell which linears are kept, what that loses, and what one more array buys",
    complete="file",
)


def width(text: str) -> float:
    """A width with its unit, in inches."""
    found = re.fullmatch(r"([0-9]{1,4}(?:\.[0-9]{1,6})?) ?([a-z]{2})", text.strip(), re.ASCII)
    value = float(found[1]) * INCHES.get(found[2], 0.0) if found else 0.0
    if not WIDTH_MIN_IN <= value <= WIDTH_MAX_IN:
        least, most = (f"{limit:g}in" for limit in (WIDTH_MIN_IN, WIDTH_MAX_IN))
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected a width in in, cm or mm, from {least} to {most}, such as 3.5in or 89mm"
        )
    return value


class SizeOptions(CommandOptions):
    """How large drawings are; None for the size that each has by itself."""

    width_in: float | None = output_option(
        "--width WIDTH",
        "draw so wide, such as 3.5in, 8.9cm or 89mm for a column of a paper: heights follow, letters stay as large",
        width,
        shown=lambda value: f"{plain(value)}in",
    )
    dpi: int | None = output_option(
        "--dpi N", "dots an inch of PNG, and of what is an image in SVG and PDF", whole(DPI_MIN, DPI_MAX)
    )

    def demand_drawing(self, parser: Parser, drawn: str | None, flag: str) -> None:
        """Refuse a size where nothing is drawn, as `flag` is not given."""
        if drawn is None:
            parser.demand_absent(["--width", "--dpi"], f"is of drawings; expected {flag} with it")
