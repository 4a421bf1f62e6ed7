create table job (id int primary key, taken_by int, kind text);
insert into job select g, null, case when g % 2 = 0 then 'even' else 'odd' end from generate_series(1, 20) g;
begin;
select id from job where taken_by is null order by id limit 1 for update skip locked;
-- session b
begin;
-- session b
select id from job where taken_by is null order by id limit 1 for update skip locked;
-- session b
select id from job where kind = 'even' order by kind, id desc limit 2 for update skip locked;
-- session c
begin;
-- session c
select id from job where kind = 'even' order by kind, id desc limit 2 for update skip locked;
-- session c
select id from job where taken_by is null order by id offset 1 limit 2 for update skip locked;
-- session c
select id from job where id in (1, 2, 5, 6) order by id for update skip locked;
-- session c
commit;
-- session b
commit;
select id from job where taken_by is null order by id limit 3 for update skip locked;
commit;
