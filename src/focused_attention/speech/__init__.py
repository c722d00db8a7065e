"""Recordings to features and tokens, and the store that keeps both."""
