"""Models made from finished ones: soups, ensembles, one task's plain BERT."""
