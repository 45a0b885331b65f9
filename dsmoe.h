/* dsmoe.h - v0.1.0 - DeepSeek-family language models on small machines, from one C header - MIT or public domain

   TODO Part I
*/
#if defined(DSMOE_IMPLEMENTATION) && !defined(DSMOE_FEATURES_)
#define DSMOE_FEATURES_ 1 /* before any system header: files beyond 2 GB, mmap and clocks also under -std=c99 */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE 1
#endif
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif
#ifdef __APPLE__
#ifndef _DARWIN_C_SOURCE
#define _DARWIN_C_SOURCE 1
#endif
#endif
#endif

/* ======================================================================= PART II: THE API =========================================================== */
#ifndef DSMOE_H
#define DSMOE_H
#include <stddef.h>
#include <stdint.h>

#define DSM_VERSION "0.1.0"
#define DSM_VERSION_NUMBER 100 /* major * 10000 + minor * 100 + patch */

#ifndef DSMOE_API
#ifdef __cplusplus
#define DSMOE_API extern "C"
#else
#define DSMOE_API extern
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Results. Zero is success, positive is progress, negative is an error. Every function that can fail fills the caller's dsm_error (NULL is fine). ---- */
typedef enum dsm_status {
    DSM_OK = 0,
    DSM_MORE = 1,           /* the time budget is used up: call again */
    DSM_DONE = 2,           /* nothing is left to do */
    DSM_E_ARGUMENT = -1,    /* the caller passed something that can't be right */
    DSM_E_MEMORY = -2,      /* the allocator returned NULL, or the given arena is too small */
    DSM_E_IO = -3,          /* a file can't be opened, mapped or read; a writer failed */
    DSM_E_FORMAT = -4,      /* the file contradicts its format, or itself */
    DSM_E_UNSUPPORTED = -5, /* a valid file that this version does not run */
    DSM_E_CONTEXT = -6,     /* the tokens do not fit into the session's context */
    DSM_E_CANCELLED = -7,   /* dsm_session_cancel, or a progress callback that returned non-zero */
    DSM_E_BUSY = -8,        /* open sessions on a model, or one session used from two threads */
    DSM_E_NUMBER = -9,      /* NaN or infinity where a number must be: the weights are broken */
    DSM_E_SNAPSHOT = -10,   /* a snapshot that is damaged, or of another model or session type */
    DSM_E_THREAD = -11      /* a worker thread can't be started */
} dsm_status;

typedef struct dsm_error {
    dsm_status status;
    char text[240]; /* zero-terminated UTF-8: the thing, what is wrong, what to do */
} dsm_error;

DSMOE_API const char *dsm_status_name(dsm_status status); /* "DSM_E_IO"; "?" for a number that is no status. Thread-safe. */
DSMOE_API const char *dsm_version(void);                   /* DSM_VERSION of the implementation. Thread-safe. */

#define DSM_OFF (-1)       /* "none", where 0 means the default */
#define DSM_GREEDY (-1.0f) /* dsm_sampling.temperature: always the most likely token */

/* ---- The host. Callbacks get `user` first, must not throw, and must not call back into the library. ---- */
typedef struct dsm_allocator { /* zero: malloc and free */
    void *user;
    void *(*alloc)(void *user, size_t size, size_t align); /* align: a power of two, at most 4096. NULL: no memory */
    void (*free)(void *user, void *p, size_t size);        /* size: as it was asked for */
} dsm_allocator;

typedef struct dsm_reader {
    void *user;
    uint64_t size;                                                                /* bytes in all */
    int (*read_at)(void *user, uint64_t offset, void *to, size_t n);              /* 0: all n bytes are there; anything else: failed */
} dsm_reader;

typedef struct dsm_writer {
    void *user;
    int (*write)(void *user, const void *from, size_t n); /* 0: all written */
} dsm_writer;

typedef struct dsm_jobs { /* the host's own job system, instead of the built-in pool */
    void *user;
    int workers; /* how many calls of fn run at once at most, the caller's included; 1 or more */
    void (*parallel_for)(void *user, int n, void (*fn)(void *arg, int i), void *arg); /* fn(arg, i) once for each 0 <= i < n, in any order; returns when all are done */
} dsm_jobs;

typedef enum dsm_level { DSM_LOG_ERROR = 1, DSM_LOG_WARNING = 2, DSM_LOG_INFO = 3 } dsm_level;
typedef struct dsm_log {
    void *user;
    void (*log)(void *user, dsm_level level, const char *text); /* one line, zero-terminated, without a newline */
} dsm_log;

typedef struct dsm_progress {
    void *user;
    int (*progress)(void *user, uint64_t done, uint64_t total, const char *what); /* not 0: cancel */
} dsm_progress;

/* ---- Model: an open file. May be used by any number of sessions and threads at once. ---- */
typedef struct dsm_model dsm_model;
struct dsm_backend;

typedef struct dsm_model_desc {
    /* Exactly one source. */
    const char *path;     /* a GGUF file, or the first shard of one; UTF-8 */
    const void *data;     /* a block of memory of `size` bytes, which stays the caller's and must outlive the model */
    int use_fd, fd;       /* use_fd = 1: a file descriptor that stays the caller's; the model is `size` bytes (0: to its end) from `offset` on */
    uint64_t offset, size;
    dsm_reader reader;    /* callbacks; the bytes are copied */
    int header_only;      /* 1: for dsm_model_info, dsm_plan, tokenising; the weights are not touched */
    int copy;             /* 1: read the weights into memory instead of mapping the file, which then may change or vanish */
    int threads;          /* workers of the built-in pool, the caller included; 0: one for each fast core */
    dsm_jobs jobs;        /* set: used instead of the pool */
    const char *isa;      /* NULL: the best; otherwise a name that dsm_isa_name knows */
    const struct dsm_backend *backend; /* NULL: the CPU */
    dsm_allocator allocator;
    dsm_log log;
    dsm_progress progress;
} dsm_model_desc;

/* Opens a model. *model is NULL after a failure. Errors: ARGUMENT, IO, FORMAT, UNSUPPORTED, MEMORY, THREAD, CANCELLED. */
DSMOE_API dsm_status dsm_model_open(dsm_model **model, const dsm_model_desc *desc, dsm_error *error);
/* Closes it and clears the pointer; NULL or a cleared pointer is fine. BUSY while sessions are open: nothing happened. */
DSMOE_API dsm_status dsm_model_close(dsm_model **model, dsm_error *error);
/* Pages the weights in, at most budget_us microseconds a call (0: all at once): MORE or DONE. Progress goes to the model's callback. */
DSMOE_API dsm_status dsm_model_warm(dsm_model *model, uint64_t budget_us, dsm_error *error);
/* Gives the pages of a mapped file back to the system; they return by themselves when needed. */
DSMOE_API dsm_status dsm_model_trim(dsm_model *model, dsm_error *error);

typedef enum dsm_template { /* how a conversation is written for this model */
    DSM_TEMPLATE_RAW = 1,   /* none known: the texts, one after the other */
    DSM_TEMPLATE_LLM,       /* User: / Assistant: (LLM, Math, MoE-16B, V2) */
    DSM_TEMPLATE_CODER,     /* ### Instruction: / ### Response: */
    DSM_TEMPLATE_V3,        /* <|User|> / <|Assistant|>; also R1-0528, which opens its reasoning itself */
    DSM_TEMPLATE_R1,        /* the same, the template opens the reasoning */
    DSM_TEMPLATE_V31,       /* the template opens or closes it */
    DSM_TEMPLATE_CHATML,
    DSM_TEMPLATE_LLAMA3
} dsm_template;

typedef struct dsm_sampling dsm_sampling;
typedef struct dsm_model_info {
    const char *name, *architecture; /* valid while the model is open; never NULL */
    const char *formats;             /* "Q4_0, Q6_K, F32": the tensors' types, most bytes first */
    uint64_t file_bytes, weight_bytes;
    uint64_t parameters, active;     /* all; those that one token uses */
    int n_layers, n_mtp_layers, width, n_heads, n_kv_heads, n_vocab;
    int latent, n_rot;               /* MLA: width of the latent (0: no MLA) and of the rope part */
    int n_experts, n_experts_used, n_shared;
    int trained_context;
    int vocabulary_only;             /* no weights: tokenising works, sessions don't */
    int has_think;                   /* the vocabulary has <think> and </think> */
    dsm_template chat;
    uint64_t fingerprint;            /* of shapes and types and a sample of the weights; snapshots carry it */
} dsm_model_info;
DSMOE_API dsm_status dsm_model_describe(const dsm_model *model, dsm_model_info *info, dsm_error *error);

typedef struct dsm_key { /* the i-th metadata pair; text and bytes stay the model's */
    const char *name; size_t name_size;
    int type, element; /* GGUF value types; element: of an array */
    uint64_t count;    /* elements of an array, else 1 */
    const char *text; size_t text_size; /* of a string */
    double number;     /* of a number or a bool */
} dsm_key;
typedef struct dsm_tensor {
    const char *name; size_t name_size;
    const char *format;
    int n_dims; uint64_t shape[4]; /* shape[0] is contiguous */
    uint64_t bytes;
    const void *data; /* NULL where header_only */
} dsm_tensor;
DSMOE_API dsm_status dsm_model_key(const dsm_model *model, size_t i, dsm_key *key);          /* DSM_DONE: no such i */
DSMOE_API dsm_status dsm_model_tensor(const dsm_model *model, size_t i, dsm_tensor *tensor); /* DSM_DONE: no such i */
DSMOE_API const char *dsm_isa_name(int i); /* the i-th instruction set that this processor and this build have, worst first; NULL: no such i */
DSMOE_API const char *dsm_model_isa(const dsm_model *model); /* the one in use */
DSMOE_API int dsm_model_threads(const dsm_model *model);     /* workers in use, the caller included */

