/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "service/service_internal.h"
#include "util/error.h"

#include <gio/gunixfdlist.h>

/*
 * One method call from its arrival to its answer: authorise, parse, call, complete.
 * Keeps the service's memory, not its store or pens: is_closed says when those are gone.
 */
typedef struct PdServiceRequest PdServiceRequest;

/** Parses and calls; only reached by an authorised caller. Takes the request over. */
typedef void (*PdServiceBody)(PdServiceRequest *request);

struct PdServiceRequest {
    PdService *service;                /* ref */
    GDBusMethodInvocation *invocation; /* owned until answered, then NULL */
    GVariant *arguments;               /* ref */
    PdServiceBody body;
    PdServiceAction other; /* that will do as well; PD_SERVICE_ACTION_N for none */
    GError *denied;        /* owned; why the first action was refused, may be NULL */
    uint32_t uid;          /* authenticated caller */
    char *key;             /* owned; what the call is about: session id or serial; may be NULL */
    GCancellable *cancellable; /* owned; of this call alone, may be NULL */
    guint watch_id;            /* of the caller's name, may be 0 */
    PdServiceStream *stream;   /* ref; may be NULL */
};

/**
 * Begin: ask whether the caller may do @action, then run @body.
 *
 * Owns: takes @invocation, as a handler of a skeleton does that returns TRUE.
 */
void pd_service_request_begin(PdService *service,
                              GDBusMethodInvocation *invocation,
                              PdServiceAction action,
                              PdServiceBody body);

/**
 * As pd_service_request_begin(), but whoever may do @other may call it too.
 *
 * A refusal names @action, which is what a person would ask the administrator for.
 */
void pd_service_request_begin_either(PdService *service,
                                     GDBusMethodInvocation *invocation,
                                     PdServiceAction action,
                                     PdServiceAction other,
                                     PdServiceBody body);

/** Give it up; one that was not answered is told that penteld is stopping. */
void pd_service_request_free(PdServiceRequest *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PdServiceRequest, pd_service_request_free)

/**
 * In a completion: false when the service closed meanwhile, so that neither finish
 * functions nor store and pens may be touched.
 */
bool pd_service_request_is_open(const PdServiceRequest *self);

/** Answer with @value, a tuple, sunk here. @fds may be NULL. */
void pd_service_request_return(PdServiceRequest *self, GVariant *value, GUnixFDList *fds);

/** Take a place for a stream before any work is done; false: refused, and answered so. */
bool pd_service_request_take_stream(PdServiceRequest *self);

/** Answer with @value, a tuple whose handle is 0, sunk here. Owns: @fd is closed here. */
void pd_service_request_return_fd(PdServiceRequest *self, GVariant *value, int fd);

/**
 * Start the stream that was taken and answer with the client's end of it.
 *
 * Owns:   sinks @value, as pd_service_request_return_fd(). On true @source is the
 *         stream's until it is closed; on false the caller's, and the answer is an error.
 */
bool pd_service_request_return_stream(PdServiceRequest *self,
                                      GVariant *value,
                                      const PdServiceStreamSource *funcs,
                                      void *source);

/** Makes the answer, a tuple, of what a query gave. Runs in a thread of its own. */
typedef GVariant *(*PdServiceBuild)(gconstpointer data);

/**
 * Answer with what @build makes of @data, off the main loop: a thousand sessions take
 * fifty milliseconds to become a message.
 *
 * Owns: takes @data, freed by @free_data in that thread.
 */
void pd_service_request_return_built(PdServiceRequest *self,
                                     PdServiceBuild build,
                                     gpointer data,
                                     GDestroyNotify free_data);

/** Answer with an error under its name on the bus; a foreign domain becomes .Failed. */
void pd_service_request_fail(PdServiceRequest *self, const GError *error);

/** Answer with an error of PD_ERROR made here. */
void pd_service_request_fail_with(PdServiceRequest *self, PdError code, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
