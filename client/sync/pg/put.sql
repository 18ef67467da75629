-- SPDX-FileCopyrightText: The Pentel authors
-- SPDX-License-Identifier: MIT
--
-- What a gateway runs in one transaction for a batch of sessions: $1 is a JSON array of what
-- sync_delivery_to_line() writes, $2 their gateway. Every statement orders its rows by key, so
-- that two gateways cannot wait for each other in a circle. A line of its own names each.
-- : lock
select pg_advisory_xact_lock(hashtextextended('pentel.session ' || k.session, 0))
from (select d->>'session' as session from jsonb_array_elements($1::jsonb) d order by 1) k
where $2::text is not null
-- : gateway
insert into pentel.gateway as g (gateway) select $2::text where jsonb_typeof($1::jsonb) = 'array'
on conflict (gateway) do update set last_seen_at = now()
where g.last_seen_at < now() - interval '1 hour'
-- : pen
insert into pentel.pen (pen)
select distinct d->'state'->>'pen' as pen from jsonb_array_elements($1::jsonb) d
where d->'state'->>'pen' is not null and $2::text is not null
order by 1
on conflict do nothing
-- : cartridge
insert into pentel.cartridge as k (cartridge, lot, expiry, needles)
select distinct on (c->>'id') c->>'id', c->>'lot', c->>'expiry', (c->>'needles')::integer
from jsonb_array_elements($1::jsonb) d, jsonb_array_elements(d->'state'->'cartridges') c
where c->>'id' is not null and jsonb_typeof(d->'state'->'cartridges') = 'array' and $2::text is not null
order by 1
on conflict (cartridge) do update set lot = coalesce(k.lot, excluded.lot),
    expiry = coalesce(k.expiry, excluded.expiry), needles = coalesce(k.needles, excluded.needles)
where (k.lot, k.expiry, k.needles) is distinct from
      (coalesce(k.lot, excluded.lot), coalesce(k.expiry, excluded.expiry), coalesce(k.needles, excluded.needles))
-- : session
insert into pentel.session as s (session, pen, started_at, ended_at, time_error_ms, elapsed_ms,
    contact_ms, pass_count, depth_min_um, depth_median_um, depth_p95_um, depth_max_um,
    depth_mean_um, state, definition, end_cause, closed_reason, log_id, first_record,
    last_record, n_settled, receipt_sha256, gateway, journal_at)
select (d->>'session')::uuid, t->>'pen', (t->>'started_at')::timestamptz,
    (t->>'ended_at')::timestamptz, (t->>'time_error_ms')::bigint, (t->>'elapsed_ms')::bigint,
    (t->>'contact_ms')::bigint, (t->>'pass_count')::integer, (t->'depth_um'->>'min')::integer,
    (t->'depth_um'->>'median')::integer, (t->'depth_um'->>'p95')::integer,
    (t->'depth_um'->>'max')::integer, (t->'depth_um'->>'mean')::integer, t->>'state',
    t->>'definition', t->>'end_cause', t->>'closed_reason', t->'records'->>'log',
    (t->'records'->>'first')::bigint, (t->'records'->>'last')::bigint,
    (d->>'n_settled')::bigint, t->'receipt'->>'sha256', $2::text,
    timestamptz 'epoch' + (d->>'fold_wall_us')::bigint * interval '1 microsecond'
from jsonb_array_elements($1::jsonb) d, lateral (select d->'state') as l(t)
order by 1
on conflict (session) do update set pen = excluded.pen, started_at = excluded.started_at,
    ended_at = excluded.ended_at, time_error_ms = excluded.time_error_ms,
    elapsed_ms = excluded.elapsed_ms, contact_ms = excluded.contact_ms,
    pass_count = excluded.pass_count, depth_min_um = excluded.depth_min_um,
    depth_median_um = excluded.depth_median_um, depth_p95_um = excluded.depth_p95_um,
    depth_max_um = excluded.depth_max_um, depth_mean_um = excluded.depth_mean_um,
    state = excluded.state, definition = excluded.definition, end_cause = excluded.end_cause,
    closed_reason = coalesce(excluded.closed_reason, s.closed_reason),
    log_id = excluded.log_id, first_record = excluded.first_record,
    last_record = excluded.last_record, n_settled = excluded.n_settled,
    receipt_sha256 = excluded.receipt_sha256, gateway = excluded.gateway,
    journal_at = excluded.journal_at, written_at = now()
