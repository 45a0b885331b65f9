/* pick: every choice against its plain definition (a full sort and sums in double), ties, seeds, hostile values, speed.
   cc -std=c11 -I. tests/pick.c -o build/pick-test -lm -lpthread */
#define DSMOE_IMPLEMENTATION
#include "dsmoe.h"
#include <stdio.h>

static int passed, failed;
static void check(int good, const char *what, int line) {
    if (good) passed++;
    else if (++failed <= 20) printf("tests/pick.c:%d: %s\n", line, what);
}
#define CHECK(x) check((x) ? 1 : 0, #x, __LINE__)

static uint64_t state = 1;
static uint64_t next(void) { return dsm__num_random(99, state++); }
static double unit(void) { return (double)(next() >> 11) / 9007199254740992.0; }
static float normal(void) { double s = 0; for (int i = 0; i < 12; i++) s += unit(); return (float)(s - 6); }

enum { MOST = 4096 };
static float logits[MOST], copy[MOST], after[MOST];
static int order[MOST];
static double weights[MOST];
static int before(const void *a, const void *b) {
    int i = *(const int *)a, j = *(const int *)b;
    return after[i] > after[j] ? -1 : after[i] < after[j] ? 1 : i - j;
}

/* The plain definition. Returns 1 where id is what it says, within the rounding of the bounds. */
static int plain(int n, const dsm_sampling *s, const int32_t *recent, size_t n_recent, uint64_t position, dsm_choice got, const dsm_choice *top, int n_top) {
    double all = 0, sum, target, low, top_logit = -1e300, t; int kept, alive = 0; const double slack = 1e-6;
    memcpy(after, logits, sizeof *after * (size_t)n);
    for (int i = 0; i < s->n_bias; i++) after[s->bias[i].id] += s->bias[i].add;
    if (s->mask) s->mask(s->mask_user, after, n, position);
    for (int i = 0; i < n; i++) if (!isfinite(after[i])) after[i] = -INFINITY; else alive++;
    for (int i = 0; i < n; i++) if ((double)after[i] > top_logit) top_logit = (double)after[i];
    for (int i = 0; i < n; i++) all += exp((double)after[i] - top_logit);
    all = top_logit + log(all);
    if (n_top >= 0 && fabs((double)got.logprob - ((double)after[got.id] - all)) > 2e-6 * (1 + fabs((double)after[got.id]) + fabs(all))) return 0;
    for (int i = 0; i < n; i++) order[i] = i;
    qsort(order, (size_t)n, sizeof *order, before);
    for (int i = 0; i < n_top; i++) {
        if (i >= alive) { if (top[i].id != -1) return 0; continue; }
        if (top[i].id != order[i] || fabs((double)top[i].logprob - ((double)after[order[i]] - all)) > 2e-6 * (1 + fabs((double)after[order[i]]) + fabs(all))) return 0;
    }
    if (s->temperature == DSM_GREEDY) return got.id == order[0];
    if (s->repetition_penalty > 0) {
        size_t window = s->repetition_window ? (size_t)s->repetition_window : 64;
        for (int i = 0; i < n; i++) for (size_t j = n_recent > window ? n_recent - window : 0; j < n_recent; j++) if (recent[j] == i && isfinite(after[i])) {
            after[i] = after[i] > 0 ? after[i] / s->repetition_penalty : after[i] * s->repetition_penalty; break; }
        qsort(order, (size_t)n, sizeof *order, before);
    }
    t = (double)s->temperature; kept = alive; sum = 0;
    if (s->top_k > 0 && s->top_k < kept) kept = s->top_k;
    for (int i = 0; i < kept; i++) { weights[i] = exp(((double)after[order[i]] - (double)after[order[0]]) / t); sum += weights[i]; }
    {   /* both ends of what rounding allows */
        int few = kept, many = kept; double least = 0;
        if (s->top_p > 0 && s->top_p < 1) {
            double c = 0; few = 0; while (few < kept && c < (double)s->top_p * sum * (1 - slack)) c += weights[few++];
            many = few; while (many < kept && c < (double)s->top_p * sum * (1 + slack)) c += weights[many++];
            if (few < 1) few = 1;
            if (many < few) many = few;
        }
        if (s->min_p > 0) least = (double)s->min_p;
        while (few > 1 && weights[few - 1] < least * (1 + slack)) few--;
        while (many > 1 && weights[many - 1] < least * (1 - slack)) many--;
        for (kept = few; kept <= many; kept++) {
            /* the draw goes through the kept ids upwards */
            double u = (double)(dsm__num_random(s->seed, position) >> 11) / 9007199254740992.0; int rank = -1;
            sum = low = 0;
            for (int i = 0; i < kept; i++) sum += weights[i];
            for (int i = 0; i < kept; i++) { if (order[i] == got.id) rank = i; if (order[i] < got.id) low += weights[i]; }
            target = u * sum;
            if (rank >= 0 && target > low - slack * sum && target < low + weights[rank] + slack * sum) return 1;
            if (kept - few > 64) return 0;
        }
    }
    return 0;
}

