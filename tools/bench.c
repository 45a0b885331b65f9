/* bench: how fast a model runs here, against what the machine could do, measured in the same run.

       build/bench MODEL [-t N] [-p PROMPT_TOKENS] [-n GENERATED] [-d DEPTH] [--kv TYPE] [--act q8|f32] [--isa NAME] [--json]

   Decoding reads every weight once a token, so its denominator is the bandwidth of N threads reading a large buffer. A prompt multiplies, so its
   denominator is the rate of int8 multiply-adds of N threads with the instruction set in use (of f32 ones with --act f32). The output matrix runs once a
   prompt and is left out of its multiply-adds. Public domain or MIT, as dsmoe.h. */
#define DSMOE_IMPLEMENTATION
#include "../dsmoe.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

static const char usage[] =
    "usage: bench MODEL [-t N] [-p PROMPT_TOKENS] [-n GENERATED] [-d DEPTH] [--kv TYPE] [--act q8|f32] [--isa NAME] [--json]\n"
    "  -t N      threads (default: one for each fast core)\n"
    "  -p N      tokens of the prompt that is timed (default 256)\n"
    "  -n N      tokens that are generated (default 64)\n"
    "  -d N      tokens that are in the cache before generating (default 0)\n"
    "  --kv      f16, f32 or q8_0 (default f16)    --act   q8 or f32 (default q8)\n"
    "  --isa     instruction set (default: the best; an unknown name lists them)\n"
    "  --json    one JSON object on stdout\n";

static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return (double)t.tv_sec + (double)t.tv_nsec * 1e-9; }
static void fail(const char *what) { fprintf(stderr, "bench: %s\n", what); exit(1); }

/* ---- What the machine could do. Each kernel works on registers, or reads [from, to); `sink` keeps it from being optimised away. ---- */
typedef unsigned char bytes16 __attribute__((vector_size(16), aligned(16)));
typedef unsigned char bytes32 __attribute__((vector_size(32), aligned(32)));
static volatile unsigned sink;
typedef double kernel_fn(const unsigned char *from, const unsigned char *to); /* operations done, or bytes read */

#define READER(name, target, vector) \
    target static double name(const unsigned char *from, const unsigned char *to) { \
        vector a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 }; \
        for (const unsigned char *p = from; p + 8 * sizeof(vector) <= to; p += 8 * sizeof(vector)) { \
            const vector *v = (const vector *)(const void *)p; a ^= v[0]; b ^= v[1]; c ^= v[2]; d ^= v[3]; a ^= v[4]; b ^= v[5]; c ^= v[6]; d ^= v[7]; } \
        a ^= b ^ c ^ d; sink = a[0]; return (double)(to - from); }
READER(read_plain, , bytes16)

enum { ROUNDS = 200000 };
static double int8_scalar(const unsigned char *from, const unsigned char *to) {
    int a = 1, b = 2, c = 3, d = 4; volatile signed char w = 3, x = 5; (void)from; (void)to;
    for (int i = 0; i < ROUNDS; i++) { int p = w * x; a += p; b += p ^ i; c += p + i; d ^= p; }
    sink = (unsigned)(a + b + c + d); return 4.0 * ROUNDS;
}
static double f32_scalar(const unsigned char *from, const unsigned char *to) {
    float a[8] = { 1, 2, 3, 4, 5, 6, 7, 8 }; volatile float w = .5f; const float x = w; (void)from; (void)to;
    for (int i = 0; i < ROUNDS; i++) for (int j = 0; j < 8; j++) a[j] = a[j] * x + x;
    sink = (unsigned)(a[0] + a[1] + a[2] + a[3] + a[4] + a[5] + a[6] + a[7]); return 8.0 * ROUNDS;
}
/* Twelve sums at once hide the latency; the compiler must not fold them, so each has a start of its own. */
#define PEAK(name, target, type, zero, step, out, per) \
    target static double name(const unsigned char *from, const unsigned char *to) { \
        type s0 = zero(0), s1 = zero(1), s2 = zero(2), s3 = zero(3), s4 = zero(4), s5 = zero(5), s6 = zero(6), s7 = zero(7), s8 = zero(8), s9 = zero(9); type w = zero(1), x = zero(2); (void)from; (void)to; \
        for (int i = 0; i < ROUNDS; i++) { \
            __asm__ volatile("" : "+" out(w), "+" out(x)); \
            s0 = step(s0, w, x); s1 = step(s1, w, x); s2 = step(s2, w, x); s3 = step(s3, w, x); s4 = step(s4, w, x); s5 = step(s5, w, x); s6 = step(s6, w, x); s7 = step(s7, w, x); s8 = step(s8, w, x); s9 = step(s9, w, x); } \
        __asm__ volatile("" : "+" out(s0), "+" out(s1), "+" out(s2), "+" out(s3), "+" out(s4), "+" out(s5), "+" out(s6), "+" out(s7), "+" out(s8), "+" out(s9)); \
        return 10.0 * ROUNDS * per; }
