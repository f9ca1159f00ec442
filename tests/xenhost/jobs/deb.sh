# SPDX-License-Identifier: LGPL-2.1-or-later
# about: the Debian packages in dom0: installed, started by their units under systemd, used by xl, upgraded, as docs/operations.md prints it
# needs: deb/built
# stores: one
# timeout: 1500
# boot: own

[ "$XH_BACKEND" = ours ] || skip "it is about our packages"
own="$XH_DIR/../own-systemd"
sd=$xh_run/systemd
# All of it is inside: daemons, xl and its scripts see each other's processes.
if [ -z "$inside" ]; then
	mkdir -p "$sd"
	check "a systemd starts" "$own" start "$sd" --keep-run
	inside=yes "$own" in "$sd" bash -c '. "$XH_DIR/dom0-lib.sh"; . "$0"' "${BASH_SOURCE[0]}"
	"$own" stop "$sd"
	return
fi
mount -t xenfs xenfs /proc/xen

# Nothing but what the packages bring may be found.
rm -f /etc/xen/scripts/{block-paravane,vif-paravane,paravane-hotplug.sh}
PATH=${PATH//"$XH_BUILD:$XH_BUILD/tools:"/}
check "nothing of ours is there before" eval '! command -v paravane'

# Reading the archive's lists takes minutes under emulation; dpkg is what does the work.
apt() { dpkg --no-triggers -i "${@:2}"; }

cd "$XH_BUILD/deb"
printed "dom0 install"
check "dpkg has it" eval "dpkg -s paravane | grep -q '^Status: install ok installed'"
check "nothing was started" eval '! pgrep -af "^/usr/sbin/paravane-"'
check "the programs are the packaged ones" equal /usr/sbin/paravane-blkback "$(command -v paravane-blkback)"
check "the other packages can be installed" dpkg --no-triggers -i libparavane-front{1,-dev}_*_amd64.deb paravane-localxen_*_amd64.deb
page=$(sed -n 's/^Documentation=.*file://p' /lib/systemd/system/paravane-blkback.service)
check "the page that the unit names is there" grep -q '^# ' "$page"
echo 'void *volatile used = blkfront_open; int main(void) { return !used; }' >/tmp/front.c
check "a program is built with the library" eval 'cc -include paravane/blkfront.h -o /tmp/front /tmp/front.c $(pkg-config --cflags --libs paravane-front)'
check "it runs with the packaged one" eval '/tmp/front && ldd /tmp/front | grep -q "libparavane-front.so.1 => /usr/lib/\|=> /lib/"'
check "local Xen begins" localxen run -- xenstore-ls /local
modprobe -a xen-blkback xen-netback tun
cp /lib/systemd/system/paravane-{blkback,metrics,netback}.service "$sd/units/"
systemctl daemon-reload

check "the unit is refused beside the kernel's back end" eval '! systemctl start paravane-blkback'
printed "dom0 ask" 1 | tee $xh_run/doctor
check "doctor names both modules" equal 2 "$(grep -c 'own back end, xen-.*, is loaded' $xh_run/doctor)"
printed "dom0 begin"
check "both are active" eval 'systemctl is-active paravane-blkback && systemctl is-active paravane-netback'
check "both are enabled" eval 'systemctl is-enabled paravane-blkback && systemctl is-enabled paravane-netback'
paravane doctor | tee $xh_run/doctor || true
check "doctor has no problem with this host" eval "! grep '^problem' $xh_run/doctor"
check "doctor knows the grants" grep -q '^ok *maptrack' $xh_run/doctor

printed "dom0 images"
guest_start web pv disk="$(printed_text xl.cfg disk)" vif="$(printed_text xl.cfg vif)"
domid=$(guest_domid web)
check "the disk is connected" disk_connected web xvda vbd
check "the interface is connected" nic_connected web 0
check "the whole sandbox is on" eval "grep -x 'sandbox=user files network calls capabilities' /run/paravane/blkback/vbd-$domid-51712.info"
check "the guest's data is in the image" eval "guest_run web 'seq 1000 >/tmp/a; dd if=/tmp/a of=/dev/xvda conv=fsync' && [ \"\$(head -n 1000 /srv/web.img | tail -n 1)\" = 1000 ]"
printed "dom0 attach"
check "the second disk is connected" disk_connected web xvdb vbd
check "the second interface is connected" nic_connected web 1
printed "dom0 look"
printed "dom0 metrics"
ip link set lo up
ask_metrics() { { printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3 && cat <&3 >$xh_run/metrics; } 3<>/dev/tcp/127.0.0.1/9758; }
check "metrics can be asked" wait_for 30 ask_metrics
check "the second disk is counted" grep -q '^paravane_disk_requests_total{.*device="xvdb"' $xh_run/metrics
printed "dom0 detach"
check "nothing of the second disk is left" nothing_left "$domid" "$(disk_number xvdb)"
printed "dom0 paravane"

# served NAME: a third disk, written and read back by the guest.
served()
{
	check "$1 is attached" paravane attach-disk web "$1" xvdc
	guest_run web 'dd if=/tmp/a of=/dev/xvdc conv=fsync'
	check "$1 holds what the guest wrote" guest_run web 'echo 3 >/proc/sys/vm/drop_caches; head -n 1000 /dev/xvdc | cmp - /tmp/a'
	check "its whole sandbox is on" eval "grep -x 'sandbox=user files network calls capabilities' /run/paravane/blkback/vbd-$domid-$(disk_number xvdc).info"
}
if command -v qemu-nbd && command -v qemu-img; then
	qemu-img create -q -f qcow2 /srv/third.qcow2 16M
	served qcow2:/srv/third.qcow2
	paravane detach web xvdc
	check "its server has ended" wait_for 20 eval '! pgrep -f "^qemu-nbd .*third"'
	check "its image is whole" qemu-img check -q /srv/third.qcow2
else
	say "no qemu-nbd here: not tried under the unit"
fi
modprobe loop
loop=$(losetup -f --show /srv/more.img)
served "raw+cache=none:$loop"
check "it is past the page cache" grep -q '^engine=direct' "/run/paravane/blkback/vbd-$domid-$(disk_number xvdc).info"
paravane detach web xvdc
losetup -d "$loop"

guest_writes web xvda
check "the guest writes" wait_for 30 guest_run web '[ $(awk "{ print \$5 }" /sys/block/xvda/stat) -gt 100 ]'
before=$(systemctl show -P MainPID paravane-blkback)
printed "dom0 upgrade"
check "another process serves" eval '[ "$(systemctl show -P MainPID paravane-blkback)" != '"$before"' ]'
check "the disk is connected yet" disk_connected web xvda vbd
check "what the guest wrote is right" guest_writes_end web
check "no I/O error" guest_run web '! dmesg | grep -i "i/o error"'
guest_stop web
check "nothing is left of the guest" nothing_left "$domid"
systemctl disable --now paravane-metrics
printed "dom0 back"
check "the daemons have ended" eval '! pgrep -af "^/usr/sbin/paravane-"'
check "the kernel's back ends are there" eval '[ -d /sys/bus/xen-backend/drivers/vbd ] && [ -d /sys/bus/xen-backend/drivers/vif ]'
rmmod xen-blkback xen-netback
printed "dom0 driver"
check "the daemon runs as in a driver domain" eval 'tr "\\0" " " </proc/$(systemctl show -P MainPID paravane-blkback)/cmdline | grep -e "--driver-domain"'
[ ! -e /usr/sbin/policy-rc.d ] || mount --bind /dev/null /usr/sbin/policy-rc.d
check "dpkg removes them, with their settings" dpkg --no-triggers -P paravane paravane-doc paravane-localxen libparavane-front{-dev,1}
check "that stopped the daemon" eval '! pgrep -af "^/usr/sbin/paravane-"'
check "nothing of them is left" eval '! ls /etc/xen/scripts /usr/bin /usr/sbin /usr/include /usr/lib/*/pkgconfig /usr/share/doc /lib/systemd/system | grep -e paravane -e localxen'
