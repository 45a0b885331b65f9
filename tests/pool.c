/* The pool: every slice runs once, from one thread and from several at once, on sleeping and on busy workers, and on the host's own jobs. */
#define DSMOE_IMPLEMENTATION
#include "../dsmoe.h"
#include <stdio.h>
#include <unistd.h>

static int passed, failed;
static void check(int good, const char *what) { if (good) passed++; else { failed++; printf("FAILED: %s\n", what); } }

typedef struct work { int hits[64]; long sum; } work;
static void slice(void *arg, int i) { work *w = (work *)arg; w->hits[i]++; __atomic_add_fetch(&w->sum, (long)i, __ATOMIC_SEQ_CST); }
static int all_once(dsm__pool *pool, int n) {
    work w; memset(&w, 0, sizeof w);
    dsm__pool_run(pool, n, slice, &w);
    for (int i = 0; i < 64; i++) if (w.hits[i] != (i < n)) return 0;
    return w.sum == (long)n * (n - 1) / 2;
}
typedef struct caller { dsm__pool *pool; int good; } caller;
static void *call(void *arg) { /* a session's thread */
    caller *c = (caller *)arg; c->good = 1;
    for (int i = 0; i < 3000; i++) c->good &= all_once(c->pool, 1 + i % 40);
    return NULL;
}
static void host_for(void *user, int n, void (*fn)(void *arg, int i), void *arg) { (*(int *)user)++; for (int i = n; i-- > 0;) fn(arg, i); }

int main(void) {
    int counts[] = { 1, 2, 3, 8, 17 }; dsm_error error; dsm_jobs none; memset(&none, 0, sizeof none);
    for (unsigned k = 0; k < sizeof counts / sizeof *counts; k++) {
        dsm__pool pool; int good = 1; caller callers[3]; pthread_t threads[3];
        check(dsm__pool_open(&pool, &none, counts[k], 1, &error) == DSM_OK && dsm__pool_workers(&pool) == counts[k], "the pool has the asked workers");
        for (int i = 0; i < 5000; i++) good &= all_once(&pool, i % 65);
        check(good, "each slice runs once, busy workers");
        good = 1;
        for (int i = 0; i < 20; i++) { usleep(3000); good &= all_once(&pool, 1 + i); }
        check(good, "each slice runs once, sleeping workers");
        for (int i = 0; i < 3; i++) { callers[i].pool = &pool; check(!pthread_create(&threads[i], NULL, call, &callers[i]), "a thread starts"); }
        for (int i = 0; i < 3; i++) { pthread_join(threads[i], NULL); check(callers[i].good, "three callers at once take turns"); }
        dsm__pool_close(&pool); dsm__pool_close(&pool);
    }
    {
        dsm__pool pool; int calls = 0; dsm_jobs jobs = none; jobs.user = &calls; jobs.workers = 4; jobs.parallel_for = host_for;
        check(dsm__pool_open(&pool, &jobs, 0, 1, &error) == DSM_OK && all_once(&pool, 9) && calls == 1, "the host's jobs are used");
        jobs.workers = 0;
        check(dsm__pool_open(&pool, &jobs, 0, 1, &error) == DSM_E_ARGUMENT && strstr(error.text, "workers"), "no workers: an error that names them");
        check(dsm__pool_open(&pool, &none, 257, 1, &error) == DSM_E_ARGUMENT && dsm__pool_open(&pool, &none, -1, 1, &error) == DSM_E_ARGUMENT, "thread counts are bounded");
    }
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed != 0;
}
