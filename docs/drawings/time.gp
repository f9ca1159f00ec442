# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Where the microseconds of CPU time of one 4 KiB read go. Figures of tests/compare-kvm.json:
# an access to a register is (ATA PIO write - ATA DMA write) / (2057 - 15) exits = 17.0 us; the
# work is what the same read costs at depth 32, where notifications are shared; notifying is the rest.
set terminal svg size 840,270 noenhanced font 'Arial,12' background '#ffffff'
set output 'time.svg'
set border 0
set tics scale 0
set key at screen 0.115,0.24 left top vertical samplen 1 reverse Left
set bmargin at screen 0.44
set tmargin at screen 0.97
set lmargin at screen 0.115
set rmargin at screen 0.97
set xrange [0:300]
set yrange [2.6:-0.6]
set xlabel 'microseconds of CPU time, guest and back end together' offset 0,0.3
set grid xtics lc rgb '#dddddd' lt 1
$d << E
# row, register accesses, notifying (exit, wake-up, interrupt), work (driver, ring, read), all
0 255.0 0 26.0 281.0 "ATA DMA"
1 0 25.3 2.1 27.5 "virtio"
2 0 37.8 3.0 40.8 "Xen ring"
E
set style fill solid 1 noborder
plot $d using (0):1:(0):($2):($1 - 0.32):($1 + 0.32):ytic(6) with boxxyerror lc rgb '#c0392b' title 'trapped register accesses', \
	'' using (0):1:($2):($2 + $3):($1 - 0.32):($1 + 0.32) with boxxyerror lc rgb '#2f6fb5' title 'notifying: exit, wake-up, interrupt', \
	'' using (0):1:($2 + $3):($5):($1 - 0.32):($1 + 0.32) with boxxyerror lc rgb '#2a9d78' title 'work: driver, ring, reading 4 KiB', \
	'' using ($5 > 200 ? 0 : $5 + 3):($1):(sprintf($2 > 0 ? '' : '%.1f = %.1f + %.1f', $5, $3, $4)) with labels left notitle, \
	'' using ($5 > 200 ? 6 : NaN):($1):(sprintf('%.0f = %.0f (15 x 17.0) + %.0f', $5, $2, $4)) with labels left tc rgb '#ffffff' notitle
