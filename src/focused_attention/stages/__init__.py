"""One module per stage of dvc.yaml, each also a command: `python -m focused_attention.stages.X`."""