/* ---- Tokens ---- */
enum { DSM_TOKENIZE_SPECIAL = 1, DSM_TOKENIZE_BOS = 2 }; /* text of special tokens becomes those tokens (never for user text); a BOS first, at most one */
/* Ids of n bytes of text into ids[0 .. cap-1]; *count is how many there are, also where cap is too small (then DSM_MORE). Any bytes are valid
   input. Near-linear in n. Thread-safe; needs temporary memory from the model's allocator for runs of over 500 letters only. */
DSMOE_API dsm_status dsm_tokenize(const dsm_model *model, const char *text, size_t n, int flags, int32_t *ids, size_t cap, size_t *count, dsm_error *error);
/* The raw bytes of ids, control tokens left out unless `special`; *size is the whole length, also where cap is too small (then DSM_MORE). */
DSMOE_API dsm_status dsm_detokenize(const dsm_model *model, const int32_t *ids, size_t n, int special, char *text, size_t cap, size_t *size, dsm_error *error);

typedef enum dsm_token_kind { DSM_TOKEN_NORMAL = 1, DSM_TOKEN_UNKNOWN, DSM_TOKEN_CONTROL, DSM_TOKEN_USER, DSM_TOKEN_UNUSED, DSM_TOKEN_BYTE } dsm_token_kind;
typedef enum dsm_special { DSM_BOS = 1, DSM_EOS, DSM_PAD, DSM_THINK, DSM_END_THINK, DSM_FIM_PREFIX, DSM_FIM_SUFFIX, DSM_FIM_MIDDLE } dsm_special;
DSMOE_API dsm_token_kind dsm_token_get_kind(const dsm_model *model, int32_t id); /* UNUSED for ids outside the vocabulary */
DSMOE_API int32_t dsm_token_special(const dsm_model *model, dsm_special which);  /* its id, or -1 */
DSMOE_API int dsm_token_is_end(const dsm_model *model, int32_t id);              /* 1: it ends an answer */

typedef struct dsm_stream { char held[4]; int n_held; } dsm_stream; /* an unfinished character; starts as {0} */
/* The bytes of the next id, as far as they end whole characters, into out (cap 512 or more is always enough for a token of any
   vocabulary seen); returns how many, or -1: cap too small. id -1: what is still held, at the end. Bytes that can't become a character pass unchanged. */
DSMOE_API int dsm_stream_push(const dsm_model *model, dsm_stream *stream, int32_t id, char *out, size_t cap);

typedef enum dsm_role { DSM_SYSTEM = 1, DSM_USER, DSM_ASSISTANT } dsm_role;
typedef struct dsm_message { dsm_role role; const char *text; size_t size; } dsm_message; /* size 0: up to the zero */
typedef enum dsm_think { DSM_THINK_FREE = 0, DSM_THINK_ON = 1, DSM_THINK_OFF = -1 } dsm_think; /* as the template has it; opened for the model; closed for it */
/* A conversation as the model's own template writes it, up to where the assistant speaks. Message texts never become special tokens; reasoning
   in earlier answers is dropped where the model wants that. Same conventions as dsm_tokenize. */
DSMOE_API dsm_status dsm_chat_format(const dsm_model *model, const dsm_message *messages, size_t n, dsm_think think, int32_t *ids, size_t cap, size_t *count, dsm_error *error);
/* Fill in the middle, for models that have those tokens (UNSUPPORTED otherwise): what stands between prefix and suffix is generated next. */
DSMOE_API dsm_status dsm_fim_format(const dsm_model *model, const char *prefix, size_t n_prefix, const char *suffix, size_t n_suffix, int32_t *ids, size_t cap, size_t *count, dsm_error *error);

/* ---- Session: one timeline of tokens and its cache. Belongs to one thread at a time; only dsm_session_cancel and _progress may come from others. ---- */
typedef struct dsm_session dsm_session;
typedef enum dsm_kv { DSM_KV_F16 = 0, DSM_KV_F32 = 1, DSM_KV_Q8_0 = 2 } dsm_kv;
typedef enum dsm_activations { DSM_ACTIVATIONS_INT8 = 0, DSM_ACTIVATIONS_F32 = 1 } dsm_activations; /* F32: the reference mode, slower */

typedef struct dsm_session_desc {
    int context;                 /* tokens; 0: min(the model's, 4096). May exceed the trained one (a warning) */
    int chunk;                   /* tokens of a prompt computed together; 0: 256 */
    dsm_kv kv;
    dsm_activations activations;
    int exact;                   /* 1: the same bits also for a prompt fed in pieces of any size */
    int all_logits;              /* 1: keep the logits of every position of the last sync, not only of the last */
    void *arena; size_t arena_size; /* NULL: from the model's allocator. Otherwise dsm_plan's session_bytes, aligned to 64 */
} dsm_session_desc;

typedef struct dsm_memory { /* bytes, exact */
    uint64_t weights;           /* of the file, mapped or copied */
    uint64_t model_bytes;       /* allocated by dsm_model_open beside the weights */
    uint64_t cache, scratch, tables; /* of a session */
    uint64_t session_bytes;     /* their sum as allocated: one block */
    uint64_t thread_stacks;     /* of the model's pool */
    uint64_t device;
    uint64_t per_token;         /* of cache, for one more token of context */
} dsm_memory;
/* What a session with this descriptor takes. A header_only model is enough. Thread-safe. */
DSMOE_API dsm_status dsm_plan(const dsm_model *model, const dsm_session_desc *desc, dsm_memory *memory, dsm_error *error);
/* The largest context whose session fits into `bytes` (desc->context is ignored); 0 where none does. */
DSMOE_API dsm_status dsm_plan_context(const dsm_model *model, const dsm_session_desc *desc, uint64_t bytes, int *context, dsm_error *error);

DSMOE_API dsm_status dsm_session_open(dsm_session **session, dsm_model *model, const dsm_session_desc *desc, dsm_error *error);
DSMOE_API dsm_status dsm_session_close(dsm_session **session, dsm_error *error);
/* States the whole token prefix. Keeps what the cache has in common with it, forgets the rest, computes nothing yet; *kept (may be NULL): tokens
   that need no work. CONTEXT: n exceeds the context; nothing changed. */
DSMOE_API dsm_status dsm_session_sync(dsm_session *session, const int32_t *tokens, size_t n, size_t *kept, dsm_error *error);
/* Computes what sync asked for, for at most budget_us microseconds (0: all of it): MORE or DONE. */
DSMOE_API dsm_status dsm_session_step(dsm_session *session, uint64_t budget_us, dsm_error *error);
/* Chooses the next token from the last logits, appends it and computes it, under the same kind of budget: MORE, or DONE with *token set. The token is
   chosen in the first call. CONTEXT: full; nothing changed. sampling NULL: greedy. */
DSMOE_API dsm_status dsm_session_next(dsm_session *session, const dsm_sampling *sampling, uint64_t budget_us, int32_t *token, dsm_error *error);
DSMOE_API void dsm_session_cancel(dsm_session *session); /* from any thread: the running or next step returns CANCELLED; what was computed stays */
DSMOE_API dsm_status dsm_session_progress(const dsm_session *session, uint64_t *done, uint64_t *wanted); /* tokens; from any thread */
/* The model's own logits: row NULL-safe pointer to n_vocab floats, writable (mask or bias them before dsm_session_next). i: the position with
   all_logits, or DSM_OFF for the last. NULL: not computed. Valid until the next call on the session. */
DSMOE_API float *dsm_session_logits(dsm_session *session, int64_t i);
DSMOE_API dsm_status dsm_session_rewind(dsm_session *session, size_t n, dsm_error *error); /* keep the first n tokens; the logits are gone until the next step */
DSMOE_API size_t dsm_session_length(const dsm_session *session);              /* tokens on the timeline */
DSMOE_API const int32_t *dsm_session_tokens(const dsm_session *session);
DSMOE_API size_t dsm_session_context(const dsm_session *session);
/* `to`, another session of the same model and type, takes over the first n positions of `from`. */
DSMOE_API dsm_status dsm_session_fork(dsm_session *to, const dsm_session *from, size_t n, dsm_error *error);
/* Snapshots: tokens and cache, checksummed, portable between machines, refused by fingerprint for another model, cache or activation type.
   load is whole or leaves the session unchanged. Errors: IO, SNAPSHOT, CONTEXT. */
DSMOE_API dsm_status dsm_session_save(const dsm_session *session, const dsm_writer *writer, dsm_error *error);
DSMOE_API dsm_status dsm_session_load(dsm_session *session, const dsm_reader *reader, dsm_error *error);

typedef struct dsm_stats {
    uint64_t prompt_tokens, prompt_us; /* computed by dsm_session_step */
    uint64_t decode_tokens, decode_us; /* computed by dsm_session_next */
    uint64_t bytes_per_token;          /* of weights and cache that one more token reads */
    uint64_t macs_per_prompt_token;    /* multiply-adds of a prompt token, the output matrix left out */
    uint64_t longest_stage_us;         /* the longest piece between two looks at the clock */
} dsm_stats;
DSMOE_API dsm_status dsm_session_stats(const dsm_session *session, dsm_stats *stats);
DSMOE_API void dsm_session_stats_reset(dsm_session *session);

