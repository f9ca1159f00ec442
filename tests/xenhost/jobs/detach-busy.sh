# SPDX-License-Identifier: LGPL-2.1-or-later
# about: a guest that refuses a detach while the disk is mounted (Debian 11's kernel; tests/xenhost/fetch-older)
# needs: paravane-blkback
# timeout: 600

older=$(dirname "$XH_PACKAGES")/older
[ -e $older/guest.cpio ] || skip "no kernel whose blkfront refuses: tests/xenhost/fetch-older fetches one"
[ "$XH_BACKEND" = ours ] || skip "it is about our back end"
cp $older/vmlinux $xh_run/boot/vmlinux-older
cp $older/guest.cpio $xh_run/boot/guest-older.cpio

our_backend vbd
file=$(image busy 32)
guest_start db pv kernel=$xh_run/boot/vmlinux-older ramdisk=$xh_run/boot/guest-older.cpio \
	disk="$(xl_disk xvda rw "$file")"
check "the disk connects" disk_connected db xvda vbd
check "it is mounted" guest_run db 'mkfs.ext4 -q /dev/xvda && mkdir -p /mnt && mount -t ext4 /dev/xvda /mnt && seq 1000 >/mnt/numbers && sync'

check "paravane says that the guest refuses" equal 6 "$(paravane detach db xvda --wait 10 >$xh_run/said 2>&1; echo $?)"
cat $xh_run/said
check "and why" grep -q "stays attached: .*in use" $xh_run/said
check "both ends are closing" disk_states db xvda vbd 5 5
check "the mounted disk is served on" guest_run db 'echo 3 >/proc/sys/vm/drop_caches; seq 1000 | cmp - /mnt/numbers &&
	seq 50000 >/mnt/more && sync && echo 3 >/proc/sys/vm/drop_caches && seq 50000 | cmp - /mnt/more'
xl block-detach db xvda && die "xl takes a mounted disk away"
check "xl's attempt takes nothing from it either" guest_run db 'seq 5000 >/mnt/evenmore && sync'
check "the guest saw no error" guest_run db '! dmesg | grep -iE "I/O error|EXT4-fs error"'

check "unmounted" guest_run db 'umount /mnt'
check "both ends close by themselves" wait_for 30 disk_states db xvda vbd 6 6
check "the disk goes" paravane detach db xvda --wait 30
check "no node is left" eval "! xenstore-exists $(disk_be db xvda vbd)/state"
check "what was written is in the image" eval "debugfs -R 'cat /evenmore' $file 2>/dev/null | cmp - <(seq 5000)"
guest_stop db
