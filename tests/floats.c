/* floats.c - test of the float half of the room kern and of the cache rows of kv: every level that this machine has, compared by memcmp with the contract's
   definitions, which are written out once more below and share nothing with the kernels.

     floats [-q] [level ...]      -q: fewer cases (emulators)

   Inputs end where an unmapped page begins. Work is cut into ranges at random: that must not change a bit. */
#define DSMOE_IMPLEMENTATION
#include "../dsmoe.h"
#include <stdio.h>

static int passed, failed, skipped, quick;
static void group(const char *name, const char *isa, int tests, int bad) {
    printf("%-10s %-40s %6d tests, %d wrong\n", isa, name, tests, bad);
    passed += tests - bad; failed += bad; fflush(stdout);
}
static uint64_t state = 88172645463325252u;
static uint32_t rnd(void) { state ^= state << 13; state ^= state >> 7; state ^= state << 17; return (uint32_t)(state >> 16); }
static int under(int n) { return (int)(rnd() % (uint32_t)n); }
static float gauss(void) { float s = 0; for (int i = 0; i < 6; i++) s += (float)(rnd() & 0xffff) / 65536.f - .5f; return s; }
static uint8_t *guarded(size_t n) { /* ends at an unmapped page */
    uint8_t *p; n = (n + 65535) / 65536 * 65536;
    p = (uint8_t *)mmap(NULL, n + 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p + n, 65536, PROT_NONE)) exit(2);
    return p + n;
}
/* Buffers for inputs: each ends at a page of its own. */
enum { BUFFERS = 8, BUFFER = 4 << 20 };
static uint8_t *buffer_end[BUFFERS];
static void *tail(int buffer, size_t n) { if (n > BUFFER) exit(2); return buffer_end[buffer] - n; }
static float *floats(int buffer, long n) { return (float *)tail(buffer, (size_t)n * 4); }
static float *filled(int buffer, long n, float size) { float *p = floats(buffer, n); for (long i = 0; i < n; i++) p[i] = gauss() * size; return p; }
static float *out0, *out1; /* results: expected, and found, with room behind */
enum { OUTS = 1 << 19 };
static void clear(void) { for (int i = 0; i < OUTS; i++) out0[i] = out1[i] = -12345.f; }
static int differ(long n) { return memcmp(out0, out1, (size_t)(n + 64) * 4) != 0; }

/* ---------------------------------------------------------------------------------------------- the definitions ---- */
static float ref_tree(float *a) { for (int h = 8; h; h /= 2) for (int l = 0; l < h; l++) a[l] = a[l] + a[l + h]; return a[0]; }
static float ref_dot(const float *a, const float *b, int n) {
    float s[16]; for (int l = 0; l < 16; l++) s[l] = 0;
    for (int k = 0; k < n; k++) s[k % 16] = fmaf(a[k], b[k], s[k % 16]);
    return ref_tree(s);
}
static float ref_half(uint16_t h) {
    int e = h >> 10 & 31, m = h & 1023; float a = e == 31 ? (m ? NAN : INFINITY) : e ? ldexpf((float)(m | 1024), e - 25) : ldexpf((float)m, -24);
    return h & 0x8000 ? -a : a;
}
static float ref_to_half(float x) { /* rounded to f16 and read again; 65504 at most */
    float a = fabsf(x), u; int e;
    if (a != a) return a;
    if (a >= 65504.f) return x < 0 ? -65504.f : 65504.f;
    frexpf(a, &e); if (e < -13) e = -13;
    u = ldexpf(1, e - 11); a = rintf(a / u) * u; /* the division is exact */
    return copysignf(a > 65504.f ? 65504.f : a, x);
}
static float ref_exp(float x) { /* the contract's: below -87 zero, above 88 as 88 */
    float y = x > 88.f ? 88.f : x, k, r, p;
    if (!(x >= -87.f)) return x != x ? x : 0;
    k = rintf(fmaf(y, 1.44269504088896341f, 12582912.f) - 12582912.f);
    r = fmaf(k, -1.42860682030941723e-6f, fmaf(k, -0.693145751953125f, y));
    p = fmaf(1.9875691e-4f, r, 1.3981999e-3f); p = fmaf(p, r, 8.3334519e-3f); p = fmaf(p, r, 4.1665795e-2f); p = fmaf(p, r, 1.6666665e-1f); p = fmaf(p, r, 5.0000001e-1f);
    return ldexpf(fmaf(p, r * r, r) + 1.f, (int)k);
}
typedef struct { int8_t q[64]; float dx; } ref_block;
static void ref_round(const float *x, int n, ref_block *b) { /* blocks of 64, the last one is what remains */
    for (; n > 0; n -= 64, x += 64, b++) {
        float top = 0; const int m = n < 64 ? n : 64;
        for (int i = 0; i < m; i++) if (fabsf(x[i]) > top) top = fabsf(x[i]);
        memset(b, 0, sizeof *b); if (top < ldexpf(1, -64)) continue;
        b->dx = top / 127.f; for (int i = 0; i < m; i++) b->q[i] = (int8_t)rintf(x[i] * (127.f / top));
    }
}
/* A row as a cache keeps it, as floats; and a score over it. */
static void ref_kept(int kv, const float *x, int n, float *to) {
    if (kv == DSM_KV_Q8_0) { ref_block b[16]; ref_round(x, n, b); for (int i = 0; i < n; i++) to[i] = (float)b[i / 64].q[i % 64] * b[i / 64].dx; }
    else for (int i = 0; i < n; i++) to[i] = kv == DSM_KV_F16 ? ref_to_half(x[i]) : x[i];
}
static float ref_chain(float a, const float *x, const float *y, int n) { for (int i = 0; i < n; i++) a = fmaf(x[i], y[i], a); return a; }
static float ref_int_chain(const float *q, const float *row, int n) {
    ref_block x[16], w[16]; float a = 0; ref_round(q, n, x); ref_round(row, n, w);
    for (int b = 0; b < (n + 63) / 64; b++) {
        int s = 0; float p; for (int i = 0; i < 64; i++) s += x[b].q[i] * w[b].q[i];
        p = fmaf((float)s, w[b].dx, 0.f); a = fmaf(p, x[b].dx, a);
    }
    return a;
}

