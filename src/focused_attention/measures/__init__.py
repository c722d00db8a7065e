"""What is measured on a running model: rows out."""
