/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "pen/manager.h"

#include <stdbool.h>

/* pen/manager.h without a radio: pens that are what the test says. */

PdPenManager *fake_pens_new(const PdPenListener *listener, void *user_data);

/** Add a pen or change its state. @state: Owns: static. */
void fake_pens_set(PdPenManager *self, const char *serial, const char *state);
void fake_pens_remove(PdPenManager *self, const char *serial);

/** Let a pen send a block of @n_samples, number @number of session 1. */
void fake_pens_send(PdPenManager *self, const char *serial, uint32_t number, uint32_t n_samples);

void fake_pens_link(PdPenManager *self, const char *serial, bool up);

/** Tell nobody of anything any more: the listener is gone. */
void fake_pens_set_quiet(PdPenManager *self);

bool fake_pens_is_watched(const PdPenManager *self);

/** Whether an enrolment runs; it ends by fake_pens_enrol() or by being cancelled. */
bool fake_pens_is_enrolling(const PdPenManager *self);
void fake_pens_enrol(PdPenManager *self, const char *serial);
