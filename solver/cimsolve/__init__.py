"""cimsolve: optimal mapping of block-diagonal neural networks onto compute-in-memory arrays."""

__version__ = "0.1.0"
