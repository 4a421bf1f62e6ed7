-- Chapters 6 and 5.4: INSERT, UPDATE, DELETE, defaults, constraints, COPY.
create table item (id int primary key, name text not null, qty int default 1 check (qty >= 0), price numeric(6, 2) default 9.99, tag text unique, constraint sane check (price < 1000));
insert into item values (1, 'one', 2, 3.5, 'a');
insert into item (id, name) values (2, 'two');
insert into item (name, id) values ('three', 3), ('four', 4);
insert into item values (5, 'five');
insert into item values (6, 'six', default, default, default) returning *;
insert into item (id, name, qty) values (7, 'seven', null) returning qty, price;
insert into item default values;
insert into item values (1, 'dup');
insert into item values (8, null);
insert into item (id) values (8);
insert into item values (8, 'x', -1);
insert into item values (8, 'x', 1, 1000);
insert into item values (8, 'x', 1, 10000);
insert into item values (8, 'x', 1, 1, 'a');
insert into item values (8, 'x'), (8, 'y');
insert into item values (null, 'x');
insert into item values (8, 'x', 1, 1, 'b', 'too many');
insert into item (id, name) values (8);
insert into item (id, name) values (8, 'x', 1);
insert into item (id, id) values (8, 8);
insert into item (id, nosuch) values (8, 8);
insert into nosuch values (1);
insert into item (id, name) values ('x', 'y');
insert into item (id, name) select id + 10, name || '!' from item where id < 3 returning id, name;
insert into item (id, name) select 1, 'x' where false returning id;
insert into item (id) select 1, 2;
insert into item as i (id, name) values (20, 'twenty') returning i.id, i.name, item.id;
insert into item as i (id, name) values (21, 'twentyone') returning i.id, i.name;
insert into item (id, name) values (22, (select max(name) from item)) returning *;
insert into item (id, name) values (1, 'x') on conflict do nothing;
insert into item (id, name) values (1, 'x') on conflict (id) do nothing returning id;
insert into item (id, name) values (1, 'uno') on conflict (id) do update set name = excluded.name returning *;
insert into item (id, name, qty) values (1, 'eins', 5), (30, 'thirty', 1) on conflict (id) do update set qty = item.qty + excluded.qty returning id, name, qty;
insert into item (id, name) values (1, 'x') on conflict (id) do update set name = 'y' where item.qty > 100 returning id;
insert into item (id, name, tag) values (31, 'x', 'a') on conflict (tag) do update set name = 'tagged' returning id, name;
insert into item (id, name, tag) values (31, 'x', 'a') on conflict (id) do nothing;
insert into item (id, name) values (1, 'x') on conflict (name) do nothing;
insert into item (id, name) values (1, 'x') on conflict (nosuch) do nothing;
insert into item (id, name) values (1, 'x') on conflict on constraint item_pkey do nothing;
insert into item (id, name) values (1, 'x') on conflict on constraint nosuch do nothing;
insert into item (id, name) values (1, 'x') on conflict do update set name = 'y';
insert into item (id, name) values (40, 'x'), (40, 'y') on conflict (id) do update set name = excluded.name;
insert into item (id, name) values (40, 'x'), (40, 'y') on conflict (id) do nothing;
insert into item (id, name) values (1, 'x') on conflict (id) do update set nosuch = 1;
insert into item (id, name) values (1, 'x') on conflict (id) do update set name = nosuch.name;
insert into item (id, name) values (1, 'x') on conflict (id) do update set name = null;
select id, name, qty, price, tag from item order by id;
update item set qty = 10 where id = 1;
update item set qty = qty + 1, price = price * 2 where id in (1, 2) returning id, qty, price;
update item set (qty, price) = (3, 4.5) where id = 3 returning qty, price;
update item set (qty, price) = (select 7, 8.5) where id = 4 returning qty, price;
update item set (qty, price) = row(1, 2) where id = 4 returning qty, price;
update item set (qty, price) = (1) where id = 4;
update item set (qty, price) = (select 1) where id = 4;
update item set qty = default where id = 4 returning qty;
update item set qty = (select max(qty) from item) where id = 5 returning qty;
update item set qty = null where id = 5 returning qty;
update item set name = null where id = 5;
-- (which row fails first is nobody's business)
update item set id = 2 where id = 1;
update item set id = id + 1000 where id < 3 returning id;
update item set id = id - 1000 where id > 1000 returning id;
update item set nosuch = 1;
update item set qty = nosuch;
update item set qty = 'x';
update item set qty = 1, qty = 2;
update item set qty = count(*);
update nosuch set a = 1;
update item set qty = 1 where nosuch = 1;
update item set qty = 1 where 1;
update item as i set qty = i.qty where i.id = 1 returning i.id;
update item as i set qty = item.qty;
update item i set qty = 5 from item j where j.id = i.id + 1 and j.id = 3 returning i.id, j.id;
update item set qty = 1 where false;
update only item set qty = 2 where id = 2;
update item set price = 999.999 where id = 2;
update item set price = 500 where id = 2 returning price;
delete from item where id = 7 returning *;
delete from item where id = 7;
delete from item where nosuch = 1;
delete from nosuch;
delete from item i where i.id = 30 returning i.name;
delete from item i where item.id = 30;
delete from item using item other where other.id = item.id + 1 and other.id = 6 returning item.id, other.id;
delete from item where id in (select id from item where id > 20) returning id;
with gone as (delete from item where id = 6 returning id) select * from gone;
with moved as (update item set qty = 77 where id = 3 returning id, qty) select sum(qty) from moved;
with fresh as (insert into item (id, name) values (50, 'fifty') returning id) select id + 1 from fresh;
begin; delete from item; select count(*) from item; rollback;
select count(*) from item;
create table pair (a int, b int, c text, primary key (a, b), unique (c));
insert into pair values (1, 1, 'x'), (1, 2, 'y');
insert into pair values (1, 1, 'z');
insert into pair values (1, null, 'z');
insert into pair values (2, 1, 'x');
insert into pair values (2, 1, null), (2, 2, null);
insert into pair values (1, 1, 'q') on conflict (a, b) do update set c = excluded.c returning *;
insert into pair values (1, 1, 'q') on conflict (b, a) do nothing;
insert into pair values (1, 1, 'q') on conflict (a) do nothing;
-- (which key is met first is nobody's business)
update pair set b = b + 10 where a = 1 returning *;
select * from pair order by a, b;
create table src (id int, v text);
copy src from stdin;
1	one
2	two
3	\N
4	tab\there
\.
select * from src order by id;
copy src (v, id) from stdin (format csv);
five,5
"six, or so",6
"quo""te",7
,8
"",9
\.
select id, v, v is null from src where id > 4 order by id;
copy src from stdin with (format csv, header);
id,v
10,ten
\.
copy src from stdin (delimiter '|', null 'NIL');
11|eleven
12|NIL
\.
copy src from stdin;
x	y
\.
copy src from stdin;
13
\.
copy src from stdin;
13	a	b
\.
copy src (nosuch) from stdin;
\.
copy nosuch from stdin;
\.
copy (select * from src order by id) to stdout;
copy (select * from src where id in (5, 6, 7, 8, 9) order by id) to stdout (format csv);
copy (select * from src where id < 3 order by id) to stdout (format csv, header);
copy (select id, v from src where id in (3, 4) order by id) to stdout with (format csv, null 'nil', delimiter ';');
copy (select 1, 'a"b', null, 'c,d') to stdout (format csv, force_quote *);
copy (select true, 1.50, date '2024-01-01', array[1, 2]) to stdout;
copy nosuch to stdout;
copy src (nosuch) to stdout;
copy src to stdout (format nosuch);
copy src to stdout (nosuch);
copy src to stdout (delimiter 'ab');
copy (delete from src where id > 9) to stdout;
copy src to '/tmp/nosuch/file';
truncate src;
select count(*) from src;
truncate nosuch;
truncate src, pair;
truncate item restart identity;
select count(*) from item;
drop table item, pair, src;
