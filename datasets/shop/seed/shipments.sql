-- One for each order that is shipped or delivered: 85 of a hundred, the inverse of gen.status_rank.
INSERT INTO shipments (id, order_id, carrier, service, tracking, tracking_url, shipped_at, delivered_at)
SELECT i,
       order_id,
       gen.pick('{DHL,DHL,DHL,UPS,UPS,FedEx,GLS,DPD}', r),
       gen.pick('{standard,standard,standard,express,pickup}', r >> 4),
       tracking,
       'https://tracking.example.com/shipments/' || tracking || '?lang=en',
       gen.at(least(second + 3600 + r % 172800, 63158400)),
       CASE WHEN rank < 80 THEN gen.at(least(second + 46800 + r % 172800 + r % 432000, 63158400)) END
FROM (
    SELECT i, order_id, rank, r, gen.order_second(order_id) AS second,
           'JD' || (100000000 + r % 900000000)::text || (100000000 + i * 7368787 % 900000000)::text AS tracking
    FROM (
        SELECT i, (i - 1) % 85 AS rank, gen.h(i, 51) AS r,
               1 + (i - 1) / 85 * 100 + ((i - 1) % 85 + 100 - gen.h((i - 1) / 85, 2) % 100) * 73 % 100 AS order_id
        FROM generate_series(:lo::bigint, :hi) AS i
        OFFSET 0
    ) AS ranked
    OFFSET 0
) AS timed;

ALTER TABLE shipments ADD PRIMARY KEY (id);
CREATE INDEX shipments_order_id_idx ON shipments (order_id);
