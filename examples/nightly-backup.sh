#!/usr/bin/env bash
# nightly-backup.sh - a backup for cron: one at a time, watched while it runs, tidied up when it dies
#
#	nightly-backup.sh FOLDER TARGET
#
# Packs FOLDER into TARGET/NAME-DATE.tar.gz, which is there whole or not at all.  A second one that starts while the first still runs waits
# for nothing and exits 0; one whose machine was switched off half-way is found dead by the next, or by `dpl-cleanup --sweep`, and its
# half-made archive is removed.  How far it is: `dpl-show`.  Needs a ledger that every run shares: DPL_LEDGER, else TARGET/.ledger.
#
#	17 3 * * *  nightly-backup.sh /srv/data /var/backups
set -euo pipefail

if [ $# -ne 2 ] || [ ! -d "$1" ] || [ ! -d "$2" ]; then
	echo 'usage: nightly-backup.sh FOLDER TARGET' >&2
	exit 2
fi
folder=$(realpath "$1") target=$(realpath "$2")
name=$(basename "$folder")-$(date -u +%Y%m%d)
export DPL_LEDGER=${DPL_LEDGER:-$target/.ledger} DPL_PARTICIPANT=backup

# What died since the last time is tidied up first.
[ ! -d "$DPL_LEDGER" ] || dpl-cleanup -q --sweep || true

# The lock: a live operation of this name is somebody at work.
exec {lock}>"$target/.lock"
flock -n "$lock" || {
	echo 'nightly-backup: another one is at work' >&2
	exit 0
}
eval "$(dpl-create --export -d "backup of $folder" --keep $$)"
trap 'dpl-complete -q --failed -m "it was interrupted" 2>/dev/null || true; exit 130' INT TERM HUP

# Whatever happens from here on, the half-made archive goes: it is registered before it is there.
part=$(dpl-temp make --tmpdir="$target" ".$name.XXXXXX")
total=$(du -sk --apparent-size "$folder" | cut -f 1)

# A record of tar has 10 KiB; every hundredth is progress.  The call ends as tar does.
export total
# shellcheck disable=SC2016 # tar expands it
dpl-call -q -d "pack $total KiB" -- tar -C "$(dirname "$folder")" -czf "$part" --checkpoint=100 \
	--checkpoint-action=exec='dpl-beat -q --progress "$((TAR_CHECKPOINT * 10))/$total" -m packing' "$(basename "$folder")" || {
	status=$?
	dpl-complete -q --failed -m "tar ended with status $status"
	exit "$status"
}
dpl-beat -q --progress "$total/$total" -m checking
dpl-call -q -d 'check' -- gzip -t "$part"
# It is whole: from now on it stays, under its own name.
dpl-temp remove -q --keep "$part"
mv "$part" "$target/$name.tar.gz"
dpl-complete -q -m "$(stat -c %s "$target/$name.tar.gz") bytes"
