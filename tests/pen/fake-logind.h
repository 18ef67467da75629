/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <gio/gio.h>

#include <stdbool.h>

/* logind on a bus of its own connection, as far as sleep goes. In the test's main context. */
typedef struct FakeLogind FakeLogind;

/** Own org.freedesktop.login1 on the bus at @address, whoever did before. @refuses: Inhibit is
 * denied. */
FakeLogind *fake_logind_new(const char *address, bool refuses);
/** Leave the bus, as a logind that ends. */
void fake_logind_free(FakeLogind *self);

/** Whether somebody holds a delay lock on sleep. */
bool fake_logind_is_held(FakeLogind *self);
/** Keep who asks from now on waiting. */
void fake_logind_stall(FakeLogind *self);
/** How many locks were ever asked for. */
guint fake_logind_count_asked(const FakeLogind *self);
/** Signal PrepareForSleep. */
void fake_logind_prepare(FakeLogind *self, bool going);
