-- UNIQUE and PRIMARY KEY that are DEFERRABLE, in one session and between two.
create table place (pos int constraint place_pos unique deferrable initially immediate, label text primary key deferrable initially deferred);
insert into place values (1, 'a'), (2, 'b'), (3, 'c');
update place set pos = pos + 1;
update place set pos = 4 - pos where pos in (1, 3);
insert into place values (4, 'd');
insert into place values (9, 'a');
select * from place order by pos;
begin;
insert into place values (9, 'a');
select count(*) from place where label = 'a';
update place set label = 'z' where pos = 9;
commit;
begin;
set constraints place_pos deferred;
insert into place values (9, 'again');
savepoint s;
insert into place values (9, 'thrice');
rollback to s;
delete from place where label = 'z';
set constraints all immediate;
commit;
begin;
set constraints place_pos deferred;
insert into place values (9, 'twin');
commit;
select * from place order by pos, label;
insert into place values (null, 'n1'), (null, 'n2');
insert into place values (1, 'x'), (1, 'y');
insert into place values (5, 'x') on conflict do nothing;
insert into place values (5, 'x') on conflict on constraint place_pos do nothing;
copy place from stdin;
10	ten
10	zehn
\.
create table refers (pos int references place (pos));
create table refers (label text references place);
create unique index place_plain on place (label);
alter table place add constraint other unique (pos) deferrable;
alter table place drop constraint other;
alter table place add constraint two unique (pos, label) not deferrable;
alter table place alter constraint place_pos not deferrable;
select conname, condeferrable, condeferred, pg_get_constraintdef(oid) from pg_constraint where conrelid = 'place'::regclass order by 1;
select indexrelid::regclass, indisunique, indimmediate, indisprimary from pg_index where indrelid = 'place'::regclass order by 1::text;
select constraint_name, is_deferrable, initially_deferred from information_schema.table_constraints where table_name = 'place' and constraint_name not like '%null' order by 1;
create table dupes (a int);
insert into dupes values (1), (1);
alter table dupes add unique (a) deferrable initially deferred;
create table alike (like place including indexes);
insert into alike values (1, 'a'), (1, 'b');
select pos, label, count(*) from place group by pos;
select label, count(*), max(pos) from place group by label having label = 'a';
truncate place;
begin;
insert into place values (1, 'a');
-- session b
select * from place where pos = 1;
-- waits
insert into place values (1, 'b');
-- session a
commit;
-- session b
select * from place order by 1;
begin;
set constraints place_pos deferred;
insert into place values (2, 'b');
-- session a
begin;
-- waits
insert into place values (2, 'c');
-- session b
rollback;
-- session a
commit;
select * from place order by 1;
drop table refers, dupes, alike, place;
