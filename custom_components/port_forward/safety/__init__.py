"""What should not be opened lightly, and who may open it at all."""
