-- What enqueues and appends: one object for each statement. Whatever has to be changed for that is changed by the
-- functions, with the rights of the owner.
GRANT USAGE ON SCHEMA public TO oban_role;
GRANT SELECT, INSERT ON TABLE /* TEMPLATE: schema */oban_jobs TO oban_role;
GRANT SELECT, INSERT ON TABLE /* TEMPLATE: schema */oban_workflow_groups TO oban_role;
GRANT SELECT, INSERT ON TABLE /* TEMPLATE: schema */oban_workflow_members TO oban_role;
GRANT SELECT, INSERT ON TABLE /* TEMPLATE: schema */oban_workflow_edges TO oban_role;
GRANT SELECT, INSERT ON TABLE /* TEMPLATE: schema */oban_workflow_waits TO oban_role;
GRANT SELECT, INSERT ON TABLE /* TEMPLATE: schema */oban_workflow_timers TO oban_role;
GRANT SELECT, INSERT ON TABLE /* TEMPLATE: schema */oban_workflow_joins TO oban_role;
GRANT SELECT, INSERT ON TABLE /* TEMPLATE: schema */oban_workflow_finals TO oban_role;
GRANT SELECT, INSERT ON TABLE /* TEMPLATE: schema */oban_workflow_ends TO oban_role;
GRANT SELECT, INSERT ON TABLE /* TEMPLATE: schema */oban_workflow_undos TO oban_role;
GRANT SELECT ON TABLE /* TEMPLATE: schema */oban_workflow_migrations TO oban_role;
GRANT EXECUTE ON FUNCTION /* TEMPLATE: schema */oban_workflow_reserve_v1 TO oban_role;
GRANT EXECUTE ON FUNCTION /* TEMPLATE: schema */oban_workflow_free_ids_v1 TO oban_role;
GRANT EXECUTE ON FUNCTION /* TEMPLATE: schema */oban_workflow_lock_root_v1 TO oban_role;
GRANT EXECUTE ON FUNCTION /* TEMPLATE: schema */oban_workflow_add_to_group_v1 TO oban_role;
GRANT EXECUTE ON FUNCTION /* TEMPLATE: schema */oban_workflow_break_jobs_v1 TO oban_role;
GRANT EXECUTE ON FUNCTION /* TEMPLATE: schema */oban_workflow_break_jobs_v2 TO oban_role;
GRANT EXECUTE ON FUNCTION /* TEMPLATE: schema */oban_workflow_admit_v1 TO oban_role;
GRANT EXECUTE ON FUNCTION /* TEMPLATE: schema */oban_workflow_claim_v1 TO oban_role;
GRANT EXECUTE ON FUNCTION /* TEMPLATE: schema */oban_workflow_take_place_v1 TO oban_role;
GRANT EXECUTE ON FUNCTION /* TEMPLATE: schema */oban_workflow_retake_v1 TO oban_role;
GRANT EXECUTE ON FUNCTION /* TEMPLATE: schema */oban_workflow_admit_v2 TO oban_role;
