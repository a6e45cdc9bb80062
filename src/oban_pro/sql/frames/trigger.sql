DO $trigger$
BEGIN
  IF NOT /* TEMPLATE: exists */ THEN
    /* TEMPLATE: trigger */
  END IF;
END;
$trigger$;
