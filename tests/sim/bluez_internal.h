/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

/* bluetoothd's state, shared by bluez.c, bluez_adapter.c, bluez_device.c, bluez_gatt.c. */
#include "bluez.h"
#include "bus.h"
#include "rng.h"

#define SIM_ADAPTER_IFACE "org.bluez.Adapter1"
#define SIM_DEVICE_IFACE  "org.bluez.Device1"
#define SIM_SERVICE_IFACE "org.bluez.GattService1"
#define SIM_CHRC_IFACE    "org.bluez.GattCharacteristic1"
#define SIM_BATTERY_IFACE "org.bluez.Battery1"
#define SIM_AGENTS_IFACE  "org.bluez.AgentManager1"

#define SIM_SERVICE_UUID "52797f00-bc08-4935-9e95-12fdb4ca7483"
#define SIM_BATTERY_UUID "0000180f-0000-1000-8000-00805f9b34fb"

/* What bluetoothd says to nearly every failed Connect (F11). */
#define SIM_ABORT_BY_LOCAL "le-connection-abort-by-local"

/* How long a device that nobody hears stays an object (P16). */
#define SIM_FORGET_US 30000000

typedef struct SimAdapter SimAdapter;
typedef struct SimDevice SimDevice;

typedef enum {
    SIM_OP_READ = 0,
    SIM_OP_WRITE,
    SIM_OP_START_NOTIFY,
    SIM_OP_ACQUIRE_SENT, /* the CCC write reached the pen */
    SIM_OP_ACQUIRE,      /* its response came back */
    SIM_OP_RESOLVED,
    SIM_OP_PAIR,
    SIM_OP_BOND_LOST, /* the pen refuses the stale key */
    SIM_OP_CONNECT_FAILS,
} SimOpKind;

/* Something that takes a moment on the air. */
typedef struct {
    SimOpKind kind;
    int64_t due_us;
    SimChrc chrc;
    GDBusMethodInvocation *invocation; /* owned until answered; may be NULL */
    GBytes *payload;                   /* owned; may be NULL */
} SimOp;

/* A program that called StartNotify; it stays over lost links (P6). */
typedef struct {
    char *sender; /* owned */
    guint watch;
    bool active;          /* subscribed on this link */
    struct SimAttr *attr; /* borrowed */
} SimNotifyClient;

typedef struct SimAttr {
    SimDevice *device; /* borrowed */
    SimChrc chrc;
    char *path;  /* owned */
    int fd;      /* our end of AcquireNotify's pair, -1 none */
    guint hup;   /* source that watches it */
    bool debris; /* AcquireNotify died half way; stays until bluetoothd ends (F1) */
    bool acquiring;
    GPtrArray *clients; /* owned; SimNotifyClient */
} SimAttr;

/* A pen as one adapter sees it. Outlives restarts, as its bond does. */
struct SimDevice {
    SimAdapter *adapter; /* borrowed */
    SimPen *pen;         /* borrowed */
    char *path;          /* owned */
    bool bonded;         /* keys stored on this side */
    bool exported;
    bool connected;
    bool resolved;
    bool exported_gatt;
    GDBusMethodInvocation *connecting; /* owned; a pending Connect */
    GDBusMethodInvocation *pairing;    /* owned; a Pair that waits for its link */
    int64_t connect_until_us;
    int64_t link_at_us;   /* when the pending Connect hears the pen, 0 not yet */
    int64_t absent_at_us; /* when the last Connect gave up */
    int64_t heard_at_us;  /* next advertisement while discovering */
    int64_t forget_at_us; /* an unbonded object that nobody hears any more (P16) */
    SimAttr attrs[SIM_CHRC_N];
    GPtrArray *ops; /* owned; SimOp */
};

struct SimAdapter {
    SimBluez *bluez; /* borrowed */
    char address[18];
    char *path; /* owned */
    bool plugged;
    bool powered;
    GPtrArray *scanners; /* owned; unique names that discover */
    GHashTable *watches; /* owned; unique name to watch id */
    GPtrArray *devices;  /* owned; SimDevice, one per pen */
};

