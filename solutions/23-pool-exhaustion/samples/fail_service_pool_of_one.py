# PgBouncer is right; the busiest service serves one request at a time.
# expect: fix=0 safe=0
# %% solution="fix"
ini = """
[databases]
* =

[pgbouncer]
pool_mode = transaction
max_client_conn = 10000
default_pool_size = 50
"""
service_pool = 1
