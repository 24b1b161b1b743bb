"""The model: from a config to linears, steps, stages and factors."""
