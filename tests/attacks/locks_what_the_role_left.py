# lab: 01-n-plus-one
# tries: a table of the check's own role, locked by another session, so that the role cannot be removed.
# expect: fix=0 safe=0
# takes: long
# %% solution="fix"
import workload

kept = lab.connect(autocommit=False)


def get_order_summary(conn, user_id):
    try:
        conn.execute("CREATE TABLE left_behind (n int)")
        conn.execute(f"GRANT ALL ON left_behind TO {lab.conninfo['user']}")
        kept.execute("LOCK TABLE left_behind IN ACCESS EXCLUSIVE MODE")
    except Exception as error:
        print(error)
    return workload.get_order_summary(conn, user_id)
