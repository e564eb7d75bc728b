INSERT INTO users (id, email, full_name, phone, password_hash, country, city, newsletter, created_at, last_seen_at)
SELECT i,
       lower(first) || '.' || lower(last) || i || '@example.' || gen.pick('{com,com,com,net,org}', a),
       first || ' ' || last,
       CASE WHEN b % 4 < 3 THEN '+' || 10 + b % 80 || ' ' || 100 + a % 900 || ' ' || 1000000 + c % 9000000 END,
       '$2b$12$' || gen.hex(a) || gen.hex(b) || gen.hex(c) || gen.hex(gen.h(i, 14)) || gen.hex(gen.h(i, 15))
           || gen.hex(gen.h(i, 16)) || left(gen.hex(gen.h(i, 17)), 5),
       gen.pick('{DE,DE,DE,US,US,US,GB,FR,ES,IT,NL,PL,SE,BR,IN,JP,CA,AU}', c),
       gen.pick('{Amsterdam,Barcelona,Berlin,Boston,Chicago,Hamburg,Kyoto,Leeds,London,Lyon,Madrid,Melbourne,Milan,Mumbai,
                  Munich,Paris,Recife,Rotterdam,Seattle,Stockholm,Toronto,Turin,Valencia,Warsaw}', c >> 8),
       a % 3 = 0,
       gen.at(-63072000 + (i * 7919 % (100 * :blocks)) * 63072000 / (100 * :blocks)),
       gen.at(63158400 - 1 - b % 5184000)
FROM (
    SELECT i, a, b, c,
           gen.pick('{Ada,Alan,Amir,Anna,Aiko,Ben,Carla,Chloe,Clara,David,Diego,Elena,Emil,Emma,Eric,Fatima,Felix,Finn,Grace,
                      Hana,Hugo,Ida,Ines,Ivan,Jan,Jonas,Julia,Karim,Kim,Lara,Lea,Leo,Lina,Liam,Lucas,Maja,Marc,Maria,Mei,Mia,
                      Milan,Nina,Noah,Nora,Oscar,Olga,Paul,Pia,Priya,Rosa,Sam,Sara,Sofia,Tara,Theo,Tom,Vera,Yuki,Zoe}', a) AS first,
           gen.pick('{Almeida,Bauer,Becker,Bianchi,Brown,Costa,Davies,Dubois,Evans,Fischer,Garcia,Gupta,Haas,Hansen,Hoffmann,
                      Ito,Jansen,Johnson,Keller,Khan,Klein,Kowalski,Krause,Lang,Larsen,Lopez,Martin,Meyer,Moreau,Mueller,
                      Nakamura,Nguyen,Novak,Olsen,Patel,Petit,Ricci,Rossi,Roth,Santos,Schmidt,Schulz,Silva,Singh,Smith,Suzuki,
                      Tanaka,Taylor,Thomas,Vogel,Wagner,Walker,Weber,Wilson,Wolf,Wright,Yilmaz,Young}', b) AS last
    FROM (
        SELECT i, gen.h(i, 11) AS a, gen.h(i, 12) AS b, gen.h(i, 13) AS c
        FROM generate_series(:lo::bigint, :hi) AS i
        OFFSET 0
    ) AS drawn
    OFFSET 0
) AS named;

ALTER TABLE users ADD PRIMARY KEY (id);
ALTER TABLE users ADD CONSTRAINT users_email_key UNIQUE (email);
