/* kernels.c - test of the room kern, integer half: every level that this machine has, through the library's own selector, compared by memcmp with the contract's
   definition, which is written out once more below and shares nothing with the kernels.

     kernels [-q] [level ...]      -q: fewer cases (emulators)

   Weights end where an unmapped page begins, and so does the scratch, which is full of NaN. */
#define DSMOE_IMPLEMENTATION
#include "../dsmoe.h"
#include <float.h>
#include <stdio.h>

static int passed, failed, skipped;
static void group(const char *name, int tests, int bad) {
    printf("%-40s %6d tests, %d wrong\n", name, tests, bad);
    passed += tests - bad; failed += bad; fflush(stdout);
}
static uint64_t state = 88172645463325252u;
static uint32_t rnd(void) { state ^= state << 13; state ^= state >> 7; state ^= state << 17; return (uint32_t)(state >> 16); }
static float gauss(void) { float s = 0; for (int i = 0; i < 6; i++) s += (float)(rnd() & 0xffff) / 65536.f - .5f; return s; }
static void *block(size_t n) { void *p = malloc(n ? n : 1); if (!p) exit(2); return p; }
static uint8_t *guarded(size_t n) { /* ends at an unmapped page */
    uint8_t *p = (uint8_t *)mmap(NULL, n + 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p + n, 65536, PROT_NONE)) exit(2);
    return p + n;
}

/* ---------------------------------------------------------------------------------------------- the definition ---- */
static const struct { const char *name; int unit, bytes, width, mins; } kind[] = {
    { "Q4_0", 32, 18, 32, 0 }, { "Q4_1", 32, 20, 32, 1 }, { "Q5_0", 32, 22, 32, 0 }, { "Q5_1", 32, 24, 32, 1 }, { "Q8_0", 32, 34, 32, 0 },
    { "Q2_K", 256, 84, 16, 1 }, { "Q3_K", 256, 110, 16, 0 }, { "Q4_K", 256, 144, 32, 1 }, { "Q5_K", 256, 176, 32, 1 }, { "Q6_K", 256, 210, 16, 0 },
    { "IQ4_NL", 32, 18, 32, 0 }, { "IQ4_XS", 256, 136, 32, 0 }, { "MXFP4", 32, 17, 32, 0 } };
