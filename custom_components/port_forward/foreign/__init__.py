"""Foreign mappings: those that no forward accounts for are watched, told of, closed and adopted."""
