-- Replacing a view waits for whoever reads it, so only one that differs is replaced.
DO $view$
BEGIN
  IF to_regclass('/* TEMPLATE: schema */./* TEMPLATE: name */') IS NOT NULL THEN
    EXECUTE $next$
/* TEMPLATE: next */
$next$;

    IF pg_get_viewdef('/* TEMPLATE: name */'::regclass) = pg_get_viewdef('/* TEMPLATE: name */_next'::regclass) THEN
      DROP VIEW /* TEMPLATE: name */_next;

      RETURN;
    END IF;

    DROP VIEW /* TEMPLATE: name */_next;
  END IF;

  EXECUTE $create$
/* TEMPLATE: view */
$create$;
END;
$view$;
