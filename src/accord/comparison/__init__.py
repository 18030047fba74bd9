"""Groups of runs that differ in their seed alone, one compared with another on held-out rows."""
