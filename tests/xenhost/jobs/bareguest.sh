# SPDX-License-Identifier: LGPL-2.1-or-later
# about: a guest without an operating system: boots, tries itself; its disk by our front end, on our back end, the kernel's and QEMU's
# quick: yes
# needs: tests/bareguest/bareguest paravane-blkback
# timeout: 1000

milliseconds() { echo $(($(date +%s%N) / 1000000)); }

before=$(milliseconds)
bare_create self "memory; events; store" paused=1
xl unpause self
start=$(milliseconds)
until bare_said self '^bareguest:' || [ $(($(milliseconds) - start)) -gt 60000 ]; do sleep 0.02; done
first=$(milliseconds)
check "it boots" bare_says self '^bareguest: [0-9]+ pages on Xen 4'
say "xl took $((start - before)) ms; the first line was seen $((first - start)) ms after that"
check "it passes its own tests" bare_passes self

bare_create trapped "trap; store"
check "a trap is reported" bare_says trapped '^bareguest: trap 14 \(page fault\), error 2, at ffffffff80[0-9a-f]*, address 123456'
check "and ends the domain" bare_gone trapped
check "at once" equal "" "$(bare_log trapped | grep -a 'passed,' || true)"

# try_disk KIND: all of the disk but its last half MiB.
try_disk()
{
	local kind=$1 file size=$((12 << 20))

	file=$(image "bare-$kind" 12)
	truncate -s $((size - 524288)) "$file"
	bare_create "bare-$kind" "disk 51712 4 bench; disk 51712 3; disk 51712 verify" paused=1
	case $kind in
	vbd)	kernel_disk "bare-$kind" xvda "$file" ;;
	qdisk)	qdisk "bare-$kind" xvda "$file" ;;
	vbd3)	our_disk "bare-$kind" xvda "$file" vbd3 ;;
	esac
	xl unpause "bare-$kind"
	check "$kind: reads, writes, closes, opens again" bare_passes "bare-$kind" 200
	bare_log "bare-$kind" | grep -a '^disk: '
	check "$kind: the file has what it wrote" equal "pattern $((size - 524288))" "$(bare_pattern "$file")"
}

# bare_pattern FILE: how much of it is as cmd-disk.c has it.
bare_pattern()
{
	perl -e '
		use integer;
		open(my $in, "<", $ARGV[0]) or die; binmode $in;
		my ($n, $word) = (0, 0);
		while (read($in, $word, 8) == 8) {
			my $v = ($n / 8 + 1) * 0x9e3779b97f4a7c15;
			no integer;
			$v ^= $v >> 29;
			last if unpack("Q", $word) != $v;
			$n += 8;
		}
		print "pattern $n\n";' "$1" 2>&1
}

modprobe loop
modprobe xen-blkback
for kind in vbd3 qdisk vbd; do
	try_disk $kind
done
