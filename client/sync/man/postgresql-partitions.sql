-- SPDX-FileCopyrightText: The Pentel authors
-- SPDX-License-Identifier: MIT
--
-- Schema pentel for very many sessions: partitioned by hash of the session, on one server or
-- spread over several by Citus. Run it as the owner after pentel-sync --migrate, while the
-- tables are empty. A paper design, tried on plain PostgreSQL with declarative partitions.
--
-- Distribution key: session. Every statement of a gateway names it, every primary key begins
-- with it and every foreign key between the large tables holds it, so a session and its parts
-- lie together, joins stay local and a transaction touches as many places as it has sessions
-- (one but for the first upload, which goes in batches).
--
-- With Citus, instead of what follows:
--   select create_reference_table('pentel.gateway');
--   select create_reference_table('pentel.pen');
--   select create_reference_table('pentel.cartridge');
--   select create_distributed_table('pentel.session', 'session');
--   select create_distributed_table(t, 'session', colocate_with => 'pentel.session')
--     from unnest(array['pentel.session_gateway', 'pentel.pass', 'pentel.annotation',
--     'pentel.setting', 'pentel.session_cartridge', 'pentel.fault', 'pentel.missing',
--     'pentel.record']) t;
-- What stays compatible: all names, columns and keys, so gateways notice nothing. What does
-- not: pg_advisory_xact_lock is local to the coordinator, which is enough as long as gateways
-- write through one; views that count over all sessions (cartridge_reuse, patient_interval)
-- gather from all places and are for reports, not for every minute. CockroachDB has no
-- advisory locks that hold: there the upsert's own row lock does the work, and the statement
-- "lock" of pg/put.sql is to be left out.
begin;

create table pentel.session_h (like pentel.session including all) partition by hash (session);
create table pentel.pass_h (like pentel.pass including all) partition by hash (session);
create table pentel.record_h (like pentel.record including all) partition by hash (session);
do $$ begin
    for i in 0..7 loop
        execute format('create table pentel.session_p%s partition of pentel.session_h for values with (modulus 8, remainder %s)', i, i);
        execute format('create table pentel.pass_p%s partition of pentel.pass_h for values with (modulus 8, remainder %s)', i, i);
        execute format('create table pentel.record_p%s partition of pentel.record_h for values with (modulus 8, remainder %s)', i, i);
    end loop;
end $$;

-- Views hold on to the tables that they were made of: drop, swap, and make them again from
-- the schema that pentel-sync --migrate wrote.
create temporary table pentel_views on commit drop as
    select c.oid, c.relname, pg_get_viewdef(c.oid) as text, obj_description(c.oid) as said
    from pg_class c where c.relnamespace = 'pentel'::regnamespace and c.relkind = 'v';
do $$ declare v record; begin
    for v in select * from pentel_views order by oid desc loop
        execute format('drop view pentel.%I', v.relname);
    end loop;
end $$;
drop table pentel.pass, pentel.record;
drop table pentel.session cascade;
alter table pentel.session_h rename to session;
alter table pentel.pass_h rename to pass;
alter table pentel.record_h rename to record;
alter table pentel.session add foreign key (pen) references pentel.pen,
    add foreign key (gateway) references pentel.gateway;
do $$ declare t text; begin
    foreach t in array array['pass', 'record', 'session_gateway', 'annotation', 'setting',
                             'session_cartridge', 'fault', 'missing'] loop
        execute format('alter table pentel.%I add foreign key (session) references pentel.session on delete cascade', t);
    end loop;
end $$;
do $$ declare v record; begin
    for v in select * from pentel_views order by oid loop
        execute format('create view pentel.%I as %s', v.relname, v.text);
        execute format('comment on view pentel.%I is %L', v.relname, v.said);
    end loop;
end $$;
grant select, insert, update on pentel.session to pentel_gateway;
grant select, insert, update, delete on pentel.pass, pentel.record to pentel_gateway;
comment on table pentel.session is 'Treatment sessions, one row each however many gateways heard it; partitioned by hash of the session';
comment on table pentel.pass is 'Runs of needle contact of a session, derived; partitioned by hash of the session';
comment on table pentel.record is 'Raw records as the pen sent them, with raw = yes only; partitioned by hash of the session';
commit;
