/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * What a body may say: ranges, inner agreement and text. Both directions ask here, so
 * that nothing is sent that would be refused.
 */
#include "core/body.h"

#include <string.h>

#define RATE_MAX_DHZ      10000u
#define LOAD_MAX_PERMILLE 2000u
#define NEEDLES_MAX       100u

/* Letters by their first byte: Unicode 15, table 3-7, without control characters. */
typedef struct {
    unsigned char lead_first;
    unsigned char lead_last;
    unsigned char second_first;
    unsigned char second_last;
    size_t n_bytes;
} Form;

static const Form forms[] = {
    { 0x20, 0x7e, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
    { 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
    { 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
};

/* The NUL at the end of the text is no byte that may follow, so nothing is read behind it. */
static bool
is_letter(const unsigned char *text, const Form *form)
{
    if (form->n_bytes > 1 && (text[1] < form->second_first || text[1] > form->second_last)) {
        return false;
    }
    for (size_t i = 2; i < form->n_bytes; i++) {
        if (text[i] < 0x80 || text[i] > 0xbf) {
            return false;
        }
    }
    return true;
}

/* Bytes of the letter that begins at @text; 0 when it is none that may be there. */
static size_t
letter_size(const unsigned char *text)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (text[0] >= forms[i].lead_first && text[0] <= forms[i].lead_last) {
            return is_letter(text, &forms[i]) ? forms[i].n_bytes : 0;
        }
    }
    return 0;
}

bool
pen_body_is_text(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;

    while (*at != '\0') {
        const size_t n = letter_size(at);
        if (n == 0) {
            return false;
        }
        at += n;
    }
    return true;
}

static bool
is_below(const uint16_t *values, size_t n, uint32_t max)
{
    for (size_t i = 0; i < n; i++) {
        if (values[i] > max) {
            return false;
        }
    }
    return true;
}

static bool
do_runs_add_up(const PenSamples *samples)
{
    uint64_t sum = 0;

    if (samples->n_runs > PEN_CONTACT_RUNS_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < samples->n_runs; i++) {
        if (i > 0 && samples->run_ticks[i] == 0) {
            return false;
        }
        sum += samples->run_ticks[i];
    }
    return sum == (uint64_t)samples->n * samples->interval_ticks;
}

static bool
is_samples(const PenSamples *samples)
{
    const uint32_t n = samples->n;

    return n > 0 && n <= PEN_SAMPLES_MAX && samples->interval_ticks > 0 &&
           is_below(samples->depth_um, n, PEN_DEPTH_MAX_UM) &&
           is_below(samples->rate_dhz, n, RATE_MAX_DHZ) &&
           is_below(samples->load_permille, n, LOAD_MAX_PERMILLE) && do_runs_add_up(samples);
}

static bool
is_cartridge(const PenCartridge *cartridge)
{
    return (!cartridge->has_needles || cartridge->needles <= NEEDLES_MAX) &&
           pen_body_is_text(cartridge->id) && pen_body_is_text(cartridge->lot) &&
           pen_body_is_text(cartridge->expiry);
}

bool
pen_body_is_valid(const PenBody *body)
{
    switch (body->kind) {
    case PEN_BODY_UNKNOWN:
        return false;
    case PEN_BODY_SESSION_BEGIN:
        return pen_body_is_text(body->begin.firmware) &&
               (!body->begin.has_depth_setting ||
                body->begin.depth_setting_um <= PEN_DEPTH_MAX_UM) &&
               (!body->begin.has_cartridge || is_cartridge(&body->begin.cartridge));
    case PEN_BODY_SAMPLES:
        return is_samples(&body->samples);
    case PEN_BODY_CARTRIDGE_ATTACHED:
        return is_cartridge(&body->cartridge);
    case PEN_BODY_CARTRIDGE_REMOVED:
        return pen_body_is_text(body->cartridge.id);
    case PEN_BODY_DEPTH_SETTING:
        return body->depth_setting.depth_um <= PEN_DEPTH_MAX_UM;
    case PEN_BODY_FAULT:
        return pen_body_is_text(body->fault.text);
    case PEN_BODY_SESSION_END:
    case PEN_BODY_BUTTON:
    case PEN_BODY_CLOCK_SET:
    case PEN_BODY_RANGE_END:
    case PEN_BODY_HOLE:
    case PEN_BODY_HEAD:
        return true;
    }
    return false;
}
