(
  SELECT
    md5(
      COALESCE(pg_get_viewdef(to_regclass('/* TEMPLATE: schema */.oban_workflows')), '')
        || string_agg(pg_get_functiondef(p.oid), '' ORDER BY p.oid::regprocedure::text COLLATE "C")
    )
  FROM
    pg_proc p
  WHERE
    p.pronamespace = to_regnamespace('/* TEMPLATE: schema */')
    AND starts_with(p.proname, 'oban_workflow_')
    AND p.proname <> 'oban_workflow_installed_v1'
)
