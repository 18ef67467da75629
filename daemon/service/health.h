/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "service/service_internal.h"

/** Health of Manager1, with its findings. No disk access. Owns: floating a{sv}. */
GVariant *pd_service_health_to_variant(PdService *service);
