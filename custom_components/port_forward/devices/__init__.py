"""Which device of the home is at which address, and that a forward leads there and nowhere else."""
