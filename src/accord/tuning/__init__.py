"""A search of a config's settings with optuna: by default of one loss weight per task.

tune("accord.toml", out="runs/tuned")                                     one weight per task
tune("accord.toml", ["lr=1e-5:1e-4:log", "epochs=2,3"], 20, out="…")      any other keys
"""

from accord.tuning.running import tune

__all__ = ["tune"]