where s.erased_at is null and (excluded.n_settled, excluded.journal_at, excluded.gateway) >=
                              (s.n_settled, s.journal_at, s.gateway)
-- : heard
insert into pentel.session_gateway as h (session, gateway, n_settled, journal_seq, journal_at, receipt_sha256)
select (d->>'session')::uuid, $2::text, (d->>'n_settled')::bigint, (d->>'seq')::bigint,
    timestamptz 'epoch' + (d->>'wall_us')::bigint * interval '1 microsecond',
    d->'state'->'receipt'->>'sha256'
from jsonb_array_elements($1::jsonb) d
join pentel.session s on s.session = (d->>'session')::uuid and s.erased_at is null
order by 1
on conflict (session, gateway) do update set n_settled = excluded.n_settled,
    journal_seq = excluded.journal_seq, journal_at = excluded.journal_at,
    receipt_sha256 = excluded.receipt_sha256, seen_at = now()
where excluded.journal_at >= h.journal_at or excluded.journal_seq > h.journal_seq
-- : no pass
delete from pentel.pass p using jsonb_array_elements($1::jsonb) d, pentel.session s
where p.session = (d->>'session')::uuid and s.session = p.session and s.gateway = $2::text
  and s.erased_at is null and s.n_settled = (d->>'n_settled')::bigint
  and s.journal_at = timestamptz 'epoch' + (d->>'fold_wall_us')::bigint * interval '1 microsecond'
-- : pass
insert into pentel.pass (session, pass, started_at, elapsed_ms, contact_ms, depth_min_um,
    depth_median_um, depth_p95_um, depth_max_um, depth_mean_um, rate_hz, punctures_estimate, incomplete)
select s.session, (p->>'index')::integer, (p->>'started_at')::timestamptz,
    (p->>'elapsed_ms')::bigint, (p->>'contact_ms')::bigint, (p->'depth_um'->>'min')::integer,
    (p->'depth_um'->>'median')::integer, (p->'depth_um'->>'p95')::integer,
    (p->'depth_um'->>'max')::integer, (p->'depth_um'->>'mean')::integer,
    (p->>'rate_hz')::double precision, (p->>'punctures_estimate')::bigint, (p->>'incomplete')::boolean
from jsonb_array_elements($1::jsonb) d
join pentel.session s on s.session = (d->>'session')::uuid and s.gateway = $2::text
  and s.erased_at is null and s.n_settled = (d->>'n_settled')::bigint
  and s.journal_at = timestamptz 'epoch' + (d->>'fold_wall_us')::bigint * interval '1 microsecond',
jsonb_array_elements(d->'state'->'passes') p
-- : no setting
delete from pentel.setting c using jsonb_array_elements($1::jsonb) d, pentel.session s
where c.session = (d->>'session')::uuid and s.session = c.session and s.gateway = $2::text
  and s.erased_at is null and s.n_settled = (d->>'n_settled')::bigint
  and s.journal_at = timestamptz 'epoch' + (d->>'fold_wall_us')::bigint * interval '1 microsecond'
-- : setting
insert into pentel.setting (session, n, set_at, depth_um)
select s.session, c.n, (c.c->>'at')::timestamptz, (c.c->>'depth_um')::integer
from jsonb_array_elements($1::jsonb) d
join pentel.session s on s.session = (d->>'session')::uuid and s.gateway = $2::text
  and s.erased_at is null and s.n_settled = (d->>'n_settled')::bigint
  and s.journal_at = timestamptz 'epoch' + (d->>'fold_wall_us')::bigint * interval '1 microsecond',
