/* file.c - test of the room file (and of arch behind it): every source gives the same; truncation at every byte; every length, count, type and offset at strange
   values; the list of threats, each with its status and the name in the message; shards; failing readers, files and allocations; random damage. */
#define DSMOE_IMPLEMENTATION
#include "../dsmoe.h"
#include <stdio.h>
#include "gguf.h"

static int passed, failed, skipped;
static void check(int good, const char *what) { if (good) passed++; else { failed++; printf("FAILED %s\n", what); fflush(stdout); } }
static void checkf(int good, const char *what, const char *text) { char line[700]; snprintf(line, sizeof line, "%s: %s", what, text); check(good, line); }

static int64_t live; static int alive, allocs, fail_at; /* the fail_at-th allocation fails; 0: none */
static void *count_alloc(void *user, size_t n, size_t align) {
    void *p = ++allocs == fail_at ? NULL : dsm__os_alloc(n, align);
    (void)user;
    if (p) { live += (int64_t)n; alive++; memset(p, 0xa5, n); }
    return p;
}
static void count_free(void *user, void *p, size_t n) { (void)user; live -= (int64_t)n; alive--; dsm__os_free(p); }

typedef struct opened { dsm__file f; dsm__arch m; dsm_error error; dsm_status status; } opened;
static void open_desc(opened *o, const dsm_model_desc *d) {
    dsm_allocator a; dsm_log log;
    memset(o, 0, sizeof *o); memset(&a, 0, sizeof a); memset(&log, 0, sizeof log); a.alloc = count_alloc; a.free = count_free; allocs = 0;
    o->status = dsm__file_open(&o->f, d, &a, &o->error);
    if (!o->status) o->status = dsm__arch_open(&o->m, &o->f, &a, &log, 0, &o->error);
}
static void drop(opened *o) { dsm__arch_close(&o->m); dsm__file_close(&o->f); }
static void shut(opened *o) { drop(o); if (live || alive) { check(0, "a leak"); live = 0; alive = 0; } }

/* Memory of exactly n bytes, so that a sanitizer sees the first one too many. */
static dsm_status open_memory(const void *data, size_t n, dsm_error *error) {
    opened o; dsm_model_desc d; void *p = malloc(n ? n : 1);
    memcpy(p, data, n); memset(&d, 0, sizeof d); d.data = p; d.size = n;
    open_desc(&o, &d); if (error) *error = o.error;
    shut(&o); free(p);
    return o.status;
}
typedef struct source { const uint8_t *at; size_t n; int calls, fail; } source;
static int source_read(void *user, uint64_t offset, void *to, size_t n) {
    source *s = (source *)user;
    if (++s->calls == s->fail || offset > s->n || n > s->n - offset) return 1;
    memcpy(to, s->at + offset, n); return 0;
}
static char folder[300], path[400];
static const char *save(const char *name, const void *data, size_t n) {
    FILE *f; snprintf(path, sizeof path, "%s/%s", folder, name); f = fopen(path, "wb");
    if (!f || fwrite(data, 1, n, f) != n || fclose(f)) { printf("%s can't be written\n", path); exit(2); }
    return path;
}
static void erase(const char *name) { snprintf(path, sizeof path, "%s/%s", folder, name); remove(path); }
static g_model g;

