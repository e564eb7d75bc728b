-- Begun evenly over the 700 days before the dataset's now (2025-01-01), each good for 14 days: the last 2 % are alive.
INSERT INTO sessions (id, user_id, token, ip_address, user_agent, created_at, expires_at)
SELECT i,
       1 + ((a >> 12) * (a >> 12) * (100 * :blocks) >> 40) * 7919 % (100 * :blocks),
       gen.hex(a) || gen.hex(b) || gen.hex(gen.h(i, 63)) || gen.hex(gen.h(i, 64)),
       inet '10.0.0.0' + b % 16777216,
       gen.agent(a),
       gen.at(second),
       gen.at(second + 1209600)
FROM (
    SELECT i, gen.h(i, 61) AS a, gen.h(i, 62) AS b,
           63158400 - 60480000 + (i - 1) * 60480000 / (400 * :blocks) + 1 AS second
    FROM generate_series(:lo::bigint, :hi) AS i
    OFFSET 0
) AS drawn;

ALTER TABLE sessions ADD PRIMARY KEY (id);
ALTER TABLE sessions ADD CONSTRAINT sessions_token_key UNIQUE (token);
CREATE INDEX sessions_user_id_idx ON sessions (user_id);
