# %% [markdown]
# # A query per order
#
# Monday evening a feature went out: the page "My orders" now shows what is in each order, and where its parcels are.
# Tuesday at nine the site is sluggish. Application servers idle at 10 % CPU, no error in the logs, and no slow query in
# the database's log either. New customers say that all is well. The best customers, with hundreds of orders, get
# time-outs, press reload, and make it worse.
#
# What the code does for one page:
#
# ```mermaid
# sequenceDiagram
#     participant page as My orders
#     participant db as database
#     page->>db: the user's orders
#     db-->>page: order 1, order 2, … order N
#     loop for each order
#         page->>db: items of this order
#         db-->>page: a few rows
#         page->>db: shipments of this order
#         db-->>page: a row or none
#     end
# ```
#
# You have a database of your own, real Postgres with real rows, and the code in `workload.py`. Find out what one page
# costs, rewrite the function, and show that it holds for every customer. About 40 minutes. `lab.hint("fix")` gives a
# hint, each call one more.

# %%
import pglab
from workload import ITEMS, ORDERS, SHIPMENTS, fetch, get_order_summary

lab = pglab.start("01-n-plus-one")
lab.set_round_trip(lab.params["rtt_ms"])

# %% [markdown]
# The last line matters. Application and database share a machine here, and the way between them takes next to no time. In
# production a network lies in between. From here on, every connection that `lab` opens runs over a link that adds 1 ms to
# each round trip.
#
# ## Reproduce
#
# The page for a handful of customers, one after the other: most have 10 or 26 orders, two have 80, one has 300. Nobody
# else uses the database meanwhile.

# %%
before = lab.reproduce(get_order_summary)

# %% [markdown]
# Who is slow? The same page again for one customer of each size. "In the database" is the time that the server itself
# counts for the statements.

# %%
growth = []
for orders, user in lab.params["by_orders"].items():
    one = lab.measure(get_order_summary, [user])
    growth.append([int(orders), one.calls, round(one.p50_ms, 1), round(one.exec_ms, 1)])
pglab.show.table(growth, ["orders", "calls", "ms for the customer", "ms in the database"])

# %% [markdown]
# The database is done long before the customer is. Where does the rest of the time go?
#
# ## Diagnose
#
# No statement is slow, so a list of the slowest shows nothing. Sort `pg_stat_statements` by `calls` instead: which
# statements ran far more often than there were requests?

# %% language="sql"
# SELECT sum(calls) AS calls, round((sum(total_exec_time) / sum(calls))::numeric, 3) AS mean_ms,
#        round(sum(rows) / sum(calls), 1) AS rows_per_call, split_part(query, ' ORDER BY', 1) AS query
# FROM pg_stat_statements
# WHERE userid = current_user::regrole AND query LIKE 'SELECT id%'
# GROUP BY query
# ORDER BY calls DESC

# %% [markdown]
# Now one request alone, for the customer that is yours in this lab. `lab.measure(function, [argument, …])` runs the
# function once for each argument and returns what the server counted: `.calls`, `.rows`, `.exec_ms`. What do
# the calls have to do with the number of orders?

# %%
user_id = lab.params["user_id"]
print("your customer:", user_id)
lab.execute(
    "SELECT count(*) AS orders, min(created_at), max(created_at) FROM orders WHERE user_id = %s", [user_id]
)

# %%
# Measure get_order_summary for your customer here.

# %% [markdown]
# **Question 1.** Which tables are asked again for each order, within one request? Name all of them.

# %% solution="diagnose-tables"
repeated = []  # such as ["users", "sessions"]
### BEGIN SOLUTION
repeated = ["order_items", "shipments"]
### END SOLUTION

# %% check="diagnose-tables"
lab.check("diagnose-tables", repeated)

# %% [markdown]
# **Question 2.** How many statements does one request of your customer send to the database, all together?

# %% solution="diagnose-calls"
calls = None
### BEGIN SOLUTION
calls = lab.measure(get_order_summary, [user_id]).calls
### END SOLUTION

# %% check="diagnose-calls"
lab.check("diagnose-calls", calls)

# %% [markdown]
# **Question 3.** One customer of this shop has more orders than any other. How many statements does *their* page send?
# `lab.rows("SELECT …")` runs a query and returns its rows as dicts.

# %% solution="diagnose-largest"
most_calls = None
### BEGIN SOLUTION
most = lab.rows("SELECT count(*) AS orders FROM orders GROUP BY user_id ORDER BY orders DESC LIMIT 1")[0][
    "orders"
]
most_calls = 1 + 2 * most
### END SOLUTION

# %% check="diagnose-largest"
lab.check("diagnose-largest", most_calls)

# %% [markdown]
# ## Fix
#
# Rewrite `get_order_summary` so that the number of statements does not depend on the number of orders. What it returns
# stays exactly as it is, the page's templates rely on it. `ORDERS`, `ITEMS` and `SHIPMENTS` are the statements of
# `workload.py`, `fetch` sends one and returns its rows as dicts.


# %% solution="fix"
def get_order_summary(conn, user_id):
    """All orders of a user, newest first (by created_at, then by id).

    Returns a list of dicts:
        {"id", "status", "total_cents", "created_at",
         "items":     [{"id", "product_id", "sku", "quantity", "price_cents"}, …]          by id,
         "shipments": [{"id", "carrier", "tracking", "shipped_at", "delivered_at"}, …]     by id}
    An order may have no items, and none, one or several shipments: then the list is empty or longer.
    A user without orders gets an empty list.
    """
    orders = fetch(conn, ORDERS, [user_id])
    for order in orders:
        order["items"] = fetch(conn, ITEMS, [order["id"]])
        order["shipments"] = fetch(conn, SHIPMENTS, [order["id"]])
    return orders


