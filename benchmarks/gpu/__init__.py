"""What only a GPU can tell, in one command: `make gpu`, or

    PYTHONPATH=src:benchmarks python -m gpu [--part laws steps predict train] [--device cuda|cpu]
                                           [--data FOLDER] [--encoder FOLDER] [--compiled]

laws      what must hold: one backward pass is T; packed is padded; every method steps as on a CPU
steps     a training step beside transformers', surgery over T, memory, kernels
predict   examples per second beside transformers sorted by length
train     the recipe's real training

Each part is a process of its own, so that a broken one leaves the others alone; what it measured
is written after each of its checks. With `--device cpu` everything is tiny: it tries the command,
and its figures say nothing.
"""
