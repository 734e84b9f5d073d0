"""The two questions that the survey of two-step hashing left open, as experiments with answers."""
