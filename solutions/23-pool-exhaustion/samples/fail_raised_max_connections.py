# More connections instead of fewer: the first thing that comes to mind, and what the student's role may not do.
# expect: fix=0 safe=0
# %% solution="fix"
try:
    lab.execute("ALTER SYSTEM SET max_connections = 2000")
except Exception as error:
    print(error)
ini = """
[databases]
* =

[pgbouncer]
pool_mode = transaction
max_client_conn = 10000
default_pool_size = 1500
"""
service_pool = 20
