/* The same bits: with any number of threads, chunks and pieces of any size, on every instruction set, under budgets, after cancelling, rewinding, forking and snapshots.
   Also what stands beside it: plans are exact, nothing allocates after a session is open, damaged snapshots change nothing, broken weights are reported. */
#include "dsmoe.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int passed, failed, skipped;
static const char *now = "";
enum { N = 70, MORE = 6, CONTEXT = 96 };
static int32_t tokens[N + MORE];
static dsm_error error;

static int check(int good, const char *what) {
    if (good) passed++; else { failed++; printf("FAILED %s: %s (%s)\n", now, what, error.text); }
    return good;
}
/* ---- an allocator that counts ---- */
typedef struct count { size_t calls, bytes, newest; } count;
static void *count_alloc(void *user, size_t size, size_t align) { count *c = (count *)user; void *p = NULL; c->calls++; c->bytes += size; c->newest = size; return posix_memalign(&p, align < 8 ? 8 : align, size) ? NULL : p; }
static void count_free(void *user, void *p, size_t size) { count *c = (count *)user; c->bytes -= size; free(p); }

/* ---- a snapshot in memory ---- */
typedef struct blob { uint8_t *at; size_t n, room; } blob;
static int blob_write(void *user, const void *from, size_t n) {
    blob *b = (blob *)user;
    if (b->n + n > b->room) { uint8_t *more = (uint8_t *)realloc(b->at, b->room = (b->n + n) * 2); if (!more) return 1; b->at = more; }
    memcpy(b->at + b->n, from, n); b->n += n;
    return 0;
}
static int blob_read(void *user, uint64_t offset, void *to, size_t n) { const blob *b = (const blob *)user; if (offset > b->n || n > b->n - offset) return 1; memcpy(to, b->at + offset, n); return 0; }

static dsm_model *open_model(const char *path, int threads, const char *isa) {
    dsm_model_desc d; dsm_model *m = NULL;
    memset(&d, 0, sizeof d); d.path = path; d.threads = threads; d.isa = isa;
    check(dsm_model_open(&m, &d, &error) == DSM_OK, "opens");
    return m;
}
static dsm_session *open_session(dsm_model *m, dsm_kv kv, dsm_activations act, int chunk) {
    dsm_session_desc d; dsm_session *s = NULL;
    memset(&d, 0, sizeof d); d.context = CONTEXT; d.kv = kv; d.activations = act; d.chunk = chunk; d.exact = 1; d.all_logits = 1;
    check(dsm_session_open(&s, m, &d, &error) == DSM_OK, "opens a session");
    return s;
}
static int finish(dsm_session *s, uint64_t budget) { dsm_status e; int calls = 0; do { e = dsm_session_step(s, budget, &error); calls++; } while (e == DSM_MORE); return e == DSM_DONE ? calls : 0; }
/* Feeds the tokens in pieces; rows from `from` on must be those of the reference. */
static void feed(dsm_session *s, int n, int piece, uint64_t budget, int from, const float *rows, int n_vocab, const char *what) {
    int same = 1;
    for (int at = from; at < n;) {
        int to = piece && at + piece < n ? at + piece : n;
        error.text[0] = 0;
        if (dsm_session_sync(s, tokens, (size_t)to, NULL, &error) != DSM_OK || !finish(s, budget)) { check(0, what); return; }
        for (; at < to; at++) { const float *y = dsm_session_logits(s, at); same = same && y && !memcmp(y, rows + (size_t)at * (size_t)n_vocab, (size_t)n_vocab * sizeof *y); }
    }
    check(same, what);
}
static void backwards(void *user, int n, void (*fn)(void *arg, int i), void *arg) { (void)user; for (int i = n - 1; i >= 0; i--) fn(arg, i); }

