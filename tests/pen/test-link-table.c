/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Every (state, event) of the link table against what is written here by hand, the
 * back-offs as numbers, and a few whole lives of a link.
 */
#include "core/link_table.h"

#include <glib.h>

#include <string.h>

#define S(name) PEN_LINK_##name
#define E(name) PEN_LINK_EV_##name
#define D(name) PEN_LINK_DO_##name

typedef struct {
    PenLinkState state;
    PenLinkEvent event;
    PenLinkState next;
    PenLinkAction action;
    uint32_t delay_ms;
    PenLinkState after_close; /* of CLOSING, with the delay there */
    uint32_t close_delay_ms;
} Expected;

/* From a link that never failed. What is not here does nothing. */
static const Expected table[] = {
    { S(IDLE), E(ADAPTER), S(AWAIT), D(CONNECT), 0, 0, 0 },

    { S(AWAIT), E(NO_ADAPTER), S(IDLE), D(NOTHING), 0, 0, 0 },
    { S(AWAIT), E(CONNECTED), S(RESOLVE), D(RESOLVE), 5000, 0, 0 },
    { S(AWAIT), E(ABSENT), S(PAUSE), D(WAIT), 1500, 0, 0 },
    { S(AWAIT), E(ABORTED), S(PAUSE), D(WAIT), 250, 0, 0 },
    { S(AWAIT), E(BUSY), S(CLOSING), D(DISCONNECT), 5000, S(PAUSE), 1000 },
    { S(AWAIT), E(FAILED), S(PAUSE), D(WAIT), 250, 0, 0 },
    { S(AWAIT), E(UNKNOWN), S(PAUSE), D(WAIT), 4000, 0, 0 },
    { S(AWAIT), E(AUTH), S(NEEDS_ENROL), D(WAIT), 600000, 0, 0 },
    { S(AWAIT), E(RESTARTED), S(IDLE), D(NOTHING), 0, 0, 0 },

    { S(PAUSE), E(NO_ADAPTER), S(IDLE), D(NOTHING), 0, 0, 0 },
    { S(PAUSE), E(CONNECTED), S(RESOLVE), D(RESOLVE), 5000, 0, 0 },
    { S(PAUSE), E(TIMER), S(AWAIT), D(CONNECT), 0, 0, 0 },
    { S(PAUSE), E(RESTARTED), S(IDLE), D(NOTHING), 0, 0, 0 },

    { S(RESOLVE), E(NO_ADAPTER), S(IDLE), D(NOTHING), 0, 0, 0 },
    { S(RESOLVE), E(ABORTED), S(PAUSE), D(WAIT), 250, 0, 0 },
    { S(RESOLVE), E(RESOLVED), S(FEATURE), D(READ_FEATURE), 0, 0, 0 },
    { S(RESOLVE), E(UNRESOLVED), S(CLOSING), D(DISCONNECT), 5000, S(PAUSE), 250 },
    { S(RESOLVE), E(AUTH), S(CLOSING), D(DISCONNECT), 5000, S(NEEDS_ENROL), 600000 },
    { S(RESOLVE), E(DOWN), S(PAUSE), D(WAIT), 250, 0, 0 },
    { S(RESOLVE), E(RESTARTED), S(IDLE), D(NOTHING), 0, 0, 0 },

    { S(FEATURE), E(NO_ADAPTER), S(IDLE), D(NOTHING), 0, 0, 0 },
    { S(FEATURE), E(DONE), S(SUBSCRIBE), D(SUBSCRIBE), 0, 0, 0 },
    { S(FEATURE), E(FAILED), S(CLOSING), D(DISCONNECT), 5000, S(PAUSE), 250 },
    { S(FEATURE), E(AUTH), S(CLOSING), D(DISCONNECT), 5000, S(NEEDS_ENROL), 600000 },
    { S(FEATURE), E(REFUSE), S(CLOSING), D(DISCONNECT), 5000, S(REFUSED), 600000 },
    { S(FEATURE), E(DOWN), S(PAUSE), D(WAIT), 250, 0, 0 },
    { S(FEATURE), E(RESTARTED), S(IDLE), D(NOTHING), 0, 0, 0 },

    { S(SUBSCRIBE), E(NO_ADAPTER), S(IDLE), D(NOTHING), 0, 0, 0 },
    { S(SUBSCRIBE), E(DONE), S(CLOCK), D(READ_CLOCK), 0, 0, 0 },
    { S(SUBSCRIBE), E(FAILED), S(CLOSING), D(DISCONNECT), 5000, S(PAUSE), 250 },
    { S(SUBSCRIBE), E(AUTH), S(CLOSING), D(DISCONNECT), 5000, S(NEEDS_ENROL), 600000 },
    { S(SUBSCRIBE), E(STUCK), S(STUCK), D(CURE), 0, 0, 0 },
    { S(SUBSCRIBE), E(IN_USE), S(CLOSING), D(DISCONNECT), 5000, S(IN_USE), 30000 },
    { S(SUBSCRIBE), E(DOWN), S(PAUSE), D(WAIT), 250, 0, 0 },
    { S(SUBSCRIBE), E(RESTARTED), S(IDLE), D(NOTHING), 0, 0, 0 },

    { S(CLOCK), E(NO_ADAPTER), S(IDLE), D(NOTHING), 0, 0, 0 },
    { S(CLOCK), E(DONE), S(STREAM), D(STREAM), 0, 0, 0 },
    { S(CLOCK), E(FAILED), S(STREAM), D(STREAM), 0, 0, 0 },
    { S(CLOCK), E(DOWN), S(PAUSE), D(WAIT), 250, 0, 0 },
    { S(CLOCK), E(NOISE), S(CLOSING), D(DISCONNECT), 5000, S(NOISY), 30000 },
    { S(CLOCK), E(RESTARTED), S(IDLE), D(NOTHING), 0, 0, 0 },

    { S(STREAM), E(NO_ADAPTER), S(IDLE), D(NOTHING), 0, 0, 0 },
    { S(STREAM), E(FAILED), S(CLOSING), D(DISCONNECT), 5000, S(PAUSE), 250 },
    { S(STREAM), E(AUTH), S(CLOSING), D(DISCONNECT), 5000, S(NEEDS_ENROL), 600000 },
    { S(STREAM), E(REFUSE), S(CLOSING), D(DISCONNECT), 5000, S(REFUSED), 600000 },
    { S(STREAM), E(NOISE), S(CLOSING), D(DISCONNECT), 5000, S(NOISY), 30000 },
    { S(STREAM), E(DOWN), S(PAUSE), D(WAIT), 250, 0, 0 },
    { S(STREAM), E(TIMER), S(CLOSING), D(DISCONNECT), 5000, S(PAUSE), 250 },
    { S(STREAM), E(RESTARTED), S(IDLE), D(NOTHING), 0, 0, 0 },

    { S(CLOSING), E(NO_ADAPTER), S(IDLE), D(NOTHING), 0, 0, 0 },
    { S(CLOSING), E(DONE), S(IN_USE), D(WAIT), 77, S(IN_USE), 77 },
    { S(CLOSING), E(DOWN), S(IN_USE), D(WAIT), 77, S(IN_USE), 77 },
    { S(CLOSING), E(TIMER), S(IN_USE), D(WAIT), 77, S(IN_USE), 77 },
    { S(CLOSING), E(RESTARTED), S(IDLE), D(NOTHING), 0, 0, 0 },

    { S(NEEDS_ENROL), E(NO_ADAPTER), S(IDLE), D(NOTHING), 0, 0, 0 },
    { S(NEEDS_ENROL), E(TIMER), S(AWAIT), D(CONNECT), 0, 0, 0 },
    { S(NEEDS_ENROL), E(RESTARTED), S(IDLE), D(NOTHING), 0, 0, 0 },

    { S(STUCK), E(ADAPTER), S(AWAIT), D(CONNECT), 0, 0, 0 },
    { S(STUCK), E(NO_ADAPTER), S(IDLE), D(NOTHING), 0, 0, 0 },
    { S(STUCK), E(FAILED), S(STUCK), D(WAIT), 5000, 0, 0 },
    { S(STUCK), E(TIMER), S(STUCK), D(CURE), 0, 0, 0 },
    { S(STUCK), E(RESTARTED), S(IDLE), D(NOTHING), 0, 0, 0 },

    { S(IN_USE), E(NO_ADAPTER), S(IDLE), D(NOTHING), 0, 0, 0 },
    { S(IN_USE), E(TIMER), S(AWAIT), D(CONNECT), 0, 0, 0 },
    { S(IN_USE), E(RESTARTED), S(IDLE), D(NOTHING), 0, 0, 0 },

    { S(REFUSED), E(NO_ADAPTER), S(IDLE), D(NOTHING), 0, 0, 0 },
    { S(REFUSED), E(TIMER), S(AWAIT), D(CONNECT), 0, 0, 0 },
    { S(REFUSED), E(RESTARTED), S(IDLE), D(NOTHING), 0, 0, 0 },

    { S(NOISY), E(NO_ADAPTER), S(IDLE), D(NOTHING), 0, 0, 0 },
    { S(NOISY), E(TIMER), S(AWAIT), D(CONNECT), 0, 0, 0 },
    { S(NOISY), E(RESTARTED), S(IDLE), D(NOTHING), 0, 0, 0 },
};

