"""Training and nothing else: the objective, the loop, its state, its data."""