#if defined(__x86_64__)
#define TARGET_AVX2 __attribute__((target("avx2,fma")))
#define TARGET_AVX512 __attribute__((target("avx2,fma,avx512f,avx512bw,avx512vl,avx512vnni")))
READER(read_avx2, TARGET_AVX2, bytes32)
#define I8_ZERO(k) _mm256_set1_epi8(k)
#define I8_AVX2(s, w, x) _mm256_add_epi32(s, _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), _mm256_set1_epi16(1)))
PEAK(int8_avx2, TARGET_AVX2, __m256i, I8_ZERO, I8_AVX2, "x", 32)
#define F_ZERO(k) _mm256_set1_ps(k * .1f)
#define F_AVX2(s, w, x) _mm256_fmadd_ps(w, x, s)
PEAK(f32_avx2, TARGET_AVX2, __m256, F_ZERO, F_AVX2, "x", 8)
#define I8_VNNI256(s, w, x) _mm256_dpbusd_epi32(s, w, x)
PEAK(int8_vnni256, TARGET_AVX512, __m256i, I8_ZERO, I8_VNNI256, "v", 32)
#define I8_ZERO512(k) _mm512_set1_epi8(k)
#define I8_AVX512(s, w, x) _mm512_dpbusd_epi32(s, w, x)
PEAK(int8_avx512, TARGET_AVX512, __m512i, I8_ZERO512, I8_AVX512, "v", 64)
#define F_ZERO512(k) _mm512_set1_ps(k * .1f)
#define F_AVX512(s, w, x) _mm512_fmadd_ps(w, x, s)
PEAK(f32_avx512, TARGET_AVX512, __m512, F_ZERO512, F_AVX512, "v", 16)
#if __GNUC__ >= 11 || (defined(__clang__) && __clang_major__ >= 12)
#define I8_AVXVNNI(s, w, x) _mm256_dpbusd_avx_epi32(s, w, x)
PEAK(int8_avxvnni, __attribute__((target("avx2,fma,avxvnni"))), __m256i, I8_ZERO, I8_AVXVNNI, "x", 32)
#else
#define int8_avxvnni int8_avx2
#endif
#elif defined(__aarch64__)
#define N8_ZERO(k) vdupq_n_s32(k)
#define N8_NEON(s, w, x) vpadalq_s16(s, vmlal_high_s8(vmull_s8(vget_low_s8(vreinterpretq_s8_s32(w)), vget_low_s8(vreinterpretq_s8_s32(x))), vreinterpretq_s8_s32(w), vreinterpretq_s8_s32(x)))
PEAK(int8_neon, , int32x4_t, N8_ZERO, N8_NEON, "w", 16)
#if defined(__ARM_FEATURE_DOTPROD)
#define TARGET_DOTPROD
#else
#define TARGET_DOTPROD __attribute__((target("arch=armv8.2-a+dotprod")))
#endif
#if defined(__ARM_FEATURE_DOTPROD) || (defined(__GNUC__) && !defined(__clang__)) || (defined(__clang__) && __clang_major__ >= 16)
#define N8_DOT(s, w, x) vdotq_s32(s, vreinterpretq_s8_s32(w), vreinterpretq_s8_s32(x))
PEAK(int8_dotprod, TARGET_DOTPROD, int32x4_t, N8_ZERO, N8_DOT, "w", 16)
#else
#define int8_dotprod int8_neon
#endif
#define NF_ZERO(k) vdupq_n_f32(k * .1f)
#define NF_NEON(s, w, x) vfmaq_f32(s, w, x)
PEAK(f32_neon, , float32x4_t, NF_ZERO, NF_NEON, "w", 4)
#endif

