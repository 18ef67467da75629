/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT
 *
 * The Feature value as an unknown device may give it.
 */
#include "core/record.h"
#include "fuzz.h"
#include "structure.h"

#include <string.h>

/* Behind the two bytes of the version. */
size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t n_data, size_t n_max, unsigned int seed)
{
    if (n_data < 2 || n_max < 3 || seed % 16u == 0) {
        return fuzz_mutate_message(data, n_data, n_max, seed);
    }
    return 2 + fuzz_mutate_message(data + 2, n_data - 2, n_max - 2, seed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_data)
{
    PenFeature feature;
    PenFeature back;
    uint8_t again[512];
    size_t n_again = 0;

    memset(&feature, 0, sizeof feature);
    memset(&back, 0, sizeof back);
    const PenStatus status = pen_feature_decode(data, n_data, &feature);
    if (status != PEN_STATUS_OK) {
        FUZZ_REQUIRE(status == PEN_STATUS_VERSION || feature.log_id == 0);
        return 0;
    }
    FUZZ_REQUIRE(feature.log_id != 0 && feature.serial[0] != '\0');
    FUZZ_REQUIRE(feature.oldest <= feature.newest && feature.marked <= feature.newest);
    FUZZ_REQUIRE(pen_feature_encode(&feature, again, sizeof again, &n_again) == PEN_STATUS_OK);
    FUZZ_REQUIRE(pen_feature_decode(again, n_again, &back) == PEN_STATUS_OK);
    FUZZ_REQUIRE(memcmp(&feature, &back, sizeof back) == 0);
    return 0;
}
