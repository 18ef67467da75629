/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
/*
 * The Record Access Control Point (pen-telemetry-service.md, 7): what was asked, what is
 * answered, and the report itself, a few notifications at a time.
 */
#include "pen_internal.h"
#include "record.pb-c.h"

#include <string.h>

#define OP_REPORT    1u
#define OP_MARK      2u
#define OP_ABORT     3u
#define OP_COUNT     4u
#define OP_COUNT_IS  5u
#define OP_RESPONSE  6u
#define OP_COMBINED  7u
#define OP_REPORT_IS 8u

#define OPERATOR_ALL   1u
#define OPERATOR_LE    2u
#define OPERATOR_GE    3u
#define OPERATOR_RANGE 4u
#define OPERATOR_FIRST 5u
#define OPERATOR_LAST  6u

#define CODE_SUCCESS       1u
#define CODE_NO_OPCODE     2u
#define CODE_BAD_OPERATOR  3u
#define CODE_NO_OPERATOR   4u
#define CODE_BAD_OPERAND   5u
#define CODE_NONE_FOUND    6u
#define CODE_ABORT_FAILED  7u
#define CODE_NOT_COMPLETED 8u
#define CODE_NO_FILTER     9u

static uint32_t
get_u32(const uint8_t *bytes)
{
    uint32_t value = 0;
    memcpy(&value, bytes, sizeof value);
    return GUINT32_FROM_LE(value);
}

static void
respond_code(SimRacp *racp, uint8_t opcode, uint8_t code)
{
    racp->response[0] = OP_RESPONSE;
    racp->response[1] = 0;
    racp->response[2] = opcode;
    racp->response[3] = code;
    racp->n_response = 4;
}

static void
respond_count(SimRacp *racp, uint8_t opcode, uint32_t count)
{
    const uint32_t le = GUINT32_TO_LE(count);
    racp->response[0] = opcode;
    racp->response[1] = 0;
    memcpy(racp->response + 2, &le, sizeof le);
    racp->n_response = 6;
}

/* The range an operator asks for. Returns 0 or a response code. */
static uint8_t
parse_range(
    const SimPen *self, const uint8_t *bytes, size_t n_bytes, uint32_t *first, uint32_t *last)
{
    const uint8_t operator= bytes[1];
    *first = 1;
    *last = UINT32_MAX;
    if (operator== OPERATOR_LE) {
        return CODE_NO_OPERATOR;
    }
    if (operator<OPERATOR_ALL || operator> OPERATOR_LAST) {
        return CODE_BAD_OPERATOR;
    }
    if (operator!= OPERATOR_GE && operator!= OPERATOR_RANGE) {
        if (operator== OPERATOR_FIRST) {
            *first = *last = self->memory.oldest;
        } else if (operator== OPERATOR_LAST) {
            *first = *last = self->memory.newest;
        }
        return n_bytes == 2 ? 0 : CODE_BAD_OPERAND;
    }
    if (n_bytes < 3) {
        return CODE_BAD_OPERAND;
    }
    if (bytes[2] != 1) {
        return CODE_NO_FILTER;
    }
    if (n_bytes != (operator== OPERATOR_GE ? 7u : 11u)) {
        return CODE_BAD_OPERAND;
    }
    *first = get_u32(bytes + 3);
    if (operator== OPERATOR_RANGE) {
        *last = get_u32(bytes + 7);
    }
    return *first == 0 || *first > *last ? CODE_BAD_OPERAND : 0;
}

static uint32_t
clip_range(const SimPen *self, uint32_t *first, uint32_t *last)
{
    *first = MAX(*first, self->memory.oldest);
    *last = MIN(*last, self->memory.newest);
    if (self->memory.newest == 0 || *first > *last) {
        *first = 0;
        return 0;
    }
    return *last - *first + 1u;
}

