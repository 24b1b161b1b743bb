"""A mapping made better: order of stages, pairs, activations that change places."""
