# SPDX-License-Identifier: LGPL-2.1-or-later
# about: pages that change owner, with no device between: dom0's process gives, a bare guest takes and gives back
# needs: tests/bareguest/bareguest tests/give-pages
# stores: one
# timeout: 750

give=$XH_BUILD/tests/give-pages

offers() { xenstore-exists "/local/domain/$(guest_domid "$1")/data/flip/nr"; }

# round GUEST: gives what it offers; prints the statuses.
round()
{
	wait_for 60 offers "$1" || return 1
	"$give" "$(guest_domid "$1")"
}

own=$(pages_of 0)
check "the pages of dom0 are counted" test "${own:-0}" -gt 1000

bare_create fg "flip receive 256 0; flip receive 255 0; flip receive 16 0; idle 5"
domid=$(guest_domid fg)
for nr in 256 255 16; do
	check "$nr pages are taken from us" equal "status 0: $nr" "$(round fg)"
	check "it has seen them" bare_says fg "^flip: $nr of $nr pages came, 0 words wrong"
done
check "all as offered, all given back" bare_says fg "^flip: 527 offered, 527 taken, 0 none, 527 given"
check "it has what it was left with" equal $((8192 - 1024)) "$(pages_of "$domid")"
check "it ends well" bare_passes fg
check "dom0 has as many pages as before" equal "$own" "$(pages_of 0)"

# spoilt HOW: a guest that offers what cannot be used costs itself only.
spoilt()
{
	bare_create bad "flip receive 64 0 $1"
	check "$1: nothing is taken" equal "status -1: 64" "$(round bad)"
	check "and it has nothing" bare_says bad "^flip: 0 of 64 pages came"
	check "it ends" bare_passes bad
	check "dom0 has as many pages as before" equal "$own" "$(pages_of 0)"
}
spoilt full
spoilt access
spoilt other

# Entries that change meanwhile: each is taken or not, and none is half taken.
bare_create shaky "flip receive 256 0 unstable; flip receive 256 0"
statuses=$(round shaky)
say "entries that changed meanwhile:" $statuses
check "each has a status of its own" equal 256 "$(echo "$statuses" | awk '{ n += $3 } END { print n }')"
taken=$(echo "$statuses" | awk '$2 == "0:" { n = $3 } END { print n + 0 }')
check "the guest has the pages that were taken" bare_says shaky "^flip: $taken of 256 pages came, 0 words wrong"
check "another 256 are taken from us" equal "status 0: 256" "$(round shaky)"
check "it ends well" bare_passes shaky
check "dom0 has as many pages as before" equal "$own" "$(pages_of 0)"
