"""The keys of ``job.extra``: notes on a job object that are never stored."""

PLAN = "oban_workflows"
"""The plan that the job was bound to when its workflow was last iterated."""

QUERY = "oban_workflows_query"
"""The query of the Oban instance that the job came from."""

UNREADABLE = "oban_workflows_unreadable"
"""Why the row of the job cannot be read."""

GRAFTED = "oban_workflows_grafted"
"""The id of the workflow that a running grafter grafted."""

RETURNED = "oban_workflows_returned"
"""The workflow that a grafter returned, until it is settled."""

JUDGED = "oban_workflows_judged"
"""Whether the running execution has asked the condition of its job, and it was met."""

OLDER_OBJECTS = "oban_workflows_older_objects"
"""The objects in a store that the running execution found of its job."""

DELAY = "oban_workflows_delay"
"""How long after its insertion the job is to run: a timedelta, counted on the database's clock."""
