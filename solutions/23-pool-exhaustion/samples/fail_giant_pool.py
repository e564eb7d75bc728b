# As many server connections as the primary would nearly take.
# expect: fix=0 safe=0
# %% solution="fix"
ini = """
[databases]
* =

[pgbouncer]
pool_mode = transaction
max_client_conn = 10000
default_pool_size = 400
"""
service_pool = 5