enum { KINDS = sizeof kind / sizeof *kind, Q4_0 = 0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, MXFP4 };
static int id_of(const char *name) { for (int i = 0; i < DSM__FMT_COUNT; i++) if (!strcmp(dsm__fmts[i].name, name)) return i; exit(2); }
static float half(const uint8_t *p) {
    int h = p[0] | p[1] << 8, e = h >> 10 & 31, m = h & 1023; float a = e == 31 ? (m ? NAN : INFINITY) : e ? ldexpf((float)(m | 1024), e - 25) : ldexpf((float)m, -24);
    return h & 0x8000 ? -a : a;
}
/* weight i of a stored block as an integer, the scale and the minimum of its group */
static int weight(int f, const uint8_t *p, int i, float *s, float *m) {
    static const int iq4[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 }, mx[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };
    const int g = i / 32, l = i % 32, up = i / 16 * 4; int sc, mn, b; *m = 0;
    switch (f) {
    case Q4_0: *s = half(p); return (p[2 + i % 16] >> up & 15) - 8;
    case Q4_1: *s = half(p); *m = half(p + 2); return p[4 + i % 16] >> up & 15;
    case Q5_0: *s = half(p); return ((p[6 + i % 16] >> up & 15) | (p[2 + i / 8] >> i % 8 & 1) << 4) - 16;
    case Q5_1: *s = half(p); *m = half(p + 2); return (p[8 + i % 16] >> up & 15) | (p[4 + i / 8] >> i % 8 & 1) << 4;
    case Q8_0: *s = half(p); b = p[2 + i]; return b < 128 ? b : b - 256;
    case IQ4_NL: *s = half(p); return iq4[p[2 + i % 16] >> up & 15];
    case MXFP4: *s = p[0] < 96 ? 0 : p[0] == 255 ? INFINITY : ldexpf(1, p[0] - 128); return mx[p[1 + i % 16] >> up & 15];
    case IQ4_XS:
        sc = (p[4 + g / 2] >> 4 * (g & 1) & 15) | ((p[2] | p[3] << 8) >> 2 * g & 3) << 4;
        *s = half(p) * (float)(sc - 32); return iq4[p[8 + 16 * g + i % 16] >> l / 16 * 4 & 15];
    case Q2_K:
        *s = half(p + 80) * (float)(p[i / 16] & 15); *m = -(half(p + 82) * (float)(p[i / 16] >> 4));
        return p[16 + 32 * (i / 128) + l] >> 2 * (i % 128 / 32) & 3;
    case Q3_K: {
        const int j = i / 16; sc = (j < 8 ? p[96 + j] & 15 : p[96 + j - 8] >> 4) | (p[104 + j % 4] >> 2 * (j / 4) & 3) << 4;
        *s = half(p + 108) * (float)(sc - 32);
        return (p[32 + 32 * (i / 128) + l] >> 2 * (i % 128 / 32) & 3) - (p[l] >> g & 1 ? 0 : 4); }
    case Q4_K: case Q5_K: {
        const uint8_t *a = p + 4, *q = p + (f == Q4_K ? 16 : 48);
        if (g < 4) { sc = a[g] & 63; mn = a[g + 4] & 63; }
        else { sc = (a[g + 4] & 15) | (a[g - 4] >> 6) << 4; mn = (a[g + 4] >> 4) | (a[g] >> 6) << 4; }
        *s = half(p) * (float)sc; *m = -(half(p + 2) * (float)mn);
        return (q[32 * (g / 2) + l] >> 4 * (g & 1) & 15) + (f == Q5_K ? (p[16 + l] >> g & 1) << 4 : 0); }
    default: {
        const int u = i / 128, k = i % 128 / 32; b = p[192 + i / 16];
        *s = half(p + 208) * (float)(b < 128 ? b : b - 256);
        return ((p[64 * u + 32 * (k & 1) + l] >> 4 * (k >> 1) & 15) | (p[128 + 32 * u + l] >> 2 * k & 3) << 4) - 32; } }
}
typedef struct { int8_t *w; float *s, *m; } row_parts; /* a row, taken apart once */
static void take_apart(int f, const uint8_t *row, int len, row_parts *o) {
    for (int i = 0; i < len; i++) {
        int e = i / kind[f].width; float s, m;
        o->w[i] = (int8_t)weight(f, row + (size_t)(i / kind[f].unit) * (size_t)kind[f].bytes, i % kind[f].unit, &s, &m); o->s[e] = s; o->m[e] = m;
    }
}
static float define(int f, const row_parts *w, const int8_t *q, const float *dx, int len) {
    const int width = kind[f].width; float acc = 0;
    for (int b = 0; b < len; b += 64) {
        float p = 0;
        for (int e = b; e < b + 64 && e < len; e += width) {
            int32_t sum = 0, plain = 0;
            for (int i = e; i < e + width; i++) { sum += w->w[i] * q[i]; plain += q[i]; }
            p = fmaf((float)sum, w->s[e / width], p);
            if (kind[f].mins) p = fmaf((float)plain, w->m[e / width], p);
        }
        acc = fmaf(p, dx[b / 64], acc);
    }
    return acc;
}
static int define_rounding(const float *x, int len, int8_t *q, float *dx) {
    for (int b = 0; b < len; b += 64) {
        float top = 0; int z = b + 64 < len ? b + 64 : len;
        for (int i = b; i < z; i++) { if (!(fabsf(x[i]) <= FLT_MAX)) return 0; if (fabsf(x[i]) > top) top = fabsf(x[i]); }
        dx[b / 64] = top < ldexpf(1, -64) ? 0 : top / 127.f;
        for (int i = b; i < z; i++) { volatile float v = top < ldexpf(1, -64) ? 0 : x[i] * (127.f / top); q[i] = (int8_t)nearbyintf(v); }
    }
    return 1;
}

