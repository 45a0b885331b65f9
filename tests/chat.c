/* chat: the command line of examples/chat.c, run in child processes on small models of random weights.
   cc -std=c11 -I. tests/chat.c -o build/chat-test -lm -lpthread */
#define main chat_main
#include "../examples/chat.c"
#undef main
#include <sys/stat.h>
#include <sys/wait.h>
#include "gguf.h"
#include "small.h"

static int passed, failed;
static void check(int good, const char *what, int line) {
    if (good) passed++;
    else if (++failed <= 20) printf("tests/chat.c:%d: %s\n", line, what);
}
#define CHECK(x) check((x) ? 1 : 0, #x, __LINE__)

static char out[1 << 16], err[1 << 16];
static void slurp(FILE *f, char *to) { size_t n; rewind(f); n = fread(to, 1, (1 << 16) - 1, f); to[n] = 0; fclose(f); }
/* Arguments are separated by |. how 1: nobody reads its stdout. Returns the exit code, or -1. */
static int runs(const char *line, const char *input, int how) {
    char copy[4096], *argv[40]; int argc = 0, state = 0, ends[2]; pid_t child; FILE *o = tmpfile(), *e = tmpfile(), *i = tmpfile();
    if (!o || !e || !i || pipe(ends)) exit(2);
    strcpy(copy, line); argv[argc++] = copy; for (char *p = copy; *p; p++) if (*p == '|') { *p = 0; argv[argc++] = p + 1; }
    argv[argc] = NULL;
    fputs(input, i); fflush(i); rewind(i); fflush(stdout); fflush(stderr);
    child = fork();
    if (!child) {
        if (dup2(fileno(i), 0) < 0 || dup2(how ? ends[1] : fileno(o), 1) < 0 || dup2(fileno(e), 2) < 0) _exit(99);
        close(ends[0]); close(ends[1]);
        exit(chat_main(argc, argv));
    }
    close(ends[0]); close(ends[1]);
    if (child < 0 || waitpid(child, &state, 0) != child) exit(2);
    slurp(o, out); slurp(e, err); fclose(i);
    return WIFEXITED(state) ? WEXITSTATUS(state) : -1;
}
static int ends_once(const char *s) { size_t n = strlen(s); return n && s[n - 1] == '\n' && (n == 1 || s[n - 2] != '\n'); }
static void write_model(const char *path, const char *arch, int mla, int kind) {
    FILE *f = fopen(path, "wb");
    model_desc(arch, mla, kind);
    g_find(&file, "output_norm.weight")->fill = 4; g_write(&file); /* a little less undecided */
    if (!f || fwrite(file.out.at, 1, file.out.n, f) != file.out.n || fclose(f)) exit(2);
}