static const Expected *
find(PenLinkState state, PenLinkEvent event)
{
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        if (table[i].state == state && table[i].event == event) {
            return &table[i];
        }
    }
    return NULL;
}

static PenLink
link_in(PenLinkState state)
{
    PenLink link;

    pen_link_init(&link);
    link.state = state;
    link.after_close = PEN_LINK_IN_USE;
    link.close_delay_ms = 77;
    return link;
}

static void
check_pair(PenLinkState state, PenLinkEvent event)
{
    const Expected *expected = find(state, event);
    const PenLink before = link_in(state);
    PenLink link = before;
    const PenLinkStep step = pen_link_step(&link, event);

    g_test_message("%s, event %u", pen_link_state_name(state), (unsigned)event);
    g_assert_cmpint(pen_link_get_source(state, event) != NULL, ==, expected != NULL);
    if (expected == NULL) {
        g_assert_cmpint(step.action, ==, PEN_LINK_DO_NOTHING);
        g_assert_true(memcmp(&link, &before, sizeof before) == 0);
        return;
    }
    g_assert_cmpint(link.state, ==, expected->next);
    g_assert_cmpint(step.action, ==, expected->action);
    g_assert_cmpuint(step.delay_ms, ==, expected->delay_ms);
    if (link.state == PEN_LINK_CLOSING) {
        g_assert_cmpint(link.after_close, ==, expected->after_close);
        g_assert_cmpuint(link.close_delay_ms, ==, expected->close_delay_ms);
    }
    g_assert_cmpuint(strlen(pen_link_get_source(state, event)), >, 1);
}