/* ---- Choosing a token ---- */
typedef struct dsm_bias { int32_t id; float add; } dsm_bias;
struct dsm_sampling {         /* zero: the model's recommended values, see dsm_sampling_default */
    float temperature;        /* DSM_GREEDY: the most likely, penalties ignored */
    int top_k;                /* DSM_OFF: all */
    float top_p, min_p;       /* (0, 1]; 0: default; DSM_OFF: none */
    float repetition_penalty; /* > 1: positive logits of recent tokens are divided by it, negative multiplied; DSM_OFF: none */
    int repetition_window;    /* recent tokens that count; 0: 64 */
    uint64_t seed;            /* 0 is a seed like any other */
    const dsm_bias *bias; int n_bias;
    void *mask_user;          /* before choosing: set the logits of forbidden ids to -INFINITY. position: of the token to choose */
    void (*mask)(void *user, float *logits, int n_vocab, uint64_t position);
};
DSMOE_API dsm_status dsm_sampling_default(const dsm_model *model, dsm_sampling *sampling, dsm_error *error); /* the family's values, all fields explicit */

typedef struct dsm_choice { int32_t id; float logprob; } dsm_choice; /* ln of its probability under the model's own logits, after bias and mask */
/* Pure: chooses from n_vocab logits (which it overwrites). Order: bias, mask, penalty, temperature, top-k, top-p, min-p, draw; ties go to the lower id; the random number
   is a hash of (seed, position). recent: the timeline's last tokens. top[0 .. n_top-1]: the likeliest ids, at most 256; n_top DSM_OFF: no log-probabilities at
   all, which is faster. Temperature zero is an error here (there is no model to ask), zero elsewhere means none. NUMBER: no logit is finite. Thread-safe. */
DSMOE_API dsm_status dsm_pick(float *logits, int n_vocab, const dsm_sampling *sampling, const int32_t *recent, size_t n_recent, uint64_t position,
                              dsm_choice *choice, dsm_choice *top, int n_top, dsm_error *error);

/* ---- A turn: messages in, pieces of an answer out ---- */
typedef struct dsm_turn_desc {
    const dsm_message *messages; size_t n_messages; /* the whole conversation; what the cache holds of it is reused */
    const int32_t *prompt; size_t n_prompt;         /* instead of messages: ids as they are */
    dsm_sampling sampling;
    dsm_think think;
    int think_budget;       /* reasoning tokens after which it is closed by force; 0 or DSM_OFF: none */
    int max_tokens;         /* of reasoning and answer together; 0: until the end token or a full context */
    const char *const *stop; int n_stop; /* strings that end the answer and are not part of it; at most 16 of at most 64 bytes */
    int n_top;              /* the likeliest alternatives of every token, at most 20 */
} dsm_turn_desc; /* everything it points to must stay until dsm_turn_end */

typedef enum dsm_piece_kind { DSM_PIECE_NONE = 0, DSM_PIECE_THINK, DSM_PIECE_TEXT, DSM_PIECE_END } dsm_piece_kind;
typedef enum dsm_reason { DSM_REASON_NONE = 0, DSM_REASON_END_TOKEN, DSM_REASON_STOP, DSM_REASON_LENGTH, DSM_REASON_CONTEXT, DSM_REASON_CANCELLED } dsm_reason;
typedef struct dsm_piece {
    dsm_piece_kind kind;
    const char *text; size_t size; /* whole characters; the session's, until the next call */
    int32_t id; float logprob;     /* the newest token */
    const dsm_choice *top; int n_top;
    dsm_reason reason;             /* with DSM_PIECE_END */
} dsm_piece;
/* Tokenises, and syncs the session. CONTEXT: the prompt does not fit. ARGUMENT: no messages, or too many stop strings. */
DSMOE_API dsm_status dsm_turn_begin(dsm_session *session, const dsm_turn_desc *desc, dsm_error *error);
/* Works for at most budget_us (0: until there is something to say). MORE: piece->kind is NONE (still computing the prompt or the token),
   THINK or TEXT; DONE: END, with the reason. A full context, a cancellation and a limit are reasons, not errors. */
DSMOE_API dsm_status dsm_turn_next(dsm_session *session, uint64_t budget_us, dsm_piece *piece, dsm_error *error);
/* Ends the turn, also in the middle. The reasoning leaves the timeline, which goes back to before it; the cache of what stands before stays warm, and the next turn computes only what is new. */
DSMOE_API dsm_status dsm_turn_end(dsm_session *session, dsm_error *error);

/* ---- Formats ---- */
DSMOE_API const char *dsm_format_name(int i); /* the i-th tensor format; NULL: no such i */
DSMOE_API dsm_status dsm_format_bytes(const char *format, size_t n, size_t *bytes, dsm_error *error); /* of a row of n weights */
DSMOE_API dsm_status dsm_dequantize_row(const char *format, const void *from, float *to, size_t n, dsm_error *error);
/* importance: n weights of the columns, or NULL. Not every format can be written: UNSUPPORTED. */
DSMOE_API dsm_status dsm_quantize_row(const char *format, const float *from, const float *importance, void *to, size_t n, dsm_error *error);

#ifdef __cplusplus
}
#endif
#endif /* DSMOE_H */
/* You may stop reading here. */

