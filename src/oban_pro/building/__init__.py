"""From the calls of `Workflow` to a plan that can be inserted. Needs no database."""
