"""Colours that colour-blind readers can tell apart, for light and dark pages.

Scales are matplotlib's `cividis`, which was made for that.
"""

from __future__ import annotations

from collections.abc import Mapping

Colours = Mapping[str, str]
"""Role -> colour."""

_ROLES = {
    "ink": ("#1a1a1a", "#ececec"),
    "faint": ("#5c5c5c", "#a8a8a8"),
    "grid": ("#d9d9d9", "#3c3c3c"),
    "paper": ("#ffffff", "#16181b"),
    "empty": ("#f0f0ee", "#25282c"),
    "arrays": ("#4477aa", "#6ea5dc"),
    "digital": ("#aa3377", "#d76ba5"),
    "transfer": ("#228833", "#55b466"),
    "moves": ("#228833", "#55b466"),
    "buses": ("#1a9db0", "#5fcbdb"),
    "beside": ("#b8860b", "#d9a93a"),
    "memory": ("#66ccee", "#8fdcf5"),
    "between": ("#b8860b", "#d9a93a"),
    "leakage": ("#8a8a8a", "#9a9a9a"),
    "wait": ("#b0b0b0", "#6c6c6c"),
    "bound": ("#c2410c", "#ff8a50"),
}
LIGHT: Colours = {role: light for role, (light, _) in _ROLES.items()}
DARK: Colours = {role: dark for role, (_, dark) in _ROLES.items()}

KINDS = (
    ("#2458c8", "#87b9e3"),
    ("#bf7d00", "#f4e089"),
    ("#3e897c", "#94f5c9"),
    ("#4a2f85", "#a98fff"),
    ("#7a4502", "#e5e639"),
    ("#cb0055", "#d4a986"),
    ("#4281b0", "#8ef0f2"),
    ("#344f33", "#d79655"),
    ("#754074", "#9bbab7"),
)
"""Colours of the kinds of stage on either page: of its `R` or dense stages, and of its `L` stages.

Found by maximising the least distance in CIELAB as seen with normal vision, protanopia and deuteranopia; a test holds
that distance.
"""


LINKS = ("#a3abb2", "#cf8a70", "#cf1f10")
"""Scale of what links carry, from nothing to the most, on either page."""

PLACEHOLDERS: Colours = {role: f"#0102{number:02x}" for number, role in enumerate(LIGHT, 3)}
"""Stand for roles in a chart that the page colours by its style sheet."""


def style_sheet(name: str, colours: Colours) -> str:
    """The roles as custom properties of a selector."""
    return f"{name} {{ " + " ".join(f"--{role}: {colour};" for role, colour in colours.items()) + " }"


def with_properties(svg: str) -> str:
    """A chart drawn in placeholders, coloured by the page's custom properties instead."""
    for role, placeholder in PLACEHOLDERS.items():
        svg = svg.replace(placeholder, f"var(--{role})")
    return svg
