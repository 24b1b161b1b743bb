"""Weights: tensors of files, the projection onto factors, files of factors, and what linears read."""
