"""A model shown to others: its card, and its upload to the hub."""
