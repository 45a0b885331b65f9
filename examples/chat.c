/* chat: a conversation with a model, or one answer to one prompt.

       cc -O3 examples/chat.c -o chat -lm -lpthread
       ./chat                                   a conversation with the shipped model
       ./chat -m MODEL.gguf -p "Add 17 and 25"  one answer on stdout; the reasoning goes to stderr

   The messages are the conversation: before every answer the whole list goes into dsm_turn_begin, and the library finds out what its cache already holds.
   Public domain or MIT, as dsmoe.h. */
#define DSMOE_IMPLEMENTATION
#include "../dsmoe.h"
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "usage: chat [-m MODEL] [-p PROMPT] [-f FILE] [options]\n"
    "Without -p and -f: a conversation. With them: one answer on stdout, the reasoning on stderr.\n"
    "  -m MODEL          a GGUF file (default: the shipped examples/pocket.gguf)\n"
    "  -p PROMPT         answer this\n"
    "  -f FILE           answer what stands in this file (- is stdin); after -p, its text follows the prompt\n"
    "  -s SYSTEM         system text\n"
    "  -n MAX_TOKENS     of reasoning and answer together (default: until the model ends)\n"
    "  -t THREADS        (default: one for each fast core)\n"
    "  -c CONTEXT        tokens (default: the model's, at most 4096)\n"
    "  --temp T          temperature; 0: always the likeliest token, reproducible (default: what the model's makers recommend)\n"
    "  --top-p P         only the likeliest tokens that make up P, above 0 and at most 1\n"
    "  --seed S          of the random choices (default: the clock)\n"
    "  --think-budget N  reasoning tokens after which the reasoning is closed; 0: none at all\n"
    "  --no-think        no reasoning\n"
    "  --kv TYPE         of the cache: f16, f32 or q8_0 (default f16)\n"
    "  --act TYPE        activations: q8 or f32, the slow reference (default q8)\n"
    "  --help\n";
static const char commands[] =
    "  /reset           forget the conversation          /retry           another answer to the last question\n"
    "  /undo            forget the last question          /system [TEXT]   show or set the system text (- removes it)\n"
    "  /think on|off|auto   reason, don't, or as the model likes         /temp T   temperature\n"
    "  /tokens          how full the context is           /stats           speed and memory\n"
    "  /save FILE       the conversation and its cache    /load FILE       go on with it\n"
    "  /help            this                              /quit            or the end of input\n"
    "A line that ends in \\ goes on in the next. Ctrl-C stops an answer; twice at the prompt it leaves.\n";

typedef struct text { char *at; size_t n, room; } text; /* grows; at is zero-terminated once something was added */

typedef struct chat {
    const char *model_path, *prompt, *file, *system;
    dsm_model *model;
    dsm_session *session;
    dsm_model_info info;
    dsm_session_desc desc;
    dsm_sampling sampling;
    dsm_think think;
    int threads, max_tokens, think_budget;
    dsm_message *messages; size_t n, room; /* [0] is the system text where there is one */
    int out_tty, err_tty, in_tty;
} chat;

