/* formats.c - test of the room fmt: ggml's own results for random blocks (decode) and for one row of 1536 weights (encode, without and with importance),
   byte for byte; every f16 and bf16; sizes; strange numbers. Run in tests/, or give the folder with data/ in it as the argument. */
#define DSMOE_IMPLEMENTATION
#include "../dsmoe.h"
#include <stdio.h>

static int passed, failed, skipped;
static void group(const char *name, int tests, int bad) { printf("%-40s %6d tests, %d wrong\n", name, tests, bad); passed += tests - bad; failed += bad; fflush(stdout); }
static char *line; enum { MOST = 1 << 20 };
static FILE *open_data(const char *folder, const char *name) {
    char path[1024]; FILE *f;
    snprintf(path, sizeof path, "%s/data/%s", folder, name); f = fopen(path, "r");
    if (!f) { printf("%s can't be opened\n", path); exit(2); }
    return f;
}
static int next_line(FILE *f) { do if (!fgets(line, MOST, f)) return 0; while (*line == '#'); return 1; }
static size_t words(const char *p, float *to) { /* f32 bit patterns in hex */
    size_t n = 0; int used; unsigned u;
    while (sscanf(p, "%x%n", &u, &used) == 1) { uint32_t v = (uint32_t)u; memcpy(to + n++, &v, 4); p += used; }
    return n;
}
static size_t hex(const char *p, uint8_t *to) {
    size_t n = 0; unsigned u;
    for (; sscanf(p, "%2x", &u) == 1; p += 2) to[n++] = (uint8_t)u;
    return n;
}

