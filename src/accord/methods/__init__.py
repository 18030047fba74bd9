"""What all families of methods have in common: their signals, their state, their options.

A method is a pure function of what a step measured. Its file registers it with its paper, what it
needs, and a worked example; config, command line, docs and tests find it from there. Its options
are its keyword arguments: their annotations say what the config allows.
"""

from accord.methods.chosen import Chosen, keyed_generator
from accord.methods.description import Circumstances, Description, Need, Requires, Weigh, nothing
from accord.methods.registry import Registry
from accord.methods.signals import Signals, State

__all__ = [
    "Chosen", "Circumstances", "Description", "Need", "Registry", "Requires", "Signals", "State",
    "Weigh", "keyed_generator", "nothing",
]  # fmt: skip