/* ---- sources ---- */
static int same_file(const opened *a, const opened *b, int data) {
    if (a->f.n_keys != b->f.n_keys || a->f.n_tensors != b->f.n_tensors || a->f.weight_bytes != b->f.weight_bytes) return 0;
    for (size_t i = 0; i < a->f.n_keys; i++) {
        const dsm__key_ref *x = a->f.keys + i, *y = dsm__file_key_str(&b->f, x->key);
        if (!y || x->type != y->type || x->element != y->element || x->count != y->count || x->size != y->size || memcmp(x->at, y->at, (size_t)x->size)) return 0; }
    for (size_t i = 0; i < a->f.n_tensors; i++) {
        const dsm__tensor_ref *x = a->f.tensors + i, *y = b->f.tensors + i;
        if (!dsm__str_same(x->name, y->name) || x->ggml != y->ggml || memcmp(x->ne, y->ne, sizeof x->ne) || x->bytes != y->bytes) return 0;
        if (data ? !x->data || !y->data || memcmp(x->data, y->data, (size_t)x->bytes) : x->data != NULL) return 0; }
    return 1;
}
static void sources_of(const uint8_t *at, size_t n, const char *what) {
    opened plain, o; dsm_model_desc d; source s; dsm_model_desc base;
    memset(&base, 0, sizeof base); base.data = at; base.size = n; open_desc(&plain, &base); checkf(!plain.status, what, plain.error.text);
    if (plain.status) { shut(&plain); return; }
    /* memory, path, descriptor at an odd offset, the same with a size, reader; plain, header only, copy */
    for (int kind = 0; kind < 5; kind++) for (int mode = 0; mode < 3; mode++) {
        char line[200]; int fd = -1; int64_t before = live; FILE *f = NULL;
        memset(&d, 0, sizeof d); memset(&s, 0, sizeof s); d.header_only = mode == 1; d.copy = mode == 2;
        if (kind == 0) { d.data = at; d.size = n; }
        if (kind == 1) d.path = save("model.gguf", at, n);
        if (kind == 2 || kind == 3) {
            uint64_t offset = kind == 2 ? 12345 : 1; static const uint8_t junk[20000]; snprintf(path, sizeof path, "%s/package", folder); f = fopen(path, "wb");
            if (!f) exit(2);
            fwrite(junk, 1, (size_t)offset, f); fwrite(at, 1, n, f); if (kind == 3) fwrite(junk, 1, 777, f);
            fclose(f); f = NULL; if (dsm__os_open(path, &fd)) exit(2);
            d.use_fd = 1; d.fd = fd; d.offset = offset; d.size = kind == 3 ? n : 0; }
        if (kind == 4) { s.at = at; s.n = n; d.reader.user = &s; d.reader.size = n; d.reader.read_at = source_read; }
        open_desc(&o, &d); snprintf(line, sizeof line, "%s, source %d, mode %d", what, kind, mode); checkf(!o.status, line, o.error.text);
        if (!o.status) {
            uint64_t copied = o.f.copied_size; check(same_file(&o, &plain, mode != 1), line);
            check(o.m.fingerprint == (mode == 1 ? 0 : plain.m.fingerprint), "the fingerprint does not depend on the source");
            if (mode != 1) check((uint64_t)(live - before) == o.f.bytes + o.m.bytes + copied, "what is allocated is counted");
            if (mode == 1 && kind == 1) { opened full; d.header_only = 0; open_desc(&full, &d);
                check(full.f.bytes == o.f.bytes && full.m.bytes == o.m.bytes, "header only counts as the open by path"); drop(&full); }
            check((copied != 0) == (plain.f.n_tensors && (mode == 2 || (kind == 4 && mode == 0))), "copied");
            if (kind == 1 && mode == 2) { check(o.f.shards[0].fd < 0 && !o.f.shards[0].map.base, "a copy holds no file"); }
        }
        drop(&o); check(live == before, "closed, nothing is left");
        if (fd >= 0) { uint8_t b; check(!dsm__os_read_at(fd, 0, &b, 1), "the descriptor stays the caller's"); dsm__os_close(fd); }
    }
    shut(&plain); erase("model.gguf"); erase("package");
}
static void sources(void) {
    opened o; dsm_model_desc d; uint8_t big[4]; source s;
    g_make(&g, "deepseek2", 'C', 1); g_write(&g); sources_of(g.out.at, g.out.n, "small model"); g_free(&g);
    g_make(&g, "llama", 0, 0); g_array(&g, "long", G_U8, 3000000, 1, 1); g_write(&g); sources_of(g.out.at, g.out.n, "a header of 3 MB"); g_free(&g);
    g_make(&g, "llama", 0, 0); g.n_tensors = 0; g_write(&g); sources_of(g.out.at, g.header, "a vocabulary"); g.version = 2; g_write(&g);
    sources_of(g.out.at, g.header, "version 2"); g_free(&g);
    memset(&d, 0, sizeof d); open_desc(&o, &d); check(o.status == DSM_E_ARGUMENT, "no source"); shut(&o);
    d.path = "x"; d.data = big; open_desc(&o, &d); check(o.status == DSM_E_ARGUMENT, "two sources"); shut(&o);
    memset(&d, 0, sizeof d); d.path = "/nowhere/at/all.gguf"; open_desc(&o, &d);
    checkf(o.status == DSM_E_IO && strstr(o.error.text, "/nowhere/at/all.gguf") && strstr(o.error.text, "no such file"), "no file", o.error.text); shut(&o);
    d.path = folder; open_desc(&o, &d); checkf(o.status == DSM_E_IO && strstr(o.error.text, "directory"), "a directory", o.error.text); shut(&o);
    d.path = save("pipe", "", 0); erase("pipe"); if (!mkfifo(d.path, 0600)) { open_desc(&o, &d); checkf(o.status == DSM_E_IO && strstr(o.error.text, "regular"), "a pipe that nobody writes to", o.error.text); shut(&o); erase("pipe"); }
    d.path = save("empty", "", 0); open_desc(&o, &d); checkf(o.status == DSM_E_FORMAT && strstr(o.error.text, "empty"), "an empty file", o.error.text); shut(&o);
    { int fd; save("short", "GGUFxxxx", 8); if (dsm__os_open(path, &fd)) exit(2);
      memset(&d, 0, sizeof d); d.use_fd = 1; d.fd = fd; d.offset = 9; open_desc(&o, &d); check(o.status == DSM_E_ARGUMENT, "offset beyond the file"); shut(&o);
      d.offset = 4; d.size = 5; open_desc(&o, &d); check(o.status == DSM_E_ARGUMENT, "size beyond the file"); shut(&o);
      d.offset = UINT64_MAX; d.size = 2; open_desc(&o, &d); check(o.status == DSM_E_ARGUMENT, "offset + size wraps"); shut(&o);
      dsm__os_close(fd); d.offset = 0; d.size = 0; open_desc(&o, &d); check(o.status == DSM_E_IO, "a closed descriptor"); shut(&o); erase("short"); erase("empty"); }
    g_make(&g, "llama", 0, 0); g_write(&g); /* a reader that fails at its n-th call, or knows less than it says */
    for (int copies = 0; copies < 3; copies++) for (int fail = 1;; fail++) {
        memset(&s, 0, sizeof s); s.at = g.out.at; s.n = g.out.n; s.fail = fail; memset(&d, 0, sizeof d); d.reader.user = &s; d.reader.read_at = source_read;
        d.reader.size = s.n; d.header_only = copies == 1;
        if (copies == 2) { d.reader.size = UINT64_MAX / 2; s.fail = 0; }
        open_desc(&o, &d); shut(&o);
        if (copies == 2) { check(o.status == DSM_E_IO && strstr(o.error.text, "reader"), "a reader that knows less than it says"); break; }
        if (!o.status) { check(fail > 1, "the reader was asked"); break; }
        checkf(o.status == DSM_E_IO && strstr(o.error.text, "reader"), "a failing reader", o.error.text); }
    g_free(&g);
}
/* ---- damage ---- */
static void truncated(void) {
    static const struct { const char *arch; int mla; } kinds[] = { { "qwen2", 0 }, { "deepseek2", 'C' } };
    for (int k = 0; k < 2; k++) {
        size_t last; int bad = 0, unnamed = 0;
        g_make(&g, kinds[k].arch, kinds[k].mla, 0); g_write(&g);
        { const g_tensor *t = g.tensors + g.n_tensors - 1; last = g.out.n - (size_t)((g_bytes(t) + 31) / 32 * 32 - g_bytes(t)); }
        for (size_t n = 0; n < last; n += n < g.header + 300 || n + 300 > last ? 1 : 97) { /* the weights' middle in larger steps */
            dsm_error e; dsm_status status = open_memory(g.out.at, n, &e);
            bad += status != DSM_E_FORMAT; unnamed += n >= 4 && !strstr(e.text, "cut short"); }
        check(!bad, "truncated: an error at every byte"); check(!unnamed, "truncated: and the message says so");
        check(!open_memory(g.out.at, last, NULL), "a missing last padding is fine");
        for (size_t n = 0; n < g.header; n += 13) { /* through a growing window as well */
            source s; dsm_model_desc d; opened o; memset(&s, 0, sizeof s); s.at = g.out.at; s.n = n; memset(&d, 0, sizeof d); d.reader.user = &s;
            d.reader.read_at = source_read; d.reader.size = n; d.header_only = n % 2;
            open_desc(&o, &d); bad += o.status != DSM_E_FORMAT; shut(&o); }
        check(!bad, "truncated readers"); g_free(&g);
    }
}
static void fields(void) { /* nothing but a clean result, quickly; a sanitizer watches */
    static const uint64_t values[] = { 0, 1, 2, 3, 5, 7, 31, 64, 255, 65535, 65536, 0x7fffffff, 0x80000000u, 0xffffffffu, 0x100000000u, (uint64_t)1 << 40,
        (uint64_t)1 << 60, (uint64_t)1 << 61, (uint64_t)1 << 62, ((uint64_t)1 << 62) + 1,
        ((uint64_t)1 << 63) - 1, (uint64_t)1 << 63, ((uint64_t)1 << 63) + 1, UINT64_MAX - 31, UINT64_MAX - 7, UINT64_MAX - 1, UINT64_MAX };
    static const struct { const char *arch; int mla; } kinds[] = { { "qwen2", 0 }, { "deepseek2", 'A' } };
    uint64_t start = (uint64_t)clock(); int silent = 0, tests = 0;
    for (int k = 0; k < 2; k++) {
        g_make(&g, kinds[k].arch, kinds[k].mla, 0); g_array(&g, "numbers", G_U16, 5, 1, 2); g_key *s = g_key_raw(&g, "tokenizer.ggml.tokens", G_ARR);
        g_put32(&s->value, G_STR); g_put64(&s->value, 3); g_put_str(&s->value, "a"); g_put_str(&s->value, ""); g_put_str(&s->value, "bc");
        g_write(&g); uint8_t *copy = (uint8_t *)malloc(g.out.n); memcpy(copy, g.out.at, g.out.n);
        for (int i = 0; i < g.n_fields; i++) for (size_t v = 0; v < DSM__COUNT(values) + 4; v++) {
            uint8_t *at = copy + g.fields[i]; uint64_t old = 0, now; dsm_error e; memcpy(&old, at, (size_t)g.wide[i]);
            now = v < DSM__COUNT(values) ? values[v] : v == DSM__COUNT(values) ? old + 1 : v == DSM__COUNT(values) + 1 ? old - 1 : v == DSM__COUNT(values) + 2
                ? old * 2 : old + ((uint64_t)1 << (g.wide[i] * 8 - 1));
            if (g.wide[i] == 4 && now > 0xffffffffu) continue;
            memcpy(at, &now, (size_t)g.wide[i]); silent += open_memory(copy, g.out.n, &e) != DSM_OK && !e.text[0]; tests++; memcpy(at, &old, (size_t)g.wide[i]); }
        free(copy); g_free(&g);
    }
    check(!silent, "every error has a message"); check(((uint64_t)clock() - start) / CLOCKS_PER_SEC < 60, "strange fields take no time");
    printf("%d strange fields\n", tests);
}
static void flips(void) {
    int opens = 0;
    for (int k = 0; k < 3; k++) {
        static const char *const archs[] = { "llama", "deepseek", "deepseek2" };
        g_make(&g, archs[k], k == 2 ? 'B' : 0, k == 2); g_write(&g);
        for (uint64_t i = 0; i < 2000; i++) {
            uint8_t *copy = (uint8_t *)malloc(g.out.n); int n = 1 + (int)(dsm__num_random(i, 0) % 6);
            memcpy(copy, g.out.at, g.out.n);
            for (int j = 1; j <= n; j++) { uint64_t r = dsm__num_random(i, (uint64_t)j), at = (r >> 16) % (g.header + 64);
                if (r & 1) copy[at] ^= (uint8_t)(1u << (r >> 8 & 7)); else copy[at] = (uint8_t)(r >> 8); }
            /* a splice */
            if (dsm__num_random(i, 99) % 8 == 0) { size_t a = (size_t)(dsm__num_random(i, 100) % g.header), b = (size_t)(dsm__num_random(i, 101) % g.header),
                m = (size_t)(dsm__num_random(i, 102) % 200);
                if (a + m < g.header && b + m < g.header) memmove(copy + a, copy + b, m); }
            opens += !open_memory(copy, g.out.n, NULL); free(copy); }
        g_free(&g);
    }
    check(1, "flips"); printf("%d of 6000 damaged files still open\n", opens);
}
/* ---- the list of threats: rows 1 to 12 and 23 to 31 ---- */
static void must(dsm_status status, const char *text, const char *what) { /* g->out as it is */
    dsm_error e; char line[700]; dsm_status got = open_memory(g.out.at, g.out.n, &e);
    snprintf(line, sizeof line, "%s: status %d, \"%s\"; expected %d with \"%s\"", what, (int)got, e.text, (int)status, text);
    check(got == status && (!status || strstr(e.text, text)), line);
}
static void put32_at(size_t at, uint32_t v) { memcpy(g.out.at + at, &v, 4); }
static void put64_at(size_t at, uint64_t v) { memcpy(g.out.at + at, &v, 8); }
static void fresh(void) { if (g.n_keys) g_free(&g); g_make(&g, "llama", 0, 0); g_write(&g); }
static void threats(void) {
    static const uint32_t versions[] = { 0, 1, 4, 5, 1000, 0xffffffffu }; dsm_error e; g_tensor *t; uint64_t start;
    memset(&g, 0, sizeof g); /* 1 */
    fresh(); g.out.at[0] = 'X'; must(DSM_E_FORMAT, "GGUF", "magic"); fresh(); memcpy(g.out.at, "version https://git-lfs.github.com/spec/v1", 41);
    must(DSM_E_FORMAT, "git lfs", "an LFS pointer");
    fresh(); memcpy(g.out.at, "<!DOCTYPE html>", 15); must(DSM_E_FORMAT, "web page", "a web page");
    for (int i = 0; i < 6; i++) { fresh(); put32_at(4, versions[i]); must(DSM_E_UNSUPPORTED, versions[i] == 0xffffffffu ? "4294967295" : "version", "version"); }
    fresh(); put32_at(4, 0x03000000u); must(DSM_E_UNSUPPORTED, "big-endian", "big-endian");
    for (int f = 0; f < 2; f++) for (int bit = 20; bit < 65; bit++)
        { fresh(); put64_at(f ? 16 : 8, bit == 64 ? UINT64_MAX : (uint64_t)1 << bit); must(DSM_E_FORMAT, f ? "metadata_kv_count" : "tensor_count", "counts");
        check(allocs < 3, "nothing is allocated for them"); } /* 2 */
    fresh(); /* 3, 4; all of them in fields() */
    put64_at(24, (uint64_t)1 << 63); must(DSM_E_FORMAT, "key 0", "length of a key"); fresh(); put64_at(24, UINT64_MAX - 20);
    must(DSM_E_FORMAT, "key 0", "length that wraps");
    fresh(); put64_at(24 + 8 + 20 + 4, (uint64_t)1 << 63); must(DSM_E_FORMAT, "general.architecture", "length of a string");
    fresh(); { size_t at = 24 + 8 + 20 + 4; put64_at(at, g.out.n - at - 7); must(DSM_E_FORMAT, "general.architecture", "one byte too long"); }
    { static const struct { uint32_t type; uint64_t n;
        } a[] = { { G_U8, UINT64_MAX }, { G_U64, (uint64_t)1 << 61 }, { G_U64, ((uint64_t)1 << 61) + 1 }, { G_STR, (uint64_t)1 << 61 }, { G_U16, (uint64_t)1 << 63 },
        { G_F64, 100000 }, { G_STR, 20000 }, { G_U8, (uint64_t)1 << 31 } };
      for (size_t i = 0; i < DSM__COUNT(a); i++)
          { fresh(); g_key *k = g_key_raw(&g, "an.array", G_ARR); g_put32(&k->value, a[i].type); g_put64(&k->value, a[i].n); g_put64(&k->value, 0); g_write(&g);
          must(DSM_E_FORMAT, "an.array", "array count"); } }
    fresh(); { g_key *k = g_key_raw(&g, "deep", G_ARR); for (int i = 0; i < 8000; i++) { g_put32(&k->value, G_ARR); g_put64(&k->value, 1); } g_write(&g);
        must(DSM_E_UNSUPPORTED, "deep", "arrays of arrays"); } /* 5 */
    fresh(); { g_key *k = g_key_raw(&g, "many", G_ARR); g_put32(&k->value, G_ARR); g_put64(&k->value, (uint64_t)1 << 40); g_write(&g);
        must(DSM_E_UNSUPPORTED, "many", "2^40 empty arrays"); }
    fresh(); g_text(&g, "again", "1"); g_text(&g, "agaim", "2"); g_find_key(&g, "agaim")->name[4] = 'n'; g_write(&g);
    must(DSM_E_FORMAT, "again", "a key twice"); /* 6 */
    /* 7, 8: also arch.c */
    fresh(); g_key_raw(&g, "strange", 13); g_write(&g); must(DSM_E_FORMAT, "strange", "value type 13"); fresh();
    { g_key *k = g_key_raw(&g, "strange", G_ARR); g_put32(&k->value, 77); g_put64(&k->value, 1); g_write(&g); must(DSM_E_FORMAT, "strange", "element type 77"); }
    { static const double bad[] = { 0, 3, 12, 33, 2147483648. };
        for (int i = 0; i < 5; i++) { fresh(); g_u32(&g, "general.alignment", bad[i]); g_write(&g); must(DSM_E_FORMAT, "general.alignment", "alignment");
        } } /* 10 */
    fresh(); g_text(&g, "general.alignment", "32"); g_write(&g); must(DSM_E_FORMAT, "general.alignment", "alignment as text"); fresh();
    g_f32(&g, "general.alignment", 32); g_write(&g); must(DSM_E_FORMAT, "general.alignment", "alignment as float");
    fresh(); g_array(&g, "general.alignment", G_U32, 1, 32, 32); g_write(&g); must(DSM_E_FORMAT, "general.alignment", "alignment as an array"); fresh();
    g_number(&g, "general.alignment", G_I32, -32); g_write(&g); must(DSM_E_FORMAT, "general.alignment", "alignment -32");
    { static const uint32_t fine[] = { 1, 2, 8, 32, 64, 4096, 65536 };
        for (int i = 0; i < 7; i++) { fresh(); g.align = fine[i]; g_u32(&g, "general.alignment", fine[i]); g_write(&g); must(DSM_OK, "", "another alignment"); } }
    fresh(); g_text(&g, "", "empty name"); g_text(&g, "%n%s%n", "%n%n%s"); g_text(&g, "\xff\xfe\x80", "\xc3"); g_text(&g, "general.name", "%n%s%s%s\n\x01");
    g_write(&g); must(DSM_OK, "", "strange keys run"); /* 11 */
    fresh(); g_text(&g, "general.architecture", "%n%s%s%s%n"); g_write(&g); must(DSM_E_UNSUPPORTED, "%n%s%s%s%n", "a format in a value");
    fresh(); g_text(&g, "general.architecture", "a\nb\x1b[31m"); g_write(&g); must(DSM_E_UNSUPPORTED, "a?b?[31m", "control characters");
    fresh(); { g_buffer b; memset(&b, 0, sizeof b); g_put(&b, g.out.at, 24); g_put64(&b, 70000);
        for (int i = 0; i < 70000; i++) g_put(&b, "k", 1);
        g_put32(&b, G_U8); g_put(&b, "x", 1); g_put(&b, g.out.at + 24, g.out.n - 24);
      { uint64_t n = (uint64_t)g.n_keys + 1; memcpy(b.at + 16, &n, 8); } { dsm_error e2;
          checkf(open_memory(b.at, b.n, &e2) == DSM_E_FORMAT && strstr(e2.text, "70000"), "a key of 70000 bytes", e2.text); } free(b.at); }
    fresh(); g_find(&g, "output_norm.weight")->n_dims = 5; g_write(&g); must(DSM_E_FORMAT, "output_norm.weight", "5 dimensions"); /* 23 */
    fresh(); g_find(&g, "output_norm.weight")->n_dims = 0; g_write(&g); must(DSM_E_FORMAT, "output_norm.weight", "0 dimensions");
    fresh(); t = g_find(&g, "blk.0.attn_q.weight"); t->ne[1] = 0; t->offset = 0; g_write(&g); must(DSM_E_FORMAT, "blk.0.attn_q.weight", "a zero dimension");
    { static const uint64_t ne[][4] = { { (uint64_t)1 << 32, (uint64_t)1 << 32, 1, 1 }, { (uint64_t)1 << 32, (uint64_t)1 << 31, 1, 1 },
        { (uint64_t)1 << 63, 1, 1, 1 }, { UINT64_MAX, UINT64_MAX, 1, 1 }, { (uint64_t)1 << 33, (uint64_t)1 << 33, 1024, 1 }, { 32, 40, (uint64_t)1 << 58, 64 },
        { (uint64_t)1 << 62, 1, 1, 1 }, { ((uint64_t)1 << 62) + 8, 1, 1, 1 }, { 6148914691236517206u, 1, 1, 1 }, { (uint64_t)1 << 40, 1, 1, 1 } }; /* 24, 25 */
      for (size_t i = 0; i < DSM__COUNT(ne); i++) { fresh(); for (int j = 0; j < g.n_fields; j++) { /* the shape in the written file */
            size_t at = g.fields[j]; if (g.wide[j] != 8 || dsm__load64(g.out.at + at) != 17 || memcmp(g.out.at + at + 8, "token_embd.weight", 17)) continue;
            put32_at(at + 25, 2); put64_at(at + 29, ne[i][0]); put64_at(at + 37, ne[i][1]); break; }
        if (ne[i][2] == 1) must(DSM_E_FORMAT, "token_embd.weight", "a shape that wraps"); } }
    { static const uint32_t bad[] = { 4, 5, 9, 15, 16, 17, 18, 24, 25, 26, 27, 28, 31, 32, 33, 34, 36, 37, 38, 40, 41, 43, 98, 137, 202, 399, 1000, 0x7fffffff,
        0x80000000u, 0xffffffffu }; /* 26 */
      for (size_t i = 0; i < DSM__COUNT(bad); i++)
          { char number[20]; fresh(); t = g_find(&g, "blk.1.ffn_up.weight"); t->type = bad[i]; g_write(&g); snprintf(number, sizeof number, "%u", (unsigned)bad[i]);
          must(DSM_E_UNSUPPORTED, "blk.1.ffn_up.weight", number); must(DSM_E_UNSUPPORTED, number, number);
        if (bad[i] == 137 || bad[i] == 36) must(DSM_E_UNSUPPORTED, "ik_llama.cpp", number);
        if (bad[i] == 17) must(DSM_E_UNSUPPORTED, "IQ2_XS", number);
        { opened o; dsm_model_desc d; memset(&d, 0, sizeof d); d.data = g.out.at; d.size = g.out.n; d.header_only = 1; open_desc(&o, &d);
          check(o.status == DSM_E_FORMAT || (!o.status && o.m.refused.status == DSM_E_UNSUPPORTED && strstr(o.m.refused.text, "blk.1.ffn_up.weight")),
              "header only opens and knows why"); shut(&o); } } }
    fresh(); t = g_find(&g, "blk.1.ffn_up.weight"); t->type = G_TYPE_Q4_K; g_write(&g); must(DSM_E_FORMAT, "blk.1.ffn_up.weight", "rows that are no whole blocks");
    fresh(); t = g_find(&g, "blk.0.attn_norm.weight"); t->type = G_TYPE_Q8_0; t->ne[0] = 33; g_write(&g); must(DSM_E_FORMAT, "blk.0.attn_norm.weight", "33 of Q8_0");
    { uint64_t bad[] = { 1, 16, 31, 33, (uint64_t)1 << 63, UINT64_MAX - 1, UINT64_MAX - 31, ((uint64_t)1 << 63) + 64, 0, 0 }; fresh();
        bad[8] = (g.out.n + 31) / 32 * 32; bad[9] = g.out.n / 32 * 32; /* 27 */
      for (int i = 0; i < 10; i++) { fresh(); g_find(&g, "output.weight")->offset = bad[i]; g_write(&g); must(DSM_E_FORMAT, "output.weight", "an offset"); } }
    fresh(); g_find(&g, "output.weight")->offset = 0; g_write(&g); must(DSM_E_FORMAT, "output.weight", "an overlap");
    must(DSM_E_FORMAT, "token_embd.weight", "an overlap names both"); /* 28 */
    fresh(); t = g_find(&g, "blk.1.ffn_down.weight"); strcpy(t->name, "blk.1.ffn_gate.weight"); g_write(&g);
    must(DSM_E_FORMAT, "blk.1.ffn_gate.weight", "a tensor twice");
    fresh(); t = g_find(&g, "blk.1.ffn_down.weight"); memset(t->name, 'n', 70); t->name[70] = 0; g_write(&g); must(DSM_E_FORMAT, "tensor 2", "a name of 70 bytes");
    /* out of order, without overlaps */
    fresh(); { uint64_t n = g_bytes(g.tensors); g.tensors[0].offset = n + 128; g.tensors[1].offset = n; g.tensors[2].offset = 0; } g_write(&g);
    must(DSM_OK, "", "another order of the data");
    g_free(&g);
    /* 12, and many more than that, in the worst order for a tree or a list */
    for (int many = 0; many < 3; many++) {
        g_buffer b; uint64_t n_keys = many == 0 ? 3000 : many == 1 ? 65536 : 10, n_tensors = many == 0 ? 1500 : many == 1 ? 1500 : 100000, twice = many == 2;
        memset(&b, 0, sizeof b);
        g_put(&b, "GGUF", 4); g_put32(&b, 3); g_put64(&b, n_tensors); g_put64(&b, n_keys);
        for (uint64_t i = 0; i < n_keys; i++) { char s[40]; snprintf(s, sizeof s, "k.%09u", (unsigned)(many == 1 ? n_keys - i : i * 7919 % 10007 * 100000 + i));
            g_put_str(&b, s); g_put32(&b, G_U8); g_put(&b, "1", 1); }
        for (uint64_t i = 0; i < n_tensors; i++)
            { char s[40]; snprintf(s, sizeof s, "blk.%u.some_tensor", (unsigned)(twice && i == n_tensors - 1 ? 5 : n_tensors - i)); g_put_str(&b, s); g_put32(&b, 1);
            g_put64(&b, 1); g_put32(&b, 0); g_put64(&b, many == 0 ? i * 32 : (n_tensors - 1 - i) * 32); }
        while (b.n % 32) g_put(&b, "", 1);
        for (uint64_t i = 0; i < n_tensors; i++) g_put(&b, "01234567890123456789012345678901", 32);
        start = (uint64_t)clock(); { dsm_status status = open_memory(b.at, b.n, &e); start = ((uint64_t)clock() - start) / (CLOCKS_PER_SEC / 1000);
            checkf(status == DSM_E_FORMAT && (twice ? strstr(e.text, "twice") != NULL : strstr(e.text, "general.architecture") != NULL), "many keys and tensors",
            e.text); }
        check(start < 8000, "many keys take no time"); printf("%u keys, %u tensors: %u ms\n", (unsigned)n_keys, (unsigned)n_tensors, (unsigned)start); free(b.at);
    }
    { g_buffer b; memset(&b, 0, sizeof b); g_put(&b, "GGUF", 4); g_put32(&b, 3); g_put64(&b, 0); g_put64(&b, 70000);
        for (int i = 0; i < 70000; i++) { g_put64(&b, 0); g_put32(&b, G_U8); g_put(&b, "1", 1);
        } checkf(open_memory(b.at, b.n, &e) == DSM_E_UNSUPPORTED && strstr(e.text, "70000"), "too many keys", e.text); free(b.at); }
}
/* ---- shards ---- */
static void shard_keys(int no, int count, int tensors)
    { g_number(&g, "split.no", G_U16, no); g_number(&g, "split.count", G_U16, count); if (tensors >= 0) g_number(&g, "split.tensors.count", G_I32, tensors); }
