-- Added when all tables are full, and then marked as valid without a look at 17 M references, which would take an eighth of
-- the time: the formulas make them right, tests/cluster/test_dataset.py has the server validate each of them.
ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users NOT VALID;
ALTER TABLE order_items ADD FOREIGN KEY (order_id) REFERENCES orders NOT VALID;
ALTER TABLE order_items ADD FOREIGN KEY (product_id) REFERENCES products NOT VALID;
ALTER TABLE shipments ADD FOREIGN KEY (order_id) REFERENCES orders NOT VALID;
ALTER TABLE sessions ADD FOREIGN KEY (user_id) REFERENCES users NOT VALID;
ALTER TABLE portfolios ADD FOREIGN KEY (user_id) REFERENCES users NOT VALID;
ALTER TABLE holdings ADD FOREIGN KEY (portfolio_id) REFERENCES portfolios NOT VALID;
ALTER TABLE documents ADD FOREIGN KEY (user_id) REFERENCES users NOT VALID;
