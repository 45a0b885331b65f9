/* phone: the model lies inside a package (an .apk, an .iso, any archive that stores it uncompressed), and the system may ask for memory at any time.

       cc -O3 examples/phone.c -o phone -lm -lpthread
       ./phone PACKAGE OFFSET SIZE "Hello"       the model's bytes are PACKAGE[OFFSET .. OFFSET+SIZE-1]; SIZE 0: to the end

   The offset may be odd. Opening maps the file and reads nothing but its header; dsm_model_warm then pages the weights in, a little at a time, with progress.
   In the background dsm_model_trim gives the pages back, and the conversation is saved so that the process may be killed. */
#define DSMOE_IMPLEMENTATION
#include "../dsmoe.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct memory { char *at; size_t n, room; } memory; /* stands for the application's storage */
static int keep(void *user, const void *from, size_t n) {
    memory *m = (memory *)user;
    if (m->n + n > m->room) { size_t room = 2 * (m->n + n); char *at = (char *)realloc(m->at, room); if (!at) return 1; m->at = at; m->room = room; }
    memcpy(m->at + m->n, from, n); m->n += n;
    return 0;
}
static int give(void *user, uint64_t offset, void *to, size_t n) { const memory *m = (const memory *)user; if (offset > m->n || n > m->n - offset) return 1; memcpy(to, m->at + offset, n); return 0; }
static int progress(void *user, uint64_t done, uint64_t total, const char *what) { (void)user; fprintf(stderr, "\r%s: %3d %%", what, total ? (int)(done * 100 / total) : 100); return 0; }
static void warn(void *user, dsm_level level, const char *text) { (void)user; if (level <= DSM_LOG_WARNING) fprintf(stderr, "%s\n", text); }

static dsm_status ask(dsm_session *session, const dsm_message *messages, size_t n, memory *answer, dsm_error *error) {
    dsm_turn_desc turn = {0}; dsm_piece piece; dsm_status status;
    turn.messages = messages; turn.n_messages = n; turn.max_tokens = 200;
    status = dsm_turn_begin(session, &turn, error);
    while (status >= 0 && (status = dsm_turn_next(session, 10000, &piece, error)) == DSM_MORE) /* 10 ms, then the user interface has its turn */
        if (piece.kind == DSM_PIECE_TEXT) { fwrite(piece.text, 1, piece.size, stdout); fflush(stdout); keep(answer, piece.text, piece.size); }
    puts("");
    return status < 0 ? status : dsm_turn_end(session, error);
}

int main(int argc, char **argv) {
    dsm_model_desc desc = {0}; dsm_session_desc room = {0}; dsm_message messages[3] = { { DSM_USER, NULL, 0 } }; dsm_model *model = NULL; dsm_session *session = NULL; dsm_error error;
    dsm_memory plan; dsm_status status; memory saved = { NULL, 0, 0 }, first = { NULL, 0, 0 }, second = { NULL, 0, 0 }; dsm_writer writer; dsm_reader reader; size_t kept = 0;
    if (argc != 5) { fprintf(stderr, "usage: phone PACKAGE OFFSET SIZE QUESTION\n"); return argc == 2 && !strcmp(argv[1], "--help") ? 0 : 2; }
    desc.use_fd = 1; desc.fd = open(argv[1], O_RDONLY);
    if (desc.fd < 0) { fprintf(stderr, "phone: %s can't be opened\n", argv[1]); return 1; }
    desc.offset = strtoull(argv[2], NULL, 10); desc.size = strtoull(argv[3], NULL, 10);
    desc.log.log = warn; desc.progress.progress = progress;

    /* how much memory will it take? The header alone says it, to the byte */
    desc.header_only = 1; room.context = 1024; room.kv = DSM_KV_Q8_0;
    status = dsm_model_open(&model, &desc, &error);
    if (status >= 0) status = dsm_plan(model, &room, &plan, &error);
    if (status < 0) goto out;
    fprintf(stderr, "\n%.1f MB mapped, %.1f MB for the session\n", (double)plan.weights / 1e6, (double)plan.session_bytes / 1e6);
    dsm_model_close(&model, NULL);

    desc.header_only = 0;
    status = dsm_model_open(&model, &desc, &error);
    while (status >= 0 && (status = dsm_model_warm(model, 5000, &error)) == DSM_MORE) {} /* 5 ms a step, between frames */
    if (status >= 0) status = dsm_session_open(&session, model, &room, &error);
    fprintf(stderr, "\n");
    if (status < 0) goto out;
    messages[0].text = argv[4];
    status = ask(session, messages, 1, &first, &error);
    if (status < 0) goto out;

    /* into the background: save, give memory back, even the session */
    writer.user = &saved; writer.write = keep;
    status = dsm_session_save(session, &writer, &error);
    if (status < 0) goto out;
    dsm_session_close(&session, NULL); dsm_model_trim(model, NULL);
    fprintf(stderr, "in the background: %.1f KB saved\n", (double)saved.n / 1e3);

    /* and back: the conversation goes on from the cache */
    reader.user = &saved; reader.size = saved.n; reader.read_at = give;
    status = dsm_session_open(&session, model, &room, &error);
    if (status >= 0) status = dsm_session_load(session, &reader, &error);
    if (status < 0) goto out;
    kept = dsm_session_length(session);
    fprintf(stderr, "back, with %llu tokens in the cache\n", (unsigned long long)kept);
    messages[1].role = DSM_ASSISTANT; messages[1].text = first.at ? first.at : ""; messages[1].size = first.n;
    messages[2].role = DSM_USER; messages[2].text = "Thank you!"; messages[2].size = 0;
    status = ask(session, messages, 3, &second, &error);
out:
    if (status < 0) fprintf(stderr, "phone: %s\n", error.text);
    dsm_session_close(&session, NULL); dsm_model_close(&model, NULL); close(desc.fd);
    free(saved.at); free(first.at); free(second.at);
    return status < 0;
}
