EXISTS (
  SELECT
  FROM
    pg_trigger
  WHERE
    tgrelid = to_regclass('/* TEMPLATE: schema */./* TEMPLATE: relation */')
    AND tgname = '/* TEMPLATE: name */'
    AND tgenabled <> 'D'
    AND pg_get_triggerdef(oid, true) = '/* TEMPLATE: definition */'
)