typedef struct job { dsm_model *m; dsm_kv kv; const float *rows; int n_vocab, good; } job;
static void *on_thread(void *arg) {
    job *j = (job *)arg; dsm_session_desc d; dsm_session *s = NULL; dsm_error e;
    memset(&d, 0, sizeof d); d.context = CONTEXT; d.kv = j->kv; d.exact = 1; d.all_logits = 1;
    j->good = dsm_session_open(&s, j->m, &d, &e) == DSM_OK && dsm_session_sync(s, tokens, N, NULL, &e) == DSM_OK && dsm_session_step(s, 0, &e) == DSM_DONE;
    for (int i = 0; j->good && i < N; i++) { const float *y = dsm_session_logits(s, i); j->good = y && !memcmp(y, j->rows + (size_t)i * (size_t)j->n_vocab, (size_t)j->n_vocab * sizeof *y); }
    dsm_session_close(&s, &e);
    return NULL;
}
static void snapshots(dsm_model *m, dsm_kv kv, dsm_activations act, const float *rows, int n_vocab, int thorough) {
    dsm_session *a = open_session(m, kv, act, 0), *b, *other; blob snap = { NULL, 0, 0 }; dsm_writer w; dsm_reader r; dsm_session_desc d; dsm_session *big = NULL; size_t step;
    w.user = &snap; w.write = blob_write; r.user = &snap; r.read_at = blob_read;
    feed(a, 41, 0, 0, 0, rows, n_vocab, "41 tokens");
    check(dsm_session_save(a, &w, &error) == DSM_OK, "saves");
    memset(&d, 0, sizeof d); d.context = 200; d.kv = kv; d.activations = act; d.all_logits = 1;
    if (check(dsm_session_open(&big, m, &d, &error) == DSM_OK, "opens a session of another size")) {
        r.size = snap.n;
        check(dsm_session_load(big, &r, &error) == DSM_OK && dsm_session_length(big) == 41, "loads");
        feed(big, N, 0, 0, 41, rows, n_vocab, "goes on after loading");
        check(dsm_session_load(big, &r, &error) == DSM_OK, "loads over what is there"); feed(big, N, 13, 0, 41, rows, n_vocab, "goes on again"); }
    dsm_session_close(&big, NULL);
    b = open_session(m, kv, act, 0);
    feed(b, 50, 0, 0, 0, rows, n_vocab, "50 tokens");
    step = thorough ? snap.n / 400 + 1 : snap.n / 40 + 1;
    { int refused = 1, kept = 1; /* a bit anywhere, and a cut anywhere */
      for (size_t i = 0; i < snap.n; i += i < 100 || i + 20 > snap.n ? 1 : step) {
          dsm_status e;
          snap.at[i] = (uint8_t)(snap.at[i] ^ (1u << (i % 8))); r.size = snap.n; e = dsm_session_load(b, &r, &error); snap.at[i] = (uint8_t)(snap.at[i] ^ (1u << (i % 8)));
          if (e != DSM_E_SNAPSHOT && e != DSM_E_CONTEXT) { refused = 0; printf("byte %lu: %s\n", (unsigned long)i, dsm_status_name(e)); }
          { blob cut = snap; cut.n = i; r.user = &cut; r.size = i; if (dsm_session_load(b, &r, &error) != DSM_E_SNAPSHOT) refused = 0; r.user = &snap; }
          kept = kept && dsm_session_length(b) == 50; }
      check(refused, "refuses damaged snapshots"); check(kept, "keeps the session then"); }
    feed(b, N, 0, 0, 50, rows, n_vocab, "goes on after refused snapshots");
    other = open_session(m, kv == DSM_KV_F16 ? DSM_KV_F32 : DSM_KV_F16, act, 0); r.size = snap.n;
    check(dsm_session_load(other, &r, &error) == DSM_E_SNAPSHOT, "refuses another cache type"); dsm_session_close(&other, NULL);
    other = open_session(m, kv, act == DSM_ACTIVATIONS_F32 ? DSM_ACTIVATIONS_INT8 : DSM_ACTIVATIONS_F32, 0);
    check(dsm_session_load(other, &r, &error) == DSM_E_SNAPSHOT, "refuses another activation type"); dsm_session_close(&other, NULL);
    /* fork */
    other = open_session(m, kv, act, 5);
    check(dsm_session_fork(other, a, 37, &error) == DSM_OK && dsm_session_length(other) == 37, "forks"); feed(other, N, 0, 0, 37, rows, n_vocab, "goes on after forking");
    check(dsm_session_fork(other, other, 3, &error) == DSM_E_ARGUMENT, "does not fork from itself");
    dsm_session_close(&other, NULL);
    feed(a, N, 0, 0, 41, rows, n_vocab, "the forked one goes on");
    /* rewind, and other branches of the timeline */
    check(dsm_session_rewind(a, 20, &error) == DSM_OK && !dsm_session_logits(a, DSM_OFF), "rewinds"); feed(a, N, 0, 0, 20, rows, n_vocab, "replays");
    { int32_t branch[30]; size_t kept = 0; memcpy(branch, tokens, sizeof branch); branch[25] = tokens[26]; branch[26] = tokens[25];
      check(dsm_session_sync(a, branch, 30, &kept, &error) == DSM_OK && kept == 25 && finish(a, 0), "another branch"); feed(a, N, 0, 0, 25, rows, n_vocab, "and back"); }
    check(dsm_session_rewind(a, 33, &error) == DSM_OK && finish(a, 0) && dsm_session_logits(a, DSM_OFF) && !memcmp(dsm_session_logits(a, DSM_OFF), rows + 32 * n_vocab, (size_t)n_vocab * 4), "rewinding, then the last logits again");
    dsm_session_close(&a, NULL); dsm_session_close(&b, NULL); free(snap.at);
}
static void budgets(dsm_model *m, dsm_kv kv, dsm_activations act, const float *rows, int n_vocab) {
    dsm_session *s = open_session(m, kv, act, 0); int calls;
    dsm_session_sync(s, tokens, N, NULL, &error);
    check(dsm_session_step(s, 1, &error) == DSM_MORE, "a budget of 1 us is not enough");
    dsm_session_cancel(s);
    check(dsm_session_step(s, 0, &error) == DSM_E_CANCELLED, "cancelled");
    calls = finish(s, 1);
    check(calls > 20, "many small steps");
    { int same = 1; for (int i = 0; i < N; i++) { const float *y = dsm_session_logits(s, i); same = same && y && !memcmp(y, rows + (size_t)i * (size_t)n_vocab, (size_t)n_vocab * 4); } check(same, "budget of 1 us"); }
    /* suspended, then another timeline, then back */
    dsm_session_rewind(s, 10, NULL); dsm_session_sync(s, tokens, N, NULL, &error);
    for (int i = 0; i < 7; i++) dsm_session_step(s, 1, &error);
    dsm_session_sync(s, tokens, 12, NULL, &error); dsm_session_step(s, 1, &error);
    feed(s, N, 0, 200, 10, rows, n_vocab, "suspended, cut short, and back");
    /* a budget begins, none ends; and the other way round */
    dsm_session_rewind(s, 5, NULL); dsm_session_sync(s, tokens, N, NULL, &error); dsm_session_step(s, 1, &error);
    feed(s, N, 0, 0, 5, rows, n_vocab, "begun with a budget, ended without");
    dsm_session_close(&s, NULL);
}
static void plans(const char *path, dsm_kv kv) {
    count c = { 0, 0, 0 }; dsm_model_desc d; dsm_session_desc sd; dsm_memory memory, bare; dsm_model *m = NULL, *header = NULL; dsm_session *s = NULL; size_t before; uint8_t *arena; int good = 1, context; void *block = NULL;
    memset(&d, 0, sizeof d); d.path = path; d.threads = 2; d.allocator.user = &c; d.allocator.alloc = count_alloc; d.allocator.free = count_free;
    if (!check(dsm_model_open(&m, &d, &error) == DSM_OK, "opens with an allocator")) return;
    d.header_only = 1; check(dsm_model_open(&header, &d, &error) == DSM_OK, "opens the header");
    for (int i = 0; i < 6; i++) {
        memset(&sd, 0, sizeof sd); sd.context = i == 0 ? 1 : 37 * i; sd.kv = kv; sd.chunk = i == 3 ? 1 : i == 4 ? 300 : 0; sd.activations = i & 1 ? DSM_ACTIVATIONS_F32 : DSM_ACTIVATIONS_INT8; sd.all_logits = i > 3;
        if (!check(dsm_plan(m, &sd, &memory, &error) == DSM_OK, "plans")) break;
        check(dsm_plan(header, &sd, &bare, &error) == DSM_OK && bare.session_bytes == memory.session_bytes && bare.cache == memory.cache, "the header plans the same");
        check(memory.cache + memory.scratch + memory.tables == memory.session_bytes, "the parts are the sum");
        before = c.bytes;
        if (!check(dsm_session_open(&s, m, &sd, &error) == DSM_OK, "opens as planned")) break;
        check(c.bytes - before == memory.session_bytes, "takes what was planned");
        before = c.calls;
        dsm_session_sync(s, tokens, (size_t)(sd.context < N ? sd.context : N), NULL, &error); check(finish(s, 0) > 0, "runs"); check(c.calls == before, "does not allocate while it runs");
        dsm_session_close(&s, NULL);
        /* the caller's own block, not a byte more */
        if (posix_memalign(&block, 64, (size_t)memory.session_bytes + 64)) break;
        arena = (uint8_t *)block; memset(arena, 0xA5, (size_t)memory.session_bytes + 64);
        sd.arena = arena; sd.arena_size = (size_t)memory.session_bytes - 1; check(dsm_session_open(&s, m, &sd, &error) == DSM_E_MEMORY && !s, "one byte too few");
        sd.arena_size++; check(dsm_session_open(&s, m, &sd, &error) == DSM_OK, "in an arena");
        dsm_session_sync(s, tokens, (size_t)(sd.context < N ? sd.context : N), NULL, &error); finish(s, 50);
        for (int j = 0; j < 64; j++) good = good && arena[memory.session_bytes + (unsigned)j] == 0xA5;
        check(good, "nothing behind the arena is touched");
        dsm_session_close(&s, NULL); free(block);
        sd.arena = NULL;
        check(dsm_plan_context(m, &sd, memory.session_bytes, &context, &error) == DSM_OK && context >= sd.context, "the context for these bytes");
        { int asked = sd.context; sd.context = context; check(dsm_plan(m, &sd, &memory, &error) == DSM_OK && asked > 0, "plans that context"); }
    }
    dsm_model_close(&header, NULL); dsm_model_close(&m, NULL);
    check(c.bytes == 0, "gives everything back");
}
static void broken(const char *path) { /* NaN in the weights: reported, and the session can go on */
    FILE *f = fopen(path, "rb"); long n; uint8_t *file; dsm_model_desc d; dsm_model *m = NULL; dsm_session *s = NULL; dsm_session_desc sd; float nan_bits; uint32_t bits = 0x7fc00000u;
    if (!f) return;
    fseek(f, 0, SEEK_END); n = ftell(f); fseek(f, 0, SEEK_SET);
    file = (uint8_t *)malloc((size_t)n);
    if (file && fread(file, 1, (size_t)n, f) == (size_t)n) {
        memcpy(&nan_bits, &bits, 4);
        for (long i = n / 2 / 64 * 64; i + 4 <= n; i += 64) memcpy(file + i, &nan_bits, 4);
        memset(&d, 0, sizeof d); d.data = file; d.size = (uint64_t)n; d.threads = 2;
        if (dsm_model_open(&m, &d, &error) == DSM_OK) {
            memset(&sd, 0, sizeof sd); sd.context = CONTEXT;
            check(dsm_session_open(&s, m, &sd, &error) == DSM_OK, "opens a session");
            for (int i = 0; i < 2; i++) {
                check(dsm_session_sync(s, tokens, 9, NULL, &error) == DSM_OK, "syncs");
                check(dsm_session_step(s, (uint64_t)i * 100, &error) == DSM_E_NUMBER || i, "NaN is reported");
                check(dsm_session_logits(s, DSM_OFF) == NULL, "no logits");
                check(dsm_session_rewind(s, 0, &error) == DSM_OK, "rewinds"); }
            dsm_session_close(&s, NULL); dsm_model_close(&m, NULL); }
        else check(0, "opens with NaN in it"); }
    free(file); fclose(f);
}
static void all(const char *name, dsm_kv kv, dsm_activations act, int thorough) {
    static const int threads[] = { 2, 3, 8 }, sizes[] = { 1, 7, 64 }; char path[300]; dsm_model *m; dsm_session *s; dsm_model_info info; float *rows; int v; char label[200]; FILE *f;
    snprintf(path, sizeof path, "tests/data/golden/%s.gguf", name);
    snprintf(label, sizeof label, "%s, %s cache, %s activations", name, kv == DSM_KV_F32 ? "f32" : kv == DSM_KV_F16 ? "f16" : "q8_0", act == DSM_ACTIVATIONS_F32 ? "f32" : "int8"); now = label; error.text[0] = 0;
    if ((f = fopen(path, "rb")) == NULL) { printf("skipped: %s is not there\n", path); skipped++; return; }
    fclose(f);
    m = open_model(path, 1, dsm_isa_name(0));
    if (!m) return;
    dsm_model_describe(m, &info, &error); v = info.n_vocab;
    for (int i = 0; i < N + MORE; i++) tokens[i] = (int32_t)((unsigned)(i * 7919 + i * i * 31 + 5) % (unsigned)v);
    rows = (float *)malloc((size_t)v * N * sizeof *rows);
    s = open_session(m, kv, act, 0);
    if (!rows || !s || dsm_session_sync(s, tokens, N, NULL, &error) != DSM_OK || !check(finish(s, 0) == 1, "the reference")) { free(rows); dsm_session_close(&s, NULL); dsm_model_close(&m, NULL); return; }
    for (int i = 0; i < N; i++) memcpy(rows + (size_t)i * (size_t)v, dsm_session_logits(s, i), (size_t)v * sizeof *rows);
    dsm_session_close(&s, NULL);
    for (int i = 0; i < 3; i++) {
        s = open_session(m, kv, act, sizes[i]); feed(s, N, 0, 0, 0, rows, v, "another chunk"); dsm_session_close(&s, NULL);
        s = open_session(m, kv, act, 0); feed(s, N, sizes[i], 0, 0, rows, v, "pieces"); dsm_session_close(&s, NULL); }
    budgets(m, kv, act, rows, v);
    snapshots(m, kv, act, rows, v, thorough);
    dsm_model_close(&m, NULL);
    for (int i = 1; dsm_isa_name(i); i++) {
        snprintf(label, sizeof label, "%s, %d kv, %d act, %s", name, (int)kv, (int)act, dsm_isa_name(i));
        m = open_model(path, 1 + i % 2, dsm_isa_name(i)); if (!m) continue;
        s = open_session(m, kv, act, 0); feed(s, N, 0, 0, 0, rows, v, "another instruction set"); dsm_session_close(&s, NULL);
        s = open_session(m, kv, act, 0); feed(s, N, 1, 0, 0, rows, v, "another instruction set, token by token"); dsm_session_close(&s, NULL);
        s = open_session(m, kv, act, 0); feed(s, N, 3, 0, 0, rows, v, "another instruction set, three by three"); dsm_session_close(&s, NULL);
        dsm_model_close(&m, NULL); }
    for (int i = 0; i < 3; i++) {
        snprintf(label, sizeof label, "%s, %d kv, %d act, %d threads", name, (int)kv, (int)act, threads[i]);
        m = open_model(path, threads[i], NULL); if (!m) continue;
        s = open_session(m, kv, act, 0); feed(s, N, 0, 0, 0, rows, v, "threads"); dsm_session_close(&s, NULL);
        s = open_session(m, kv, act, 0); feed(s, 20, 1, 0, 0, rows, v, "threads, token by token"); dsm_session_close(&s, NULL);
        if (i == 1) { budgets(m, kv, act, rows, v);
            if (act == DSM_ACTIVATIONS_INT8) { pthread_t t[3]; job jobs[3]; /* sessions at once */
                for (int j = 0; j < 3; j++) { jobs[j].m = m; jobs[j].kv = kv; jobs[j].rows = rows; jobs[j].n_vocab = v; jobs[j].good = 0; if (pthread_create(&t[j], NULL, on_thread, &jobs[j])) jobs[j].m = NULL; }
                for (int j = 0; j < 3; j++) { if (jobs[j].m) pthread_join(t[j], NULL); check(jobs[j].good, "sessions on several threads at once"); } } }
        dsm_model_close(&m, NULL); }
    { dsm_model_desc d; memset(&d, 0, sizeof d); d.path = path; d.jobs.workers = 5; d.jobs.parallel_for = backwards; now = "the host's jobs"; m = NULL;
      if (check(dsm_model_open(&m, &d, &error) == DSM_OK, "opens")) { s = open_session(m, kv, act, 0); feed(s, N, 0, 0, 0, rows, v, "jobs"); feed(s, N, 0, 0, N - 1, rows, v, "again"); dsm_session_close(&s, NULL); dsm_model_close(&m, NULL); } }
    free(rows);
    printf("%s: %d passed, %d failed so far\n", name, passed, failed);
}
int main(int argc, char **argv) { /* names of models: only those; -q: two of them, less of each (for emulators and sanitizers) */
    static const char *names[] = { "llama-q4_0", "moe16b-q4_0", "v2lite-q4_k_m", "v3-fused-f32", "qwen3-f32", "qwen2-tied-f32" };
    const int quick = argc > 1 && !strcmp(argv[1], "-q");
    for (int i = 0; i < 6; i++) {
        int asked = argc < 2 || (quick && (i == 2 || i == 5));
        for (int j = 1; j < argc; j++) asked |= !strcmp(argv[j], names[i]);
        if (!asked) continue;
        all(names[i], (dsm_kv)(i % 3), DSM_ACTIVATIONS_INT8, i == 2);
        if (i < 4 && !quick) all(names[i], (dsm_kv)((i + 1) % 3), i == 1 ? DSM_ACTIVATIONS_F32 : DSM_ACTIVATIONS_INT8, 0);
        if (i == 2 && !quick) all(names[i], (dsm_kv)((i + 2) % 3), DSM_ACTIVATIONS_F32, 0);
        { char path[300]; snprintf(path, sizeof path, "tests/data/golden/%s.gguf", names[i]); now = names[i]; plans(path, (dsm_kv)(i % 3)); broken(path); } }
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed != 0;
}
