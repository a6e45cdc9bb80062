-- Count jobs and groups that were added to a group, and open the group again if it had settled.
SELECT
  /* TEMPLATE: schema */oban_workflow_add_to_group_v1(
    %(key)s, %(total)s::int, %(suspended)s::int, %(subs)s::int, %(subs_completed)s::int, %(subs_cancelled)s::int
  )
