DO $replace$
DECLARE
  v_function text := $function$
/* TEMPLATE: function */
$function$;
BEGIN
  EXECUTE v_function;
EXCEPTION
  WHEN invalid_function_definition THEN
    -- the result, or the name of a parameter, has changed
    EXECUTE (
      SELECT
        'DROP FUNCTION ' || string_agg(oid::regprocedure::text, ', ')
      FROM
        pg_proc
      WHERE
        pronamespace = to_regnamespace('/* TEMPLATE: schema */')
        AND proname = '/* TEMPLATE: name */'
    );
    EXECUTE v_function;
END;
$replace$;
