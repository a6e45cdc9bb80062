"""The demo: a workflow that audits the Python environment it runs in.

- `environment`, `report`: what is audited and what is written about it; pure, no jobs
- `flow`: the functions of the audit, and the workflow they form
- `nodes`, `node`: the processes that run them
- `claim`: one demo at a time per workflow, which takes over what an earlier one left
- `screen`: what people see
- `command`: ``oban-workflows demo``
"""
