"""The TOML file: its keys, how it is read, and one line for each thing wrong with it.

It loads no torch: whether what a config chooses can work is `accord.plan`'s to say.
"""

from accord.config.sections import Config

__all__ = ["Config"]
