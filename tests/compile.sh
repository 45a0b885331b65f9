#!/bin/sh
# The compile matrix:  sh tests/compile.sh [GROUP ...]     sh tests/compile.sh --list
# dsmoe.h must compile in every way a user may compile it, without one warning. CC is always in the matrix, other compilers where they are
# installed (gcc, clang, and what COMPILERS names); FULL=1 generates code where otherwise the syntax is enough.
cd "$(dirname "$0")/.." || exit 1
CC=${CC:-cc}
FULL=${FULL:-0}
work=${BUILD:-build/test}/compile.$$
here=tests/compile
passed=0 failed=0 skipped=0

WARN="-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wundef -Wcast-qual -Wdouble-promotion -Werror"
WARN_C="$WARN -Wstrict-prototypes"
SYNTAX="-fsyntax-only"
IMPL="-x c $here/implementation.c"

try() { # try NAME COMMAND ...: it must succeed and say nothing
    name=$1; shift
    if "$@" >"$work/out" 2>&1 && [ ! -s "$work/out" ]; then passed=$((passed + 1))
    else
        failed=$((failed + 1))
        if [ $failed -le 3 ]; then echo "FAILED $name: $*"; grep -v '^In file included\|^ *from ' "$work/out" | head -n 8; else echo "FAILED $name: $(grep -m 1 'error\|warning' "$work/out")"; fi
    fi
}
skip() { skipped=$((skipped + 1)); echo "skipped: compile: $1: $2"; }
have() { command -v "${1%% *}" >/dev/null 2>&1; }
takes() { # takes COMPILER FLAG ...: an empty program compiles with them
    "$@" -fsyntax-only "$here/empty.c" >/dev/null 2>&1
}
kind() { case $($1 --version 2>/dev/null) in *clang*) echo clang ;; *) echo gcc ;; esac; }

# The compilers: CC first, then the others that are there, each once. In C++ mode their C++ side.
C_COMPILERS=
for c in "$CC" gcc clang ${COMPILERS:-}; do
    have "$c" || continue
    id=$($c --version 2>/dev/null | sed -n 1p | sed 's/^[^ ]*//')
    case "$C_COMPILERS" in *"|$id|"*) continue ;; esac
    case $c in *++*) continue ;; esac
    C_COMPILERS="$C_COMPILERS$c|$id|
"
done
c_compilers() { echo "$C_COMPILERS" | sed -n 's/|.*//p'; }
cxx_of() { # cxx_of COMPILER: its C++ driver
    case $1 in *clang-*) echo "clang++-${1##*-}" ;; *clang) echo "${1%clang}clang++" ;; *gcc) echo "${1%gcc}g++" ;; *gcc-*) echo "g++-${1##*-}" ;; cc) [ "$(kind cc)" = clang ] && echo clang++ || echo g++ ;; *) echo none ;; esac
}

