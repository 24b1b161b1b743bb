"""What the commands print and write, recorded and held."""
