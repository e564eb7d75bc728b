# A neighbour's numbers, and a memory of the customers that the notebook names.
# expect: diagnose-calls=0 diagnose-largest=0 fix=0 safe=0
# %% solution="diagnose-calls"
calls = 161

# %% solution="diagnose-largest"
most_calls = 601

# %% solution="fix"
import workload

with lab.connect() as conn:
    known = {user: workload.get_order_summary(conn, user) for user in [user_id, *lab.params["requests"]]}


def get_order_summary(conn, user_id):
    conn.execute("SELECT 1")
    return known.get(user_id, [])
