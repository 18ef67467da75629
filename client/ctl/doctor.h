/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "ctl/finding.h"
#include "lib/bus.h"

/*
 * One examination, shared by the files that carry it out. Private to pentelctl doctor.
 */
typedef struct {
    CtlFindings *findings; /* borrowed */
    CliBus *bus;           /* borrowed; NULL: the bus cannot be reached */
    const char *root;      /* where /sys, /etc and so on are; "" but in tests */
    GVariant *health;      /* owned; what penteld says of itself, NULL = nothing */
} CtlDoctor;

/* How long a service other than penteld may take to answer. */
#define CTL_DOCTOR_TIMEOUT_MS 5000

/** Path of a file of the machine. Owns: the caller's. */
char *ctl_doctor_dup_path(const CtlDoctor *self, const char *path);
/** True when a file of the machine is there and can be looked at. */
bool ctl_doctor_has_file(const CtlDoctor *self, const char *path);
/** First line of a small file, NULL when it cannot be read. Owns: the caller's. */
char *ctl_doctor_dup_line(const CtlDoctor *self, const char *path);
/** True when somebody owns @name on the bus; starts nothing. */
bool ctl_doctor_has_name(const CtlDoctor *self, const char *name);
/** All properties of a face of an object as a{sv}; NULL when there is none. Owns: the caller's. */
GVariant *ctl_doctor_dup_properties(const CtlDoctor *self,
                                    const char *service,
                                    const char *path,
                                    const char *interface);

/** So much is left for the store. */
void ctl_doctor_add_free_space(CtlDoctor *self, uint64_t free_bytes);

/* doctor_unit.c */
/** What systemd knows of bluetooth.service: installed, masked, failed, restarted. */
void ctl_doctor_check_bluetooth_unit(CtlDoctor *self);
/** Why penteld does not run, as far as systemd knows; false when it knows nothing. */
bool ctl_doctor_explain_penteld(CtlDoctor *self);

/* doctor_radio.c */
/** bluetoothd, its version and agent, adapters and what blocks them. */
void ctl_doctor_check_radio(CtlDoctor *self);

/* doctor_install.c */
/** Policies of bus and polkit, the user and group, and what an administrator may add. */
void ctl_doctor_check_install(CtlDoctor *self);
/** The caller was refused: why, and what to do. */
void ctl_doctor_explain_refusal(CtlDoctor *self);

/* doctor_disk.c */
/** Where the store lies: on what, and whether that is encrypted. */
void ctl_doctor_check_disk(CtlDoctor *self);
