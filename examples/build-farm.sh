#!/usr/bin/env bash
# build-farm.sh [TREE] - several workers compress the files of a tree, and all that they share is a ledger
#
# The initiator creates an operation and starts the workers, each a process of its own.  A worker takes
# a file by starting the call `file-N`: the id of a call is unique in its operation, so of all that try
# exactly one gets it.  The checksum of what it read is the call's result, and from the ledger the
# initiator takes it to check the compressed file.  Who aborts the operation stops all of them.
#
#	TREE       the files to compress (/usr/share/doc)
#	WORKERS=4  how many workers
#	FILES=400  how many files at most; those above 256 KiB and *.gz are passed over
#	KEEP=1     leave the output and the ledger, and say where they are
#
# Needs dpl on PATH, bash, gzip and coreutils.  Exits 0 only when every file was checked and is right.
set -euo pipefail

tree=${1:-/usr/share/doc}
workers=${WORKERS:-4}
limit=${FILES:-400}
case $tree in -*) tree=./$tree ;; esac

# --- a worker ---

# compress FILE OUTPUT: print the checksum and size of FILE
compress() {
	gzip -nc <"$1" >"$2" && cksum <"$1"
}

# worker NAME
worker() {
	local i name sum answer status count=0
	answer=$(dpl-join --export -p "$1" --pid "$BASHPID")
	eval "$answer"
	for i in "${!files[@]}"; do
		name=${files[i]#"$tree"/}
		status=0
		answer=$(dpl-call start --id "file-$i" -d "compress ${name@Q}" 2>&1) || status=$?
		case $status in
		0) ;;
		6) continue ;; # another worker has it
		4) break ;;    # the operation is aborted: no new calls
		*) echo "$answer" >&2; exit "$status" ;;
		esac
		if sum=$(compress "${files[i]}" "$work/out/$i.gz"); then
			dpl-call end --result "$sum" "file-$i"
		else
			dpl-call fail -m "gzip ${name@Q} failed" "file-$i"
			dpl-log -l error "no output for file-$i"
		fi
		count=$((count + 1))
	done
	dpl-log "did $count of ${#files[@]} files"
	dpl-leave
}

# --- the initiator ---

problems=0
complain() {
	echo "build-farm: $*" >&2
	problems=$((problems + 1))
}

# Wait for all workers, without looking again and again.
wait_for_workers() {
	local name
	for name in "${!pids[@]}"; do
		wait "${pids[$name]}" || complain "$name failed"
		unset "pids[$name]"
	done
}

tidy() {
	if [ "${KEEP:-}" ]; then
		echo "kept: $work"
	else
		rm -rf "$work"
	fi
}

# Ctrl-C: the workers finish the file that they are at.
interrupted() {
	trap '' INT TERM
	echo "build-farm: stopping the workers" >&2
	dpl-abort -m interrupted || :
	wait_for_workers
	dpl-complete --cancel || :
	exit 130
}

# The results, one a line: number of the file, worker, milliseconds, checksum, size.
results() {
	dpl-show --trail --json "$DPL_OPERATION" | sed -n '/"event":"call\.ended"/ {
		s/.*"by":"\([^"]*\)".*"callId":"file-\([0-9]*\)".*"durationMs":\([0-9]*\).*"result":"\([^"]*\)".*/\2 \1 \3 \4/p
	}'
}

# Every file: its call has ended, and the output, unpacked, has the checksum that the call gave as
# its result, which is the file's own.
check() {
	local i who ms sum size n
	local -A result=() count=() bytes=() packed=() time=()
	while read -r i who ms sum size; do
		result[$i]="$sum $size"
		count[$who]=$((${count[$who]:-0} + 1))
		bytes[$who]=$((${bytes[$who]:-0} + size))
		time[$who]=$((${time[$who]:-0} + ms))
		size=$(stat -c %s "$work/out/$i.gz") || size=0
		packed[$who]=$((${packed[$who]:-0} + size))
	done < <(results)
	for i in "${!files[@]}"; do
		if [ -z "${result[$i]:-}" ]; then
			complain "no result of file-$i, ${files[i]@Q}"
		elif [ "$(gzip -dc "$work/out/$i.gz" | cksum)" != "${result[$i]}" ]; then
			complain "file-$i does not unpack to what went in, ${files[i]@Q}"
		elif [ "$(cksum <"${files[i]}")" != "${result[$i]}" ]; then
			complain "file-$i is not as it is in the tree, ${files[i]@Q}"
		fi
	done
	n=$(dpl-call list -q | wc -l)
	[ "$n" = 0 ] || complain "$n calls have not ended"

	printf '%-12s %6s %10s %10s %9s\n' worker files bytes packed seconds
	for who in "${names[@]}"; do
		ms=${time[$who]:-0}
		printf '%-12s %6d %10d %10d %5d.%03d\n' "$who" "${count[$who]:-0}" \
			"${bytes[$who]:-0}" "${packed[$who]:-0}" $((ms / 1000)) $((ms % 1000))
	done
}

# The first and the last entries of the trail.
trail() {
	local -a lines
	mapfile -t lines < <(dpl-show --trail "$DPL_OPERATION")
	if [ ${#lines[@]} -le 40 ]; then
		printf '%s\n' "${lines[@]}"
	else
		printf '%s\n' "${lines[@]:0:16}" "... $((${#lines[@]} - 36)) more ..." "${lines[@]: -20}"
	fi
}

work=$(mktemp -d)
trap tidy EXIT
mkdir "$work/out"

mapfile -d '' -t files < <(find "$tree" -type f -readable -size -256k ! -name '*.gz' -print0 | sort -z)
files=("${files[@]:0:limit}")
if [ ${#files[@]} = 0 ]; then
	echo "build-farm: no files in $tree" >&2
	exit 1
fi

# Sets DPL_LEDGER, DPL_OPERATION, DPL_PARTICIPANT and DPL_SESSION, so that what follows needs no options.
answer=$(dpl-create --export -C "$work/ledger" -p initiator --pid $$ -d "compress ${#files[@]} files")
eval "$answer"

names=()
declare -A pids=()
trap interrupted INT TERM
for ((k = 1; k <= workers; k++)); do
	names+=("worker-$k")
	worker "worker-$k" &
	pids[worker-$k]=$!
done
echo "${#files[@]} files of $tree, $workers workers, operation $DPL_OPERATION"
wait_for_workers
echo
check
if [ $problems = 0 ]; then
	dpl-log "all files are right"
	end=$(dpl-complete) || complain "the operation cannot be completed"
else
	end=$(dpl-complete --failed --cancel -m "$problems problems") || :
fi
trap - INT TERM
echo
trail
echo
echo "the operation ${end:-goes on}; $problems problems"
[ $problems = 0 ] && [ "$end" = completed ]
