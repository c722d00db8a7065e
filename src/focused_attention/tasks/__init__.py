"""Utterances whose words have exact boundaries, and the batches that they come in."""