/* ---------------------------------------------------------------------------------------------- products ---- */
static int fmt_named(const char *name) { for (int i = 0; i < DSM__FMT_COUNT; i++) if (!strcmp(dsm__fmts[i].name, name)) return i; exit(2); }
static void products(const dsm__kernels *k) {
    static const char *const names[] = { "F32", "F16", "BF16", "Q8_0", "Q4_K", "Q6_K" };
    static float w[1 << 18], row[1 << 14];
    int tests = 0, bad = 0, tests2 = 0, bad2 = 0;
    for (int trial = 0; trial < (quick ? 40 : 150); trial++) {
        const int f = fmt_named(names[trial % 6]), type = trial % 6, unit = dsm__fmts[f].unit;
        const int len = (type < 3 ? 1 + under(trial < 100 ? 70 : 700) : unit * (1 + under(512 / unit))), rows = 1 + under(trial % 5 ? 11 : 40), n = trial % 3 == 0 ? 1 : 1 + under(trial % 4 ? 5 : 19);
        const int down_rows = 1 + under(70), odd = type < 3 ? under(3) : 0, most = rows > down_rows ? rows : down_rows; size_t size = dsm__fmt_row_bytes(f, (size_t)len), stride = size + (size_t)odd;
        uint8_t *at = (uint8_t *)tail(0, stride * (size_t)(most - 1) + size); const long ldx = (len > down_rows ? len : down_rows) + 3; float *x = filled(1, (n - 1) * ldx + len, 1);
        long ldy = rows + 2; int r, c;
        for (int i = 0; i < most; i++) {
            uint8_t *p = at + (size_t)i * stride;
            for (int j = 0; j < len; j++) row[j] = trial % 7 == 3 ? gauss() * 1e-5f : gauss();
            if (type == 0) memcpy(p, row, size);
            else if (type == 1) for (int j = 0; j < len; j++) { uint16_t h = dsm__num_to_half(row[j]); memcpy(p + 2 * j, &h, 2); }
            else if (type == 2) for (int j = 0; j < len; j++) memcpy(p + 2 * j, (uint8_t *)(row + j) + 2, 2);
            else {
                for (size_t j = 0; j < size; j++) p[j] = (uint8_t)rnd();
                for (int b = 0; b < len / unit; b++) { /* scales that are numbers */
                    uint16_t h = (uint16_t)(0x2000 + (rnd() & 0x87ff)); uint8_t *q = p + b * dsm__fmts[f].bytes;
                    memcpy(type == 5 ? q + 208 : q, &h, 2); if (type == 4) memcpy(q + 2, &h, 2); }
            }
            if (type == 0) memcpy(w + i * len, p, size);
            else if (type == 1) for (int j = 0; j < len; j++) { uint16_t h; memcpy(&h, p + 2 * j, 2); w[i * len + j] = ref_half(h); }
            else if (type == 2) for (int j = 0; j < len; j++) { uint32_t u = (uint32_t)p[2 * j] << 16 | (uint32_t)p[2 * j + 1] << 24; memcpy(w + i * len + j, &u, 4); }
            else dsm__fmt_dequantize(f, p, w + i * len, (size_t)len);
        }
        clear();
        for (int t = 0; t < n; t++) for (int i = 0; i < rows; i++) out0[t * ldy + i] = ref_dot(w + i * len, x + t * ldx, len);
        for (int a = 0; a < rows; a = r) { r = a + 1 + under(rows - a); dsm__k_mul_float(k, f, at, stride, len, x, ldx, n, out1, ldy, a, r, row); }
        tests++; bad += differ(n * ldy);
        if (len > 512) continue;
        x = filled(1, (n - 1) * ldx + down_rows, 1); ldy = len + 1; clear();
        for (int t = 0; t < n; t++) for (int i = 0; i < len; i++) {
            float s[16]; for (int l = 0; l < 16; l++) s[l] = 0;
            for (int p = 0; p < down_rows; p++) s[p % 16] = fmaf(w[p * len + i], x[t * ldx + p], s[p % 16]);
            out0[t * ldy + i] = ref_tree(s); }
        for (int a = 0; a < len; a = c) {
            c = a + 1 + under(len - a);
            dsm__k_mul_columns(k, f, at + (stride * (size_t)0), stride, down_rows, len, x, ldx, n, out1, ldy, a, c, floats(2, (long)dsm__k_columns_floats(down_rows))); }
        tests2++; bad2 += differ(n * ldy);
    }
    group("products of rows", k->isa, tests, bad); group("products down columns", k->isa, tests2, bad2);
}