static void mask_odd(void *user, float *x, int n, uint64_t position) { (void)position; *(int *)user += 1; for (int i = 1; i < n; i += 2) x[i] = -INFINITY; }
static void mask_all(void *user, float *x, int n, uint64_t position) { (void)user; (void)position; for (int i = 0; i < n; i++) x[i] = -INFINITY; }
static void mask_nan(void *user, float *x, int n, uint64_t position) { (void)user; (void)position; for (int i = 0; i < n; i++) if (i != 3) x[i] = NAN; }

static void fill(int n, int kind) {
    for (int i = 0; i < n; i++) switch (kind) {
        case 0: logits[i] = 3 * normal(); break;
        case 1: logits[i] = (float)(int)(4 * normal()); break; /* many ties */
        case 2: logits[i] = 1.f; break; /* nothing but ties */
        case 3: logits[i] = 20 * normal(); break;
        case 4: logits[i] = (float)i * 0.001f; break;
        case 5: logits[i] = -(float)i * 0.001f; break;
        case 6: logits[i] = i % 7 ? 0.f : -0.f; break;
        case 7: logits[i] = (next() & 3) ? normal() : (next() & 1) ? NAN : -INFINITY; break;
        case 8: logits[i] = normal() * 1e30f; break;
        default: logits[i] = i == n / 2 ? 30.f : normal(); break;
    }
}