static dsm_session *volatile running; /* Ctrl-C stops it */
static volatile sig_atomic_t interrupted;
static void on_interrupt(int sig) { (void)sig; interrupted = 1; if (running) dsm_session_cancel(running); }
static void catch_interrupts(int flags) { /* 0 at the prompt: a read returns; SA_RESTART elsewhere: a write goes on */
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_interrupt; action.sa_flags = flags; sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

static void die(int code, const char *what) { fflush(stdout); fprintf(stderr, "chat: %s\n", what); exit(code); }
static void *must(void *p) { if (!p) die(1, "out of memory"); return p; }
static void add(text *t, const char *s, size_t n) {
    if (t->n + n + 1 > t->room) { t->room = 2 * (t->n + n + 1); t->at = (char *)must(realloc(t->at, t->room)); }
    if (n) memcpy(t->at + t->n, s, n);
    t->n += n; t->at[t->n] = 0;
}

/* ---- Output. Whoever closes our output (chat | head) gets a quiet end. ---- */
static void flushed(FILE *f) {
    if (fflush(f) == 0 && !ferror(f)) return;
    if (f == stdout && errno != EPIPE) die(1, "stdout can't be written");
    if (f == stdout) _exit(0);
}
static void say(FILE *f, const char *s, size_t n, int tty) {
    for (size_t i = 0; i < n; i++) { /* on a terminal a model must not move the cursor or rename the window */
        unsigned char c = (unsigned char)s[i], next = i + 1 < n ? (unsigned char)s[i + 1] : 0;
        if (tty && ((c < 32 && c != '\n' && c != '\t') || c == 127)) fputc('?', f);
        else if (tty && c == 0xC2 && next >= 0x80 && next < 0xA0) { fputc('?', f); i++; }
        else fputc(c, f);
    }
}
static void note(const chat *c, const char *s) { fprintf(stderr, c->err_tty ? "\033[2m%s\033[0m\n" : "%s\n", s); }
static void on_log(void *user, dsm_level level, const char *line) { (void)user; if (level <= DSM_LOG_WARNING) fprintf(stderr, "%s%s\n", level == DSM_LOG_WARNING ? "warning: " : "", line); }

/* ---- The messages ---- */
static void push(chat *c, dsm_role role, const char *s, size_t n) {
    text copy = { NULL, 0, 0 };
    add(&copy, s, n);
    if (c->n == c->room) { c->room = 2 * c->room + 8; c->messages = (dsm_message *)must(realloc(c->messages, c->room * sizeof *c->messages)); }
    c->messages[c->n].role = role; c->messages[c->n].text = copy.at; c->messages[c->n].size = n; c->n++;
}
static void drop(chat *c, size_t keep) { while (c->n > keep) { union { const char *from; void *to; } p; p.from = c->messages[--c->n].text; free(p.to); } }
static size_t first(const chat *c) { return c->n && c->messages[0].role == DSM_SYSTEM; }
static void set_system(chat *c, const char *s) { /* keeps the rest of the conversation */
    dsm_message m; size_t had = first(c);
    if (had) { m = c->messages[0]; memmove(c->messages, c->messages + 1, (c->n - 1) * sizeof m); c->messages[c->n - 1] = m; drop(c, c->n - 1); }
    if (!s || !*s) return;
    push(c, DSM_SYSTEM, s, strlen(s));
    m = c->messages[c->n - 1]; memmove(c->messages + 1, c->messages, (c->n - 1) * sizeof m); c->messages[0] = m;
}

/* ---- One answer ---- */
static double rate(uint64_t tokens, uint64_t us) { return us ? (double)tokens * 1e6 / (double)us : 0; }
static uint64_t now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u; }

