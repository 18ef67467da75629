/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides how PostgreSQL is reached and what its errors mean: whether the session, the
 * configuration or the moment is at fault.
 */
#include "sync/pg_connection.h"

#include "lib/text.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#define CONNECT_US ((int64_t)15 * G_USEC_PER_SEC)
#define ANSWER_US  ((int64_t)120 * G_USEC_PER_SEC)
#define STEP_MS    250

struct SyncPg {
    char **keywords;    /* owned; of the connection string, NULL-terminated */
    char **values;      /* owned; in the same order */
    char *secret_path;  /* owned; NULL without a password */
    char *where;        /* owned; file and key, for errors */
    PGconn *connection; /* owned; NULL while closed */
};

/* What is ours to say unless the clinic says otherwise: nothing goes over a network to a
 * server that has not proved who it is. */
static const struct {
    const char *keyword;
    const char *value;
} defaults[] = {
    { "sslmode", "verify-full" },    { "sslrootcert", "/etc/ssl/certs/ca-certificates.crt" },
    { "connect_timeout", "10" },     { "keepalives_idle", "30" },
    { "tcp_user_timeout", "30000" },
};

/* What libpq will take: of the connection string, else of the environment. */
static const char *
find_option(const PQconninfoOption *options, const char *keyword)
{
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++) {
        if (strcmp(option->keyword, keyword) == 0) {
            return option->val != NULL || option->envvar == NULL ? option->val
                                                                 : g_getenv(option->envvar);
        }
    }
    return NULL;
}

/* Nothing but sockets of this machine, wherever libpq may try. */
static bool
is_local(const PQconninfoOption *options)
{
    const char *hosts = find_option(options, "host");

    if (find_option(options, "hostaddr") != NULL || find_option(options, "service") != NULL) {
        return false;
    }
    g_auto(GStrv) parts = g_strsplit(hosts != NULL ? hosts : "", ",", -1);
    for (char **part = parts; *part != NULL; part++) {
        if ((*part)[0] != '/' && (*part)[0] != '@') {
            return false;
        }
    }
    return true;
}

static bool
has_option(const GPtrArray *keywords, const char *keyword)
{
    for (guint i = 0; i < keywords->len; i++) {
        if (strcmp(keywords->pdata[i], keyword) == 0) {
            return true;
        }
    }
    return false;
}

static void
add_option(GPtrArray *keywords, GPtrArray *values, const char *keyword, const char *value)
{
    g_ptr_array_add(keywords, g_strdup(keyword));
    g_ptr_array_add(values, g_strdup(value));
}

static bool
check_options(const SyncSetup *setup, const PQconninfoOption *options, GError **error)
{
    static const char *const secrets[] = { "password", "sslpassword" };

    for (const PQconninfoOption *option = options; option->keyword != NULL; option++) {
        const bool is_given = option->val != NULL;
        if (is_given && strcmp(option->keyword, "service") == 0) {
            sync_config_fail(setup->config,
                             error,
                             "postgresql",
                             "conninfo",
                             "names a service, whose file is not looked into; write host, dbname "
                             "and user instead of service");
            return false;
        }
        if (is_given && (strcmp(option->keyword, secrets[0]) == 0 ||
                         strcmp(option->keyword, secrets[1]) == 0)) {
            sync_config_fail(setup->config,
                             error,
                             "postgresql",
                             "conninfo",
                             "holds a password; take it out and put it into "
                             "/etc/credstore/pentel-sync.%s.password",
                             setup->name);
            return false;
        }
    }
    return true;
}

static void
collect(SyncPg *self, const SyncSetup *setup, const PQconninfoOption *options)
{
    g_autoptr(GPtrArray) keywords = g_ptr_array_new();
    g_autoptr(GPtrArray) values = g_ptr_array_new();
    g_autofree char *program = g_strdup_printf("pentel-sync %s", setup->name);

    for (const PQconninfoOption *option = options; option->keyword != NULL; option++) {
        if (option->val != NULL) {
            add_option(keywords, values, option->keyword, option->val);
        }
    }
    for (gsize i = 0; i < G_N_ELEMENTS(defaults); i++) {
        const bool is_tls = g_str_has_prefix(defaults[i].keyword, "ssl");
        if (!has_option(keywords, defaults[i].keyword) && !(is_tls && is_local(options))) {
            add_option(keywords, values, defaults[i].keyword, defaults[i].value);
        }
    }
    if (!has_option(keywords, "application_name")) {
        add_option(keywords, values, "application_name", program);
    }
    g_ptr_array_add(keywords, NULL);
    g_ptr_array_add(values, NULL);
    self->keywords = (char **)g_ptr_array_steal(keywords, NULL);
    self->values = (char **)g_ptr_array_steal(values, NULL);
}

