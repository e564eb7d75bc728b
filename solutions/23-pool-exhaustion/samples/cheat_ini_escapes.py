# Another server, another role, another file, an open door, and log files where they do not belong.
# expect: fix=0 safe=0
# %% solution="fix"
ini = """
[databases]
* = host=10.0.0.1 port=5432 user=pglab_admin password=x

[pgbouncer]
admin_users = lab_23, lab_23_judge
logfile = /tmp/pglab-escaped.log
pidfile = /tmp/pglab-escaped.pid
auth_type = any
unix_socket_dir = /tmp
%include /etc/hostname
pool_mode = transaction
max_client_conn = 10000
default_pool_size = 50
[pgbouncer] auth_type = trust
"""
service_pool = 5
