"""Everything cimsolve raises on purpose.

::

    CimsolveError              one clear line, never a traceback; the CLI prints it and exits
    ├── InputError             exit 2: a file, a key or an option is wrong
    └── FailedError            exit 1: the question is well posed, the answer is no
        ├── InfeasibleError    no legal mapping exists under the limits given
        └── CheckError         a solution breaks a rule or misstates a figure
"""

from __future__ import annotations


class CimsolveError(Exception):
    """Base of all expected errors; `str(error)` is the one line a user sees."""

    exit_code = 1


class InputError(CimsolveError):
    """A hardware spec, model, weight file, solution file or option cannot be used as given."""

    exit_code = 2


class FailedError(CimsolveError):
    """The input is sound and the answer is negative."""


class InfeasibleError(FailedError):
    """No legal mapping exists; the message names the resource that is short and the least that would do."""


class CheckError(FailedError):
    """A solution breaks a rule (P1-P3, S1-S6) or states a figure the checker does not reproduce."""
