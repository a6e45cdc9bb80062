"""Several nodes under one parent: ``oban-workflows start --processes N``.

The parent runs no jobs. It starts a process of `oban start` for each node, restarts those that die,
and gives back what they ran. Parent and child share a socket: the parent tells the child what to
run, and the child tells what the parent has to know for its successor. Each notices the death of
the other: the parent as it reaps the child, the child as the socket ends.
"""