/* libpq quotes what it cannot read, and that may be a password. */
static void
fail_parse(const SyncSetup *setup, const char *conninfo, const char *wrong, GError **error)
{
    const bool may_hold_secret =
        strstr(conninfo, "pass") != NULL || strstr(conninfo, "://") != NULL;
    g_autofree char *words = g_strdup(wrong != NULL ? wrong : "no memory");

    sync_config_fail(setup->config,
                     error,
                     "postgresql",
                     "conninfo",
                     "%s; write it as host=db.clinic.example dbname=clinic user=gateway",
                     may_hold_secret ? "it cannot be read, and is not shown as it may hold a "
                                       "password"
                                     : g_strstrip(words));
}

SyncPg *
sync_pg_new(const SyncSetup *setup, GError **error)
{
    g_autoptr(SyncPg) self = g_new0(SyncPg, 1);
    g_autofree char *conninfo =
        sync_config_dup_text(setup->config, "postgresql", "conninfo", NULL, error);
    char *wrong = NULL;

    if (conninfo == NULL) {
        return NULL;
    }
    PQconninfoOption *options = PQconninfoParse(conninfo, &wrong);
    if (options == NULL) {
        fail_parse(setup, conninfo, wrong, error);
        PQfreemem(wrong);
        return NULL;
    }
    const bool is_good = check_options(setup, options, error);
    if (is_good) {
        collect(self, setup, options);
    }
    PQconninfoFree(options);
    if (!is_good) {
        return NULL;
    }
    self->where = g_strdup_printf("sink %s: [postgresql] conninfo", setup->name);
    /* Without a password the server asks for none: a certificate, or peer on a socket. */
    if (sync_config_has(setup->config, "postgresql", "password")) {
        self->secret_path = sync_config_dup_credential_path(
            setup->config, "postgresql", "password", "password", error);
        return self->secret_path != NULL ? g_steal_pointer(&self) : NULL;
    }
    self->secret_path =
        sync_config_dup_credential_path(setup->config, "postgresql", "password", "password", NULL);
    return g_steal_pointer(&self);
}

void
sync_pg_free(SyncPg *self)
{
    if (self == NULL) {
        return;
    }
    sync_pg_close(self);
    g_strfreev(self->keywords);
    g_strfreev(self->values);
    g_free(self->secret_path);
    g_free(self->where);
    g_free(self);
}

void
sync_pg_close(SyncPg *self)
{
    g_clear_pointer(&self->connection, PQfinish);
}

bool
sync_pg_is_open(const SyncPg *self)
{
    return self->connection != NULL && PQstatus(self->connection) == CONNECTION_OK;
}

/* Waits for the socket in steps, so that a stop is noticed. */
static bool
wait_socket(SyncPg *self, short events, int64_t end_us, GCancellable *cancellable, GError **error)
{
    for (;;) {
        struct pollfd fd = { .fd = PQsocket(self->connection), .events = events };
        if (g_cancellable_is_cancelled(cancellable) || fd.fd < 0) {
            g_set_error(error, SYNC_ERROR, SYNC_ERROR_UNAVAILABLE, "stopped");
            return false;
        }
        const int n = poll(&fd, 1, STEP_MS);
        if (n > 0) {
            return true;
        }
        if (n < 0 && errno != EINTR) {
            g_set_error(error, SYNC_ERROR, SYNC_ERROR_UNAVAILABLE, "%s", g_strerror(errno));
            return false;
        }
        if (g_get_monotonic_time() > end_us) {
            g_set_error(error,
                        SYNC_ERROR,
                        SYNC_ERROR_UNAVAILABLE,
                        "PostgreSQL does not answer; see that it runs and is not overloaded");
            return false;
        }
    }
}