static void
begin_mark(SimPen *self, const uint8_t *bytes, size_t n_bytes)
{
    SimRacp *racp = &self->racp;
    uint8_t code = CODE_SUCCESS;
    if (bytes[1] < OPERATOR_ALL || bytes[1] > OPERATOR_LAST) {
        code = CODE_BAD_OPERATOR;
    } else if (bytes[1] != OPERATOR_LE) {
        code = CODE_NO_OPERATOR;
    } else if (n_bytes < 3) {
        code = CODE_BAD_OPERAND;
    } else if (bytes[2] != 1) {
        code = CODE_NO_FILTER;
    } else if (n_bytes != 7 || !sim_memory_mark(&self->memory, get_u32(bytes + 3))) {
        code = CODE_BAD_OPERAND;
    } else {
        self->truth_version++;
    }
    respond_code(racp, OP_MARK, code);
}

static void
begin_report(SimPen *self, const uint8_t *bytes, size_t n_bytes)
{
    SimRacp *racp = &self->racp;
    const uint8_t opcode = bytes[0];
    uint32_t first = 0;
    uint32_t last = 0;
    const uint8_t code = parse_range(self, bytes, n_bytes, &first, &last);
    if (code != 0) {
        respond_code(racp, opcode, code);
        return;
    }
    racp->asked_first = first;
    racp->asked_last = last;
    const uint32_t n = clip_range(self, &first, &last);
    if (opcode == OP_COUNT) {
        respond_count(racp, OP_COUNT_IS, n);
        return;
    }
    if (!self->subscribed[SIM_CHRC_STORED]) {
        respond_code(racp, opcode, CODE_NOT_COMPLETED);
        return;
    }
    racp->reporting = true;
    racp->combined = opcode == OP_COMBINED;
    racp->early = sim_rng_percent(&self->rng, self->options->overtake_pct);
    racp->next = first;
    racp->last = last;
    racp->sent = 0;
}

static void
indicate_response(SimPen *self)
{
    SimRacp *racp = &self->racp;
    if (racp->n_response > 0 && self->ops != NULL) {
        self->ops->notify(self->ops_user_data, SIM_CHRC_RACP, racp->response, racp->n_response);
    }
    racp->n_response = 0;
}

static void
begin_abort(SimPen *self, const uint8_t *bytes, size_t n_bytes)
{
    const bool was_reporting = self->racp.running && self->racp.reporting;
    uint8_t code = was_reporting ? CODE_SUCCESS : CODE_ABORT_FAILED;
    if (bytes[1] != 0) {
        code = CODE_BAD_OPERATOR;
    } else if (n_bytes != 2) {
        code = CODE_BAD_OPERAND;
    }
    if (code == CODE_BAD_OPERATOR || code == CODE_BAD_OPERAND) {
        if (was_reporting) {
            const uint8_t answer[4] = { OP_RESPONSE, 0, OP_ABORT, code };
            self->ops->notify(self->ops_user_data, SIM_CHRC_RACP, answer, sizeof answer);
            return;
        }
    }
    self->racp.reporting = false;
    indicate_response(self); /* of a count or mark under way, which no abort stops */
    respond_code(&self->racp, OP_ABORT, code);
}

uint8_t
sim_pen_write_racp(SimPen *self, const uint8_t *bytes, size_t n_bytes, int64_t mono_us)
{
    if (n_bytes < 2 || n_bytes > 11) {
        return SIM_ATT_INVALID_LENGTH;
    }
    if (!self->subscribed[SIM_CHRC_RACP]) {
        return SIM_ATT_CCC_IMPROPER;
    }
    if (self->racp.running && bytes[0] != OP_ABORT) {
        return SIM_ATT_PROCEDURE_RUNS;
    }
    if (bytes[0] != OP_ABORT) {
        self->racp = (SimRacp){ 0 };
        self->racp.due_us = mono_us + (int64_t)self->options->slow_racp_ms * 1000;
    }
    if (bytes[0] == OP_REPORT || bytes[0] == OP_COUNT || bytes[0] == OP_COMBINED) {
        begin_report(self, bytes, n_bytes);
    } else if (bytes[0] == OP_MARK) {
        begin_mark(self, bytes, n_bytes);
    } else if (bytes[0] == OP_ABORT) {
        begin_abort(self, bytes, n_bytes);
    } else {
        respond_code(&self->racp, bytes[0], CODE_NO_OPCODE);
    }
    self->racp.running = true;
    return SIM_ATT_OK;
}

