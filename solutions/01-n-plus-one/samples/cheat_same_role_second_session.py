# A second session with the credentials of the first.
# expect: fix=0 safe=0
# %% solution="fix"
def get_order_summary(conn, user_id):
    import psycopg
    import workload

    with psycopg.connect(conn.info.dsn, password=conn.info.password, autocommit=True) as other:
        conn.execute("SELECT 1")
        return workload.get_order_summary(other, user_id)
