"""The commands. `arguments` says what was asked, one module a command does it and returns the exit code."""

from __future__ import annotations

from cimsolve.cli.arguments import CheckOptions, FrontOptions, ListOptions, Options, ProjectOptions


def run_command(options: Options) -> int:
    """Do what was asked; each command's imports load only when it runs."""
    if isinstance(options, CheckOptions):
        from cimsolve.cli.check_command import run_check

        return run_check(options)
    if isinstance(options, ListOptions):
        from cimsolve.cli.list_command import run_list

        return run_list()
    if isinstance(options, ProjectOptions):
        from cimsolve.cli.project_command import run_project

        return run_project(options)
    if isinstance(options, FrontOptions):
        from cimsolve.cli.pareto_command import run_pareto

        return run_pareto(options)
    from cimsolve.cli.solve_command import run_solve

    return run_solve(options)