void
sim_racp_reset(SimPen *self)
{
    self->racp = (SimRacp){ 0 };
    self->budget = 0;
}

static uint32_t
send_control(SimPen *self, int64_t mono_us, const PenBody *body)
{
    g_autoptr(GBytes) item = sim_pen_encode(self, 0, sim_pen_now(self, mono_us), body);
    return sim_stream_send(self, SIM_CHRC_STORED, 0, item);
}

static uint32_t
send_number(SimPen *self, int64_t mono_us, uint32_t number)
{
    const uint32_t cause = sim_memory_get_hole(&self->memory, number);
    if (cause != 0) {
        const PenBody body = {
            .kind = PEN_BODY_HOLE,
            .hole = { .number = number, .cause = cause },
        };
        return send_control(self, mono_us, &body);
    }
    GBytes *record = sim_memory_get(&self->memory, number);
    if (record == NULL) {
        return 0; /* overwritten while the report ran */
    }
    return sim_stream_send(self, SIM_CHRC_STORED, number, record);
}

static void
fill_report_response(SimRacp *racp, uint32_t n_sent)
{
    const uint8_t opcode = racp->combined ? OP_COMBINED : OP_REPORT;
    if (racp->combined && n_sent > 0) {
        respond_count(racp, OP_REPORT_IS, n_sent);
    } else {
        respond_code(racp, opcode, n_sent > 0 ? CODE_SUCCESS : CODE_NONE_FOUND);
    }
}

static uint32_t
end_report(SimPen *self, int64_t mono_us)
{
    SimRacp *racp = &self->racp;
    const PenBody body = {
        .kind = PEN_BODY_RANGE_END,
        .range_end = {
            .first = racp->asked_first,
            .last = racp->asked_last,
            .sent = racp->sent,
            .oldest = self->memory.oldest,
            .newest = self->memory.newest,
            .marked = self->memory.marked,
        },
    };
    const uint32_t n = send_control(self, mono_us, &body);
    racp->reporting = false;
    if (!racp->early) {
        fill_report_response(racp, racp->sent);
    }
    return n;
}

/* One item of the report. Returns the notifications it took. */
static uint32_t
pump_report(SimPen *self, int64_t mono_us)
{
    SimRacp *racp = &self->racp;
    if (racp->next == 0) {
        return end_report(self, mono_us);
    }
    const uint32_t number = racp->next;
    racp->next = number == racp->last ? 0 : number + 1u;
    if (racp->next == 0 && racp->early) {
        fill_report_response(racp, racp->sent + 1u);
        indicate_response(self);
    }
    const uint32_t n = send_number(self, mono_us, number);
    racp->sent += n > 0 ? 1u : 0u;
    return n;
}

void
sim_racp_pump(SimPen *self, int64_t mono_us)
{
    const double elapsed_us = (double)MIN(mono_us - self->pumped_us, 50000);
    self->pumped_us = mono_us;
    if (!self->racp.running || mono_us < self->racp.due_us || self->ops == NULL) {
        return;
    }
    if (self->racp.reporting && !self->subscribed[SIM_CHRC_STORED]) {
        self->racp.reporting = false;
        respond_code(
            &self->racp, self->racp.combined ? OP_COMBINED : OP_REPORT, CODE_NOT_COMPLETED);
    }
    self->budget += elapsed_us * self->options->rate / 1000000.0;
    while (self->racp.reporting && self->budget > 0 && self->ops != NULL) {
        const uint32_t n = pump_report(self, mono_us);
        self->budget -= n > 0 ? n : 1u;
    }
    if (!self->racp.reporting) {
        indicate_response(self);
        self->racp.running = false;
        self->budget = MIN(self->budget, 0);
    }
}
