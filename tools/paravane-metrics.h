/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The figures of all devices in Prometheus' text format, version 0.0.4.
 *
 * Hides: names, labels, which figure is which metric. Must not know: who asks.
 */
#ifndef PV_PARAVANE_METRICS_H
#define PV_PARAVANE_METRICS_H

#include <stdio.h>
#include "paravane-sample.h"

/* All metrics, those too that no device has at the moment: then HELP and TYPE alone. */
void metrics_print(const struct sampler *s, FILE *to);

#endif
