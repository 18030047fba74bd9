"""Many runs from one file: cells, each a run folder, run once and found again."""
