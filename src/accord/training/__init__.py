"""A run: its set-up, step, epochs and stages, its checkpoints and what it leaves."""