/* Streams an answer to the messages, and gives its text. 0, or the error of the library; *reason says how it ended. */
static dsm_status answer(chat *c, text *out, dsm_reason *reason, dsm_error *error) {
    dsm_turn_desc turn; dsm_piece piece; dsm_stats before, after; dsm_status status; int thinking = 0, inside = 0, progress = 0; size_t newlines = 0; uint64_t start = now();
    memset(&turn, 0, sizeof turn);
    turn.messages = c->messages; turn.n_messages = c->n; turn.sampling = c->sampling; turn.think = c->think;
    turn.think_budget = c->think_budget; turn.max_tokens = c->max_tokens;
    dsm_session_stats(c->session, &before);
    interrupted = 0; running = c->session;
    status = dsm_turn_begin(c->session, &turn, error);
    while (status >= 0) {
        status = dsm_turn_next(c->session, 100000, &piece, error);
        if (status < 0) break;
        if (piece.kind == DSM_PIECE_NONE && c->err_tty && now() - start > 300000 && !thinking && !out->n) { /* a long prompt */
            uint64_t done = 0, wanted = 0;
            dsm_session_progress(c->session, &done, &wanted);
            if (wanted > 16) { fprintf(stderr, "\r\033[2mreading %llu of %llu tokens\033[0m\033[K", (unsigned long long)done, (unsigned long long)wanted); progress = 1; }
        }
        if (piece.kind != DSM_PIECE_NONE && progress) { fprintf(stderr, "\r\033[K"); progress = 0; }
        if (piece.kind == DSM_PIECE_THINK && piece.size) {
            if (!thinking && c->err_tty) fprintf(stderr, "\033[2m");
            thinking = inside = 1; say(stderr, piece.text, piece.size, c->err_tty); fflush(stderr);
        } else if (thinking && piece.kind != DSM_PIECE_NONE && (piece.size || piece.kind == DSM_PIECE_END)) {
            fprintf(stderr, c->err_tty ? "\033[0m\n\n" : "\n"); fflush(stderr); thinking = 0;
        }
        if (piece.kind == DSM_PIECE_TEXT) inside = 0;
        if (piece.kind == DSM_PIECE_TEXT && piece.size) { /* newlines wait, so that the answer ends in exactly one */
            size_t n = piece.size;
            while (n && piece.text[n - 1] == '\n') n--;
            add(out, piece.text, piece.size);
            if (n) { for (; newlines; newlines--) fputc('\n', stdout); say(stdout, piece.text, n, c->out_tty); flushed(stdout); }
            newlines += piece.size - n;
        }
        if (status == DSM_DONE) { *reason = piece.reason; break; }
    }
    running = NULL;
    if (progress) fprintf(stderr, "\r\033[K");
    if (thinking && status < 0) fprintf(stderr, c->err_tty ? "\033[0m\n" : "\n");
    if (status < 0) { if (out->n) { fputc('\n', stdout); flushed(stdout); } dsm_turn_end(c->session, NULL); return status; }
    dsm_session_stats(c->session, &after);
    status = dsm_turn_end(c->session, error);
    if (status < 0) return status;
    while (out->n && out->at[out->n - 1] == '\n') out->at[--out->n] = 0;
    if (out->n || (!inside && *reason == DSM_REASON_END_TOKEN)) { /* nothing at all where it never came out of its reasoning */ fputc('\n', stdout); flushed(stdout); }
    if (*reason == DSM_REASON_CONTEXT) fprintf(stderr, "chat: the context of %llu tokens is full: the answer was cut off (-c gives more)\n", (unsigned long long)dsm_session_context(c->session));
    if (*reason == DSM_REASON_LENGTH && c->err_tty) note(c, out->n ? "(cut off at -n tokens)" : "(cut off at -n tokens, while reasoning)");
    if (c->err_tty || now() - start > 1000000) {
        char line[200]; uint64_t prompt = after.prompt_tokens - before.prompt_tokens, decode = after.decode_tokens - before.decode_tokens;
        snprintf(line, sizeof line, "[%llu prompt tokens, %.1f/s; %llu answer tokens, %.1f/s; context %llu of %llu]", (unsigned long long)prompt, rate(prompt, after.prompt_us - before.prompt_us),
                 (unsigned long long)decode, rate(decode, after.decode_us - before.decode_us), (unsigned long long)dsm_session_length(c->session), (unsigned long long)dsm_session_context(c->session));
        note(c, line);
    }
    return DSM_OK;
}