/* ====================================================================== PART III: THE ROOMS ========================================================== */
#if defined(DSMOE_IMPLEMENTATION) && !defined(DSM__PASS)
#ifndef DSMOE_IMPLEMENTED
#define DSMOE_IMPLEMENTED 1
#ifdef __cplusplus
extern "C" {
#endif

// >>base
/* Compiler macros, build switches, hooks, checked arithmetic, unaligned loads. What every room may use. Knows no model, no file, no system.
   Test: tests/base.c */
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#ifdef __FAST_MATH__
#error "dsmoe: results are bit-identical only under IEEE arithmetic; do not use -ffast-math"
#endif
#if !defined(__GNUC__) || defined(__TINYC__)
#error "dsmoe: needs gcc or clang (their vector and atomic builtins)"
#endif
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "dsmoe: little-endian machines only; model files are read in place"
#endif
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC push_options
#pragma GCC optimize("fp-contract=off") /* gcc's default makes fmas of a * b + c; popped at the end */
#endif

/* Build switches: define to 1 before including, each leaves something out. */
#ifndef DSMOE_SCALAR_ONLY
#define DSMOE_SCALAR_ONLY 0 /* no SIMD: small and slow, the same bits */
#endif
#ifndef DSMOE_NO_AVX2
#define DSMOE_NO_AVX2 DSMOE_SCALAR_ONLY
#endif
#ifndef DSMOE_NO_AVX512
#define DSMOE_NO_AVX512 DSMOE_SCALAR_ONLY /* the 512-bit and the 256-bit VNNI passes */
#endif
#ifndef DSMOE_NO_NEON
#define DSMOE_NO_NEON DSMOE_SCALAR_ONLY
#endif
#ifndef DSMOE_NO_DOTPROD
#define DSMOE_NO_DOTPROD DSMOE_NO_NEON
#endif
#ifndef DSMOE_NO_THREADS
#define DSMOE_NO_THREADS 0 /* no pool: everything on the caller's thread, or on its jobs */
#endif

#define DSM__UNUSED __attribute__((unused))
#define DSM__FN static DSM__UNUSED /* every private function: a program may use only a part */

#define DSM__COUNT(array) (sizeof(array) / sizeof((array)[0]))

typedef struct dsm__str { const char *at; size_t n; } dsm__str; /* bytes of somebody else, no final zero */
DSM__FN dsm__str dsm__str_of(const char *z) { dsm__str s; s.at = z; s.n = z ? strlen(z) : 0; return s; }
DSM__FN dsm__str dsm__str_n(const char *at, size_t n) { dsm__str s; s.at = at; s.n = n; return s; }
DSM__FN int dsm__str_same(dsm__str a, dsm__str b) { return a.n == b.n && (!a.n || !memcmp(a.at, b.at, a.n)); }
DSM__FN int dsm__str_is(dsm__str a, const char *z) { return dsm__str_same(a, dsm__str_of(z)); }
DSM__FN int dsm__str_has(dsm__str a, const char *z) { /* z occurs in a */
    size_t n = strlen(z);
    for (size_t i = 0; n <= a.n && i <= a.n - n; i++) if (a.at[i] == z[0] && !memcmp(a.at + i, z, n)) return 1;
    return !n;
}

/* Checked arithmetic: 0 where the result does not fit, and then *out is untouched. */
DSM__FN int dsm__add64(uint64_t a, uint64_t b, uint64_t *out) { if (a > UINT64_MAX - b) return 0; *out = a + b; return 1; }
DSM__FN int dsm__mul64(uint64_t a, uint64_t b, uint64_t *out) { if (b && a > UINT64_MAX / b) return 0; *out = a * b; return 1; }
DSM__FN int dsm__to_size(uint64_t a, size_t *out) { if (a > SIZE_MAX) return 0; *out = (size_t)a; return 1; }
DSM__FN uint64_t dsm__round_up(uint64_t a, uint64_t to) { return (a + to - 1) / to * to; } /* a far below 2^64 */

DSM__FN uint16_t dsm__load16(const void *p) { uint16_t v; memcpy(&v, p, 2); return v; }
DSM__FN uint32_t dsm__load32(const void *p) { uint32_t v; memcpy(&v, p, 4); return v; }
DSM__FN uint64_t dsm__load64(const void *p) { uint64_t v; memcpy(&v, p, 8); return v; }

DSM__FN uint64_t dsm__hash(const void *data, size_t n, uint64_t h) { /* not against attackers; start with any h */
    const uint8_t *p = (const uint8_t *)data;
    h ^= (uint64_t)n * 0x9E3779B97F4A7C15u;
    for (; n >= 8; n -= 8, p += 8) { h = (h ^ dsm__load64(p)) * 0xFF51AFD7ED558CCDu; h ^= h >> 32; }
    for (; n; n--, p++) h = (h ^ *p) * 0x9E3779B97F4A7C15u;
    h ^= h >> 29; h *= 0xC4CEB9FE1A85EC53u; return h ^ h >> 32;
}

// >>os
/* The only room with headers of the operating system: files, mappings, threads, clocks. Functions return 0 or an errno; they report nothing.
   POSIX only so far. Test: tests/file.c, tests/pool.c */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#if !DSMOE_NO_THREADS
#include <pthread.h>
#endif
#if defined(__linux__) && (defined(__aarch64__) || defined(__arm__))
#include <sys/auxv.h>
#endif
#if (defined(__GLIBC__) && !defined(__USE_MISC)) || !defined(CLOCK_MONOTONIC)
#error "dsmoe: a system header came first and hid what is needed under this -std=. Include dsmoe.h (with DSMOE_IMPLEMENTATION) before system headers, or compile with -D_DEFAULT_SOURCE"
#endif

typedef struct dsm__os_map { uint8_t *at, *base; size_t size, base_size; } dsm__os_map; /* at: what was asked for; base: whole pages around it */

DSM__FN uint64_t dsm__os_clock_us(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u; }

DSM__FN int dsm__os_open(const char *path, int *fd) {
    do *fd = open(path, O_RDONLY | O_CLOEXEC); while (*fd < 0 && errno == EINTR);
    return *fd < 0 ? errno : 0;
}
DSM__FN void dsm__os_close(int fd) { close(fd); }
DSM__FN int dsm__os_size(int fd, uint64_t *size) { /* of a regular file; EINVAL for anything else */
    struct stat s;
    if (fstat(fd, &s)) return errno;
    if (S_ISDIR(s.st_mode)) return EISDIR;
    if (!S_ISREG(s.st_mode)) return EINVAL;
    *size = (uint64_t)s.st_size; return 0;
}
DSM__FN int dsm__os_read_at(int fd, uint64_t offset, void *to, size_t n) { /* all n bytes, or an error; EIO at the end of the file */
    uint8_t *p = (uint8_t *)to;
    while (n) {
        ssize_t got = pread(fd, p, n > 1u << 30 ? 1u << 30 : n, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return got ? errno : EIO;
        p += got; offset += (uint64_t)got; n -= (size_t)got;
    }
    return 0;
}
DSM__FN int dsm__os_map_file(int fd, uint64_t offset, size_t size, dsm__os_map *map) { /* read-only; any offset */
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), start = offset / page * page; void *p;
    memset(map, 0, sizeof *map);
    if (!size) return EINVAL;
    map->base_size = size + (size_t)(offset - start);
    p = mmap(NULL, map->base_size, PROT_READ, MAP_SHARED, fd, (off_t)start);
    if (p == MAP_FAILED) { memset(map, 0, sizeof *map); return errno; }
    map->base = (uint8_t *)p; map->at = map->base + (offset - start); map->size = size;
    return 0;
}
DSM__FN void dsm__os_unmap(dsm__os_map *map) { if (map->base) munmap(map->base, map->base_size); memset(map, 0, sizeof *map); }
typedef enum dsm__os_advice { DSM__OS_WILL_NEED = 1, DSM__OS_DONT_NEED } dsm__os_advice;
DSM__FN void dsm__os_advise(const void *at, size_t n, dsm__os_advice advice) { /* of mapped pages; a hint */
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), a = (uintptr_t)at / page * page, z = (uintptr_t)at + n;
    madvise((void *)a, (size_t)(z - a), advice == DSM__OS_WILL_NEED ? MADV_WILLNEED : MADV_DONTNEED);
}
DSM__FN void *dsm__os_alloc(size_t size, size_t align) { void *p = NULL; return posix_memalign(&p, align < sizeof(void *) ? sizeof(void *) : align, size ? size : 1) ? NULL : p; }
DSM__FN void dsm__os_free(void *p) { free(p); }
DSM__FN const char *dsm__os_why(int e) { /* strerror is not thread-safe everywhere */
    switch (e) {
    case ENOENT: return "no such file"; case EACCES: case EPERM: return "permission denied"; case EISDIR: return "it is a directory";
    case EMFILE: case ENFILE: return "too many open files"; case ENOMEM: return "out of memory"; case EIO: return "read error, or the file is shorter than it says";
    case EINVAL: return "not a regular file"; case ENAMETOOLONG: return "the name is too long"; case EAGAIN: return "no more threads"; default: return "system error"; }
}
DSM__FN int dsm__os_fast_cores(void) { /* cores that this process may use, and on big.LITTLE only the fast kind */
    long n = sysconf(_SC_NPROCESSORS_ONLN); int fast = 0; long top = 0;
#if defined(__linux__)
    { /* the affinity mask as the kernel prints it: a cgroup or taskset may allow fewer than are online */
        char b[4096]; int fd, allowed = 0; ssize_t got = 0;
        if (!dsm__os_open("/proc/self/status", &fd)) {
            do got = read(fd, b, sizeof b - 1); while (got < 0 && errno == EINTR);
            close(fd); b[got > 0 ? got : 0] = 0;
            const char *p = strstr(b, "\nCpus_allowed:");
            if (p) for (p += 14; *p && *p != '\n'; p++) {
                int v = *p >= '0' && *p <= '9' ? *p - '0' : *p >= 'a' && *p <= 'f' ? *p - 'a' + 10 : 0;
                allowed += (v & 1) + (v >> 1 & 1) + (v >> 2 & 1) + (v >> 3 & 1); }
        }
        if (allowed > 0 && allowed < n) n = allowed;
    }
    for (int pass = 0; pass < 2; pass++) for (int i = 0; i < 64; i++) { /* pass 0: the highest clock; pass 1: how many come within 80 % of it */
        char name[80] = "/sys/devices/system/cpu/cpu", *z = name + strlen(name), b[32]; int fd; ssize_t got; long clock = 0;
        if (i >= 10) *z++ = (char)('0' + i / 10);
        *z++ = (char)('0' + i % 10); strcpy(z, "/cpufreq/cpuinfo_max_freq");
        if (dsm__os_open(name, &fd)) break;
        got = read(fd, b, sizeof b - 1); close(fd);
        for (ssize_t j = 0; j < got && b[j] >= '0' && b[j] <= '9'; j++) clock = clock * 10 + (b[j] - '0');
        if (!pass && clock > top) top = clock;
        if (pass && clock * 5 >= top * 4) fast++;
    }
#else
    (void)top;
#endif
    if (fast > 0 && fast < n) n = fast;
    return n < 1 ? 1 : n > 256 ? 256 : (int)n;
}
#if !DSMOE_NO_THREADS
typedef pthread_mutex_t dsm__os_mutex;
typedef pthread_cond_t dsm__os_cond;
typedef pthread_t dsm__os_thread;
enum { DSM__OS_STACK = 256 * 1024 }; /* of a worker; kernels keep their scratch elsewhere */
DSM__FN int dsm__os_thread_start(dsm__os_thread *t, void *(*fn)(void *), void *arg) {
    pthread_attr_t a; int e = pthread_attr_init(&a);
    if (e) return e;
    e = pthread_attr_setstacksize(&a, DSM__OS_STACK);
    if (!e) e = pthread_create(t, &a, fn, arg);
    pthread_attr_destroy(&a); return e;
}
#endif

// >>mem
/* The only room that calls the allocator, and the arena: one block that is laid out twice by the same code, first without memory (to count) and then
   with it, so that a plan cannot differ from the use. Test: tests/plan.c, tests/oom.c */
enum { DSM__ALIGN = 64 }; /* of everything */
DSM__FN void *dsm__mem_alloc(const dsm_allocator *a, size_t n) { /* zeroed; NULL: no memory */
    void *p = a->alloc ? a->alloc(a->user, n ? n : 1, DSM__ALIGN) : dsm__os_alloc(n ? n : 1, DSM__ALIGN);
    if (p) memset(p, 0, n);
    return p;
}
DSM__FN void dsm__mem_free(const dsm_allocator *a, void *p, size_t n) {
    if (!p) return;
    if (a->alloc) a->free(a->user, p, n ? n : 1); else dsm__os_free(p);
}
typedef struct dsm__arena { uint8_t *base; uint64_t size, used; int wrapped; } dsm__arena; /* base NULL: counting only. wrapped: a size did not fit 64 bits */
/* count x size bytes, aligned; NULL while counting. Whoever lays out checks `wrapped` and used <= size once at the end. */
DSM__FN void *dsm__mem_take(dsm__arena *m, uint64_t count, uint64_t size) {
    uint64_t n, z, at = m->used;
    if (!dsm__mul64(count, size, &n) || n > UINT64_MAX / 4 || !dsm__add64(at, dsm__round_up(n, DSM__ALIGN), &z) || z > UINT64_MAX / 4) { m->wrapped = 1; return NULL; }
    m->used = z;
    return m->base && z <= m->size ? m->base + at : NULL;
}

// >>err
/* Every message, as one list, and the log. A message names the thing, says what is wrong, and what to do where that helps. `%` in a message is the next
   argument, a text or a number; user text is never a format. Test: tests/misuse.c */
