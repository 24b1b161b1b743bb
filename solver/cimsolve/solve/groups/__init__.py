"""Activations chosen first, then laid on arrays whole."""