/* ---- Saved conversations: the messages as text, then the cache as the library writes it ---- */
static int write_file(void *user, const void *from, size_t n) { return fwrite(from, 1, n, (FILE *)user) != n; }
typedef struct part { FILE *f; uint64_t offset; } part;
static int read_file(void *user, uint64_t offset, void *to, size_t n) {
    part *p = (part *)user;
    return fseeko(p->f, (off_t)(p->offset + offset), SEEK_SET) || fread(to, 1, n, p->f) != n;
}
static void save(chat *c, const char *path) {
    text temporary = { NULL, 0, 0 }; dsm_writer writer; dsm_error error; FILE *f; int bad = 0;
    error.text[0] = 0;
    add(&temporary, path, strlen(path)); add(&temporary, ".part", 5); /* whoever had a file there keeps it until the new one is whole */
    f = fopen(temporary.at, "wb");
    if (f) {
        fprintf(f, "dsmoe chat 1\n");
        for (size_t i = 0; i < c->n; i++) { fprintf(f, "%d %llu\n", (int)c->messages[i].role, (unsigned long long)c->messages[i].size); fwrite(c->messages[i].text, 1, c->messages[i].size, f); fputc('\n', f); }
        fprintf(f, "0 0\n");
        writer.user = f; writer.write = write_file;
        if (dsm_session_save(c->session, &writer, &error) < 0) bad = 1;
        if (ferror(f)) bad = 1;
        if (fclose(f)) bad = 1;
        if (!bad && rename(temporary.at, path)) bad = 1;
        if (bad) remove(temporary.at);
    }
    if (!f || bad) fprintf(stderr, "%s: can't be written%s%s\n", path, error.text[0] ? ": " : "", error.text);
    else fprintf(stderr, "saved\n");
    free(temporary.at);
}
static void load(chat *c, const char *path) {
    char line[64]; dsm_error error; int whole = 0; chat other; FILE *f = fopen(path, "rb");
    if (!f) { fprintf(stderr, "%s: can't be read\n", path); return; }
    memset(&other, 0, sizeof other);
    if (fgets(line, sizeof line, f) && !strcmp(line, "dsmoe chat 1\n")) while (fgets(line, sizeof line, f)) {
        int role = 0; unsigned long long size = 0; char *s;
        if (sscanf(line, "%d %llu", &role, &size) != 2 || role > DSM_ASSISTANT || role < 0 || size > 1u << 30) break;
        if (!role) { whole = 1; break; }
        s = (char *)must(malloc((size_t)size + 1));
        if (fread(s, 1, (size_t)size, f) == size && fgetc(f) == '\n') push(&other, (dsm_role)role, s, (size_t)size); else role = -1;
        free(s);
        if (role < 0) break;
    }
    if (!whole) { drop(&other, 0); fprintf(stderr, "%s: this is no saved conversation, or it is damaged\n", path); }
    else {
        part p; dsm_reader reader; off_t end;
        p.f = f; p.offset = (uint64_t)ftello(f); fseeko(f, 0, SEEK_END); end = ftello(f);
        reader.user = &p; reader.size = (uint64_t)end - p.offset; reader.read_at = read_file;
        if (dsm_session_load(c->session, &reader, &error) < 0) fprintf(stderr, "the cache can't be used, it will be computed again: %s\n", error.text);
        drop(c, 0); free(c->messages); c->messages = other.messages; c->n = other.n; c->room = other.room; other.messages = NULL;
        fprintf(stderr, "loaded: %llu messages\n", (unsigned long long)c->n);
        if (c->n) fprintf(stderr, "%s: %.*s\n", c->messages[c->n - 1].role == DSM_ASSISTANT ? "it said last" : "the last text", (int)(c->messages[c->n - 1].size < 500 ? c->messages[c->n - 1].size : 500), c->messages[c->n - 1].text);
    }
    free(other.messages); fclose(f);
}

