-- SPDX-FileCopyrightText: The Pentel authors
-- SPDX-License-Identifier: MIT
--
-- Schema pentel 1.0, begun by the owner with pentel-sync --migrate. Everything that a minor
-- version adds must be such that older gateways go on working: new tables, new columns that
-- may be null, new views.
create schema pentel;
comment on schema pentel is 'Treatments recorded by Pentel gateways; changed by pentel-sync --migrate only';

create table pentel.schema_version (
    only_row boolean primary key default true check (only_row),
    major integer not null,
    minor integer not null,
    migrated_at timestamptz not null default now()
);
comment on table pentel.schema_version is 'pentel-sync schema; a gateway works with any minor of its major';
comment on column pentel.schema_version.only_row is 'always true: the table has one row';
comment on column pentel.schema_version.major is 'raised when older gateways can no longer write';
comment on column pentel.schema_version.minor is 'raised by additions that older gateways do not notice';
comment on column pentel.schema_version.migrated_at is 'server clock';

create table pentel.gateway (
    gateway text primary key,
    first_seen_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now()
);
comment on table pentel.gateway is 'Machines that record treatments';
comment on column pentel.gateway.gateway is 'id: [sink] gateway of its configuration, else a UUID of the machine';
comment on column pentel.gateway.first_seen_at is 'server clock';
comment on column pentel.gateway.last_seen_at is 'server clock; of its newest upload, to the hour';

create table pentel.pen (
    pen text primary key,
    first_seen_at timestamptz not null default now()
);
comment on table pentel.pen is 'Microneedling pens';
comment on column pentel.pen.pen is 'serial, as read over the encrypted link';
comment on column pentel.pen.first_seen_at is 'server clock';

create table pentel.cartridge (
    cartridge text primary key,
    lot text,
    expiry text,
    needles integer
);
comment on table pentel.cartridge is 'Needle cartridges that a pen could identify';
comment on column pentel.cartridge.cartridge is 'id as the cartridge gives it';
comment on column pentel.cartridge.lot is 'lot of the maker; null when unknown';
comment on column pentel.cartridge.expiry is 'expiry as the cartridge gives it; null when unknown';
comment on column pentel.cartridge.needles is 'number of needles; null when unknown';

create table pentel.session (
    session uuid primary key,
    pen text references pentel.pen,
    started_at timestamptz,
    ended_at timestamptz,
    time_error_ms bigint,
    elapsed_ms bigint,
    contact_ms bigint,
    pass_count integer,
    depth_min_um integer,
    depth_median_um integer,
    depth_p95_um integer,
    depth_max_um integer,
    depth_mean_um integer,
    state text,
    definition text,
    end_cause text,
    closed_reason text,
    log_id text,
    first_record bigint,
    last_record bigint,
    n_settled bigint not null,
    receipt_sha256 text,
    gateway text not null references pentel.gateway,
    journal_at timestamptz not null,
    erased_at timestamptz,
    written_at timestamptz not null default now()
);
create index session_started_at on pentel.session (started_at);
create index session_pen on pentel.session (pen, started_at);
comment on table pentel.session is 'Treatment sessions, one row each however many gateways heard it; numbers are derived from the pen''s records';
comment on column pentel.session.session is 'UUIDv5 of the pen''s log and the session''s first record: equal on every gateway';
comment on column pentel.session.pen is 'serial of the pen';
comment on column pentel.session.started_at is 'estimated from the gateway''s clock, see time_error_ms; null when it cannot be placed';
comment on column pentel.session.ended_at is 'as started_at; null while the end is not known';
comment on column pentel.session.time_error_ms is 'bound of the error of started_at, milliseconds';
comment on column pentel.session.elapsed_ms is 'from begin to end by the pen''s clock, milliseconds';
comment on column pentel.session.contact_ms is 'needles in contact, runs that count for a pass only, milliseconds';
comment on column pentel.session.pass_count is 'passes, by definition';
comment on column pentel.session.depth_min_um is 'needle depth in contact, least, micrometres';
comment on column pentel.session.depth_median_um is 'needle depth in contact, median by nearest rank, micrometres';
comment on column pentel.session.depth_p95_um is 'needle depth in contact, 95th percentile by nearest rank, micrometres';
comment on column pentel.session.depth_max_um is 'needle depth in contact, greatest, micrometres';
comment on column pentel.session.depth_mean_um is 'needle depth in contact, weighted by time, micrometres';
comment on column pentel.session.state is 'live, open, partial, complete, lossy or closed-by';
comment on column pentel.session.definition is 'definition by which passes were counted, for example pass/1';
comment on column pentel.session.end_cause is 'operator, idle, reset, battery, fault or unspecified';
comment on column pentel.session.closed_reason is 'what an operator said who closed it';
comment on column pentel.session.log_id is 'log of the pen, 16 hexadecimal digits';
comment on column pentel.session.first_record is 'number of its first record in that log';
comment on column pentel.session.last_record is 'number of its last known record in that log';
comment on column pentel.session.n_settled is 'records that the gateway has: the first order of merit between gateways';
comment on column pentel.session.receipt_sha256 is 'SHA-256 over the raw records, hexadecimal';
comment on column pentel.session.gateway is 'gateway whose state this row is: the third order of merit';
comment on column pentel.session.journal_at is 'that gateway''s journal time of the numbers: the second order of merit';
comment on column pentel.session.erased_at is 'server clock; set when the session was erased: all else is null for ever';
comment on column pentel.session.written_at is 'server clock of the last change of this row';