static void
test_pairs(void)
{
    for (unsigned state = 0; state < PEN_LINK_N_STATES; state++) {
        for (unsigned event = 0; event < PEN_LINK_N_EVENTS; event++) {
            check_pair((PenLinkState)state, (PenLinkEvent)event);
        }
    }
}

static void
test_words(void)
{
    for (unsigned state = 0; state < PEN_LINK_N_STATES; state++) {
        g_assert_nonnull(pen_link_state_name((PenLinkState)state));
        /* What is so, and what happens next. */
        g_assert_cmpuint(strlen(pen_link_state_reason((PenLinkState)state)), >, 20);
    }
}

/* Whatever leads to a wait says why, keeps saying it until the pen streams, and no longer. */
static void
test_whys(void)
{
    static const PenLinkEvent work[] = { E(CONNECTED), E(RESOLVED), E(DONE), E(DONE), E(DONE) };

    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        PenLink link = link_in(table[i].state);
        const bool is_wait = table[i].action == PEN_LINK_DO_WAIT ||
                             table[i].action == PEN_LINK_DO_DISCONNECT ||
                             table[i].event == PEN_LINK_EV_STUCK;

        (void)pen_link_step(&link, table[i].event);
        g_test_message("%s, event %u", pen_link_state_name(table[i].state), table[i].event);
        if (is_wait && table[i].state != PEN_LINK_CLOSING && table[i].state != PEN_LINK_STUCK) {
            g_assert_nonnull(link.why);
        }
    }
    PenLink link = link_in(PEN_LINK_STREAM);
    (void)pen_link_step(&link, PEN_LINK_EV_FAILED);
    const char *why = link.why;
    (void)pen_link_step(&link, PEN_LINK_EV_DOWN);
    (void)pen_link_step(&link, PEN_LINK_EV_TIMER);
    g_assert_nonnull(strstr(why, "asked for records"));
    link.state = PEN_LINK_AWAIT;
    g_assert_cmpstr(link.why, ==, why);
    for (size_t i = 0; i < G_N_ELEMENTS(work); i++) {
        (void)pen_link_step(&link, work[i]);
    }
    g_assert_cmpint(link.state, ==, PEN_LINK_STREAM);
    g_assert_null(link.why);
}

static void
test_safe_back_off(void)
{
    static const uint32_t expected_ms[] = { 4000, 8000, 16000, 32000, 60000, 60000 };
    PenLink link = link_in(PEN_LINK_AWAIT);

    for (size_t i = 0; i < G_N_ELEMENTS(expected_ms); i++) {
        const PenLinkStep step = pen_link_step(&link, PEN_LINK_EV_UNKNOWN);
        g_assert_cmpuint(step.delay_ms, ==, expected_ms[i]);
        (void)pen_link_step(&link, PEN_LINK_EV_TIMER);
    }
}

