-- Every fifth user has one.
INSERT INTO portfolios (id, user_id, name, created_at)
SELECT i,
       5 * (i - 1) + 1 + r % 5,
       gen.pick('{Retirement,Rainy day,Growth,Dividends,Technology,For the kids,Index only,Experiments}', r >> 8),
       gen.at(r % 31536000)
FROM (
    SELECT i, gen.h(i, 71) AS r
    FROM generate_series(:lo::bigint, :hi) AS i
    OFFSET 0
) AS drawn;

ALTER TABLE portfolios ADD PRIMARY KEY (id);
CREATE INDEX portfolios_user_id_idx ON portfolios (user_id);
