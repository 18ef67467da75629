/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <gio/gio.h>

#include <stdbool.h>

/*
 * A bluetoothd that has no mind of its own: the test adds objects and says what each
 * method answers. It shares the test's main context.
 */
typedef struct {
    GDBusConnection *bus;
    GPtrArray *objects;  /* FakeObject */
    GHashTable *answers; /* method -> "" success, "NAME|TEXT" error; absent: never answered */
    GPtrArray *held;     /* invocations never answered */
    GString *calls;      /* "Method PATH ARGUMENTS;" in order */
    int notify_fd;       /* bluetoothd's end of the last AcquireNotify, -1 */
    guint name_id;
    guint manager_id;
} FakeBluez;

FakeBluez *fake_bluez_new(const char *bus_address);
/** As if killed: no InterfacesRemoved. */
void fake_bluez_free(FakeBluez *self);
/** @properties: a{sv} as text. Tells InterfacesAdded. */
void fake_bluez_add(FakeBluez *self,
                    const char *path,
                    const GDBusInterfaceInfo *info,
                    const char *properties);
void fake_bluez_remove(FakeBluez *self, const char *path);
void fake_bluez_change(FakeBluez *self,
                       const char *path,
                       const char *interface,
                       const char *properties);
/** Replaces what the object has, without a signal. */
void fake_bluez_set(FakeBluez *self,
                    const char *path,
                    const char *interface,
                    const char *properties);
void fake_bluez_answer(FakeBluez *self, const char *method, const char *answer);
