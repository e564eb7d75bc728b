-- Twenty portfolios have 200 holdings: ten have 4, eight have 12, two have 32.
INSERT INTO holdings (id, portfolio_id, symbol, quantity, cost_cents, bought_at)
SELECT i,
       (i - 1) / 200 * 20 + 1 + CASE WHEN slot < 40 THEN slot / 4
                                     WHEN slot < 136 THEN 10 + (slot - 40) / 12
                                     ELSE 18 + (slot - 136) / 32 END,
       chr((65 + r % 26)::integer) || chr((65 + (r >> 8) % 26)::integer) || chr((65 + (r >> 16) % 20)::integer),
       (1 + (r >> 4) % 400)::integer,
       500 + r % 95000,
       gen.at(31536000 + r % 31536000)
FROM (
    SELECT i, (i - 1) % 200 AS slot, gen.h(i, 81) AS r
    FROM generate_series(:lo::bigint, :hi) AS i
    OFFSET 0
) AS drawn;

ALTER TABLE holdings ADD PRIMARY KEY (id);
CREATE INDEX holdings_portfolio_id_idx ON holdings (portfolio_id);
