-- An order that was replaced is found by the index on `replaces`, which holds no orders that replace none. The view before did not say
-- so of the one it looked for, and read all orders for each one: an audit of 100 000 orders took a quarter of an hour and more.
CREATE OR REPLACE VIEW order_states AS
    SELECT o.*, coalesce(t.matched_m, 0) AS matched_m, coalesce(t.paid, 0) AS paid,
           CASE WHEN coalesce(c.ended, false) OR coalesce(r.replaced, false) THEN 0
                ELSE o.stake_m - o.lapsed_m - coalesce(t.matched_m, 0) - coalesce(c.reduced_m, 0) END AS resting_m
    FROM orders o
    LEFT JOIN LATERAL (SELECT sum(stake_m) AS matched_m, sum(stake_m::numeric * price) AS paid FROM trades
                       WHERE order_id = o.id AND event_no >= o.order_no) t ON true
    LEFT JOIN LATERAL (SELECT bool_or(change = 'ended') AS ended, sum(by_m) FILTER (WHERE change = 'reduced') AS reduced_m
                       FROM order_changes WHERE order_id = o.id AND event_no >= o.order_no) c ON true
    LEFT JOIN LATERAL (SELECT true AS replaced FROM orders n
                       WHERE n.replaces = o.id AND n.replaces <> '' AND (n.order_no, n.step) > (o.order_no, o.step)
                       LIMIT 1) r ON true;