/* One line of a message of libpq. */
static char *
one_line(const char *text)
{
    g_autofree char *copy = g_strdup(text != NULL ? text : "");
    const gsize n = strcspn(g_strstrip(copy), "\n");

    copy[n] = '\0';
    return cli_text_escape(copy, true);
}

/* With PQERRORS_VERBOSE the server's refusal reads "FATAL:  28P01: words". */
static bool
is_refusal(const char *message)
{
    static const char *const codes[] = { " 28P01: ", " 28000: ", " 3D000: ", " 42501: " };

    for (gsize i = 0; i < G_N_ELEMENTS(codes); i++) {
        if (strstr(message, codes[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static bool
fail_connect(SyncPg *self, GError **error)
{
    const char *message = PQerrorMessage(self->connection);
    g_autofree char *words = one_line(message);

    if (is_refusal(message) || PQconnectionNeedsPassword(self->connection) != 0) {
        g_set_error(error,
                    SYNC_ERROR,
                    SYNC_ERROR_CONFIG,
                    "%s: %s; correct user, database or credential 'password'",
                    self->where,
                    words);
    } else {
        g_set_error(error, SYNC_ERROR, SYNC_ERROR_UNAVAILABLE, "%s", words);
    }
    sync_pg_close(self);
    return false;
}

static bool
poll_connect(SyncPg *self, GCancellable *cancellable, GError **error)
{
    const int64_t end_us = g_get_monotonic_time() + CONNECT_US;
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;

    while (status != PGRES_POLLING_OK && status != PGRES_POLLING_FAILED) {
        const short events = status == PGRES_POLLING_READING ? POLLIN : POLLOUT;
        if (!wait_socket(self, events, end_us, cancellable, error)) {
            sync_pg_close(self);
            return false;
        }
        status = PQconnectPoll(self->connection);
    }
    return status == PGRES_POLLING_OK || fail_connect(self, error);
}

static void
ignore_notice(void *arg, const PGresult *result)
{
}

bool
sync_pg_open(SyncPg *self, GCancellable *cancellable, GError **error)
{
    const guint n = g_strv_length(self->keywords);
    g_autofree const char **keywords = g_new0(const char *, n + 2);
    g_autofree const char **values = g_new0(const char *, n + 2);
    char *secret = NULL;

    if (sync_pg_is_open(self)) {
        return true;
    }
    sync_pg_close(self);
    if (self->secret_path != NULL) {
        secret = sync_secret_read(self->secret_path, error);
        if (secret == NULL) {
            return false;
        }
    }
    for (guint i = 0; i < n; i++) {
        keywords[i] = self->keywords[i];
        values[i] = self->values[i];
    }
    keywords[n] = secret != NULL ? "password" : NULL;
    values[n] = secret;
    self->connection = PQconnectStartParams(keywords, values, 0);
    sync_secret_free(secret);
    if (self->connection == NULL || PQstatus(self->connection) == CONNECTION_BAD) {
        return fail_connect(self, error);
    }
    PQsetErrorVerbosity(self->connection, PQERRORS_VERBOSE);
    PQsetNoticeReceiver(self->connection, ignore_notice, NULL);
    return poll_connect(self, cancellable, error) &&
           (PQsetnonblocking(self->connection, 1) == 0 || fail_connect(self, error));
}

/* Classes of SQLSTATE: what is wrong with the values, what with tables and rights; all else
 * may go away by itself. */
static SyncError
judge_state(const char *state)
{
    static const char *const data[] = { "22", "23", "P0", "21" };

    if (strcmp(state, "40P01") == 0 || strcmp(state, "40001") == 0) {
        return SYNC_ERROR_CLASH;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(data); i++) {
        if (strncmp(state, data[i], 2) == 0) {
            return SYNC_ERROR_DATA;
        }
    }
    return strncmp(state, "42", 2) == 0 || strncmp(state, "3F", 2) == 0 ? SYNC_ERROR_FOREIGN
                                                                        : SYNC_ERROR_UNAVAILABLE;
}

static void
fail_result(const SyncPg *self, const PGresult *result, GError **error)
{
    const char *state = result != NULL ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *primary =
        result != NULL ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;

    if (state == NULL || primary == NULL) {
        g_autofree char *words = one_line(PQerrorMessage(self->connection));
        g_set_error(error,
                    SYNC_ERROR,
                    SYNC_ERROR_UNAVAILABLE,
                    "PostgreSQL: %s",
                    words[0] != '\0' ? words : "the connection broke");
        return;
    }
    /* As it is: it may quote what somebody said, see sync_clean_words(). */
    g_set_error(error, SYNC_ERROR, (gint)judge_state(state), "PostgreSQL (%s): %s", state, primary);
}

static bool
send_all(SyncPg *self, int64_t end_us, GCancellable *cancellable, GError **error)
{
    int left = 0;

    while ((left = PQflush(self->connection)) > 0) {
        if (!wait_socket(self, POLLIN | POLLOUT, end_us, cancellable, error)) {
            return false;
        }
        if (PQconsumeInput(self->connection) == 0) {
            break;
        }
    }
    if (left != 0) {
        fail_result(self, NULL, error);
        return false;
    }
    return true;
}

/* Until PQgetResult() would not block. */
static bool
wait_result(SyncPg *self, int64_t end_us, GCancellable *cancellable, GError **error)
{
    while (PQisBusy(self->connection) != 0) {
        if (!wait_socket(self, POLLIN, end_us, cancellable, error)) {
            return false;
        }
        if (PQconsumeInput(self->connection) == 0) {
            fail_result(self, NULL, error);
            return false;
        }
    }
    return true;
}

/* The first failure counts: what follows is only its consequence. */
static SyncPgResult *
keep_first(SyncPgResult *kept, SyncPgResult *next)
{
    if (kept != NULL && PQresultStatus(kept) == PGRES_FATAL_ERROR) {
        PQclear(next);
        return kept;
    }
    PQclear(kept);
    return next;
}

static SyncPgResult *
receive(SyncPg *self, int64_t end_us, GCancellable *cancellable, GError **error)
{
    g_autoptr(SyncPgResult) kept = NULL;

    for (;;) {
        if (!wait_result(self, end_us, cancellable, error)) {
            return NULL;
        }
        PGresult *result = PQgetResult(self->connection);
        if (result == NULL) {
            return g_steal_pointer(&kept);
        }
        kept = keep_first(g_steal_pointer(&kept), result);
    }
}

static SyncPgResult *
finish_query(SyncPg *self, bool is_sent, GCancellable *cancellable, GError **error)
{
    const int64_t end_us = g_get_monotonic_time() + ANSWER_US;

    if (!is_sent || !send_all(self, end_us, cancellable, error)) {
        if (!is_sent) {
            fail_result(self, NULL, error);
        }
        sync_pg_close(self);
        return NULL;
    }
    g_autoptr(GError) failure = NULL;
    g_autoptr(SyncPgResult) result = receive(self, end_us, cancellable, &failure);
    if (failure != NULL) {
        g_propagate_error(error, g_steal_pointer(&failure));
        sync_pg_close(self);
        return NULL;
    }
    const ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        return g_steal_pointer(&result);
    }
    fail_result(self, result, error);
    if (PQstatus(self->connection) != CONNECTION_OK) {
        sync_pg_close(self);
    }
    return NULL;
}

SyncPgResult *
sync_pg_run(SyncPg *self,
            const char *sql,
            const char *const *values,
            int n_values,
            GCancellable *cancellable,
            GError **error)
{
    if (self->connection == NULL) {
        g_set_error(error, SYNC_ERROR, SYNC_ERROR_UNAVAILABLE, "PostgreSQL: not connected");
        return NULL;
    }
    return finish_query(
        self,
        PQsendQueryParams(self->connection, sql, n_values, NULL, values, NULL, NULL, 0) != 0,
        cancellable,
        error);
}

bool
sync_pg_do(SyncPg *self,
           const char *sql,
           const char *const *values,
           int n_values,
           GCancellable *cancellable,
           GError **error)
{
    g_autoptr(SyncPgResult) result = sync_pg_run(self, sql, values, n_values, cancellable, error);

    return result != NULL;
}

bool
sync_pg_script(SyncPg *self, const char *sql, GCancellable *cancellable, GError **error)
{
    g_autoptr(SyncPgResult) result =
        finish_query(self, PQsendQuery(self->connection, sql) != 0, cancellable, error);

    return result != NULL;
}
