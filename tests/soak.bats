#!/usr/bin/env bats
# 32 processes killed at random on operations that come and go, then the invariants

# shellcheck disable=SC2016,SC2154 # jq's $; helper.bash sets them

load helper

# explain: of each undo command that was run by two, its operation's journal, but for what says nothing of it; and who ran what.
explain() {
	local what file id
	printf '%s\n%s\n' "$output" "$stderr"
	while read -r what; do
		grep -F "$what" soak/undone || true
		for file in soak/kept/*; do
			grep -qF "$what" "$file" || continue
			id=$(jq -r --arg what "$what" 'select(.event == "resource.added" and ((.command // "") | contains($what))) | .resourceId' "$file")
			echo "${file##*/}, resource $id:"
			jq -c --argjson id "${id:-0}" 'select(.resourceId == $id or (.event | test("^(cleanup|crash|operation|call)[.]")))' "$file" | cut -c1-400
		done
	done < <(grep -oE 'undo command T-[0-9]+-[0-9]+\.' err | awk '{ print $3 }' | sort -u)
}

# SOAK_SECONDS and SOAK_SEED make it longer, or another (make soak).
@test "32 processes on four operations, killed at random: nothing is lost, done twice, or left behind" {
	local soak=$BUILD/tools/soak
	[ -x "$soak" ] || skip 'soak is not built (make test-tools)'
	mkdir soak
	# Every file stays where it was if something is wrong.
	expect 0 "$soak" -s "${SOAK_SECONDS:-8}" -r "${SOAK_SEED:-1}" "$PWD/soak" || { explain && return 1; }
	echo "# $output" >&3
	# And as another parser sees it.
	for file in soak/kept/*; do
		jq -se 'map(.seq) == [range(1; length + 1)] and all(.[]; .at and .by and .event)' "$file" >/dev/null ||
			{ echo "${file##*/} does not parse: SOAK_SEED=${SOAK_SEED:-1}"; return 1; }
	done
}
