"""What the design promises in numbers, measured side by side with a peer in the same run.

`python -m tests.bench` prints a table; `python -m tests.bench forty probe` measures some of it.
"""
