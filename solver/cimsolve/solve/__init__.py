"""A mapping for a problem: rules of the field, and the solver. `strategies` has all by name."""
