"""How few arrays hold the blocks: packing by block shapes, with proven bounds. Pure functions, no specs."""

from __future__ import annotations

from cimsolve.packing.arrays import ArrayPacking, pack_blocks
from cimsolve.packing.bounds import (
    lower_bound_area,
    lower_bound_columns,
    lower_bound_dff,
    lower_bound_rows,
    lower_bound_uncut,
    split_weight,
)
from cimsolve.packing.columns import ColumnPacking, Shelves, balanced_layout, pack_columns
from cimsolve.packing.cutting_stock import CuttingStock, solve_cutting_stock
from cimsolve.packing.guillotine import Pattern
from cimsolve.packing.shelves import first_fit_shelves

__all__ = [
    "ArrayPacking",
    "ColumnPacking",
    "CuttingStock",
    "Pattern",
    "Shelves",
    "balanced_layout",
    "first_fit_shelves",
    "lower_bound_area",
    "lower_bound_columns",
    "lower_bound_dff",
    "lower_bound_rows",
    "lower_bound_uncut",
    "pack_blocks",
    "pack_columns",
    "solve_cutting_stock",
    "split_weight",
]
