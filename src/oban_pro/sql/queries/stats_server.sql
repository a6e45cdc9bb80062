-- Numbers that need one row: open waits for signals and timers, clocks that are due and the seconds since the first of
-- them was, executions of stopped jobs that have not ended, slots of fan-outs that are taken and free, and how many
-- transactions ago the oldest snapshot was taken.
SELECT
  (SELECT count(*) FROM /* TEMPLATE: schema */oban_workflow_waits WHERE is_open AND kind = 'signal') AS signals,
  (SELECT count(*) FROM /* TEMPLATE: schema */oban_workflow_waits WHERE is_open AND kind = 'timer') AS timers,
  (
    SELECT
      COALESCE(extract(epoch FROM timezone('UTC', now()) - min(due)), 0)::double precision
    FROM
      /* TEMPLATE: schema */oban_workflow_timers
    WHERE
      due <= timezone('UTC', now())
  ) AS timers_late,
  (
    SELECT
      COALESCE(extract(epoch FROM timezone('UTC', now()) - min(scheduled_at)), 0)::double precision
    FROM
      /* TEMPLATE: schema */oban_jobs
    WHERE
      state IN ('scheduled', 'retryable')
      AND scheduled_at <= timezone('UTC', now())
  ) AS staging_late,
  (SELECT count(*) FROM /* TEMPLATE: schema */oban_workflow_unended) AS unended,
  slots.taken,
  slots.free,
  (SELECT max(age(backend_xmin)) FROM pg_stat_activity WHERE backend_xmin IS NOT NULL)::bigint AS snapshot_age
FROM
  /* TEMPLATE: schema */oban_workflow_slots_v1() slots