jsonb_array_elements(d->'state'->'settings') with ordinality as c(c, n)
-- : no cartridge
delete from pentel.session_cartridge c using jsonb_array_elements($1::jsonb) d, pentel.session s
where c.session = (d->>'session')::uuid and s.session = c.session and s.gateway = $2::text
  and s.erased_at is null and s.n_settled = (d->>'n_settled')::bigint
  and s.journal_at = timestamptz 'epoch' + (d->>'fold_wall_us')::bigint * interval '1 microsecond'
-- : session cartridge
insert into pentel.session_cartridge (session, n, cartridge, attached_at, lot, expiry, needles)
select s.session, c.n, c.c->>'id', (c.c->>'at')::timestamptz, c.c->>'lot', c.c->>'expiry',
    (c.c->>'needles')::integer
from jsonb_array_elements($1::jsonb) d
join pentel.session s on s.session = (d->>'session')::uuid and s.gateway = $2::text
  and s.erased_at is null and s.n_settled = (d->>'n_settled')::bigint
  and s.journal_at = timestamptz 'epoch' + (d->>'fold_wall_us')::bigint * interval '1 microsecond',
jsonb_array_elements(d->'state'->'cartridges') with ordinality as c(c, n)
-- : no fault
delete from pentel.fault f using jsonb_array_elements($1::jsonb) d, pentel.session s
where f.session = (d->>'session')::uuid and s.session = f.session and s.gateway = $2::text
  and s.erased_at is null and s.n_settled = (d->>'n_settled')::bigint
  and s.journal_at = timestamptz 'epoch' + (d->>'fold_wall_us')::bigint * interval '1 microsecond'
-- : fault
insert into pentel.fault (session, n, at, code, text)
select s.session, c.n, (c.c->>'at')::timestamptz, (c.c->>'code')::bigint, c.c->>'text'
from jsonb_array_elements($1::jsonb) d
join pentel.session s on s.session = (d->>'session')::uuid and s.gateway = $2::text
  and s.erased_at is null and s.n_settled = (d->>'n_settled')::bigint
  and s.journal_at = timestamptz 'epoch' + (d->>'fold_wall_us')::bigint * interval '1 microsecond',
jsonb_array_elements(d->'state'->'faults') with ordinality as c(c, n)
-- : no missing
delete from pentel.missing m using jsonb_array_elements($1::jsonb) d, pentel.session s
where m.session = (d->>'session')::uuid and s.session = m.session and s.gateway = $2::text
  and s.erased_at is null and s.n_settled = (d->>'n_settled')::bigint
  and s.journal_at = timestamptz 'epoch' + (d->>'fold_wall_us')::bigint * interval '1 microsecond'
-- : missing
insert into pentel.missing (session, first_record, last_record, cause)
select s.session, (m->>0)::bigint, (m->>1)::bigint, m->>2
from jsonb_array_elements($1::jsonb) d
join pentel.session s on s.session = (d->>'session')::uuid and s.gateway = $2::text
  and s.erased_at is null and s.n_settled = (d->>'n_settled')::bigint
  and s.journal_at = timestamptz 'epoch' + (d->>'fold_wall_us')::bigint * interval '1 microsecond',
jsonb_array_elements(d->'state'->'records'->'missing') m
on conflict do nothing
-- : annotation
insert into pentel.annotation as a (session, field, value, said_at, gateway, uid)
select s.session, w->>'field', w->>'value',
    timestamptz 'epoch' + (w->>'wall_us')::bigint * interval '1 microsecond', $2::text,
    (w->>'uid')::bigint
from jsonb_array_elements($1::jsonb) d
join pentel.session s on s.session = (d->>'session')::uuid and s.erased_at is null,
jsonb_array_elements(d->'words') w
order by 1, 2
on conflict (session, field) do update set value = excluded.value, said_at = excluded.said_at,
    gateway = excluded.gateway, uid = excluded.uid
where (excluded.said_at, excluded.gateway) >= (a.said_at, a.gateway)
-- : taken back
delete from pentel.annotation a using jsonb_array_elements($1::jsonb) d,
jsonb_array_elements(d->'taken_back') w
where a.session = (d->>'session')::uuid and a.field = w->>'field' and a.gateway = $2::text
  and a.said_at <= timestamptz 'epoch' + (w->>'wall_us')::bigint * interval '1 microsecond'
