#!/usr/bin/env bash
# Puts known bugs back, one at a time, and has the simulation find them: tests/known_bugs.sh [NAME…]
#
# NAME is the beginning of a name in tests/simulation/known-bugs; without a NAME, all bugs are tried. The script works on
# a copy of the tracked files. It fails if a bug is not found as a breach of the rule that its patch names. A bug with
# `-adapter-` in its name is below the simulation: a unit test of the Redis adapter has to fail.
#   SEEDS       how many seeds a bug may take (default 5000)
#   KNOWN_BUGS  the folder of the copy and its build (default target/known-bugs); the next run there builds less
set -uo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
seeds=${SEEDS:-5000}
scratch=${KNOWN_BUGS:-$root/target/known-bugs}
copy=$scratch/tree
patches=$root/tests/simulation/known-bugs
mkdir -p "$copy"

# Copies only changed files, so that only they are built again, and removes files that no longer exist.
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

# Leaves out the adapters and the command line: the simulation needs neither, and both take half the time of a build.
leave_out_what_is_not_simulated() {
    sed -i -E '/^pub mod (adapters|cli);$/d' "$copy/src/lib.rs"
    printf '//! Nothing.\nfn main() {}\n' >"$copy/src/main.rs"
}

# simulate RULE SEEDS TEST: runs the test over a range of seeds until the rule is broken. Prints the seed and the first
# line of the violation, or nothing.
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

# Runs the unit tests of the Redis adapter. Prints the first test that fails, or nothing.
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
    # `git apply` must not see this repository: it would take the paths as paths in this repository.
    if ! (cd "$copy" && GIT_CEILING_DIRECTORIES=$scratch git apply "$patch"); then
        printf '%-36s %-6s %8s  %s\n' "$name" "$rule" - 'DOES NOT APPLY'
        missed=1
        continue
    fi
    [[ $name == *-adapter-* ]] || leave_out_what_is_not_simulated
    within="$seeds seeds"
    case $name in
        # The test that interrupts switchovers one by one finds these bugs.
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
