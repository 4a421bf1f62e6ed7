-- Chapter 13: what sessions see of each other; who waits for whom.
create table acct (id int primary key, n int);
insert into acct values (1, 10), (2, 20), (3, 30);
begin;
update acct set n = n + 1 where id = 1;
select n from acct where id = 1;
-- session b
select n from acct where id = 1;
-- waits
update acct set n = n + 100 where id = 1;
-- session a
commit;
-- session b
select n from acct where id = 1;
-- READ COMMITTED looks again at what changed while it waited.
-- session a
begin;
update acct set n = 0 where id = 2;
-- session b
-- waits
update acct set n = n + 1 where id = 2 and n = 20;
-- session a
commit;
-- session b
select n from acct where id = 2;
-- session a
begin;
update acct set n = 0 where id = 3;
-- session b
-- waits
delete from acct where id = 3;
-- session a
rollback;
-- session b
select count(*) from acct;
insert into acct values (3, 30);
-- A row that was deleted while one waited is gone.
-- session a
begin;
delete from acct where id = 3;
-- session b
-- waits
update acct set n = 5 where id = 3 returning *;
-- session a
commit;
-- session b
select count(*) from acct where id = 3;
-- Two that insert the same key.
-- session a
begin;
insert into acct values (4, 40);
-- session b
-- waits
insert into acct values (4, 41);
-- session a
commit;
-- session b
select n from acct where id = 4;
-- session a
begin;
insert into acct values (5, 50);
-- session b
-- waits
insert into acct values (5, 51);
-- session a
rollback;
-- session b
select n from acct where id = 5;
-- session a
begin;
insert into acct values (6, 60);
-- session b
-- waits
insert into acct values (6, 61) on conflict (id) do update set n = acct.n + excluded.n returning n;
-- session a
commit;
-- session b
select n from acct where id = 6;
-- SELECT FOR UPDATE and its ways of not waiting.
-- session a
begin;
select n from acct where id = 1 for update;
-- session b
select n from acct where id = 1 for update nowait;
select id from acct where id < 3 order by id for update skip locked;
select n from acct where id = 1;
-- waits
select n from acct where id = 1 for share;
-- session a
update acct set n = 1000 where id = 1;
commit;
-- session b
select n from acct where id = 1;
-- session a
begin;
select n from acct where id = 1 for share;
-- session b
begin;
select n from acct where id = 1 for share;
rollback;
-- waits
update acct set n = 7 where id = 1;
-- session a
commit;
-- session b
select n from acct where id = 1;
-- REPEATABLE READ keeps its snapshot and refuses to overwrite what it does not see.
-- session a
begin isolation level repeatable read;
select n from acct where id = 2;
-- session b
update acct set n = 222 where id = 2;
-- session a
select n from acct where id = 2;
update acct set n = n + 1 where id = 2;
select 1;
rollback;
begin isolation level repeatable read;
select count(*) from acct;
-- session b
insert into acct values (7, 70);
-- session a
select count(*) from acct;
commit;
select count(*) from acct;
begin isolation level repeatable read;
select 1;
-- session b
update acct set n = 71 where id = 7;
-- session a
select n from acct where id = 7;
rollback;
-- READ COMMITTED sees more with each statement.
begin;
select n from acct where id = 7;
-- session b
update acct set n = 72 where id = 7;
-- session a
select n from acct where id = 7;
commit;
-- NOWAIT does not wait for a row that is not locked.
--
-- session b
begin;
update acct set n = 0 where id = 1;
-- session a
--
select n from acct where id = 2 for update nowait;
--
-- session b
rollback;
-- A transaction that failed.
-- session a
begin;
select 1 / 0;
select 1;
insert into acct values (9, 9);
commit;
select count(*) from acct where id = 9;
begin;
insert into acct values (9, 9);
savepoint s;
insert into acct values (9, 9);
select 1;
rollback to s;
select n from acct where id = 9;
commit;
-- session b
select n from acct where id = 9;
begin read only;
update acct set n = 1;
rollback;
set transaction isolation level serializable;
begin;
set transaction isolation level repeatable read;
select count(*) from acct;
set transaction isolation level read committed;
rollback;
begin;
select 1;
set transaction read only;
update acct set n = 1 where id = 1;
rollback;
-- DDL is undone too.
begin;
create table made (a int);
insert into made values (1);
-- session a
select * from made;
-- session b
commit;
-- session a
select * from made;
begin;
drop table made;
rollback;
select * from made;
drop table made, acct;
