-- The jobs of a workflow and of those nested in it that have an undo: the undo; the state of the job, 'skipped' if it never
-- ran; whether it may have done its work although it was cancelled; and the state of its undo if that was inserted,
-- 'completed' if nobody knows how the undo ended. OFFSET 0: see PLANS.md.
SELECT
  u.id,
  u.spec,
  COALESCE(/* TEMPLATE: schema */oban_workflow_job_state_v1(j.state::text, j.attempt, j.meta), m.gone) AS state,
  u.ran,
  CASE WHEN u.undo_id IS NOT NULL THEN COALESCE(undo.state::text, gone.state, 'completed') END AS undo_state
FROM
  /* TEMPLATE: schema */oban_workflow_groups top
  CROSS JOIN LATERAL /* TEMPLATE: schema */oban_workflow_groups_in_v1(top.key) tree
  CROSS JOIN LATERAL (SELECT * FROM /* TEMPLATE: schema */oban_workflow_undos WHERE group_key = tree.key OFFSET 0) u
  CROSS JOIN LATERAL (SELECT gone FROM /* TEMPLATE: schema */oban_workflow_members WHERE id = u.id OFFSET 0) m
  LEFT JOIN LATERAL (SELECT state, attempt, meta FROM /* TEMPLATE: schema */oban_jobs WHERE id = u.id OFFSET 0) j ON true
  LEFT JOIN LATERAL (SELECT gone AS state FROM /* TEMPLATE: schema */oban_workflow_members WHERE id = u.undo_id OFFSET 0) gone ON true
  LEFT JOIN LATERAL (SELECT state FROM /* TEMPLATE: schema */oban_jobs WHERE id = u.undo_id OFFSET 0) undo ON true
WHERE
  top.id = %(id)s
ORDER BY
  u.id
