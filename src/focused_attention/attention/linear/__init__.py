"""Attention that is linear in the sequence length."""
