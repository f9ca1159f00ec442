# SPDX-License-Identifier: LGPL-2.1-or-later
# about: two guests and four disks at once; a CD, and a drive whose CDs are changed; 42 disks of one guest, to beyond xvdz
# needs: paravane-blkback
# timeout: 1000

[ "$XH_BACKEND" = ours ] || skip "it is about our back end"
our_backend vbd

guest_start ma pv
held=$(grants_held ma)	# xenstored has its ring
guest_start mb pv

# Two guests, four disks.
for guest in ma mb; do
	for disk in xvda xvdb; do
		our_disk $guest $disk "$(image $guest-$disk 24)"
	done
done
for guest in ma mb; do
	for disk in xvda xvdb; do
		check "$disk of $guest connects" disk_connected $guest $disk vbd
		guest_background $guest fio-$disk "fio --name=v --filename=/dev/$disk --rw=randwrite --bsrange=4k-32k --size=20m \
			--io_size=8m --ioengine=libaio --direct=1 --iodepth=16 --verify=crc32c --verify_fatal=1 --minimal >/dev/null"
	done
done
for guest in ma mb; do
	for disk in xvda xvdb; do
		check "fio verifies $disk of $guest while the others write" guest_wait $guest fio-$disk 200
	done
done
guest_stop mb

# A CD, and a drive without one.
mkdir -p $xh_run/images/cd
seq 5000 >$xh_run/images/cd/numbers
genisoimage -quiet -R -o $xh_run/images/cd.iso $xh_run/images/cd
our_disk ma xvdc $xh_run/images/cd.iso mode=r device-type=cdrom removable=1
check "the CD connects" disk_connected ma xvdc vbd
check "its info says CD, removable, read-only" equal 7 "$(xs "$(disk_be ma xvdc vbd)/info")"
check "the guest has it read-only, with its size" equal "1 $(($(stat -c %s $xh_run/images/cd.iso) / 512))" \
	"$(guest_run ma 'echo $(cat /sys/block/xvdc/ro /sys/block/xvdc/size)')"
check "the guest mounts it and reads" guest_run ma 'mkdir -p /cd && mount -t iso9660 -o ro /dev/xvdc /cd && seq 5000 | cmp - /cd/numbers && umount /cd'
check "the CD goes" disk_detach ma xvdc vbd
our_disk ma xvdd "" mode=r device-type=cdrom removable=1 params=
check "an empty drive connects" disk_connected ma xvdd vbd
check "the guest has a drive of no sectors" equal 0 "$(guest_run ma 'cat /sys/block/xvdd/size')"

# change_cd FILE COUNT: another medium in the connected drive; "" takes it out.
change_cd()
{
	local sectors=0

	[ -z "$1" ] || sectors=$(($(stat -c %s "$1") / 512))
	xenstore-write "$(disk_be ma xvdd vbd)/params" "$1"
	check "the guest sees $sectors sectors" wait_for 60 guest_run ma "[ \$(cat /sys/block/xvdd/size) = $sectors ]"
	[ -z "$1" ] || check "and mounts and reads" guest_run ma "
		mount -t iso9660 -o ro /dev/xvdd /cd && seq $2 | cmp - /cd/numbers && umount /cd"
}

seq 900000 >$xh_run/images/cd/numbers
genisoimage -quiet -R -o $xh_run/images/other.iso $xh_run/images/cd
front=$(xs "$(disk_fe ma xvdd)/event-channel")
change_cd $xh_run/images/cd.iso 5000
change_cd $xh_run/images/other.iso 900000
change_cd ""
change_cd $xh_run/images/cd.iso 5000
check "the guest has stayed connected" equal "$front 4" \
	"$(xs "$(disk_fe ma xvdd)/event-channel") $(xs "$(disk_fe ma xvdd)/state")"
check "xl's word for this is for emulated drives" eval "{ xl cd-insert ma xvdd $xh_run/images/cd.iso 2>&1 || true; } | grep 'requires an HVM domain'"
check "the empty drive goes" disk_detach ma xvdd vbd

# Many, named by paravane itself: xvdc to xvdp, then extended numbers.
nr=40
before=$SECONDS
for ((i = 0; i < nr; i++)); do
	file=$xh_run/images/many$i
	truncate -s 1M $file
	echo "disk $i" | dd of=$file conv=notrunc status=none
	paravane attach-disk ma $file --no-wait >/dev/null
done
all_connected() { [ "$(paravane list ma | grep -c 'Connected.*Connected')" = $((nr + 2)) ]; }
check "$nr more disks connect" wait_for 150 all_connected
say "in $((SECONDS - before)) s"
check "the guest has them by their names" equal "$((nr + 2)) xvdaa xvdap xvdq xvdz" \
	"$(guest_run ma 'cd /sys/block; echo $(ls -d xvd* | wc -l) $(ls -d xvdaa xvdap xvdq xvdz)')"
check "each is its own" guest_run ma 'i=0; for d in c d e f g h i j k l m n o p q r s t u v w x y z \
	aa ab ac ad ae af ag ah ai aj ak al am an ao ap; do [ "$(head -n 1 /dev/xvd$d)" = "disk $i" ] || exit 1; i=$((i + 1)); done' 120
check "one worker for each" equal $((nr + 2)) "$(pgrep -c -P "${our_pid[vbd]}")"
free -m | head -n 2
before=$SECONDS detaching=
for device in $(paravane list ma | sed -n 's/.*\(xvd[a-z]*\) .*/\1/p'); do
	paravane detach ma $device --wait 100 >/dev/null &
	detaching="$detaching $!"
done
for pid in $detaching; do
	check "a disk is detached" wait $pid
done
say "all detached in $((SECONDS - before)) s"
check "the guest has none" equal 0 "$(guest_run ma 'ls -d /sys/block/xvd* 2>/dev/null | wc -l')"
check "no worker is left" wait_for 20 eval '! pgrep -P '"${our_pid[vbd]}"' >/dev/null'
check "no node is left" wait_for 20 eval '[ -z "$(xenstore-list /local/domain/0/backend/vbd/'"$(guest_domid ma)"' 2>/dev/null)" ]'
check "no grant is held" equal "$held" "$(grants_held ma)"
guest_stop ma
