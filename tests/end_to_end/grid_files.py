"""Grid files that several tests run."""

GRID = """
config = "accord.toml"
seeds = 2
[set]
epochs = 1
[axes]
tasks = [["mood"], ["mood", "near"]]
"""
"""Two sets of tasks with two seeds: four cells."""

METHODS = """
config = "accord.toml"
seeds = 2
[set]
epochs = 1
tasks = ["mood", "near"]
[axes]
gradients = ["sum", "pcgrad", "mean"]
"""
"""Three gradient methods with two seeds: six cells."""
