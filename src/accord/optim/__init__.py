"""AdamW, its state and schedules, and averages of the weights."""

from accord.optim.adamw import AdamW

__all__ = ["AdamW"]