/* ---------------------------------------------------------------------------------------------- products ---- */
static const dsm__kernels *level[16]; static int n_levels, level_bad[16], level_tests[16];
/* mode 0: random, scales of all sizes, subnormal too; 1 .. 3: extremes */
static void fill(int f, uint8_t *w, int mode) {
    uint16_t d = (uint16_t)((rnd() & 0x83ff) | (rnd() % 17) << 10), m = (uint16_t)((rnd() & 0x83ff) | (rnd() % 17) << 10);
    for (int i = 0; i < kind[f].bytes; i++) w[i] = (uint8_t)(mode == 1 ? 0xff : mode == 2 ? 0 : mode == 3 ? 0x80 : rnd());
    if (f == MXFP4) { w[0] = (uint8_t)(rnd() % 40 ? 90 + rnd() % 50 : rnd() % 3 * 95); return; }
    memcpy(w + (f == Q6_K ? 208 : f == Q3_K ? 108 : f == Q2_K ? 80 : 0), &d, 2);
    if (kind[f].mins) memcpy(w + (f == Q2_K ? 82 : 2), &m, 2);
}
enum { MOST_WEIGHTS = 8 << 20 };
static uint8_t *weights_end, *scratch_end;
static void product(int f, int len, int rows, int n, int mode) {
    const int fmt = id_of(kind[f].name); const size_t run = (size_t)(len / kind[f].unit) * (size_t)kind[f].bytes, stride = run + rnd() % 2 * (rnd() % 7);
    const long ldx = (len + 63) / 64 + (long)(rnd() % 2), ldy = rows + 3; const size_t ny = (size_t)ldy * (size_t)n;
    uint8_t *w = weights_end - stride * (size_t)(rows - 1) - run;
    float *x = (float *)block(4 * (size_t)len), *dx = (float *)block(4 * (size_t)((len + 63) / 64)), *want = (float *)block(4 * ny), *y = (float *)block(4 * ny);
    int8_t *q = (int8_t *)block((size_t)len); dsm__x64 *records = (dsm__x64 *)block(sizeof(dsm__x64) * (size_t)(ldx * n));
    row_parts *parts = (row_parts *)block(sizeof(row_parts) * (size_t)rows); float *inputs = (float *)block(4 * (size_t)len * (size_t)n);
    if (stride * (size_t)rows > MOST_WEIGHTS) exit(2);
    for (int r = 0; r < rows; r++) {
        uint8_t *p = w + (size_t)r * stride;
        for (size_t i = 0; i < run; i += (size_t)kind[f].bytes) fill(f, p + i, mode);
        parts[r].w = (int8_t *)block((size_t)len); parts[r].s = (float *)block((size_t)len); parts[r].m = (float *)block((size_t)len);
        take_apart(f, p, len, parts + r);
    }
    memset(want, 0xcc, 4 * ny);
    for (int t = 0; t < n; t++) {
        for (int i = 0; i < len; i++) x[i] = mode == 0 ? gauss() * expf(3 * gauss()) : mode == 1 ? 1 : mode == 2 ? -1 : rnd() & 1 ? 1.f : -1.f;
        if (mode == 0 && t == 1) for (int i = 0; i < len && i < 64; i++) x[i] *= ldexpf(1, -70); /* a block that counts as zero */
        memcpy(inputs + (size_t)t * (size_t)len, x, 4 * (size_t)len);
        define_rounding(x, len, q, dx);
        for (int r = 0; r < rows; r++) want[t * ldy + r] = define(f, parts + r, q, dx, len);
    }
    for (int l = 0; l < n_levels; l++) {
        const dsm__kernels *k = level[l]; dsm__k_scratch scratch = dsm__k_scratch_at(scratch_end - dsm__k_scratch_bytes()); int wrong = 0;
        memset(scratch_end - dsm__k_scratch_bytes(), 0xff, dsm__k_scratch_bytes()); memset(records, 0xff, sizeof(dsm__x64) * (size_t)(ldx * n));
        for (int t = 0; t < n; t++) wrong += !k->quantize(inputs + (size_t)t * (size_t)len, len, records + t * ldx);
        memset(y, 0xcc, 4 * ny);
        if (rows >= 5 && n % 2) { /* as threads would share it */
            int a = rows / 3, b = rows > 40 ? 35 : rows / 2;
            dsm__k_mul(k, fmt, w, stride, len, records, ldx, n, y, ldy, b, rows, &scratch, w);
            dsm__k_mul(k, fmt, w, stride, len, records, ldx, n, y, ldy, 0, a, &scratch, w + (size_t)a * stride);
            dsm__k_mul(k, fmt, w, stride, len, records, ldx, n, y, ldy, a, b, &scratch, w + (size_t)b * stride);
        } else dsm__k_mul(k, fmt, w, stride, len, records, ldx, n, y, ldy, 0, rows, &scratch, w);
        for (size_t i = 0; i < ny; i++) wrong += memcmp(y + i, want + i, 4) != 0;
        level_tests[l]++;
        if (wrong && level_bad[l]++ < 10) printf("WRONG %s %s K %d rows %d tokens %d mode %d: %d of %d\n", k->isa, kind[f].name, len, rows, n, mode, wrong, rows * n);
    }
    for (int r = 0; r < rows; r++) { free(parts[r].w); free(parts[r].s); free(parts[r].m); }
    free(x); free(dx); free(want); free(y); free(q); free(records); free(parts); free(inputs);
}
static void products(int quick) {
    static const int lens[] = { 32, 64, 96, 160, 256, 512, 768, 1408, 1536, 2112, 8960 };
    for (int f = 0; f < KINDS; f++) {
        for (size_t i = 0; i < DSM__COUNT(lens); i++) {
            int len = lens[i];
            if (len % kind[f].unit) { if (len < 256 || len == 2112) continue; len = len / 256 * 256; }
            for (int c = 0; c < 12; c++) { /* 1 .. 4 tokens, then more; few rows; extremes */
                int n = c < 4 ? c + 1 : c < 8 ? 5 + (int)(rnd() % 9) : 1 + (int)(rnd() % 7), rows = c == 1 || c == 6 ? 1 + (int)(rnd() % 7) : c % 2 ? 8 + (int)(rnd() % 31) : 32 + (int)(rnd() % 39);
                if ((len == 8960 && c > 4) || (quick && (len > 1408 || c % 3 != (int)i % 3))) continue;
                product(f, len, rows, n, c < 9 ? 0 : c - 8);
            }
        }
        for (int rows = 1; rows <= 70; rows += quick ? 23 : 3) product(f, 256, rows, 1 + rows % 5, 0);
        if (!quick) product(f, 768, 37, 300, 0);
    }
    for (int l = 0; l < n_levels; l++) { char name[64]; snprintf(name, sizeof name, "products, %s", level[l]->isa); group(name, level_tests[l], level_bad[l]); }
}

