-- Every document has another mix of keys, as real JSON does. 1 in 1,000 is flagged for review, 1 in 50 is a contract.
INSERT INTO documents (id, user_id, title, body, created_at)
SELECT i,
       1 + r % (100 * :blocks),
       initcap(kind) || ' ' || 2023 + i % 2 || '/' || 100000 + i,
       format('{"kind": "%s", "language": "%s", "tags": ["%s", "%s", "region-%s"], '
              '"customer": {"id": %s, "vip": %s, "segment": "%s"}, '
              '"amount": {"net_cents": %s, "vat_cents": %s, "currency": "EUR"}, '
              '"history": [{"at": %s, "by": "user-%s", "event": "created"}, {"at": %s, "by": "user-%s", "event": "%s"}], '
              '"text": "Regarding %s %s: %s, %s"%s%s}',
              kind,
              gen.pick('{en,en,en,de,fr,es}', r >> 4),
              gen.pick('{urgent,archive,tax,legal,finance,support}', r >> 8), gen.pick('{q1,q2,q3,q4}', r >> 12), r % 40,
              1 + r % (100 * :blocks), CASE WHEN r % 37 = 0 THEN 'true' ELSE 'false' END,
              gen.pick('{private,small business,enterprise}', r >> 16),
              1000 + s % 900000, (1000 + s % 900000) * 19 / 100,
              1672531200 + s % 31536000, s % 900, 1704067200 + s % 31536000, r % 900,
              gen.pick('{approved,sent,rejected,archived}', s >> 8),
              kind, 100000 + i,
              gen.pick('{"the amounts were checked against the delivery note","the customer asked for a corrected copy",
                         "payment is expected within thirty days of receipt","signed by both parties and filed"}', s >> 12),
              gen.pick('{"no further action is needed.","please answer by the end of the month.",
                         "see the attached pages for details.","the original is kept in the archive."}', s >> 16),
              CASE WHEN s % 1000 = 0 THEN ', "flags": {"review": true, "reason": "amount differs"}' END,
              CASE WHEN kind = 'contract' THEN ', "valid_until": ' || (2025 + s % 5)::text || ', "parties": ' || (2 + s % 3)::text END
       )::jsonb,
       gen.at((i - 1) * 63158400 / (100 * :blocks))
FROM (
    SELECT i, r, s, CASE WHEN r % 50 = 0 THEN 'contract' ELSE gen.pick('{invoice,invoice,invoice,letter,receipt,report}', r / 50) END AS kind
    FROM (
        SELECT i, gen.h(i, 91) AS r, gen.h(i, 92) AS s
        FROM generate_series(:lo::bigint, :hi) AS i
        OFFSET 0
    ) AS drawn
    OFFSET 0
) AS sorted;

ALTER TABLE documents ADD PRIMARY KEY (id);
CREATE INDEX documents_user_id_idx ON documents (user_id);
