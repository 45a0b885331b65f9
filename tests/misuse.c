/* misuse: what a caller may get wrong is an error code with a sentence, never a crash: NULL everywhere, closing twice, negative ids, closing a model with open
   sessions, one session in two threads, hostile numbers in descriptors, broken readers and writers.
   cc -std=c11 -I. tests/misuse.c -o build/misuse-test -lm -lpthread */
#define DSMOE_IMPLEMENTATION
#include "dsmoe.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "gguf.h"
#include "small.h"
#include <limits.h>

static int passed, failed;
static void check(int good, const char *what, int line) {
    if (good) passed++;
    else if (++failed <= 30) printf("tests/misuse.c:%d: %s\n", line, what);
}
#define CHECK(x) check((x) ? 1 : 0, #x, __LINE__)
static dsm_error e;
/* The call fails with this status, says so in the error, and does the same without an error to fill. `error` in the call is the place for it. */
#define FAILS(call, want) do { dsm_error *error = &e; dsm_status got_; memset(&e, 0, sizeof e); got_ = (call); \
    if (got_ != (want)) printf("tests/misuse.c:%d: gives %s, wants %s: %s\n", __LINE__, dsm_status_name(got_), dsm_status_name(want), e.text); \
    check(got_ == (want), #call, __LINE__); check(e.status == (want) && e.text[0], "an error with a text", __LINE__); \
    error = NULL; check((call) == (want), #call " without an error", __LINE__); } while (0)

static int no_read(void *user, uint64_t offset, void *to, size_t n) { (void)user; (void)offset; (void)to; (void)n; return 1; }
static int no_write(void *user, const void *from, size_t n) { (void)from; (void)n; return --*(int *)user < 0; }
typedef struct memory { uint8_t *at; size_t n; } memory;
static int keep(void *user, const void *from, size_t n) { memory *m = (memory *)user; m->at = (uint8_t *)realloc(m->at, m->n + n + 1); if (!m->at) exit(1); memcpy(m->at + m->n, from, n); m->n += n; return 0; }
static int give(void *user, uint64_t offset, void *to, size_t n) { memory *m = (memory *)user; if (offset > m->n || n > m->n - offset) return 1; memcpy(to, m->at + offset, n); return 0; }

static void models(void) {
    dsm_model_desc d; dsm_model *m = NULL; dsm_model_info info; dsm_key key; dsm_tensor tensor; dsm_memory plan; int context; dsm_sampling sampling;
    FAILS(dsm_model_open(NULL, NULL, error), DSM_E_ARGUMENT);
    FAILS(dsm_model_open(&m, NULL, error), DSM_E_ARGUMENT);
    memset(&d, 0, sizeof d);
    FAILS(dsm_model_open(&m, &d, error), DSM_E_ARGUMENT);
    d.path = "tests/there-is-no-such-file.gguf"; FAILS(dsm_model_open(&m, &d, error), DSM_E_IO); CHECK(strstr(e.text, "there-is-no-such-file"));
    d.path = "tests"; FAILS(dsm_model_open(&m, &d, error), DSM_E_IO);
    d.path = "tests/misuse.c"; FAILS(dsm_model_open(&m, &d, error), DSM_E_FORMAT);
    d.path = ""; FAILS(dsm_model_open(&m, &d, error), DSM_E_IO);
    d.data = "x"; d.size = 1; d.path = "x"; FAILS(dsm_model_open(&m, &d, error), DSM_E_ARGUMENT);
    d.path = NULL; FAILS(dsm_model_open(&m, &d, error), DSM_E_FORMAT);
    d.size = 0; FAILS(dsm_model_open(&m, &d, error), DSM_E_FORMAT);
    memset(&d, 0, sizeof d); d.use_fd = 1; d.fd = -7; FAILS(dsm_model_open(&m, &d, error), DSM_E_IO);
    d.fd = 987654; FAILS(dsm_model_open(&m, &d, error), DSM_E_IO);
    memset(&d, 0, sizeof d); d.reader.read_at = no_read; d.reader.size = 1000; FAILS(dsm_model_open(&m, &d, error), DSM_E_IO);
    d.reader.size = UINT64_MAX; CHECK(dsm_model_open(&m, &d, &e) < 0 && !m);
    d = model_desc("qwen2", 0, 0); d.threads = -1; FAILS(dsm_model_open(&m, &d, error), DSM_E_ARGUMENT);
    d.threads = 100000; FAILS(dsm_model_open(&m, &d, error), DSM_E_ARGUMENT);
    d.threads = 1; d.isa = "z80"; FAILS(dsm_model_open(&m, &d, error), DSM_E_ARGUMENT); CHECK(strstr(e.text, "scalar"));
    d.isa = ""; FAILS(dsm_model_open(&m, &d, error), DSM_E_ARGUMENT);
    d.isa = NULL; d.allocator.free = NULL; FAILS(dsm_model_open(&m, &d, error), DSM_E_ARGUMENT);
    CHECK(m == NULL && live == 0);
    CHECK(dsm_model_close(NULL, &e) == DSM_OK && dsm_model_close(&m, &e) == DSM_OK && dsm_model_close(&m, NULL) == DSM_OK);
    FAILS(dsm_model_warm(NULL, 0, error), DSM_E_ARGUMENT); FAILS(dsm_model_trim(NULL, error), DSM_E_ARGUMENT); FAILS(dsm_model_describe(NULL, &info, error), DSM_E_ARGUMENT);
    CHECK(dsm_model_key(NULL, 0, &key) == DSM_E_ARGUMENT && dsm_model_tensor(NULL, 0, &tensor) == DSM_E_ARGUMENT && dsm_model_threads(NULL) == 0 && dsm_model_isa(NULL) != NULL);
    FAILS(dsm_plan(NULL, NULL, &plan, error), DSM_E_ARGUMENT); FAILS(dsm_plan_context(NULL, NULL, 1, &context, error), DSM_E_ARGUMENT); FAILS(dsm_sampling_default(NULL, &sampling, error), DSM_E_ARGUMENT);
    CHECK(dsm_isa_name(-1) == NULL && dsm_isa_name(1000) == NULL && dsm_isa_name(0) != NULL && dsm_format_name(-1) == NULL && dsm_format_name(1000) == NULL);
    CHECK(!strcmp(dsm_status_name((dsm_status)-99), "?") && !strcmp(dsm_status_name(DSM_E_BUSY), "DSM_E_BUSY") && !strcmp(dsm_version(), DSM_VERSION));
    /* a model for information: no sessions, but plans and tokens */
    d = model_desc("deepseek2", 'C', 0); d.header_only = 1;
    CHECK(dsm_model_open(&m, &d, &e) == DSM_OK && dsm_model_describe(m, &info, &e) == DSM_OK && dsm_plan(m, NULL, &plan, &e) == DSM_OK);
    if (m) {
        dsm_session *s = (dsm_session *)&d;
        FAILS(dsm_session_open(&s, m, NULL, error), DSM_E_ARGUMENT); CHECK(s == NULL);
        FAILS(dsm_model_describe(m, NULL, error), DSM_E_ARGUMENT); FAILS(dsm_plan(m, NULL, NULL, error), DSM_E_ARGUMENT); FAILS(dsm_plan_context(m, NULL, 1, NULL, error), DSM_E_ARGUMENT);
        CHECK(dsm_model_key(m, SIZE_MAX, &key) == DSM_DONE && dsm_model_tensor(m, SIZE_MAX, &tensor) == DSM_DONE && dsm_model_key(m, 0, NULL) == DSM_E_ARGUMENT && dsm_model_tensor(m, 0, NULL) == DSM_E_ARGUMENT); }
    dsm_model_close(&m, NULL); CHECK(m == NULL && live == 0);
}

static void tokens(void) {
    dsm_model_desc d = model_desc("llama", 0, 0); dsm_model *m = NULL; int32_t ids[8]; size_t n; char text[8]; dsm_message c[2]; dsm_stream stream; static const int32_t odd[] = { -1, 1000000, 'a', INT32_MIN, INT32_MAX };
    CHECK(dsm_model_open(&m, &d, &e) == DSM_OK);
    if (!m) return;
    memset(c, 0, sizeof c); memset(&stream, 0, sizeof stream);
    FAILS(dsm_tokenize(NULL, "a", 1, 0, ids, 8, &n, error), DSM_E_ARGUMENT); FAILS(dsm_tokenize(m, NULL, 1, 0, ids, 8, &n, error), DSM_E_ARGUMENT); FAILS(dsm_tokenize(m, "a", 1, 0, NULL, 8, &n, error), DSM_E_ARGUMENT);
    FAILS(dsm_tokenize(m, "a", 1, 0, ids, 8, NULL, error), DSM_E_ARGUMENT); FAILS(dsm_tokenize(m, "a", 1, 512, ids, 8, &n, error), DSM_E_ARGUMENT);
    CHECK(dsm_tokenize(m, NULL, 0, 0, ids, 8, &n, &e) == DSM_OK && n == 0 && dsm_tokenize(m, "abc", 3, 0, NULL, 0, &n, &e) == DSM_MORE && n == 3 && dsm_tokenize(m, "abc", 3, DSM_TOKENIZE_BOS, ids, 2, &n, &e) == DSM_MORE && n == 4);
    FAILS(dsm_detokenize(m, NULL, 1, 0, text, 8, &n, error), DSM_E_ARGUMENT); FAILS(dsm_detokenize(NULL, ids, 1, 0, text, 8, &n, error), DSM_E_ARGUMENT); FAILS(dsm_detokenize(m, ids, 1, 0, NULL, 8, &n, error), DSM_E_ARGUMENT);
    CHECK(dsm_detokenize(m, odd, 5, 1, text, 8, &n, &e) == DSM_OK && n == 1 && text[0] == 'a');
    CHECK(dsm_token_get_kind(m, -1) == DSM_TOKEN_UNUSED && dsm_token_get_kind(m, INT32_MAX) == DSM_TOKEN_UNUSED && dsm_token_get_kind(NULL, 0) == DSM_TOKEN_UNUSED && dsm_token_special(m, (dsm_special)99) == -1 && dsm_token_special(NULL, DSM_BOS) == -1);
    CHECK(dsm_token_is_end(m, -1) == 0 && dsm_token_is_end(m, INT32_MAX) == 0 && dsm_token_is_end(NULL, 1) == 0 && dsm_token_is_end(m, EOS) == 1);
    CHECK(dsm_stream_push(NULL, &stream, 1, text, 8) == -1 && dsm_stream_push(m, NULL, 1, text, 8) == -1 && dsm_stream_push(m, &stream, HEL, text, 2) == -1 && dsm_stream_push(m, &stream, HEL, text, 3) == 3 && dsm_stream_push(m, &stream, INT32_MAX, text, 8) == 0);
    stream.n_held = 1000; CHECK(dsm_stream_push(m, &stream, 'a', text, 8) == 1);
    FAILS(dsm_chat_format(m, NULL, 1, DSM_THINK_FREE, ids, 8, &n, error), DSM_E_ARGUMENT); FAILS(dsm_chat_format(m, c, 1, DSM_THINK_FREE, ids, 8, &n, error), DSM_E_ARGUMENT); /* a role of 0 */
    c[0].role = DSM_USER; c[0].size = 5; FAILS(dsm_chat_format(m, c, 1, DSM_THINK_FREE, ids, 8, &n, error), DSM_E_ARGUMENT);
    c[0].role = (dsm_role)77; c[0].text = "a"; c[0].size = 1; FAILS(dsm_chat_format(m, c, 1, DSM_THINK_FREE, ids, 8, &n, error), DSM_E_ARGUMENT);
    FAILS(dsm_fim_format(m, "a", 1, "b", 1, ids, 8, &n, error), DSM_E_UNSUPPORTED); FAILS(dsm_fim_format(m, NULL, 1, "b", 1, ids, 8, &n, error), DSM_E_ARGUMENT);
    {   size_t bytes; float f[32] = { 0 };
        FAILS(dsm_format_bytes("Q9_9", 32, &bytes, error), DSM_E_ARGUMENT); FAILS(dsm_format_bytes(NULL, 32, &bytes, error), DSM_E_ARGUMENT); FAILS(dsm_format_bytes("Q4_0", 31, &bytes, error), DSM_E_ARGUMENT); FAILS(dsm_format_bytes("Q4_0", 32, NULL, error), DSM_E_ARGUMENT);
        FAILS(dsm_dequantize_row("Q4_0", NULL, f, 32, error), DSM_E_ARGUMENT); FAILS(dsm_quantize_row("Q4_0", f, NULL, NULL, 32, error), DSM_E_ARGUMENT); }
    dsm_model_close(&m, NULL); CHECK(live == 0);
}

static dsm_session *inner; static int inner_busy;
static void reenter(void *user, float *logits, int n, uint64_t position) { /* what a second thread would meet while the first one works */
    dsm_error error; (void)user; (void)logits; (void)n; (void)position;
    inner_busy += dsm_session_rewind(inner, 0, &error) == DSM_E_BUSY; inner_busy += dsm_session_step(inner, 0, NULL) == DSM_E_BUSY;
    { dsm_session *copy = inner; inner_busy += dsm_session_close(&copy, NULL) == DSM_E_BUSY && copy == inner; }
}
typedef struct hammer { dsm_session *s; int rounds, good, busy, bad; } hammer;
static void *beat(void *arg) {
    static const int32_t ids[] = { BOS, 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h' }; hammer *h = (hammer *)arg;
    for (int i = 0; i < h->rounds; i++) {
        dsm_status status = i % 3 ? dsm_session_step(h->s, i % 2 ? 0 : 20, NULL) : dsm_session_sync(h->s, ids, (size_t)(i % 9 + 1), NULL, NULL); uint64_t a, b;
        if (status >= 0) h->good++; else if (status == DSM_E_BUSY) h->busy++; else if (status != DSM_E_CANCELLED) h->bad++;
        if (i % 16 == 0) dsm_session_cancel(h->s);
        if (dsm_session_progress(h->s, &a, &b) != DSM_OK) h->bad++; }
    return NULL;
}

static void sessions(void) {
    dsm_model_desc d = model_desc("deepseek2", 'C', 0); dsm_model *m = NULL, *m2 = NULL; dsm_session *s = NULL, *t = NULL; dsm_session_desc r; dsm_stats stats; static const int32_t bad1[] = { BOS, -1 }, bad2[] = { BOS, VOCAB + 3 }, good[] = { BOS, 'a', 'b', 'c' };
    static int32_t many[80]; size_t kept; int32_t id; dsm_sampling sampling; dsm_writer writer; dsm_reader reader; memory saved = { NULL, 0 };
    CHECK(dsm_model_open(&m, &d, &e) == DSM_OK);
    if (!m) return;
    memset(&r, 0, sizeof r); r.context = 64;
    FAILS(dsm_session_open(NULL, m, &r, error), DSM_E_ARGUMENT); FAILS(dsm_session_open(&s, NULL, &r, error), DSM_E_ARGUMENT);
    r.context = -1; FAILS(dsm_session_open(&s, m, &r, error), DSM_E_ARGUMENT); r.context = INT_MAX; CHECK(dsm_session_open(&s, m, &r, &e) < 0 && !s); r.context = 64;
    r.chunk = -5; FAILS(dsm_session_open(&s, m, &r, error), DSM_E_ARGUMENT); r.chunk = 0; r.kv = (dsm_kv)9; FAILS(dsm_session_open(&s, m, &r, error), DSM_E_ARGUMENT); r.kv = (dsm_kv)-1; FAILS(dsm_session_open(&s, m, &r, error), DSM_E_ARGUMENT);
    r.kv = DSM_KV_F16; r.activations = (dsm_activations)7; FAILS(dsm_session_open(&s, m, &r, error), DSM_E_ARGUMENT); r.activations = DSM_ACTIVATIONS_INT8;
    CHECK(dsm_session_open(&s, m, &r, &e) == DSM_OK && dsm_session_open(&t, m, &r, &e) == DSM_OK);
    if (!s || !t) return;
    FAILS(dsm_model_close(&m, error), DSM_E_BUSY); CHECK(m != NULL && strstr(e.text, "") != NULL);
    /* NULL everywhere */
    FAILS(dsm_session_sync(NULL, good, 4, &kept, error), DSM_E_ARGUMENT); FAILS(dsm_session_sync(s, NULL, 4, &kept, error), DSM_E_ARGUMENT); FAILS(dsm_session_step(NULL, 0, error), DSM_E_ARGUMENT);
    FAILS(dsm_session_next(NULL, NULL, 0, &id, error), DSM_E_ARGUMENT); FAILS(dsm_session_next(s, NULL, 0, NULL, error), DSM_E_ARGUMENT); FAILS(dsm_session_rewind(NULL, 0, error), DSM_E_ARGUMENT);
    FAILS(dsm_session_fork(NULL, s, 0, error), DSM_E_ARGUMENT); FAILS(dsm_session_fork(s, NULL, 0, error), DSM_E_ARGUMENT); FAILS(dsm_session_fork(s, s, 0, error), DSM_E_ARGUMENT);
    FAILS(dsm_session_save(NULL, NULL, error), DSM_E_ARGUMENT); FAILS(dsm_session_save(s, NULL, error), DSM_E_ARGUMENT); FAILS(dsm_session_load(s, NULL, error), DSM_E_ARGUMENT);
    FAILS(dsm_turn_begin(NULL, NULL, error), DSM_E_ARGUMENT); FAILS(dsm_turn_begin(s, NULL, error), DSM_E_ARGUMENT); FAILS(dsm_turn_next(NULL, 0, NULL, error), DSM_E_ARGUMENT); FAILS(dsm_turn_next(s, 0, NULL, error), DSM_E_ARGUMENT); FAILS(dsm_turn_end(NULL, error), DSM_E_ARGUMENT);
    dsm_session_cancel(NULL); dsm_session_stats_reset(NULL);
    CHECK(dsm_session_logits(NULL, 0) == NULL && dsm_session_length(NULL) == 0 && dsm_session_tokens(NULL) == NULL && dsm_session_context(NULL) == 0 && dsm_session_stats(NULL, &stats) == DSM_E_ARGUMENT && dsm_session_stats(s, NULL) == DSM_E_ARGUMENT && dsm_session_progress(NULL, NULL, NULL) == DSM_E_ARGUMENT && dsm_session_progress(s, NULL, NULL) == DSM_OK);
    /* ids, lengths */
    CHECK(dsm_session_sync(s, good, 4, &kept, &e) == DSM_OK && kept == 0 && dsm_session_step(s, 0, &e) == DSM_DONE);
    FAILS(dsm_session_sync(s, bad1, 2, NULL, error), DSM_E_ARGUMENT); CHECK(strstr(e.text, "-1")); FAILS(dsm_session_sync(s, bad2, 2, NULL, error), DSM_E_ARGUMENT);
    FAILS(dsm_session_sync(s, many, 65, NULL, error), DSM_E_CONTEXT); CHECK(strstr(e.text, "65") && strstr(e.text, "64") && dsm_session_length(s) == 4);
    FAILS(dsm_session_sync(s, many, SIZE_MAX, NULL, error), DSM_E_CONTEXT);
    FAILS(dsm_session_rewind(s, 5, error), DSM_E_ARGUMENT); FAILS(dsm_session_rewind(s, SIZE_MAX, error), DSM_E_ARGUMENT); CHECK(dsm_session_length(s) == 4);
    CHECK(dsm_session_logits(s, DSM_OFF) && !dsm_session_logits(s, 0) && !dsm_session_logits(s, 4) && !dsm_session_logits(s, INT64_MAX) && dsm_session_logits(s, 3));
    FAILS(dsm_session_fork(t, s, 5, error), DSM_E_ARGUMENT); CHECK(dsm_session_fork(t, s, 4, &e) == DSM_OK && dsm_session_length(t) == 4);
    /* an empty prompt is a timeline like any other, but there is nothing to choose from */
    CHECK(dsm_session_sync(t, NULL, 0, NULL, &e) == DSM_OK && dsm_session_step(t, 0, &e) == DSM_DONE && dsm_session_logits(t, DSM_OFF) == NULL); FAILS(dsm_session_next(t, NULL, 0, &id, error), DSM_E_ARGUMENT);
    /* sampling: checked before anything happens */
    {   static const float bad[] = { NAN, INFINITY, -0.5f }; dsm_bias b; memset(&sampling, 0, sizeof sampling);
        for (int i = 0; i < 3; i++) { sampling.temperature = bad[i]; FAILS(dsm_session_next(s, &sampling, 0, &id, error), DSM_E_ARGUMENT); CHECK(strstr(e.text, "temperature")); }
        sampling.temperature = 1; sampling.top_p = 1.5f; FAILS(dsm_session_next(s, &sampling, 0, &id, error), DSM_E_ARGUMENT); sampling.top_p = 0; sampling.bias = &b; sampling.n_bias = 1;
        b.id = VOCAB + 3; b.add = 0; FAILS(dsm_session_next(s, &sampling, 0, &id, error), DSM_E_ARGUMENT); CHECK(strstr(e.text, "bias")); b.id = -1; FAILS(dsm_session_next(s, &sampling, 0, &id, error), DSM_E_ARGUMENT); CHECK(dsm_session_length(s) == 4); }
    /* turns */
    {   dsm_turn_desc turn; dsm_message c; dsm_piece p; static const char *const stops[17] = { "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q" }, *const empty[1] = { "" }, *const none[1] = { NULL };
        char long_stop[80]; const char *list[1];
        memset(long_stop, 'a', sizeof long_stop); long_stop[65] = 0; list[0] = long_stop;
        memset(&c, 0, sizeof c); c.role = DSM_USER; c.text = "Hi"; memset(&turn, 0, sizeof turn);
        FAILS(dsm_turn_next(s, 0, &p, error), DSM_E_ARGUMENT); CHECK(dsm_turn_end(s, &e) == DSM_OK);
#define TURN(field, value) do { turn.messages = &c; turn.n_messages = 1; turn.field = value; FAILS(dsm_turn_begin(s, &turn, error), DSM_E_ARGUMENT); memset(&turn, 0, sizeof turn); } while (0)
        FAILS(dsm_turn_begin(s, &turn, error), DSM_E_ARGUMENT); TURN(n_messages, 0); TURN(prompt, good); TURN(think, (dsm_think)5); TURN(think_budget, -2); TURN(max_tokens, -3); TURN(n_top, -1); TURN(n_top, 21); TURN(n_stop, 1); TURN(n_stop, -1); TURN(sampling.top_k, -9);
        turn.stop = stops; TURN(n_stop, 17); turn.stop = empty; TURN(n_stop, 1); turn.stop = none; TURN(n_stop, 1); turn.stop = list; TURN(n_stop, 1);
        turn.prompt = bad1; turn.n_prompt = 2; FAILS(dsm_turn_begin(s, &turn, error), DSM_E_ARGUMENT); turn.prompt = many; turn.n_prompt = 65; FAILS(dsm_turn_begin(s, &turn, error), DSM_E_CONTEXT);
        c.text = NULL; c.size = 3; TURN(n_top, 0); c.role = (dsm_role)0; c.text = "x"; TURN(n_top, 0);
        CHECK(dsm_session_length(s) == 4); }
    /* snapshots: broken writers and readers, cut and damaged anywhere: an error, the session unchanged */
    writer.user = &saved; writer.write = keep; CHECK(dsm_session_save(s, &writer, &e) == DSM_OK && saved.n > 100);
    for (int fail_at = 0; fail_at < 3; fail_at++) { int left = fail_at; dsm_status status; writer.user = &left; writer.write = no_write; status = dsm_session_save(s, &writer, &e); CHECK(status == DSM_E_IO || (status == DSM_OK && left >= 0)); }
    reader.user = NULL; reader.size = 1000; reader.read_at = no_read; FAILS(dsm_session_load(t, &reader, error), DSM_E_IO);
    reader.user = &saved; reader.read_at = give;
    CHECK(dsm_session_sync(t, good, 2, NULL, &e) == DSM_OK && dsm_session_step(t, 0, &e) == DSM_DONE);
    for (size_t n = 0; n < saved.n; n += n < 200 ? 1 : 61) { reader.size = n; CHECK(dsm_session_load(t, &reader, &e) < 0 && dsm_session_length(t) == 2); }
    reader.size = saved.n;
    for (size_t n = 0; n < saved.n; n += n < 300 ? 1 : 37) { saved.at[n] ^= 0x10; CHECK(dsm_session_load(t, &reader, &e) < 0 && dsm_session_length(t) == 2); saved.at[n] ^= 0x10; }
    reader.size = saved.n + 1; saved.n++; CHECK(dsm_session_load(t, &reader, &e) == DSM_E_SNAPSHOT); saved.n--; reader.size = saved.n;
    CHECK(dsm_session_load(t, &reader, &e) == DSM_OK && dsm_session_length(t) == 4);
    /* another model, another type */
    {   dsm_model_desc d2; dsm_session *o = NULL; uint8_t *first = file.out.at; size_t first_n = file.out.n; file.out.at = NULL; file.out.n = file.out.cap = 0; /* the first model's bytes are still in use */
        d2 = model_desc("llama", 0, 0); CHECK(dsm_model_open(&m2, &d2, &e) == DSM_OK && dsm_session_open(&o, m2, &r, &e) == DSM_OK);
        FAILS(dsm_session_load(o, &reader, error), DSM_E_SNAPSHOT); FAILS(dsm_session_fork(o, s, 1, error), DSM_E_ARGUMENT); dsm_session_close(&o, NULL); dsm_model_close(&m2, NULL);
        r.kv = DSM_KV_F32; CHECK(dsm_session_open(&o, m, &r, &e) == DSM_OK); FAILS(dsm_session_load(o, &reader, error), DSM_E_SNAPSHOT); FAILS(dsm_session_fork(o, s, 1, error), DSM_E_ARGUMENT); dsm_session_close(&o, NULL);
        r.kv = DSM_KV_F16; r.context = 2; CHECK(dsm_session_open(&o, m, &r, &e) == DSM_OK); FAILS(dsm_session_load(o, &reader, error), DSM_E_CONTEXT); FAILS(dsm_session_fork(o, s, 3, error), DSM_E_CONTEXT); dsm_session_close(&o, NULL); r.context = 64;
        g_free(&file); file.out.at = first; file.out.n = file.out.cap = first_n; }
    /* one session from two threads: detected */
    memset(&sampling, 0, sizeof sampling); sampling.temperature = DSM_GREEDY; sampling.mask = reenter; inner = s;
    CHECK(dsm_session_step(s, 0, &e) == DSM_DONE && dsm_session_next(s, &sampling, 0, &id, &e) == DSM_DONE && inner_busy == 3);
    {   hammer h[3]; pthread_t threads[3]; int busy = 0, fine = 0;
        for (int i = 0; i < 3; i++) { h[i].s = s; h[i].rounds = 400; h[i].good = h[i].busy = h[i].bad = 0; if (pthread_create(threads + i, NULL, beat, h + i)) exit(1); }
        for (int i = 0; i < 3; i++) { pthread_join(threads[i], NULL); busy += h[i].busy; fine += h[i].good; CHECK(h[i].bad == 0); }
        CHECK(fine > 0); (void)busy;
        CHECK(dsm_session_sync(s, good, 4, NULL, &e) == DSM_OK); while (dsm_session_step(s, 0, &e) == DSM_E_CANCELLED) {} CHECK(dsm_session_logits(s, DSM_OFF) != NULL); }
    /* closing twice */
    CHECK(dsm_session_close(&s, &e) == DSM_OK && s == NULL && dsm_session_close(&s, &e) == DSM_OK && dsm_session_close(NULL, NULL) == DSM_OK && dsm_session_close(&t, &e) == DSM_OK);
    CHECK(dsm_model_close(&m, &e) == DSM_OK && m == NULL && dsm_model_close(&m, &e) == DSM_OK && live == 0);
    free(saved.at);
}

int main(void) {
    models(); tokens(); sessions();
    g_free(&file);
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed != 0;
}
