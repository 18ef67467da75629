/* SPDX-FileCopyrightText: The Pentel authors
 * SPDX-License-Identifier: MIT */
#pragma once

#include "service/service_internal.h"

typedef struct PdServiceBackup PdServiceBackup;

/** A backup's bytes. Owns: takes @backup; freed by the stream once that is open. */
PdServiceBackup *pd_service_backup_new(PdService *service, PdBackup *backup);
void pd_service_backup_free(PdServiceBackup *self);

const PdServiceStreamSource *pd_service_backup_get_funcs(void);
