"""`cimsolve project`: from a model's dense weights to factors, and what that loses."""

from __future__ import annotations

from pathlib import Path

from cimsolve.cli.options.project import ProjectOptions
from cimsolve.errors import InputError
from cimsolve.show.text.progress import Progress
from cimsolve.show.text.projection import print_projection, print_written
from cimsolve.weights.project import project_model


def run(options: ProjectOptions) -> int:
    """Project every linear of the folder's model, show the errors and write the factors where asked.

    Raises InputError for a folder without a config or weights that fit it, for inputs that do not fit, and for a
    place that cannot be written.
    """
    folder = Path(options.model)
    if not folder.is_dir():
        raise InputError(
            f"--model {options.model}: expected a folder with a config.json and *.safetensors; "
            "shipped models have no weights"
        )
    with Progress(options.verbosity >= 0) as progress:
        progress.begin(f"projecting {folder.name}")
        rows = project_model(
            folder,
            structure=options.structures,
            method=options.method,
            inputs=options.inputs,
            text=options.texts,
            samples=options.samples,
            seed=options.seed,
            out=options.out,
            progress=progress.count,
        )
    print_projection(folder.resolve().name, options.method, rows, options.verbosity)
    if options.out is not None:
        print_written(Path(options.out))
    return 0