/* ---- The conversation ---- */
/* One line without its newline; 0 at the end of input, -1 after Ctrl-C. Reads as pipes give it. */
static int read_line(text *line) {
    static char buffer[4096]; static ssize_t from, to;
    line->n = 0; add(line, "", 0);
    for (;;) {
        for (ssize_t i = from; i < to; i++) if (buffer[i] == '\n') {
            add(line, buffer + from, (size_t)(i - from)); from = i + 1;
            if (line->n && line->at[line->n - 1] == '\r') line->at[--line->n] = 0;
            return 1; }
        add(line, buffer + from, (size_t)(to - from)); from = to = 0;
        to = read(0, buffer, sizeof buffer);
        if (to < 0 && errno == EINTR) { to = 0; if (interrupted) return -1; continue; }
        if (to <= 0) { to = 0; return line->n > 0; }
    }
}
static void show_stats(chat *c) {
    dsm_stats s; dsm_memory m;
    if (dsm_session_stats(c->session, &s) >= 0) fprintf(stderr,
        "prompts  %llu tokens, %.1f tokens/s\nanswers  %llu tokens, %.1f tokens/s\nreads    %.1f MB a token\nlongest stage  %.2f ms\n", (unsigned long long)s.prompt_tokens, rate(s.prompt_tokens, s.prompt_us),
        (unsigned long long)s.decode_tokens, rate(s.decode_tokens, s.decode_us), (double)s.bytes_per_token / 1e6, (double)s.longest_stage_us / 1e3);
    if (dsm_plan(c->model, &c->desc, &m, NULL) >= 0) fprintf(stderr, "memory   %.1f MB of weights, %.1f MB for the model, %.1f MB for the session (%llu bytes a token of context)\n",
        (double)m.weights / 1e6, (double)m.model_bytes / 1e6, (double)m.session_bytes / 1e6, (unsigned long long)m.per_token);
    fprintf(stderr, "threads  %d, instructions %s\n", dsm_model_threads(c->model), dsm_model_isa(c->model));
}
/* Answers the last message and adds the answer; without one the question is forgotten. */
static void reply(chat *c) {
    text out = { NULL, 0, 0 }; dsm_error error; dsm_reason reason = DSM_REASON_NONE; dsm_status status;
    status = answer(c, &out, &reason, &error);
    if (status < 0) {
        fprintf(stderr, "chat: %s\n", error.text);
        if (status == DSM_E_CONTEXT) fprintf(stderr, "/reset starts afresh, -c gives more context. The last question is forgotten.\n");
    } else if (reason == DSM_REASON_CANCELLED) note(c, "(stopped)");
    if (out.n) push(c, DSM_ASSISTANT, out.at, out.n);
    else { drop(c, c->n - 1); if (status >= 0) note(c, "(no answer: the question is forgotten)"); }
    free(out.at);
    if (c->out_tty) fputc('\n', stdout);
    flushed(stdout);
}
static int same(const char *a, const char *b) { return !strcmp(a, b); }
static int command(chat *c, char *line) { /* 1: leave */
    char *word = line + 1, *rest = word; double temperature;
    while (*rest && *rest != ' ') rest++;
    if (*rest) *rest++ = 0;
    while (*rest == ' ') rest++;
    if (same(word, "quit") || same(word, "exit") || same(word, "q")) return 1;
    if (same(word, "help") || same(word, "?")) fputs(commands, stderr);
    else if (same(word, "reset") || same(word, "clear") || same(word, "new")) { drop(c, first(c)); fprintf(stderr, "forgotten\n"); }
    else if (same(word, "undo")) { if (c->n > first(c)) { do drop(c, c->n - 1); while (c->n > first(c) && c->messages[c->n - 1].role == DSM_USER); fprintf(stderr, "the last question is forgotten\n"); } else fprintf(stderr, "there is nothing to undo\n"); }
    else if (same(word, "retry")) {
        if (c->n > first(c) && c->messages[c->n - 1].role == DSM_ASSISTANT) drop(c, c->n - 1);
        if (c->n > first(c) && c->messages[c->n - 1].role == DSM_USER) { c->sampling.seed++; reply(c); } else fprintf(stderr, "there is nothing to answer\n");
    }
    else if (same(word, "system")) { if (*rest) set_system(c, same(rest, "-") ? NULL : rest); fprintf(stderr, "system: %s\n", first(c) ? c->messages[0].text : "(none)"); }
    else if (same(word, "think")) {
        if (same(rest, "on")) c->think = DSM_THINK_ON; else if (same(rest, "off")) c->think = DSM_THINK_OFF; else if (same(rest, "auto")) c->think = DSM_THINK_FREE;
        else if (*rest) { fprintf(stderr, "/think on, off or auto\n"); return 0; }
        fprintf(stderr, "reasoning: %s\n", c->think == DSM_THINK_ON ? "on" : c->think == DSM_THINK_OFF ? "off" : "as the model likes");
        if (!c->info.has_think) fprintf(stderr, "(this model's vocabulary has no tokens for it)\n");
    }
    else if (same(word, "temp")) { char *end; temperature = strtod(rest, &end); if (end == rest || *end || !(temperature >= 0 && temperature <= 100)) fprintf(stderr, "/temp NUMBER\n"); else c->sampling.temperature = temperature > 0 ? (float)temperature : DSM_GREEDY; }
    else if (same(word, "tokens")) fprintf(stderr, "%llu of %llu tokens\n", (unsigned long long)dsm_session_length(c->session), (unsigned long long)dsm_session_context(c->session));
    else if (same(word, "stats")) show_stats(c);
    else if (same(word, "save") || same(word, "load")) { if (!*rest) fprintf(stderr, "/%s FILE\n", word); else if (*word == 's') save(c, rest); else load(c, rest); }
    else fprintf(stderr, "there is no command /%s; these are:\n%s", word, commands);
    return 0;
}
static void converse(chat *c) {
    text line = { NULL, 0, 0 }, whole = { NULL, 0, 0 }; int leaving = 0, got;
    catch_interrupts(SA_RESTART);
    if (c->err_tty) fprintf(stderr, "%s, %.1f million parameters, context %llu. /help lists the commands.\n\n", c->info.name, (double)c->info.parameters / 1e6, (unsigned long long)dsm_session_context(c->session));
    for (;;) {
        if (c->in_tty && c->err_tty) { fputs(whole.n ? ". " : "> ", stderr); fflush(stderr); }
        interrupted = 0; catch_interrupts(0); got = read_line(&line); catch_interrupts(SA_RESTART);
        if (got < 0) {
            if (leaving || !c->in_tty) { if (c->err_tty) fputc('\n', stderr); break; }
            fprintf(stderr, "\n(Ctrl-C once more leaves)\n"); leaving = 1; whole.n = 0; continue;
        }
        leaving = 0;
        if (got && line.n && line.at[line.n - 1] == '\\') { add(&whole, line.at, line.n - 1); add(&whole, "\n", 1); continue; }
        if (got || whole.n) {
            add(&whole, line.at, line.n);
            if (whole.at[0] == '/') { if (command(c, whole.at)) break; }
            else if (whole.n) { push(c, DSM_USER, whole.at, whole.n); reply(c); }
            whole.n = 0;
        }
        if (!got) { if (c->in_tty && c->err_tty) fputc('\n', stderr); break; }
    }
    free(line.at); free(whole.at);
}

