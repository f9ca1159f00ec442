# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Where the microseconds of CPU time of one operation go: parts (a file that says where its
# figures are from) to out; high: the axis' end; work: what the last part is.
set terminal svg size 840,270 noenhanced font 'Arial,12' background '#ffffff'
set output out
set border 0
set tics scale 0
set key at screen 0.115,0.24 left top vertical samplen 1 reverse Left
set bmargin at screen 0.44
set tmargin at screen 0.97
set lmargin at screen 0.115
set rmargin at screen 0.97
set xrange [0:high]
set yrange [2.6:-0.6]
set xlabel 'microseconds of CPU time, guest and back end together' offset 0,0.3
set grid xtics lc rgb '#dddddd' lt 1
set style fill solid 1 noborder
plot parts using (0):1:(0):($3):($1 - 0.32):($1 + 0.32):ytic(7) with boxxyerror lc rgb '#c0392b' title 'trapped register accesses', \
	'' using (0):1:($3):($3 + $4):($1 - 0.32):($1 + 0.32) with boxxyerror lc rgb '#2f6fb5' title 'notifying: exit, wake-up, interrupt; Xen: and polling', \
	'' using (0):1:($3 + $4):($6):($1 - 0.32):($1 + 0.32) with boxxyerror lc rgb '#2a9d78' title work, \
	'' using ($2 > 0 ? 0 : $6 + high / 100):($1):(sprintf($2 > 0 ? '' : '%.1f = %.1f + %.1f', $6, $4, $5)) with labels left notitle, \
	'' using ($2 > 0 ? high / 50 : NaN):($1):(sprintf('%.0f = %.0f (%g x 17.0) + %.0f', $6, $3, $2, $5)) with labels left tc rgb '#ffffff' notitle
