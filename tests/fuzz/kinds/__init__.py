"""The kinds of input, by name. To add one: a `Kind` in a file here, and that file's `KINDS` in the table below."""

from __future__ import annotations

from collections.abc import Mapping

from fuzz.kind import Kind
from fuzz.kinds import answers, specs, studies, weights

KINDS: Mapping[str, Kind] = {**weights.KINDS, **specs.KINDS, **answers.KINDS, **studies.KINDS}
