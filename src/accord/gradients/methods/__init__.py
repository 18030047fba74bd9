"""The gradient methods, one per file, each named as its file is."""
