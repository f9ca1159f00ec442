#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# docs/protocol.md has every key and message of the sources, with the sources' own
# words. To bring it up to date: tests/protocol-table --update.
command -v python3 >/dev/null || { echo "no python3 here"; exit 77; }
exec python3 -B "${abs_top_srcdir:-${srcdir:-.}}/tests/protocol-table"
