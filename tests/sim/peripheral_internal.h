/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

/* A pen on its adapter, shared by peripheral.c, peripheral_gatt.c, peripheral_radio.c. */
#include "peripheral.h"

#define SIM_PERIPHERAL_ROOT    "/org/pentel/pensim"
#define SIM_PERIPHERAL_SERVICE "52797f00-bc08-4935-9e95-12fdb4ca7483"

#define SIM_BLUEZ_NAME           "org.bluez"
#define SIM_REAL_ADAPTER_IFACE   "org.bluez.Adapter1"
#define SIM_REAL_DEVICE_IFACE    "org.bluez.Device1"
#define SIM_GATT_MANAGER_IFACE   "org.bluez.GattManager1"
#define SIM_ADVERT_MANAGER_IFACE "org.bluez.LEAdvertisingManager1"

/* One characteristic of the pen's application, the battery's level after the others. */
#define SIM_SITE_N_ATTRS (SIM_CHRC_N + 1)

typedef struct SimSite SimSite;

typedef enum {
    SIM_REPLY_GONE = 0,
    SIM_REPLY_REFUSED,
    SIM_REPLY_OK,
} SimReply;

typedef struct {
    SimSite *site; /* borrowed */
    uint32_t index;
    char *path; /* owned */
    guint registration;
} SimSiteAttr;

struct SimSite {
    SimPeripheral *peripheral; /* borrowed */
    SimPen *pen;               /* borrowed */
    char *adapter;             /* owned; object path */
    char *root;                /* owned; path of the application */
    char *advert;              /* owned; path of the advertisement */
    SimSiteAttr attrs[SIM_SITE_N_ATTRS];
    guint registrations[4]; /* manager, two services, advertisement */

    /* What bluetoothd has of it; all false when it goes. */
    bool has_gatt;
    bool has_adverts;
    bool powered;
    bool registered;
    bool advertising;
    bool busy;           /* a call of ours is under way */
    int64_t retry_at_us; /* after a refusal */
    int pairable;        /* as last set, -1 unknown */

    char *device; /* owned; the central, NULL without a link */
    /* By StartNotify. bluetoothd keeps a bonded central's subscriptions over links and
     * does not call again (F8), so they outlive the link here too. */
    bool subscribed[SIM_CHRC_N];
    GByteArray *value; /* owned; what a long read goes on with, may be NULL */
};

struct SimPeripheral {
    const SimOptions *options;   /* borrowed */
    GDBusConnection *connection; /* ref */
    GDBusNodeInfo *info;         /* owned; of what is exported */
    GCancellable *cancellable;   /* owned; ends every call */
    GPtrArray *sites;            /* owned; SimSite */
    guint name_watch;
    guint signals[3];
    guint agent;
    bool has_bluez;
};

/** Interface of the exported objects by name. Owns: borrowed. */
GDBusInterfaceInfo *sim_peripheral_interface(const SimPeripheral *self, const char *name);

/** Print a line with --verbose. */
void sim_site_say(const SimSite *self, const char *what);

/** Call bluetoothd, one call at a time; @done gets the site as its user data. */
void sim_site_call(SimSite *self,
                   const char *path,
                   const char *interface,
                   const char *method,
                   GVariant *args,
                   GAsyncReadyCallback done);

/**
 * Take the reply of sim_site_call(). A refusal is printed and holds the next call back a
 * moment; of a site that is GONE nothing may be touched.
 */
SimReply sim_site_finish(SimSite *self, GObject *source, GAsyncResult *result);

/** The application's objects. */
bool sim_site_export(SimSite *self, GError **error);
void sim_site_unexport(SimSite *self);
void sim_site_register(SimSite *self);
/** Send a value by PropertiesChanged: one ordered queue in bluetoothd (F8). */
void sim_site_notify(SimSite *self, SimChrc chrc, const uint8_t *bytes, size_t n_bytes);

/** The advertisement object. */
bool sim_site_export_advert(SimSite *self, GError **error);
/** Advertise and be bondable as the pen's state says. */
void sim_site_tune(SimSite *self, int64_t mono_us);

/** Answer pairing requests for pens in pairing mode. */
bool sim_agent_export(SimPeripheral *self, GError **error);
void sim_agent_register(SimPeripheral *self);

/** bluetoothd said something of the adapter, or of a device on it. */
void sim_site_adapter_changed(SimSite *self, GVariant *properties);
void sim_site_device_changed(SimSite *self, const char *path, GVariant *properties);
/** A device is no longer linked; NULL: whoever was. */
void sim_site_link_down(SimSite *self, const char *device);
/** The adapter or all of bluetoothd has gone. */
void sim_site_forget(SimSite *self);

/** Listen to bluetoothd. */
void sim_peripheral_follow(SimPeripheral *self);
void sim_peripheral_unfollow(SimPeripheral *self);