create table pentel.session_gateway (
    session uuid not null references pentel.session on delete cascade,
    gateway text not null references pentel.gateway,
    n_settled bigint not null,
    journal_seq bigint not null,
    journal_at timestamptz not null,
    receipt_sha256 text,
    seen_at timestamptz not null default now(),
    primary key (session, gateway)
);
create index session_gateway_gateway on pentel.session_gateway (gateway);
comment on table pentel.session_gateway is 'Which gateways heard a session, and how much of it';
comment on column pentel.session_gateway.session is 'the session';
comment on column pentel.session_gateway.gateway is 'the gateway';
comment on column pentel.session_gateway.n_settled is 'records that this gateway has';
comment on column pentel.session_gateway.journal_seq is 'its newest journal entry about the session';
comment on column pentel.session_gateway.journal_at is 'gateway clock of that entry';
comment on column pentel.session_gateway.receipt_sha256 is 'SHA-256 over the raw records that it has, hexadecimal';
comment on column pentel.session_gateway.seen_at is 'server clock of its last upload of this session';

create table pentel.pass (
    session uuid not null references pentel.session on delete cascade,
    pass integer not null,
    started_at timestamptz,
    elapsed_ms bigint,
    contact_ms bigint,
    depth_min_um integer,
    depth_median_um integer,
    depth_p95_um integer,
    depth_max_um integer,
    depth_mean_um integer,
    rate_hz double precision,
    punctures_estimate bigint,
    incomplete boolean,
    primary key (session, pass)
);
comment on table pentel.pass is 'Runs of needle contact of a session, derived; their zones are in pentel.annotation and pentel.pass_zone';
comment on column pentel.pass.session is 'the session';
comment on column pentel.pass.pass is 'number in the session, from 1';
comment on column pentel.pass.started_at is 'estimated from the gateway''s clock; null when it cannot be placed';
comment on column pentel.pass.elapsed_ms is 'from first to last contact, milliseconds';
comment on column pentel.pass.contact_ms is 'needles in contact, milliseconds';
comment on column pentel.pass.depth_min_um is 'needle depth in contact, least, micrometres';
comment on column pentel.pass.depth_median_um is 'needle depth in contact, median by nearest rank, micrometres';
comment on column pentel.pass.depth_p95_um is 'needle depth in contact, 95th percentile by nearest rank, micrometres';
comment on column pentel.pass.depth_max_um is 'needle depth in contact, greatest, micrometres';
comment on column pentel.pass.depth_mean_um is 'needle depth in contact, weighted by time, micrometres';
comment on column pentel.pass.rate_hz is 'mean stroke rate, strokes per second';
comment on column pentel.pass.punctures_estimate is 'rate x contact x needles: an upper bound, not a measurement';
comment on column pentel.pass.incomplete is 'true when records beside it are missing';

