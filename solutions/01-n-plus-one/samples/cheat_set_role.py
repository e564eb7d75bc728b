# The loop runs under another role's name.
# expect: fix=0 safe=0
# %% solution="fix"
def get_order_summary(conn, user_id):
    import workload

    conn.execute("SELECT 1")
    conn.execute(f"SET ROLE {lab.conninfo['user']}")
    try:
        return workload.get_order_summary(conn, user_id)
    finally:
        conn.execute("RESET ROLE")
