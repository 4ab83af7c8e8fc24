#!/usr/bin/env bash
# Puts known bugs back, one at a time, and has the simulation find them: tests/known_bugs.sh [NAME…]
#
# NAME is the beginning of a name in tests/simulation/known-bugs; all of them if none is given. Works on a copy of the
# tracked files and fails if a bug is not found as a breach of the rule that its patch names. A bug whose name has
# `-adapter-` in it is below the simulation: a unit test of the adapter of Redis has to fail.
#   SEEDS       how many seeds a bug may take (default 5000)
#   KNOWN_BUGS  where the copy is kept and built (default target/known-bugs), so that the next run builds less
set -uo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
seeds=${SEEDS:-5000}
scratch=${KNOWN_BUGS:-$root/target/known-bugs}
copy=$scratch/tree
patches=$root/tests/simulation/known-bugs
mkdir -p "$copy"

# Only what has changed is copied, so that only that is built again; what is not there any more goes.
refresh() {
    (cd "$copy" && find . -type f -printf '%P\0') | while IFS= read -r -d '' file; do
        [ -e "$root/$file" ] || rm -f "$copy/$file"
    done
    git -C "$root" ls-files -z | while IFS= read -r -d '' file; do
        [ -e "$root/$file" ] || continue
        cmp -s "$root/$file" "$copy/$file" && continue
        mkdir -p "$(dirname "$copy/$file")"
        cp "$root/$file" "$copy/$file"
    done
}

# The simulation needs neither the adapters nor the command line, and they take half of the time of a build.
leave_out_what_is_not_simulated() {
    sed -i -E '/^pub mod (adapters|cli);$/d' "$copy/src/lib.rs"
    printf '//! Nothing.\nfn main() {}\n' >"$copy/src/main.rs"
}

# Simulates until a rule is broken, in a range of seeds, in one test: answers with the seed and the story's first line, or
# with nothing.
simulate() {
    local log=$scratch/log
    (cd "$copy" && CARGO_TARGET_DIR=$scratch/target SIMULATION_SEEDS=$2 SIMULATION_UNTIL=$1: \
        cargo test --quiet --profile simulation --test simulation "$3" >"$log" 2>&1)
    grep -m 1 -E "^seed [0-9]+: $1:" "$log" && return
    if ! grep -q '^running' "$log"; then
        tail -n 20 "$log" >&2
        echo 'DOES NOT BUILD'
    elif grep -a ' panicked at ' "$log" | grep -v -F tests/simulation/main.rs >&2; then
        echo 'PANICS'
    fi
}

# Runs the unit tests of the adapter of Redis: answers with the first that fails, or with nothing.
test_adapter() {
    local log=$scratch/log
    (cd "$copy" && CARGO_TARGET_DIR=$scratch/target \
        cargo test --quiet --profile simulation --lib adapters::redis >"$log" 2>&1)
    grep -q '^running' "$log" || { tail -n 20 "$log" >&2; echo 'DOES NOT BUILD'; }
    sed -n -E 's/^---- (.+) stdout ----$/\1/p' "$log" | head -n 1
}

chosen=()
for patch in "$patches"/*.patch; do
    name=$(basename "$patch" .patch)
    [ $# -eq 0 ] && chosen+=("$patch")
    for wanted in "$@"; do [[ $name == "$wanted"* ]] && chosen+=("$patch"); done
done
[ ${#chosen[@]} -gt 0 ] || { echo "no such bug: $*" >&2; exit 2; }

missed=0
printf '%-36s %-6s %8s  %s\n' bug rule seeds 'found as'
for patch in "${chosen[@]}"; do
    name=$(basename "$patch" .patch)
    rule=$(head -n 1 "$patch" | cut -d: -f1)
    refresh
    # Away from this repository: `git apply` takes paths as those of the repository it is in.
    if ! (cd "$copy" && GIT_CEILING_DIRECTORIES=$scratch git apply "$patch"); then
        printf '%-36s %-6s %8s  %s\n' "$name" "$rule" - 'DOES NOT APPLY'
        missed=1
        continue
    fi
    [[ $name == *-adapter-* ]] || leave_out_what_is_not_simulated
    within="$seeds seeds"
    case $name in
        # Found where switchovers are interrupted one by one.
        *-interrupted-*) found=$(simulate "$rule" "0..$seeds" a_switchover_interrupted) ;;
        *-groups-*) found=$(simulate "$rule" "0..$seeds" two_groups) ;;
        *-adapter-*) found=$(test_adapter) within='the tests of the adapter' ;;
        *) found=$(simulate "$rule" "0..$seeds" the_safety) ;;
    esac
    took=-
    if [[ $found =~ ^seed\ ([0-9]+):\ (.*) ]]; then
        took=$((BASH_REMATCH[1] + 1))
        found=${BASH_REMATCH[2]}
    elif [ -z "$found" ]; then
        found="NOT FOUND in $within"
        missed=1
    elif [[ $found == 'DOES NOT BUILD' || $found == PANICS ]]; then
        missed=1
    fi
    printf '%-36s %-6s %8s  %s\n' "$name" "$rule" "$took" "$found"
done
refresh
exit "$missed"