create table pentel.annotation (
    session uuid not null references pentel.session on delete cascade,
    field text not null,
    value text not null,
    said_at timestamptz not null,
    gateway text not null references pentel.gateway,
    uid bigint,
    primary key (session, field)
);
create index annotation_value on pentel.annotation (field, value);
comment on table pentel.annotation is 'What people said about a session: the latest word of each field over all gateways; an empty word never replaces one';
comment on column pentel.annotation.session is 'the session';
comment on column pentel.annotation.field is 'patient, operator, note, closed, zone (of the session) or zone:N (of pass N)';
comment on column pentel.annotation.value is 'the word; a patient is an opaque reference of the clinic';
comment on column pentel.annotation.said_at is 'gateway clock when it was said';
comment on column pentel.annotation.gateway is 'where it was said';
comment on column pentel.annotation.uid is 'user id of the writer on that gateway; null when unknown';

create table pentel.setting (
    session uuid not null references pentel.session on delete cascade,
    n integer not null,
    set_at timestamptz,
    depth_um integer,
    primary key (session, n)
);
comment on table pentel.setting is 'Changes of the depth dial';
comment on column pentel.setting.session is 'the session';
comment on column pentel.setting.n is 'order in the session, from 1';
comment on column pentel.setting.set_at is 'estimated from the gateway''s clock; null when it cannot be placed';
comment on column pentel.setting.depth_um is 'depth set, micrometres';

create table pentel.session_cartridge (
    session uuid not null references pentel.session on delete cascade,
    n integer not null,
    cartridge text references pentel.cartridge,
    attached_at timestamptz,
    lot text,
    expiry text,
    needles integer,
    primary key (session, n)
);
create index session_cartridge_cartridge on pentel.session_cartridge (cartridge);
comment on table pentel.session_cartridge is 'Cartridges attached in a session';
comment on column pentel.session_cartridge.session is 'the session';
comment on column pentel.session_cartridge.n is 'order in the session, from 1';
comment on column pentel.session_cartridge.cartridge is 'the cartridge; null when it gave no id';
comment on column pentel.session_cartridge.attached_at is 'estimated from the gateway''s clock; null when it cannot be placed';
comment on column pentel.session_cartridge.lot is 'lot as read then; null when unknown';
comment on column pentel.session_cartridge.expiry is 'expiry as read then; null when unknown';
comment on column pentel.session_cartridge.needles is 'number of needles as read then; null when unknown';

create table pentel.fault (
    session uuid not null references pentel.session on delete cascade,
    n integer not null,
    at timestamptz,
    code bigint,
    text text,
    primary key (session, n)
);
comment on table pentel.fault is 'Faults that the pen reported';
comment on column pentel.fault.session is 'the session';
comment on column pentel.fault.n is 'order in the session, from 1';
comment on column pentel.fault.at is 'estimated from the gateway''s clock; null when it cannot be placed';
comment on column pentel.fault.code is 'code of the maker';
comment on column pentel.fault.text is 'words of the pen; null when it gave none';

create table pentel.missing (
    session uuid not null references pentel.session on delete cascade,
    first_record bigint not null,
    last_record bigint not null,
    cause text not null,
    primary key (session, first_record)
);
comment on table pentel.missing is 'Record numbers of a session that the gateway does not have';
comment on column pentel.missing.session is 'the session';
comment on column pentel.missing.first_record is 'first number of the range';
comment on column pentel.missing.last_record is 'last number of the range';
comment on column pentel.missing.cause is 'missing, held-elsewhere, overwritten, damaged, hole:flash-error, hole:torn-write or hole:unspecified';

