/* A C++ program that has a conversation, as a desktop application would: descriptors start as {}, callbacks are lambdas, handles close themselves.
     program [MODEL]      without a model it only looks at errors */
#define DSMOE_IMPLEMENTATION
#include "../../dsmoe.h"
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

struct close_model { void operator()(dsm_model *m) const { dsm_model_close(&m, nullptr); } };
struct close_session { void operator()(dsm_session *s) const { dsm_session_close(&s, nullptr); } };

static int fail(const char *what, const dsm_error &error) {
    std::printf("%s: %s: %s\n", what, dsm_status_name(error.status), error.text);
    return 1;
}

int main(int argc, char **argv) {
    dsm_error error{};
    std::vector<std::string> log;
    dsm_model_desc desc{};
    desc.path = argc > 1 ? argv[1] : "no/such/file.gguf";
    desc.threads = 1;
    desc.log.user = &log;
    desc.log.log = [](void *user, dsm_level, const char *text) { static_cast<std::vector<std::string> *>(user)->push_back(text); };
    dsm_model *opened = nullptr;
    dsm_status status = dsm_model_open(&opened, &desc, &error);
    if (argc < 2) return status == DSM_E_IO && !opened && std::string(error.text).find("no/such/file.gguf") != std::string::npos ? 0 : fail("a missing file", error);
    if (status < 0) return fail("open", error);
    std::unique_ptr<dsm_model, close_model> model(opened);

    dsm_session_desc size{};
    size.context = 256;
    dsm_session *started = nullptr;
    if (dsm_session_open(&started, model.get(), &size, &error) < 0) return fail("session", error);
    std::unique_ptr<dsm_session, close_session> session(started);

    std::string answer[2];
    for (std::string &text : answer) { /* twice the same: greedy, so the answers must be the same */
        dsm_message message{};
        message.role = DSM_USER;
        message.text = "Hello, who are you?";
        dsm_turn_desc turn{};
        turn.messages = &message;
        turn.n_messages = 1;
        turn.sampling.temperature = DSM_GREEDY;
        turn.max_tokens = 48;
        if (dsm_turn_begin(session.get(), &turn, &error) < 0) return fail("begin", error);
        dsm_piece piece{};
        while ((status = dsm_turn_next(session.get(), 0, &piece, &error)) == DSM_MORE)
            if (piece.kind == DSM_PIECE_TEXT || piece.kind == DSM_PIECE_THINK) text.append(piece.text, piece.size);
        if (status < 0) return fail("next", error);
        if (dsm_turn_end(session.get(), &error) < 0) return fail("end", error);
    }
    if (answer[0].empty() || answer[0] != answer[1]) { std::printf("the answers are \"%s\" and \"%s\"\n", answer[0].c_str(), answer[1].c_str()); return 1; }
    return 0;
}
