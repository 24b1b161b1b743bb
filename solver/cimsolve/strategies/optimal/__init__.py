"""`optimal`: the solver. Placement and schedule as one problem, with a proof or a gap."""

from __future__ import annotations

from cimsolve.strategies.optimal.solve import map_optimal

__all__ = ["map_optimal"]
