/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cli_fail.c - `localxen fail`: sets and lists the rules that make calls fail. */
#include "cli.h"

int cmd_fail(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return cli_error("fail: not yet");
}
