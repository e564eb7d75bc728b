# Right, but a dead primary is waited for until the end of time.
# expect: safe=2
# %% solution="fix"
ini = """
[databases]
* =

[pgbouncer]
pool_mode = transaction
max_client_conn = 10000
default_pool_size = 30
query_wait_timeout = 0
"""
service_pool = 5
