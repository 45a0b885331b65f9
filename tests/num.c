/* Rooms base and num: checked arithmetic, f16 and bf16, exp, log, sin and cos against the C library's doubles, the random hash. */
#define DSMOE_IMPLEMENTATION
#include "../dsmoe.h"
#include <stdio.h>

static int passed, failed;
static void check(int good, const char *what) { if (good) passed++; else { failed++; printf("FAILED: %s\n", what); } }
static void below(double worst, double bound, const char *what) {
    printf("%s: worst %.3g, bound %.3g\n", what, worst, bound);
    check(worst < bound, what);
}

int main(void) {
    uint64_t v = 7; size_t z = 7;
    check(dsm__add64(UINT64_MAX, 0, &v) && v == UINT64_MAX && !dsm__add64(UINT64_MAX, 1, &v) && v == UINT64_MAX, "add64 refuses to wrap");
    check(dsm__mul64(1u << 31, 1u << 31, &v) && v == (uint64_t)1 << 62 && !dsm__mul64((uint64_t)1 << 32, (uint64_t)1 << 32, &v) && v == (uint64_t)1 << 62, "mul64 refuses to wrap");
    check(dsm__mul64(UINT64_MAX, 0, &v) && v == 0 && dsm__mul64(0, UINT64_MAX, &v) && v == 0, "mul64 by nothing");
    check(dsm__to_size(5, &z) && z == 5, "to_size");
    check(dsm__str_has(dsm__str_of("abcab<"), "ab<") && !dsm__str_has(dsm__str_of("ab"), "abc") && dsm__str_has(dsm__str_of(""), ""), "str_has");
    check(dsm__hash("abcdefgh", 8, 0) != dsm__hash("abcdefgi", 8, 0) && dsm__hash("", 0, 1) != dsm__hash("", 0, 2), "the hash sees its bytes and its start");
    {
        dsm__arena m; memset(&m, 0, sizeof m);
        dsm__mem_take(&m, 3, 1); check(m.used == 64 && !m.wrapped, "the arena rounds up");
        dsm__mem_take(&m, UINT64_MAX / 2, 4); check(m.wrapped && m.used == 64, "the arena notices what does not fit 64 bits");
    }
    { /* binary16 by its definition, both ways */
        int bad = 0; double worst = 0;
        for (uint32_t h = 0; h < 65536; h++) {
            int e = (int)(h >> 10 & 31); double m = h & 1023, x = e == 0 ? ldexp(m, -24) : ldexp(m + 1024, e - 25); float f = dsm__num_half((uint16_t)h);
            if (e == 31) { bad += m != 0 ? f == f : f != (h >> 15 ? -INFINITY : INFINITY); continue; }
            if (h >> 15) x = -x;
            bad += (double)f != x || (h >> 15) != (uint32_t)(dsm__num_as_bits(f) >> 31) || dsm__num_to_half(f) != h;
        }
        check(!bad, "every f16 value, both ways");
        for (uint32_t i = 0, u = 1; i < 4000000; i++, u = u * 1664525u + 1013904223u) { /* rounding: nearest, ties to even */
            float x = dsm__num_bits((u & 0x8fffffffu) | 0x30000000u), low, high; uint16_t h = dsm__num_to_half(x), away; double d, e;
            if (!(fabsf(x) < 65504.f)) continue;
            low = dsm__num_half(h); away = (uint16_t)(fabsf(low) > fabsf(x) ? h - 1 : h + 1); high = dsm__num_half(away);
            d = fabs((double)low - (double)x); e = fabs((double)high - (double)x);
            bad += d > e || (d == e && (h & 1)); worst += d > e; }
        check(!bad, "to_half rounds to the nearest, ties to even");
        check(dsm__num_to_half(65520.f) == 0x7c00 && dsm__num_to_half(65519.99f) == 0x7bff && dsm__num_to_half_saturating(1e30f) == 0x7bff && dsm__num_to_half_saturating(-INFINITY) == 0xfbff, "the edge of f16");
        check(dsm__num_bf16(0x3f80) == 1.f && dsm__num_e8m0_half(128) == 1.f && dsm__num_e8m0_half(1) == ldexpf(1, -127) && dsm__num_e8m0_half(0) == ldexpf(1, -128), "bf16 and E8M0");
    }
    {
        double worst = 0, e64 = 0, l64 = 0, sine = 0, cosine = 0;
        for (uint32_t i = 0; i < 3000000; i++) { float x = -87.f + (float)i * (175.f / 3e6f); double d = fabs((double)dsm__num_exp(x) / exp((double)x) - 1); if (d > worst) worst = d; }
        below(worst, 1.3e-7, "exp, relative"); /* 2^-24 of the last rounding, 2^-25 of 1 + .. and the polynomial's 3e-9 */
        check(dsm__num_exp(0) == 1.f && dsm__num_exp(-87.01f) == 0 && dsm__num_exp(-INFINITY) == 0 && dsm__num_exp(1e9f) == dsm__num_exp(88.f) && dsm__num_exp(NAN) != dsm__num_exp(NAN), "exp at its edges");
        for (int i = 1; i < 700000; i++) { double x = (i - 350000) * 2e-3, d = fabs(dsm__num_exp64(x) / exp(x) - 1); if (d > e64) e64 = d; }
        below(e64, 1e-15, "exp64, relative");
        for (int i = 0; i < 700000; i++) { double x = exp((i - 350000) * 2e-3), d = fabs(dsm__num_log64(x) - log(x)) / fmax(1, fabs(log(x))); if (d > l64) l64 = d; }
        check(fabs(dsm__num_log64(5e-324) - log(5e-324)) < 1e-12, "log64 of a subnormal");
        below(l64, 1e-15, "log64, relative or absolute");
        for (int i = 0; i < 2000000; i++) { /* angles of 2^24 positions */
            double x = i * 8.3886 - 100, s, c; dsm__num_sincos64(x, &s, &c);
            if (fabs(s - sin(x)) > sine) sine = fabs(s - sin(x));
            if (fabs(c - cos(x)) > cosine) cosine = fabs(c - cos(x)); }
        below(sine, 1e-14, "sin, absolute"); below(cosine, 1e-14, "cos, absolute");
    }
    { /* the hash of (seed, position): no two alike among many, each bit set half of the time (4 deviations of 65536 draws: 512) */
        int worst = 0;
        for (int bit = 0; bit < 64; bit++) { int n = 0; for (uint64_t i = 0; i < 65536; i++) n += (int)(dsm__num_random(i >> 8, i & 255) >> bit & 1); if (abs(n - 32768) > worst) worst = abs(n - 32768); }
        check(worst < 600, "random bits are even");
        check(dsm__num_random(0, 0) != dsm__num_random(0, 1) && dsm__num_random(0, 1) != dsm__num_random(1, 0) && dsm__num_random(5, 9) == dsm__num_random(5, 9), "random depends on seed and position alone");
    }
    { /* messages: arguments in order, no format from outside, cut at a whole character */
        dsm_error e; char name[400];
        check(dsm__err(&e, DSM__ERR_OPEN, dsm__s("%s%n"), dsm__s("no such file")) == DSM_E_IO && !strcmp(e.text, "%s%n: can't be opened: no such file") && e.status == DSM_E_IO, "text of others is never a format");
        check(dsm__err(NULL, DSM__ERR_OPEN, dsm__s("x"), dsm__s("y")) == DSM_E_IO, "no error struct");
        dsm__err(&e, DSM__ERR_CONTEXT, dsm__u(UINT64_MAX), dsm__i(INT64_MIN));
        check(strstr(e.text, "18446744073709551615") && strstr(e.text, "-9223372036854775808"), "numbers");
        for (int i = 0; i < 399; i++) name[i] = i % 2 ? (char)0xa9 : (char)0xc3;
        name[399] = 0;
        for (int i = 0; i < 3; i++) { size_t n; dsm__err(&e, DSM__ERR_ISA, dsm__s(name + 2 * i), dsm__s(name)); n = strlen(e.text); check(n < sizeof e.text && (e.text[n - 1] & 0xC0) != 0xC0, "a message is cut at a whole character"); }
        dsm__err(&e, DSM__ERR_OPEN, dsm__s("a\nb\033[2J"), dsm__s(""));
        check(!strchr(e.text, '\n') && !strchr(e.text, '\033'), "control characters of others do not reach the terminal");
    }
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed != 0;
}
