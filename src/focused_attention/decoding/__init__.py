"""Search for what a decoder would write, on encoder output that was made once."""
