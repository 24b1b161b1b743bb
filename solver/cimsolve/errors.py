"""Everything cimsolve raises on purpose.

::

    CimsolveError              one clear line, never a traceback; the CLI prints it and exits
    ├── InputError             exit 2: a file, a key or an option is wrong
    │   └── UnreadFormatError  weights are stored in a way that is not read
    └── FailedError            exit 1: the question is well posed, the answer is no
        ├── InfeasibleError    no legal mapping exists under the limits given
        └── CheckError         a solution breaks a rule or misstates a figure
"""

from __future__ import annotations

from dataclasses import dataclass

EXIT_DONE, EXIT_FAILED, EXIT_UNUSABLE = 0, 1, 2
"""What the command line exits with: as asked, a negative answer, something that cannot be used."""


class CimsolveError(Exception):
    """Base of all expected errors; `str(error)` is the one line a user sees."""

    exit_code = EXIT_FAILED


class InputError(CimsolveError):
    """A hardware spec, model, weight file, solution file or option cannot be used as given."""

    exit_code = EXIT_UNUSABLE


class UnreadFormatError(InputError):
    """Weights are there, in a format that is not read; what asks for none can go on."""


class FailedError(CimsolveError):
    """The input is sound and the answer is negative."""


@dataclass(frozen=True)
class Shortage:
    """A limit that a strategy cannot keep: the metric (arrays, latency_ns, energy_pj), the most allowed, its need.

    `places`: the places of a network in words, where they are the limit.
    """

    metric: str
    limit: float
    needs: float
    places: str = ""

    @property
    def told(self) -> str:
        """What is short, and the limit."""
        verb = "are" if self.metric == "arrays" else "is"
        places = f", {self.places}" if self.places else ""
        return f"{self.metric} {verb} short: the limit is {self._amount(self.limit)}{places}"

    @property
    def needed(self) -> str:
        """What is needed, with its unit."""
        return self._amount(self.needs)

    def _amount(self, value: float) -> str:
        unit = {"latency_ns": " ns", "energy_pj": " pJ"}.get(self.metric, "")
        return f"{value:.12g}{unit}"


class InfeasibleError(FailedError):
    """No legal mapping exists; the message names the resource that is short and the least that would do.

    `shortage`: the same in numbers, where a strategy has one mapping and that needs too much. `is_final`: no change of
    the limits on arrays, time or energy would help.
    """

    def __init__(self, message: str, shortage: Shortage | None = None, is_final: bool = False) -> None:
        super().__init__(message)
        self.shortage, self.is_final = shortage, is_final


class CheckError(FailedError):
    """A solution breaks a rule (P1-P4, S1-S6) or states a figure the checker does not reproduce."""
