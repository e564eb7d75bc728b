-- Ten orders have 21 items: 2, 1, 3, 1, 2, 5, 1, 2, 3, 1. Keep in step with seed/orders.sql, which sums them up.
INSERT INTO order_items (id, order_id, product_id, quantity, price_cents, sku)
SELECT i,
       (i - 1) / 21 * 10 + ('{1,1,2,3,3,3,4,5,5,6,6,6,6,6,7,8,8,9,9,9,10}'::integer[])[1 + (i - 1) % 21],
       product_id,
       quantity,
       gen.price(product_id),
       gen.sku(product_id)
FROM (
    SELECT i, gen.product(r) AS product_id, gen.quantity(r) AS quantity
    FROM (
        SELECT i, gen.h(i, 41) AS r
        FROM generate_series(:lo::bigint, :hi) AS i
        OFFSET 0
    ) AS drawn
    OFFSET 0
) AS item;

ALTER TABLE order_items ADD PRIMARY KEY (id);
CREATE INDEX order_items_order_id_idx ON order_items (order_id);