int main(int argc, char **argv) {
    dsm_sampling s; dsm_choice choice, top[256]; dsm_error error; int calls = 0; (void)argc; (void)argv;

    /* weights: 2^44 exp, within 1e-8 or one unit; exact at the top; keys keep the order of floats */
    CHECK(dsm__pick_weight(3.5f, 3.5f, 1.0 / 0.7) == (uint64_t)1 << 44);
    CHECK(dsm__pick_weight(-INFINITY, 0, 1.0) == 0 && dsm__pick_weight(-3e38f, 3e38f, 1e40) == 0 && dsm__pick_weight(3e38f, 3e38f, 1e40) == (uint64_t)1 << 44);
    {   double worst = 0;
        for (int i = 0; i < 200000; i++) {
            float x = -(float)(unit() * 32); double want = ldexp(exp((double)x), 44), off = fabs((double)dsm__pick_weight(x, 0, 1.4426950408889634) - want);
            if (off > 1 && (off - 1) / want > worst) worst = (off - 1) / want; }
        CHECK(worst < 1e-8); }
    for (int i = 0; i < 2000; i++) { float a = normal() * 1e3f, b = normal(); CHECK((a > b) == (dsm__pick_key(a) > dsm__pick_key(b)) && dsm__pick_unkey(dsm__pick_key(a)) == a); }
    CHECK(dsm__pick_key(0.f) == dsm__pick_key(-0.f) && dsm__pick_key(-INFINITY) < dsm__pick_key(-3.4e38f));
    CHECK(dsm__pick_share(UINT64_MAX, 1000) == 999 && dsm__pick_share(0, 1000) == 0 && dsm__pick_share((uint64_t)1 << 63, (uint64_t)1 << 60) == (uint64_t)1 << 59 && dsm__pick_share((uint64_t)1 << 63, 7) == 3);

    /* all orderings of all filters against the plain definition */
    for (int round = 0; round < 6000; round++) {
        int kind = round % 10, n = round < 200 ? 1 + round % 40 : 1 + (int)(next() % 700); int32_t recent[100]; size_t n_recent = next() % 100; dsm_bias bias[3]; dsm_status status; uint64_t position = next() % 5000; int n_top = (int)(next() % 7) - 1;
        memset(&s, 0, sizeof s);
        fill(n, kind);
        if (kind == 7) logits[next() % (uint64_t)n] = 1;
        s.temperature = next() % 8 ? (float)(0.05 + 2 * unit()) : DSM_GREEDY;
        if (kind == 8) s.temperature = 1e29f;
        if (next() & 1) s.top_k = 1 + (int)(next() % 50);
        if (next() & 1) s.top_p = (float)(0.02 + 0.97 * unit());
        if (next() & 1) s.min_p = (float)(unit() * 0.3);
        if (next() & 1) s.repetition_penalty = (float)(0.7 + unit());
        if (next() & 1) s.repetition_window = 1 + (int)(next() % 90);
        s.seed = next();
        for (size_t i = 0; i < n_recent; i++) recent[i] = (int32_t)(next() % (uint64_t)(n + 2)) - 1;
        if (next() & 1) { s.n_bias = (int)(next() % 4); s.bias = bias; for (int i = 0; i < 3; i++) { bias[i].id = (int32_t)(next() % (uint64_t)n); bias[i].add = normal() * 5; } }
        if (next() % 4 == 0 && n > 1 && isfinite(logits[0])) { s.mask = mask_odd; s.mask_user = &calls; }
        memcpy(copy, logits, sizeof *copy * (size_t)n);
        status = dsm_pick(copy, n, &s, recent, n_recent, position, &choice, top, n_top, &error);
        CHECK(status == DSM_OK);
        if (status == DSM_OK) CHECK(plain(n, &s, recent, n_recent, position, choice, top, n_top));
    }
    CHECK(calls > 100);

    /* distribution: frequencies over positions */
    {   int count[4] = { 0, 0, 0, 0 }; const float p[4] = { 0.5f, 0.25f, 0.15f, 0.1f };
        memset(&s, 0, sizeof s); s.temperature = 1; s.seed = 5;
        for (uint64_t i = 0; i < 40000; i++) { for (int j = 0; j < 4; j++) copy[j] = logf(p[j]); dsm_pick(copy, 4, &s, NULL, 0, i, &choice, NULL, 0, NULL); count[choice.id]++; }
        for (int j = 0; j < 4; j++) CHECK(fabs(count[j] / 40000.0 - (double)p[j]) < 0.012); }

    /* ties go to the lower id, in greedy, top-k, top-p */
    memset(&s, 0, sizeof s); s.temperature = DSM_GREEDY;
    for (int i = 0; i < 9; i++) copy[i] = i == 0 ? -1 : i % 2 ? 2.f : 1.f;
    CHECK(dsm_pick(copy, 9, &s, NULL, 0, 0, &choice, top, 4, NULL) == DSM_OK && choice.id == 1 && top[0].id == 1 && top[1].id == 3 && top[2].id == 5 && top[3].id == 7);
    s.temperature = 1; s.top_k = 2;
    for (uint64_t p = 0; p < 200; p++) { for (int i = 0; i < 9; i++) copy[i] = 1; dsm_pick(copy, 9, &s, NULL, 0, p, &choice, NULL, 0, NULL); CHECK(choice.id < 2); }
    s.top_k = 0; s.top_p = 0.3f;
    for (uint64_t p = 0; p < 200; p++) { for (int i = 0; i < 10; i++) copy[i] = 1; dsm_pick(copy, 10, &s, NULL, 0, p, &choice, NULL, 0, NULL); CHECK(choice.id <= 3); }

    /* the random number is a function of seed and position alone; seed 0 is a seed */
    memset(&s, 0, sizeof s); s.temperature = 1.5f; s.top_p = 0.9f;
    {   int same = 0, other = 0; int32_t first[50];
        for (uint64_t seed = 0; seed < 2; seed++) for (int again = 0; again < 2; again++) for (int p = 49; p >= 0; p--) {
            state = 7; fill(300, 0); s.seed = seed;
            dsm_pick(logits, 300, &s, NULL, 0, (uint64_t)p, &choice, NULL, again - 1, NULL);
            if (!seed && !again) first[p] = choice.id; else if (!seed) same += first[p] == choice.id; else if (!again) other += first[p] == choice.id; }
        CHECK(same == 50 && other < 40); }

    /* greedy and its companions ignore penalties, but not bias and mask */
    {   int32_t recent[1] = { 2 }; dsm_bias bias = { 1, 5 };
        memset(&s, 0, sizeof s); s.temperature = DSM_GREEDY; s.repetition_penalty = 5;
        copy[0] = 1; copy[1] = 2; copy[2] = 3; dsm_pick(copy, 3, &s, recent, 1, 0, &choice, NULL, 0, NULL); CHECK(choice.id == 2);
        s.bias = &bias; s.n_bias = 1;
        copy[0] = 1; copy[1] = 2; copy[2] = 3; dsm_pick(copy, 3, &s, recent, 1, 0, &choice, NULL, 0, NULL); CHECK(choice.id == 1);
        bias.add = -INFINITY; bias.id = 2; copy[0] = 1; copy[1] = 2; copy[2] = 3; CHECK(dsm_pick(copy, 3, &s, recent, 1, 0, &choice, NULL, 0, NULL) == DSM_OK && choice.id == 1); }

    /* padding ids */
    {   uint8_t unused[3] = { 0x02, 0x80, 0x01 };
        memset(&s, 0, sizeof s);
        for (int sampled = 0; sampled < 2; sampled++) for (uint64_t p = 0; p < 100; p++) {
            for (int i = 0; i < 17; i++) copy[i] = i == 1 || i == 15 || i == 16 ? 50.f : 1.f;
            s.temperature = sampled ? 1 : DSM_GREEDY;
            CHECK(dsm__pick_choose(copy, 17, &s, unused, NULL, 0, p, &choice, NULL, 0, NULL) == DSM_OK && choice.id != 1 && choice.id < 15); } }

    /* hostile logits: a finite choice, or an error */
    for (int sampled = 0; sampled < 2; sampled++) {
        memset(&s, 0, sizeof s); s.temperature = sampled ? 0.8f : DSM_GREEDY; s.top_p = 0.9f; s.top_k = 3; s.min_p = 0.05f;
        for (int i = 0; i < 8; i++) copy[i] = NAN;
        CHECK(dsm_pick(copy, 8, &s, NULL, 0, 0, &choice, top, 2, &error) == DSM_E_NUMBER && choice.id == -1 && error.status == DSM_E_NUMBER && strstr(error.text, "finite"));
        for (int i = 0; i < 8; i++) copy[i] = -INFINITY;
        CHECK(dsm_pick(copy, 8, &s, NULL, 0, 0, &choice, top, 2, &error) == DSM_E_NUMBER);
        for (int i = 0; i < 8; i++) copy[i] = INFINITY;
        CHECK(dsm_pick(copy, 8, &s, NULL, 0, 0, &choice, top, 2, &error) == DSM_E_NUMBER);
        for (int i = 0; i < 8; i++) copy[i] = i == 5 ? -3e38f : i & 1 ? NAN : INFINITY;
        CHECK(dsm_pick(copy, 8, &s, NULL, 0, 0, &choice, top, 2, &error) == DSM_OK && choice.id == 5 && top[0].id == 5 && top[1].id == -1);
        for (int i = 0; i < 8; i++) copy[i] = i == 5 ? 3.4e38f : -3.4e38f;
        CHECK(dsm_pick(copy, 8, &s, NULL, 0, 0, &choice, top, 2, &error) == DSM_OK && choice.id == 5 && choice.logprob == 0);
        s.mask = mask_all; for (int i = 0; i < 8; i++) copy[i] = 1;
        CHECK(dsm_pick(copy, 8, &s, NULL, 0, 0, &choice, top, 2, &error) == DSM_E_NUMBER);
        s.mask = mask_nan; for (int i = 0; i < 8; i++) copy[i] = 1;
        CHECK(dsm_pick(copy, 8, &s, NULL, 0, 0, &choice, top, 2, &error) == DSM_OK && choice.id == 3);
    }
    memset(&s, 0, sizeof s); s.temperature = 1e-45f; copy[0] = 1; copy[1] = 1.0000001f;
    CHECK(dsm_pick(copy, 2, &s, NULL, 0, 0, &choice, NULL, 0, NULL) == DSM_OK && choice.id == 1);
    s.temperature = 3e38f; copy[0] = 3e38f; copy[1] = -3e38f;
    CHECK(dsm_pick(copy, 2, &s, NULL, 0, 0, &choice, NULL, 0, NULL) == DSM_OK);

    /* what a caller may get wrong */
    {   static const struct { float temperature; int top_k; float top_p, min_p, penalty; int window; const char *field; } bad[] = {
            { NAN, 0, 0, 0, 0, 0, "temperature" }, { -0.5f, 0, 0, 0, 0, 0, "temperature" }, { INFINITY, 0, 0, 0, 0, 0, "temperature" }, { 0, 0, 0, 0, 0, 0, "temperature" },
            { 1, -2, 0, 0, 0, 0, "top_k" }, { 1, 0, 1.5f, 0, 0, 0, "top_p" }, { 1, 0, NAN, 0, 0, 0, "top_p" }, { 1, 0, -0.1f, 0, 0, 0, "top_p" }, { 1, 0, 0, 2, 0, 0, "min_p" }, { 1, 0, 0, NAN, 0, 0, "min_p" },
            { 1, 0, 0, 0, NAN, 0, "repetition_penalty" }, { 1, 0, 0, 0, -3, 0, "repetition_penalty" }, { 1, 0, 0, 0, INFINITY, 0, "repetition_penalty" }, { 1, 0, 0, 0, 0, -2, "repetition_window" } };
        dsm_bias bias = { 8, 1 };
        for (size_t i = 0; i < DSM__COUNT(bad); i++) {
            memset(&s, 0, sizeof s); s.temperature = bad[i].temperature; s.top_k = bad[i].top_k; s.top_p = bad[i].top_p; s.min_p = bad[i].min_p; s.repetition_penalty = bad[i].penalty; s.repetition_window = bad[i].window;
            CHECK(dsm_pick(copy, 8, &s, NULL, 0, 0, &choice, NULL, 0, &error) == DSM_E_ARGUMENT && strstr(error.text, bad[i].field)); }
        memset(&s, 0, sizeof s); s.temperature = 1; s.bias = &bias; s.n_bias = 1;
        CHECK(dsm_pick(copy, 8, &s, NULL, 0, 0, &choice, NULL, 0, &error) == DSM_E_ARGUMENT && strstr(error.text, "8"));
        bias.id = -1; CHECK(dsm_pick(copy, 8, &s, NULL, 0, 0, &choice, NULL, 0, &error) == DSM_E_ARGUMENT);
        bias.id = 0; bias.add = NAN; CHECK(dsm_pick(copy, 8, &s, NULL, 0, 0, &choice, NULL, 0, &error) == DSM_E_ARGUMENT);
        bias.add = INFINITY; CHECK(dsm_pick(copy, 8, &s, NULL, 0, 0, &choice, NULL, 0, &error) == DSM_E_ARGUMENT);
        s.bias = NULL; CHECK(dsm_pick(copy, 8, &s, NULL, 0, 0, &choice, NULL, 0, &error) == DSM_E_ARGUMENT);
        s.n_bias = -1; CHECK(dsm_pick(copy, 8, &s, NULL, 0, 0, &choice, NULL, 0, &error) == DSM_E_ARGUMENT);
        s.n_bias = 0;
        CHECK(dsm_pick(NULL, 8, &s, NULL, 0, 0, &choice, NULL, 0, &error) == DSM_E_ARGUMENT && dsm_pick(copy, 0, &s, NULL, 0, 0, &choice, NULL, 0, &error) == DSM_E_ARGUMENT);
        CHECK(dsm_pick(copy, -5, &s, NULL, 0, 0, &choice, NULL, 0, &error) == DSM_E_ARGUMENT && dsm_pick(copy, 8, NULL, NULL, 0, 0, &choice, NULL, 0, &error) == DSM_E_ARGUMENT);
        CHECK(dsm_pick(copy, 8, &s, NULL, 0, 0, NULL, NULL, 0, &error) == DSM_E_ARGUMENT && dsm_pick(copy, 8, &s, NULL, 3, 0, &choice, NULL, 0, &error) == DSM_E_ARGUMENT);
        CHECK(dsm_pick(copy, 8, &s, NULL, 0, 0, &choice, NULL, 5, &error) == DSM_E_ARGUMENT && dsm_pick(copy, 8, &s, NULL, 0, 0, &choice, top, 257, NULL) == DSM_E_ARGUMENT); }

    /* the same bits everywhere: these choices were made once and must not change */
    {   uint64_t h = 1;
        memset(&s, 0, sizeof s); s.temperature = 0.8f; s.top_p = 0.95f; s.top_k = 40; s.min_p = 0.02f; s.seed = 42;
        for (uint64_t p = 0; p < 300; p++) {
            state = 1000 + p; for (int i = 0; i < 1000; i++) copy[i] = (float)((double)(next() >> 40) / 1048576.0);
            dsm_pick(copy, 1000, &s, NULL, 0, p, &choice, top, 5, NULL);
            h = dsm__hash(&choice, sizeof choice, h); h = dsm__hash(top, 5 * sizeof *top, h); }
        if (h != UINT64_C(0x4908be8edaac98f8)) printf("tests/pick.c: the hash of 300 choices is 0x%016llx\n", (unsigned long long)h);
        CHECK(h == UINT64_C(0x4908be8edaac98f8)); }

    /* a vocabulary of 150,000 */
    {   enum { V = 150000 }; float *big = (float *)malloc(V * sizeof *big), *work = (float *)malloc(V * sizeof *work);
        static const char *names[5] = { "greedy", "greedy with 5 log-probabilities", "temperature 0.6, top-p 0.95", "temperature 1, top-k 40, top-p 0.95, min-p 0.05", "flat logits, temperature 1, top-p 0.95" };
        for (int mode = 0; mode < 5; mode++) {
            uint64_t t0, best = UINT64_MAX;
            for (int i = 0; i < V; i++) big[i] = mode == 4 ? normal() * .1f : 3 * normal();
            big[777] = 18; big[778] = 17;
            if (mode == 4) big[777] = big[778] = 0;
            memset(&s, 0, sizeof s); s.temperature = mode < 2 ? DSM_GREEDY : mode == 2 ? 0.6f : 1; if (mode > 1) s.top_p = 0.95f; if (mode == 3) { s.top_k = 40; s.min_p = 0.05f; }
            for (int rep = 0; rep < 5; rep++) { memcpy(work, big, V * sizeof *work); t0 = dsm__os_clock_us(); CHECK(dsm_pick(work, V, &s, NULL, 0, 3, &choice, top, mode == 1 ? 5 : -1, NULL) == DSM_OK); t0 = dsm__os_clock_us() - t0; if (t0 < best) best = t0; }
            printf("%-50s %6.2f ms\n", names[mode], (double)best / 1000); }
        free(big); free(work); }

    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed != 0;
}
