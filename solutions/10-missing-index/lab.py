# %% [markdown]
# # The missing index
#
# Monday evening a migration went out: "drop unused indexes". Tuesday at nine the order page is slow for everybody.
# Application servers are at 10 % CPU and wait. The database is busy, and nobody can say with what.
# Customers see a spinner where their order should be; support sees tickets.
#
# The page asks the database three things, and shows nothing until it has all three answers:
#
# ```mermaid
# flowchart LR
#     customer([customer]) --> page[order page]
#     page -- 1 --> orders[(orders<br>by id)]
#     page -- 2 --> items[(order_items<br>by order_id)]
#     page -- 3 --> shipments[(shipments<br>by order_id)]
# ```
#
# You have a database of your own with that incident in it: real Postgres, real rows. Find the cause, mend it, and show
# that it is mended. About 40 minutes. `lab.hint("fix")` gives a hint, each call one more.

# %%
import pglab
from workload import ITEMS, ORDER, SHIPMENTS, order_page

lab = pglab.start("10-missing-index")

# %% [markdown]
# ## Reproduce
#
# Twenty requests, one after the other, each for another order. This is what a customer waits for, without network,
# rendering or queueing.

# %%
before = lab.reproduce(order_page)

# %% [markdown]
# ## Diagnose
#
# Start where you would start in production: what does the server say it spends its time on? `pg_stat_statements` counts
# every statement, with its time and the blocks of 8 kB that it touched.

# %% language="sql"
# SELECT sum(calls) AS calls, round(sum(total_exec_time)::numeric) AS total_ms,
#        round((sum(total_exec_time) / sum(calls))::numeric, 2) AS mean_ms,
#        round(sum(shared_blks_hit + shared_blks_read) / sum(calls)) AS blocks_per_call, query
# FROM pg_stat_statements JOIN pg_database d ON d.oid = dbid
# WHERE datname = current_database() AND userid = current_user::regrole AND query LIKE 'SELECT id%'
# GROUP BY query
# ORDER BY total_ms DESC

# %% [markdown]
# Now look at the plans. `lab.explain` runs a query under `EXPLAIN (ANALYZE, BUFFERS)` and draws the plan as a tree; the
# step with the most time of its own is marked. This is the first query, for the order that is yours in this lab.
# Explain the other two the same way.

# %%
order_id = lab.params["order_id"]
print("your order:", order_id)
lab.explain(ORDER, [order_id])

# %%
# Explain ITEMS and SHIPMENTS here.
lab.explain(SHIPMENTS, [order_id])

# %% [markdown]
# **Question 1.** Which step takes the time? Name the node as the plan does, and the table that it reads.

# %% solution="diagnose-node"
node = None  # such as "Hash Join"
table = None  # such as "users"
### BEGIN SOLUTION
lab.explain(ITEMS, [order_id])
node = "Seq Scan"
table = "order_items"
### END SOLUTION

# %% check="diagnose-node"
lab.check("diagnose-node", {"node": node, "table": table})

# %% [markdown]
# **Question 2.** For your order, how many rows does that step read only to throw them away?

# %% solution="diagnose-rows"
rows_removed = None
### BEGIN SOLUTION
plan = lab.explain(ITEMS, [order_id]).plan
rows_removed = plan.rows_removed
### END SOLUTION

# %% check="diagnose-rows"
lab.check("diagnose-rows", rows_removed)

# %% [markdown]
# **Question 3.** How many blocks of 8 kB does it touch, in memory or on disk, to return a handful of rows?

# %% solution="diagnose-blocks"
blocks_read = None
### BEGIN SOLUTION
blocks_read = plan.seq_scans("order_items")[0].shared_blks
### END SOLUTION

# %% check="diagnose-blocks"
lab.check("diagnose-blocks", blocks_read)

# %% [markdown]
# ## Fix
#
# Which indexes does the table have, and which one does the query need?

# %% language="sql"
# SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'order_items'

