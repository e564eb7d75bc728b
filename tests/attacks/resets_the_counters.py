# lab: 01-n-plus-one
# tries: reset or switch off the server's counters in every way that a role may try.
# expect: fix=0 safe=0
# %% solution="fix"
import psycopg
import workload

with lab.connect() as own:
    for statement in (
        "CREATE FUNCTION forget() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'SELECT pg_stat_statements_reset()'",
        "CREATE FUNCTION forget2() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN PERFORM pg_stat_statements_reset(); END'",
    ):
        try:
            own.execute(statement)
        except psycopg.Error as error:
            print(error)


def get_order_summary(conn, user_id):
    orders = workload.get_order_summary(conn, user_id)
    for statement in (
        "DISCARD ALL", "SELECT pg_stat_statements_reset()", "SELECT forget()", "SELECT forget2()", "SET pg_stat_statements.track = none",
        "SELECT set_config('pg_stat_statements.track', 'none', false)", "SET compute_query_id = off", "SELECT pg_stat_reset()", "SELECT pg_stat_reset_shared()",
    ):  # fmt: skip
        try:
            conn.execute(statement.encode())
        except psycopg.Error:
            pass
    return orders