static const struct { const char *isa; kernel_fn *read, *int8, *f32; } machines[] = { /* the last one fits any name */
#if defined(__x86_64__)
    { "avx2", read_avx2, int8_avx2, f32_avx2 }, { "avxvnni", read_avx2, int8_avxvnni, f32_avx2 }, { "vnni256", read_avx2, int8_vnni256, f32_avx2 }, { "avx512", read_avx2, int8_avx512, f32_avx512 },
#elif defined(__aarch64__)
    { "neon", read_plain, int8_neon, f32_neon }, { "dotprod", read_plain, int8_dotprod, f32_neon },
#endif
    { "", read_plain, int8_scalar, f32_scalar } };

typedef struct worker { pthread_t thread; kernel_fn *fn; const unsigned char *from, *to; double seconds, done; pthread_barrier_t *start; } worker;
static void *work(void *arg) {
    worker *w = (worker *)arg; double end;
    w->fn(w->from, w->to); /* wakes the core up, and maps the buffer */
    pthread_barrier_wait(w->start);
    end = now() + w->seconds;
    do w->done += w->fn(w->from, w->to); while (now() < end);
    return NULL;
}
/* Operations or bytes a second of n threads at once; the best of three. */
static double measure(kernel_fn *fn, int n, const unsigned char *buffer, size_t size) {
    worker *w = (worker *)calloc((size_t)n, sizeof *w); double best = 0;
    if (!w) fail("out of memory");
    for (int round = 0; round < 3; round++) {
        pthread_barrier_t start; double begin, sum = 0, took;
        pthread_barrier_init(&start, NULL, (unsigned)n + 1);
        for (int i = 0; i < n; i++) {
            memset(w + i, 0, sizeof w[i]); w[i].fn = fn; w[i].start = &start; w[i].seconds = 0.1;
            w[i].from = buffer + size / (size_t)n / 4096 * 4096 * (size_t)i; w[i].to = w[i].from + size / (size_t)n / 4096 * 4096;
            if (pthread_create(&w[i].thread, NULL, work, w + i)) fail("a thread can't be started"); }
        pthread_barrier_wait(&start); begin = now();
        for (int i = 0; i < n; i++) { pthread_join(w[i].thread, NULL); sum += w[i].done; }
        took = now() - begin; if (sum / took > best) best = sum / took;
        pthread_barrier_destroy(&start);
    }
    free(w);
    return best;
}
static double peak_memory(void) {
    struct rusage r; getrusage(RUSAGE_SELF, &r);
#ifdef __APPLE__
    return (double)r.ru_maxrss;
#else
    return (double)r.ru_maxrss * 1024;
#endif
}

/* ---- The model ---- */
static void must(dsm_status status, const dsm_error *error) { if (status < 0) fail(error->text); }
static int32_t *prompt_of(int n, int n_vocab) { /* any tokens will do, but not one for ever: experts are chosen by them */
    int32_t *t = (int32_t *)malloc((size_t)(n > 0 ? n : 1) * sizeof *t); uint32_t r = 12345;
    if (!t) fail("out of memory");
    for (int i = 0; i < n; i++) { r = r * 1664525u + 1013904223u; t[i] = (int32_t)((r >> 8) % (uint32_t)n_vocab); }
    return t;
}
static double prefill(dsm_session *s, const int32_t *tokens, int n, uint64_t budget) { /* seconds */
    dsm_error error; dsm_status status; double begin;
    must(dsm_session_rewind(s, 0, &error), &error); must(dsm_session_sync(s, tokens, (size_t)n, NULL, &error), &error);
    begin = now();
    do must(status = dsm_session_step(s, budget, &error), &error); while (status == DSM_MORE);
    return now() - begin;
}
static int whole_number(const char *option, const char *v, int least) {
    char *end; long n = v ? strtol(v, &end, 10) : 0;
    if (!v || end == v || *end || n < least || n > 1 << 24) { fprintf(stderr, "bench: %s needs a whole number, %d or more\n%s", option, least, usage); exit(2); }
    return (int)n;
}
static void quoted(const char *s) { putchar('"'); for (; *s; s++) { if (*s == '"' || *s == '\\') putchar('\\'); putchar((unsigned char)*s < 32 ? ' ' : *s); } putchar('"'); }
static int same(const char *a, const char *b) { return !strcmp(a, b); }

