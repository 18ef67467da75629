/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Decides whether a schema is one that this program may write to. Only the owner's
 * --migrate changes it; a gateway accepts any minor version of its major one, so that a
 * thousand gateways need not be upgraded at once (F21).
 */
#include "sync/pg_schema.h"

#include <gio/gio.h>

#include <stdlib.h>
#include <string.h>

#define MAJOR 1
#define MINOR 1
#define MARK  "-- :"

/* Made by glib-compile-resources. */
GResource *sync_pg_get_resource(void);

static char *
load_text(const char *name)
{
    g_autofree char *path = g_strdup_printf("/org/pentel/sync/%s.sql", name);
    g_autoptr(GBytes) bytes =
        g_resource_lookup_data(sync_pg_get_resource(), path, G_RESOURCE_LOOKUP_FLAGS_NONE, NULL);
    gsize length = 0;

    g_assert_nonnull(bytes);
    const char *text = g_bytes_get_data(bytes, &length);
    return g_strndup(text, length);
}

char **
sync_pg_load(const char *name)
{
    g_autofree char *text = load_text(name);
    g_auto(GStrv) parts = g_strsplit(text, MARK, -1);
    g_autoptr(GPtrArray) statements = g_ptr_array_new();

    /* Before the first mark stands the comment; the rest of a mark's line is its name. */
    for (gsize i = 1; parts[0] != NULL && parts[i] != NULL; i++) {
        const char *line = strchr(parts[i], '\n');
        g_ptr_array_add(statements, g_strdup(line != NULL ? line + 1 : parts[i]));
    }
    g_ptr_array_add(statements, NULL);
    return (char **)g_ptr_array_steal(statements, NULL);
}

typedef struct {
    bool has_schema;
    bool has_version; /* our table is there */
    bool may_write;
    int major;
    int minor;
} Found;

static bool
look(SyncPg *pg, Found *found, GCancellable *cancellable, GError **error)
{
    g_autoptr(SyncPgResult) there =
        sync_pg_run(pg,
                    "select n.oid is not null, c.oid is not null,"
                    " coalesce(has_schema_privilege(n.oid, 'usage'), false)"
                    " from (select 1) q left join pg_catalog.pg_namespace n on n.nspname = 'pentel'"
                    " left join pg_catalog.pg_class c on c.relnamespace = n.oid"
                    " and c.relname = 'schema_version'",
                    NULL,
                    0,
                    cancellable,
                    error);

    if (there == NULL) {
        return false;
    }
    found->has_schema = PQgetvalue(there, 0, 0)[0] == 't';
    found->has_version = PQgetvalue(there, 0, 1)[0] == 't';
    found->may_write = PQgetvalue(there, 0, 2)[0] == 't';
    if (!found->has_version || !found->may_write) {
        return true;
    }
    g_autoptr(SyncPgResult) version =
        sync_pg_run(pg,
                    "select major, minor, has_table_privilege('pentel.session', 'insert')"
                    " from pentel.schema_version",
                    NULL,
                    0,
                    cancellable,
                    error);
    if (version == NULL) {
        return false;
    }
    if (PQntuples(version) == 1) {
        found->major = (int)strtol(PQgetvalue(version, 0, 0), NULL, 10);
        found->minor = (int)strtol(PQgetvalue(version, 0, 1), NULL, 10);
        found->may_write = PQgetvalue(version, 0, 2)[0] == 't';
    }
    return true;
}

static bool refuse(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

static bool
refuse(GError **error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *words = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    g_set_error_literal(error, SYNC_ERROR, SYNC_ERROR_FOREIGN, words);
    return false;
}

bool
sync_pg_check_schema(SyncPg *pg, const char *sink, GCancellable *cancellable, GError **error)
{
    Found found = { 0 };

    if (!look(pg, &found, cancellable, error)) {
        return false;
    }
    if (!found.has_schema) {
        return refuse(error,
                      "sink %s: [postgresql] conninfo: the database has no schema pentel; as its "
                      "owner run: pentel-sync --migrate %s",
                      sink,
                      sink);
    }
    if (!found.may_write) {
        return refuse(error,
                      "sink %s: [postgresql] conninfo: this user may not write to schema pentel; "
                      "as its owner: grant pentel_gateway to USER",
                      sink);
    }
    if (!found.has_version) {
        return refuse(error,
                      "sink %s: [postgresql] conninfo: schema pentel is somebody else's there; "
                      "give another database",
                      sink);
    }
    if (found.major != MAJOR) {
        return refuse(error,
                      "sink %s: [postgresql] conninfo: schema pentel is of version %d.%d, this "
                      "program writes %d; %s",
                      sink,
                      found.major,
                      found.minor,
                      MAJOR,
                      found.major > MAJOR ? "upgrade pentel-sync"
                                          : "as its owner run the new pentel-sync --migrate");
    }
    return true;
}

/* Gateways get their rights by this role, which has no others. */
static bool
make_role(SyncPg *pg, GCancellable *cancellable, GError **error)
{
    g_autoptr(SyncPgResult) there =
        sync_pg_run(pg,
                    "select 1 from pg_catalog.pg_roles where rolname = 'pentel_gateway'",
                    NULL,
                    0,
                    cancellable,
                    error);
    g_autoptr(GError) failure = NULL;

    if (there == NULL) {
        return false;
    }
    if (PQntuples(there) > 0 ||
        sync_pg_do(pg, "create role pentel_gateway nologin", NULL, 0, cancellable, &failure)) {
        return true;
    }
    return refuse(error,
                  "cannot create role pentel_gateway: %s; as an administrator run: create role "
                  "pentel_gateway nologin, then --migrate again",
                  failure->message);
}

/* From @minor on, after the whole of 1.0 when there is nothing yet (-1). */
static bool
run_scripts(SyncPg *pg, int minor, GCancellable *cancellable, GError **error)
{
    g_autoptr(GString) whole = g_string_new("begin;\n");

    for (int step = minor + 1; step <= MINOR; step++) {
        g_autofree char *name = step == 0 ? g_strdup("schema") : g_strdup_printf("minor-%d", step);
        g_autofree char *script = load_text(name);
        g_string_append_printf(whole, "%s\n", script);
    }
    g_string_append(whole, "commit;");
    if (sync_pg_script(pg, whole->str, cancellable, error)) {
        return true;
    }
    sync_pg_do(pg, "rollback", NULL, 0, cancellable, NULL);
    return false;
}

bool
sync_pg_migrate(SyncPg *pg, GCancellable *cancellable, GError **error)
{
    Found found = { 0 };

    if (!look(pg, &found, cancellable, error)) {
        return false;
    }
    if (found.has_schema && !found.has_version) {
        return refuse(error,
                      "schema pentel is somebody else's there; give another database, or rename "
                      "that schema");
    }
    if (found.has_version && (found.major > MAJOR || found.minor > MINOR)) {
        return refuse(error,
                      "schema pentel is of version %d.%d already, later than %d.%d; upgrade "
                      "pentel-sync",
                      found.major,
                      found.minor,
                      MAJOR,
                      MINOR);
    }
    if (found.has_version) {
        return found.minor == MINOR || run_scripts(pg, found.minor, cancellable, error);
    }
    return make_role(pg, cancellable, error) && run_scripts(pg, -1, cancellable, error);
}
