/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "pen/manager.h"

#include <gio/gio.h>

/* The Pen1 objects: one per enrolled pen, kept as the pen manager says. */
typedef struct PdServicePenObjects PdServicePenObjects;

/** Owns: refs @server. */
PdServicePenObjects *pd_service_pen_objects_new(GDBusObjectManagerServer *server);
void pd_service_pen_objects_free(PdServicePenObjects *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PdServicePenObjects, pd_service_pen_objects_free)

/** Put a pen on the bus, or change what differs. */
void pd_service_pen_objects_update(PdServicePenObjects *self, const PdPenStatus *status);

void pd_service_pen_objects_remove(PdServicePenObjects *self, const char *serial);

/** Object path of a serial, whether it is on the bus or not. Owns: the caller. */
char *pd_service_pen_path(const char *serial);

/** A pen as ListPens gives it: a{sv} by property name. Owns: floating. */
GVariant *pd_service_pen_to_variant(const PdPenStatus *status);
