"""Attention that looks at a subset of the keys."""
