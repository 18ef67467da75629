/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * Mutation that knows protobuf: fields are changed, not bits of lengths, so that what comes
 * out is mostly still a message and gets past the parser.
 */

/** Change one thing of a message, in place. Returns its new length, at most @n_max. */
size_t fuzz_mutate_message(uint8_t *data, size_t n_data, size_t n_max, unsigned int seed);

/** libFuzzer's hook; defined where a target's input has a structure. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n_data, size_t n_max, unsigned int seed);

/* libFuzzer's own mutation; absent where the corpus is only replayed. */
__attribute__((weak)) size_t LLVMFuzzerMutate(uint8_t *data, size_t n_data, size_t n_max);
