"""On a chip with a network: which core holds each array, where each core is, and which blocks of a stage go where."""
