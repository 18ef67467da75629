/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Makes treatments out of a seed: contact runs that make passes, dial changes, cartridges,
 * markers, faults, resets.
 */
#include "treatment.h"

#include "record.pb-c.h"

#include <string.h>

#define INTERVAL 20000u
#define SAMPLES  10u

typedef struct {
    Treatment *out;
    GRand *rand;
    uint32_t session;
    uint32_t boot;
    uint64_t tick;
    bool touching;
} Maker;

GBytes *
treatment_encode(const PenRecordHeader *header, const PenBody *body)
{
    uint8_t bytes[PEN_RECORD_MAX];
    size_t n_bytes = 0;

    g_assert_cmpint(
        pen_record_encode(header, body, bytes, sizeof bytes, &n_bytes), ==, PEN_STATUS_OK);
    return g_bytes_new(bytes, n_bytes);
}

static uint32_t
add(Maker *self, const PenBody *body)
{
    const uint32_t number = self->out->records->len + 1;
    const PenRecordHeader header = {
        .guard = (uint32_t)self->out->log_id,
        .number = number,
        .session = self->session == UINT32_MAX ? number : self->session,
        .boot = self->boot,
        .tick = self->tick,
    };

    g_ptr_array_add(self->out->records, treatment_encode(&header, body));
    return number;
}

/* Lifted and in contact by turns; now and then long enough lifted to end a pass. */
static void
fill_runs(Maker *self, PenSamples *samples)
{
    const uint32_t total = SAMPLES * INTERVAL;
    const uint32_t first = self->touching ? 0 : (uint32_t)g_rand_int_range(self->rand, 1, 90000);
    const uint32_t lift = (uint32_t)g_rand_int_range(self->rand, 0, 3) * 20000u;

    if (g_rand_int_range(self->rand, 0, 6) == 0) {
        self->touching = false;
        samples->n_runs = 1;
        samples->run_ticks[0] = total;
        return;
    }
    samples->n_runs = 2;
    samples->run_ticks[0] = first;
    samples->run_ticks[1] = total - first - lift;
    if (lift > 0) {
        samples->n_runs = 3;
        samples->run_ticks[2] = lift;
    }
    self->touching = lift == 0;
}

static void
add_samples(Maker *self)
{
    PenBody body = { .kind = PEN_BODY_SAMPLES };

    body.samples.interval_ticks = INTERVAL;
    body.samples.n = SAMPLES;
    for (uint32_t i = 0; i < SAMPLES; i++) {
        body.samples.depth_um[i] = (uint16_t)g_rand_int_range(self->rand, 200, 1800);
        body.samples.rate_dhz[i] = (uint16_t)g_rand_int_range(self->rand, 900, 1300);
        body.samples.load_permille[i] = (uint16_t)g_rand_int_range(self->rand, 100, 500);
    }
    fill_runs(self, &body.samples);
    add(self, &body);
    self->tick += SAMPLES * INTERVAL;
}

static void
fill_cartridge(Maker *self, PenCartridge *cartridge)
{
    g_snprintf(cartridge->id, sizeof cartridge->id, "C%u", g_rand_int(self->rand) % 1000u);
    g_strlcpy(cartridge->lot, "LOT-7", sizeof cartridge->lot);
    g_strlcpy(cartridge->expiry, "2027-01-31", sizeof cartridge->expiry);
    cartridge->has_needles = true;
    cartridge->needles = 12;
}

static void
add_event(Maker *self)
{
    PenBody body = { .kind = PEN_BODY_BUTTON, .button = { .button = 1 } };

    switch (g_rand_int_range(self->rand, 0, 4)) {
    case 0:
        body.kind = PEN_BODY_DEPTH_SETTING;
        body.depth_setting.depth_um = (uint32_t)g_rand_int_range(self->rand, 500, 2000);
        break;
    case 1:
        body.kind = PEN_BODY_FAULT;
        body.fault.code = 3;
        g_strlcpy(body.fault.text, "motor hot", sizeof body.fault.text);
        break;
    case 2:
        body.kind = PEN_BODY_CARTRIDGE_ATTACHED;
        fill_cartridge(self, &body.cartridge);
        break;
    default:
        self->touching = false;
        break;
    }
    add(self, &body);
    self->tick += 1000;
}

static void
add_begin(Maker *self)
{
    PenBody body = { .kind = PEN_BODY_SESSION_BEGIN };

    body.begin.has_cartridge = true;
    fill_cartridge(self, &body.begin.cartridge);
    body.begin.has_depth_setting = true;
    body.begin.depth_setting_um = 1500;
    self->session = UINT32_MAX;
    self->session = add(self, &body);
    g_array_append_val(self->out->sessions, self->session);
}

static void
add_end(Maker *self, bool reset)
{
    PenBody body = { .kind = PEN_BODY_SESSION_END };

    body.end.cause = PENTEL__V1__END_CAUSE__END_CAUSE_OPERATOR;
    if (reset) {
        body.end.cause = PENTEL__V1__END_CAUSE__END_CAUSE_RESET;
        self->boot++;
        self->tick = 500;
    }
    add(self, &body);
    self->touching = false;
}

static void
add_stray(Maker *self)
{
    PenBody body = { .kind = PEN_BODY_CARTRIDGE_ATTACHED };

    fill_cartridge(self, &body.cartridge);
    self->session = 0;
    add(self, &body);
    self->tick += 1000;
}