/* ---------------------------------------------------------------------------------------------- elementwise ---- */
static int exps(const dsm__kernels *k, int whole) { /* against dsm__num_exp; and that one against libm */
    const int per = 1 << 12; int bad = 0; double worst = 0; float *x = floats(0, per);
    for (int part = 0; part < (whole ? 512 : quick ? 8 : 128); part++) {
        for (int i = 0; i < per; i++) { uint32_t u = rnd() << 16 ^ rnd(); if (part % 2) x[i] = (float)(int32_t)u * (90.f / 2147483648.f); else memcpy(x + i, &u, 4); }
        if (!part) { static const float edge[] = { 0, -0.f, 88, 88.00001f, -87, -87.00001f, -86.99999f, 1e30f, -1e30f, INFINITY, -INFINITY, 1e-40f, -1e-40f, NAN }; memcpy(x, edge, sizeof edge); }
        memcpy(out1, x, (size_t)per * 4); k->exps(out1, per - part % 16);
        for (int i = 0; i < per - part % 16; i++) {
            const float e = dsm__num_exp(x[i]);
            if (e != e ? out1[i] == out1[i] : memcmp(&e, out1 + i, 4) != 0) bad++;
            if (whole && x[i] >= -87 && x[i] <= 88) {
                const double right = exp((double)x[i]), error = fabs((double)e - right) / right; float again = ref_exp(x[i]);
                if (error > worst) worst = error;
                bad += memcmp(&e, &again, 4) != 0; } }
    }
    if (whole) { printf("%-10s exp: largest relative error %.4g\n", "", worst); bad += !(worst < 1.3e-7); }
    return bad != 0;
}
static void elementwise(const dsm__kernels *k) {
    int tests = 0, bad[12] = { 0 }, all = 0; static const char *const names[] = { "rmsnorm", "swiglu", "sigmoid", "add", "axpy", "times", "softmax", "rope", "all_finite", "absmax", "to_half", "to_float" };
    group("exp", k->isa, 1, exps(k, 0));
    for (int n = 1; n <= 70 + (quick ? 2 : 10); n++) {
        const int m = n <= 70 ? n : n * 13; const float size = n % 5 == 4 ? 30.f : n % 5 == 3 ? 1e-20f : 1; float *x = filled(0, m, size), *y = filled(1, m, 2), a, b, s[16]; uint8_t *h;
        const float scale = gauss();
#define TRY(i, count) tests++; bad[i] += differ(count)
        clear(); a = 1.f / sqrtf(ref_dot(x, x, m) / (float)m + 1e-6f);
        for (int i = 0; i < m; i++) out0[i] = (x[i] * a) * y[i];
        k->rmsnorm(x, y, m, 1e-6f, out1); TRY(0, m);
        clear(); memcpy(out1, x, (size_t)m * 4); memcpy(out0, x, (size_t)m * 4); for (int i = 0; i < m; i++) out0[i] = (x[i] * a) * y[i];
        k->rmsnorm(out1, y, m, 1e-6f, out1); TRY(0, m);
        clear(); for (int i = 0; i < m; i++) out0[i] = (x[i] / (1.f + ref_exp(-x[i]))) * y[i];
        k->swiglu(x, y, m, out1); TRY(1, m);
        clear(); memcpy(out1, x, (size_t)m * 4); for (int i = 0; i < m; i++) out0[i] = 1.f / (1.f + ref_exp(-x[i]));
        k->sigmoid(out1, m); TRY(2, m);
        clear(); memcpy(out1, x, (size_t)m * 4); for (int i = 0; i < m; i++) out0[i] = x[i] + y[i];
        k->add(out1, y, m); TRY(3, m);
        clear(); memcpy(out1, x, (size_t)m * 4); for (int i = 0; i < m; i++) out0[i] = fmaf(scale, y[i], x[i]);
        k->axpy(out1, scale, y, m); TRY(4, m);
        clear(); memcpy(out1, x, (size_t)m * 4); for (int i = 0; i < m; i++) out0[i] = x[i] * scale;
        k->times(out1, scale, m); TRY(5, m);
        clear(); memcpy(out1, x, (size_t)m * 4); a = x[0]; for (int i = 1; i < m; i++) if (x[i] > a) a = x[i];
        for (int l = 0; l < 16; l++) s[l] = 0;
        for (int i = 0; i < m; i++) { out0[i] = ref_exp(x[i] - a); s[i % 16] = s[i % 16] + out0[i]; }
        a = ref_tree(s); b = k->softmax(out1, m); TRY(6, m); tests++; bad[6] += memcmp(&a, &b, 4) != 0;
        for (int neox = 0; neox < 2; neox++) {
            const int half = m / 2; clear(); memcpy(out1, x, (size_t)m * 4); memcpy(out0, x, (size_t)m * 4);
            for (int i = 0; i < half; i++) {
                float *u = neox ? out0 + i : out0 + 2 * i, *w = neox ? out0 + half + i : u + 1, c = y[i], z = y[half + i], p = *u, q = *w;
                *u = fmaf(p, c, -(q * z)); *w = fmaf(p, z, q * c); }
            k->rope(out1, m / 2 * 2, neox, y); TRY(7, m); }
        tests++; bad[8] += !k->all_finite(x, m);
        { static const float broken[] = { INFINITY, -INFINITY, NAN }; const int at = under(m); a = x[at]; x[at] = broken[n % 3]; tests++; bad[8] += k->all_finite(x, m) != 0; x[at] = a; }
        a = 0; for (int i = 0; i < m; i++) if (fabsf(x[i]) > a) a = fabsf(x[i]);
        tests++; bad[9] += k->absmax(x, m) != a;
        for (int i = 0; i < m; i++) x[i] *= n % 3 == 0 ? 1e5f : n % 3 == 1 ? 1 : 1e-5f;
        h = (uint8_t *)tail(2, (size_t)m * 2); k->to_half(x, m, h);
        clear(); for (int i = 0; i < m; i++) { uint16_t v; out0[i] = ref_to_half(x[i]); memcpy(&v, h + 2 * i, 2); out1[i] = ref_half(v); }
        TRY(10, m);
        k->to_float(DSM__K_F16, h, m, out1); TRY(11, m);
        k->to_float(DSM__K_F32, (const uint8_t *)x, m, out0); k->to_float(DSM__K_BF16, (const uint8_t *)(x), m, out1);
        tests++; for (int i = 0; i < m; i++) { uint16_t v; uint32_t u; memcpy(&v, (uint8_t *)x + 2 * i, 2); u = (uint32_t)v << 16; if (memcmp(&u, out1 + i, 4) || memcmp(x + i, out0 + i, 4)) { bad[11]++; break; } }
    }
    for (int i = 0; i < 12; i++) { all += bad[i]; if (bad[i]) printf("    %s: %d wrong\n", names[i], bad[i]); }
    group("rows", k->isa, tests, all);
}

