-- Spell by whom something was done, and why, of what is known: " by ada: too expensive".
--
-- Called by: oban_workflow_cancel_v3, oban_workflow_reject_v1. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_by_whom(p_reason text, p_sender text)
RETURNS text
LANGUAGE sql
IMMUTABLE
RETURN COALESCE(' by ' || p_sender, '') || COALESCE(': ' || p_reason, '');
