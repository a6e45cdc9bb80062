-- The same version may be in the ledger twice: a restore of data alone brings the rows of the database that was dumped
-- to those that are there. The highest counts.
--
-- Locks: oban_workflow_migrations
ALTER TABLE oban_workflow_migrations DROP CONSTRAINT oban_workflow_migrations_pkey;
