#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The library's manual pages have every public function, as the headers declare it.
command -v python3 >/dev/null || { echo "no python3 here"; exit 77; }
exec python3 -B "${abs_top_srcdir:-${srcdir:-.}}/tests/man-functions"
