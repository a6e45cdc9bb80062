-- Take executing jobs back from producers that are silent; returns how many.
SELECT
  /* TEMPLATE: schema */oban_workflow_rescue(%(patience)s::double precision, %(rescue_after)s::double precision)