static void decode(const char *folder) {
    static float want[1024], got[1024]; static uint8_t bytes[1024]; FILE *f = open_data(folder, "quant_decode_vectors.txt"); int tests = 0, bad = 0;
    while (next_line(f)) {
        char name[32]; int unit, size, fmt, u, b; size_t n, nb; const dsm__fmt *k;
        if (sscanf(line, "decode %31s %d %d", name, &unit, &size) != 3) continue;
        fmt = dsm__fmt_of_name(name); next_line(f); nb = hex(line + 2, bytes); next_line(f); n = words(line + 2, want);
        for (uint32_t i = 0; i < 64; i++) if (!strcmp(dsm__fmt_ggml_name(i), name)) { tests++; bad += !dsm__fmt_ggml_block(i, &u, &b) || u != unit || b != size; }
        if (fmt < 0) { skipped++; continue; }
        k = dsm__fmts + fmt; tests++;
        if (k->unit != unit || k->bytes != size || dsm__fmt_row_bytes(fmt, n) != nb) { bad++; continue; }
        dsm__fmt_dequantize(fmt, bytes, got, n);
        if (memcmp(got, want, 4 * n)) { bad++; for (size_t i = 0; i < n; i++) if (memcmp(got + i, want + i, 4)) { printf("WRONG %s %d: %g, not %g\n", name, (int)i, (double)got[i], (double)want[i]); break; } }
    }
    fclose(f); group("decode", tests, bad);
}
static void encode(const char *folder) {
    static float x[2048], importance[2048], want[2048], got[2048]; static uint8_t bytes[16384], made[16384]; FILE *f = open_data(folder, "quant_encode_vectors.txt"); size_t n = 0; int tests = 0, bad = 0;
    while (next_line(f)) {
        char name[32], how[32]; int fmt; size_t nb;
        if (line[0] == 'x') n = words(line + 2, x);
        if (!strncmp(line, "im ", 3)) words(line + 3, importance);
        if (sscanf(line, "quant %31s %31s", name, how) != 2) continue;
        fmt = dsm__fmt_of_name(name); next_line(f); nb = hex(line + 2, bytes); next_line(f); words(line + 2, want);
        if (fmt < 0) { skipped++; continue; }
        tests++; memset(made, 0xcc, sizeof made);
        if (dsm__fmt_quantize(fmt, x, !strcmp(how, "imatrix") ? importance : NULL, made, n) != 1 || memcmp(made, bytes, nb) || made[nb] != 0xcc) {
            size_t first = 0, different = 0;
            for (size_t i = nb; i-- > 0;) if (made[i] != bytes[i]) { first = i; different++; }
            bad++; printf("WRONG %s %s: %d of %d bytes, the first in block %d byte %d: %02x, not %02x\n", name, how, (int)different, (int)nb, (int)first / dsm__fmts[fmt].bytes,
                          (int)first % dsm__fmts[fmt].bytes, made[first], bytes[first]);
        }
        dsm__fmt_dequantize(fmt, bytes, got, n); tests++; bad += memcmp(got, want, 4 * n) != 0;
    }
    fclose(f); group("encode", tests, bad);
}
static void plain(void) {
    int bad = 0;
    for (uint32_t h = 0; h < 65536; h++) {
        const uint16_t v = (uint16_t)h; uint16_t back; float a, b; const uint32_t e = h >> 10 & 31, m = h & 1023, bits = h << 16;
        dsm__fmt_dequantize(DSM__FMT_F16, (const uint8_t *)&v, &a, 1);
        b = e == 31 ? (m ? NAN : INFINITY) : e ? ldexpf((float)(m | 1024), (int)e - 25) : ldexpf((float)m, -24); if (h & 0x8000) b = -b;
        if (b != b) { bad += a == a; continue; }
        bad += memcmp(&a, &b, 4) != 0; dsm__fmt_quantize(DSM__FMT_F16, &a, NULL, (uint8_t *)&back, 1); bad += back != v;
        if (b == b && e < 31 && m < 1023) { /* half way to the next value: to even */
            float up, mid; const uint16_t w = (uint16_t)(h + 1); dsm__fmt_dequantize(DSM__FMT_F16, (const uint8_t *)&w, &up, 1); mid = (a + up) / 2;
            dsm__fmt_quantize(DSM__FMT_F16, &mid, NULL, (uint8_t *)&back, 1); bad += back != (h & 1 ? w : v); }
        (void)bits;
    }
    group("every f16", 65536, bad); bad = 0;
    for (uint32_t h = 0; h < 65536; h++) {
        const uint16_t v = (uint16_t)h; uint16_t back; float a; uint32_t u;
        dsm__fmt_dequantize(DSM__FMT_BF16, (const uint8_t *)&v, &a, 1); memcpy(&u, &a, 4); bad += u != h << 16;
        dsm__fmt_quantize(DSM__FMT_BF16, &a, NULL, (uint8_t *)&back, 1); bad += back != (a == a ? v : (v | 64));
        if ((h & 0x7f80) != 0x7f80) { u |= 0x8000; memcpy(&a, &u, 4); dsm__fmt_quantize(DSM__FMT_BF16, &a, NULL, (uint8_t *)&back, 1); bad += back != (h & 1 ? h + 1 : h); }
    }
    group("every bf16", 65536, bad);
}
static void strange(void) { /* extremes must not do anything undefined (run under -fsanitize=undefined), and zeros must stay zeros */
    static float x[256], y[256], importance[256]; static uint8_t b[1024]; static const float scales[] = { 0, 1e-45f, 1e-38f, 1e-30f, 1e-8f, 1, 1e8f, 1e19f, 3.4e38f }; int tests = 0, bad = 0;
    for (int fmt = DSM__FMT_Q4_0; fmt < DSM__FMT_COUNT; fmt++) for (size_t s = 0; s < DSM__COUNT(scales); s++) for (int how = 0; how < 8; how++) {
        for (int i = 0; i < 256; i++) { x[i] = scales[s] * (how % 4 == 0 ? 1.f : how % 4 == 1 ? (i % 2 ? 1.f : -1.f) : how % 4 == 2 ? (float)(i % 16) / 15 : (i == 77 ? -1.f : 0)); importance[i] = (float)(i % 3); }
        tests++; bad += dsm__fmt_quantize(fmt, x, how < 4 ? NULL : importance, b, 256) != 1; dsm__fmt_dequantize(fmt, b, y, 256);
        if (s == 0) for (int i = 0; i < 256; i++) if (y[i] != 0) { bad++; break; }
        if (s == 5 && how == 1) for (int i = 0; i < 256; i++) if (fabsf(y[i] - x[i]) > .51f) { printf("%s: %g, not %g\n", dsm__fmts[fmt].name, (double)y[i], (double)x[i]); bad++; break; }
    }
    for (int fmt = DSM__FMT_Q4_0; fmt < DSM__FMT_COUNT; fmt++) { x[9] = INFINITY; tests++; bad += dsm__fmt_quantize(fmt, x, NULL, b, 256) != 0; }
    group("strange numbers", tests, bad);
}
static void names(void) {
    int bad = 0, u, b;
    bad += dsm__fmt_of_ggml(12) != DSM__FMT_Q4_K; bad += dsm__fmt_of_ggml(16) != -1; bad += strcmp(dsm__fmt_ggml_name(17), "IQ2_XS") != 0; bad += strcmp(dsm__fmt_ggml_name(500), "?") != 0;
    bad += strcmp(dsm__fmt_ggml_name(137), "an ik_llama.cpp-only quantisation") != 0; bad += dsm__fmt_ggml_block(4, &u, &b) != 0; bad += !dsm__fmt_ggml_block(15, &u, &b) || b != 292;
    for (int i = 0; i < DSM__FMT_COUNT; i++) bad += dsm__fmt_of_ggml(dsm__fmts[i].ggml) != i || dsm__fmt_of_name(dsm__fmts[i].name) != i;
    group("names", 7 + DSM__FMT_COUNT, bad);
}
int main(int argc, char **argv) {
    const char *folder = argc > 1 ? argv[1] : "."; char path[1024]; FILE *f;
    line = (char *)malloc(MOST); if (!line) return 2;
    snprintf(path, sizeof path, "%s/data/quant_decode_vectors.txt", folder); f = fopen(path, "r");
    if (f) fclose(f); else folder = "tests"; /* from the root of the repository */
    names(); plain(); decode(folder); encode(folder); strange();
    free(line); printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed != 0;
}
