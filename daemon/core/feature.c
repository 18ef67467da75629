/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The Feature value: two version bytes and a protobuf message.
 */
#include "core/body.h"
#include "record.pb-c.h"

#include <string.h>

#define FEATURE_MAX 512u
#define TICK_MAX    ((UINT64_C(1) << 48) - 1u)

static bool
is_serial(const char *text)
{
    static const char allowed[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz._-";

    return text[0] != '\0' && text[strspn(text, allowed)] == '\0';
}

static bool
copy_feature(const Pentel__V1__Feature *message, PenFeature *out)
{
    if (!pen_body_copy_text(message->serial, out->serial, sizeof out->serial) ||
        !pen_body_copy_text(message->firmware, out->firmware, sizeof out->firmware) ||
        !pen_body_copy_text(message->model, out->model, sizeof out->model)) {
        return false;
    }
    if (!is_serial(out->serial) || message->log_id == 0 || message->oldest > message->newest ||
        message->marked > message->newest || (message->oldest == 0) != (message->newest == 0)) {
        return false;
    }
    out->log_id = message->log_id;
    out->boot = message->boot;
    out->oldest = message->oldest;
    out->newest = message->newest;
    out->marked = message->marked;
    out->overwritten_unmarked = message->overwritten_unmarked;
    out->overwritten_first = message->overwritten_first;
    out->overwritten_last = message->overwritten_last;
    out->sample_interval_ticks = message->sample_interval_ticks;
    out->strokes_per_rev_permille = message->strokes_per_rev_permille;
    out->capacity_records = message->capacity_records;
    out->free_permille = message->free_permille;
    out->tick_unit = (uint32_t)message->tick_unit;
    out->tick_now = message->tick_now;
    return out->tick_unit <= PENTEL__V1__TICK_UNIT__TICK_UNIT_1_32768_SECOND &&
           out->tick_now <= TICK_MAX;
}

PenStatus
pen_feature_decode(const uint8_t *value, size_t n_value, PenFeature *out)
{
    PenFeature feature = { 0 };

    if (n_value < 2) {
        return PEN_STATUS_SHORT;
    }
    feature.major = value[0];
    feature.minor = value[1];
    if (feature.major != PEN_PROFILE_MAJOR) {
        out->major = feature.major;
        out->minor = feature.minor;
        return PEN_STATUS_VERSION;
    }
    Pentel__V1__Feature *message = pentel__v1__feature__unpack(NULL, n_value - 2, value + 2);
    if (message == NULL) {
        return PEN_STATUS_BAD_BODY;
    }
    const bool good = copy_feature(message, &feature);
    pentel__v1__feature__free_unpacked(message, NULL);
    if (!good) {
        return PEN_STATUS_BAD_BODY;
    }
    *out = feature;
    return PEN_STATUS_OK;
}

PenStatus
pen_feature_encode(const PenFeature *feature, uint8_t *out, size_t n_out, size_t *n_written_out)
{
    PenFeature copy = *feature;
    Pentel__V1__Feature message;
    pentel__v1__feature__init(&message);

    message.serial = copy.serial;
    message.firmware = copy.firmware;
    message.model = copy.model;
    message.log_id = feature->log_id;
    message.boot = feature->boot;
    message.oldest = feature->oldest;
    message.newest = feature->newest;
    message.marked = feature->marked;
    message.overwritten_unmarked = feature->overwritten_unmarked;
    message.overwritten_first = feature->overwritten_first;
    message.overwritten_last = feature->overwritten_last;
    message.sample_interval_ticks = feature->sample_interval_ticks;
    message.strokes_per_rev_permille = feature->strokes_per_rev_permille;
    message.capacity_records = feature->capacity_records;
    message.free_permille = feature->free_permille;
    message.tick_unit = (Pentel__V1__TickUnit)feature->tick_unit;
    message.tick_now = feature->tick_now;
    const size_t n = 2 + pentel__v1__feature__get_packed_size(&message);
    if (n > n_out || n > FEATURE_MAX) {
        return PEN_STATUS_NO_SPACE;
    }
    out[0] = feature->major;
    out[1] = feature->minor;
    pentel__v1__feature__pack(&message, out + 2);
    *n_written_out = n;
    return PEN_STATUS_OK;
}
