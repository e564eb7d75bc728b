# Whoever waits for a second is dropped: no queue, no connections, no customers.
# expect: fix=0 safe=0
# %% solution="fix"
ini = """
[databases]
* =

[pgbouncer]
pool_mode = transaction
max_client_conn = 10000
default_pool_size = 50
query_wait_timeout = 1
"""
service_pool = 5
