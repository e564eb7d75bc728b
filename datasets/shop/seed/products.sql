INSERT INTO products (id, sku, name, category, description, price_cents, stock, weight_grams, active, created_at)
SELECT i,
       gen.sku(i),
       adjective || ' ' || material || ' ' || thing,
       gen.pick('{garden,kitchen,office,outdoor,living,workshop,travel,kids}', b),
       adjective || ' ' || lower(thing) || ' of ' || lower(material) || '. '
           || gen.pick('{"Made in small batches.","Tested for ten years of daily use.","A classic, slightly improved.",
                         "Ships flat, needs no tools.","The customers'' favourite three years in a row."}', a >> 8) || ' '
           || gen.pick('{"Wipe with a damp cloth only.","Fit for the dishwasher.","Keep away from open fire.",
                         "Oil once a year.","No care needed."}', b >> 8) || ' '
           || 'Size ' || 10 + a % 90 || ' x ' || 10 + b % 90 || ' cm, two years of guarantee, spare parts on request.',
       gen.price(i),
       a % 500,
       50 + b % 20000,
       b % 50 <> 0,
       gen.at(-94608000 + a % 94608000)
FROM (
    SELECT i, a, b,
           gen.pick('{Bright,Classic,Compact,Foldable,Handmade,Heavy,Light,Modern,Quiet,Robust,Round,Simple,Slim,Smart,Soft,
                      Sturdy,Tall,Vintage}', a) AS adjective,
           gen.pick('{Aluminium,Bamboo,Birch,Brass,Ceramic,Copper,Cotton,Glass,Granite,Leather,Linen,Oak,Steel,Walnut,Wool}', b)
               AS material,
           gen.pick('{Backpack,Basket,Bench,Blanket,Bottle,Bowl,Box,Chair,Clock,Cup,Desk,Hammer,Jug,Kettle,Knife,Lamp,Mat,Mirror,
                      Pan,Pillow,Planter,Rug,Shelf,Stool,Table,Tent,Tray,Vase}', a >> 16) AS thing
    FROM (
        SELECT i, gen.h(i, 21) AS a, gen.h(i, 22) AS b
        FROM generate_series(:lo::bigint, :hi) AS i
        OFFSET 0
    ) AS drawn
    OFFSET 0
) AS named;

ALTER TABLE products ADD PRIMARY KEY (id);
ALTER TABLE products ADD CONSTRAINT products_sku_key UNIQUE (sku);
