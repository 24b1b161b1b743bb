"""What each command does: one module a command, with `run`, which returns the exit code."""
