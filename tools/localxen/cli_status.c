/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cli_status.c - `localxen status`: what the hypervisor keeps, readable. */
#include "cli.h"

int cmd_status(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return cli_error("status: not yet");
}
