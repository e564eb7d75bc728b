-- The migration that "cleaned up unused indexes" last Monday.
DROP INDEX order_items_order_id_idx;
