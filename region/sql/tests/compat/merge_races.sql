-- MERGE beside another session that changes the same rows, at READ COMMITTED and at REPEATABLE READ.
create table account (id int primary key, balance int, note text);
create table delta (id int, amount int);
insert into account values (1, 100, 'one'), (2, 200, 'two'), (3, 300, 'three');
insert into delta values (1, 10), (2, 20), (4, 40);
begin;
update account set balance = balance + 1 where id = 1;
-- session b
-- waits
merge into account a using delta d on a.id = d.id when matched then update set balance = a.balance + d.amount when not matched then insert values (d.id, d.amount, 'new');
-- session a
commit;
-- session b
select * from account order by id;
-- session a
begin;
delete from account where id = 2;
-- session b
-- waits
merge into account a using (values (2, 5)) d (id, amount) on a.id = d.id when matched then update set balance = 0 when not matched then insert values (d.id, d.amount, 'again');
-- session a
commit;
-- session b
select * from account order by id;
-- session a
begin;
update account set note = 'closed' where id = 3;
-- session b
-- waits
merge into account a using (values (3)) d (id) on a.id = d.id when matched and a.note = 'closed' then delete when matched then update set note = 'seen';
-- session a
commit;
-- session b
select * from account order by id;
-- session a
begin;
insert into account values (7, 7, 'first');
-- session b
-- waits
merge into account a using (values (7)) d (id) on a.id = d.id when matched then update set note = 'second' when not matched then insert values (d.id, 70, 'second');
-- session a
commit;
-- session b
select * from account where id = 7;
-- session a
begin;
update account set id = 8 where id = 7;
-- session b
-- waits
merge into account a using (values (7)) d (id) on a.id = d.id when matched then update set note = 'moved' when not matched then insert values (d.id, 71, 'inserted');
-- session a
commit;
-- session b
select * from account where id in (7, 8) order by id;
begin isolation level repeatable read;
select count(*) from account;
-- session a
update account set balance = 0 where id = 1;
-- session b
merge into account a using (values (1)) d (id) on a.id = d.id when matched then update set note = 'rr';
rollback;
begin isolation level repeatable read;
select count(*) from account;
-- session a
delete from account where id = 4;
-- session b
merge into account a using (values (4)) d (id) on a.id = d.id when matched then update set note = 'rr' when not matched then do nothing;
rollback;
begin isolation level repeatable read;
select count(*) from account;
-- session a
insert into account values (9, 9, 'unseen');
-- session b
merge into account a using (values (9)) d (id) on a.id = d.id when matched then update set note = 'rr' when not matched then insert values (d.id, 90, 'rr');
rollback;
-- session a
select * from account order by id;
