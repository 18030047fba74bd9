"""Many runs from one file: cells, each a run folder that is run once and then reused."""
