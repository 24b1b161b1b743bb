"""Makers of small chips, models, problems, solutions and runs."""
