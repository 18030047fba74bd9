"""The TOML file: its sections, how it is read, and one line for each thing wrong with it."""
