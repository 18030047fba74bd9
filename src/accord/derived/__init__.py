"""Models made from finished ones: tasks added and removed, soups, ensembles, exports."""
