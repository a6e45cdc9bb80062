-- Keeps pages of Oban Web fast that look for jobs by sup_workflow_id. Not part of an installation: each inserted job would
-- pay for it.
CREATE INDEX CONCURRENTLY IF NOT EXISTS oban_jobs_sup_workflow_id_index
ON /* TEMPLATE: schema */oban_jobs ((meta ->> 'sup_workflow_id'))
WHERE (meta ->> 'sup_workflow_id') IS NOT NULL
