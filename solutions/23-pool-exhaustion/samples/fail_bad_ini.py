# A setting that PgBouncer does not know.
# expect: fix=0 safe=0
# %% solution="fix"
ini = """
[databases]
* =

[pgbouncer]
pool_mode = transaction
max_client_conn = 10000
pool_size = 50
"""
service_pool = 5
