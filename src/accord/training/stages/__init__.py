"""Runs in stages: one folder, one resume, each stage an ordinary run of its own."""
