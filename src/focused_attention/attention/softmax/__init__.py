"""Softmax attention and its relatives."""
