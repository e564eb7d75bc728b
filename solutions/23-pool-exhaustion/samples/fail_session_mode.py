# Each client keeps its server connection until it disconnects.
# expect: fix=0 safe=0
# %% solution="fix"
ini = """
[databases]
* =

[pgbouncer]
pool_mode = session
max_client_conn = 10000
default_pool_size = 50
"""
service_pool = 5