### BEGIN SOLUTION


ITEMS_OF_ALL = """
    SELECT order_id, id, product_id, sku, quantity, price_cents
    FROM order_items WHERE order_id = ANY(%s) ORDER BY id"""
SHIPMENTS_OF_ALL = """
    SELECT order_id, id, carrier, tracking, shipped_at, delivered_at
    FROM shipments WHERE order_id = ANY(%s) ORDER BY id"""


def get_order_summary(conn, user_id):
    orders = fetch(conn, ORDERS, [user_id])
    by_id = {order["id"]: order for order in orders}
    for order in orders:
        order["items"], order["shipments"] = [], []
    for part, query in (("items", ITEMS_OF_ALL), ("shipments", SHIPMENTS_OF_ALL)):
        for row in fetch(conn, query, [list(by_id)]):
            by_id[row.pop("order_id")][part].append(row)
    return orders


### END SOLUTION

# %% [markdown]
# ## Measure
#
# Does it still return the same? Your customer's orders, old version against new. Then the same customers as above.

# %%
import workload

with lab.connect() as conn:
    print("same answer:", workload.get_order_summary(conn, user_id) == get_order_summary(conn, user_id))
after = lab.measure(get_order_summary)
lab.compare(before, after)

# %% [markdown]
# ## Check
#
# The referee is another process. It gives your function a connection of its own, 1 ms away, asks for customers that you
# have not seen, commits new orders and asks again, and counts every statement that reaches your database from anywhere.
# Then the old and the new version run in turn. No time limit in seconds decides anything.

# %% check="fix"
lab.check("fix", order_summary=lab.connected(get_order_summary))

# %% [markdown]
# Fewer statements can still hurt: a copy of the data or an index that every write must keep up, a transaction left open,
# a lock that a page has no use for. If you lose a point here for what stands in the database,
# drop it, or `lab.reset()` gives you a fresh incident.

# %% check="safe"
lab.check("safe", order_summary=lab.connected(get_order_summary))

# %% [markdown]
# ## Explain
#
# The interview question behind this lab: *How do you find an N+1 in production without reading every line of code, and
# how do you get rid of it?* Answer in three to five sentences, with your numbers from above.

# %% [markdown] manual="explain"
# ### BEGIN SOLUTION
# I look for statements with far more calls than there are requests: pg_stat_statements sorted by calls, or a trace with
# the same span hundreds of times. Each of them is fast, so the slow query log stays empty; the time is spent on
# round trips, one after the other, and it grows with the customer's data. Here one page sent 1 + 2N statements. I replace
# the loop by one statement per table (= ANY(ids) or a join) and group the rows in the application, so the number
# of statements is constant. A test that counts statements for two sizes of customer keeps it that way.
# ### END SOLUTION

# %% [markdown]
# <details><summary>A model answer</summary>
#
# An N+1 does not show as a slow query, since each statement is quick. It shows as a ratio: calls of one statement per
# request. `pg_stat_statements` sorted by `calls`, a tracing view with the same span repeated, or the log with
# `log_min_duration_statement = 0` for a minute all tell it. The cost is a round trip each, so it hides on a laptop and in
# a test with three rows, and grows with the customer. The remedy is to ask for sets: one statement per table with
# `= ANY(ids)` or a join on the same condition, then group in memory. To keep it out, count statements per request in a
# test and in production.
#
# </details>

# %% [markdown]
# The story goes that a team met exactly this on a Tuesday morning: 161 queries for a customer with 80 orders, 1,288 ms,
# and 3 queries and 12 ms after the fix. Your own numbers stand in the table above. They are another network's and another
# machine's, and the count of queries is the same.
#
# ## In your stack
#
# The statement is the same everywhere. What differs is how an array becomes a parameter.
#
# **Go** (pgx)
# ```go
# rows, err := conn.Query(ctx,
#     "SELECT order_id, id, sku FROM order_items WHERE order_id = ANY($1)", ids) // ids []int64
# items, err := pgx.CollectRows(rows, pgx.RowToStructByName[Item])
# ```
#
# **Node.js** (pg)
# ```js
# const [items, shipments] = await Promise.all([
#   pool.query("SELECT * FROM order_items WHERE order_id = ANY($1::bigint[])", [ids]),
#   pool.query("SELECT * FROM shipments WHERE order_id = ANY($1::bigint[])", [ids]),
# ]); // in parallel on two connections of the pool; on one client they run one after the other
# ```
#
# **Java** (JDBC; with JPA: `JOIN FETCH`, or Hibernate's `@BatchSize`)
# ```java
# var query = conn.prepareStatement(
#     "SELECT order_id, id, sku FROM order_items WHERE order_id = ANY(?)");
# query.setArray(1, conn.createArrayOf("bigint", ids.toArray()));
# ```
#
# **C++** (libpqxx)
# ```cpp
# // a join needs no array: the condition is the one that found the orders
# auto items = tx.exec(
#     "SELECT i.order_id, i.id, i.sku FROM order_items i "
#     "JOIN orders o ON o.id = i.order_id WHERE o.user_id = $1", pqxx::params{user_id});
# ```
#
# ## Further
#
# - A join of orders, items *and* shipments returns a row for each pair of item and shipment. Two lists below one parent
#   want two statements, or `json_agg` in a subquery for each.
# - Sending all statements at once (pipelining) saves the round trips and keeps the work: the server still parses, plans and
#   answers each of them, and so does a pooler.
# - `IN (…)` with pasted ids makes another statement text for every length. Before Postgres 18 that is another row in
#   `pg_stat_statements` for each. `= ANY($1)` is one.
# - A page that lists 300 orders should not: page it (lab 05). The N+1 of an ORM, where no loop is to be seen, is lab 02.
