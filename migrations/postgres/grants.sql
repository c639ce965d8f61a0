-- Not a migration: what a role needs that serves and creates nothing. Run it as the owner of the schema, after each
-- `presence migrate`, with the role's own name.

GRANT USAGE ON SCHEMA public TO presence_server;
GRANT SELECT, INSERT, UPDATE, DELETE ON agent_session, agent_session_history, replica, outbox TO presence_server;
GRANT SELECT ON lesson, student_attend, schema_contract, _sqlx_migrations TO presence_server;
GRANT USAGE ON SEQUENCE agent_session_id_seq, outbox_position_seq TO presence_server;
GRANT EXECUTE ON FUNCTION presence_follow_failover() TO presence_server;