/* ---- The command line ---- */
static void wrong(const char *what, const char *arg) { fprintf(stderr, "chat: %s%s%s\n%.*schat --help explains the options\n", what, arg ? " " : "", arg ? arg : "", (int)strcspn(usage, "\n") + 1, usage); exit(2); }
static int whole_number(const char *option, const char *s, int least) {
    char *end; long v; errno = 0; v = strtol(s, &end, 10);
    if (end == s || *end || errno || v < least || v > INT_MAX) { fprintf(stderr, "chat: %s needs a whole number, %d or more, not '%s'\n", option, least, s); exit(2); }
    return (int)v;
}
static float real_number(const char *option, const char *s, double least, double most) {
    char *end; double v = strtod(s, &end);
    if (end == s || *end || !(v >= least && v <= most)) { fprintf(stderr, "chat: %s needs a number from %g to %g, not '%s'\n", option, least, most, s); exit(2); }
    return (float)v;
}
static void options(chat *c, int argc, char **argv) {
    c->sampling.seed = now() ^ (uint64_t)getpid() << 32;
    for (int i = 1; i < argc; i++) {
        const char *o = argv[i], *v = i + 1 < argc ? argv[i + 1] : NULL;
        if (same(o, "--help") || same(o, "-h")) { fputs(usage, stdout); flushed(stdout); exit(0); }
        if (same(o, "--no-think")) { c->think = DSM_THINK_OFF; continue; }
        if (!(same(o, "-m") || same(o, "-p") || same(o, "-f") || same(o, "-s") || same(o, "-n") || same(o, "-t") || same(o, "-c") || same(o, "--temp") || same(o, "--top-p") || same(o, "--seed") || same(o, "--think-budget") || same(o, "--kv") || same(o, "--act")))
            wrong("there is no option", o);
        if (!v) wrong("a value is missing after", o);
        i++;
        if (same(o, "-m")) c->model_path = v;
        else if (same(o, "-p")) c->prompt = v;
        else if (same(o, "-f")) c->file = v;
        else if (same(o, "-s")) c->system = v;
        else if (same(o, "-n")) c->max_tokens = whole_number(o, v, 1);
        else if (same(o, "-t")) c->threads = whole_number(o, v, 1);
        else if (same(o, "-c")) c->desc.context = whole_number(o, v, 1);
        else if (same(o, "--temp")) { c->sampling.temperature = real_number(o, v, 0, 1000); if (c->sampling.temperature <= 0) c->sampling.temperature = DSM_GREEDY; }
        else if (same(o, "--top-p")) { c->sampling.top_p = real_number(o, v, 0, 1); if (c->sampling.top_p <= 0) wrong("--top-p must be above 0", NULL); }
        else if (same(o, "--seed")) { char *end; errno = 0; c->sampling.seed = strtoull(v, &end, 10); if (end == v || *end || errno || *v == '-') wrong("--seed needs a whole number, not", v); }
        else if (same(o, "--think-budget")) { c->think_budget = whole_number(o, v, 0); if (!c->think_budget) c->think = DSM_THINK_OFF; }
        else if (same(o, "--kv")) { if (same(v, "f16")) c->desc.kv = DSM_KV_F16; else if (same(v, "f32")) c->desc.kv = DSM_KV_F32; else if (same(v, "q8_0")) c->desc.kv = DSM_KV_Q8_0; else wrong("--kv is f16, f32 or q8_0, not", v); }
        else if (same(o, "--act")) { if (same(v, "q8")) c->desc.activations = DSM_ACTIVATIONS_INT8; else if (same(v, "f32")) c->desc.activations = DSM_ACTIVATIONS_F32; else wrong("--act is q8 or f32, not", v); }
    }
}
static int there(const char *path) { FILE *f = fopen(path, "rb"); if (f) fclose(f); return f != NULL; }
/* The shipped model, from the program's place (build/chat, or chat in the top folder) or the working directory. */
static const char *shipped(const char *program) {
    static char path[4096 + 64]; static const char *const places[] = { "/../examples/pocket.gguf", "/examples/pocket.gguf", "/pocket.gguf" };
    ssize_t n = readlink("/proc/self/exe", path, 4096);
    if (n <= 0 && strlen(program) < 4096) { strcpy(path, program); n = (ssize_t)strlen(program); }
    while (n > 0 && path[n - 1] != '/') n--;
    if (n > 0) for (size_t i = 0; i < sizeof places / sizeof *places; i++) { strcpy(path + n - 1, places[i]); if (there(path)) return path; }
    if (there("examples/pocket.gguf")) return "examples/pocket.gguf";
    if (there("pocket.gguf")) return "pocket.gguf";
    die(1, "the shipped model examples/pocket.gguf is not here: name a model with -m");
    return NULL;
}
static void read_prompt(chat *c, text *prompt) {
    char buffer[4096]; size_t got; FILE *f;
    if (c->prompt) add(prompt, c->prompt, strlen(c->prompt));
    if (!c->file) return;
    if (prompt->n) add(prompt, "\n\n", 2);
    f = same(c->file, "-") ? stdin : fopen(c->file, "rb");
    if (!f) { fprintf(stderr, "chat: %s: can't be read\n", c->file); exit(1); }
    while ((got = fread(buffer, 1, sizeof buffer, f)) > 0) add(prompt, buffer, got);
    if (ferror(f)) { fprintf(stderr, "chat: %s: can't be read\n", c->file); exit(1); }
    if (f != stdin) fclose(f);
    if (prompt->n && prompt->at[prompt->n - 1] == '\n') prompt->at[--prompt->n] = 0; /* the file's last line has an end, the prompt need not */
}

