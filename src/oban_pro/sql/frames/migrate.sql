DO $step$
BEGIN
  IF NOT EXISTS (SELECT FROM oban_workflow_migrations WHERE version = /* TEMPLATE: version */) THEN
    INSERT INTO oban_workflow_migrations (version) VALUES (/* TEMPLATE: version */);

    EXECUTE $migration$
/* TEMPLATE: migration */
$migration$;
  END IF;
END;
$step$;
