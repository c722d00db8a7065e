"""Tables in, judgements out; never a live model."""
