"""What tasks share of the encoder, and the small parts that each has of its own.

The encoder stays a plain BERT. A scheme of this folder adds parts for each task beside its layers,
which run on that task's rows of the packed batch; their gradients are the task's own, as a head's.
"""
