-- What is installed: the version of the package whose functions these are, as text and to compare, the digest of their
-- files and what the catalog had of them, the version of the tables, and the oldest version of the tables whose nodes
-- can still work with these.
--
-- It is a function, and no row, as it goes wherever functions go: a dump without data has it, and a restore of data
-- alone leaves it. An installation fills it in, after all others.
--
-- Called by: nodes, once, and installations. Locks nothing.
CREATE OR REPLACE FUNCTION oban_workflow_installed_v1(
  OUT package text,
  OUT release integer[],
  OUT digest text,
  OUT catalog text,
  OUT tables integer,
  OUT oldest integer
)
LANGUAGE sql
STABLE
SET search_path FROM CURRENT
AS $$
  SELECT
    '/* TEMPLATE: package */',
    '/* TEMPLATE: release */'::integer[],
    '/* TEMPLATE: digest */',
    '/* catalog */',
    /* tables */,
    /* TEMPLATE: oldest */
$$;
