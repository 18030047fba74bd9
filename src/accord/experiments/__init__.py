"""The paper's experiments, as grids that anybody can rerun, and their report."""