/* Nine quick tries, then twice as long each time, up to a minute (P8, P31). */
static void
test_back_off(void)
{
    static const uint32_t expected_ms[] = {
        250, 250,  250,  250,  250,  250,   250,   250,   250,
        500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000
    };
    PenLink link = link_in(PEN_LINK_AWAIT);

    for (size_t i = 0; i < G_N_ELEMENTS(expected_ms); i++) {
        const PenLinkStep step = pen_link_step(&link, PEN_LINK_EV_FAILED);
        g_assert_cmpuint(step.delay_ms, ==, expected_ms[i]);
        g_assert_cmpint(pen_link_step(&link, PEN_LINK_EV_TIMER).action, ==, PEN_LINK_DO_CONNECT);
    }
}

static void
test_busy_back_off(void)
{
    static const uint32_t expected_ms[] = { 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000 };
    PenLink link = link_in(PEN_LINK_AWAIT);

    for (size_t i = 0; i < G_N_ELEMENTS(expected_ms); i++) {
        (void)pen_link_step(&link, PEN_LINK_EV_BUSY);
        const PenLinkStep step = pen_link_step(&link, PEN_LINK_EV_DONE);
        g_assert_cmpuint(step.delay_ms, ==, expected_ms[i]);
        (void)pen_link_step(&link, PEN_LINK_EV_TIMER);
    }
}

static void
test_noise_back_off(void)
{
    static const uint32_t expected_ms[] = { 30000, 60000, 120000, 240000, 480000, 600000, 600000 };
    PenLink link = link_in(PEN_LINK_STREAM);

    for (size_t i = 0; i < G_N_ELEMENTS(expected_ms); i++) {
        (void)pen_link_step(&link, PEN_LINK_EV_NOISE);
        const PenLinkStep step = pen_link_step(&link, PEN_LINK_EV_DOWN);
        g_assert_cmpint(link.state, ==, PEN_LINK_NOISY);
        g_assert_cmpuint(step.delay_ms, ==, expected_ms[i]);
        link.state = PEN_LINK_STREAM;
    }
}

static void
feed_all(PenLink *link, const PenLinkEvent *events, size_t n_events)
{
    for (size_t i = 0; i < n_events; i++) {
        (void)pen_link_step(link, events[i]);
    }
}

/* F11: the third quick end in a row, however it came; an encrypted read ends the row. */
static void
test_lost_bond(void)
{
    static const PenLinkEvent fell[] = { E(CONNECTED), E(ABORTED), E(TIMER) };
    static const PenLinkEvent worked[] = { E(CONNECTED), E(RESOLVED), E(DONE), E(DOWN), E(TIMER) };
    PenLink link = link_in(PEN_LINK_AWAIT);

    feed_all(&link, fell, G_N_ELEMENTS(fell));
    feed_all(&link, fell, G_N_ELEMENTS(fell));
    g_assert_cmpint(link.state, ==, PEN_LINK_AWAIT);
    feed_all(&link, worked, G_N_ELEMENTS(worked));
    feed_all(&link, fell, G_N_ELEMENTS(fell));
    feed_all(&link, fell, G_N_ELEMENTS(fell));
    g_assert_cmpint(link.state, ==, PEN_LINK_AWAIT);
    const PenLinkStep step = pen_link_step(&link, PEN_LINK_EV_ABORTED);
    g_assert_cmpint(link.state, ==, PEN_LINK_NEEDS_ENROL);
    g_assert_cmpuint(step.delay_ms, ==, 600000);
}

static void
test_success_clears(void)
{
    static const PenLinkEvent fail[] = { E(FAILED), E(TIMER) };
    static const PenLinkEvent work[] = { E(CONNECTED), E(RESOLVED), E(DONE), E(DONE), E(DONE) };
    PenLink link = link_in(PEN_LINK_AWAIT);

    for (int i = 0; i < 12; i++) {
        feed_all(&link, fail, G_N_ELEMENTS(fail));
    }
    feed_all(&link, work, G_N_ELEMENTS(work));
    g_assert_cmpint(link.state, ==, PEN_LINK_STREAM);
    g_assert_cmpuint(link.n_failed, ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/link-table/pairs", test_pairs);
    g_test_add_func("/link-table/words", test_words);
    g_test_add_func("/link-table/whys", test_whys);
    g_test_add_func("/link-table/safe-back-off", test_safe_back_off);
    g_test_add_func("/link-table/back-off", test_back_off);
    g_test_add_func("/link-table/busy-back-off", test_busy_back_off);
    g_test_add_func("/link-table/noise-back-off", test_noise_back_off);
    g_test_add_func("/link-table/lost-bond", test_lost_bond);
    g_test_add_func("/link-table/success-clears", test_success_clears);
    return g_test_run();
}
