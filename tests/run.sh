#!/bin/sh
# Builds and runs the tests:  sh tests/run.sh [NAME ...]
#   no name      everything: the tests of tests/*.c, the compile matrix, the object-file checks, the room script
#   NAME         only these: kernels (tests/kernels.c), compile (the matrix) or compile:GROUP, header, rooms,
#                flags (the same bits under other flags)
# Environment:
#   CC, CFLAGS, LDFLAGS   as usual; CC="g++ -std=c++17" builds the tests as C++
#   WRAPPER      runs the programs, e.g. WRAPPER="qemu-aarch64 -L /usr/aarch64-linux-gnu -cpu cortex-a72"
#   JOBS         how many at once (default: the cores, at most 8)
#   BUILD        where to build (default: build/test)
#   FULL=1       the whole matrix of compilers and levels instead of what takes a minute or two
#   DSMOE_SHARED a folder with vectors and vocabularies; default: shared beside the repository, if it is there
#   TEST_TIMEOUT seconds for one program (default 300)
#   TEST_BRIEF=1 gives the tests the argument -q: fewer cases, for emulators
#
# A test is one C file. It runs in the repository's top folder, prints what it likes (a line that starts with "skipped" says what it left out
# and why) and at last "N passed, N failed, N skipped". How it is built follows from what it looks at:
#   only the public API             linked with one object of dsmoe.h, which is compiled once with everything in it
#   names of the rooms (dsm__...)   compiled with the header inside, without SIMD: -DDSMOE_SCALAR_ONLY=1; public functions are static, so that
#                                   the compiler drops what the test does not reach
#   kernels, floats, and others with "tests/run.sh: simd" in a comment   the same with SIMD
cd "$(dirname "$0")/.." || exit 1
CC=${CC:-cc}
: "${JOBS:=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)}"
[ "$JOBS" -le 8 ] 2>/dev/null || JOBS=8
BUILD=${BUILD:-build/test}
TEST_TIMEOUT=${TEST_TIMEOUT:-300}
if [ -z "${DSMOE_SHARED:-}" ] && [ -d ../shared ]; then DSMOE_SHARED=../shared; fi
[ -z "${DSMOE_SHARED:-}" ] || export DSMOE_SHARED
OBJECT_FLAGS=${CFLAGS:--O2}
TEST_FLAGS=${CFLAGS:--O1}
LIMIT=; if command -v timeout >/dev/null 2>&1; then LIMIT="timeout $TEST_TIMEOUT"; fi
export CC BUILD

