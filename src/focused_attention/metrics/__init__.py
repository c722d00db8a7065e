"""What is measured on a model's output and its attention."""
