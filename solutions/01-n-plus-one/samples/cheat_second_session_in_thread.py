# A thread with a session of its own does the work.
# expect: fix=0 safe=0
# %% solution="fix"
def get_order_summary(conn, user_id):
    from concurrent.futures import ThreadPoolExecutor

    def work():
        with lab.connect() as other:
            return workload.get_order_summary(other, user_id)

    import workload

    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(work)
        conn.execute("SELECT 1")
        return found.result()
