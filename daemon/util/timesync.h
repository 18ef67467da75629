/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <gio/gio.h>

#include <stdbool.h>

/*
 * Whether the host's wall clock is synchronised, as org.freedesktop.timedate1 says,
 * and whether somebody stepped it. The hardened unit may not ask adjtimex (F17), and
 * the answer may take a second, so it is cached and asked for in the background.
 * Main thread only.
 */
typedef struct PdTimeSync PdTimeSync;

/**
 * @synced: as pd_time_sync_is_synced() from now on. @stepped: the wall clock was set
 * discontinuously since the last call: take new anchors.
 */
typedef void (*PdTimeSyncChanged)(void *user_data, bool synced, bool stepped);

/** Begin to watch; asks at once. Owns: refs @bus; free with pd_time_sync_free(). */
PdTimeSync *pd_time_sync_new(GDBusConnection *bus);
void pd_time_sync_free(PdTimeSync *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PdTimeSync, pd_time_sync_free)

/** What is known now; false until timedate1 said yes, and when it is absent. */
bool pd_time_sync_is_synced(const PdTimeSync *self);

/** Ask again unless the answer is younger than 60 s. Never blocks. Source: F17. */
void pd_time_sync_refresh(PdTimeSync *self);

/** Set the one listener, NULL for none. Owns: @user_data is borrowed until then. */
void pd_time_sync_set_listener(PdTimeSync *self, PdTimeSyncChanged changed, void *user_data);
