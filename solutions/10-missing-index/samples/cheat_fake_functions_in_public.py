# Functions and operators of the student's under the names that the referee's queries use.
# expect: fix=0 safe=0
# %% solution="fix"
lab.execute(
    "CREATE FUNCTION public.count(anyelement) RETURNS bigint LANGUAGE sql AS 'SELECT 5040000::bigint'"
)
lab.execute("CREATE FUNCTION public.pg_relation_size(text) RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint'")
lab.execute("CREATE TABLE public.pg_class (oid oid, relname text, relkind text)")
lab.execute("CREATE TABLE public.pg_index (indexrelid oid)")
