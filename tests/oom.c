/* oom: the n-th allocation fails, and the n-th read, for n = 0, 1, 2 ... until everything succeeds: an error each time, and nothing is left behind.
   cc -std=c11 -I. tests/oom.c -o build/oom-test -lm -lpthread */
#define DSMOE_IMPLEMENTATION
#include "dsmoe.h"
#include <stdio.h>
#include <stdlib.h>
#include "gguf.h"
#include "small.h"

static int passed, failed;
static void check(int good, const char *what, int line) {
    if (good) passed++;
    else if (++failed <= 20) printf("tests/oom.c:%d: %s\n", line, what);
}
#define CHECK(x) check((x) ? 1 : 0, #x, __LINE__)
static int reads = -1;
static int give(void *user, uint64_t offset, void *to, size_t n) {
    (void)user;
    if (!reads || offset > file.out.n || n > file.out.n - offset) return 1;
    if (reads > 0) reads--;
    memcpy(to, file.out.at + offset, n); return 0;
}
/* Opens, answers, saves, closes. The status of what failed first. */
static dsm_status life(const dsm_model_desc *d, dsm_error *error) {
    dsm_model *m = NULL; dsm_session *s = NULL; dsm_session_desc r; dsm_turn_desc turn; dsm_message c; dsm_piece p; dsm_status status; char text[3000];
    memset(&r, 0, sizeof r); memset(&turn, 0, sizeof turn); memset(&c, 0, sizeof c); memset(text, 'a', sizeof text);
    status = dsm_model_open(&m, d, error);
    if (status < 0) { CHECK(m == NULL); return status; }
    r.context = 64; c.role = DSM_USER; c.text = "Hi"; turn.messages = &c; turn.n_messages = 1; turn.max_tokens = 5;
    status = dsm_session_open(&s, m, &r, error);
    if (status < 0) CHECK(s == NULL);
    if (status >= 0) status = dsm_turn_begin(s, &turn, error);
    while (status >= 0 && (status = dsm_turn_next(s, 0, &p, error)) == DSM_MORE) {}
    if (status >= 0) { /* a text long enough to need memory, outside of a session */
        static int32_t ids[3000]; size_t n;
        status = dsm_tokenize(m, text, sizeof text, 0, ids, 3000, &n, error); }
    dsm_session_close(&s, NULL); CHECK(dsm_model_close(&m, NULL) == DSM_OK);
    return status;
}
int main(void) {
    static const struct { const char *arch; int mla; } kinds[] = { { "llama", 0 }, { "deepseek", 0 }, { "deepseek2", 'A' }, { "deepseek2", 'C' } };
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) for (int source = 0; source < 3; source++) {
        dsm_model_desc d = model_desc(kinds[k].arch, kinds[k].mla, 0); dsm_error error; dsm_status status = DSM_E_MEMORY; int n;
        if (source) { d.data = NULL; d.size = 0; d.reader.user = NULL; d.reader.size = file.out.n; d.reader.read_at = give; }
        for (n = 0; n < 200 && status < 0; n++) {
            memset(&error, 0, sizeof error);
            if (source == 2) reads = n; else quota = n;
            status = life(&d, &error);
            quota = reads = -1;
            CHECK(live == 0);
            if (status < 0) CHECK(status == (source == 2 ? DSM_E_IO : DSM_E_MEMORY) && error.status == status && error.text[0]);
            if (status < 0 && status != (source == 2 ? DSM_E_IO : DSM_E_MEMORY)) printf("  %s: %s\n", dsm_status_name(status), error.text); }
        CHECK(status >= 0 && n > 3); }
    g_free(&file);
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed != 0;
}
