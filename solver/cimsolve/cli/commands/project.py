"""`cimsolve project`: what block-diagonal storage loses on a model's real weights."""

from __future__ import annotations

from pathlib import Path

from cimsolve.api import load_model
from cimsolve.cli.options.project import ProjectOptions
from cimsolve.errors import InputError
from cimsolve.projection import ProjectionRow, project_table
from cimsolve.report.listing import print_projection
from cimsolve.report.progress import Progress
from cimsolve.structure import StructurePolicy
from cimsolve.weights import WeightFolder


def run(options: ProjectOptions) -> int:
    """Project every linear of the folder's model and show the errors.

    Raises InputError for a folder without a config or weights that fit it.
    """
    folder = Path(options.model)
    if not folder.is_dir():
        raise InputError(
            f"--model {options.model}: expected a folder with a config.json and *.safetensors; "
            "shipped models have no weights"
        )
    model = load_model(folder)
    structures = StructurePolicy.parse(options.structures).resolve(
        (linear.name, linear.n_in, linear.n_out) for linear in model.linears
    )
    weights = WeightFolder(folder)
    rows: list[ProjectionRow] = []
    with Progress(options.verbosity >= 0) as progress:
        progress.begin(f"projecting {model.name}")
        for linear in model.linears:
            one = (linear.name, linear.tensor, linear.n_in, linear.n_out)
            rows += project_table(weights, [one], structures)
            progress.count(len(rows), len(model.linears))
    print_projection(model.name, rows, options.verbosity)
    return 0
