INSERT INTO app.customers (email, name, feels, balance, tags, created) VALUES
  ('a@example.org', 'Ann', 'happy', 1500.5, '{x,"y z"}', '2024-01-02 03:04:05+00'),
  ('c@example.org', E'Cy\tTab', NULL, 0, NULL, '2024-01-02 03:04:05+00');
INSERT INTO app.orders (customer, placed, total) VALUES (1, '2024-02-03 04:05:06.789', 12.5), (1, '2024-02-04', NULL);
INSERT INTO app.lines VALUES (1, 1, 'bolt', 3, NULL), (1, 2, 'nut', 4, 'a ''note''');
INSERT INTO "Odd Name" VALUES (1, E'back\\slash', true), (NULL, NULL, NULL);
INSERT INTO plain VALUES (1, 'b', '1 day 02:03', '\x00ff', '00000000-0000-0000-0000-000000000001', '12:34:56', 1.5);
INSERT INTO nodes VALUES (1, NULL, 'root'), (2, 1, NULL);
REFRESH MATERIALIZED VIEW app.totals;