typedef struct dsm__arg { const char *at; size_t n; int64_t value; int kind; } dsm__arg; /* kind 0: text, 1: signed, 2: unsigned */
DSM__FN dsm__arg dsm__t(dsm__str s) { dsm__arg a; memset(&a, 0, sizeof a); a.at = s.at; a.n = s.n; return a; }
DSM__FN dsm__arg dsm__s(const char *z) { return dsm__t(dsm__str_of(z)); }
DSM__FN dsm__arg dsm__i(int64_t v) { dsm__arg a; memset(&a, 0, sizeof a); a.value = v; a.kind = 1; return a; }
DSM__FN dsm__arg dsm__u(uint64_t v) { dsm__arg a = dsm__i((int64_t)v); a.kind = 2; return a; }

/* X(name, status, message). Rooms keep their messages together. */
#define DSM__ERR_LIST(X) \
    /* desk and mem */ \
    X(ARGUMENT, DSM_E_ARGUMENT, "%: %") \
    X(NO_MEMORY, DSM_E_MEMORY, "% bytes for % are not available") \
    X(ARENA, DSM_E_MEMORY, "the given arena has % bytes, this session needs %") \
    X(TOO_LARGE, DSM_E_MEMORY, "% does not fit into this machine's address space") \
    X(CANCELLED, DSM_E_CANCELLED, "% was cancelled") \
    X(SESSIONS_OPEN, DSM_E_BUSY, "the model has % open session(s): close them first") \
    X(SESSION_BUSY, DSM_E_BUSY, "the session is being used by another thread") \
    X(THREAD, DSM_E_THREAD, "worker thread % can't be started: %") \
    X(ISA, DSM_E_ARGUMENT, "instruction set '%' is not known here; usable: %") \
    /* os */ \
    X(OPEN, DSM_E_IO, "%: can't be opened: %") \
    X(READ, DSM_E_IO, "%: can't be read: %") \
    X(MAP, DSM_E_IO, "%: can't be mapped: %") \
    /* file */ \
    /* tok */ \
    /* arch */ \
    /* kv, run, backend */ \
    /* pick, turn */ \
    X(SAMPLING, DSM_E_ARGUMENT, "sampling: % %") \
    X(BIAS_ID, DSM_E_ARGUMENT, "sampling: bias % is for id %, the vocabulary has ids 0 to below %") \
    X(BIAS_ADD, DSM_E_ARGUMENT, "sampling: bias %, for id %, adds NaN or infinity") \
    X(NO_CHOICE, DSM_E_NUMBER, "not one of % logits is a finite number: the weights are broken, or a mask forbids every token")
#define DSM__X(name, status, text) DSM__ERR_##name,
typedef enum dsm__err_id { DSM__ERR_LIST(DSM__X) DSM__ERR_COUNT } dsm__err_id;
#undef DSM__X
DSM__FN size_t dsm__err_text(char *to, size_t cap, const char *format, va_list args) { /* always zero-terminated; cut at a whole character */
    size_t n = 0;
    for (; *format && n + 1 < cap; format++) {
        char digits[24]; const char *p = format; size_t z = 1;
        if (*format == '%') {
            dsm__arg a = va_arg(args, dsm__arg);
            if (a.kind) {
                char *d = digits + sizeof digits; int minus = a.kind == 1 && a.value < 0;
                uint64_t v = minus ? 0 - (uint64_t)a.value : (uint64_t)a.value;
                do *--d = (char)('0' + v % 10); while (v /= 10);
                if (minus) *--d = '-';
                p = d; z = (size_t)(digits + sizeof digits - d);
            } else { p = a.at; z = a.n > 120 ? 120 : a.n; }
        }
        for (size_t i = 0; i < z && n + 1 < cap; i++) to[n++] = (unsigned char)p[i] < 32 || p[i] == 127 ? '?' : p[i];
    }
    if (*format) while (n && (to[n - 1] & 0xC0) == 0x80) n--; /* no half character at the cut */
    if (*format && n && (to[n - 1] & 0x80)) n--;
    to[n] = 0; return n;
}
/* Fills the error and returns its status. Every further argument is a dsm__arg. */
DSM__FN dsm_status dsm__err(dsm_error *error, dsm__err_id id, ...) {
    static const struct { dsm_status status; const char *text; } list[] = {
#define DSM__X(name, status, text) { status, text },
        DSM__ERR_LIST(DSM__X)
#undef DSM__X
    };
    if (error) {
        va_list args;
        va_start(args, id); dsm__err_text(error->text, sizeof error->text, list[id].text, args); va_end(args);
        error->status = list[id].status;
    }
    return list[id].status;
}
DSM__FN void dsm__err_log(const dsm_log *log, dsm_level level, const char *format, ...) {
    char text[240]; va_list args;
    if (!log->log) return;
    va_start(args, format); dsm__err_text(text, sizeof text, format, args); va_end(args);
    log->log(log->user, level, text);
}

// >>num
/* Numbers: f16, bf16, e8m0 conversions; exp, log, sin and cos of our own, so that results do not depend on a libm; the random hash. Each is exact IEEE
   operations in a fixed order. Test: tests/num.c */
DSM__FN float dsm__num_bits(uint32_t u) { float f; memcpy(&f, &u, 4); return f; }
DSM__FN uint32_t dsm__num_as_bits(float f) { uint32_t u; memcpy(&u, &f, 4); return u; }
DSM__FN int dsm__num_finite(float f) { return (dsm__num_as_bits(f) & 0x7f800000u) != 0x7f800000u; }
DSM__FN float dsm__num_half(uint16_t h) { /* IEEE binary16, exact */
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, e = h >> 10 & 31u, m = h & 1023u;
    if (e == 0) { float a = (float)m * 5.9604644775390625e-8f; return sign ? -a : a; }
    return dsm__num_bits(sign | (e == 31 ? 0x7f800000u : (e + 112) << 23) | m << 13);
}
DSM__FN uint16_t dsm__num_to_half(float f) { /* nearest even; beyond 65504: infinity; NaN stays one */
    uint32_t u = dsm__num_as_bits(f), sign = u >> 16 & 0x8000u, a = u & 0x7fffffffu;
    if (a > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (a >> 13 & 0x3ffu));
    if (a >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u);
    if (a < 0x38800000u) { /* subnormal: adding 0.5 leaves the rounded mantissa in the low bits */
        float t = dsm__num_bits(a) + .5f; return (uint16_t)(sign | (dsm__num_as_bits(t) - 0x3f000000u)); }
    return (uint16_t)(sign | ((a + 0xfffu + (a >> 13 & 1u)) - 0x38000000u) >> 13);
}
DSM__FN uint16_t dsm__num_to_half_saturating(float f) { uint16_t h = dsm__num_to_half(f); return (h & 0x7fffu) == 0x7c00u ? (uint16_t)((h & 0x8000u) | 0x7bffu) : h; } /* for caches: 65504 at most */
DSM__FN float dsm__num_bf16(uint16_t h) { return dsm__num_bits((uint32_t)h << 16); }
DSM__FN float dsm__num_e8m0_half(uint8_t e) { return dsm__num_bits(e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23); } /* 2^(e-128); 255: 2^127 */

/* exp for attention, router, SwiGLU and sampler: x is clamped to [-87, 88]; below -87: exactly 0. Cody-Waite and a polynomial of degree 7, every step an fma,
   so that vector lanes give the same bits. Relative error below 1.3e-7 (the test measures it). */
