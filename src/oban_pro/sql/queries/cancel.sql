-- Cancel the open jobs of a workflow, or of some of its members; its final jobs only if told
-- so; with who and why, where these are told. Returns how many.
SELECT
  /* TEMPLATE: schema */oban_workflow_cancel_v3(
    %(id)s,
    %(names)s::text[],
    %(finals)s,
    %(reason)s,
    %(sender)s
  ) AS cancelled
