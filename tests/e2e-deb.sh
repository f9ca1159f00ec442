#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What "make install" puts where, that the library can be linked, and that "make uninstall"
# takes all of it away. The long form builds Debian's packages twice, from the tarball of
# "make dist" and from a clone: both alike, and lintian has nothing to say. They stay in
# deb/ for the job deb of the real Xen host.
set -u -o pipefail

top=${abs_top_builddir:-$PWD}
: "${srcdir:=$(dirname "$0")/..}"
srcdir=$(cd "$srcdir" && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
cd "$top" || exit 1
# Not the flags of a make that runs this.
unset MAKEFLAGS MAKELEVEL DESTDIR

fail() { echo "FAILED: $*"; exit 1; }

# completed DIR: each program's name has completion there.
completed()
{
	local program words

	for program in paravane-blkback paravane-netback paravane-blkfront paravane-netfront localxen paravane; do
		words=$(PATH=$top:$top/tools/localxen:$PATH bash -c '. "$0/$1" || exit
			complete -p "$1" | grep -q " _paravane " || exit
			COMP_LINE="$1 --vers" COMP_WORDS=("$1" --vers) COMP_CWORD=1
			_paravane "$1"; echo "${COMPREPLY[*]}"' "$1" $program 2>&1)
		[ "$words" = --version ] || fail "completion of $program: $words"
	done
}

# usable ROOT: the library, as it is installed, has all that it needs.
usable()
{
	local lib header

	! grep -q '^PV_SANITIZE = .' Makefile || return 0
	lib=$(find "$1" -name libparavane-front.so) && lib=${lib%/*}
	for header in front front-linux blkfront netfront; do
		echo "#include <paravane/$header.h>"
	done >"$work/front.c"
	echo 'void *volatile used[] = { blkfront_open, netfront_open, front_linux_open };
		int main(void) { return !used[0] || !used[1] || !used[2]; }' >>"$work/front.c"
	# shellcheck disable=SC2046 # words
	$(sed -n 's/^CC = //p' Makefile) -I"$(find "$1" -type d -path '*/include')" -o "$work/front" "$work/front.c" \
		-L"$lib" -lparavane-front $(pkg-config --cflags --libs xengnttab xenevtchn xenstore) >"$work/log" 2>&1 ||
		fail "no program can be built with the library: $(tail -n 5 "$work/log")"
	LD_LIBRARY_PATH=$lib "$work/front" || fail "a program with the library does not run"
}

installed()
{
	local want

	make -s install DESTDIR="$work/root" >"$work/log" 2>&1 || fail "make install: $(tail -n 5 "$work/log")"
	(cd "$work/root" && find . ! -type d | sort) >"$work/installed"
	for want in sbin/paravane-blkback sbin/paravane-netback sbin/paravane-flip bin/paravane bin/localxen \
		scripts/block-paravane scripts/vif-paravane scripts/paravane-hotplug.sh \
		system/paravane-blkback.service system/paravane-metrics.service system/paravane-netback.service \
		man1/paravane.1 man8/paravane-blkback.8 man8/paravane-netback.8 man1/localxen.1 \
		man3/paravane-front.3 man3/blkfront_open.3 man3/blkfront_close.3 \
		completions/paravane completions/paravane-blkback completions/paravane-netback \
		completions/paravane-blkfront completions/paravane-netfront completions/localxen \
		pkgconfig/paravane-front.pc include/paravane/blkfront.h libparavane-front.so.1 \
		localxen/libxengnttab.so.1 doc/paravane/toolstack.md examples/modprobe-paravane.conf; do
		grep -q "/$want\$" "$work/installed" || fail "make install: no $want"
	done
	completed "$(find "$work/root" -type d -name completions)"
	usable "$work/root"
	! grep -rl '@[a-z]*dir@' "$work/root" --include='*.service' --include='*.pc' || fail "see above: not filled in"
	make -s uninstall DESTDIR="$work/root" >"$work/log" 2>&1 || fail "make uninstall: $(tail -n 5 "$work/log")"
	! find "$work/root" ! -type d | grep . || fail "make uninstall leaves these"
	echo "installed and taken away: $(wc -l <"$work/installed") files"
}

# contents DIR: files of all packages, without those that hold the build's own names
contents()
{
	local deb

	for deb in "$1"/*.deb; do
		case $deb in *dbgsym*) continue ;; esac
		dpkg-deb -c "$deb" | awk -v p="${deb##*/}" '{ print p, $1, $2, $6 }'
	done | sort
}

# documented DIR: the pages are in a package, under the names that others call them by.
documented()
{
	local page pages

	pages=$(dpkg-deb -c "$1"/paravane-doc_*.deb | awk '{ print $6 }') || fail "no package of the pages"
	for page in "$srcdir"/*.md "$srcdir"/docs/*.md; do
		grep -qx "./usr/share/doc/paravane/${page##*/}" <<<"$pages" ||
			fail "paravane-doc has no ${page##*/}: $(grep -F "${page##*/}" <<<"$pages")"
	done
	dpkg-deb --fsys-tarfile "$1"/paravane_*.deb | tar xO --wildcards '*/paravane-*.service' |
		sed -n 's/.*file:\(.*\)/.\1/p' | sort -u >"$work/named"
	[ -s "$work/named" ] || fail "the units name no page"
	! grep -vxF "$pages" "$work/named" || fail "paravane-doc has no such file, and a unit names it"
}

packaged()
{
	local program

	for program in dh lintian git; do
		command -v $program >/dev/null || { echo "no $program here (tools/install-deps)"; exit 77; }
	done
	export DEB_BUILD_OPTIONS=parallel=$(nproc)
	make deb >"$work/log" 2>&1 || { cp "$work/log" "$top/deb.log"; fail "make deb: $(tail -n 20 "$work/log")"; }
	lintian --allow-root --fail-on error,warning --no-tag-display-limit deb/*.changes >"$work/lintian" 2>&1 ||
		fail "lintian: $(cat "$work/lintian")"
	! grep -E '^[EW]:' "$work/lintian" || fail "lintian: see above"
	documented deb
	# The other source: a clone. What a tree has that is not committed is not tested here.
	git clone -q "$srcdir" "$work/clone/paravane" || fail "git clone"
	(cd "$work/clone/paravane" && DEB_BUILD_OPTIONS="$DEB_BUILD_OPTIONS nocheck" dpkg-buildpackage -us -uc) \
		>"$work/log" 2>&1 || fail "dpkg-buildpackage in a clone: $(tail -n 20 "$work/log")"
	contents deb >"$work/a"
	contents "$work/clone" >"$work/b"
	diff "$work/a" "$work/b" || fail "the packages of a clone and of the tarball are not alike"
	ls "$work"/clone/paravane_*.dsc >/dev/null || fail "no source package"
	echo "packages: $(cd deb && ls *.deb | grep -v dbgsym | tr '\n' ' ')"
}

installed
if grep -q '^PV_SANITIZE = .' Makefile || [ ! -e "$srcdir/.git" ]; then
	echo "packages: built by this test in a clone's build without sanitizers"
elif [ "${PV_FULL:-}" = 1 ]; then
	packaged
else
	echo "deferred: Debian packages, built from the tarball and from a clone, and lintian"
fi
