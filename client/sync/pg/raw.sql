-- SPDX-FileCopyrightText: The Pentel authors
-- SPDX-License-Identifier: MIT
--
-- The raw records of one session: $1 its id, $2 the gateway, $3 how many it has, $4 they.
-- : no record
delete from pentel.record r using pentel.session s
where r.session = $1::uuid and s.session = r.session and s.gateway = $2::text
  and s.erased_at is null and s.n_settled = $3::bigint and $4::bytea[] is not null
-- : record
insert into pentel.record (session, n, raw)
select s.session, r.n, r.raw
from pentel.session s, unnest($4::bytea[]) with ordinality as r(raw, n)
where s.session = $1::uuid and s.gateway = $2::text and s.erased_at is null and s.n_settled = $3::bigint