int main(int argc, char **argv) {
    chat c; dsm_model_desc model; dsm_error error; text prompt = { NULL, 0, 0 }; int code = 0;
    memset(&c, 0, sizeof c); memset(&model, 0, sizeof model);
    signal(SIGPIPE, SIG_IGN);
    c.out_tty = isatty(1); c.err_tty = isatty(2); c.in_tty = isatty(0);
    options(&c, argc, argv);
    read_prompt(&c, &prompt);
    if ((c.prompt || c.file) && !prompt.n) die(1, "the prompt is empty");

    model.path = c.model_path ? c.model_path : shipped(argv[0]); model.threads = c.threads; model.log.log = on_log;
    if (dsm_model_open(&c.model, &model, &error) < 0) die(1, error.text);
    dsm_model_describe(c.model, &c.info, NULL);
    if (dsm_session_open(&c.session, c.model, &c.desc, &error) < 0) die(1, error.text);
    set_system(&c, c.system);

    if (prompt.n) {
        text out = { NULL, 0, 0 }; dsm_reason reason = DSM_REASON_NONE;
        push(&c, DSM_USER, prompt.at, prompt.n);
        if (answer(&c, &out, &reason, &error) < 0) { fprintf(stderr, "chat: %s\n", error.text); code = 1; }
        free(out.at);
    } else converse(&c);
    drop(&c, 0); free(c.messages); free(prompt.at);
    dsm_session_close(&c.session, NULL); dsm_model_close(&c.model, NULL);
    return code;
}
