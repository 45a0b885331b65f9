#!/bin/sh
# What the object file of dsmoe.h shows:  sh tests/header.sh            checks it
#                                         sh tests/header.sh --report   sizes and times too, for the closing note of a release
# DSMOE_OBJECT is a finished object (gcc or clang, ELF); otherwise one is made with CC and CFLAGS.
cd "$(dirname "$0")/.." || exit 1
CC=${CC:-cc}
work=${BUILD:-build/test}/header.$$
passed=0 failed=0 skipped=0
mkdir -p "$work" || exit 1
trap 'rm -rf "$work"' EXIT
done_() { echo "$passed passed, $failed failed, $skipped skipped"; [ $failed -eq 0 ]; exit; }
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "FAILED $1"; }
empty() { if [ -s "$work/out" ]; then bad "$1:"; sed 's/^/    /' "$work/out"; else ok; fi; } # the file names what is wrong

prefix= # of the binutils that fit the compiler
case $($CC -dumpmachine 2>/dev/null) in
"$(cc -dumpmachine 2>/dev/null)" | "") ;;
*) m=$($CC -dumpmachine); command -v "$m-nm" >/dev/null 2>&1 && prefix=$m- ;;
esac
if ! command -v "${prefix}nm" >/dev/null 2>&1; then echo "skipped: the object-file checks: there is no nm"; skipped=1; done_; fi
object=${DSMOE_OBJECT:-}
if [ -z "$object" ]; then
    object=$work/dsmoe.o
    $CC ${CFLAGS:--O2} -x c -DDSMOE_IMPLEMENTATION -c dsmoe.h -o "$object" || { bad "dsmoe.h does not compile"; done_; }
fi
[ -f "$object" ] || { bad "there is no $object"; done_; }
"${prefix}nm" -f sysv "$object" >"$work/nm" 2>/dev/null || { echo "skipped: the object-file checks: nm does not read this object"; skipped=1; done_; }
# name | class | section, one a line
awk -F'|' 'NF >= 7 && $1 !~ /^Name/ {gsub(/ /, "", $1); gsub(/ /, "", $3); gsub(/ /, "", $7); print $1, $3, $7}' "$work/nm" >"$work/symbols"

# 1. What it takes from libc and libm: this list and nothing else. No exit, no abort, no printing, no environment.
allowed="
    memcmp memcpy memmove memset memchr strchr strcmp strcpy strlen strncmp strstr strrchr
    posix_memalign free
    open open64 close read pread pread64 fstat fstat64 mmap mmap64 munmap madvise posix_madvise sysconf getauxval __errno_location __error
    clock_gettime nanosleep sched_yield
    pthread_attr_destroy pthread_attr_init pthread_attr_setstacksize pthread_create pthread_join
    pthread_mutex_init pthread_mutex_destroy pthread_mutex_lock pthread_mutex_trylock pthread_mutex_unlock
    pthread_cond_init pthread_cond_destroy pthread_cond_wait pthread_cond_signal pthread_cond_broadcast
    fma fmaf sqrt sqrtf floor floorf ceilf nearbyintf rintf lrintf roundf truncf
    _GLOBAL_OFFSET_TABLE_"
# What a compiler adds by itself: stack protectors, profiles, sanitizers, 64-bit arithmetic on 32 bits, outlined atomics.
by_compiler='^(__stack_chk_fail|__fstat64_time64|__clock_gettime64|__asan_.*|__ubsan_.*|__tsan_.*|__gcov_.*|__aarch64_(cas|ldadd|swp|ldclr|ldset|ldeor)[0-9]+_.*|__(u?div|u?mod|mul|ashl|ashr|lshr|u?divmod)[dt]i[34]|__(fix|float).*|__atomic_.*|__mem(cpy|set|move)_chk|__fdelt_chk|__read_chk|__pread(64)?_chk|__strcpy_chk|__open(64)?_2|__clear_cache)$'
awk '$2 == "U" || $2 == "w" {print $1}' "$work/symbols" | sort -u >"$work/imports"
echo "imports: $(tr '\n' ' ' <"$work/imports")"
for s in $allowed; do echo "$s"; done | sort -u >"$work/allowed"
grep -vxF -f "$work/allowed" "$work/imports" | grep -Ev "$by_compiler" >"$work/out"
empty "libc functions that are not on the list of this test"

# 2. What others see: dsm_ names only, and exactly the functions that the API declares.
awk '$2 ~ /^[A-Z]$/ && $2 != "U" && $1 !~ /^_?dsm_[a-z]/ {print $1}' "$work/symbols" >"$work/out"
empty "global names that do not start with dsm_"
awk '$2 == "T" {print $1}' "$work/symbols" | sort -u >"$work/exports"
sed -n '1,/^#endif .. DSMOE_H ../p' dsmoe.h | grep '^DSMOE_API' | sed 's|/\*.*||; s/(.*//; s/.*[ *]//' | sort -u >"$work/declared"
comm -13 "$work/exports" "$work/declared" >"$work/out"
empty "declared in Part II and not defined"
comm -23 "$work/exports" "$work/declared" >"$work/out"
empty "defined and not declared in Part II"

# 3. No state: nothing writable but the cached word of CPU features. Constant tables with pointers are .data.rel.ro: read-only once loaded.
awk '($2 ~ /^[dDbBsSgGC]$/ || $3 ~ /^\.(data|bss|tdata|tbss)/) && $3 !~ /^\.data\.rel\.ro/ && $1 !~ /^dsm__cpu_/ && $1 !~ /^\./ && $1 !~ /^__(tsan|asan|ubsan|gcov)|^\.L|^_sub_[ID]_/ {print $1, $3}' "$work/symbols" >"$work/out"
grep -q 'T .*asan\|__asan_init\|__tsan_init\|__ubsan_' "$work/imports" && : >"$work/out" # sanitizers keep tables of their own
empty "writable globals"

# 4. Nothing runs before main.
if command -v "${prefix}objdump" >/dev/null 2>&1; then
    if grep -q '__asan_init\|__tsan_init' "$work/imports"; then skipped=$((skipped + 1)); echo "skipped: constructors: a sanitizer has its own"
    else "${prefix}objdump" -h "$object" | awk '$2 ~ /^\.(init_array|ctors|preinit_array|fini_array|dtors|init|fini)/ {print $2}' >"$work/out"; empty "constructors or destructors"; fi
else skipped=$((skipped + 1)); echo "skipped: constructors: there is no objdump"; fi

# ---- The report. ----
if [ "${1:-}" = --report ]; then
    report() { # report COMPILER SIZE: seconds and text bytes at -O2
        command -v "$1" >/dev/null 2>&1 || { echo "skipped: $1 is not here"; return; }
        b=$(date +%s%N 2>/dev/null); "$1" -O2 -x c -DDSMOE_IMPLEMENTATION -c dsmoe.h -o "$work/report.o" || return
        e=$(date +%s%N)
        echo "$1 -O2: $(((e - b) / 100000000))e-1 s, $("$2" "$work/report.o" | awk 'NR == 2 {print $1 " bytes of text and constants, " $2 " of data, " $3 " of bss"}'), $(wc -l <dsmoe.h) lines"
    }
    report gcc size; report aarch64-linux-gnu-gcc aarch64-linux-gnu-size
    for c in musl-gcc aarch64-linux-musl-gcc; do
        if [ -f examples/chat.c ] && command -v $c >/dev/null 2>&1; then
            $c -O2 -static -s examples/chat.c -o "$work/chat" -lm -lpthread && echo "chat, $c -O2 -static -s: $(wc -c <"$work/chat") bytes"
        fi
    done
fi
done_
