# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The jobs of a boot, one after another, as far as the time goes. Knows neither
# Xen nor what running one takes (run_job): it is tested without a host.

run_all_jobs()
{
	local job

	for job in $XH_JOBS; do
		if [ -n "$XH_BUDGET" ] && [ "$SECONDS" -ge "$XH_BUDGET" ]; then
			mkdir -p "$results/$job"
			echo deferred >"$results/$job/status"
		else
			run_job "$job"
		fi
	done
}
