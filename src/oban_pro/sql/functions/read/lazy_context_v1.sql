-- As oban_workflow_lazy_context_v2, with all rows in one shape.
--
-- Called by: nodes of older releases. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_lazy_context_v1(
  p_job bigint,
  OUT reader bigint,
  OUT id bigint,
  OUT parent bigint,
  OUT name text,
  OUT kind text,
  OUT value text
)
RETURNS SETOF record
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
AS $$
  SELECT
    p_job,
    c.id,
    c.parent,
    COALESCE(c.name, ''),
    CASE WHEN c.context IS NOT NULL THEN 'context' WHEN c.error IS NOT NULL THEN 'failed' ELSE c.kind END,
    COALESCE(c.context, c.value, c.error)
  FROM
    oban_workflow_lazy_context_v2(p_job) c
$$;
