-- true: somebody made the dependent wait although the upstream had broken, so it waits for the upstream to be retried.
-- NULL is all that an edge has otherwise, and takes no room.
--
-- Locks: oban_workflow_edges
ALTER TABLE oban_workflow_edges ADD COLUMN on_purpose boolean;