int main(int argc, char **argv) {
    dsm_model_desc desc; dsm_session_desc room; dsm_model *model = NULL; dsm_session *s = NULL; dsm_model_info info; dsm_error error; dsm_stats stats, timed; dsm_sampling greedy; dsm_choice first; dsm_memory memory;
    int n_prompt = 256, n_generated = 64, depth = 0, json = 0, threads, f32 = 0; const char *kv = "f16"; int32_t *prompt, token; size_t size = (size_t)256 << 20, m; unsigned char *buffer;
    double begin, load, to_first, prefill_s, decode_s, memory_peak, bandwidth, int8, f32_peak, prefill_tps, decode_tps, deepest = 0;
    memset(&desc, 0, sizeof desc); memset(&room, 0, sizeof room); memset(&greedy, 0, sizeof greedy); greedy.temperature = DSM_GREEDY;
    for (int i = 1; i < argc; i++) {
        const char *o = argv[i], *v = i + 1 < argc ? argv[i + 1] : NULL;
        if (same(o, "--help") || same(o, "-h")) { fputs(usage, stdout); return 0; }
        if (same(o, "--json")) { json = 1; continue; }
        if (o[0] != '-') { if (desc.path) { fprintf(stderr, "bench: one model, please\n%s", usage); return 2; } desc.path = o; continue; }
        i++;
        if (same(o, "-t")) desc.threads = whole_number(o, v, 1);
        else if (same(o, "-p")) n_prompt = whole_number(o, v, 1);
        else if (same(o, "-n")) n_generated = whole_number(o, v, 1);
        else if (same(o, "-d")) depth = whole_number(o, v, 0);
        else if (v && same(o, "--isa")) desc.isa = v;
        else if (v && same(o, "--kv") && (same(v, "f16") || same(v, "f32") || same(v, "q8_0"))) { kv = v; room.kv = same(v, "f32") ? DSM_KV_F32 : same(v, "q8_0") ? DSM_KV_Q8_0 : DSM_KV_F16; }
        else if (v && same(o, "--act") && (same(v, "q8") || same(v, "f32"))) { f32 = same(v, "f32"); room.activations = f32 ? DSM_ACTIVATIONS_F32 : DSM_ACTIVATIONS_INT8; }
        else { fprintf(stderr, "bench: %s is no option, or its value is wrong or missing\n%s", o, usage); return 2; }
    }
    if (!desc.path) { fprintf(stderr, "bench: which model?\n%s", usage); return 2; }

    /* as a user meets it: open, read the prompt, the first token */
    begin = now();
    must(dsm_model_open(&model, &desc, &error), &error);
    must(dsm_model_describe(model, &info, &error), &error);
    room.context = (depth + n_generated > n_prompt ? depth + n_generated : n_prompt) + 4;
    must(dsm_session_open(&s, model, &room, &error), &error);
    load = now() - begin;
    prompt = prompt_of(n_prompt > depth + 1 ? n_prompt : depth + 1, info.n_vocab);
    prefill(s, prompt, n_prompt, 0);
    must(dsm_pick(dsm_session_logits(s, DSM_OFF), info.n_vocab, &greedy, NULL, 0, 0, &first, NULL, DSM_OFF, &error), &error);
    to_first = now() - begin;

    dsm_session_stats_reset(s); /* everything is in memory now */
    prefill_s = prefill(s, prompt, n_prompt, 0);
    if (prefill_s < 1) { double again = prefill(s, prompt, n_prompt, 0); if (again < prefill_s) prefill_s = again; }
    prefill(s, prompt, depth ? depth : 1, 0); /* at depth 0 one token must be there to choose from */
    if (depth) deepest = depth;
    begin = now();
    for (int i = 0; i < n_generated; i++) must(dsm_session_next(s, &greedy, 0, &token, &error), &error);
    decode_s = now() - begin;
    dsm_session_stats(s, &stats);
    must(dsm_plan(model, &room, &memory, &error), &error);
    dsm_session_stats_reset(s);
    prefill(s, prompt, n_prompt < 64 ? n_prompt : 64, 1000); /* how long does a budget of 1 ms have to wait? */
    for (int i = 0; i < 2; i++) { dsm_status status; do must(status = dsm_session_next(s, &greedy, 1000, &token, &error), &error); while (status == DSM_MORE); }
    dsm_session_stats(s, &timed);
    memory_peak = peak_memory();

    threads = dsm_model_threads(model);
    while ((buffer = (unsigned char *)malloc(size + 4096)) == NULL && size > (size_t)1 << 20) size /= 2;
    if (!buffer) fail("out of memory");
    memset(buffer, 1, size + 4096);
    for (m = 0; machines[m].isa[0] && !same(machines[m].isa, dsm_model_isa(model)); m++) {}
    {   const unsigned char *aligned = buffer + (4096 - (uintptr_t)buffer % 4096) % 4096;
        bandwidth = measure(machines[m].read, threads, aligned, size); int8 = measure(machines[m].int8, threads, aligned, size); f32_peak = measure(machines[m].f32, threads, aligned, size); }
    free(buffer);

    prefill_tps = n_prompt / prefill_s; decode_tps = n_generated / decode_s;
    {   double bytes = (double)stats.bytes_per_token, macs = (double)stats.macs_per_prompt_token, used = bytes * decode_tps, share = macs * prefill_tps / (f32 ? f32_peak : int8);
        if (json) {
            printf("{\"model\": "); quoted(info.name); printf(", \"file\": "); quoted(desc.path); printf(", \"architecture\": "); quoted(info.architecture); printf(", \"formats\": "); quoted(info.formats);
            printf(", \"parameters\": %llu, \"active\": %llu, \"isa\": ", (unsigned long long)info.parameters, (unsigned long long)info.active); quoted(dsm_model_isa(model));
            printf(", \"threads\": %d, \"kv\": \"%s\", \"act\": \"%s\", \"prompt_tokens\": %d, \"generated\": %d, \"depth\": %.0f", threads, kv, f32 ? "f32" : "q8", n_prompt, n_generated, deepest);
            printf(", \"prefill_tps\": %.3f, \"decode_tps\": %.3f, \"bytes_per_token\": %.0f, \"read_bytes_per_s\": %.0f, \"bandwidth_bytes_per_s\": %.0f, \"bandwidth_share\": %.4f", prefill_tps, decode_tps, bytes, used, bandwidth, used / bandwidth);
            printf(", \"macs_per_prompt_token\": %.0f, \"int8_macs_per_s\": %.0f, \"f32_macs_per_s\": %.0f, \"peak_share\": %.4f", macs, int8, f32_peak, share);
            printf(", \"load_ms\": %.3f, \"first_token_ms\": %.3f, \"longest_stage_ms\": %.3f, \"longest_stage_budget_ms\": %.3f, \"peak_memory_bytes\": %.0f, \"session_bytes\": %llu}\n", load * 1e3, to_first * 1e3,
                (double)stats.longest_stage_us / 1e3, (double)timed.longest_stage_us / 1e3, memory_peak, (unsigned long long)memory.session_bytes);
        } else {
            printf("%s (%s, %s), %.1f million parameters, %.1f active\n%s, %d thread%s, cache %s, activations %s\n\n", info.name, info.architecture, info.formats, (double)info.parameters / 1e6, (double)info.active / 1e6,
                dsm_model_isa(model), threads, threads == 1 ? "" : "s", kv, f32 ? "f32" : "int8");
            printf("prompt      %8.1f tokens/s  (%d tokens)  %6.1f of %6.1f G multiply-adds/s %s, %.0f %%\n", prefill_tps, n_prompt, macs * prefill_tps / 1e9, (f32 ? f32_peak : int8) / 1e9, f32 ? "f32" : "int8", share * 100);
            printf("decoding    %8.1f tokens/s  (%d tokens at depth %d)  %6.2f of %6.2f GB/s, %.0f %%%s\n", decode_tps, n_generated, depth, used / 1e9, bandwidth / 1e9, used / bandwidth * 100,
                used > bandwidth ? ": this model stays in the processor's caches" : "");
            printf("            %8.1f MB read a token;  peaks: int8 %.1f, f32 %.1f G multiply-adds/s\n", bytes / 1e6, int8 / 1e9, f32_peak / 1e9);
            printf("load        %8.1f ms, first token after %.1f ms\n", load * 1e3, to_first * 1e3);
            printf("longest stage %6.2f ms, with a budget %.2f ms\n", (double)stats.longest_stage_us / 1e3, (double)timed.longest_stage_us / 1e3);
            printf("memory      %8.1f MB at the peak, of which the session %.1f MB\n", memory_peak / 1e6, (double)memory.session_bytes / 1e6);
        }
    }
    free(prompt);
    dsm_session_close(&s, NULL); dsm_model_close(&model, NULL);
    return 0;
}
