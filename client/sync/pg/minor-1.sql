-- SPDX-FileCopyrightText: The Pentel authors
-- SPDX-License-Identifier: MIT
--
-- Schema pentel 1.1: the skin's reaction and what a treatment was part of, beside the note.
create or replace view pentel.treatment as
select s.*,
       (select a.value from pentel.annotation a where a.session = s.session and a.field = 'patient') as patient,
       (select a.value from pentel.annotation a where a.session = s.session and a.field = 'operator') as operator,
       (select a.value from pentel.annotation a where a.session = s.session and a.field = 'note') as note,
       (select a.value from pentel.annotation a where a.session = s.session and a.field = 'reaction') as reaction,
       (select a.value from pentel.annotation a where a.session = s.session and a.field = 'order') as order_reference
from pentel.session s
where s.erased_at is null;
comment on table pentel.annotation is 'What people said about a session: the latest word of each field over all gateways; a word that is taken back goes, but not that of another gateway';
comment on column pentel.annotation.field is 'patient, operator, note, reaction (of the skin), order (a ServiceRequest or CarePlan), closed, zone (of the session) or zone:N (of pass N)';
update pentel.schema_version set minor = 1, migrated_at = now();
