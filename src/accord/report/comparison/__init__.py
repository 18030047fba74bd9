"""The report on whether sharing was worth it: its answer in words, its tables and its figures."""