int main(void) {
    char r1[64], v3[64], text[64], line[1024], first[4096];
    snprintf(r1, sizeof r1, "/tmp/dsmoe-test-%ld-r1.gguf", (long)getpid()); snprintf(v3, sizeof v3, "/tmp/dsmoe-test-%ld-v3.gguf", (long)getpid()); snprintf(text, sizeof text, "/tmp/dsmoe-test-%ld.txt", (long)getpid());
    write_model(r1, "deepseek2", 'C', 0); write_model(v3, "qwen2", 0, 1);
#define RUN(code, input, how, ...) (snprintf(line, sizeof line, __VA_ARGS__), CHECK(runs(line, input, how) == (code)))
    /* usage */
    RUN(0, "", 0, "chat|--help"); CHECK(strstr(out, "usage: chat [-m MODEL]") && strstr(out, "--think-budget") && !*err);
    RUN(2, "", 0, "chat|--nonsense"); CHECK(!*out && strstr(err, "--nonsense") && strstr(err, "usage"));
    RUN(2, "", 0, "chat|-m"); RUN(2, "", 0, "chat|-n|0"); RUN(2, "", 0, "chat|-n|x"); RUN(2, "", 0, "chat|--temp|-1"); RUN(2, "", 0, "chat|--temp|nan"); RUN(2, "", 0, "chat|--top-p|0"); RUN(2, "", 0, "chat|--top-p|1.5");
    RUN(2, "", 0, "chat|--kv|q4_0"); RUN(2, "", 0, "chat|--act|q4"); RUN(2, "", 0, "chat|--seed|-1"); RUN(2, "", 0, "chat|--think-budget|-1"); RUN(2, "", 0, "chat|-c|0"); RUN(2, "", 0, "chat|-t|0"); RUN(2, "", 0, "chat|stray"); CHECK(!*out);
    RUN(1, "", 0, "chat|-m|/tmp/there-is-no-such.gguf|-p|Hi"); CHECK(!*out && strstr(err, "there-is-no-such"));
    RUN(1, "", 0, "chat|-m|%s|-p|", v3); CHECK(!*out && *err); RUN(1, "", 0, "chat|-m|%s|-f|/tmp/there-is-no-such.txt", v3); CHECK(!*out && *err);
    /* one answer, ending in one newline; the likeliest token is reproducible, and so is a seed */
    RUN(0, "", 0, "chat|-m|%s|-p|Hi|--temp|0|-n|12", v3); CHECK(ends_once(out)); strcpy(first, out); RUN(0, "", 0, "chat|-m|%s|-p|Hi|--temp|0|-n|12|-t|1|--seed|5", v3); CHECK(!strcmp(first, out));
    RUN(0, "", 0, "chat|-m|%s|-p|Hi|--temp|2|-n|12|--seed|7|--top-p|1", v3); strcpy(first, out); RUN(0, "", 0, "chat|-m|%s|-p|Hi|--temp|2|-n|12|--seed|7|--top-p|1|-t|2", v3); CHECK(!strcmp(first, out) && ends_once(out));
    RUN(0, "", 0, "chat|-m|%s|-p|Hi|--temp|2|-n|12|--seed|8|--top-p|1", v3); CHECK(strcmp(first, out));
    RUN(0, "", 0, "chat|-m|%s|-p|Hi|--temp|0|-n|9|--kv|q8_0|--act|f32|-s|Be kind.", v3); CHECK(ends_once(out)); RUN(0, "", 0, "chat|-m|%s|-p|Hi|--temp|0|-n|9|--kv|f32|--act|q8", v3); CHECK(ends_once(out));
    {   FILE *f = fopen(text, "wb"); if (!f) return 2; fputs("Hi\n", f); fclose(f); }
    RUN(0, "", 0, "chat|-m|%s|-p|Hi|--temp|0|-n|12", v3); strcpy(first, out); RUN(0, "", 0, "chat|-m|%s|-f|%s|--temp|0|-n|12", v3, text); CHECK(!strcmp(first, out)); RUN(0, "Hi\n", 0, "chat|-m|%s|-f|-|--temp|0|-n|12", v3); CHECK(!strcmp(first, out));
    /* cut off while reasoning: nothing on stdout; the reasoning is on stderr */
    RUN(0, "", 0, "chat|-m|%s|-p|Hi|--temp|0|-n|6", r1); CHECK(!*out && *err);
    RUN(0, "", 0, "chat|-m|%s|-p|Hi|--temp|0|-n|30|--think-budget|4", r1); CHECK(ends_once(out) && *err); RUN(0, "", 0, "chat|-m|%s|-p|Hi|--temp|0|-n|6|--no-think", r1); CHECK(ends_once(out) && !*err);
    RUN(0, "", 0, "chat|-m|%s|-p|Hi|--temp|0|-n|6|--think-budget|0", r1); CHECK(ends_once(out) && !*err);
    /* the context: full, too small, more than was trained for */
    RUN(0, "", 0, "chat|-m|%s|-p|Hi|--temp|0|-c|24", r1); CHECK(strstr(err, "context"));
    RUN(1, "", 0, "chat|-m|%s|-p|Hello, this is more than fits|--temp|0|-c|8", v3); CHECK(!*out && strstr(err, "32 tokens") && strstr(err, "context of 8")); /* 29 letters, and the marks of a turn */;
    RUN(0, "", 0, "chat|-m|%s|-p|Hi|--temp|0|-c|100|-n|3", v3); CHECK(ends_once(out) && strstr(err, "100") && strstr(err, "64"));
    /* a conversation through pipes; end of input ends it, also without a newline */
    RUN(0, "", 0, "chat|-m|%s", v3); CHECK(!*out);
    RUN(0, "Hi", 0, "chat|-m|%s|--temp|0|-n|5", v3); CHECK(ends_once(out)); RUN(0, "Hi\n/tokens\n/nonsense\n/help\n/stats\n/quit\nHi\n", 0, "chat|-m|%s|--temp|0|-n|5", v3); CHECK(strstr(err, "of 64 tokens") && strstr(err, "/nonsense") && strstr(err, "/retry") && strstr(err, "tokens/s"));
    strcpy(first, out); RUN(0, "Hi\n/undo\nHi\n", 0, "chat|-m|%s|--temp|0|-n|5", v3); { size_t n = strlen(first); CHECK(strlen(out) == 2 * n && !strncmp(out, first, n) && !strcmp(out + n, first)); } /* forgotten is forgotten; a warm cache says the same */
    RUN(0, "Hi\n/reset\nHi\n/retry\n", 0, "chat|-m|%s|--temp|0|-n|5", v3); CHECK(strlen(out) == 3 * strlen(first));
    snprintf(line, sizeof line, "Hi\n/save %s\n/reset\n/load %s\n/tokens\nBye\n", text, text); { char input[1024]; char saved[4096]; strcpy(input, line); RUN(0, input, 0, "chat|-m|%s|--temp|0|-n|5", v3); CHECK(strstr(err, "saved") && strstr(err, "loaded: 2")); strcpy(saved, out);
        RUN(0, "Hi\nBye\n", 0, "chat|-m|%s|--temp|0|-n|5", v3); CHECK(!strcmp(saved, out)); }
    RUN(0, "/load /tmp/there-is-no-such\n/load .\n/save /there/is/no/such\n/save\n/temp x\n/temp 0.5\n/think off\n/think sideways\n/system Be kind.\n/system -\n/retry\n/undo\n", 0, "chat|-m|%s", v3); CHECK(!*out && strstr(err, "can't be"));
    snprintf(line, sizeof line, "/load %s\nHi\n", v3); { char input[1024]; strcpy(input, line); RUN(0, input, 0, "chat|-m|%s|--temp|0|-n|5", v3); CHECK(strstr(err, "no saved conversation") && ends_once(out)); }
    /* a conversation that outgrows the context goes on */
    RUN(0, "Hello, this is more than fits\nHi\n", 0, "chat|-m|%s|--temp|0|-n|3|-c|16", v3); CHECK(strstr(err, "/reset") && strstr(err, "context") && ends_once(out));
    /* nobody reads: a quiet end */
    RUN(0, "", 1, "chat|-m|%s|-p|Hi|--temp|0|-n|30", v3); CHECK(!*err);
    remove(r1); remove(v3); remove(text); g_free(&file);
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed != 0;
}
