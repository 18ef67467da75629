-- SPDX-FileCopyrightText: The Pentel authors
-- SPDX-License-Identifier: MIT
--
-- An erasure: $1 the session, $2 the gateway. The row stays as a tombstone, so that another
-- gateway which still has the session cannot bring it back.
-- : lock
select pg_advisory_xact_lock(hashtextextended('pentel.session ' || $1::uuid, 0)) where $2::text is not null
-- : gateway
insert into pentel.gateway (gateway) select $2::text where $1::uuid is not null on conflict do nothing
-- : session
insert into pentel.session as s (session, n_settled, gateway, journal_at, erased_at)
values ($1::uuid, 0, $2::text, now(), now())
on conflict (session) do update set pen = null, started_at = null, ended_at = null,
    time_error_ms = null, elapsed_ms = null, contact_ms = null, pass_count = null,
    depth_min_um = null, depth_median_um = null, depth_p95_um = null, depth_max_um = null,
    depth_mean_um = null, state = null, definition = null, end_cause = null,
    closed_reason = null, log_id = null, first_record = null, last_record = null,
    n_settled = 0, receipt_sha256 = null, erased_at = now(), written_at = now()
where s.erased_at is null
-- : annotation
delete from pentel.annotation where session = $1::uuid and $2::text is not null
-- : pass
delete from pentel.pass where session = $1::uuid and $2::text is not null
-- : setting
delete from pentel.setting where session = $1::uuid and $2::text is not null
-- : cartridge
delete from pentel.session_cartridge where session = $1::uuid and $2::text is not null
-- : fault
delete from pentel.fault where session = $1::uuid and $2::text is not null
-- : missing
delete from pentel.missing where session = $1::uuid and $2::text is not null
-- : record
delete from pentel.record where session = $1::uuid and $2::text is not null
-- : heard
update pentel.session_gateway set receipt_sha256 = null where session = $1::uuid and $2::text is not null
