-- Keeps pages of Oban Web fast that look for jobs by workflow_id. Not part of an installation: each inserted job would
-- pay for it.
CREATE INDEX CONCURRENTLY IF NOT EXISTS oban_jobs_workflow_id_index
ON /* TEMPLATE: schema */oban_jobs ((meta ->> 'workflow_id'))
WHERE (meta ->> 'workflow_id') IS NOT NULL
