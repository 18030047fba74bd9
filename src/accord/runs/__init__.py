"""A run's surroundings: its folder, progress, signals, memory, device."""
