-- Whose order it is: orders are dealt to slots by a permutation (x, then a shift of whole blocks), so that a user's orders
-- are spread over the two years. Of the 2,400 slots of a block, 60 users have 10 each, 30 have 26, 9 have 80, one has 300.
-- What it costs: the sum of its items, made here from the same hash as in seed/order_items.sql.
INSERT INTO orders (id, user_id, total_cents, currency, status, payment_method, shipping_address, billing_address,
                    note, user_agent, created_at, updated_at)
SELECT i,
       user_id,
       gen.quantity(r1) * gen.price(gen.product(r1))
           + CASE WHEN items >= 2 THEN gen.quantity(r2) * gen.price(gen.product(r2)) ELSE 0 END
           + CASE WHEN items >= 3 THEN gen.quantity(r3) * gen.price(gen.product(r3))
                                     + CASE WHEN items >= 4 THEN gen.quantity(r4) * gen.price(gen.product(r4))
                                                               + gen.quantity(r5) * gen.price(gen.product(r5)) ELSE 0 END
                  ELSE 0 END,
       'EUR',
       CASE WHEN rank < 80 THEN 'delivered' WHEN rank < 85 THEN 'shipped' WHEN rank < 90 THEN 'paid'
            WHEN rank < 95 THEN 'cancelled' WHEN rank < 98 THEN 'refunded' ELSE 'pending' END,
       gen.pick('{card,card,card,paypal,paypal,invoice,wallet}', r1 / 60),
       address,
       address,
       CASE WHEN r1 % 10 = 0 THEN
           gen.pick('{"Please leave it with the neighbour.","Ring twice, the bell is quiet.","It is a present: no invoice in the box.",
                      "Deliver after 17:00.","Leave it at the back door.","Call before you come."}', r1 / 10) END,
       gen.agent(r1),
       gen.at(second),
       gen.at(least(second + CASE WHEN rank < 98 THEN r1 % 604800 ELSE 0 END, 63158400))
FROM (
    SELECT i, user_id, items, rank, second,
           (1 + user_id * 7919 % 180)::text
               || gen.pick('{" Baker Street, "," Bridge Road, "," Castle Lane, "," Church Street, "," Garden Way, "," High Street, ",
                             " Hill Road, "," Lake View, "," Market Square, "," Mill Lane, "," Park Avenue, "," Station Road, "}',
                           user_id * 48271 >> 4)
               || (10000 + user_id * 16807 % 89999)::text
               || gen.pick('{" Ashford"," Brookfield"," Eastport"," Fairview"," Greenwich"," Kingston"," Newtown"," Riverside",
                             " Southgate"," Westbury"}', user_id * 48271 >> 9) AS address,
           gen.h(first_item, 41) AS r1,
           CASE WHEN items >= 2 THEN gen.h(first_item + 1, 41) END AS r2,
           CASE WHEN items >= 3 THEN gen.h(first_item + 2, 41) END AS r3,
           CASE WHEN items >= 4 THEN gen.h(first_item + 3, 41) END AS r4,
           CASE WHEN items >= 4 THEN gen.h(first_item + 4, 41) END AS r5
    FROM (
        SELECT i,
               1 + ((x / 2400 + gen.h(x % 2400, 32)) % :blocks * 100
                    + CASE WHEN x % 2400 < 600 THEN x % 2400 / 10
                           WHEN x % 2400 < 1380 THEN 60 + (x % 2400 - 600) / 26
                           WHEN x % 2400 < 2100 THEN 90 + (x % 2400 - 1380) / 80
                           ELSE 99 END) * 7368787 % (100 * :blocks) AS user_id,
               ('{2,1,3,1,2,5,1,2,3,1}'::integer[])[1 + (i - 1) % 10] AS items,
               (i - 1) / 10 * 21 + ('{1,3,4,7,8,10,15,16,18,21}'::integer[])[1 + (i - 1) % 10] AS first_item,
               gen.status_rank(i) AS rank,
               gen.order_second(i) AS second
        FROM (
            SELECT i, (i - 1) * 1618033 % (2400 * :blocks) AS x
            FROM generate_series(:lo::bigint, :hi) AS i
            OFFSET 0
        ) AS dealt
        OFFSET 0
    ) AS placed
    OFFSET 0
) AS priced;

ALTER TABLE orders ADD PRIMARY KEY (id);
CREATE INDEX orders_user_id_created_at_idx ON orders (user_id, created_at);