#define DSM__EXP_LOG2E 1.44269504088896341f
#define DSM__EXP_HI 0.693145751953125f
#define DSM__EXP_LO 1.42860682030941723e-6f
#define DSM__EXP_SHIFT 12582912.f /* 1.5 * 2^23 */
#define DSM__EXP_MIN -87.f
#define DSM__EXP_MAX 88.f
static const float dsm__num_exp_poly[6] = { 1.9875691e-4f, 1.3981999e-3f, 8.3334519e-3f, 4.1665795e-2f, 1.6666665e-1f, 5.0000001e-1f };
DSM__FN float dsm__num_exp(float x) {
    float k, r, p, y = x > DSM__EXP_MAX ? DSM__EXP_MAX : x; uint32_t e;
    if (!(x >= DSM__EXP_MIN)) return x != x ? x : 0;
    k = fmaf(y, DSM__EXP_LOG2E, DSM__EXP_SHIFT); e = dsm__num_as_bits(k) << 23; k -= DSM__EXP_SHIFT;
    r = fmaf(k, -DSM__EXP_HI, y); r = fmaf(k, -DSM__EXP_LO, r);
    p = dsm__num_exp_poly[0];
    for (int i = 1; i < 6; i++) p = fmaf(p, r, dsm__num_exp_poly[i]);
    p = fmaf(p, r * r, r) + 1.f;
    return dsm__num_bits(dsm__num_as_bits(p) + e);
}
/* Doubles, for tables that are made once (RoPE) and for log-probabilities. */
DSM__FN double dsm__num_log64(double x) { /* x > 0 and finite */
    int64_t u, k; int e = 0; double f, s, z, p;
    memcpy(&u, &x, 8);
    if (u < 0x0010000000000000) { x *= 18014398509481984.0; memcpy(&u, &x, 8); e = -54; }
    k = (u - 0x3fe6a09e667f3bcd) >> 52; /* x = f * 2^k, sqrt(1/2) <= f < sqrt(2) */
    e += (int)k; u -= k * 0x10000000000000; memcpy(&f, &u, 8);
    f -= 1; s = f / (2 + f); z = s * s; p = 0; /* ln(1+f) = 2 atanh(f / (2+f)) */
    for (int i = 23; i >= 3; i -= 2) p = p * z + 1.0 / i;
    return e * 6.93147180369123816490e-01 + (2 * s + (2 * s * z * p + e * 1.90821492927058770002e-10));
}
DSM__FN double dsm__num_exp64(double x) {
    double k, r, p = 1; int64_t u;
    if (!(x > -700)) return x != x ? x : 0;
    if (x > 700) x = 700;
    k = x * 1.4426950408889634 + 6755399441055744.0; memcpy(&u, &k, 8); k -= 6755399441055744.0;
    r = (x - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10;
    for (int i = 14; i >= 1; i--) p = p * r / i + 1;
    u = (int64_t)((uint64_t)u << 52); { int64_t v; memcpy(&v, &p, 8); v += u; memcpy(&p, &v, 8); }
    return p;
}
DSM__FN double dsm__num_pow64(double base, double power) { return dsm__num_exp64(power * dsm__num_log64(base)); } /* base > 0 */
DSM__FN void dsm__num_sincos64(double x, double *sine, double *cosine) { /* |x| < 2^30: three pieces of pi/2 keep 1e-14 */
    double k = x * 0.63661977236758134308 + 6755399441055744.0, r, z, s = 0, c = 0; int64_t q;
    memcpy(&q, &k, 8); k -= 6755399441055744.0;
    r = ((x - k * 1.57079632673412561417e+00) - k * 6.07710050630396597660e-11) - k * 2.02226624879595063154e-21;
    z = r * r;
    for (int i = 19; i >= 3; i -= 2) s = (s + 1) * -z / (i * (i - 1));
    for (int i = 18; i >= 2; i -= 2) c = (c + 1) * -z / (i * (i - 1));
    s = r + r * s; c = 1 + c;
    *sine = q & 2 ? -(q & 1 ? c : s) : q & 1 ? c : s;
    *cosine = (q + 1) & 2 ? -(q & 1 ? s : c) : q & 1 ? s : c;
}
DSM__FN uint64_t dsm__num_random(uint64_t seed, uint64_t at) { /* splitmix64 of both: the same for the same pair, whatever was asked before */
    uint64_t z = seed * 0xD1342543DE82EF95u + at * 0x9E3779B97F4A7C15u + 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u; z = (z ^ z >> 27) * 0x94D049BB133111EBu; return z ^ z >> 31;
}

// >>fmt
/* (being built) */

// >>cpu
/* (being built) */

// >>kern
/* (being built) */

// >>pool
/* (being built) */

// >>json
/* (being built) */

// >>file
/* (being built) */

// >>tok
/* (being built) */

// >>arch
/* (being built) */

// >>kv
/* (being built) */

// >>nn
/* (being built) */

// >>backend
/* (being built) */

// >>run
/* (being built) */

// >>pick
/* Choosing a token. Order: bias, mask, penalty, temperature, top-k, top-p, min-p, draw. Nothing is sorted and nothing is allocated: whatever is cut off is
   named by one logit and a count of its ties (a "cut"), found by counting the logits' bits from the top. Weights are integers in units of 2^-44 of the
   likeliest, so their sums are exact: no order of adding, no instruction set and no thread can change a choice. The draw walks the ids upwards. A weight
   below 2^-44 counts as none. Knows no model. Test: tests/pick.c */
#define DSM__PICK_LOWEST (-3.402823466e38f)
#define DSM__PICK_HIGHEST 3.402823466e38f
enum { DSM__PICK_BITS = 44, DSM__PICK_MAX_TOP = 256, DSM__PICK_WINDOW = 64 };

typedef struct dsm__pick_cut { uint32_t key; uint64_t ties; } dsm__pick_cut; /* kept: keys above `key`, and of those equal to it the first `ties` ids */

DSM__FN uint32_t dsm__pick_key(float x) { /* unsigned numbers in the order of floats; -0 is 0 */
    uint32_t u = dsm__num_as_bits(x + 0.f);
    return u & 0x80000000u ? ~u : u | 0x80000000u;
}
DSM__FN float dsm__pick_unkey(uint32_t key) { return dsm__num_bits(key & 0x80000000u ? key & 0x7fffffffu : ~key); }

/* 2^44 * exp((logit - top) / temperature), cut to an integer; steps = log2(e) / temperature. Exactly 2^44 at the top; error below 1e-8 of itself, or 1. */
DSM__FN uint64_t dsm__pick_weight(float logit, float top, double steps) {
    double y = ((double)logit - (double)top) * steps, k, f, p = 1.0 / 5040;
    if (!(y > -45)) return 0;
    k = (y + 6755399441055744.0) - 6755399441055744.0;
    f = (y - k) * 0.69314718055994531;
    p = p * f + 1.0 / 720; p = p * f + 1.0 / 120; p = p * f + 1.0 / 24; p = p * f + 1.0 / 6; p = p * f + 0.5; p = p * f + 1; p = p * f + 1;
    return (uint64_t)(p * 17592186044416.0) >> (unsigned)-(int)k;
}
DSM__FN uint64_t dsm__pick_share(uint64_t random, uint64_t total) { /* floor(random * total / 2^64): below total */
    uint64_t a = random >> 32, b = random & 0xffffffffu, c = total >> 32, d = total & 0xffffffffu, middle = (b * d >> 32) + (a * d & 0xffffffffu) + b * c;
    return a * c + (a * d >> 32) + (middle >> 32);
}

/* Within `cut`: the first `count` in order (more than there are: unchanged), or, where count is 0, the first whose weights reach `share` of all. Three passes
   over the logits, each settles 11 or 10 bits of the key. */
DSM__FN dsm__pick_cut dsm__pick_select(const float *logits, int n, dsm__pick_cut cut, uint64_t count, double share, float top, double steps) {
    static const unsigned char shifts[3] = { 21, 10, 0 }, widths[3] = { 11, 11, 10 };
    uint64_t bins[2048], above = 0, want = count, each; uint32_t prefix = 0; dsm__pick_cut out;
    for (int pass = 0; pass < 3; pass++) {
        uint32_t shift = shifts[pass], last = (1u << widths[pass]) - 1, b; uint64_t ties = cut.ties;
        memset(bins, 0, sizeof bins);
        for (int i = 0; i < n; i++) {
            uint32_t key = dsm__pick_key(logits[i]);
            if (key <= cut.key) { if (key < cut.key || !ties) continue; ties--; }
            if (pass && key >> (shift + widths[pass]) != prefix) continue;
            bins[key >> shift & last] += count ? 1 : dsm__pick_weight(logits[i], top, steps);
        }
        if (!pass) {
            uint64_t total = 0;
            for (b = 0; b <= last; b++) total += bins[b];
            if (!count) { double v = share * (double)total; want = (uint64_t)v; if ((double)want < v) want++; if (!want) want = 1; }
            if (want >= total) { if (count) return cut; want = total; }
        }
        for (b = last; b && above + bins[b] < want; b--) above += bins[b];
        prefix = prefix << widths[pass] | b;
    }
    each = count ? 1 : dsm__pick_weight(dsm__pick_unkey(prefix), top, steps);
    out.key = prefix; out.ties = each ? (want - above + each - 1) / each : UINT64_MAX;
    return out;
}

DSM__FN void dsm__pick_penalize(float *logits, int n, const int32_t *recent, size_t n_recent, float penalty) {
    uint64_t seen[64]; /* a filter of 4096 bits: where the bit is new, so is the id */
    memset(seen, 0, sizeof seen);
    for (size_t i = 0; i < n_recent; i++) {
        int32_t id = recent[i]; uint32_t h; float x; int twice = 0;
        if (id < 0 || id >= n) continue;
        h = (uint32_t)id * 0x9E3779B1u >> 20;
        if (seen[h >> 6] >> (h & 63) & 1) for (size_t j = 0; j < i && !twice; j++) twice = recent[j] == id;
        if (twice) continue;
        seen[h >> 6] |= (uint64_t)1 << (h & 63);
        x = logits[id];
        if (!dsm__num_finite(x)) continue;
        x = x > 0 ? x / penalty : x * penalty;
        logits[id] = x > DSM__PICK_HIGHEST ? DSM__PICK_HIGHEST : x < DSM__PICK_LOWEST ? DSM__PICK_LOWEST : x;
    }
}

/* Is every field a value that means something? Also for descriptors that a model's defaults will complete. */
DSM__FN dsm_status dsm__pick_check(const dsm_sampling *s, int n_vocab, dsm_error *error) {
    const char *field = NULL, *why = NULL; const float off = (float)DSM_OFF;
    if (!(s->temperature >= 0 && s->temperature <= DSM__PICK_HIGHEST) && s->temperature != DSM_GREEDY) { field = "temperature"; why = "must be a number above 0, or DSM_GREEDY, or 0 for the model's own"; }
    else if (s->top_k < DSM_OFF) { field = "top_k"; why = "must be 1 or more, or DSM_OFF, or 0 for the model's own"; }
    else if (!(s->top_p >= 0 && s->top_p <= 1) && s->top_p != off) { field = "top_p"; why = "must be above 0 and at most 1, or DSM_OFF, or 0 for the model's own"; }
    else if (!(s->min_p >= 0 && s->min_p <= 1) && s->min_p != off) { field = "min_p"; why = "must be above 0 and at most 1, or DSM_OFF, or 0 for the model's own"; }
    else if (!(s->repetition_penalty >= 0 && s->repetition_penalty <= DSM__PICK_HIGHEST) && s->repetition_penalty != off) { field = "repetition_penalty"; why = "must be a number above 0, or DSM_OFF, or 0 for the model's own"; }
    else if (s->repetition_window < DSM_OFF) { field = "repetition_window"; why = "must be 1 or more, or DSM_OFF, or 0 for 64"; }
    else if (s->n_bias < 0 || (s->n_bias && !s->bias)) { field = "n_bias"; why = "is negative, or there is no list"; }
    if (field) return dsm__err(error, DSM__ERR_SAMPLING, dsm__s(field), dsm__s(why));
    for (int i = 0; i < s->n_bias; i++) {
        float add = s->bias[i].add;
        if (s->bias[i].id < 0 || s->bias[i].id >= n_vocab) return dsm__err(error, DSM__ERR_BIAS_ID, dsm__i(i), dsm__i(s->bias[i].id), dsm__i(n_vocab));
        if (!(add <= DSM__PICK_HIGHEST)) return dsm__err(error, DSM__ERR_BIAS_ADD, dsm__i(i), dsm__i(s->bias[i].id)); /* minus infinity forbids an id */
    }
    return DSM_OK;
}
/* Fields that are 0 take the other's values; the result has no zero but for the seed and lists. */
DSM__FN void dsm__pick_complete(dsm_sampling *s, const dsm_sampling *from) {
    if (s->temperature == 0) s->temperature = from->temperature;
    if (!s->top_k) s->top_k = from->top_k;
    if (s->top_p == 0) s->top_p = from->top_p;
    if (s->min_p == 0) s->min_p = from->min_p;
    if (s->repetition_penalty == 0) s->repetition_penalty = from->repetition_penalty;
    if (!s->repetition_window) s->repetition_window = from->repetition_window;
}
/* Recommended values (their READMEs; R1 repeats itself when greedy). */
DSM__FN void dsm__pick_defaults(dsm_sampling *s, dsm_template chat, int is_mla) {
    memset(s, 0, sizeof *s);
    s->top_k = DSM_OFF; s->min_p = (float)DSM_OFF; s->repetition_penalty = (float)DSM_OFF; s->repetition_window = DSM__PICK_WINDOW;
    s->temperature = 0.6f; s->top_p = 0.95f;
    switch (chat) {
    case DSM_TEMPLATE_LLM: s->temperature = is_mla ? 0.3f : 0.7f; s->top_p = is_mla ? 0.95f : 0.9f; break; /* MLA with this template: V2 */
    case DSM_TEMPLATE_CODER: s->temperature = 0.7f; s->top_p = 0.9f; break;
    case DSM_TEMPLATE_V3: s->temperature = 0.3f; break;
    case DSM_TEMPLATE_CHATML: s->temperature = 0.7f; s->top_p = 0.8f; s->top_k = 20; break;
    case DSM_TEMPLATE_LLAMA3: s->top_p = 0.9f; break;
    case DSM_TEMPLATE_RAW: case DSM_TEMPLATE_R1: case DSM_TEMPLATE_V31: break;
    }
}

/* Chooses, from logits that it changes. s: checked, nothing left to complete (zeros mean off here). unused: one bit per id that must never be chosen, or NULL.
   n_top < 0: no log-probabilities are wanted, which saves a pass of exponentials. NUMBER: nothing is left to choose from. */
DSM__FN dsm_status dsm__pick_choose(float *logits, int n, const dsm_sampling *s, const uint8_t *unused, const int32_t *recent, size_t n_recent, uint64_t position,
                                    dsm_choice *choice, dsm_choice *top, int n_top, dsm_error *error) {
    float best = 0; int at = -1, filled = 0, punished = 0; double log_all = 0, steps = 1.4426950408889634; uint64_t total = 0, ties, least = 1, draw; dsm__pick_cut cut;
    for (int i = 0; i < s->n_bias; i++) {
        float *x = logits + s->bias[i].id;
        if (!dsm__num_finite(*x)) continue;
        *x += s->bias[i].add;
        if (*x > DSM__PICK_HIGHEST) *x = DSM__PICK_HIGHEST;
        if (*x < DSM__PICK_LOWEST && dsm__num_finite(s->bias[i].add)) *x = DSM__PICK_LOWEST;
    }
    if (unused) for (int i = 0; i < n; i += 8) if (unused[i >> 3]) for (int j = i; j < n && j < i + 8; j++) if (unused[j >> 3] >> (j & 7) & 1) logits[j] = -INFINITY;
    if (s->mask) s->mask(s->mask_user, logits, n, position);
    for (int i = 0; i < n; i++) {
        float x = logits[i];
        if (!(x >= DSM__PICK_LOWEST && x <= DSM__PICK_HIGHEST)) logits[i] = -INFINITY; /* NaN and both infinities: never chosen */
        else if (at < 0 || x > best) { best = x; at = i; }
    }
    choice->id = -1; choice->logprob = 0;
    if (at < 0) return dsm__err(error, DSM__ERR_NO_CHOICE, dsm__i(n));
    if (n_top >= 0) {
        for (int i = 0; i < n; i++) {
            float x = logits[i];
            total += dsm__pick_weight(x, best, steps);
            if (n_top && (filled < n_top || x > top[filled - 1].logprob) && dsm__num_finite(x)) { /* logprob holds the logit meanwhile */
                int j = filled < n_top ? filled++ : n_top - 1;
                for (; j && x > top[j - 1].logprob; j--) top[j] = top[j - 1];
                top[j].id = i; top[j].logprob = x;
            }
        }
        log_all = (double)best + dsm__num_log64((double)total) - DSM__PICK_BITS * 0.69314718055994531;
        for (int i = 0; i < n_top; i++) { if (i < filled) top[i].logprob = (float)((double)top[i].logprob - log_all); else { top[i].id = -1; top[i].logprob = -INFINITY; } }
    }
    choice->id = at; choice->logprob = n_top < 0 ? 0 : (float)((double)best - log_all);
    if (s->temperature == DSM_GREEDY) return DSM_OK;

    if (s->repetition_penalty > 0 && s->repetition_penalty != 1.f && s->repetition_window >= 0 && recent) {
        size_t window = (size_t)(s->repetition_window ? s->repetition_window : (int)DSM__PICK_WINDOW), skip = n_recent > window ? n_recent - window : 0;
        recent += skip; n_recent -= skip; punished = 1;
        dsm__pick_penalize(logits, n, recent, n_recent, s->repetition_penalty);
        for (int i = at = 0; i < n; i++) if (logits[i] > logits[at]) at = i;
        best = logits[at];
    }
    steps /= (double)s->temperature;
    cut.key = dsm__pick_key(-INFINITY); cut.ties = 0;
    if (s->top_k > 0 && s->top_k < n) cut = dsm__pick_select(logits, n, cut, (uint64_t)s->top_k, 0, best, steps);
    if (s->top_p > 0 && s->top_p < 1) cut = dsm__pick_select(logits, n, cut, 0, (double)s->top_p, best, steps);
    if (s->min_p > 0) { double v = (double)s->min_p * 17592186044416.0; least = (uint64_t)v; if ((double)least < v) least++; if (!least) least = 1; }
    total = draw = 0;
    for (int pass = 0; pass < 2; pass++) {
        ties = cut.ties;
        for (int i = 0; i < n; i++) {
            uint32_t key = dsm__pick_key(logits[i]); uint64_t weight;
            if (key <= cut.key) { if (key < cut.key || !ties) continue; ties--; }
            weight = dsm__pick_weight(logits[i], best, steps);
            if (weight < least) continue;
            if (!pass) total += weight; else if (draw < weight) { at = i; break; } else draw -= weight;
        }
        if (!pass) draw = dsm__pick_share(dsm__num_random(s->seed, position), total);
    }
    choice->id = at;
    if (n_top >= 0) { /* of the model's own logit: a penalty is taken back, which may cost its last bit */
        float x = logits[at];
        for (size_t i = 0; punished && i < n_recent; i++) if (recent[i] == at) { x = x > 0 ? x * s->repetition_penalty : x / s->repetition_penalty; break; }
        choice->logprob = (float)((double)x - log_all);
        for (int i = 0; i < filled; i++) if (top[i].id == at) choice->logprob = top[i].logprob;
    }
    return DSM_OK;
}

// >>turn
/* A turn: which bytes of the chosen tokens may be said now, and as what. Reasoning begins and ends with the tokens <think> and </think>, never with their
   letters, unless the vocabulary has no such tokens. Bytes wait here while they may be half a character, the start of a stop string, or newlines at the
   edge of reasoning. This room computes nothing and chooses nothing: desk asks run and pick, and feeds it one token at a time. Test: tests/turns.c */
enum { DSM__TURN_STOPS = 16, DSM__TURN_STOP_BYTES = 64, DSM__TURN_TOP = 20, DSM__TURN_HELD = 64 /* newlines that may wait */, DSM__TURN_SPARE = 256 /* of the buffer, beside the longest token */ };
typedef enum dsm__turn_mode { DSM__TURN_IDLE = 0, DSM__TURN_START, DSM__TURN_THINK, DSM__TURN_TEXT, DSM__TURN_OVER } dsm__turn_mode;
typedef enum dsm__turn_event { DSM__TURN_NOTHING = 0, DSM__TURN_OPEN, DSM__TURN_CLOSE, DSM__TURN_END } dsm__turn_event;

typedef struct dsm__turn {
    dsm_turn_desc desc;
    dsm_sampling sampling;         /* complete */
    dsm__turn_mode mode;           /* of the bytes in the buffer; IDLE: no turn is open */
    dsm__turn_event event; size_t event_at, event_skip; /* what happens after the first event_at bytes of the buffer; so many bytes of it are a tag */
    dsm_reason reason, last;       /* why the event END; last: END as soon as everything is said */
    int trim;                      /* newlines at the front of the buffer go */
    int32_t think, end_think, user; /* ids, or -1 */
    int letters;                   /* the vocabulary has no such tokens: look for the letters */
    int32_t closing[16]; int n_closing, at_closing; /* what closes the reasoning by force */
    int forced;                    /* at_closing counts */
    uint64_t n_chosen, n_thought;  /* tokens */
    size_t start, keep;            /* on the timeline: where the answer begins; what stays after the turn, SIZE_MAX: all */
    size_t length;                 /* of the timeline as this turn knows it */
    char *bytes; size_t cap, from, to; /* the buffer: bytes[from .. to-1] are not said yet */
    int32_t id; float logprob; int unreported; dsm_choice top[DSM__TURN_TOP]; /* of the newest token */
} dsm__turn;

/* How many bytes at the end of text are the start of z and may become it? */
DSM__FN size_t dsm__turn_partial(const char *text, size_t n, dsm__str z) {
    for (size_t m = z.n - 1 < n ? z.n - 1 : n; m && z.n; m--) if (!memcmp(text + n - m, z.at, m)) return m;
    return 0;
}
DSM__FN size_t dsm__turn_find(const char *text, size_t n, dsm__str z) { /* where z is in text; SIZE_MAX: nowhere */
    for (size_t i = 0; z.n && i + z.n <= n; i++) if (text[i] == z.at[0] && !memcmp(text + i, z.at, z.n)) return i;
    return SIZE_MAX;
}
/* How many bytes at the end of text are a character that is not whole yet? */
DSM__FN size_t dsm__turn_half(const char *text, size_t n) {
    for (size_t m = 1; m <= 3 && m <= n; m++) {
        unsigned c = (unsigned char)text[n - m], whole = c >= 0xC2 && c < 0xE0 ? 2 : c >= 0xE0 && c < 0xF0 ? 3 : c >= 0xF0 && c < 0xF5 ? 4 : 0;
        if ((c & 0xC0) == 0x80) continue;
        return whole > m ? m : 0;
    }
    return 0;
}

/* The next piece of what is in the buffer: 1, or 0: nothing may be said yet. END comes once, last. */
DSM__FN int dsm__turn_take(dsm__turn *t, dsm_piece *piece) {
    for (;;) {
        char *at = t->bytes + t->from; size_t n = t->to - t->from, limit, hold = 0;
        if (t->trim) {
            while (n && (*at == '\n' || *at == '\r') && (!t->event || t->event_at)) { at++; n--; t->from++; if (t->event) t->event_at--; }
            if (n) t->trim = 0;
        }
        if (!t->event && t->letters && t->mode != DSM__TURN_TEXT) { /* the tags as letters: <think> only where an answer starts */
            dsm__str tag = dsm__str_of(t->mode == DSM__TURN_THINK ? "</think>" : "<think>"); size_t p = dsm__turn_find(at, n, tag), i = 0;
            if (t->mode == DSM__TURN_START) while (i < n && i < DSM__TURN_HELD && (at[i] == '\n' || at[i] == '\r' || at[i] == ' ')) i++;
            if (p != SIZE_MAX && (t->mode == DSM__TURN_THINK || p == i)) {
                t->event = t->mode == DSM__TURN_THINK ? DSM__TURN_CLOSE : DSM__TURN_OPEN; t->event_at = p; t->event_skip = tag.n;
                if (t->keep == SIZE_MAX) t->keep = t->start; }
            else if (t->mode == DSM__TURN_THINK) hold = dsm__turn_partial(at, n, tag);
            else if (n - i < tag.n && !memcmp(at + i, tag.at, n - i)) hold = n;
        }
        if (t->mode == DSM__TURN_START) { /* newlines wait for what comes after them; <think> makes them vanish */
            size_t i = 0;
            while (i < n && (at[i] == '\n' || at[i] == '\r' || at[i] == ' ')) i++;
            if (t->event == DSM__TURN_OPEN && i >= t->event_at) t->from += t->event_at, at += t->event_at, n -= t->event_at, t->event_at = 0;
            else if (t->event || (n > i && !hold) || i > DSM__TURN_HELD) t->mode = DSM__TURN_TEXT;
            else hold = n;
        }
        if (t->mode == DSM__TURN_TEXT) { /* stop strings: the one that begins first */
            size_t first = SIZE_MAX, end = t->event ? t->event_at : n;
            for (int i = 0; i < t->desc.n_stop; i++) {
                dsm__str z = dsm__str_of(t->desc.stop[i]); size_t p = dsm__turn_find(at, end, z), m;
                if (p < first) first = p;
                if (!t->event && (m = dsm__turn_partial(at, n, z)) > hold) hold = m;
            }
            if (first != SIZE_MAX) { t->event = DSM__TURN_END; t->reason = DSM_REASON_STOP; t->event_at = first; t->event_skip = n - first; hold = 0; }
        }
        limit = t->event ? t->event_at : n - hold;
        if (t->mode == DSM__TURN_THINK) { /* newlines at the end of reasoning go; until it is certain they wait */
            size_t z = limit;
            while (z && (at[z - 1] == '\n' || at[z - 1] == '\r')) z--;
            if (t->event || limit - z <= DSM__TURN_HELD) limit = z;
        }
        limit -= dsm__turn_half(at, limit); /* at the end, half a character vanishes */
        if (limit) {
            piece->kind = t->mode == DSM__TURN_THINK ? DSM_PIECE_THINK : DSM_PIECE_TEXT;
            piece->text = at; piece->size = limit;
            t->from += limit; if (t->event) t->event_at -= limit;
            return 1;
        }
        switch (t->event) {
        case DSM__TURN_NOTHING: return 0;
        case DSM__TURN_OPEN: case DSM__TURN_CLOSE: t->mode = t->event == DSM__TURN_OPEN ? DSM__TURN_THINK : DSM__TURN_TEXT; t->trim = 1; break;
        case DSM__TURN_END: t->mode = DSM__TURN_OVER; t->from = t->to = 0; t->event = DSM__TURN_NOTHING; piece->kind = DSM_PIECE_END; piece->reason = t->reason; return 1;
        }
        t->from += t->event_at + t->event_skip; t->event_at = t->event_skip = 0; t->event = DSM__TURN_NOTHING;
    }
}
DSM__FN void dsm__turn_happens(dsm__turn *t, dsm__turn_event event) { t->event = event; t->event_at = t->to - t->from; t->event_skip = 0; }

/* Room for the next token's bytes behind what waits; the pieces given out before are gone then. */
DSM__FN char *dsm__turn_room(dsm__turn *t, size_t *room) {
    memmove(t->bytes, t->bytes + t->from, t->to - t->from);
    t->to -= t->from; t->from = 0; *room = t->cap - t->to;
    return t->bytes + t->to;
}
/* The newest token, whose n bytes stand in the room. position: its place on the timeline. Call only when dsm__turn_take has nothing more to say. */
DSM__FN void dsm__turn_feed(dsm__turn *t, int32_t id, int is_end, size_t n, size_t position) {
    t->n_chosen++; t->id = id;
    if (is_end || (id >= 0 && id == t->user)) { t->reason = DSM_REASON_END_TOKEN; dsm__turn_happens(t, DSM__TURN_END); return; } /* a few damaged models go on with the user's part */
    if (id >= 0 && id == t->think) {
        if (t->keep == SIZE_MAX) t->keep = position;
        if (t->mode != DSM__TURN_THINK) dsm__turn_happens(t, DSM__TURN_OPEN);
        t->at_closing = 0; /* once more: if the budget is used up, it is closed at once */
    }
    else if (id >= 0 && id == t->end_think) { if (t->mode == DSM__TURN_THINK) dsm__turn_happens(t, DSM__TURN_CLOSE); }
    else t->to += n;
    if (t->mode == DSM__TURN_THINK && !t->forced && ++t->n_thought == (uint64_t)(t->desc.think_budget > 0 ? t->desc.think_budget : -1) && t->event != DSM__TURN_CLOSE) t->forced = 1;
}

// >>desk
/* (being built) */

/* -- talk: choosing -- */
DSMOE_API dsm_status dsm_pick(float *logits, int n_vocab, const dsm_sampling *sampling, const int32_t *recent, size_t n_recent, uint64_t position,
                              dsm_choice *choice, dsm_choice *top, int n_top, dsm_error *error) {
    dsm_status status;
    if (!logits || n_vocab < 1) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("dsm_pick"), dsm__s("there are no logits"));
    if (!sampling || !choice) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("dsm_pick"), dsm__s("sampling and choice must not be NULL"));
    if (n_recent && !recent) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("dsm_pick"), dsm__s("recent is NULL, n_recent is not 0"));
    if (n_top > DSM__PICK_MAX_TOP || (n_top > 0 && !top)) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("dsm_pick"), dsm__s("n_top must be at most 256, with room for them in top"));
    status = dsm__pick_check(sampling, n_vocab, error);
    if (status) return status;
    if (sampling->temperature == 0) return dsm__err(error, DSM__ERR_SAMPLING, dsm__s("temperature"), dsm__s("must be above 0, or DSM_GREEDY: there is no model here to ask for its own"));
    return dsm__pick_choose(logits, n_vocab, sampling, NULL, recent, n_recent, position, choice, top, n_top, error);
}
/* -- end of talk -- */

#ifdef __cplusplus
}
#endif
#if !defined(__clang__)
#pragma GCC pop_options
#endif
#endif /* DSMOE_IMPLEMENTED */
#endif /* DSMOE_IMPLEMENTATION */