/* ---------------------------------------------------------------------------------------------- rounding of activations ---- */
static float strange(int how) {
    uint32_t u = rnd(); float a;
    if (how == 1) u = (u & 0x80ffffff) | (rnd() % 40 + 45) << 24; /* a wide range */
    if (how == 2) u &= 0x807fffff;                               /* subnormal */
    if (how == 3) u = (u & 0x80000000) | 0x3f800000;
    if (how == 4) u = (u & 0x807f0000) | 0x7e000000 | (u & 0x00ff0000);  /* the largest */
    if (how == 5) return ((float)(rnd() % 255) - 127) * .5f;      /* ties */
    memcpy(&a, &u, 4); return a == a && fabsf(a) <= FLT_MAX ? a : 1;
}
static void rounding(void) {
    for (int l = 0; l < n_levels; l++) {
        int tests = 0, bad = 0; char name[64];
        for (int turn = 0; turn < 4000; turn++) {
            enum { LEN = 224 }; float x[LEN], dx[4]; int8_t q[256]; dsm__x64 o[4]; int len = 32 * (1 + (int)(rnd() % 7)), how = turn % 6, ok, wrong = 0;
            for (int i = 0; i < len; i++) x[i] = strange(how);
            if (how == 5) x[rnd() % (uint32_t)len] = 127;
            if (turn % 7 == 0) { uint32_t u = turn % 2 ? 0x7f800000 : 0xff800001; memcpy(x + rnd() % (uint32_t)len, &u, 4); }
            memset(q, 0, sizeof q); memset(o, 0xff, sizeof o);
            ok = define_rounding(x, len, q, dx);
            wrong = level[l]->quantize(x, len, o) != ok;
            for (int b = 0; ok && b < (len + 63) / 64; b++) {
                wrong += memcmp(o[b].q, q + 64 * b, 64) != 0; wrong += memcmp(&o[b].dx, dx + b, 4) != 0;
                wrong += o[b].from0 != DSM__MAGIC;
                for (int i = 0; i < 4; i++) { int s = 0; for (int j = 0; j < 16; j++) s += q[64 * b + 16 * i + j]; wrong += o[b].from32[i] != DSM__MAGIC - 32 * s; }
                for (int i = 0; i < 2; i++) {
                    int s = 0; for (int j = 0; j < 32; j++) s += q[64 * b + 32 * i + j];
                    wrong += (int)o[b].sum[i] != s; wrong += o[b].from8[i] != DSM__MAGIC - 8 * s; wrong += o[b].from128[i] != DSM__MAGIC - 128 * s; }
            }
            tests++; bad += wrong != 0;
        }
        snprintf(name, sizeof name, "activations, %s", level[l]->isa); group(name, tests, bad);
    }
}

int main(int argc, char **argv) {
    int quick = 0, named = 0; const char *isa;
    for (int i = 1; i < argc; i++) if (!strcmp(argv[i], "-q")) quick = 1; else named++;
    for (int i = 0; (isa = dsm__k_isa_name(i)) != NULL && n_levels < 16; i++) {
        int want = !named;
        for (int j = 1; j < argc; j++) if (!strcmp(argv[j], isa)) want = 1;
        if (want) { level[n_levels] = dsm__k_select(isa); if (!level[n_levels] || strcmp(level[n_levels]->isa, isa)) failed++; else n_levels++; }
        else skipped++;
    }
    group("selector", 3, (dsm__k_select("no such thing") != NULL) + (dsm__k_select(NULL) == NULL) + (n_levels == 0));
    weights_end = guarded(MOST_WEIGHTS); scratch_end = guarded((dsm__k_scratch_bytes() + 65535) / 65536 * 65536);
    rounding();
    products(quick);
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed != 0;
}
