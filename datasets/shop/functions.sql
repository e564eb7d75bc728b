-- What the seed files share. The schema is dropped after the load.
-- Integer arithmetic only: each Postgres version and each machine makes the same rows. Each function is one expression
-- that uses an argument once, or is called with plain columns: the planner then inlines it (26 ns a hash, not 300).
-- Variables: :blocks (a block is 100 users with 2,400 orders), :seed.

CREATE SCHEMA gen;

-- 0 .. 2^32, uniform, uncorrelated between neighbours and between salts (tests/unit/test_dataset.py checks the formula).
CREATE FUNCTION gen.h(i bigint, salt integer) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    ((((((i * 2654435761 & 4294967295) # (((salt + :seed) * 2246822519) & 4294967295))
        * 1103515245 % 4294967291) # 1540483477)
        * 1597334677 % 4294967279) # 625341585)
        * 1181783497 % 4294967231;

-- An element of a list, drawn evenly.
CREATE FUNCTION gen.pick(list text[], r bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    list[1 + r % cardinality(list)];

-- 32 bits as 8 hex digits.
CREATE FUNCTION gen.hex(r bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    right(to_hex(r + 4294967296), 8);

-- Seconds after 2023-01-01 UTC as a time.
CREATE FUNCTION gen.at(seconds bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    to_timestamp(1672531200 + seconds);

-- When an order was placed: evenly over the 731 days of 2023 and 2024, later for a higher id. In seconds, for gen.at.
CREATE FUNCTION gen.order_second(order_id bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    ((order_id - 1) * 63158400 + gen.h(order_id, 1) % 63158400) / (2400 * :blocks);

-- Where an order stands among its hundred: 0..79 delivered, ..84 shipped, ..89 paid, ..94 cancelled, ..97 refunded,
-- 98 and 99 pending. 37 * 73 % 100 = 1: seed/shipments.sql goes the other way.
CREATE FUNCTION gen.status_rank(order_id bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    ((order_id - 1) * 37 + gen.h((order_id - 1) / 100, 2)) % 100;

-- The product of an order item, from the item's hash: low numbers sell best (half of the sales are a quarter of the products).
CREATE FUNCTION gen.product(r bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    1 + (((r >> 12) * (r >> 12)) * (20 * :blocks) >> 40);

CREATE FUNCTION gen.quantity(r bigint) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    ('{1,1,1,1,1,1,2,2,3,4}'::integer[])[1 + (r & 4095) % 10];

CREATE FUNCTION gen.price(product_id bigint) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    ('{99,149,199,249,299,349,399,449,499,549,599,649,699,799,899,999,1099,1199,1299,1399,1499,1599,1799,1999,2199,2499,
       2799,2999,3499,3999,4499,4999,5499,5999,6999,7999,9999,12999,17999,24999,34999}'::integer[])[1 + product_id * 7919 % 41];

CREATE FUNCTION gen.sku(product_id bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    'SKU-' || (10000000 + product_id * 7368787 % 90000000)::text;

CREATE FUNCTION gen.agent(r bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    gen.pick('{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
               "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
               "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
               "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1"}', r);