static void write_shards(int count, int empty_first) { /* of g */
    int n = g.n_tensors, keys = g.n_keys; char name[64];
    for (int i = 0; i < count; i++) {
        int parts = empty_first ? count - 1 : count, part = empty_first ? i - 1 : i, a = part < 0 ? 0 : n * part / parts, z = part < 0 ? 0 : n * (part + 1) / parts;
        static g_model other; snprintf(name, sizeof name, "m-%05d-of-%05d.gguf", i + 1, count);
        shard_keys(i, count, n);
        if (i) { other = g; memmove(g.keys, g.keys + keys, (size_t)(g.n_keys - keys) * sizeof *g.keys); g.n_keys -= keys; } /* later ones have the split keys only */
        g_write_part(&g, a, z); save(name, g.out.at, g.out.n);
        if (i) { g_buffer out = g.out; g = other; g.out = out; } }
    g_drop_key(&g, "split.no"); g_drop_key(&g, "split.count"); g_drop_key(&g, "split.tensors.count");
}
static void at_path(const char *name, int copy, int header_only, opened *o)
    { static char p[400]; dsm_model_desc d; memset(&d, 0, sizeof d); snprintf(p, sizeof p, "%s/%s", folder, name); d.path = p; d.copy = copy;
    d.header_only = header_only; open_desc(o, &d); }