mkdir -p "$BUILD" || exit 1
echo "$CC|$OBJECT_FLAGS|$TEST_FLAGS|${LDFLAGS:-}" >"$BUILD/flags.new"
cmp -s "$BUILD/flags.new" "$BUILD/flags" || rm -rf "$BUILD"/*.o "$BUILD"/*.bin
mv "$BUILD/flags.new" "$BUILD/flags"
rm -rf "$BUILD/result" "$BUILD/claim"
mkdir "$BUILD/result" "$BUILD/claim"

inside() { grep -Eq 'dsm__|"small.h"' "tests/$1.c"; } # small.h looks inside too
simd() { case $1 in kernels | floats) ;; *) grep -q 'tests/run.sh:.*simd' "tests/$1.c" ;; esac; }

# ---- What is to be done. Slow things first, so that the last worker does not wait. ----
names=$*
if [ -z "$names" ]; then
    for f in tests/*.c; do [ -f "$f" ] && names="$names $(basename "$f" .c)"; done
    names="$names flags compile header rooms"
fi
first= last= object=
for n in $names; do
    case $n in
    compile) for g in $(sh tests/compile.sh --list); do last="$last compile:$g"; done ;;
    compile:* | rooms | flags) last="$last $n" ;;
    header) last="$last header"; object=object ;;
    *)
        if [ ! -f "tests/$n.c" ]; then echo "tests/run.sh: there is no tests/$n.c" >&2; exit 2; fi
        if ! inside "$n"; then last="$n $last"; object=object
        elif simd "$n"; then first="$n $first"
        else first="$first $n"; fi ;;
    esac
done
tasks="$object $first $last"

# ---- One task: its output goes to a log, its counts to a result. ----
newer() { # newer FILE: nothing that it is made of changed since
    [ -f "$1" ] || return 1
    [ -z "$(find dsmoe.h tests/*.h "tests/$2.c" -newer "$1" 2>/dev/null)" ]
}
build_object() {
    newer "$BUILD/dsmoe.o" . || {
        printf '#define DSMOE_IMPLEMENTATION\n#include "dsmoe.h"\n' >"$BUILD/dsmoe.c" &&
        $CC $OBJECT_FLAGS -I. -c "$BUILD/dsmoe.c" -o "$BUILD/dsmoe.new.o" && mv "$BUILD/dsmoe.new.o" "$BUILD/dsmoe.o"; }
}
wait_for_object() { while [ ! -f "$BUILD/result/object" ]; do sleep 1; done; [ -f "$BUILD/dsmoe.o" ]; }
build_test() {
    bin=$BUILD/$1.bin
    if newer "$bin" "$1"; then return 0; fi
    rm -f "$bin" "$BUILD/$1.o"
    if ! inside "$1"; then
        wait_for_object || { echo "dsmoe.h did not compile"; return 1; }
        $CC $TEST_FLAGS -DDSMOE_IMPLEMENTED -DDSMOE_IMPLEMENTED_REST -include stdlib.h -include string.h -include math.h -I. -c "tests/$1.c" -o "$BUILD/$1.o" && $CC $TEST_FLAGS "$BUILD/$1.o" "$BUILD/dsmoe.o" -o "$bin" ${LDFLAGS:-} -lm -lpthread
    else
        set -- "$1" -DDSMOE_SCALAR_ONLY=1
        if simd "$1"; then set -- "$1" -DTEST_SIMD=1; fi
        if grep -q 'define DSMOE_API' "tests/$1.c"; then set -- "$@" -DTEST_API=1; else set -- "$@" '-DDSMOE_API=static __attribute__((unused))'; fi
        $CC $TEST_FLAGS "$2" "$3" -I. -c "tests/$1.c" -o "$BUILD/$1.o" && $CC $TEST_FLAGS "$BUILD/$1.o" -o "$bin" ${LDFLAGS:-} -lm -lpthread
    fi
}
run_task() {
    case $1 in
    object) build_object && echo "1 passed, 0 failed, 0 skipped" ;;
    compile:*) sh tests/compile.sh "${1#compile:}" ;;
    flags) sh tests/flags.sh ;;
    header) wait_for_object; DSMOE_OBJECT=$BUILD/dsmoe.o sh tests/header.sh ;;
    rooms)
        if ! command -v python3 >/dev/null 2>&1; then echo "skipped: the room script: there is no python3"; echo "0 passed, 0 failed, 1 skipped"
        else python3 tools/rooms.py dsmoe.h; checked=$?; python3 tools/rooms.py --self-test dsmoe.h && [ $checked -eq 0 ]; fi ;;
    *) build_test "$1" && $LIMIT ${WRAPPER:-} "$BUILD/$1.bin" ${TEST_BRIEF:+-q} ;;
    esac
}
task() {
    log=$BUILD/result/$(echo "$1" | tr : -).log start=$(date +%s)
    run_task "$1" >"$log" 2>&1 </dev/null
    rc=$?
    now=$(date +%s)
    # the sum of the closing lines: the room script has two
    counts=$(sed -n 's/^\([0-9][0-9]*\) passed, \([0-9][0-9]*\) failed, \([0-9][0-9]*\) skipped$/\1 \2 \3/p' "$log" |
        awk '{p += $1; f += $2; s += $3} END {if (NR) print p + 0, f + 0, s + 0}')
    if [ -z "$counts" ]; then
        counts="0 1 0"; echo "it did not come to its last line (exit code $rc)" >>"$log"
    else
        set -- "$1" $counts
        if [ "$rc" -ne 0 ] && [ "$3" -eq 0 ]; then counts="$2 1 $4"; echo "exit code $rc" >>"$log"; fi
    fi
    set -- "$1" $counts
    text="$2 passed"
    [ "$3" -eq 0 ] || text="$text, $3 FAILED"
    [ "$4" -eq 0 ] || text="$text, $4 skipped"
    report=$(printf '%4d s  %-22s %s' $((now - start)) "$1" "$text")
    [ "$3" -eq 0 ] || report="$report
$(tail -n 25 "$log" | cut -c 1-300 | sed 's/^/        | /')"
    echo "$report"
    echo "$counts" >"$BUILD/result/new.$1"
    mv "$BUILD/result/new.$1" "$BUILD/result/$(echo "$1" | tr : -)"
}
worker() { for t in $tasks; do if mkdir "$BUILD/claim/$(echo "$t" | tr : -)" 2>/dev/null; then task "$t"; fi; done; }

begin=$(date +%s)
i=0
while [ $i -lt "$JOBS" ]; do worker & i=$((i + 1)); done
wait

# ---- The sum. ----
passed=0 failed=0 skipped=0
for t in $tasks; do
    r=$BUILD/result/$(echo "$t" | tr : -)
    if read -r p f s 2>/dev/null <"$r"; then passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s)); else failed=$((failed + 1)); echo "$t: no result"; fi
done
grep -h '^skipped' "$BUILD"/result/*.log 2>/dev/null | sort | uniq -c | sed 's/^ *1 //; s/^ *\([0-9][0-9]*\) \(.*\)/\2 (\1 times)/' | head -n 40
echo "$(($(date +%s) - begin)) seconds; logs in $BUILD/result"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
