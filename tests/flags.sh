#!/bin/sh
# The same bits under any compiler and any flags:  sh tests/flags.sh
# build/logits is made in several ways, and every one of them must write the same bytes, on every instruction set that the build has.
# FULL=1 makes more of them. The models are small ones: tests/data/*.gguf, and shared/golden where that is.
cd "$(dirname "$0")/.." || exit 1
CC=${CC:-cc}
FULL=${FULL:-0}
work=${BUILD:-build/test}/flags.$$
passed=0 failed=0 skipped=0
mkdir -p "$work" || exit 1
trap 'rm -rf "$work"' EXIT
done_() { echo "$passed passed, $failed failed, $skipped skipped"; [ $failed -eq 0 ]; exit; }
skip() { skipped=$((skipped + 1)); echo "skipped: flags: $1"; }

if [ ! -f tools/logits.c ]; then skip "there is no tools/logits.c"; done_; fi
if [ -z "${DSMOE_SHARED:-}" ] && [ -d ../shared ]; then DSMOE_SHARED=../shared; fi
models=
for m in tests/data/*.gguf "${DSMOE_SHARED:-none}"/golden/llama-q4_k_m.gguf "${DSMOE_SHARED:-none}"/golden/llama-bf16.gguf "${DSMOE_SHARED:-none}"/golden/moe16b-q4_0.gguf \
    "${DSMOE_SHARED:-none}"/golden/v2lite-q4_k_m.gguf "${DSMOE_SHARED:-none}"/golden/v3-q8_0.gguf "${DSMOE_SHARED:-none}"/golden/v3-fused-f32.gguf; do [ -f "$m" ] && models="$models $m"; done
if [ -z "$models" ]; then skip "there is no small model"; done_; fi

base=
compare() { # compare NAME COMPILER FLAGS ...: built so, it writes what the first one wrote
    name=$1; shift
    if ! "$@" -I. tools/logits.c -o "$work/logits" -lm -lpthread >"$work/out" 2>&1; then failed=$((failed + 1)); echo "FAILED $name: does not build"; grep -m 3 error "$work/out"; return; fi
    for isa in $(${WRAPPER:-} "$work/logits" --isa list); do
        for m in $models; do
            for options in "--kv f16" "--kv q8_0 -t 2" "--kv f32 --act f32 --chunk 3"; do
                case $m in *f32.gguf | *bf16.gguf) [ "$options" = "--kv q8_0 -t 2" ] || continue ;; esac
                to=$work/new.f32
                key=$work/$(basename "$m").$(echo "$options" | tr -d ' -').f32
                [ -f "$key" ] || to=$key
                if ! ${WRAPPER:-} "$work/logits" "$m" --tokens 3,141,59,26,53,58,97,93,23,84,62,64,33,83,27,95,2,88,41,97,16 --out "$to" --isa "$isa" $options >"$work/out" 2>&1; then
                    if grep -q 'out of the vocabulary\|not in the vocabulary\|vocabulary' "$work/out" && [ -z "$base" ]; then continue; fi
                    failed=$((failed + 1)); echo "FAILED $name, $isa, $m $options: $(head -n 1 "$work/out")"; rm -f "$key"
                elif [ "$to" = "$key" ]; then passed=$((passed + 1)) # the first to write it
                elif cmp -s "$to" "$key"; then passed=$((passed + 1))
                else failed=$((failed + 1)); echo "FAILED $name, $isa, $m $options: other bits than ${base:-the worst instruction set}"; fi
            done
        done
    done
    [ -n "$base" ] || base=$name
}
compare "$CC -O2" $CC -std=c11 -O2
compare "$CC -O1 scalar, -funsigned-char, contract" $CC -O1 -DDSMOE_SCALAR_ONLY=1 -funsigned-char -ffp-contract=fast
if [ "$FULL" = 1 ]; then
    compare "$CC -O0" $CC -std=c99 -O0
    compare "$CC -O3, contract" $CC -O3 -ffp-contract=fast
    $CC -march=native -fsyntax-only tests/compile/empty.c 2>/dev/null && compare "$CC -O3 -march=native, contract" $CC -O3 -march=native -ffp-contract=fast
    command -v clang >/dev/null 2>&1 && compare "clang -O2" clang -O2 && compare "clang -O3 -ffp-contract=fast -march=native" clang -O3 -ffp-contract=fast -march=native
    command -v musl-gcc >/dev/null 2>&1 && compare "musl-gcc -Os" musl-gcc -Os -static
fi
done_