static void must_path(const char *name, dsm_status status, const char *text, const char *what)
    { opened o; char line[700]; at_path(name, 0, 0, &o);
    snprintf(line, sizeof line, "%s: status %d, \"%s\"; expected \"%s\"", what, (int)o.status, o.error.text, text);
    check(o.status == status && strstr(o.error.text, text), line); shut(&o); }
static int cancel_after; static int cancel(void *user, uint64_t done, uint64_t total, const char *what) { (void)user; (void)done; (void)total; (void)what;
    return cancel_after-- <= 0; }
static void shards(void) {
    opened whole, o; char p[400]; dsm_model_desc d; uint8_t *second; size_t n; FILE *f;
    g_make(&g, "deepseek2", 'C', 0); g_write(&g); save("whole.gguf", g.out.at, g.out.n);
    for (int empty = 0; empty < 2; empty++) {
        write_shards(3, empty); at_path("whole.gguf", 0, 0, &whole);
        for (int mode = 0; mode < 3; mode++) { int64_t before = live; at_path("m-00001-of-00003.gguf", mode == 1, mode == 2, &o);
            checkf(!o.status, "three shards", o.error.text);
            if (!o.status) { int same = o.f.n_shards == 3 && o.f.n_tensors == whole.f.n_tensors && (mode == 2 || o.m.fingerprint == whole.m.fingerprint);
                for (size_t i = 0; mode < 2 && same && i < o.f.n_tensors; i++) same = dsm__str_same(o.f.tensors[i].name, whole.f.tensors[i].name)
                && o.f.tensors[i].bytes == whole.f.tensors[i].bytes;
                check(same, "shards hold the model"); if (mode < 2) check((uint64_t)(live - before) == o.f.bytes + o.m.bytes + o.f.copied_size,
                    "shards are counted"); }
            drop(&o); check(live == before, "shards close"); }
        shut(&whole); }
    for (int back = 0; back < 2; back++) { /* as download caches keep them: each name is a link to a file of another name, which says nothing of the others */
        for (int i = 1; i <= 3; i++) {
            char name[400], blob[400]; snprintf(name, sizeof name, "%s/m-%05d-of-00003.gguf", folder, i); snprintf(blob, sizeof blob, "%s/blob%d", folder, i);
            if (back ? remove(name) || rename(blob, name) : rename(name, blob) || symlink(strrchr(blob, '/') + 1, name)) exit(2); }
        at_path("m-00001-of-00003.gguf", 0, 0, &o); checkf(!o.status && o.f.n_shards == 3, "shards that are links", o.error.text); shut(&o); }
    must_path("m-00002-of-00003.gguf", DSM_E_ARGUMENT, "m-00001-of-00003.gguf", "opening a later shard");
    /* 36 */
    snprintf(p, sizeof p, "%s/m-00003-of-00003.gguf", folder); f = fopen(p, "rb"); second = (uint8_t *)malloc(1 << 20); n = fread(second, 1, 1 << 20, f); fclose(f);
    save("m-00003-of-00003.gguf", second, n - 100); must_path("m-00001-of-00003.gguf", DSM_E_FORMAT, "m-00003-of-00003.gguf", "a shard cut short");
    save("m-00003-of-00003.gguf", second, 10); must_path("m-00001-of-00003.gguf", DSM_E_FORMAT, "m-00003-of-00003.gguf", "a shard of ten bytes");
    save("m-00003-of-00003.gguf", "", 0); must_path("m-00001-of-00003.gguf", DSM_E_FORMAT, "m-00003-of-00003.gguf", "an empty shard");
    erase("m-00003-of-00003.gguf"); must_path("m-00001-of-00003.gguf", DSM_E_IO, "m-00003-of-00003.gguf", "a missing shard");
    must_path("m-00001-of-00003.gguf", DSM_E_IO, "are 3", "and its number");
    save("m-00002-of-00003.gguf", second, n); must_path("m-00001-of-00003.gguf", DSM_E_FORMAT, "m-00002-of-00003.gguf", "a shard in another's place");
    memcpy(second, "GGML", 4); write_shards(3, 0); save("m-00003-of-00003.gguf", second, n);
    must_path("m-00001-of-00003.gguf", DSM_E_FORMAT, "m-00003-of-00003.gguf", "a shard that is none"); free(second);
    write_shards(3, 0); snprintf(p, sizeof p, "%s/m-00001-of-00003.gguf", folder);
    { uint8_t *b = (uint8_t *)malloc(1 << 20); f = fopen(p, "rb"); n = fread(b, 1, 1 << 20, f); fclose(f);
        save("renamed.gguf", b, n); must_path("renamed.gguf", DSM_E_FORMAT, "renamed.gguf", "a shard by another name"); save("m-00001-of-00004.gguf", b, n);
        must_path("m-00001-of-00004.gguf", DSM_E_FORMAT, "m-00001-of-00004.gguf", "another number in the name");
        save("m-00002-of-00003.gguf", b, n); must_path("m-00001-of-00003.gguf", DSM_E_FORMAT, "m-00002-of-00003.gguf", "the first one twice");
        memset(&d, 0, sizeof d); d.data = b; d.size = n; open_desc(&o, &d);
        checkf(o.status == DSM_E_UNSUPPORTED && strstr(o.error.text, "3"), "shards from memory", o.error.text); shut(&o); free(b); }
    write_shards(3, 0); shard_keys(0, 3, g.n_tensors + 1); g_write_part(&g, 0, g.n_tensors / 3); save("m-00001-of-00003.gguf", g.out.at, g.out.n);
    must_path("m-00001-of-00003.gguf", DSM_E_FORMAT, "split.tensors.count", "a wrong count of tensors");
    shard_keys(0, 3, -1); g_drop_key(&g, "split.tensors.count"); g_write_part(&g, 0, g.n_tensors / 3); save("m-00001-of-00003.gguf", g.out.at, g.out.n);
    at_path("m-00001-of-00003.gguf", 0, 0, &o); checkf(!o.status, "without split.tensors.count", o.error.text); shut(&o);
    g_write_part(&g, 0, g.n_tensors / 3 + 1); save("m-00001-of-00003.gguf", g.out.at, g.out.n);
    must_path("m-00001-of-00003.gguf", DSM_E_FORMAT, "twice", "a tensor in two shards");
    g_u32(&g, "split.count", 65535); g_write_part(&g, 0, 1); save("m-00001-of-65535.gguf", g.out.at, g.out.n);
    must_path("m-00001-of-65535.gguf", DSM_E_IO, "m-00002-of-65535.gguf", "65535 shards");
    g_u32(&g, "split.count", 65536); g_write_part(&g, 0, 1); save("m-00001-of-65536.gguf", g.out.at, g.out.n);
    must_path("m-00001-of-65536.gguf", DSM_E_FORMAT, "split.count", "65536 shards"); g_text(&g, "split.count", "3"); g_write_part(&g, 0, 1);
    save("m-00001-of-65536.gguf", g.out.at, g.out.n); must_path("m-00001-of-65536.gguf", DSM_E_FORMAT, "split.count", "split.count as text");
    g_drop_key(&g, "split.no"); g_drop_key(&g, "split.count"); g_drop_key(&g, "split.tensors.count");
    /* cancelled at every step */
    write_shards(3, 0); snprintf(p, sizeof p, "%s/m-00001-of-00003.gguf", folder); memset(&d, 0, sizeof d); d.path = p; d.progress.progress = cancel; d.copy = 1;
    for (int i = 0;; i++) { cancel_after = i; open_desc(&o, &d); shut(&o);
        if (!o.status) { check(i > 5, "progress was reported"); break; } if (o.status != DSM_E_CANCELLED) { checkf(0, "cancelled", o.error.text); break; } }
    for (int mode = 0; mode < 4; mode++) { /* the n-th allocation fails: 59 */
        source s; int i; memset(&d, 0, sizeof d); d.path = p; d.copy = mode == 1; d.header_only = mode == 2;
        if (mode == 3) { g_write(&g); memset(&s, 0, sizeof s); s.at = g.out.at; s.n = g.out.n; memset(&d, 0, sizeof d); d.reader.user = &s; d.reader.size = s.n;
            d.reader.read_at = source_read; }
        for (i = 1; i < 100; i++) { fail_at = i; open_desc(&o, &d); shut(&o); if (!o.status) break;
            if (o.status != DSM_E_MEMORY || !strstr(o.error.text, "bytes for")) { checkf(0, "out of memory", o.error.text); break; } }
        fail_at = 0; check(i > 4 && i < 100 && !o.status, "every allocation may fail"); }
    for (int i = 1; i < 4; i++) { char name[64]; snprintf(name, sizeof name, "m-%05d-of-00003.gguf", i); erase(name); }
    erase("whole.gguf"); erase("renamed.gguf"); erase("m-00001-of-00004.gguf"); erase("m-00001-of-65535.gguf"); erase("m-00001-of-65536.gguf"); g_free(&g);
}
/* A walk over strings, and looking keys up. */
static void values(void) {
    opened o; dsm_model_desc d; dsm__strings w; dsm__str s; g_key *k; uint64_t u; double v; int b; dsm_error e;
    g_make(&g, "llama", 0, 0); k = g_key_raw(&g, "list", G_ARR); g_put32(&k->value, G_STR); g_put64(&k->value, 3); g_put_str(&k->value, "one");
    g_put_str(&k->value, ""); g_put_str(&k->value, "three");
    g_number(&g, "u", G_U64, 9007199254740992.); g_number(&g, "f", G_F32, 3); g_number(&g, "h", G_F32, .5); g_number(&g, "n", G_I8, -3);
    g_number(&g, "t", G_BOOL, 1); g_text(&g, "s", "text"); g_array(&g, "a", G_I16, 4, 7, 7); g_array(&g, "ab", G_BOOL, 2, 1, 1); g_write(&g);
    memset(&d, 0, sizeof d); d.data = g.out.at; d.size = g.out.n; open_desc(&o, &d); check(!o.status, "values");
    w = dsm__file_strings(dsm__file_key(&o.f, "list"));
    check(w.left == 3 && dsm__file_next_string(&w, &s) && dsm__str_is(s, "one") && dsm__file_next_string(&w, &s) && !s.n && dsm__file_next_string(&w, &s)
        && dsm__str_is(s, "three") && !dsm__file_next_string(&w, &s), "strings");
    w = dsm__file_strings(dsm__file_key(&o.f, "u")); check(!dsm__file_next_string(&w, &s), "no strings"); w = dsm__file_strings(NULL);
    check(!dsm__file_next_string(&w, &s), "no key");
    check(!dsm__file_u64(&o.f, "u", 1, &u, &e) && u == 9007199254740992u && !dsm__file_u64(&o.f, "f", 1, &u, &e) && u == 3 && !dsm__file_u64(&o.f, "t", 9, &u, &e)
        && u == 1 && !dsm__file_u64(&o.f, "a", 1, &u, &e) && u == 7 && !dsm__file_u64(&o.f, "none", 5, &u, &e) && u == 5, "whole numbers");
    check(dsm__file_u64(&o.f, "h", 1, &u, &e) == DSM_E_FORMAT && dsm__file_u64(&o.f, "n", 1, &u, &e) == DSM_E_FORMAT
        && dsm__file_u64(&o.f, "s", 1, &u, &e) == DSM_E_FORMAT && dsm__file_u64(&o.f, "list", 1, &u, &e) == DSM_E_FORMAT
        && dsm__file_u64(&o.f, "none", DSM__REQUIRED, &u, &e) == DSM_E_FORMAT && strstr(e.text, "none"), "no whole numbers");
    check(!dsm__file_f64(&o.f, "n", 1, &v, &e) && v == -3 && !dsm__file_f64(&o.f, "h", 1, &v, &e) && v == .5 && !dsm__file_f64(&o.f, "none", 2.5, &v, &e)
        && v == 2.5 && dsm__file_f64(&o.f, "none", DSM__REQUIRED_F64, &v, &e) && dsm__file_f64(&o.f, "s", 1, &v, &e), "numbers");
    check(!dsm__file_bool(&o.f, "t", 0, &b, &e) && b == 1 && !dsm__file_bool(&o.f, "u", 0, &b, &e) && b == 1 && !dsm__file_bool(&o.f, "none", 1, &b, &e) && b == 1
        && !dsm__file_bool(&o.f, "ab", 0, &b, &e) && b == 1, "flags");
    check(!dsm__file_str(&o.f, "s", "", &s, &e) && dsm__str_is(s, "text") && !dsm__file_str(&o.f, "none", "x", &s, &e) && dsm__str_is(s, "x")
        && dsm__file_str(&o.f, "none", NULL, &s, &e) == DSM_E_FORMAT && dsm__file_str(&o.f, "u", "", &s, &e) == DSM_E_FORMAT, "texts");
    shut(&o); g_free(&g);
}
static void golden(void) { /* real shapes, where the vectors are at hand */
    static const char *const names[] = { "llama-bf16", "llama-f16", "llama-freqs-f32", "llama-linear-f32", "llama-q4_0", "llama-q4_k", "llama-q4_k_m", "llama-q6_k",
        "llama-q8_0", "moe16b-f32", "moe16b-q4_0", "qwen2-f32", "qwen2-q4_k_m", "qwen2-tied-f32", "qwen3-f32",
        "v2lite-fused-f32", "v2lite-q4_k_m", "v2lite-split-f32", "v3-fused-f32", "v3-mtp-f32", "v3-q8_0", "v3-split-f32" };
    const char *shared = getenv("DSMOE_SHARED"); int here = 0;
    for (size_t i = 0; i < DSM__COUNT(names); i++) {
        opened o; dsm_model_desc d; FILE *f; memset(&d, 0, sizeof d); snprintf(path, sizeof path, "%s/golden/%s.gguf", shared ? shared : "../shared", names[i]);
        f = fopen(path, "rb"); if (!f) continue;
        fclose(f); here++; d.path = path; open_desc(&o, &d); checkf(!o.status, names[i], o.error.text); shut(&o); }
    if (!here) { printf("skipped: no golden models (DSMOE_SHARED)\n"); skipped++; }
}
int main(void) {
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/dsmoe-test-XXXXXX", tmp && strlen(tmp) < 200 ? tmp : "/tmp");
    if (!mkdtemp(folder)) { printf("no folder for temporary files\n0 passed, 1 failed, 0 skipped\n"); return 1; }
    values(); sources(); truncated(); fields(); flips(); threats(); shards(); golden();
    rmdir(folder);
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed != 0;
}
