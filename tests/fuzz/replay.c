/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The fuzzers' corpora as a plain test, for compilers without libFuzzer: every committed
 * input, and from each the same few hundred damaged ones every time.
 */
#include "fuzz.h"
#include "structure.h"

#include <glib.h>

#include <string.h>

#define N_DAMAGED 300u

static uint64_t
draw(uint64_t *state)
{
    *state += 0x9E3779B97F4A7C15u;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static void
damage(uint64_t *state, GByteArray *input)
{
    const guint at = (guint)(draw(state) % input->len);
    const guint n_wanted = 1u + (guint)(draw(state) % 8u);
    const guint n = MIN(n_wanted, input->len - at);
    uint8_t copy[8];

    switch (draw(state) % 5u) {
    case 0:
        input->data[at] ^= (uint8_t)(1u << draw(state) % 8u);
        break;
    case 1:
        input->data[at] = draw(state) % 2u == 0 ? 0xffu : (uint8_t)draw(state);
        break;
    case 2:
        g_byte_array_remove_range(input, at, n);
        break;
    case 3:
        memcpy(copy, input->data + at, n);
        g_byte_array_append(input, copy, n);
        break;
    default:
        g_byte_array_set_size(input, at + 1u);
        break;
    }
}

/* On the heap and of its own size, so that the sanitizers see a byte too far. */
static void
run_exact(const GByteArray *input)
{
    uint8_t *exact = g_malloc(MAX(input->len, 1u));

    if (input->len > 0) {
        memcpy(exact, input->data, input->len);
    }
    (void)LLVMFuzzerTestOneInput(exact, input->len);
    g_free(exact);
}

#pragma weak LLVMFuzzerCustomMutator

/* Once more, by the target's own mutation. */
static void
mutate_by_structure(GByteArray *input, uint64_t *state)
{
    if (LLVMFuzzerCustomMutator == NULL) {
        return;
    }
    const size_t n = input->len;
    g_byte_array_set_size(input, (guint)n + 64u);
    const size_t n_new =
        LLVMFuzzerCustomMutator(input->data, n, n + 64u, (unsigned int)draw(state));
    g_byte_array_set_size(input, (guint)n_new);
}

static void
test_file(gconstpointer data)
{
    g_autofree char *text = NULL;
    gsize n = 0;
    g_autoptr(GError) error = NULL;
    uint64_t state = 1;

    g_file_get_contents(data, &text, &n, &error);
    g_assert_no_error(error);
    for (uint32_t i = 0; i <= N_DAMAGED; i++) {
        g_autoptr(GByteArray) input = g_byte_array_new();
        g_byte_array_append(input, (const uint8_t *)text, (guint)n);
        for (uint64_t k = i == 0 ? 0 : 1u + draw(&state) % 4u; k > 0 && input->len > 0; k--) {
            damage(&state, input);
        }
        if (i % 2u == 1 && input->len > 0) {
            mutate_by_structure(input, &state);
        }
        run_exact(input);
    }
}

int
main(int argc, char **argv)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;
    const char *name = NULL;

    g_test_init(&argc, &argv, NULL);
    g_autoptr(GDir) folder = g_dir_open(g_getenv("CORPUS"), 0, &error);
    g_assert_no_error(error);
    while ((name = g_dir_read_name(folder)) != NULL) {
        char *path = g_build_filename(g_getenv("CORPUS"), name, NULL);
        g_autofree char *test = g_strconcat("/replay/", name, NULL);
        g_ptr_array_add(paths, path);
        g_test_add_data_func(test, path, test_file);
    }
    g_assert_cmpuint(paths->len, >=, 3);
    return g_test_run();
}
