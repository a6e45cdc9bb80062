-- Cancel the open jobs of a workflow, or of some of its members; final jobs only on request. Notes who cancelled them and
-- why, if the caller says so. Returns how many jobs it cancelled.
SELECT
  /* TEMPLATE: schema */oban_workflow_cancel_v3(
    %(id)s,
    %(names)s::text[],
    %(finals)s,
    %(reason)s,
    %(sender)s
  ) AS cancelled
