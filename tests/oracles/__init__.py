"""Judges that share no code with the package: slow, and written from docs/formulation.md."""
