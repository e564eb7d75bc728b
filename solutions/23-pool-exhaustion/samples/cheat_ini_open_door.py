# The settings come from another file, and a second section on one line opens the door to everybody.
# expect: fix=0 safe=0
# %% solution="fix"
ini = """
[databases]
* =

%include /etc/hostname
[pgbouncer]
pool_mode = transaction
max_client_conn = 10000
default_pool_size = 50
[pgbouncer] auth_type = any
"""
service_pool = 5