static void
add_session(Maker *self, const TreatmentPlan *plan, uint32_t index)
{
    add_begin(self);
    self->tick += 1000;
    for (uint32_t i = 0; i < plan->n_blocks; i++) {
        add_samples(self);
        if (g_rand_int_range(self->rand, 0, 9) == 0) {
            add_event(self);
        }
    }
    if (index + 1 < plan->n_sessions || !plan->leave_open) {
        add_end(self, plan->reset_first && index == 0);
    }
    const uint32_t last = self->out->records->len;
    g_array_append_val(self->out->session_end, last);
    self->tick += 5000000;
    if (plan->stray_records) {
        add_stray(self);
    }
}

static void
unref_bytes(gpointer data)
{
    g_bytes_unref(data);
}

Treatment *
treatment_new(const TreatmentPlan *plan)
{
    Treatment *self = g_new0(Treatment, 1);
    Maker maker = {
        .out = self,
        .rand = g_rand_new_with_seed(plan->seed),
        .boot = 1,
        .tick = 1000,
    };

    self->log_id = plan->log_id;
    self->records = g_ptr_array_new_with_free_func(unref_bytes);
    self->sessions = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    self->session_end = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    for (uint32_t i = 0; i < plan->n_sessions; i++) {
        add_session(&maker, plan, i);
    }
    g_rand_free(maker.rand);
    return self;
}

void
treatment_free(Treatment *self)
{
    g_ptr_array_unref(self->records);
    g_array_unref(self->sessions);
    g_array_unref(self->session_end);
    g_free(self);
}

const uint8_t *
treatment_get(const Treatment *self, uint32_t number, size_t *n_out)
{
    return g_bytes_get_data(g_ptr_array_index(self->records, number - 1), n_out);
}

static void
format_depth(GString *out, const PenDepth *depth)
{
    if (!depth->valid) {
        g_string_append(out, " no depth\n");
        return;
    }
    g_string_append_printf(out,
                           " %u %u %u %u %u\n",
                           depth->min_um,
                           depth->median_um,
                           depth->p95_um,
                           depth->max_um,
                           depth->mean_um);
}

char *
treatment_format(const PenSessionFold *fold, const GArray *passes, const GString *notes)
{
    GString *out = g_string_new(NULL);

    g_string_append_printf(out,
                           "begin %d end %d cause %u boot %u %" G_GUINT64_FORMAT
                           "..%" G_GUINT64_FORMAT " contact %" G_GUINT64_FORMAT
                           " all %" G_GUINT64_FORMAT " passes %u %u..%u bad %u\n",
                           fold->has_begin,
                           fold->has_end,
                           fold->end_cause,
                           fold->boot,
                           fold->start_us,
                           fold->end_us,
                           fold->contact_us,
                           fold->all_contact_us,
                           fold->n_passes,
                           fold->first,
                           fold->last,
                           fold->n_bad);
    format_depth(out, &fold->depth);
    for (guint i = 0; i < passes->len; i++) {
        const PenPass *pass = &g_array_index(passes, PenPass, i);
        g_string_append_printf(out,
                               "pass %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT
                               " rate %u punctures %d %" G_GUINT64_FORMAT " incomplete %d",
                               pass->start_us,
                               pass->elapsed_us,
                               pass->contact_us,
                               pass->rate_mhz,
                               pass->has_punctures,
                               pass->punctures,
                               pass->incomplete);
        format_depth(out, &pass->depth);
    }
    g_string_append(out, notes->str);
    return g_string_free(out, FALSE);
}

typedef struct {
    GArray *passes;
    GString *notes;
} Collected;

static void
on_pass(void *user_data, uint32_t index, const PenPass *pass)
{
    g_array_append_val(((Collected *)user_data)->passes, *pass);
}

void
treatment_format_note(
    GString *out, const char *kind, uint64_t tick_us, uint32_t value, const char *text)
{
    g_string_append_printf(
        out, "%s %" G_GUINT64_FORMAT " %u %s\n", kind, tick_us, value, text != NULL ? text : "");
}

static void
on_setting(void *user_data, uint64_t tick_us, uint32_t depth_um)
{
    treatment_format_note(((Collected *)user_data)->notes, "setting", tick_us, depth_um, NULL);
}

static void
on_cartridge(void *user_data, uint64_t tick_us, const PenCartridge *cartridge)
{
    treatment_format_note(
        ((Collected *)user_data)->notes, "cartridge", tick_us, cartridge->needles, cartridge->id);
}

static void
on_fault(void *user_data, uint64_t tick_us, uint32_t code, const char *text)
{
    treatment_format_note(((Collected *)user_data)->notes, "fault", tick_us, code, text);
}

char *
treatment_dup_expected(const Treatment *self, uint32_t session, bool (*has)(uint32_t number))
{
    const PenFoldSink sink = { on_pass, on_setting, on_cartridge, on_fault };
    const PenFoldConfig config = PEN_FOLD_DEFAULT;
    g_autoptr(GArray) passes = g_array_new(FALSE, FALSE, sizeof(PenPass));
    g_autoptr(GString) notes = g_string_new(NULL);
    Collected collected = { passes, notes };
    g_autofree PenFold *fold = g_malloc(pen_fold_size());
    PenSessionFold result;

    pen_fold_begin(fold, &config, 0, &sink, &collected);
    for (uint32_t number = session; number <= self->records->len; number++) {
        PenRecordHeader header;
        size_t n_record = 0;
        const uint8_t *record = treatment_get(self, number, &n_record);
        g_assert_cmpint(pen_record_check(record, n_record, &header), ==, PEN_STATUS_OK);
        if (header.session == session && (has == NULL || has(number))) {
            (void)pen_fold_push(fold, &header, record, n_record);
        }
    }
    pen_fold_end(fold, &result);
    return treatment_format(&result, passes, notes);
}
