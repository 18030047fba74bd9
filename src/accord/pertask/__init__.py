"""How tasks' gradients are kept apart in one backward pass."""
