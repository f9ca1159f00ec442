# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Which QEMU runs the hosts: the machine's own, or the one that build-qemu has made of the
# same version, with a mend that HVM guests need. Sourced by run and build-qemu, after fetch.sh.

# The source version of the package that the machine's QEMU is of; nothing if it is of none.
qemu_version() { dpkg-query -W -f '${source:Version}\n' qemu-system-x86 2>/dev/null; }

# qemu_built VERSION: where build-qemu puts it, which another patch or way to build changes.
qemu_built()
{
	echo "$xh_cache/qemu-$1-$(cat "$xh_dir/svm.patch" "$xh_dir/build-qemu" | sha256sum | cut -c 1-8)/qemu-system-x86_64"
}

# Sets $qemu, and $qemu_is_mended to yes or to nothing.
choose_qemu()
{
	qemu=$(qemu_built "$(qemu_version)")
	qemu_is_mended=yes
	[ -x "$qemu" ] || qemu=qemu-system-x86_64 qemu_is_mended=
}