# %% [markdown]
# Write the statement that mends it. `lab.execute` runs one statement outside any transaction block, as the role of the
# application. The shop is open: orders keep coming in while your statement runs.

# %% solution="fix"
# lab.execute("…")
### BEGIN SOLUTION
lab.execute("CREATE INDEX CONCURRENTLY order_items_order_id_idx ON order_items (order_id)")
### END SOLUTION

# %% [markdown]
# ## Measure
#
# The same twenty requests again.

# %%
after = lab.measure(order_page)
lab.compare(before, after)

# %%
lab.explain(ITEMS, [order_id])

# %% [markdown]
# ## Check
#
# The referee is another process. It asks your database for orders that you have not seen, and for orders that it
# inserts and rolls back; it compares every answer with the untouched dataset, reads the blocks from the server's own
# plans, and runs the query with and without indexes in turn. No time limit in seconds decides anything.

# %% check="fix"
lab.check("fix")

# %% [markdown]
# A fix can be right and still take the shop down for a minute. So the referee also looks at what your fix did besides:
# changed rows, lost constraints, an index larger than its table, other queries, and DDL that made writers wait. If you
# lose a point here, `lab.reset()` gives you a fresh incident.

# %% check="safe"
lab.check("safe")

# %% [markdown]
# ## Explain
#
# The interview question behind this lab: *What is the difference between an index scan and a sequential scan, and when
# is the sequential scan the right choice?* Answer in three to five sentences, with your numbers from above.

# %% [markdown] manual="explain"
# ### BEGIN SOLUTION
# A sequential scan reads every block of the table and throws away the rows that do not match, so its cost grows with the
# table. An index scan walks down a B-tree, three or four blocks, and fetches only the rows that match, so its cost grows
# with the answer. Here the scan touched every block of order_items for a handful of rows. When a query needs a
# large share of the rows, reading everything in order is cheaper than jumping to each row; on a table of a few blocks
# the index saves nothing.
# ### END SOLUTION

# %% [markdown]
# <details><summary>A model answer</summary>
#
# A sequential scan reads the whole table and discards what does not match: the work grows with the table. An index scan
# goes down a B-tree and visits only matching rows: the work grows with the answer. For a few rows out of millions that
# is the difference between tens of thousands of blocks and fewer than ten. The sequential scan wins when a good part of
# the table is wanted anyway, or when the table is tiny: reading in order is cheap, and jumping from row to row is not.
#
# </details>

# %% [markdown]
# ## In your stack
#
# The index is the same everywhere. What differs is how a migration runs it: `CREATE INDEX CONCURRENTLY` refuses to run
# in a transaction block, and most migration tools open one.
#
# **Go** (pgx)
# ```go
# // Exec outside of a Tx; golang-migrate with pgx runs a file of one statement without a transaction
# _, err := conn.Exec(ctx, "CREATE INDEX CONCURRENTLY IF NOT EXISTS order_items_order_id_idx ON order_items (order_id)")
# ```
#
# **Node.js** (node-pg-migrate)
# ```js
# export const up = (pgm) => {
#   pgm.noTransaction();
#   pgm.createIndex("order_items", "order_id", { concurrently: true });
# };
# ```
#
# **Java** (Flyway)
# ```sql
# -- V42__order_items_order_id.sql, with executeInTransaction=false in V42__order_items_order_id.sql.conf
# CREATE INDEX CONCURRENTLY order_items_order_id_idx ON order_items (order_id);
# ```
#
# **C++** (libpqxx)
# ```cpp
# pqxx::nontransaction run{conn};
# run.exec("CREATE INDEX CONCURRENTLY order_items_order_id_idx ON order_items (order_id)");
# ```
#
# ## Further
#
# - A build that fails or is cancelled leaves an *invalid* index behind: it costs every write and serves no read. Find it
#   with `SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid`, drop it, build again.
# - A foreign key does not index the column that refers. Without one, deleting an order also reads all of `order_items`.
# - "Unused" in `pg_stat_user_indexes` means unused *on this server since the last reset*. A replica, or the end of the
#   month, may use it.
