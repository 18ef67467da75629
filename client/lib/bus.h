/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <gio/gio.h>
#include <gio/gunixfdlist.h>

/*
 * The system bus with penteld on it. Calls wait for their reply, each with a time limit;
 * a call starts penteld where D-Bus knows how to.
 */
typedef struct CliBus CliBus;

#define CLI_BUS_NAME       "org.pentel"
#define CLI_BUS_ROOT       "/org/pentel"
#define CLI_BUS_MANAGER    "/org/pentel/manager"
#define CLI_BUS_MANAGER1   "org.pentel.Manager1"
#define CLI_BUS_LOG1       "org.pentel.Log1"
#define CLI_BUS_PEN1       "org.pentel.Pen1"
#define CLI_BUS_PROPERTIES "org.freedesktop.DBus.Properties"

/* penteld gives polkit 5 s and a query 250 ms; a start by D-Bus may take 25 s. */
#define CLI_BUS_TIMEOUT_MS 30000

/**
 * Connect to the system bus within 10 s.
 *
 * Errors: G_IO_ERROR or G_DBUS_ERROR, see cli_fault_of(). Owns: free with cli_bus_free().
 */
CliBus *cli_bus_open(GError **error);
void cli_bus_free(CliBus *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CliBus, cli_bus_free)

/** The connection. Owns: borrowed from @self. */
GDBusConnection *cli_bus_get_connection(CliBus *self);

/**
 * Call a method of Manager1 or Log1.
 *
 * @arguments: a tuple, floating or NULL. @reply_type: a reply of another type is an error.
 * Owns: the reply is the caller's. Errors: see cli_fault_of().
 */
GVariant *cli_bus_call(CliBus *self,
                       const char *interface,
                       const char *method,
                       GVariant *arguments,
                       const char *reply_type,
                       int timeout_ms,
                       GError **error);

/** As cli_bus_call(), for a method whose last result is a file descriptor; it is the caller's. */
GVariant *cli_bus_call_fd(CliBus *self,
                          const char *interface,
                          const char *method,
                          GVariant *arguments,
                          const char *reply_type,
                          int *fd_out,
                          GError **error);

/* A method of any object of any service. */
typedef struct {
    const char *service;
    const char *path;
    const char *interface;
    const char *method;
} CliBusTarget;

/** Call a method of another object. As cli_bus_call(). */
GVariant *cli_bus_call_other(CliBus *self,
                             const CliBusTarget *target,
                             GVariant *arguments,
                             const char *reply_type,
                             int timeout_ms,
                             GError **error);

/** As cli_bus_call_other(), with the descriptors that @arguments names. */
GVariant *cli_bus_send_fds(CliBus *self,
                           const CliBusTarget *target,
                           GVariant *arguments,
                           GUnixFDList *fds,
                           const char *reply_type,
                           int timeout_ms,
                           GError **error);
