"""Grids that say what they compare, and their report; among them the paper's experiments."""
