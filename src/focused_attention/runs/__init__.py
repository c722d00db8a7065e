"""A run: which model it is, with which weights, on which data and hardware."""
