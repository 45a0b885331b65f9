// desktop: a C++ program that answers in the background while its window stays alive, and that can be stopped.
//
//     g++ -O3 -std=c++11 examples/desktop.cpp -o desktop -lpthread && ./desktop MODEL.gguf "Why is the sky blue?"
//
// Handles close themselves, errors are exceptions, the answer comes through a function. The "window" prints a dot every 100 ms; Return stops the answer.
#define DSMOE_IMPLEMENTATION
#include "../dsmoe.h"
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace talk {

struct failure : std::runtime_error {
    dsm_status status;
    explicit failure(const dsm_error &e) : std::runtime_error(e.text), status(e.status) {}
};
struct closes {
    void operator()(dsm_model *m) const { dsm_model_close(&m, nullptr); }
    void operator()(dsm_session *s) const { dsm_session_close(&s, nullptr); }
};
using model = std::unique_ptr<dsm_model, closes>;
using session = std::unique_ptr<dsm_session, closes>;

inline model open(const std::string &path) {
    dsm_model_desc desc = {}; dsm_error error; dsm_model *m = nullptr;
    desc.path = path.c_str();
    if (dsm_model_open(&m, &desc, &error) < 0) throw failure(error);
    return model(m);
}
inline session open(dsm_model *m, dsm_session_desc desc = {}) {
    dsm_error error; dsm_session *s = nullptr;
    if (dsm_session_open(&s, m, &desc, &error) < 0) throw failure(error);
    return session(s);
}
inline dsm_message says(dsm_role role, const std::string &text) { return dsm_message{role, text.data(), text.size()}; }

// Calls on_piece for every piece; returns why the answer ended.
inline dsm_reason answer(dsm_session *s, const std::vector<dsm_message> &messages, const std::function<void(const dsm_piece &)> &on_piece, dsm_turn_desc turn = {}) {
    dsm_error error; dsm_piece piece = {};
    turn.messages = messages.data(); turn.n_messages = messages.size();
    dsm_status status = dsm_turn_begin(s, &turn, &error);
    while (status >= 0 && (status = dsm_turn_next(s, 0, &piece, &error)) == DSM_MORE) on_piece(piece);
    if (status >= 0) status = dsm_turn_end(s, &error) < 0 ? error.status : DSM_DONE; else dsm_turn_end(s, nullptr);
    if (status < 0) throw failure(error);
    return piece.reason;
}

} // namespace talk

int main(int argc, char **argv) {
    if (argc > 1 && !std::strcmp(argv[1], "--help")) { std::puts("usage: desktop [MODEL] [QUESTION]"); return 0; }
    try {
        talk::model model = talk::open(argc > 1 ? argv[1] : "examples/pocket.gguf");
        talk::session session = talk::open(model.get());
        const std::string question = argc > 2 ? argv[2] : "Hello, who are you?";
        std::string text, why; std::atomic<bool> done(false);
        std::thread worker([&] {
            try {
                dsm_reason reason = talk::answer(session.get(), {talk::says(DSM_USER, question)}, [&](const dsm_piece &p) { if (p.kind == DSM_PIECE_TEXT) text.append(p.text, p.size); });
                if (reason == DSM_REASON_CANCELLED) why = "stopped";
                if (reason == DSM_REASON_CONTEXT) why = "the context is full";
            } catch (const std::exception &e) { why = e.what(); }
            done = true;
        });
        while (!done) {
            struct pollfd key = {0, POLLIN, 0};
            if (poll(&key, 1, 100) > 0) { if (std::getchar() != EOF) dsm_session_cancel(session.get()); else std::this_thread::sleep_for(std::chrono::milliseconds(100)); }
            if (!done) { std::fputc('.', stderr); std::fflush(stderr); }
        }
        worker.join();
        std::printf("\n%s\n", text.c_str());
        if (!why.empty()) std::fprintf(stderr, "desktop: %s\n", why.c_str());
        return why.empty() || why == "stopped" ? 0 : 1;
    } catch (const std::exception &e) { std::fprintf(stderr, "desktop: %s\n", e.what()); return 1; }
}
