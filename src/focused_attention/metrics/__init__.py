"""Numbers from weights, answers and texts: what measures count with."""