group_standards() { # every C standard, the implementation included twice
    for std in c99 c11 gnu17 c2x; do
        c_compilers | while read -r c; do echo "$c"; done >"$work/list"
        while read -r c; do
            scalar= # the SIMD passes do not depend on the years between
            case $FULL$std in 1*) ;; *c11 | *gnu17) scalar=-DDSMOE_SCALAR_ONLY=1 ;; esac
            if takes $c -std=$std; then try "$c $std" $c -std=$std $WARN_C $scalar $SYNTAX $here/implementation.c
            else skip "$c" "does not know -std=$std"; fi
        done <"$work/list"
    done
}
group_cxx() {
    c_compilers >"$work/list"
    while read -r c; do
        x=$(cxx_of "$c")
        have "$x" || { skip "C++ with $c" "there is no $x"; continue; }
        for std in c++11 c++17 c++20; do
            scalar=
            case $FULL$std in 1*) ;; *c++17) scalar=-DDSMOE_SCALAR_ONLY=1 ;; esac
            if takes $x -x c++ -std=$std; then try "$x $std" $x -x c++ -std=$std $WARN $scalar $SYNTAX $here/implementation.c
            else skip "$x" "does not know -std=$std"; fi
        done
        # one program of two units, both C++, and one whose implementation is C
        try "$x two units" $x -x c++ -std=c++11 $WARN -O0 -DDSMOE_SCALAR_ONLY=1 -c $here/implementation.c -o "$work/impl.o"
        try "$x user" $x -x c++ -std=c++11 $WARN -O0 -c $here/user.c -o "$work/user.o"
        try "$x link" $x "$work/impl.o" "$work/user.o" -o "$work/two" -lm -lpthread
        try "$x run" "$work/two"
        try "$c for $x" $c -std=c99 -O0 -DDSMOE_SCALAR_ONLY=1 -c $here/implementation.c -o "$work/impl.o"
        try "$x link with C" $x "$work/impl.o" "$work/user.o" -o "$work/two" -lm -lpthread
        try "$x run with C" "$work/two"
        [ "$FULL" != 1 ] && [ "$c" != "$CC" ] && continue
        try "$x program" $x -std=c++17 $WARN -O1 -DDSMOE_SCALAR_ONLY=1 $here/program.cpp -o "$work/program" -lm -lpthread
        try "$x program runs" "$work/program"
        if [ -f examples/pocket.gguf ]; then try "$x program has a conversation" "$work/program" examples/pocket.gguf
        else skip "the C++ program's conversation" "there is no examples/pocket.gguf"; fi
        [ "$FULL" = 1 ] && try "$x -O2, code" $x -x c++ -std=c++17 $WARN -O2 -c $here/implementation.c -o "$work/impl.o"
    done <"$work/list"
}
group_units() { # how the header is put into a program
    c=$CC
    try "user only" $c -std=c99 $WARN_C $SYNTAX $here/user.c
    try "implementation" $c -std=c99 $WARN_C -O0 -DDSMOE_SCALAR_ONLY=1 -c $here/implementation.c -o "$work/impl.o"
    try "user" $c -std=c99 $WARN_C -O0 -c $here/user.c -o "$work/user.o"
    try "link" $c "$work/impl.o" "$work/user.o" -o "$work/two" -lm -lpthread
    try "run" ${WRAPPER:-} "$work/two"
    c_compilers >"$work/list"
    while read -r c; do
        try "$c static" $c -std=c11 $WARN_C $SYNTAX $here/static.c
        try "$c static, code" $c -std=c11 $WARN_C -O1 -DDSMOE_SCALAR_ONLY=1 -c $here/static.c -o "$work/static.o"
        try "$c API first, implementation later" $c -std=gnu11 $WARN_C $SYNTAX $here/late.c
    done <"$work/list"
    mkdir -p "$work/renamed"
    cp dsmoe.h "$work/renamed/lm_0_1.h"
    printf '#define DSMOE_IMPLEMENTATION\n#include "lm_0_1.h"\nint dsm_renamed_test(void);\nint dsm_renamed_test(void) { return DSM_VERSION_NUMBER; }\n' >"$work/renamed/renamed.c"
    try "renamed header" $CC -std=c11 $WARN_C $SYNTAX -DDSMOE_HEADER_NAME='"lm_0_1.h"' "$work/renamed/renamed.c"
}
group_switches() { # each build switch
    c_compilers >"$work/list"
    while read -r c; do
        all=
        for s in $(sed -n 's/^#ifndef \(DSMOE_SCALAR_ONLY\|DSMOE_NO_[A-Z0-9_]*\)$/\1/p' dsmoe.h | sort -u); do
            try "$c $s" $c -std=c11 $WARN_C $SYNTAX -D$s=1 $here/implementation.c
            all="$all -D$s=0"
        done
        try "$c, each switch defined to 0" $c -std=c11 $WARN_C $SYNTAX $all $here/implementation.c
        try "$c -funsigned-char" $c -std=c11 $WARN_C $SYNTAX -funsigned-char $here/implementation.c
        for m in -march=native -march=x86-64-v3 -march=x86-64-v4 -march=armv8.2-a+dotprod; do # a richer base than the passes expect
            takes $c $m || continue
            if [ "$FULL" = 1 ] && [ "$m" = -march=native ]; then try "$c $m" $c -std=c11 $WARN_C $m -O1 -c $here/implementation.c -o "$work/march.o"
            else try "$c $m" $c -std=c11 $WARN_C $m $SYNTAX $here/implementation.c; fi
        done
    done <"$work/list"
    rm -f "$work/out"
    if $CC -ffast-math $SYNTAX $here/implementation.c >"$work/out" 2>&1; then failed=$((failed + 1)); echo "FAILED: -ffast-math is accepted"
    elif grep -q 'dsmoe: .*-ffast-math' "$work/out"; then passed=$((passed + 1))
    else failed=$((failed + 1)); echo "FAILED: -ffast-math stops without the header's sentence"; head -n 5 "$work/out"; fi
}
group_hostile() { # after other people's headers and macros, in C and in C++
    c_compilers >"$work/list"
    while read -r c; do
        for f in macros posix x11 windows tgmath; do
            try "$c after $f" $c -std=gnu11 -D_GNU_SOURCE $WARN_C $SYNTAX $here/after_$f.c
        done
        x=$(cxx_of "$c")
        have "$x" || { skip "C++ after hostile headers with $c" "there is no $x"; continue; }
        for f in posix x11 windows; do
            try "$x after $f" $x -x c++ -std=c++17 $WARN $SYNTAX $here/after_$f.c
        done
    done <"$work/list"
    # A system header came first under a strict -std=: either it works or the header says so itself.
    for std in c99 c11 c17; do
        for first in '<stdio.h>' '<stdlib.h>' '"dsmoe.h"'; do # the last: the API alone, which needs stdint.h
            printf '#include %s\n#define DSMOE_IMPLEMENTATION\n#include "dsmoe.h"\nint main(void) { return 0; }\n' "$first" >"$work/strict.c"
            if $CC -std=$std -DDSMOE_SCALAR_ONLY=1 -I. $SYNTAX "$work/strict.c" >"$work/out" 2>&1; then passed=$((passed + 1))
            elif grep 'error: ' "$work/out" | sed -n 1p | grep -q 'dsmoe: a system header came first'; then passed=$((passed + 1))
            else failed=$((failed + 1)); echo "FAILED: $first first, -std=$std: the first error is not the header's own sentence"; head -n 6 "$work/out"; fi
        done
    done
    rm -f "$work/out"
}
group_code() { # code is really generated: target attributes and always_inline only show then. (gcc's -O2 is the object that the tests link with)
    c_compilers >"$work/list"
    while read -r c; do
        [ "$FULL" != 1 ] && [ "$c" = "$CC" ] && continue
        levels=-O1
        [ "$FULL" = 1 ] && levels="-O0 -O2" && [ "$c" = "$CC" ] && levels="-O0 -O3 -Os"
        for o in $levels; do try "$c $o, code" $c -std=c11 $WARN_C $o -c $here/implementation.c -o "$work/code.o"; done
    done <"$work/list"
    frames= # everything runs on stacks of 256 KiB: no function takes more than a twelfth of one
    takes $CC -Wframe-larger-than=20480 && frames=-Wframe-larger-than=20480
    [ "$FULL" = 1 ] && try "$CC -O2, frames" $CC -std=c11 $WARN_C -O2 $frames -c $here/implementation.c -o "$work/code.o"
    try "$CC -O2 scalar, code" $CC -std=c11 $WARN_C -O2 $frames -DDSMOE_SCALAR_ONLY=1 -c $here/implementation.c -o "$work/code.o"
}
group_m32() { # 32 bits: size_t is 32 bits wide
    for c in "$CC" clang; do
        have "$c" || continue
        case $($c -dumpmachine 2>/dev/null) in x86_64*) ;; *) skip "-m32 with $c" "not x86-64"; continue ;; esac
        multi=$($c -print-multiarch 2>/dev/null); dir=
        for d in "" "-idirafter /usr/include/${multi:-x86_64-linux-gnu}"; do
            if $c -m32 $d -fsyntax-only $here/libc.c 2>/dev/null; then dir=yes; flags="-m32 $d"; break; fi
        done
        if [ -z "$dir" ]; then skip "-m32 with $c" "there are no 32-bit headers"; continue; fi
        try "$c -m32" $c $flags -std=c11 $WARN_C $SYNTAX $here/implementation.c
        try "$c -m32 scalar" $c $flags -std=c11 $WARN_C -DDSMOE_SCALAR_ONLY=1 -O1 -c $here/implementation.c -o "$work/m32.o"
        [ "$FULL" = 1 ] && try "$c -m32 code" $c $flags -std=c11 $WARN_C -O1 -c $here/implementation.c -o "$work/m32.o"
    done
}
group_programs() { # examples and tools compile alone, with the commands that the documents give
    c_compilers >"$work/list"
    for f in examples/*.c tools/*.c; do
        [ -f "$f" ] || continue
        while read -r c; do try "$f with $c" $c -std=c11 -I. $WARN_C $SYNTAX "$f"; done <"$work/list"
        try "$f" $CC -std=c11 -I. -DDSMOE_SCALAR_ONLY=1 "$f" -o "$work/program" -lm -lpthread
        [ -z "${WRAPPER:-}" ] && case $f in
        *chat.c | tools/*) try_help "$f" ;; # their command lines are a promise
        esac
    done
    for f in examples/*.cpp tools/*.cpp; do
        [ -f "$f" ] || continue
        x=$(cxx_of "$CC")
        have "$x" || { skip "$f" "there is no $x"; continue; }
        try "$f" $x -std=c++17 -I. $WARN -DDSMOE_SCALAR_ONLY=1 "$f" -o "$work/program" -lm -lpthread
    done
    if [ -f examples/chat.c ]; then
        if [ "$FULL" = 1 ]; then
            try "chat as the documents say" $CC -std=c11 -I. examples/chat.c -o "$work/chat" -lm -lpthread
            try "chat at -O3" $CC -O3 examples/chat.c -o "$work/chat" -lm -lpthread
        else try "chat at -O3" $CC -O3 $SYNTAX examples/chat.c; fi
    fi
}
try_help() { # --help: exit code 0 and a text on stdout; an unknown option: 2
    "$work/program" --help >"$work/help" 2>/dev/null </dev/null; h=$?
    "$work/program" --no-such-option >"$work/none" 2>/dev/null </dev/null; u=$?
    if [ $h -eq 0 ] && [ -s "$work/help" ] && [ $u -eq 2 ] && [ ! -s "$work/none" ]; then passed=$((passed + 1))
    else failed=$((failed + 1)); echo "FAILED $1: --help exits with $h (0), an unknown option with $u (2), $(wc -c <"$work/none") bytes on stdout then (0)"; fi
}
# The programs that the texts show: README.md's first C block with a main, and what stands in dsmoe.h between
#    --- minimal program ---   and   --- end ---
group_readme() {
    mkdir -p "$work/doc"
    found=0
    if [ -f README.md ]; then
        awk '/^```c$/ {inside = 1; text = ""; next} /^```/ {if (inside && text ~ /int main\(/) {printf "%s", text; exit} inside = 0} inside {text = text $0 "\n"}' README.md >"$work/doc/readme.c"
        [ -s "$work/doc/readme.c" ] && found=1 || { failed=$((failed + 1)); echo "FAILED: README.md has no C block with a main"; }
    else skip "README.md's program" "there is no README.md"; fi
    sed -n '/^ *--- minimal program ---/,/^ *--- end ---/p' dsmoe.h | sed '1d;$d' >"$work/doc/part1.c"
    [ -s "$work/doc/part1.c" ] && found=1 || { rm -f "$work/doc/part1.c"; skip "Part I's program" "dsmoe.h has none yet"; }
    for f in readme part1; do
        [ -s "$work/doc/$f.c" ] || continue
        if grep -q '"\.\./dsmoe\.h"' "$work/doc/$f.c"; then mkdir -p "$work/doc"; cp dsmoe.h "$work/"; fi
        try "$f" $CC -std=c11 -O1 -DDSMOE_SCALAR_ONLY=1 -I. $WARN_C "$work/doc/$f.c" -o "$work/doc/$f" -lm -lpthread
        if [ ! -f examples/pocket.gguf ]; then skip "running the program of $f" "there is no examples/pocket.gguf"; continue; fi
        if ${WRAPPER:-} "$work/doc/$f" examples/pocket.gguf >"$work/out" 2>&1 </dev/null && [ -s "$work/out" ]; then passed=$((passed + 1))
        else failed=$((failed + 1)); echo "FAILED: the program of $f, run with the shipped model"; head -n 5 "$work/out"; fi
    done
    if [ -s "$work/doc/readme.c" ] && [ -f examples/minimal.c ]; then # one program in two places: they may differ in the path of the include only
        sed 's|"\.\./dsmoe\.h"|"dsmoe.h"|' examples/minimal.c | awk '!started && /^\/\*/ {skip = 1} skip {if (/\*\//) skip = 0; next} NF {started = 1} started' >"$work/doc/a"
        sed 's|"\.\./dsmoe\.h"|"dsmoe.h"|' "$work/doc/readme.c" >"$work/doc/b"
        try "README.md shows examples/minimal.c" diff "$work/doc/b" "$work/doc/a"
    fi
}

groups="code cxx standards hostile switches units m32 programs readme"
if [ "${1:-}" = --list ]; then echo "$groups"; exit 0; fi
mkdir -p "$work" || exit 1
trap 'rm -rf "$work"' EXIT
for g in ${*:-$groups}; do
    case " $groups " in *" $g "*) "group_$g" ;; *) echo "tests/compile.sh: there is no group $g" >&2; exit 2 ;; esac
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
