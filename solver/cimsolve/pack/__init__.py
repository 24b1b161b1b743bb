"""How few arrays hold the blocks: packing by block shapes, with proven bounds. Pure functions, no specs."""

from __future__ import annotations

from cimsolve.pack.blocks import ArrayPacking, pack_blocks
from cimsolve.pack.bounds import (
    lower_bound_area,
    lower_bound_columns,
    lower_bound_dff,
    lower_bound_rows,
    lower_bound_uncut,
    split_weight,
)
from cimsolve.pack.columns import ColumnPacking, Shelves, balanced_layout, pack_columns
from cimsolve.pack.cutting_stock import CuttingStock, solve_cutting_stock
from cimsolve.pack.guillotine import Pattern
from cimsolve.pack.shelves import first_fit_shelves

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
