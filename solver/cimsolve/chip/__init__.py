"""Help with a chip of one's own: a first spec from a shipped one, and what a spec amounts to."""
