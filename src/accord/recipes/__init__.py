"""Ready-made configurations for known data."""
