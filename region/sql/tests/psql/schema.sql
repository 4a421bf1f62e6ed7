CREATE SCHEMA app;
COMMENT ON SCHEMA app IS 'the application';
CREATE ROLE reader;
CREATE ROLE writer LOGIN CONNECTION LIMIT 5 VALID UNTIL '2030-01-01';
CREATE ROLE boss CREATEDB CREATEROLE IN ROLE reader;
GRANT writer TO boss WITH ADMIN OPTION;
COMMENT ON ROLE boss IS 'the boss';
CREATE TYPE app.mood AS ENUM ('sad', 'ok', 'happy');
COMMENT ON TYPE app.mood IS 'how one feels';
CREATE TABLE app.customers (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  email varchar(200) NOT NULL UNIQUE,
  name text NOT NULL DEFAULT 'nobody',
  feels app.mood DEFAULT 'ok',
  born date CHECK (born > '1900-01-01'),
  balance numeric(12,2) NOT NULL DEFAULT 0.00,
  tags text[] DEFAULT '{}'::text[],
  extra jsonb,
  created timestamptz NOT NULL DEFAULT now(),
  full_name text GENERATED ALWAYS AS (name || ' <' || email || '>') STORED,
  CONSTRAINT balance_positive CHECK (balance >= 0 AND balance < 1000000)
);
COMMENT ON TABLE app.customers IS 'who buys';
COMMENT ON COLUMN app.customers.email IS 'unique address';
CREATE INDEX customers_name_idx ON app.customers (lower(name));
CREATE INDEX customers_born_idx ON app.customers (born DESC NULLS LAST, id) WHERE born IS NOT NULL;
COMMENT ON INDEX app.customers_name_idx IS 'by name';
CREATE TABLE app.orders (
  id serial PRIMARY KEY,
  customer bigint NOT NULL REFERENCES app.customers ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  placed timestamp(3) without time zone DEFAULT CURRENT_TIMESTAMP,
  state char(1) NOT NULL DEFAULT 'n' CHECK (state IN ('n', 'p', 's')),
  total double precision
);
CREATE TABLE app.lines (
  order_id int NOT NULL REFERENCES app.orders (id) ON DELETE CASCADE ON UPDATE CASCADE,
  line smallint NOT NULL,
  product varchar(20) NOT NULL,
  quantity int NOT NULL DEFAULT 1,
  note text,
  PRIMARY KEY (order_id, line)
);
CREATE UNIQUE INDEX lines_product ON app.lines (order_id, product) INCLUDE (quantity);
CREATE TABLE "Odd Name" ("Select" int, "with space" text DEFAULT 'it''s', "q""uote" bool);
CREATE TABLE plain (a int, b text COLLATE "C", c interval, d bytea, e uuid, f time, g real);
CREATE SEQUENCE app.tickets START 100 INCREMENT 5 MAXVALUE 100000 CYCLE;
CREATE VIEW app.rich AS SELECT id, name, balance FROM app.customers WHERE balance > 1000;
COMMENT ON VIEW app.rich IS 'the rich ones';
CREATE VIEW app.summary AS SELECT c.name, count(o.id) AS orders, sum(o.total) AS total FROM app.customers c LEFT JOIN app.orders o ON o.customer = c.id GROUP BY c.name ORDER BY 2 DESC;
CREATE TABLE nodes (id int PRIMARY KEY, parent int REFERENCES nodes ON DELETE SET NULL, label text UNIQUE NULLS NOT DISTINCT);
ALTER TABLE nodes OWNER TO boss;
GRANT SELECT ON app.customers TO reader;
GRANT SELECT, INSERT, UPDATE ON app.orders TO writer WITH GRANT OPTION;
GRANT USAGE ON SCHEMA app TO reader, writer;
GRANT USAGE ON SEQUENCE app.tickets TO writer;
GRANT SELECT ON app.rich TO PUBLIC;
CREATE MATERIALIZED VIEW app.totals AS SELECT customer, sum(total) AS total FROM app.orders GROUP BY customer;
CREATE UNIQUE INDEX totals_customer ON app.totals (customer);
COMMENT ON MATERIALIZED VIEW app.totals IS 'sums';
CREATE VIEW app.checked AS SELECT id, email FROM app.customers WHERE balance > 0 WITH CASCADED CHECK OPTION;
GRANT SELECT (email), UPDATE (name, born) ON app.customers TO writer;
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO reader;
ALTER ROLE writer SET work_mem = '8MB';
CREATE UNLOGGED TABLE scratch (a int, b text);
