-- Remove a root workflow that has settled; returns 'deleted', or why it is not.
SELECT /* TEMPLATE: schema */oban_workflow_delete_v1(%(id)s)
