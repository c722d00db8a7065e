"""Training: one loop, its checkpoints, its data."""
