"""Attention with a memory that is written as the sequence is read."""
