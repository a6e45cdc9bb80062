"""Turning the calls on a `Workflow` into a plan that can be inserted. Needs no database."""