struct SimBluez {
    const SimOptions *options;   /* borrowed */
    char *address;               /* owned; of the bus */
    GPtrArray *pens;             /* borrowed; SimPen */
    GDBusNodeInfo *info;         /* owned */
    GPtrArray *adapters;         /* owned; SimAdapter */
    GDBusConnection *connection; /* owned; NULL while stopped */
    SimBus *bus;                 /* owned; NULL while stopped */
    SimRng rng;
    uint32_t deaf;       /* as the option, until it is cured */
    int64_t start_at_us; /* when a restart comes back, 0 none */
    bool crash;          /* to be ended when the stack is clean */
};

/** Answer with org.bluez.Error.@name. Owns: takes @invocation. */
void sim_bluez_fail(GDBusMethodInvocation *invocation, const char *name, const char *message);

/** Print a line with --verbose. */
void sim_bluez_say(const SimBluez *self, const char *format, ...) G_GNUC_PRINTF(2, 3);

SimAdapter *sim_adapter_new(SimBluez *bluez, uint32_t index);
void sim_adapter_free(gpointer adapter);
void sim_adapter_export(SimAdapter *self);
void sim_adapter_unexport(SimAdapter *self);
void sim_adapter_forget(SimAdapter *self);
void sim_adapter_tick(SimAdapter *self, int64_t mono_us);
bool sim_adapter_is_discovering(const SimAdapter *self);

SimDevice *sim_device_new(SimAdapter *adapter, SimPen *pen);
void sim_device_free(gpointer device);
/** Show the object; nothing when it is there. */
void sim_device_export(SimDevice *self);
/** Take the object away with all below it. */
void sim_device_unexport(SimDevice *self);
/** Forget everything a restart forgets, answer nobody. */
void sim_device_forget(SimDevice *self);
void sim_device_tick(SimDevice *self, int64_t mono_us);
/** The link is gone, whoever ended it. */
void sim_device_lost(SimDevice *self);
void sim_device_disconnect(SimDevice *self);
void sim_device_hear(SimDevice *self, int64_t mono_us);
/** Encrypt the link if a bond is or silently can be made (F10). */
bool sim_device_secure(SimDevice *self);
bool sim_device_has_debris(const SimDevice *self);
void sim_device_later(SimDevice *self,
                      SimOpKind kind,
                      uint32_t delay_ms,
                      SimChrc chrc,
                      GDBusMethodInvocation *invocation,
                      GBytes *payload);

void sim_gatt_init(SimDevice *device);
void sim_gatt_clear(SimDevice *device);
void sim_gatt_export(SimDevice *device);
void sim_gatt_unexport(SimDevice *device);
/** A link is up and resolved: StartNotify clients are subscribed again (P6). */
void sim_gatt_resume(SimDevice *device);
/** A link is gone: fds close, subscriptions pause. */
void sim_gatt_pause(SimDevice *device);
void sim_gatt_forget(SimDevice *device);
void sim_gatt_finish(SimDevice *device, SimOp *op);
/** The link fell while @op was on the air. */
void sim_gatt_cancel(SimDevice *device, SimOp *op);
void sim_gatt_notify(SimDevice *device, SimChrc chrc, const uint8_t *bytes, size_t n_bytes);

SimBus *sim_device_bus(const SimDevice *self);
void sim_device_set_bool(SimDevice *self, const char *property, bool value);
/** Answer a pending Connect or Pair with a failure. */
void sim_device_give_up(SimDevice *self, const char *name, const char *message);
void sim_link_tick(SimDevice *self, int64_t mono_us);
void sim_op_free(gpointer op);

bool sim_attr_has_flag(SimChrc chrc, const char *flag);
/** Tell the pen whether anybody wants this. */
void sim_attr_subscribe(SimAttr *attr);
void sim_attr_close_fd(SimAttr *attr);
/** SimBusMethod of GattCharacteristic1. */
void sim_attr_on_method(void *user_data,
                        const char *interface,
                        const char *method,
                        GVariant *args,
                        GDBusMethodInvocation *invocation);