create table pentel.record (
    session uuid not null references pentel.session on delete cascade,
    n bigint not null,
    raw bytea not null,
    primary key (session, n)
);
comment on table pentel.record is 'Raw records as the pen sent them, with raw = yes only';
comment on column pentel.record.session is 'the session';
comment on column pentel.record.n is 'order in the session, from 1';
comment on column pentel.record.raw is 'a pentel.v1.RawRecord: the log''s id and the record''s bytes as they came';

create view pentel.treatment as
select s.*,
       (select a.value from pentel.annotation a where a.session = s.session and a.field = 'patient') as patient,
       (select a.value from pentel.annotation a where a.session = s.session and a.field = 'operator') as operator,
       (select a.value from pentel.annotation a where a.session = s.session and a.field = 'note') as note
from pentel.session s
where s.erased_at is null;
comment on view pentel.treatment is 'Sessions with what was said about them; without erased ones';

create view pentel.pass_zone as
select p.*, coalesce(z.value, w.value) as zone
from pentel.pass p
left join pentel.annotation z on z.session = p.session and z.field = 'zone:' || p.pass
left join pentel.annotation w on w.session = p.session and w.field = 'zone';
comment on view pentel.pass_zone is 'Passes with their zones';

create view pentel.sessions_per_day as
select started_at::date as day, count(*) as sessions, count(distinct patient) as patients,
       sum(pass_count) as passes, sum(contact_ms) / 60000.0 as contact_min
from pentel.treatment where started_at is not null
group by 1;
comment on view pentel.sessions_per_day is 'Days in the time zone of the session that asks; contact in minutes';

create view pentel.sessions_per_pen as
select pen, count(*) as sessions, min(started_at) as first_at, max(started_at) as last_at,
       sum(contact_ms) / 3600000.0 as contact_h, count(*) filter (where state = 'lossy') as lossy
from pentel.treatment
group by pen;
comment on view pentel.sessions_per_pen is 'How much each pen is used; contact in hours';

create view pentel.sessions_per_zone as
select coalesce(zone, 'unknown') as zone, count(distinct session) as sessions, count(*) as passes,
       sum(contact_ms) / 60000.0 as contact_min
from pentel.pass_zone
group by 1;
comment on view pentel.sessions_per_zone is 'What is treated; contact in minutes';

create view pentel.cartridge_reuse as
select c.cartridge, count(distinct c.session) as sessions, min(s.started_at) as first_at,
       max(s.started_at) as last_at, array_agg(distinct s.session) as session_ids
from pentel.session_cartridge c join pentel.session s using (session)
where c.cartridge is not null
group by c.cartridge
having count(distinct c.session) > 1;
comment on view pentel.cartridge_reuse is 'Single-use cartridges that were on in more than one session';

create view pentel.patient_interval as
select patient, session, started_at,
       lag(started_at) over w as previous_at,
       extract(epoch from started_at - lag(started_at) over w) / 86400.0 as interval_d
from pentel.treatment
where patient is not null and started_at is not null
window w as (partition by patient order by started_at);
comment on view pentel.patient_interval is 'Days since the patient''s session before';

create view pentel.depth_by_zone as
select coalesce(zone, 'unknown') as zone, count(*) as passes, min(depth_min_um) as min_um,
       percentile_disc(0.5) within group (order by depth_median_um) as median_um,
       max(depth_max_um) as max_um
from pentel.pass_zone where depth_median_um is not null
group by 1;
comment on view pentel.depth_by_zone is 'Needle depth by zone, micrometres';

grant usage on schema pentel to pentel_gateway;
grant select on pentel.schema_version to pentel_gateway;
grant select, insert, update on pentel.gateway, pentel.pen, pentel.cartridge, pentel.session,
    pentel.session_gateway, pentel.annotation to pentel_gateway;
grant delete on pentel.annotation to pentel_gateway;
grant select, insert, update, delete on pentel.pass, pentel.setting, pentel.session_cartridge,
    pentel.fault, pentel.missing, pentel.record to pentel_gateway;

insert into pentel.schema_version (major, minor) values (1, 0);
