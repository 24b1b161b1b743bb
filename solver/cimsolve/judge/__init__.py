"""Judges of a solution, which know no strategy and no solver: its rules, its numbers, its times."""
