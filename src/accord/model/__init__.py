"""What is saved: the encoder with a head a task, parts of a task's own, losses, folders."""
