# A trigger would keep a copy for every page.
# expect: fix=0 safe=0
# %% solution="fix"
lab.execute("CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
lab.execute("CREATE TRIGGER note AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION note()")
