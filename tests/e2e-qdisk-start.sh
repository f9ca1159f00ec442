#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Debian's QEMU, which nobody here wrote, starts its qdisk back end for a guest of
# local Xen and offers the disk (state 2, InitWait).
. "${srcdir:-$(dirname "$0")/..}/tests/lib.sh"
qemu=
for q in /usr/libexec/xen-qemu-system-i386 /usr/lib/xen/bin/qemu-system-i386; do
	[ -x $q ] && qemu=$q && break
done
[ -n "$qemu" ] || skip "no xen-qemu-system-i386 (Debian package qemu-system-xen)"
own_xen "$@"

g=$("$LOCALXEN" domain) || fail "no domain"
truncate -s 8M "$tmp/disk"
be=/local/domain/0/backend/qdisk/$g/51712
fe=/local/domain/$g/device/vbd/51712
xenstore-write $fe/backend $be $fe/backend-id 0 $fe/state 1 $fe/virtual-device 51712 \
	$fe/device-type disk $be/frontend $fe $be/frontend-id $g $be/online 1 \
	$be/removable 0 $be/bootable 1 $be/dev xvda $be/type qdisk $be/mode w \
	$be/device-type disk $be/discard-enable 1 $be/params "aio:$tmp/disk" $be/state 1
xenstore-chmod -r $be n0 r$g
xenstore-chmod -r $fe n$g r0
"$qemu" -xen-domid $g -xen-attach -M xenpv -nodefaults -nographic -no-user-config \
	-serial none -monitor none -m 16 </dev/null >"$tmp/qemu.log" 2>&1 &
pid=$!
state_is() { [ "$(xenstore-read $be/state 2>/dev/null)" = "$1" ]; }
wait_for 60 state_is 2 || fail "qdisk is in state $(xenstore-read $be/state); QEMU says:
$(cat "$tmp/qemu.log")"
reads 1 xenstore-read $be/feature-flush-cache
reads 4 xenstore-read $be/max-ring-page-order
kill $pid
wait $pid
nothing_left
say ok
