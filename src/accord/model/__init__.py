"""What is saved: the encoder with one head per task, parts of a task's own, losses, folders."""