/* ---------------------------------------------------------------------------------------------- attention ---- */
static const char *const kv_name[] = { "f16", "f32", "q8_0", "q8_0, rounded queries" };
static float kept[1 << 19]; /* the cache's rows as floats */
static int cut(int from, int to, int at) { int z = from + 1 + under(to - from); z = (z + at - 1) / at * at; return z > to ? to : z; }
static void gqa(const dsm__kernels *k) {
    static const int sizes[] = { 128, 64, 80, 32, 192, 20, 96, 1, 7, 100 };
    for (int form = 0; form < 4; form++) {
        const int kv = form > 2 ? 2 : form; char name[64]; int tests = 0, bad = 0, badv = 0, badr = 0;
        for (int trial = 0; trial < (quick ? 14 : 45); trial++) {
            const int dims = sizes[trial % 10], n = 1 + under(trial % 3 ? 8 : 19), len = trial % 9 == 4 ? 300 : 1 + under(70), len16 = (len + 15) / 16 * 16; float size = trial % 8 == 5 ? 300.f : 1; int z;
            uint8_t *keys = (uint8_t *)tail(0, (size_t)dsm__kv_key_bytes(kv, dims, (uint64_t)len)); const size_t row = dsm__k_value_row_bytes(kv, dims); uint8_t *values = (uint8_t *)tail(1, row * (size_t)len);
            const long ldq = dims + under(3), lds = len16 + 5, ldo = dims + under(4); float *q = filled(2, (n - 1) * ldq + dims, size), *in = floats(3, dims), *p; const float scale = 1.f / sqrtf((float)dims);
            const int blocks = (dims + 63) / 64; dsm__x64 *x = (dsm__x64 *)tail(4, sizeof *x * (size_t)(blocks * n));
            static float raw[1 << 17];
            memset(keys, 0xff, (size_t)dsm__kv_key_bytes(kv, dims, (uint64_t)len)); /* what is not written yet is NaN */
            for (int t = 0; t < len; t++) {
                for (int i = 0; i < dims; i++) in[i] = gauss() * size * (trial % 8 == 6 && under(9) == 0 ? 1e6f : 1);
                if (trial % 8 == 7 && t % 3 == 0) memset(in, 0, (size_t)dims * 4);
                memcpy(raw + t * dims, in, (size_t)dims * 4);
                dsm__kv_write_key(k, kv, keys, dims, t, in); ref_kept(kv, in, dims, kept + t * dims);
                dsm__kv_read_key(kv, keys, dims, t, in); badr += memcmp(in, kept + t * dims, (size_t)dims * 4) != 0; tests++; }
            for (int i = 0; i < n; i++) if (!dsm__k_quantize_any(k, q + i * ldq, dims, x + i * blocks)) bad++;
            clear();
            for (int i = 0; i < n; i++) for (int t = 0; t < len; t++)
                out0[i * lds + t] = (form == 3 ? ref_int_chain(q + i * ldq, raw + t * dims, dims) : ref_chain(0, kept + t * dims, q + i * ldq, dims)) * scale;
            for (int t = 0; t < len; t = z) { z = cut(t, len, 16); dsm__k_gqa_scores(k, form, keys, dims, t, z, form == 3 ? (const void *)x : (const void *)q, form == 3 ? blocks : ldq, n, scale, out1, lds); }
            for (int i = 0; i < n; i++) for (int t = len; t < len16; t++) out1[i * lds + t] = -12345.f; /* may be anything */
            tests++; bad += differ(n * lds);
            if (form == 3) continue;
            for (int t = 0; t < len; t++) {
                for (int i = 0; i < dims; i++) in[i] = gauss() * size;
                dsm__kv_write_value(k, kv, values, dims, t, in); ref_kept(kv, in, dims, kept + t * dims);
                dsm__kv_read_value(kv, values, dims, t, in); badr += memcmp(in, kept + t * dims, (size_t)dims * 4) != 0; tests++; }
            p = floats(2, (n - 1) * lds + len); for (long i = 0; i < (n - 1) * lds + len; i++) p[i] = (float)(rnd() & 0xffff) / 65536.f;
            clear();
            for (int i = 0; i < n; i++) for (int d = 0; d < dims; d++) { float a = 0; for (int t = 0; t < len; t++) a = fmaf(kept[t * dims + d], p[i * lds + t], a); out0[i * ldo + d] = a; }
            for (int d = 0, y; d < dims; d = y) { y = cut(d, dims, 16); for (int t = 0; t < len; t = z) { z = cut(t, len, 1); k->values(kv, values, row, dims, t, z, p, lds, n, out1, ldo, d, y); } }
            tests++; badv += differ(n * ldo);
        }
        if (bad + badv + badr) printf("    scores %d, values %d, rows %d\n", bad, badv, badr);
        snprintf(name, sizeof name, "groups, %s", kv_name[form]); group(name, k->isa, tests, bad + badv + badr);
    }
}
static void mla(const dsm__kernels *k) {
    static const int sizes[][2] = { { 512, 64 }, { 64, 16 }, { 128, 32 }, { 256, 64 }, { 96, 16 }, { 80, 8 }, { 50, 6 } };
    for (int form = 0; form < 4; form++) {
        const int kv = form > 2 ? 2 : form; char name[64]; int tests = 0, bad = 0, badv = 0, badr = 0;
        for (int trial = 0; trial < (quick ? 8 : 22); trial++) {
            const int latent = sizes[trial % 7][0], rope = sizes[trial % 7][1], n = trial % 7 == 0 ? (trial ? 16 : 4) : trial == 8 ? 128 : trial == 16 ? 150 : 1 + under(40), lanes = (n + 15) / 16 * 16;
            const int len = trial == 9 || trial == 14 ? 300 : 1 + under(70), both = latent + rope; const size_t row = dsm__k_latent_row_bytes(kv, latent, rope); int z;
            uint8_t *rows = (uint8_t *)tail(0, row * (size_t)len); const long lda = latent + 1, ldr = rope + 2, lds = len + 7, ldo = latent + 3; const float scale = .1352337789f;
            float *qa = filled(2, (n - 1) * lda + latent, 1), *qr = filled(3, (n - 1) * ldr + rope, 1), *in = floats(4, both), *p; static float raw[1 << 18];
            void *q = tail(5, dsm__k_mla_query_bytes(form, latent, rope, lanes));
            for (int t = 0; t < len; t++) {
                for (int i = 0; i < both; i++) in[i] = gauss() * (trial % 8 == 6 && under(9) == 0 ? 1e6f : 1);
                memcpy(raw + t * both, in, (size_t)both * 4);
                if (!dsm__kv_write_latent(k, kv, rows, latent, rope, t, in, in + latent)) badr++;
                ref_kept(kv, in, latent, kept + t * both); ref_kept(kv == 2 ? 0 : kv, in + latent, rope, kept + t * both + latent);
                dsm__kv_read_latent(kv, rows, latent, rope, t, in, in + latent); badr += memcmp(in, kept + t * both, (size_t)both * 4) != 0; tests++; }
            if (!dsm__k_mla_query(k, form, latent, rope, lanes, n, qa, lda, qr, ldr, q)) bad++;
            clear();
            for (int i = 0; i < n; i++) for (int t = 0; t < len; t++) {
                float a = form == 3 ? ref_int_chain(qa + i * lda, raw + t * both, latent) : ref_chain(0, kept + t * both, qa + i * lda, latent);
                out0[i * lds + t] = ref_chain(a, kept + t * both + latent, qr + i * ldr, rope) * scale; }
            for (int t = 0; t < len; t = z) { z = cut(t, len, 1); dsm__k_mla_scores(k, form, rows, latent, rope, t, z, q, lanes, n, scale, out1, lds); }
            tests++; bad += differ(n * lds);
            if (form == 3) continue;
            p = floats(2, (n - 1) * lds + len); for (long i = 0; i < (n - 1) * lds + len; i++) p[i] = (float)(rnd() & 0xffff) / 65536.f;
            clear();
            for (int i = 0; i < n; i++) for (int d = 0; d < latent; d++) { float a = 0; for (int t = 0; t < len; t++) a = fmaf(kept[t * both + d], p[i * lds + t], a); out0[i * ldo + d] = a; }
            for (int d = 0, y; d < latent; d = y) { y = cut(d, latent, 16); for (int t = 0; t < len; t = z) { z = cut(t, len, 1); k->values(kv, rows, row, latent, t, z, p, lds, n, out1, ldo, d, y); } }
            tests++; badv += differ(n * ldo);
        }
        if (bad + badv + badr) printf("    scores %d, values %d, rows %d\n", bad, badv, badr);
        snprintf(name, sizeof name, "MLA, %s", kv_name[form]); group(name, k->isa, tests, bad + badv + badr);
    }
}
/* NaN and infinity anywhere: nothing crashes, loops or writes elsewhere; rounding refuses them. */
static void broken(const dsm__kernels *k) {
    static const float values[] = { NAN, INFINITY, -INFINITY }; int bad = 0, tests = 0;
    for (int i = 0; i < 30; i++) {
        float x[100], y[100], sum; const int n = 1 + under(90); uint8_t keys[128 * 16 * 4], row[512];
        for (int j = 0; j < 100; j++) x[j] = y[j] = gauss();
        x[under(n)] = values[i % 3];
        sum = k->softmax(y, n); bad += !(sum >= 1 && sum <= (float)n); memcpy(y, x, sizeof y); sum = k->softmax(y, n); bad += y[99] != x[99]; (void)sum;
        k->swiglu(x, x, n, y); bad += k->all_finite(y, n) && i % 3 != 2; k->sigmoid(y, n); k->exps(y, n); k->rmsnorm(x, x, n, 1e-6f, y); (void)k->absmax(x, n);
        bad += dsm__kv_write_key(k, DSM_KV_Q8_0, keys, n, 3, x); bad += dsm__kv_write_row(k, DSM_KV_Q8_0, row, n, x);
        dsm__kv_write_key(k, DSM_KV_F16, keys, n, 3, x); dsm__kv_write_row(k, DSM_KV_F16, row, n, x); dsm__kv_read_row(DSM_KV_F16, row, n, y);
        bad += i % 3 == 0 ? k->all_finite(y, n) : !k->all_finite(y, n); tests += 6;
    }
    group("NaN and infinity", k->isa, tests, bad);
}
static void environment(void) { /* (volatile, also what comes out: so that nothing is computed elsewhere) */
    int bad = 0; volatile float tiny = 1e-39f, one = 1, product, third, flushed; const uint64_t old = dsm__k_float_enter();
    product = tiny * one; bad += !(product > 0); dsm__k_float_leave(old);
#if defined(__x86_64__)
    { unsigned rough = 0xffc0u, back; uint64_t caller; __asm__ volatile("ldmxcsr %0" : : "m"(rough)); /* towards zero, flushing; traps stay off */
      caller = dsm__k_float_enter(); product = tiny * one; third = one / 3; dsm__k_float_leave(caller);
      flushed = tiny * one; __asm__ volatile("stmxcsr %0" : "=m"(back)); dsm__k_float_leave(old);
      bad += !(product > 0); bad += flushed != 0; bad += third != 0.333333343f; bad += (back & 0xffc0u) != rough; }
#elif defined(__aarch64__)
    { uint64_t rough = 3u << 22 | 1u << 24, caller; __asm__ volatile("msr fpcr, %0" : : "r"(rough));
      caller = dsm__k_float_enter(); product = tiny * one; third = one / 3; dsm__k_float_leave(caller);
      flushed = tiny * one; dsm__k_float_leave(old);
      bad += caller != rough; bad += !(product > 0); bad += flushed != 0; bad += third != 0.333333343f; }
#else
    (void)third; (void)flushed;
#endif
    group("rounding and subnormals", "", 5, bad);
}

int main(int argc, char **argv) {
    int named = 0; const char *isa;
    for (int i = 1; i < argc; i++) if (!strcmp(argv[i], "-q")) quick = 1; else named++;
    for (int i = 0; i < BUFFERS; i++) buffer_end[i] = guarded(BUFFER);
    out0 = (float *)guarded(OUTS * 4) - OUTS; out1 = (float *)guarded(OUTS * 4) - OUTS;
    environment();
    for (int i = 0; (isa = dsm__k_isa_name(i)) != NULL; i++) {
        const dsm__kernels *k = dsm__k_select(isa); int want = !named;
        for (int j = 1; j < argc; j++) if (!strcmp(argv[j], isa)) want = 1;
        if (!want || !k) { skipped++; continue; }
        if (!i) group("exp against libm", isa, 1, exps(k, 1));
        products(k); elementwise(k); gqa(k); mla(k); broken(k);
    }
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed != 0;
}
