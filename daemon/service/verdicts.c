/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * Keeps verdicts by (uid, action, session) for five seconds; what is too old goes when
 * something new comes, so nothing wakes up for it.
 */
#include "service/verdicts.h"

typedef struct {
    bool allowed;
    int64_t mono_us;
} Entry;

static char *
make_key(const PdServiceVerdictKey *key)
{
    return g_strdup_printf("%" G_GUINT32_FORMAT " %u %s", key->uid, key->action, key->session);
}

static bool
is_stale(const Entry *entry, int64_t mono_us)
{
    return mono_us - entry->mono_us >= PD_SERVICE_VERDICT_US;
}

static gboolean
drop_stale(gpointer key, gpointer value, gpointer user_data)
{
    const int64_t *mono_us = user_data;

    return is_stale(value, *mono_us);
}

GHashTable *
pd_service_verdicts_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

void
pd_service_verdicts_put(GHashTable *self,
                        const PdServiceVerdictKey *key,
                        bool allowed,
                        int64_t mono_us)
{
    if (key->session == NULL) {
        return;
    }
    Entry *entry = g_new0(Entry, 1);

    *entry = (Entry){ .allowed = allowed, .mono_us = mono_us };
    g_hash_table_foreach_remove(self, drop_stale, &mono_us);
    g_hash_table_replace(self, make_key(key), entry);
}

PdServiceVerdict
pd_service_verdicts_get(GHashTable *self, const PdServiceVerdictKey *key, int64_t mono_us)
{
    if (key->session == NULL) {
        return PD_SERVICE_VERDICT_NONE;
    }
    g_autofree char *text = make_key(key);
    const Entry *entry = g_hash_table_lookup(self, text);

    if (entry == NULL || is_stale(entry, mono_us)) {
        return PD_SERVICE_VERDICT_NONE;
    }
    return entry->allowed ? PD_SERVICE_VERDICT_YES : PD_SERVICE_VERDICT_NO;
}
