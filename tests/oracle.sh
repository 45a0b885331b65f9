#!/bin/sh
# The contract by numbers: models made here, of other shapes than the golden ones, through the library and through the float64 oracle.
#   KL(oracle || ours) at most 1.2 times, KL(emulation || ours) at most 0.1 times KL(oracle || emulation), where the emulation is the oracle with int8 activations;
#   with F32 activations within 1e-4 of the logits' deviation. The f32 cache is used: another one rounds more than the emulation does.
# Needs a python3 with numpy and the folder of tools (DSMOE_SHARED, by default shared beside the repository); skipped without.
cd "$(dirname "$0")/.." || exit 1
: "${DSMOE_SHARED:=../shared}"
BUILD=${BUILD:-build/test}
PYTHON=
for p in python3 /usr/bin/python3; do if "$p" -c 'import numpy' 2>/dev/null; then PYTHON=$p; break; fi; done
if [ -z "$PYTHON" ] || [ ! -f "$DSMOE_SHARED/tools/oracle.py" ]; then
    echo "skipped: no python3 with numpy, or no DSMOE_SHARED with tools/oracle.py"; echo "0 passed, 0 failed, 1 skipped"; exit 0
fi
mkdir -p "$BUILD/oracle" || exit 1
if [ ! -x "$BUILD/logits" ] || [ -n "$(find dsmoe.h tools/logits.c -newer "$BUILD/logits")" ]; then
    ${CC:-cc} ${CFLAGS:--O2} -I. tools/logits.c -o "$BUILD/logits" ${LDFLAGS:-} -lm -lpthread || exit 1
fi
exec "$PYTHON" tests/oracle.py "$DSMOE_SHARED" "$BUILD/oracle" "$BUILD/logits" "$@"
