# One server connection for everybody.
# expect: fix=0 safe=0
# %% solution="fix"
ini = """
[databases]
* =

[pgbouncer]
pool_mode = transaction
max_client_conn = 10000
default_pool_size = 1
"""
service_pool = 5
