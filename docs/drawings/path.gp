# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Draws the path of one operation: who does what, top to bottom, and what goes between them.
# docs/drawings/make gives it a file of steps:
#
#   Y KIND FROM TO "text"
#
# KIND 1 is work, a box in lane FROM; 2 a crossing that a program has to serve; 3 one that stays
# in the hypervisor's kernel, or a plain wake-up; 4 memory that both see, written by FROM and read by TO.
# Lanes are 1 (the guest), 2 (the hypervisor), 3 (who serves the device).
set terminal svg size 840,high noenhanced font 'Arial,12' background '#ffffff'
set output out
unset key
unset tics
set border 0
set lmargin at screen 0.01
set rmargin at screen 0.99
set tmargin at screen 0.999
set bmargin at screen 0.001
set xrange [0.5:3.5]
set yrange [last + 0.8:-0.9]
do for [lane = 1:3] {
	set arrow from lane,-0.35 to lane,last + 0.6 nohead lw 1 lc rgb '#c9d0d8' back
	set label (lane == 1 ? 'guest' : lane == 2 ? 'hypervisor' : server) at lane,-0.6 center font 'Arial Bold,13'
}
plot steps using ($2 == 1 ? $3 : NaN):1:(0.485):(0.38) with boxxyerror fs solid 1 border lc rgb '#cdddf0' lc rgb '#e4edf7', \
	'' using ($2 == 1 ? $3 : NaN):1:5 with labels center font 'Arial,11', \
	'' using ($2 == 2 ? $3 : NaN):($1 + 0.14):($4 - $3):(0) with vectors head filled size 0.035,20 lw 2 lc rgb '#c0392b', \
	'' using ($2 == 3 ? $3 : NaN):($1 + 0.14):($4 - $3):(0) with vectors head filled size 0.035,20 lw 2 lc rgb '#2f6fb5', \
	'' using ($2 == 4 ? $3 : NaN):($1 + 0.14):($4 - $3):(0) with vectors head filled size 0.035,20 lw 1.5 dt 2 lc rgb '#5f6b77', \
	'' using ($2 > 1 ? ($3 + $4) / 2.0 : NaN):($1 - 0.2):5 with labels center font 'Arial,11'
