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
   is a hash of (seed, position). recent: the timeline's last tokens. top[0 .. n_top-1] (may be NULL): the likeliest ids. Temperature zero in `sampling` is an
   error here: there is no model to ask. NUMBER: no logit is finite. */
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
    /* pick, turn */
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
/* THE list of tensor formats, their block layouts, and the reference that takes rows apart and makes them. All of it plain C in exact IEEE steps; the fast
   products are in kern, which stamps itself from the same list. Knows ggml's numbers and names of types that are not run, so that errors can name them.
   Test: tests/formats.c */

/* plain(name, ggml id, bytes): one number per weight.
   own, shared(name, ggml id, weights and bytes of a block; then for kern: weights per scale; has minima; largest |w| as the unpacker makes it, and what is
   then still to be subtracted from it (-1: nothing, the bytes are signed); the tile that multiplies it when unpacked).
   own: has a mat-vec of its own; shared: carries few models' bytes, so it is always unpacked and shares a tile, which saves code and compile time. */
#define DSM__FMT_LIST(plain, own, shared) \
    plain(F32, 0, 4) plain(F16, 1, 2) plain(BF16, 30, 2) \
    own(Q4_0,     2,  32,  18, 32, 0,  15,  8, u4) \
    shared(Q4_1,  3,  32,  20, 32, 1,  15,  0, u5m) \
    shared(Q5_0,  6,  32,  22, 32, 0,  16, -1, s8) \
    shared(Q5_1,  7,  32,  24, 32, 1,  31,  0, u5m) \
    own(Q8_0,     8,  32,  34, 32, 0, 128, -1, s8) \
    shared(Q2_K, 10, 256,  84, 16, 1,   3,  0, u2m) \
    shared(Q3_K, 11, 256, 110, 16, 0,  35, 32, u6) \
    own(Q4_K,    12, 256, 144, 32, 1,  15,  0, u5m) \
    own(Q5_K,    13, 256, 176, 32, 1,  31,  0, u5m) \
    own(Q6_K,    14, 256, 210, 16, 0,  63, 32, u6) \
    shared(IQ4_NL, 20, 32, 18, 32, 0, 127, -1, s8) \
    shared(IQ4_XS, 23, 256, 136, 32, 0, 127, -1, s8) \
    shared(MXFP4, 39, 32, 17, 32, 0, 12, -1, s8)
#define DSM__FMT_NONE(...)
#define DSM__X1(name, ggml, bytes) DSM__FMT_##name,
#define DSM__X2(name, ggml, unit, bytes, width, mins, wmax, bias, tile) DSM__FMT_##name,
enum dsm__fmt_id { DSM__FMT_LIST(DSM__X1, DSM__X2, DSM__X2) DSM__FMT_COUNT };
#undef DSM__X1
#undef DSM__X2
typedef struct dsm__fmt { const char *name; uint32_t ggml; int unit, bytes, width, mins, wmax, bias; } dsm__fmt; /* unit weights are stored in so many bytes; width 0: plain */
#define DSM__X1(name, ggml, bytes) { #name, ggml, 1, bytes, 0, 0, 0, 0 },
#define DSM__X2(name, ggml, unit, bytes, width, mins, wmax, bias, tile) { #name, ggml, unit, bytes, width, mins, wmax, bias },
static const dsm__fmt dsm__fmts[DSM__FMT_COUNT] = { DSM__FMT_LIST(DSM__X1, DSM__X2, DSM__X2) };
#undef DSM__X1
#undef DSM__X2
static const int8_t dsm__fmt_iq4[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };
static const int8_t dsm__fmt_mxfp4[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 }; /* halves: the scale is 2^(e-128) */

/* ---- what is known of ggml's types, run or not ---- */
static const struct { uint8_t id, unit_log2, bytes_or_0; const char *name; } dsm__fmt_others[] = { /* not run; sizes for inspection */
    { 9, 5, 36, "Q8_1" }, { 16, 8, 66, "IQ2_XXS" }, { 17, 8, 74, "IQ2_XS" }, { 18, 8, 98, "IQ3_XXS" }, { 19, 8, 50, "IQ1_S" }, { 21, 8, 110, "IQ3_S" }, { 22, 8, 82, "IQ2_S" },
    { 24, 0, 1, "I8" }, { 25, 0, 2, "I16" }, { 26, 0, 4, "I32" }, { 27, 0, 8, "I64" }, { 28, 0, 8, "F64" }, { 29, 8, 56, "IQ1_M" }, { 34, 8, 54, "TQ1_0" }, { 35, 8, 66, "TQ2_0" },
    { 40, 6, 36, "NVFP4" }, { 41, 7, 18, "Q1_0" }, { 42, 6, 18, "Q2_0" },
    { 15, 8, 0, "Q8_K" }, /* 292 bytes */
    { 4, 0, 0, "Q4_2, a type that was removed" }, { 5, 0, 0, "Q4_3, a type that was removed" }, { 31, 0, 0, "Q4_0_4_4, a type that was removed" },
    { 32, 0, 0, "Q4_0_4_8, a type that was removed" }, { 33, 0, 0, "Q4_0_8_8, a type that was removed" }, { 37, 0, 0, "IQ4_NL_4_8, a type that was removed" },
    { 38, 0, 0, "IQ4_NL_8_8, a type that was removed" } };
DSM__FN int dsm__fmt_of_ggml(uint32_t ggml) { /* a format of the list, or -1 */
    for (int i = 0; i < DSM__FMT_COUNT; i++) if (dsm__fmts[i].ggml == ggml) return i;
    return -1;
}
DSM__FN int dsm__fmt_of_name(const char *name) { /* "Q4_K"; -1: none of the list */
    for (int i = 0; i < DSM__FMT_COUNT; i++) if (!strcmp(dsm__fmts[i].name, name)) return i;
    return -1;
}
DSM__FN const char *dsm__fmt_ggml_name(uint32_t ggml) {
    const int fmt = dsm__fmt_of_ggml(ggml);
    if (fmt >= 0) return dsm__fmts[fmt].name;
    for (size_t i = 0; i < DSM__COUNT(dsm__fmt_others); i++) if (dsm__fmt_others[i].id == ggml) return dsm__fmt_others[i].name;
    if (ggml == 36 || (ggml >= 97 && ggml <= 99) || (ggml >= 133 && ggml <= 158) || (ggml >= 202 && ggml <= 399)) return "an ik_llama.cpp-only quantisation";
    return "?";
}
DSM__FN int dsm__fmt_ggml_block(uint32_t ggml, int *unit, int *bytes) { /* 0: sizes are not known */
    const int fmt = dsm__fmt_of_ggml(ggml);
    if (fmt >= 0) { *unit = dsm__fmts[fmt].unit; *bytes = dsm__fmts[fmt].bytes; return 1; }
    if (ggml == 15) { *unit = 256; *bytes = 292; return 1; }
    for (size_t i = 0; i < DSM__COUNT(dsm__fmt_others); i++)
        if (dsm__fmt_others[i].id == ggml && dsm__fmt_others[i].bytes_or_0) { *unit = 1 << dsm__fmt_others[i].unit_log2; *bytes = dsm__fmt_others[i].bytes_or_0; return 1; }
    return 0;
}
DSM__FN size_t dsm__fmt_row_bytes(int fmt, size_t n) { return n / (size_t)dsm__fmts[fmt].unit * (size_t)dsm__fmts[fmt].bytes; } /* n: a multiple of the unit */

/* ---- taking rows apart: each formula is the format's definition, products with a scale are exact ---- */
DSM__FN float dsm__fmt_half(const uint8_t *p) { return dsm__num_half(dsm__load16(p)); }
DSM__FN uint32_t dsm__fmt_bits(const uint8_t *p, int i) { return (uint32_t)p[i / 8] >> i % 8 & 1; }
DSM__FN int dsm__fmt_six(const uint8_t *s, int j, int *least) { /* Q4_K, Q5_K: scale j of 8, and its minimum, out of 12 bytes */
    if (j < 4) { *least = s[j + 4] & 63; return s[j] & 63; }
    *least = s[j + 4] >> 4 | s[j] >> 6 << 4; return (s[j + 4] & 15) | s[j - 4] >> 6 << 4;
}
DSM__FN int dsm__fmt_six16(const uint8_t *s, int j) { return ((j < 8 ? s[j] & 15 : s[j - 8] >> 4) | (s[8 + j % 4] >> 2 * (j / 4) & 3) << 4) - 32; } /* Q3_K: scale j of 16 */
DSM__FN void dsm__fmt_block(int fmt, const uint8_t *b, float *to) { /* one stored block */
    const float d = dsm__fmt_half(b + (fmt == DSM__FMT_Q2_K ? 80 : fmt == DSM__FMT_Q3_K ? 108 : fmt == DSM__FMT_Q6_K ? 208 : 0));
    switch (fmt) {
    case DSM__FMT_Q4_0: for (int i = 0; i < 16; i++) { to[i] = (float)((b[2 + i] & 15) - 8) * d; to[i + 16] = (float)((b[2 + i] >> 4) - 8) * d; } break;
    case DSM__FMT_Q4_1: { const float m = dsm__fmt_half(b + 2);
        for (int i = 0; i < 16; i++) { to[i] = (float)(b[4 + i] & 15) * d + m; to[i + 16] = (float)(b[4 + i] >> 4) * d + m; } } break;
    case DSM__FMT_Q5_0: for (int i = 0; i < 32; i++) to[i] = (float)((int)((b[6 + i % 16] >> i / 16 * 4 & 15u) | dsm__fmt_bits(b + 2, i) << 4) - 16) * d; break;
    case DSM__FMT_Q5_1: { const float m = dsm__fmt_half(b + 2);
        for (int i = 0; i < 32; i++) to[i] = (float)((b[8 + i % 16] >> i / 16 * 4 & 15u) | dsm__fmt_bits(b + 4, i) << 4) * d + m; } break;
    case DSM__FMT_Q8_0: for (int i = 0; i < 32; i++) to[i] = (float)(int8_t)b[2 + i] * d; break;
    case DSM__FMT_IQ4_NL: for (int i = 0; i < 16; i++) { to[i] = (float)dsm__fmt_iq4[b[2 + i] & 15] * d; to[i + 16] = (float)dsm__fmt_iq4[b[2 + i] >> 4] * d; } break;
    case DSM__FMT_MXFP4: { const float e = dsm__num_e8m0_half(b[0]);
        for (int i = 0; i < 16; i++) { to[i] = (float)dsm__fmt_mxfp4[b[1 + i] & 15] * e; to[i + 16] = (float)dsm__fmt_mxfp4[b[1 + i] >> 4] * e; } } break;
    case DSM__FMT_Q2_K: { const float dmin = dsm__fmt_half(b + 82);
        for (int g = 0; g < 16; g++) { const float s = d * (float)(b[g] & 15), m = dmin * (float)(b[g] >> 4);
            for (int i = 0; i < 16; i++) to[16 * g + i] = s * (float)(b[16 + g / 8 * 32 + g % 2 * 16 + i] >> g % 8 / 2 * 2 & 3) - m; } } break;
    case DSM__FMT_Q3_K:
        for (int g = 0; g < 16; g++) { const float s = d * (float)dsm__fmt_six16(b + 96, g);
            for (int i = 0; i < 16; i++) to[16 * g + i] = s * (float)((b[32 + g / 8 * 32 + g % 2 * 16 + i] >> g % 8 / 2 * 2 & 3) - (b[g % 2 * 16 + i] >> g / 2 & 1 ? 0 : 4)); } break;
    case DSM__FMT_Q4_K: case DSM__FMT_Q5_K: { const float dmin = dsm__fmt_half(b + 2); const int five = fmt == DSM__FMT_Q5_K; const uint8_t *q = b + (five ? 48 : 16);
        for (int g = 0; g < 8; g++) { int least; const float s = d * (float)dsm__fmt_six(b + 4, g, &least), m = dmin * (float)least;
            for (int i = 0; i < 32; i++) to[32 * g + i] = s * (float)((q[g / 2 * 32 + i] >> g % 2 * 4 & 15) + (five ? (b[16 + i] >> g & 1) << 4 : 0)) - m; } } break;
    case DSM__FMT_Q6_K:
        for (int g = 0; g < 16; g++) { const float s = d * (float)(int8_t)b[192 + g]; const int l = g % 2 * 16, z = g % 8 / 2; /* z: which of four groups of 32 */
            for (int i = l; i < l + 16; i++)
                to[g / 2 * 32 + i] = s * (float)(((b[g / 8 * 64 + z % 2 * 32 + i] >> z / 2 * 4 & 15) | (b[128 + g / 8 * 32 + i] >> 2 * z & 3) << 4) - 32); } break;
    case DSM__FMT_IQ4_XS:
        for (int g = 0; g < 8; g++) { const float s = d * (float)(((b[4 + g / 2] >> g % 2 * 4 & 15) | (dsm__load16(b + 2) >> 2 * g & 3) << 4) - 32); const uint8_t *q = b + 8 + 16 * g;
            for (int i = 0; i < 16; i++) { to[32 * g + i] = s * (float)dsm__fmt_iq4[q[i] & 15]; to[32 * g + i + 16] = s * (float)dsm__fmt_iq4[q[i] >> 4]; } } break;
    default: break;
    }
}
DSM__FN void dsm__fmt_dequantize(int fmt, const uint8_t *from, float *to, size_t n) { /* n: a multiple of the unit */
    const size_t unit = (size_t)dsm__fmts[fmt].unit, bytes = (size_t)dsm__fmts[fmt].bytes;
    switch (fmt) {
    case DSM__FMT_F32: memcpy(to, from, 4 * n); return;
    case DSM__FMT_F16: for (size_t i = 0; i < n; i++) to[i] = dsm__fmt_half(from + 2 * i); return;
    case DSM__FMT_BF16: for (size_t i = 0; i < n; i++) to[i] = dsm__num_bf16(dsm__load16(from + 2 * i)); return;
    default: for (; n >= unit; n -= unit, from += bytes, to += unit) dsm__fmt_block(fmt, from, to);
    }
}

/* ---- making rows. The searches for scales are those of ggml's reference quantisers, step by step, so that the bytes are the same ---- */
#define DSM__FMT_EPS 1e-15f
DSM__FN int dsm__fmt_nearest(float v) { return (int)(dsm__num_as_bits(v + 12582912.f) & 0x007fffffu) - 0x00400000; } /* ties to even; |v| < 2^22 */
DSM__FN int dsm__fmt_clamp(int v, int low, int high) { return v < low ? low : v > high ? high : v; }
DSM__FN int dsm__fmt_cut(float v, int most) { return !(v > 0) ? 0 : v >= (float)most ? most : (int)v; } /* towards zero, 0 .. most; NaN: 0 */
DSM__FN float dsm__fmt_inverse(float d) { return d != 0 ? 1 / d : 0; } /* C's d ? 1/d : 0 */
DSM__FN void dsm__fmt_put_half(uint8_t *to, float f) { const uint16_t h = dsm__num_to_half(f); memcpy(to, &h, 2); }
DSM__FN float dsm__fmt_extreme(const float *x, int n) { /* the value of largest magnitude, with its sign; the first of equals */
    float top = 0, signed_top = 0;
    for (int i = 0; i < n; i++) if (top < fabsf(x[i])) { top = fabsf(x[i]); signed_top = x[i]; }
    return signed_top;
}
/* Affine search: q in 0 .. most, x ~ scale * q - *least. */
DSM__FN float dsm__fmt_affine(int n, int most, const float *x, const float *w, uint8_t *q, float *least, float from, float step, int steps, int absolute) {
    float low = x[0], high = x[0], sum_w = w[0], sum_x = w[0] * x[0], inverse, scale, best = 0; uint8_t tried[32];
    for (int i = 1; i < n; i++) { if (x[i] < low) low = x[i]; if (x[i] > high) high = x[i]; sum_w += w[i]; sum_x += w[i] * x[i]; }
    if (low > 0) low = 0;
    if (high == low) { memset(q, 0, (size_t)n); *least = -low; return 0; }
    inverse = (float)most / (high - low); scale = 1 / inverse;
    for (int i = 0; i < n; i++) {
        float diff; q[i] = (uint8_t)dsm__fmt_clamp(dsm__fmt_nearest(inverse * (x[i] - low)), 0, most);
        diff = scale * (float)q[i] + low - x[i]; diff = absolute ? fabsf(diff) : diff * diff; best += w[i] * diff;
    }
    for (int s = 0; s <= steps; s++) {
        float sum_l = 0, sum_l2 = 0, sum_xl = 0, det;
        inverse = (from + step * (float)s + (float)most) / (high - low);
        for (int i = 0; i < n; i++) {
            const int l = dsm__fmt_clamp(dsm__fmt_nearest(inverse * (x[i] - low)), 0, most); const float v = (float)l;
            tried[i] = (uint8_t)l; sum_l += w[i] * v; sum_l2 += w[i] * v * v; sum_xl += w[i] * v * x[i];
        }
        det = sum_w * sum_l2 - sum_l * sum_l;
        if (det > 0) {
            float a = (sum_w * sum_xl - sum_x * sum_l) / det, b = (sum_l2 * sum_x - sum_l * sum_xl) / det, error = 0;
            if (b > 0) { b = 0; a = sum_xl / sum_l2; }
            for (int i = 0; i < n; i++) { float diff = a * (float)tried[i] + b - x[i]; diff = absolute ? fabsf(diff) : diff * diff; error += w[i] * diff; }
            if (error < best) { memcpy(q, tried, (size_t)n); best = error; scale = a; low = b; } /* the next steps start from this low: a quirk, and part of the bytes */
        }
    }
    *least = -low; return scale;
}
/* Symmetric search: q - most in -most .. most - 1. w NULL: x * x. */
DSM__FN float dsm__fmt_symmetric(int n, int most, const float *x, const float *w, uint8_t *q) {
    const float top = dsm__fmt_extreme(x, n); float scale = 0, best = 0;
    memset(q, 0, (size_t)n);
    if (fabsf(top) < DSM__FMT_EPS) return 0;
    for (int turn = 0; turn < 19; turn++) {
        const int is = turn == 0 ? 0 : turn < 10 ? turn - 10 : turn - 9; /* 0, -9 .. -1, 1 .. 9 */
        const float inverse = -((float)most + .1f * (float)is) / top; float xl = 0, l2 = 0;
        for (int i = 0; i < n; i++) {
            const float l = (float)dsm__fmt_clamp(dsm__fmt_nearest(inverse * x[i]), -most, most - 1), v = w ? w[i] : x[i] * x[i];
            xl += v * x[i] * l; l2 += v * l * l;
        }
        if (turn == 0 ? 1 : l2 > 0 && xl * xl > best * l2) {
            for (int i = 0; i < n; i++) q[i] = (uint8_t)(most + dsm__fmt_clamp(dsm__fmt_nearest(inverse * x[i]), -most, most - 1));
            scale = l2 != 0 ? xl / l2 : 0; best = scale * xl;
        }
    }
    return scale;
}
/* Q3_K without importance: one start, then coordinate descent. */
DSM__FN float dsm__fmt_descent(int n, int most, const float *x) {
    const float top = dsm__fmt_extreme(x, n); float xl = 0, l2 = 0; int q[16];
    if (fabsf(top) < DSM__FMT_EPS) return 0;
    for (int i = 0; i < n; i++) {
        const float w = x[i] * x[i]; float l;
        q[i] = dsm__fmt_clamp(dsm__fmt_nearest(-(float)most / top * x[i]), -most, most - 1); l = (float)q[i]; xl += w * x[i] * l; l2 += w * l * l;
    }
    for (int turn = 0, changed = 1; turn < 5 && changed; turn++) {
        changed = 0;
        for (int i = 0; i < n; i++) {
            const float w = x[i] * x[i]; float a = xl - w * x[i] * (float)q[i], b; int l;
            if (!(a > 0)) continue;
            b = l2 - w * (float)q[i] * (float)q[i]; l = dsm__fmt_clamp(dsm__fmt_nearest(x[i] * b / a), -most, most - 1);
            if (l == q[i]) continue;
            a += w * x[i] * (float)l; b += w * (float)l * (float)l;
            if (b > 0 && a * a * l2 > xl * xl * b) { q[i] = l; xl = a; l2 = b; changed = 1; }
        }
    }
    return l2 > 0 ? xl / l2 : 0;
}
/* Scales of scales, with importance: q in 0 .. most, x >= 0. */
DSM__FN float dsm__fmt_positive(int n, int most, const float *x, const float *w, uint8_t *q) {
    float top = 0, inverse, scale, best = 0, xl = 0, l2 = 0;
    for (int i = 0; i < n; i++) if (x[i] > top) top = x[i];
    if (top < DSM__FMT_EPS) { memset(q, 0, (size_t)n); return 0; }
    inverse = (float)most / top; scale = 1 / inverse;
    for (int i = 0; i < n; i++) { const float diff = x[i] - scale * (float)dsm__fmt_nearest(inverse * x[i]); best += w[i] * diff * diff; }
    for (int is = -4; is <= 4; is++) {
        const float inv = (.1f * (float)is + (float)most) / top, s = 1 / inv; float error = 0;
        if (!is) continue;
        for (int i = 0; i < n; i++) { int l = dsm__fmt_nearest(inv * x[i]); float diff; if (l > most) l = most; diff = x[i] - s * (float)l; error += w[i] * diff * diff; }
        if (error < best) { best = error; inverse = inv; }
    }
    for (int i = 0; i < n; i++) {
        int l = dsm__fmt_nearest(inverse * x[i]); if (l > most) l = most;
        q[i] = (uint8_t)(l < 0 ? 0 : l); xl += w[i] * x[i] * (float)l; l2 += w[i] * (float)l * (float)l;
    }
    for (int turn = 0, changed = 1; turn < 5 && changed; turn++) {
        changed = 0;
        for (int i = 0; i < n; i++) {
            float a = xl - w[i] * x[i] * (float)q[i], b = l2 - w[i] * (float)q[i] * (float)q[i]; int l;
            if (!(a > 0 && b > 0)) continue;
            l = dsm__fmt_nearest(x[i] * b / a); if (l > most) l = most;
            if (l == q[i] || l < 0) continue;
            a += w[i] * x[i] * (float)l; b += w[i] * (float)l * (float)l;
            if (a * a * l2 > xl * xl * b) { q[i] = (uint8_t)l; xl = a; l2 = b; changed = 1; }
        }
    }
    return l2 > 0 ? xl / l2 : 0;
}
DSM__FN int dsm__fmt_nearest_iq4(float v) { /* index into the table of IQ4 */
    int low = 0, high = 15;
    if (!(v > (float)dsm__fmt_iq4[0])) return 0;
    if (v >= (float)dsm__fmt_iq4[15]) return 15;
    while (high - low > 1) { const int mid = (low + high) / 2; if (v < (float)dsm__fmt_iq4[mid]) high = mid; else low = mid; }
    return v - (float)dsm__fmt_iq4[high - 1] < (float)dsm__fmt_iq4[high] - v ? high - 1 : high;
}
/* Scale of 32 weights for the table of IQ4; tries 0 (and then the other sign to start with) or 7. */
DSM__FN float dsm__fmt_table(const float *x, const float *w, uint8_t *q, int tries) {
    const float top = dsm__fmt_extreme(x, 32), first = (float)dsm__fmt_iq4[0]; float d = 0, best = 0;
    if (fabsf(top) < DSM__FMT_EPS) return 0; /* q stays: under a scale of 0 it means nothing, and the reference's bytes are those of the block before */
    for (int turn = -tries - 1; turn <= tries; turn++) {
        const float inverse = turn == -tries - 1 ? 1 / (tries ? -top / first : top / first) : ((float)turn + first) / top; float qx = 0, q2 = 0;
        if (!tries && turn == 0) break;
        for (int i = 0; i < 32; i++) {
            const int l = dsm__fmt_nearest_iq4(inverse * x[i]); const float v = (float)dsm__fmt_iq4[l];
            if (turn == -tries - 1) q[i] = (uint8_t)l;
            qx += w[i] * v * x[i]; q2 += w[i] * v * v;
        }
        if (turn == -tries - 1 ? 1 : q2 > 0 && qx * qx > best * q2) { d = qx / q2; best = d * qx; }
    }
    return d;
}
DSM__FN void dsm__fmt_nibbles(const uint8_t *q, uint8_t *to) { for (int i = 0; i < 16; i++) to[i] = (uint8_t)((q[i] & 15) | (q[i + 16] & 15) << 4); }
DSM__FN void dsm__fmt_fifths(const uint8_t *q, uint8_t *to) { memset(to, 0, 4); for (int i = 0; i < 32; i++) to[i / 8] = (uint8_t)(to[i / 8] | (q[i] >> 4 & 1) << i % 8); }
/* Importance: the weight of an error is qw * sqrt(spread + x^2). */
DSM__FN void dsm__fmt_weigh(const float *x, const float *importance, float spread, float *w, int n) { for (int i = 0; i < n; i++) w[i] = importance[i] * sqrtf(spread + x[i] * x[i]); }
DSM__FN float dsm__fmt_squares(const float *x, size_t n) { float s = 0; for (size_t i = 0; i < n; i++) s += x[i] * x[i]; return s; }

DSM__FN void dsm__fmt_write32(int fmt, const float *x, const float *importance, float spread, uint8_t *q, uint8_t *to) { /* one block of 32; spread: mean square of the row */
    float w[32], d, m = 0; const float top = dsm__fmt_extreme(x, 32);
    if (importance) dsm__fmt_weigh(x, importance, spread, w, 32);
    switch (fmt) {
    case DSM__FMT_Q4_0: case DSM__FMT_Q5_0: {
        const int most = fmt == DSM__FMT_Q4_0 ? 8 : 16;
        if (importance) d = dsm__fmt_symmetric(32, most, x, w, q);
        else { const float inverse = dsm__fmt_inverse(d = top / -(float)most); for (int i = 0; i < 32; i++) q[i] = (uint8_t)dsm__fmt_cut(x[i] * inverse + ((float)most + .5f), 2 * most - 1); }
        dsm__fmt_put_half(to, d);
        if (most == 16) dsm__fmt_fifths(q, to + 2);
        dsm__fmt_nibbles(q, to + (most == 16 ? 6 : 2)); break; }
    case DSM__FMT_Q4_1: case DSM__FMT_Q5_1: {
        const int most = fmt == DSM__FMT_Q4_1 ? 15 : 31;
        if (importance) { d = dsm__fmt_affine(32, most, x, w, q, &m, -.9f, .05f, 36, 0); m = -m; }
        else {
            float high = m = x[0], inverse;
            for (int i = 1; i < 32; i++) { if (x[i] < m) m = x[i]; if (x[i] > high) high = x[i]; }
            inverse = dsm__fmt_inverse(d = (high - m) / (float)most);
            for (int i = 0; i < 32; i++) q[i] = (uint8_t)dsm__fmt_cut((x[i] - m) * inverse + .5f, most);
        }
        dsm__fmt_put_half(to, d); dsm__fmt_put_half(to + 2, m);
        if (most == 31) dsm__fmt_fifths(q, to + 4);
        dsm__fmt_nibbles(q, to + (most == 31 ? 8 : 4)); break; }
    case DSM__FMT_Q8_0: {
        const float inverse = dsm__fmt_inverse(d = fabsf(top) / 127);
        dsm__fmt_put_half(to, d);
        for (int i = 0; i < 32; i++) { const float v = x[i] * inverse; to[2 + i] = (uint8_t)(v < 0 ? -dsm__fmt_cut(.5f - v, 127) : dsm__fmt_cut(v + .5f, 127)); }
        break; }
    case DSM__FMT_IQ4_NL:
        if (!importance) for (int i = 0; i < 32; i++) w[i] = x[i] * x[i];
        d = dsm__fmt_table(x, w, q, importance ? 7 : 0); dsm__fmt_put_half(to, d);
        if (importance) { const float inverse = dsm__fmt_inverse(d); for (int i = 0; i < 32; i++) q[i] = (uint8_t)dsm__fmt_nearest_iq4(inverse * x[i]); }
        dsm__fmt_nibbles(q, to + 2); break;
    case DSM__FMT_MXFP4: {
        const int e = dsm__fmt_clamp((int)(dsm__num_as_bits(top) >> 23 & 255) - 2, 0, 254); const float s = dsm__num_e8m0_half((uint8_t)e); /* 2^e is two below the largest */
        for (int i = 0; i < 32; i++) {
            float best = fabsf(x[i]); q[i] = 0;
            for (int j = 1; j < 16; j++) { const float error = fabsf((float)dsm__fmt_mxfp4[j] * s - x[i]); if (error < best) { best = error; q[i] = (uint8_t)j; } }
        }
        to[0] = (uint8_t)e; dsm__fmt_nibbles(q, to + 1); break; }
    default: break;
    }
}
DSM__FN void dsm__fmt_write256(int fmt, const float *x, const float *importance, uint8_t *to) { /* one super-block */
    uint8_t q[256] = { 0 }, s[16], m[16]; float w[32], scales[16], least[16], sums[16], squares = importance ? dsm__fmt_squares(x, 256) : 0, top, d, dmin;
    const int affine = fmt == DSM__FMT_Q2_K || fmt == DSM__FMT_Q4_K || fmt == DSM__FMT_Q5_K, wide = fmt == DSM__FMT_Q4_K || fmt == DSM__FMT_Q5_K || fmt == DSM__FMT_IQ4_XS;
    const int width = wide ? 32 : 16, groups = 256 / width, most = fmt == DSM__FMT_Q2_K ? 3 : fmt == DSM__FMT_Q4_K ? 15 : 31; /* of a weight */
    const float spread = (fmt == DSM__FMT_Q2_K ? squares : 2 * squares) / 256;
    memset(to, 0, (size_t)dsm__fmts[fmt].bytes);
    for (int g = 0; g < groups; g++) { /* first each group on its own */
        const float *v = x + width * g; uint8_t *p = q + width * g;
        if (importance && fmt == DSM__FMT_Q6_K) memcpy(w, importance + width * g, (size_t)width * 4);
        else if (importance) dsm__fmt_weigh(v, importance + width * g, spread, w, width);
        else if (fmt == DSM__FMT_Q4_K || fmt == DSM__FMT_Q5_K) { const float a = sqrtf(dsm__fmt_squares(v, 32) / 32); for (int i = 0; i < 32; i++) w[i] = a + fabsf(v[i]); }
        else for (int i = 0; i < width; i++) w[i] = fmt == DSM__FMT_Q2_K ? fabsf(v[i]) : v[i] * v[i];
        sums[g] = 0; for (int i = 0; i < width; i++) sums[g] += w[i];
        if (affine) scales[g] = importance ? dsm__fmt_affine(width, most, v, w, p, least + g, -.9f, .05f, 36, 0)
                                           : dsm__fmt_affine(width, most, v, w, p, least + g, fmt == DSM__FMT_Q4_K ? -1.f : -.5f, .1f, fmt == DSM__FMT_Q4_K ? 20 : 15, fmt == DSM__FMT_Q2_K);
        else if (fmt == DSM__FMT_IQ4_XS) scales[g] = dsm__fmt_table(v, w, p, 7);
        else if (fmt == DSM__FMT_Q6_K) scales[g] = dsm__fmt_symmetric(width, 32, v, w, p);
        else scales[g] = importance ? dsm__fmt_symmetric(width, 4, v, w, p) : dsm__fmt_descent(width, 4, v);
    }
    if (affine) { /* then scales and minima, as fractions of the largest */
        const int steps = fmt == DSM__FMT_Q2_K ? 15 : 63;
        if (importance) { d = dsm__fmt_positive(groups, steps, scales, sums, s); dmin = dsm__fmt_positive(groups, steps, least, sums, m); }
        else {
            float high = 0, low = 0, a, b;
            for (int g = 0; g < groups; g++) { if (scales[g] > high) high = scales[g]; if (least[g] > low) low = least[g]; }
            a = high > 0 ? (float)steps / high : 0; b = low > 0 ? (float)steps / low : 0; d = high / (float)steps; dmin = low / (float)steps;
            for (int g = 0; g < groups; g++) {
                s[g] = (uint8_t)dsm__fmt_clamp(dsm__fmt_nearest(a * scales[g]), 0, steps); m[g] = (uint8_t)dsm__fmt_clamp(dsm__fmt_nearest(b * least[g]), 0, steps); }
        }
        { uint8_t *at = to + (fmt == DSM__FMT_Q2_K ? 80 : 0); dsm__fmt_put_half(at, d); dsm__fmt_put_half(at + 2, dmin); d = dsm__fmt_half(at); dmin = dsm__fmt_half(at + 2); }
        for (int g = 0; g < groups; g++) { /* and the weights once more, under the scales as they were rounded */
            const float a = d * (float)s[g], b = dmin * (float)m[g];
            if (a != 0) for (int i = width * g; i < width * (g + 1); i++) q[i] = (uint8_t)dsm__fmt_clamp(dsm__fmt_nearest((x[i] + b) / a), 0, most);
        }
        if (fmt == DSM__FMT_Q2_K) {
            for (int g = 0; g < 16; g++) to[g] = (uint8_t)(s[g] | m[g] << 4);
            for (int i = 0; i < 64; i++) { const uint8_t *p = q + i / 32 * 128 + i % 32; to[16 + i] = (uint8_t)(p[0] | p[32] << 2 | p[64] << 4 | p[96] << 6); }
            return;
        }
        for (int g = 0; g < 4; g++) { to[4 + g] = (uint8_t)(s[g] | s[g + 4] >> 4 << 6); to[8 + g] = (uint8_t)(m[g] | m[g + 4] >> 4 << 6); to[12 + g] = (uint8_t)((s[g + 4] & 15) | (m[g + 4] & 15) << 4); }
        for (int i = 0; i < 128; i++) { const uint8_t *p = q + i / 32 * 64 + i % 32; to[(fmt == DSM__FMT_Q4_K ? 16 : 48) + i] = (uint8_t)((p[0] & 15) | (p[32] & 15) << 4); }
        if (fmt == DSM__FMT_Q5_K) for (int i = 0; i < 256; i++) to[16 + i % 32] = (uint8_t)(to[16 + i % 32] | q[i] >> 4 << i / 32);
        return;
    }
    top = dsm__fmt_extreme(scales, groups);
    if (fmt == DSM__FMT_IQ4_XS) {
        const float inverse = dsm__fmt_inverse(d = -top / 32); unsigned high = 0;
        dsm__fmt_put_half(to, d);
        for (int g = 0; g < 8; g++) {
            const int l = dsm__fmt_clamp(dsm__fmt_nearest(inverse * scales[g]), -32, 31); const float a = dsm__fmt_inverse(d * (float)l);
            for (int i = 32 * g; i < 32 * g + 32; i++) q[i] = (uint8_t)dsm__fmt_nearest_iq4(a * x[i]);
            to[4 + g / 2] = (uint8_t)(to[4 + g / 2] | ((l + 32) & 15) << g % 2 * 4); high |= (unsigned)(l + 32) >> 4 << 2 * g; dsm__fmt_nibbles(q + 32 * g, to + 8 + 16 * g);
        }
        to[2] = (uint8_t)(high & 255); to[3] = (uint8_t)(high >> 8); return;
    }
    if (fmt == DSM__FMT_Q6_K) {
        const float inverse = -128.f / top;
        if (fabsf(top) < DSM__FMT_EPS) return;
        dsm__fmt_put_half(to + 208, 1 / inverse); d = dsm__fmt_half(to + 208);
        for (int g = 0; g < 16; g++) {
            const int l = dsm__fmt_clamp(dsm__fmt_nearest(inverse * scales[g]), -128, 127); const float a = d * (float)l;
            to[192 + g] = (uint8_t)l;
            if (a != 0) for (int i = 16 * g; i < 16 * g + 16; i++) q[i] = (uint8_t)(dsm__fmt_clamp(dsm__fmt_nearest(x[i] / a), -32, 31) + 32);
        }
        for (int i = 0; i < 64; i++) {
            const uint8_t *p = q + i / 32 * 128 + i % 32; uint8_t *low = to + i / 32 * 64 + i % 32;
            low[0] = (uint8_t)((p[0] & 15) | (p[64] & 15) << 4); low[32] = (uint8_t)((p[32] & 15) | (p[96] & 15) << 4);
            to[128 + i] = (uint8_t)(p[0] >> 4 | p[32] >> 4 << 2 | p[64] >> 4 << 4 | p[96] >> 4 << 6);
        }
        return;
    }
    if (importance) { d = dsm__fmt_symmetric(16, 32, scales, sums, s); } /* Q3_K */
    else {
        const float inverse = top != 0 ? -32.f / top : 0;
        d = dsm__fmt_inverse(inverse);
        for (int g = 0; g < 16; g++) s[g] = (uint8_t)(dsm__fmt_clamp(dsm__fmt_nearest(inverse * scales[g]), -32, 31) + 32);
    }
    dsm__fmt_put_half(to + 108, d); d = dsm__fmt_half(to + 108);
    if (top == 0 && !importance) memset(s, 0, sizeof s);
    for (int g = 0; g < 16; g++) {
        const float a = d * (float)(s[g] - 32);
        to[96 + g % 8] = (uint8_t)(to[96 + g % 8] | (s[g] & 15) << g / 8 * 4); to[104 + g % 4] = (uint8_t)(to[104 + g % 4] | s[g] >> 4 << 2 * (g / 4));
        if (a != 0) for (int i = 16 * g; i < 16 * g + 16; i++) q[i] = (uint8_t)(dsm__fmt_clamp(dsm__fmt_nearest(x[i] / a), -4, 3) + 4);
    }
    for (int i = 0; i < 256; i++) if (q[i] > 3) { to[i % 32] = (uint8_t)(to[i % 32] | 1 << i / 32); q[i] = (uint8_t)(q[i] - 4); }
    for (int i = 0; i < 64; i++) { const uint8_t *p = q + i / 32 * 128 + i % 32; to[32 + i] = (uint8_t)(p[0] | p[32] << 2 | p[64] << 4 | p[96] << 6); }
}
/* A row of n weights, n a multiple of the unit. importance: one factor for the squared error of each weight, or NULL. 1: done; -1: a number is not
   finite (or an importance negative), nothing is written; every format of the list has a writer. */
DSM__FN int dsm__fmt_quantize(int fmt, const float *from, const float *importance, uint8_t *to, size_t n) {
    const size_t unit = (size_t)dsm__fmts[fmt].unit, bytes = (size_t)dsm__fmts[fmt].bytes; float spread = 0; uint8_t q[32] = { 0 };
    switch (fmt) {
    case DSM__FMT_F32: memcpy(to, from, 4 * n); return 1;
    case DSM__FMT_F16: for (size_t i = 0; i < n; i++) dsm__fmt_put_half(to + 2 * i, from[i]); return 1;
    case DSM__FMT_BF16:
        for (size_t i = 0; i < n; i++) {
            const uint32_t u = dsm__num_as_bits(from[i]); const uint16_t h = (uint16_t)((u & 0x7fffffffu) > 0x7f800000u ? u >> 16 | 64 : (u + 0x7fffu + (u >> 16 & 1)) >> 16);
            memcpy(to + 2 * i, &h, 2);
        }
        return 1;
    default: break;
    }
    for (size_t i = 0; i < n; i++) if (!dsm__num_finite(from[i]) || (importance && !(dsm__num_finite(importance[i]) && importance[i] >= 0))) return -1;
    if (importance) spread = dsm__fmt_squares(from, n) / (float)n;
    for (; n >= unit; n -= unit, from += unit, to += bytes) {
        if (unit == 256) dsm__fmt_write256(fmt, from, importance, to);
        else dsm__fmt_write32(fmt, from, importance, fmt == DSM__FMT_IQ4_NL && importance ? dsm__fmt_squares(from, 32) * (2.f / 32) : spread, q, to);
        if (importance) importance += unit;
    }
    return 1;
}

// >>cpu
/* What this processor can do, asked once. A bit stands for all that a level of kern needs, and on x86 also for the system keeping those registers (XGETBV).
   Test: tests/kernels.c */
enum { DSM__CPU_AVX2 = 1, DSM__CPU_AVXVNNI = 2, DSM__CPU_AVX512 = 4, DSM__CPU_DOTPROD = 8 };
#if defined(__x86_64__)
#include <cpuid.h>
DSM__FN uint32_t dsm__cpu_ask(void) {
    unsigned a, b, c, d, low, high, have = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & (1u << 27 | 1u << 28 | 1u << 29 | 1u << 12)) != (1u << 27 | 1u << 28 | 1u << 29 | 1u << 12)) return 0; /* OSXSAVE, AVX, F16C, FMA */
    __asm__ volatile(".byte 0x0f, 0x01, 0xd0" : "=a"(low), "=d"(high) : "c"(0)); /* xgetbv */
    if ((low & 6) != 6 || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b >> 5 & 1)) return 0;
    have = DSM__CPU_AVX2;
    /* F, BW, VL, VNNI; and masks, upper halves and the upper 16 registers are saved */
    if ((low & 0xe0) == 0xe0 && (b >> 16 & 1) && (b >> 30 & 1) && (b >> 31 & 1) && (c >> 11 & 1)) have |= DSM__CPU_AVX512;
    if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1)) have |= DSM__CPU_AVXVNNI;
    return have;
}
#elif defined(__aarch64__)
DSM__FN uint32_t dsm__cpu_ask(void) {
#if defined(__ARM_FEATURE_DOTPROD) || defined(__APPLE__) /* every Apple processor that runs 64-bit macOS */
    return DSM__CPU_DOTPROD;
#elif defined(__linux__)
    return getauxval(AT_HWCAP) >> 20 & 1 ? DSM__CPU_DOTPROD : 0; /* HWCAP_ASIMDDP: true of all cores, big and little */
#else
    return 0;
#endif
}
#else
DSM__FN uint32_t dsm__cpu_ask(void) { return 0; }
#endif
static uint32_t dsm__cpu_word; /* the only mutable global: 0, or the features with the top bit; every thread would write the same */
DSM__FN uint32_t dsm__cpu_features(void) {
    uint32_t have = __atomic_load_n(&dsm__cpu_word, __ATOMIC_RELAXED);
    if (!have) { have = dsm__cpu_ask() | 1u << 31; __atomic_store_n(&dsm__cpu_word, have, __ATOMIC_RELAXED); }
    return have & 0x7fffffffu;
}

// >>kern
/* The fast arithmetic, and the only room with intrinsics. Formats x instruction sets x shapes are added here, not multiplied:

     a FORMAT is one line of the list in fmt and one unpacker of 1 to 12 lines, written in words;
     an ISA   is one set of words, and one pass at the end of this room, which is this file included by itself;
     a SHAPE  is one driver: mat-vec of 1, 2 or 4 tokens straight from the file, or unpack + tile for prompts and for the formats that share one.

   The words are about CHUNKS: 16 bytes of each of ROWS rows of the matrix, in whatever order of lanes the ISA likes. Taking formats apart
   is byte-wise work, so an unpacker cannot see that order:

     AVX-512   ROWS 16   four vectors, vector j holds bytes 4j .. 4j+3 of 16 rows; sums end in lanes, one row each
     256 bits  ROWS  8   the same with half the rows
     NEON      ROWS  4   four vectors, one per row; an addp tree brings the four sums into the lanes of one
     plain C   ROWS  1   sixteen bytes

   Scales, minima and sums are vectors of ROWS lanes (Reals, Ints) everywhere. Every pass gives the same bits: integer sums are exact in any order, and
   each float operation below stands exactly where the contract (Part I) has it. Test: tests/kernels.c */
#ifndef DSMOE_HEADER_NAME
#define DSMOE_HEADER_NAME "dsmoe.h" /* define it if this file has another name */
#endif

/* A tile knows only what is left of a format in scratch; named after the format that asks most of it. */
#define DSM__K_TILES(X) X(u4, Q4_0) X(s8, Q8_0) X(u5m, Q5_K) X(u6, Q6_K) X(u2m, Q2_K)
enum { DSM__K_MOST = 34, DSM__K_CUT = 2048, DSM__K_PANEL = 32, DSM__K_BATCH = 288 }; /* bytes of the largest block of 32; most weights of a row, rows and tokens at once in scratch */

/* ---- 64 activations, rounded once for all formats. MAGIC is the bits of 1.5 * 2^23: an integer sum n that starts at MAGIC reads, as a
        float, 12582912 + n, exact while |n| < 2^22 (the worst here is Q8_0: 520192). So conversion is one subtraction, and a format's bias
        leaves through the start value: MAGIC - bias * (sum of q over the weights of one scale). ---- */
enum { DSM__MAGIC = 0x4B400000 };
typedef struct dsm__x64 {
    int8_t q[64];                                       /* |q| <= 127, never -128: the int16 sums below depend on it */
    float dx, sum[2];                                   /* x ~ q * dx; sums of 32 q, for minima */
    int32_t from0, from8[2], from32[4], from128[2];     /* start values by bias, of 32 or (from32) of 16 weights */
} dsm__x64;                                             /* 112 bytes */
#define DSM__K_WHERE(field) ((int)(offsetof(dsm__x64, field) / 4))

/* ---- what a pass exports ---- */
typedef struct dsm__k_scratch { uint8_t *w; float *s, *m, *sums, *spare; } dsm__k_scratch; /* unpacked rows, scales, minima; sums of a tile, of an overlapping panel */
DSM__FN size_t dsm__k_scratch_bytes(void) { return (size_t)DSM__K_CUT * DSM__K_PANEL * 3 / 2 + 1024 + (size_t)DSM__K_BATCH * DSM__K_PANEL * 4; } /* of one worker */
DSM__FN dsm__k_scratch dsm__k_scratch_at(void *memory) { /* aligned to 64 */
    dsm__k_scratch k; k.w = (uint8_t *)memory; k.s = (float *)(void *)(k.w + DSM__K_CUT * DSM__K_PANEL); k.m = k.s + DSM__K_CUT / 16 * DSM__K_PANEL;
    k.sums = k.m + DSM__K_CUT / 16 * DSM__K_PANEL; k.spare = k.sums + 256; return k;
}
typedef struct dsm__k_fetch { const uint8_t *p, *end; size_t run, stride; int per; } dsm__k_fetch; /* what a tile prefetches: runs of lines */
typedef void dsm__k_matvec(const uint8_t *w, size_t stride, int len, const dsm__x64 *x, long ldx, int tokens, float *y, long ldy,
                           int rows, const uint8_t *next);
typedef void dsm__k_unpack(const uint8_t *w, size_t stride, int len, dsm__k_scratch to);
typedef void dsm__k_tile(dsm__k_scratch w, const dsm__x64 *x, long ldx, int tokens, float *y, long ldy, int add, int len, dsm__k_fetch *pf, int from);

/* ---- floats: what is not a quantised product. The definitions, which every pass meets bit for bit:

     product of rows     stripe l: fma(w[k], x[k], .) over k = l, l + 16, ..; then the tree: a[l] += a[l+8] (l < 8), a[l] += a[l+4], a[l] += a[l+2], a[0] + a[1]
     down the columns    the same over the rows p instead of k
     rmsnorm             ss as the product of x with itself; r = 1 / sqrtf(ss / n + eps); y = (x * r) * w
     swiglu              (g / (1 + exp(-g))) * u;  sigmoid: 1 / (1 + exp(-x));  exp is dsm__num_exp
     rope                u' = fma(u, cos, -(w * sin)); w' = fma(u, sin, w * cos)
     softmax             the true maximum, exp(s - maximum), the sum of those in stripes and the tree
     score               one chain fma(k, q, .) over the dimensions; then * scale.   value: one chain fma(v, p, .) over the tokens
     score over q8_0     int8 queries: per block of 64  acc = fma((float)S * row's scale, query's scale, acc); float queries: the chain over q * scale

   The shapes of attention are one small matrix product, `core`: out[row][16 lanes] += sum over i of w[row][i] * a[i][lane]. Scores of a group: a = a block of
   keys, w = queries. Values: a = rows of the cache, w = probabilities. Scores of MLA: a = queries (lanes are heads), w = rows of the cache.

   The caches (snapshots freeze this; room kv writes it). 16(n): n rounded up to 16; what is added is zero, or was once.
     keys of one KV head      blocks of 16 tokens   f16, f32: [dim][16 tokens]             q8_0: [16(dim)/4][16 tokens][4] int8, then [dim/64][16 tokens] f32 scales
     values of one KV head    rows                  f16, f32: [16(dim)]                    q8_0: [16(dim)] int8, [dim/64] f32
     MLA                      rows                  f16, f32: [16(latent)][16(rope)]       q8_0: [16(latent)] int8, [latent/64] f32, [16(rope)] f16
   NaN in, NaN out (of any payload); nothing is indexed by a float. Test: tests/floats.c ---- */
enum { DSM__K_F32 = 0, DSM__K_F16 = 1, DSM__K_BF16 = 2 };                              /* types of rows that kernels read as they are */
enum { DSM__K_SCORE_F16 = 0, DSM__K_SCORE_F32 = 1, DSM__K_SCORE_Q8 = 2, DSM__K_SCORE_Q8_INT8 = 3 }; /* dsm_kv, and q8_0 with rounded queries */
enum { DSM__K_SLAB = 272, DSM__K_ROW_BLOCK = 48, DSM__K_TURN = 24, DSM__K_LANES = 128 };
#define dsm__k_16(n) (((n) + 15) / 16 * 16)
#define dsm__k_64s(n) (((n) + 63) / 64)
DSM__FN size_t dsm__k_key_block_bytes(int kv, int dims) { /* of 16 tokens of one KV head */
    return kv == DSM_KV_Q8_0 ? (size_t)dsm__k_16(dims) * 16 + (size_t)dsm__k_64s(dims) * 64 : (size_t)dims * (kv == DSM_KV_F32 ? 64u : 32u); }
DSM__FN size_t dsm__k_value_row_bytes(int kv, int dims) {
    return kv == DSM_KV_Q8_0 ? (size_t)dsm__k_16(dims) + (size_t)dsm__k_64s(dims) * 4 : (size_t)dsm__k_16(dims) * (kv == DSM_KV_F32 ? 4u : 2u); }
DSM__FN size_t dsm__k_latent_row_bytes(int kv, int latent, int rope) {
    return dsm__k_value_row_bytes(kv, latent) + (size_t)dsm__k_16(rope) * (kv == DSM_KV_F32 ? 4u : 2u); }
/* X(result, name, arguments): the functions of a pass. Pointers may be unaligned where they are bytes. */
/* The queries of MLA for a q8_0 cache: rounded, by four, and turned so that lanes are queries. */
typedef struct dsm__k_turned {
    int8_t *q;      /* [16(latent)/4][lanes][4] */
    float *dx;      /* [latent/64][lanes] */
    int32_t *from;  /* [latent/64][lanes] start values where cached bytes are biased */
    float *rope;    /* [rope][lanes] */
} dsm__k_turned;
DSM__FN dsm__k_turned dsm__k_turned_at(void *memory, int latent, int lanes) {
    dsm__k_turned k; const size_t n = (size_t)lanes; k.q = (int8_t *)memory; k.dx = (float *)(void *)(k.q + (size_t)dsm__k_16(latent) * n);
    k.from = (int32_t *)(void *)(k.dx + (size_t)dsm__k_64s(latent) * n); k.rope = (float *)(void *)(k.from + (size_t)dsm__k_64s(latent) * n); return k; }
#define DSM__K_FLOATS(X) \
    X(void, mul_rows, (int type, const uint8_t *w, size_t stride, int len, const float *x, long ldx, int n_tokens, float *y, long ldy, int r0, int r1)) \
    X(void, mul_down, (int type, const uint8_t *w, size_t stride, int n_rows, const float *x, long ldx, int n_tokens, float *y, long ldy, int n)) \
    X(void, rmsnorm, (const float *x, const float *w, int n, float eps, float *y)) \
    X(void, swiglu, (const float *gate, const float *up, int n, float *y)) \
    X(void, sigmoid, (float *x, int n)) \
    X(void, exps, (float *x, int n)) \
    X(float, softmax, (float *s, int n)) \
    X(void, add, (float *y, const float *x, int n)) \
    X(void, axpy, (float *y, float a, const float *x, int n)) \
    X(void, times, (float *x, float by, int n)) \
    X(void, rope, (float *x, int n_rot, int neox, const float *cos_sin)) \
    X(int, all_finite, (const float *x, int n)) \
    X(float, absmax, (const float *x, int n)) \
    X(void, to_half, (const float *x, int n, uint8_t *to)) \
    X(void, to_float, (int type, const uint8_t *from, int n, float *to)) \
    X(void, gqa_scores, (int kv, const uint8_t *keys, int dims, int t0, int t1, const float *q, long ldq, int n, float scale, float *s, long lds)) \
    X(void, mla_scores, (int kv, const uint8_t *rows, int latent, int rope, int t0, int t1, const float *q, int lanes, int n, float scale, float *s, long lds)) \
    X(void, values, (int kv, const uint8_t *rows, size_t stride, int dims, int t0, int t1, const float *p, long ldp, int n, float *o, long ldo, int d0, int d1))
#define DSM__K_INT_SCORES(X) /* with byte products: every pass has its own */ \
    X(void, gqa_scores8, (const uint8_t *keys, int dims, int t0, int t1, const dsm__x64 *q, long ldq, int n, float scale, float *s, long lds)) \
    X(void, mla_scores8, (const uint8_t *rows, int latent, int rope, int t0, int t1, const void *q, int lanes, int n, float scale, float *s, long lds))

/* The functions of a level that are not products of formats: X(result, name, arguments). Lanes are independent or the order is the contract's stripes, so
   every level gives the same bits. */
#define DSM__K_FUNCTIONS(X) \
    X(int, quantize, (const float *x, int len, dsm__x64 *out)) /* 0: NaN or infinity */ \
    DSM__K_FLOATS(X)
typedef struct dsm__kernels {
    const char *isa;
    int rows, tokens, tile_rows, tile_tokens;           /* of a mat-vec panel; of a tile */
    const struct dsm__kernels *narrower;                /* does what is too few rows for this one */
    struct { dsm__k_matvec *matvec; dsm__k_unpack *unpack; dsm__k_tile *tile; int from; } f[DSM__FMT_COUNT]; /* matvec may be NULL; from: where start values are */
#define DSM__X(result, name, arguments) result (*name) arguments;
    DSM__K_FUNCTIONS(DSM__X)
    DSM__K_INT_SCORES(DSM__X)
#undef DSM__X
} dsm__kernels;

#define DSM__CAT_(a, b) a##_##b
#define DSM__CAT(a, b) DSM__CAT_(a, b)
#define DSM__STR_(a) #a
#define DSM__STR(a) DSM__STR_(a)
#if defined(__clang__)
#define DSM__KEEP (void)0
#define DSM__DONE(v) __asm__ volatile("" : "+w"(v))     /* clang on ARM: v is computed before what follows; it would start everything at once, and spill */
#else
#define DSM__DONE(v) (void)0
#define DSM__KEEP __asm__ volatile("" ::: "memory")     /* gcc: memory operations stay on their side. It gathers prefetches into bursts, and spills */
#endif
#if defined(__x86_64__) && !DSMOE_SCALAR_ONLY
#include <immintrin.h>
#elif defined(__aarch64__) && !DSMOE_SCALAR_ONLY
#include <arm_neon.h>
#endif
#endif /* DSMOE_IMPLEMENTED */
#endif /* DSMOE_IMPLEMENTATION: the room goes on below its pass */

#ifdef DSM__PASS /* ============================================= kern, once per pass ============================================= */
/* A pass is this file, included by itself, with
     DSM__PASS    its name; the suffix of everything it defines
     DSM__ATTR    its target attribute, or nothing
     DSM__BITS    its words: 0 plain C, 128 NEON, 256 AVX2, 512 AVX-512
     DSM__DOT     1: there is an instruction for sums of four byte products (2: its AVX-VNNI spelling)
     DSM__FLOATS  the pass whose float functions it has: itself, or one with the same registers
   Nothing inline is shared between passes: gcc before 14 cannot inline across target attributes. Data may be shared. The short names below
   are the user's again at the end. */
_Pragma("push_macro(\"K\")") _Pragma("push_macro(\"FN\")") _Pragma("push_macro(\"OUT\")") _Pragma("push_macro(\"UNROLL\")") _Pragma("push_macro(\"ROWS\")")
_Pragma("push_macro(\"Chunk\")") _Pragma("push_macro(\"Sink\")") _Pragma("push_macro(\"Sums\")") _Pragma("push_macro(\"Chain\")") _Pragma("push_macro(\"Ints\")")
_Pragma("push_macro(\"Reals\")") _Pragma("push_macro(\"Act\")") _Pragma("push_macro(\"FORMAT\")") _Pragma("push_macro(\"take\")") _Pragma("push_macro(\"head\")")
_Pragma("push_macro(\"takeh\")") _Pragma("push_macro(\"takee\")") _Pragma("push_macro(\"spread\")") _Pragma("push_macro(\"bits\")") _Pragma("push_macro(\"join\")")
_Pragma("push_macro(\"look\")") _Pragma("push_macro(\"sgn\")") _Pragma("push_macro(\"plus\")") _Pragma("push_macro(\"sum1\")") _Pragma("push_macro(\"sum2\")")
_Pragma("push_macro(\"scale\")") _Pragma("push_macro(\"least\")") _Pragma("push_macro(\"step\")")
#undef K
#undef FN
#undef OUT
#undef UNROLL
#undef ROWS
#undef Chunk
#undef Sink
#undef Sums
#undef Chain
#undef Ints
#undef Reals
#undef Act
#undef FORMAT
#undef take
#undef head
#undef takeh
#undef takee
#undef spread
#undef bits
#undef join
#undef look
#undef sgn
#undef plus
#undef sum1
#undef sum2
#undef scale
#undef least
#undef step
#define K(name) DSM__CAT(dsm__k_##name, DSM__PASS)
#define FN DSM__ATTR static inline __attribute__((always_inline, unused))
#define OUT DSM__ATTR static __attribute__((noinline, unused))
#define Chunk K(Chunk)
#define Sink K(Sink)
#define Sums K(Sums)
#define Chain K(Chain)
#define FORMAT dsm__fmts[f]
/* Where an unpacker stands, and where its results go. n = 0: an unpacked tile (w, s, m); n = 1 .. 4: the products with that many tokens. */
#define DSM__SINK struct { const uint8_t *row[DSM__CURSORS]; size_t stride; const uint8_t *ahead; const dsm__x64 *x; long ldx; \
                      Reals p[4], acc[4]; Chain chain[4]; uint8_t *w; float *s, *m; }

/* ---------------------------------------------------------- words: plain C ---------------------------------------------------------- */
#if DSM__BITS == 0
#define UNROLL
#define ROWS 1
#define DSM__CURSORS 1
#define DSM__PANEL 1         /* row vectors of a tile */
#define DSM__LANES 0         /* a tile reads scratch by lanes (1), or as a mat-vec reads the file (0) */
#define Ints uint32_t
#define Reals float
typedef struct { int8_t v[16]; } Chunk;
typedef int Chain;
typedef DSM__SINK Sink;
FN Reals K(fset)(float a) { return a; }
FN Reals K(fld)(const float *p) { return *p; }
FN void K(fst)(float *p, Reals a) { *p = a; }
FN Reals K(fmul)(Reals a, Reals b) { return a * b; }
FN Reals K(fsub)(Reals a, Reals b) { return a - b; }
FN Reals K(fma)(Reals a, Reals b, Reals c) { return fmaf(a, b, c); }
FN Reals K(real)(Ints a) { return (float)((int32_t)a - DSM__MAGIC); }
FN Reals K(half)(Ints h) { return dsm__num_half((uint16_t)h); }
FN Ints K(field)(Ints a, const int at, const int n, const int to) { return (to > at ? a << (to - at) : a >> (at - to)) & 0x01010101u * (((1u << n) - 1) << to); }
FN Reals K(lohalf)(Ints a) { return K(half)(a & 0xffff); }
FN Reals K(hihalf)(Ints a) { return K(half)(a >> 16); }
FN Reals K(ubyte)(Ints a, const int i) { return (float)(a >> 8 * i & 255); }
FN Reals K(sbyte)(Ints a, const int i) { return (float)(int8_t)(a >> 8 * i & 255); }
FN Chunk K(take)(const Sink *k, const int at) { Chunk c; memcpy(c.v, k->row[0] + at, 16); return c; }
FN void K(head)(const Sink *k, const int at, Ints *h) { memcpy(h, k->row[0] + at, 16); }
FN Reals K(takeh)(const Sink *k, const int at) { uint16_t h; memcpy(&h, k->row[0] + at, 2); return K(half)(h); }
FN Reals K(takee)(const Sink *k, const int at) { const uint8_t u = k->row[0][at]; return u < 96 ? 0 : dsm__num_bits((uint32_t)u << 23) * .5f; }
FN Chunk K(spread)(const Sink *k, const int at) { Chunk c; for (int i = 0; i < 16; i++) c.v[i] = (int8_t)(k->row[0][at + i / 8] >> i % 8 & 1); return c; }
FN Ints K(splice)(Ints a, Ints b) { return a >> 16 | b << 16; }
FN Chunk K(bits)(Chunk c, const int at, const int n) { for (int i = 0; i < 16; i++) c.v[i] = (int8_t)((uint8_t)c.v[i] >> at & ((1 << n) - 1)); return c; }
FN Chunk K(join)(Chunk c, const int at, const int n, Chunk e, const int eat, const int en) {
    Chunk a = K(bits)(c, at, n), b = K(bits)(e, eat, en); for (int i = 0; i < 16; i++) a.v[i] = (int8_t)(a.v[i] | b.v[i] << n); return a; }
FN Chunk K(look)(Chunk c, const int8_t *t) { for (int i = 0; i < 16; i++) c.v[i] = t[c.v[i]]; return c; }
FN Chunk K(sgn)(Chunk c) { return c; }
FN Chunk K(plus)(Chunk c, const int a) { for (int i = 0; i < 16; i++) c.v[i] = (int8_t)(c.v[i] + a); return c; }
FN void K(put)(uint8_t *p, Chunk c, const int f) { (void)f; memcpy(p, c.v, 16); }
FN Chunk K(get)(const uint8_t *p) { Chunk c; memcpy(c.v, p, 16); return c; }
FN Reals K(sum)(Chain *z, const int go, const Chunk *c, const int n, const int8_t *x, const int32_t *from, const int f) {
    int32_t s = *from; (void)f; (void)z; (void)go; for (int i = 0; i < n; i++) for (int j = 0; j < 16; j++) s += c[i].v[j] * x[16 * i + j];
    return K(real)((Ints)s); }
FN int K(sum16)(const int8_t *q) { int s = 0; for (int i = 0; i < 16; i++) s += q[i]; return s; }
FN void K(round)(const float *x, float up, int8_t *q) { for (int i = 0; i < 16; i++) q[i] = (int8_t)(uint8_t)dsm__num_as_bits(x[i] * up + 12582912.f); }
FN uint32_t K(top)(const float *x, int n) { uint32_t top = 0; for (int i = 0; i < n; i++) { uint32_t a = dsm__num_as_bits(x[i]) & 0x7fffffffu; if (a > top) top = a; } return top; }
#define DSM__PREFETCH(p) (void)(p)
#define DSM__AHEAD 0
#define DSM__TOKENS 1

/* ------------------------------------------------- words: AVX2, 256-bit VNNI, AVX-512 VNNI ------------------------------------------------- */
#elif DSM__BITS >= 256
#define UNROLL _Pragma("GCC unroll 32")
#if DSM__BITS == 512
#define ROWS 16
#define DSM__TOKENS 6        /* of a tile: with DSM__PANEL = 2 it has 12 sums, which with 12 partial floats fill the registers */
#define Ints __m512i
#define Reals __m512
#define DSM__U32 __v16su
#define DSM__MM(op) _mm512_##op
#define DSM__SI(op) _mm512_##op##_si512
#define DSM__REALS(a) _mm512_castsi512_ps(a)
#else
#define ROWS 8
#define DSM__TOKENS 4
#define Ints __m256i
#define Reals __m256
#define DSM__U32 __v8su
#define DSM__MM(op) _mm256_##op
#define DSM__SI(op) _mm256_##op##_si256
#define DSM__REALS(a) _mm256_castsi256_ps(a)
#endif
#define DSM__CURSORS 1
#define DSM__PANEL 2
#define DSM__LANES 1
typedef struct { Ints v[4]; } Chunk;
typedef int Chain;
typedef DSM__SINK Sink;
FN Reals K(fset)(float a) { return DSM__MM(set1_ps)(a); }
FN Reals K(fld)(const float *p) { return DSM__MM(loadu_ps)(p); }
FN void K(fst)(float *p, Reals a) { DSM__MM(storeu_ps)(p, a); }
FN Reals K(fmul)(Reals a, Reals b) { return DSM__MM(mul_ps)(a, b); }
FN Reals K(fsub)(Reals a, Reals b) { return DSM__MM(sub_ps)(a, b); }
FN Reals K(fma)(Reals a, Reals b, Reals c) { return DSM__MM(fmadd_ps)(a, b, c); }
FN Reals K(real)(Ints a) { return DSM__MM(sub_ps)(DSM__REALS(a), DSM__MM(set1_ps)(12582912.f)); }
FN Ints K(set4)(const void *p) { int32_t a; memcpy(&a, p, 4); return DSM__MM(set1_epi32)(a); }
FN Ints K(all)(int a) { return DSM__MM(set1_epi8)((char)a); }
FN __m128i K(ld16)(const uint8_t *p) { return _mm_loadu_si128((const __m128i *)(const void *)p); }
FN __m128i K(h8)(const uint8_t *p, size_t s) { /* 16 bits of each of 8 rows */
    __m128i a = _mm_setzero_si128(); uint16_t t;
#define DSM__H(i) memcpy(&t, p + (size_t)i * s, 2); a = _mm_insert_epi16(a, t, i);
    DSM__H(0) DSM__H(1) DSM__H(2) DSM__H(3) DSM__H(4) DSM__H(5) DSM__H(6) DSM__H(7)
#undef DSM__H
    return a; }
#if DSM__BITS == 512
FN Ints K(row4)(const uint8_t *p, size_t s) { /* 16 bytes of every fourth row */
    Ints a = _mm512_castsi128_si512(K(ld16)(p)); a = _mm512_inserti32x4(a, K(ld16)(p + 4 * s), 1);
    a = _mm512_inserti32x4(a, K(ld16)(p + 8 * s), 2); return _mm512_inserti32x4(a, K(ld16)(p + 12 * s), 3); }
FN __m256i K(h)(const Sink *k, const int at) {
    const uint8_t *p = k->row[0] + at; return _mm256_inserti128_si256(_mm256_castsi128_si256(K(h8)(p, k->stride)), K(h8)(p + 8 * k->stride, k->stride), 1); }
FN Reals K(lohalf)(Ints a) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(a)); }
FN Ints K(table)(const int8_t *t) { return _mm512_broadcast_i32x4(K(ld16)((const uint8_t *)t)); }
#else
FN Ints K(row4)(const uint8_t *p, size_t s) { return _mm256_inserti128_si256(_mm256_castsi128_si256(K(ld16)(p)), K(ld16)(p + 4 * s), 1); }
FN __m128i K(h)(const Sink *k, const int at) { return K(h8)(k->row[0] + at, k->stride); }
FN Reals K(lohalf)(Ints a) {
    a = _mm256_and_si256(a, _mm256_set1_epi32(0xffff)); a = _mm256_packus_epi32(a, a);
    return _mm256_cvtph_ps(_mm256_castsi256_si128(_mm256_permute4x64_epi64(a, 8))); }
FN Ints K(table)(const int8_t *t) { return _mm256_broadcastsi128_si256(K(ld16)((const uint8_t *)t)); }
#endif
FN Ints K(shr)(Ints a, const int n) { return n < 0 ? (Ints)((DSM__U32)a << -n) : (Ints)((DSM__U32)a >> n); }
FN Ints K(field)(Ints a, const int at, const int n, const int to) { return DSM__SI(and)(K(shr)(a, at - to), K(all)(((1 << n) - 1) << to)); }
FN Reals K(hihalf)(Ints a) { return K(lohalf)(K(shr)(a, 16)); }
FN Reals K(ubyte)(Ints a, const int i) { return DSM__MM(cvtepi32_ps)(DSM__SI(and)(K(shr)(a, 8 * i), DSM__MM(set1_epi32)(255))); }
FN Reals K(sbyte)(Ints a, const int i) { return DSM__MM(cvtepi32_ps)(DSM__MM(srai_epi32)(K(shr)(a, 8 * i - 24), 24)); }
FN Chunk K(take)(const Sink *k, const int at) { /* the transposition: 16 loads of 16 bytes and 8 unpacks (ROWS 16) */
    const uint8_t *p = k->row[0] + at; const size_t s = k->stride; Chunk o;
    Ints a = K(row4)(p, s), b = K(row4)(p + s, s), c = K(row4)(p + 2 * s, s), d = K(row4)(p + 3 * s, s);
    Ints e = DSM__MM(unpacklo_epi32)(a, b), f = DSM__MM(unpackhi_epi32)(a, b), g = DSM__MM(unpacklo_epi32)(c, d), h = DSM__MM(unpackhi_epi32)(c, d);
    o.v[0] = DSM__MM(unpacklo_epi64)(e, g); o.v[1] = DSM__MM(unpackhi_epi64)(e, g); o.v[2] = DSM__MM(unpacklo_epi64)(f, h); o.v[3] = DSM__MM(unpackhi_epi64)(f, h);
    return o; }
FN void K(head)(const Sink *k, const int at, Ints *h) { Chunk c = K(take)(k, at); UNROLL for (int j = 0; j < 4; j++) h[j] = c.v[j]; }
FN Reals K(takeh)(const Sink *k, const int at) { return DSM__MM(cvtph_ps)(K(h)(k, at)); }
FN Ints K(h32)(const Sink *k, const int at) { return DSM__MM(cvtepu16_epi32)(K(h)(k, at)); }
FN Reals K(takee)(const Sink *k, const int at) { /* reads the byte behind too, which is the block's */
    const Ints a = DSM__SI(and)(K(h32)(k, at), DSM__MM(set1_epi32)(255)); /* below 96: zero */
    return DSM__MM(mul_ps)(DSM__REALS(DSM__SI(and)(K(shr)(a, -23), DSM__MM(srai_epi32)(DSM__MM(sub_epi32)(DSM__MM(set1_epi32)(95), a), 31))), DSM__MM(set1_ps)(.5f)); }
FN Chunk K(spread)(const Sink *k, const int at) { /* bit i of a nibble times 2^7i is bit 8i */
    const Ints h = K(h32)(k, at); Chunk c;
    UNROLL for (int j = 0; j < 4; j++)
        c.v[j] = DSM__SI(and)(DSM__MM(mullo_epi32)(DSM__SI(and)(K(shr)(h, 4 * j), DSM__MM(set1_epi32)(15)), DSM__MM(set1_epi32)(0x204081)), K(all)(1));
    return c; }
FN Ints K(splice)(Ints a, Ints b) { return DSM__SI(or)(K(shr)(a, 16), K(shr)(b, -16)); }
#define DSM__EACH(e) { UNROLL for (int j = 0; j < 4; j++) c.v[j] = (e); return c; }
FN Chunk K(bits)(Chunk c, const int at, const int n) { DSM__EACH(K(field)(c.v[j], at, n, 0)) }
FN Chunk K(join)(Chunk c, const int at, const int n, Chunk e, const int eat, const int en) {
    DSM__EACH(DSM__SI(or)(K(field)(c.v[j], at, n, 0), K(field)(e.v[j], eat, en, n))) }
FN Chunk K(plus)(Chunk c, const int a) { DSM__EACH(DSM__MM(add_epi8)(c.v[j], K(all)(a))) }
#if DSM__DOT            /* dpbusd: unsigned weights. Signed bytes get 128 more, which leaves through the start value from128. */
FN Chunk K(sgn)(Chunk c) { DSM__EACH(DSM__SI(xor)(c.v[j], K(all)(128))) }
FN Chunk K(look)(Chunk c, const int8_t *t) { const Ints v = DSM__SI(xor)(K(table)(t), K(all)(128)); DSM__EACH(DSM__MM(shuffle_epi8)(v, c.v[j])) }
#else
FN Chunk K(sgn)(Chunk c) { return c; }
FN Chunk K(look)(Chunk c, const int8_t *t) { const Ints v = K(table)(t); DSM__EACH(DSM__MM(shuffle_epi8)(v, c.v[j])) }
#endif
FN void K(put)(uint8_t *p, Chunk c, const int f) { (void)f; UNROLL for (int j = 0; j < 4; j++) DSM__SI(store)((Ints *)(void *)(p + 4 * ROWS * j), c.v[j]); }
/* mac, the heart: c += w[rows][4] . x[4], the i-th of n steps under one scale; c begins at *from. */
#if DSM__DOT
#if DSM__BITS == 256 && DSM__DOT == 2
#define DSM__DOT4 _mm256_dpbusd_avx_epi32
#else
#define DSM__DOT4 DSM__MM(dpbusd_epi32)
#endif
FN void K(mac)(Ints *c, Ints *h, Ints w, const int8_t *x, const int i, const int n, const int32_t *from, const int f) {
    (void)h; (void)n; (void)f; *c = DSM__DOT4(i ? *c : K(set4)(from), w, K(set4)(x + i % 4 * 4)); }
#else /* AVX2: pairs of products in int16 (h), as many of them as provably fit, then int32. Signed weights: |w| * sign(x, w). */
#define DSM__MOST (32767 / (254 * FORMAT.wmax))    /* pairs that fit */
#define DSM__FIT(n) (DSM__MOST >= (n) ? (n) : DSM__MOST >= 4 ? 4 : DSM__MOST >= 2 ? 2 : 1)
FN void K(mac)(Ints *c, Ints *h, Ints w, const int8_t *x, const int i, const int n, const int32_t *from, const int f) {
    const int g = DSM__FIT(n); Ints a = K(set4)(x + i % 4 * 4);
    Ints m = FORMAT.bias < 0 ? _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(a, w)) : _mm256_maddubs_epi16(w, a);
    *h = i % g ? _mm256_add_epi16(*h, m) : m; __asm__("" : "+x"(*h)); /* or gcc rebuilds the sum as a tree and spills it */
    if (i % g == g - 1) { *c = _mm256_add_epi32(i < g ? K(set4)(from) : *c, _mm256_madd_epi16(*h, _mm256_set1_epi16(1))); __asm__("" : "+x"(*c)); } }
#endif
FN Reals K(sum)(Chain *z, const int go, const Chunk *c, const int n, const int8_t *x, const int32_t *from, const int f) {
#if DSM__DOT && DSM__BITS == 256 /* a chain for each chunk: one of eight would fill the scheduler while it waits */
    static const int32_t none = 0; Ints s[2], h = K(all)(0); (void)z; (void)go;
    UNROLL for (int i = 0; i < 4 * n; i++) K(mac)(s + i / 4, &h, c[i / 4].v[i % 4], x + i / 4 * 16, i % 4, 4, i < 4 ? from : &none, f);
    return K(real)(n == 2 ? DSM__MM(add_epi32)(s[0], s[1]) : s[0]); }
#else
    Ints s = K(all)(0), h = s; (void)z; (void)go; UNROLL for (int i = 0; i < 4 * n; i++) K(mac)(&s, &h, c[i / 4].v[i % 4], x + i / 4 * 16, i, 4 * n, from, f);
    return K(real)(s); }
#endif
FN int K(sum16)(const int8_t *q) {
    const __m128i s = _mm_sad_epu8(_mm_xor_si128(_mm_loadu_si128((const __m128i *)(const void *)q), _mm_set1_epi8((char)128)), _mm_setzero_si128());
    return _mm_cvtsi128_si32(s) + _mm_extract_epi16(s, 4) - 16 * 128; }
FN void K(round)(const float *x, float up, int8_t *q) { /* the low byte of 1.5 * 2^23 + n is n */
    __m128i b;
#if DSM__BITS == 512
    b = _mm512_cvtepi32_epi8(_mm512_castps_si512(_mm512_add_ps(_mm512_mul_ps(_mm512_loadu_ps(x), _mm512_set1_ps(up)), _mm512_set1_ps(12582912.f))));
#else
    Ints h[2];
    UNROLL for (int i = 0; i < 2; i++) {
        h[i] = _mm256_castps_si256(_mm256_add_ps(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * i), _mm256_set1_ps(up)), _mm256_set1_ps(12582912.f)));
        h[i] = _mm256_and_si256(h[i], _mm256_set1_epi32(255)); }
    h[0] = _mm256_permute4x64_epi64(_mm256_packus_epi32(h[0], h[1]), 0xd8);
    b = _mm_packus_epi16(_mm256_castsi256_si128(h[0]), _mm256_extracti128_si256(h[0], 1));
#endif
    _mm_storeu_si128((__m128i *)(void *)q, b); }
FN uint32_t K(top)(const float *x, int n) { /* the largest |x|, as bits; n a multiple of 32 */
    Ints top = K(all)(0); uint32_t v[ROWS], a = 0;
    for (int i = 0; i < n; i += ROWS) top = DSM__MM(max_epi32)(top, DSM__SI(and)(DSM__SI(loadu)((const Ints *)(const void *)(x + i)), DSM__MM(set1_epi32)(0x7fffffff)));
    DSM__SI(storeu)((Ints *)(void *)v, top);
    for (int i = 0; i < ROWS; i++) if (v[i] > a) a = v[i];
    return a; }
#define Act const int8_t *          /* 16 activations, as a tile likes them: broadcast from memory, four at a time */
FN Act K(act)(const int8_t *p) { return p; }
FN Ints K(ldw)(const uint8_t *p) { return DSM__SI(load)((const Ints *)(const void *)p); }
#define DSM__START(x, e, slot) K(from)(x, from, e, f)
#define DSM__ORDER (void)0
#define DSM__OPAQUE
#define DSM__AHEAD 1
#define DSM__PREFETCH(p) (_mm_prefetch((const char *)(p), _MM_HINT_T0), _mm_prefetch((const char *)(p) + 8192, _MM_HINT_T1))

/* --------------------------------------------------- words: NEON, with and without dotprod --------------------------------------------------- */
#elif DSM__BITS == 128
#define UNROLL _Pragma("GCC unroll 32")
#define ROWS 4
#define DSM__CURSORS 4
#define Ints uint32x4_t
#define Reals float32x4_t
typedef struct { uint8x16_t v[4]; } Chunk;
typedef struct { int32x4_t a[4]; float32x4_t last; } Chain;
typedef DSM__SINK Sink;
#define DSM__S8(a) vreinterpretq_s8_u8(a)
FN Reals K(fset)(float a) { return vdupq_n_f32(a); }
FN Reals K(fld)(const float *p) { return vld1q_f32(p); }
FN void K(fst)(float *p, Reals a) { vst1q_f32(p, a); }
FN Reals K(fmul)(Reals a, Reals b) { return vmulq_f32(a, b); }
FN Reals K(fsub)(Reals a, Reals b) { return vsubq_f32(a, b); }
FN Reals K(fma)(Reals a, Reals b, Reals c) { return vfmaq_f32(c, a, b); }
FN Reals K(real)(Ints a) { return vsubq_f32(vreinterpretq_f32_u32(a), vdupq_n_f32(12582912.f)); } /* one slot; scvtf takes two */
FN Ints K(field)(Ints a, const int at, const int n, const int to) {
    return (to > at ? a << (to - at) : a >> (at - to)) & vdupq_n_u32(0x01010101u * (((1u << n) - 1) << to)); }
FN Reals K(lohalf)(Ints a) { return vcvt_f32_f16(vreinterpret_f16_u16(vmovn_u32(a))); }
FN Reals K(hihalf)(Ints a) { return vcvt_f32_f16(vreinterpret_f16_u16(vshrn_n_u32(a, 16))); }
FN Reals K(byte)(Ints a, const int i, float less) { /* 0x4B0000xx is 2^23 + xx: a half of an instruction, a trn and a subtraction; ucvtf alone takes two slots */
    const uint16x8_t w = vreinterpretq_u16_u32(a), h = i % 2 ? w >> 8 : w & vdupq_n_u16(255), m = vdupq_n_u16(0x4B00);
    return vsubq_f32(vreinterpretq_f32_u16(i < 2 ? vtrn1q_u16(h, m) : vtrn2q_u16(h, m)), vdupq_n_f32(less)); }
FN Reals K(ubyte)(Ints a, const int i) { return K(byte)(a, i, 8388608.f); }
FN Reals K(sbyte)(Ints a, const int i) { return K(byte)(a ^ vdupq_n_u32(0x80808080u), i, 8388736.f); }
FN Chunk K(take)(const Sink *k, const int at) { Chunk c; UNROLL for (int r = 0; r < 4; r++) c.v[r] = vld1q_u8(k->row[r] + at); return c; }
FN void K(head)(const Sink *k, const int at, Ints *h) {
#define DSM__LD(r) vreinterpretq_u32_u8(vld1q_u8(k->row[r] + at))
#define DSM__ZIP(i, a, b) vreinterpretq_u32_u64(vtrn##i##q_u64(vreinterpretq_u64_u32(a), vreinterpretq_u64_u32(b)))
    uint32x4_t a = vtrn1q_u32(DSM__LD(0), DSM__LD(1)), b = vtrn2q_u32(DSM__LD(0), DSM__LD(1)), c = vtrn1q_u32(DSM__LD(2), DSM__LD(3)), d = vtrn2q_u32(DSM__LD(2), DSM__LD(3));
    h[0] = DSM__ZIP(1, a, c); h[1] = DSM__ZIP(1, b, d); h[2] = DSM__ZIP(2, a, c); h[3] = DSM__ZIP(2, b, d); }
#undef DSM__LD
#undef DSM__ZIP
FN uint64_t K(u16)(const uint8_t *p) { uint16_t h; uint64_t a; memcpy(&h, p, 2); a = h; __asm__("" : "+r"(a)); return a; }
FN Reals K(takeh)(const Sink *k, const int at) { /* through the integer pipes, which are idle; lane loads (clang's idea, hence the asm) cost vector slots */
#define DSM__H(r) K(u16)(k->row[r] + at) << 16 * r
    return vcvt_f32_f16(vreinterpret_f16_u64(vcreate_u64(DSM__H(0) | DSM__H(1) | DSM__H(2) | DSM__H(3)))); }
#undef DSM__H
FN Reals K(takee)(const Sink *k, const int at) {
#define DSM__E(r) (uint64_t)(k->row[r][at] < 96 ? 0 : k->row[r][at])
    return vmulq_n_f32(vreinterpretq_f32_u64(vcombine_u64(vcreate_u64(DSM__E(0) << 23 | DSM__E(1) << 55), vcreate_u64(DSM__E(2) << 23 | DSM__E(3) << 55))), .5f); }
#undef DSM__E
#define DSM__EACH(e) { UNROLL for (int r = 0; r < 4; r++) c.v[r] = (e); return c; }
FN Chunk K(bits)(Chunk c, const int at, const int n) {
    const uint8x16_t m = vdupq_n_u8((uint8_t)((1 << n) - 1)); DSM__EACH(at == 0 ? c.v[r] & m : at + n == 8 ? c.v[r] >> at : c.v[r] >> at & m) }
FN uint8x16_t K(shr)(uint8x16_t a, const int n) { return n < 0 ? a << -n : n ? a >> n : a; }
FN Chunk K(join)(Chunk c, const int at, const int n, Chunk e, const int eat, const int en) { /* n = 4: insert and accumulate merge while they shift */
    const uint8x16_t m = vdupq_n_u8((uint8_t)((1 << (n + en)) - 1)), t = vdupq_n_u8((uint8_t)(((1 << en) - 1) << n));
    if (n == 4 && at == 0) DSM__EACH(vsliq_n_u8(c.v[r], K(shr)(e.v[r], eat), 4) & m)
    if (n == 4 && at == 4) DSM__EACH(vsraq_n_u8(K(shr)(e.v[r], eat - 4) & t, c.v[r], 4))
    DSM__EACH((c.v[r] >> at & (m ^ t)) | (K(shr)(e.v[r], eat - n) & t)) }
FN Chunk K(look)(Chunk c, const int8_t *t) { const uint8x16_t v = vld1q_u8((const uint8_t *)t); DSM__EACH(vqtbl1q_u8(v, c.v[r])) }
FN Chunk K(sgn)(Chunk c) { return c; }
FN Chunk K(plus)(Chunk c, const int a) { const uint8x16_t v = vdupq_n_u8((uint8_t)a); DSM__EACH(vaddq_u8(c.v[r], v)) }
FN Chunk K(spread)(const Sink *k, const int at) {
    static const uint8_t bit[16] = { 1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128 }; const uint8x16_t m = vld1q_u8(bit); Chunk c;
    UNROLL for (int r = 0; r < 4; r++)
        c.v[r] = vandq_u8(vtstq_u8(vcombine_u8(vdup_n_u8(k->row[r][at]), vdup_n_u8(k->row[r][at + 1])), m), vdupq_n_u8(1));
    return c; }
FN Ints K(splice)(Ints a, Ints b) { return vsliq_n_u32(vshrq_n_u32(a, 16), b, 16); }
FN int K(sum16)(const int8_t *q) { return vaddlvq_s8(vld1q_s8(q)); }
FN void K(round)(const float *x, float up, int8_t *q) { /* the low byte of 1.5 * 2^23 + n is n */
#define DSM__H(i) vmovn_u32(vreinterpretq_u32_f32(vaddq_f32(vmulq_f32(vld1q_f32(x + 4 * (i)), vdupq_n_f32(up)), vdupq_n_f32(12582912.f))))
    vst1q_s8(q, vreinterpretq_s8_u8(vcombine_u8(vmovn_u16(vcombine_u16(DSM__H(0), DSM__H(1))), vmovn_u16(vcombine_u16(DSM__H(2), DSM__H(3)))))); }
#undef DSM__H
FN uint32_t K(top)(const float *x, int n) { /* the largest |x|, as bits; n a multiple of 32 */
    uint32x4_t top = vdupq_n_u32(0);
    for (int i = 0; i < n; i += 4) top = vmaxq_u32(top, vandq_u32(vreinterpretq_u32_f32(vld1q_f32(x + i)), vdupq_n_u32(0x7fffffffu)));
    return vmaxvq_u32(top); }
FN Ints K(tree)(const int32x4_t *a) { return vreinterpretq_u32_s32(vpaddq_s32(vpaddq_s32(a[0], a[1]), vpaddq_s32(a[2], a[3]))); }
#if DSM__DOT
#define DSM__PANEL 2
#define DSM__TOKENS 4
#define DSM__LANES 1
/* A start value is loaded where it is needed, once per row: the load pipes are idle, a move would cost a vector slot. Where no bias has to leave, the
   sums of a record run on (go), and a sum is the difference to the last total: conversion and difference are one subtraction. */
#define DSM__FROM1(i) __asm__("ldr %s0, %1" : "=w"(z->a[i]) : "m"(*from), "i"(i));
FN Reals K(sum)(Chain *z, const int go, const Chunk *c, const int n, const int8_t *x, const int32_t *from, const int f) {
    Reals t, last = z->last; (void)f;
    if (!go) { DSM__FROM1(0) DSM__FROM1(1) DSM__FROM1(2) DSM__FROM1(3) last = vdupq_n_f32(12582912.f); }
    UNROLL for (int i = 0; i < n; i++) {
        const int8x16_t v = vld1q_s8(x + 16 * i); UNROLL for (int r = 0; r < 4; r++) z->a[r] = vdotq_s32(z->a[r], DSM__S8(c[i].v[r]), v); }
    t = vreinterpretq_f32_u32(K(tree)(z->a)); z->last = t;
    return vsubq_f32(t, last); }
#undef DSM__FROM1
FN void K(put)(uint8_t *p, Chunk c, const int f) { /* rows interleaved by four bytes, and signed: a tile starts at MAGIC for every format */
    uint32x4x4_t t; const uint8x16_t b = vdupq_n_u8((uint8_t)(FORMAT.bias > 0 ? FORMAT.bias : 0));
    UNROLL for (int r = 0; r < 4; r++) t.val[r] = vreinterpretq_u32_u8(c.v[r] - b);
    vst4q_u32((uint32_t *)(void *)p, t); }
#define Act int8x16_t
FN Act K(act)(const int8_t *p) { return vld1q_s8(p); }
FN Ints K(ldw)(const uint8_t *p) { return vreinterpretq_u32_u8(vld1q_u8(p)); }
FN void K(mac)(Ints *c, Ints *h, Ints w, Act x, const int i, const int n, const int32_t *from, const int f) {
    int32x4_t s = i ? vreinterpretq_s32_u32(*c) : vld1q_s32(from); const int8x16_t v = vreinterpretq_s8_u32(w); (void)h; (void)n; (void)f;
    switch (i % 4) {
        case 0: s = vdotq_laneq_s32(s, v, x, 0); break; case 1: s = vdotq_laneq_s32(s, v, x, 1); break;
        case 2: s = vdotq_laneq_s32(s, v, x, 2); break; default: s = vdotq_laneq_s32(s, v, x, 3); }
    *c = vreinterpretq_u32_s32(s); DSM__DONE(*c); }
#define DSM__M8 DSM__MAGIC, DSM__MAGIC, DSM__MAGIC, DSM__MAGIC, DSM__MAGIC, DSM__MAGIC, DSM__MAGIC, DSM__MAGIC
static const int32_t K(magic)[4 * DSM__PANEL * DSM__TOKENS] = { DSM__M8, DSM__M8, DSM__M8, DSM__M8 };
#define DSM__OPAQUE const int32_t *magic = K(magic); __asm__("" : "+r"(magic)); /* eight loads, not eight moves of a known value */
#define DSM__START(x, e, slot) (magic + 4 * (slot))
#define DSM__ORDER __asm__ volatile("" ::: "memory") /* compilers would fetch the tile ahead, and spill */
#else
#define DSM__PANEL 1
#define DSM__TOKENS 4
#define DSM__LANES 0
/* Eight products an instruction, summed in int16 lanes and by pairs as far as they provably fit, then in int32. */
#define DSM__FITS(products) ((products) * 127 * FORMAT.wmax <= 32767)
#define DSM__LO(a) vget_low_s8(DSM__S8(a))
FN int16x8_t K(mul2)(uint8x16_t w, int8x16_t x) { return vmlal_high_s8(vmull_s8(DSM__LO(w), vget_low_s8(x)), DSM__S8(w), x); }
FN Reals K(sum)(Chain *z, const int go, const Chunk *c, const int n, const int8_t *x, const int32_t *from, const int f) {
    int16x8_t a[4]; int32x4_t b[4], s = vld1q_dup_s32(from); (void)z; (void)go;
    UNROLL for (int r = 0; r < 4; r++) {
        const int8x16_t v = vld1q_s8(x), u = vld1q_s8(x + 16 * (n - 1));
        if (n == 2 && DSM__FITS(4)) a[r] = vmlal_high_s8(vmlal_s8(K(mul2)(c[0].v[r], v), DSM__LO(c[1].v[r]), vget_low_s8(u)), DSM__S8(c[1].v[r]), u);
        else a[r] = K(mul2)(c[0].v[r], v);
        if (!DSM__FITS(4 * n)) { b[r] = vpaddlq_s16(a[r]); if (n == 2) b[r] = vpadalq_s16(b[r], K(mul2)(c[1].v[r], u)); } }
    if (DSM__FITS(8 * n)) s = vpadalq_s16(s, vpaddq_s16(vpaddq_s16(a[0], a[1]), vpaddq_s16(a[2], a[3])));
    else if (DSM__FITS(4 * n)) s = s + vpaddq_s32(vpaddlq_s16(vpaddq_s16(a[0], a[1])), vpaddlq_s16(vpaddq_s16(a[2], a[3])));
    else s = s + vreinterpretq_s32_u32(K(tree)(b));
    Reals t = K(real)(vreinterpretq_u32_s32(s)); if (FORMAT.unit > 32) DSM__DONE(t);
    return t; }
FN void K(put)(uint8_t *p, Chunk c, const int f) { (void)f; UNROLL for (int r = 0; r < 4; r++) vst1q_u8(p + 16 * r, c.v[r]); }
FN Chunk K(get)(const uint8_t *p) { Chunk c; UNROLL for (int r = 0; r < 4; r++) c.v[r] = vld1q_u8(p + 16 * r); return c; }
#endif
#define DSM__AHEAD 1
#define DSM__PREFETCH(p) __builtin_prefetch(p)
#endif

/* ------------------------------------------------------- the two sinks, in words ------------------------------------------------------- */
/* e: the element at which a weight group begins, counted from the unpacker's first; n, f, e are constants wherever these are inlined */
typedef struct { Reals v[4]; } Sums;
/* Where a format's start values are in an activation record, as an index of int32; a tile gets the index, as formats share it. */
#if DSM__BITS >= 256 && DSM__DOT
#define DSM__SIGNED DSM__K_WHERE(from128)
#else
#define DSM__SIGNED DSM__K_WHERE(from0)
#endif
#define DSM__FROM(width, bias) ((bias) < 0 ? DSM__SIGNED : (bias) == 8 ? DSM__K_WHERE(from8) : (bias) == 32 ? DSM__K_WHERE(from32) : DSM__K_WHERE(from0))
FN const int32_t *K(from)(const dsm__x64 *x, const int from, const int e, const int f) {
    return (const int32_t *)(const void *)x + from + (from == DSM__K_WHERE(from0) ? 0 : e % 64 / FORMAT.width); }
#define DSM__STEP (FORMAT.unit == 32 ? 64 : 128)     /* weights after which the cursors move */
/* Every chunk prefetches its like one panel ahead, in address order: a step there is so many lines, divided evenly. A few lines at a time,
   never a burst, and DSM__KEEP so that the compiler makes none. */
FN void K(ahead)(const Sink *k, const int f, const int e) {
    const int bytes = FORMAT.bytes * ROWS * DSM__STEP / FORMAT.unit, i = (bytes * e / DSM__STEP + 63) / 64, z = (bytes * (e + 16) / DSM__STEP + 63) / 64;
    if (DSM__AHEAD) UNROLL for (int l = i; l < z; l++) DSM__PREFETCH(k->ahead + 64 * l);
    DSM__KEEP; }
FN Sums K(sums)(Sink *k, const int n, const int f, const int e, const Chunk *c, const int chunks) {
    Sums s = { { K(fset)(0) } };
    if (!n) UNROLL for (int i = 0; i < chunks; i++) K(put)(k->w + (e / 16 + i) * DSM__PANEL * 16 * ROWS, c[i], f);
    UNROLL for (int t = 0; t < n; t++) {
        const dsm__x64 *x = k->x + t * k->ldx + e / 64;
        s.v[t] = K(sum)(k->chain + t, FORMAT.bias <= 0 && e % 64, c, chunks, x->q + e % 64, K(from)(x, DSM__FROM(FORMAT.width, FORMAT.bias), e, f), f); }
    return s; }
FN Sums K(sum1)(Sink *k, const int n, const int f, const int e, Chunk a) { /* lines in the order of the calls: e = 0, 32, 64, 96, 16, 48, .. */
    if (n) K(ahead)(k, f, e / 32 % 4 * 16 + e / 16 % 2 * 64);
    return K(sums)(k, n, f, e, &a, 1); }
FN Sums K(sum2)(Sink *k, const int n, const int f, const int e, Chunk a, Chunk b) {
    Chunk c[2]; Sums s; c[0] = a; c[1] = b;
    if (n) K(ahead)(k, f, e);
    s = K(sums)(k, n, f, e, c, 2);
    if (n) K(ahead)(k, f, e + 16);
    return s; }
FN void K(close)(Sink *k, const int n, const int e) { UNROLL for (int t = 0; t < n; t++) k->acc[t] = K(fma)(k->p[t], K(fset)(k->x[t * k->ldx + e / 64].dx), k->acc[t]); }
/* p = fma(S, d, p), where the first of a record is a product: that differs in the sign of a zero at most, which acc cannot see */
FN void K(scale)(Sink *k, const int n, const int f, const int e, Sums s, Reals d) {
    if (!n) K(fst)(k->s + e / FORMAT.width * DSM__PANEL * ROWS, d);
    UNROLL for (int t = 0; t < n; t++) k->p[t] = e % 64 ? K(fma)(s.v[t], d, k->p[t]) : K(fmul)(s.v[t], d);
    if (!FORMAT.mins && (e + FORMAT.width) % 64 == 0) K(close)(k, n, e); }
FN float K(least_sum)(const dsm__x64 *x, const int e, const int f) { /* X; over 16 weights it is in a start value: 1.5 * 2^23 - 32 X */
    return FORMAT.width == 32 ? x->sum[e / 32] : (float)(DSM__MAGIC - x->from32[e / 16]) * .03125f; }
FN void K(least)(Sink *k, const int n, const int f, const int e, Reals m) {
    if (!n) K(fst)(k->m + e / FORMAT.width * DSM__PANEL * ROWS, m);
    UNROLL for (int t = 0; t < n; t++) k->p[t] = K(fma)(K(fset)(K(least_sum)(k->x + t * k->ldx + e / 64, e % 64, f)), m, k->p[t]);
    if ((e + FORMAT.width) % 64 == 0) K(close)(k, n, e); }

FN int K(two)(void) { int n = 2; __asm__("" : "+r"(n)); return n; } /* compilers would unroll it and spill */
FN void K(step)(Sink *k, const int n, const int f) {
    if (n) { k->x += DSM__STEP / 64; k->ahead += FORMAT.bytes * ROWS * DSM__STEP / FORMAT.unit; }
    else { k->w += DSM__STEP * DSM__PANEL * ROWS; k->s += DSM__STEP / FORMAT.width * DSM__PANEL * ROWS; k->m += DSM__STEP / FORMAT.width * DSM__PANEL * ROWS; } }

/* ------------------------------------------------------- formats: one unpacker each ------------------------------------------------------- */
#define DSM__UNPACK(name) FN void K(un_##name)(Sink *k, const int n, const int f, const int e)
#define DSM__HERE (e / 32 * FORMAT.bytes)                    /* of the two blocks of a step, the one this call unpacks */
#define take(at) K(take)(k, DSM__HERE + (at))                /* 16 bytes at this place of the block, of every row */
#define head(at, h) K(head)(k, DSM__HERE + (at), h)          /* the same as four Ints: lane = row, Ints j = bytes 4j .. 4j+3 */
#define takeh(at) K(takeh)(k, DSM__HERE + (at))              /* an f16 of every row */
#define takee(at) K(takee)(k, DSM__HERE + (at))              /* an E8M0 of every row, halved: 2^(e-128) */
#define spread(at) K(spread)(k, DSM__HERE + (at))       /* 16 bits of every row, each a byte of 0 or 1 */
#define bits(c, at, n) K(bits)(c, at, n)                /* a field of n bits of every byte */
#define join(c, at, n, e, eat, en) K(join)(c, at, n, e, eat, en) /* a field of c with a field of e above it */
#define look(c, t) K(look)(c, t)                        /* bytes 0 .. 15 through a table of int8 */
#define sgn(c) K(sgn)(c)                                /* signed bytes, as the pass likes them */
#define plus(c, a) K(plus)(c, a)                        /* a more in every byte */
#define sum1(e, a) K(sum1)(k, n, f, e, a)               /* exact sums over the 16 weights from e on */
#define sum2(e, a, b) K(sum2)(k, n, f, e, a, b)         /* over 32 */
#define scale(e, s, d) K(scale)(k, n, f, e, s, d)       /* p = fma(S, d, p) */
#define least(e, m) K(least)(k, n, f, e, m)             /* p = fma(X, m, p) */
#define DSM__HALVES for (int u = 0, two = K(two)(); u < two; u++)  /* super-blocks in steps of 128 weights, a real loop */
#define step() K(step)(k, n, f)

DSM__UNPACK(Q4_0) { /* f16 d; 16 bytes: low nibbles are weights 0 .. 15, high nibbles 16 .. 31 */
    Chunk c = take(2);
    scale(e, sum2(e, bits(c, 0, 4), bits(c, 4, 4)), takeh(0)); }

DSM__UNPACK(Q4_1) { /* f16 d, f16 minimum; nibbles as in Q4_0 */
    Chunk c = take(4);
    scale(e, sum2(e, bits(c, 0, 4), bits(c, 4, 4)), takeh(0)); least(e, takeh(2)); }

DSM__UNPACK(Q5_0) { /* f16 d; 32 fifth bits; nibbles as in Q4_0 */
    Chunk c = take(6);
    scale(e, sum2(e, sgn(plus(join(c, 0, 4, spread(2), 0, 1), -16)), sgn(plus(join(c, 4, 4, spread(4), 0, 1), -16))), takeh(0)); }

DSM__UNPACK(Q5_1) { /* f16 d, f16 minimum; 32 fifth bits; nibbles */
    Chunk c = take(8);
    scale(e, sum2(e, join(c, 0, 4, spread(4), 0, 1), join(c, 4, 4, spread(6), 0, 1)), takeh(0)); least(e, takeh(2)); }

DSM__UNPACK(Q8_0) { /* f16 d; 32 int8 */
    Chunk a = take(2), b = take(18);
    scale(e, sum2(e, sgn(a), sgn(b)), takeh(0)); }

DSM__UNPACK(IQ4_NL) { /* as Q4_0, the nibbles index a table */
    Chunk c = take(2);
    scale(e, sum2(e, look(bits(c, 0, 4), dsm__fmt_iq4), look(bits(c, 4, 4), dsm__fmt_iq4)), takeh(0)); }

DSM__UNPACK(MXFP4) { /* E8M0 scale; as IQ4_NL */
    Chunk c = take(1);
    scale(e, sum2(e, look(bits(c, 0, 4), dsm__fmt_mxfp4), look(bits(c, 4, 4), dsm__fmt_mxfp4)), takee(0)); }

/* head of Q4_K and Q5_K: f16 d, dmin; 8 scales and 8 minima of 6 bits in 12 bytes, taken apart for all rows at once */
typedef struct { Ints s[2], m[2]; Reals d, dmin; } K(six);
FN K(six) K(head6)(const Ints *h) {
    K(six) o;
    o.s[0] = K(field)(h[1], 0, 6, 0); o.s[1] = K(field)(h[3], 0, 4, 0) | K(field)(h[1], 6, 2, 4);
    o.m[0] = K(field)(h[2], 0, 6, 0); o.m[1] = K(field)(h[3], 4, 4, 0) | K(field)(h[2], 6, 2, 4);
    o.d = K(lohalf)(h[0]); o.dmin = K(fmul)(K(hihalf)(h[0]), K(fset)(-1.f));
    return o; }

DSM__UNPACK(Q4_K) { /* head; 4 x 32 bytes: low nibbles are the even groups of 32, high nibbles the odd ones */
    Ints h[4]; K(six) o; (void)e; head(0, h); o = K(head6)(h);
    DSM__HALVES {
        UNROLL for (int g = 0; g < 4; g += 2) {
            Chunk a = take(16 + 64 * u + 16 * g), b = take(32 + 64 * u + 16 * g);
            UNROLL for (int i = 0; i < 2; i++) {
                scale(32 * (g + i), sum2(32 * (g + i), bits(a, 4 * i, 4), bits(b, 4 * i, 4)), K(fmul)(o.d, K(ubyte)(o.s[0], g + i)));
                least(32 * (g + i), K(fmul)(o.dmin, K(ubyte)(o.m[0], g + i))); } }
        o.s[0] = o.s[1]; o.m[0] = o.m[1]; step(); } }

DSM__UNPACK(Q5_K) { /* head; 32 bytes whose bit g is the fifth bit of group g; nibbles as in Q4_K */
    Ints h[4]; K(six) o; (void)e; head(0, h); o = K(head6)(h);
    Chunk p = take(16), q = take(32);
    DSM__HALVES {
        UNROLL for (int g = 0; g < 4; g += 2) {
            Chunk a = take(48 + 64 * u + 16 * g), b = take(64 + 64 * u + 16 * g);
            UNROLL for (int i = 0; i < 2; i++) {
                scale(32 * (g + i), sum2(32 * (g + i), join(a, 4 * i, 4, p, g + i, 1), join(b, 4 * i, 4, q, g + i, 1)), K(fmul)(o.d, K(ubyte)(o.s[0], g + i)));
                least(32 * (g + i), K(fmul)(o.dmin, K(ubyte)(o.m[0], g + i))); } }
        o.s[0] = o.s[1]; o.m[0] = o.m[1]; p = bits(p, 4, 4); q = bits(q, 4, 4); step(); } }

DSM__UNPACK(Q6_K) { /* 128 bytes of low nibbles, 64 of high bit pairs, 16 int8 scales, f16 d. Byte columns carry four groups: sums first, scales in order */
    Ints h[4]; (void)e; head(192, h); Reals d = takeh(208);
    DSM__HALVES {
        Sums s[8];
        UNROLL for (int l = 0; l < 2; l++) {
            Chunk a = take(64 * u + 16 * l), c = take(128 + 32 * u + 16 * l), b = take(64 * u + 32 + 16 * l);
            UNROLL for (int g = 0; g < 4; g++) s[2 * g + l] = sum1(32 * g + 16 * l, join(g % 2 ? b : a, g / 2 * 4, 4, c, 2 * g, 2)); }
        UNROLL for (int z = 0; z < 8; z++) scale(16 * z, s[z], K(fmul)(d, K(sbyte)(h[z / 4], z % 4)));
        h[0] = h[2]; h[1] = h[3]; step(); } }

DSM__UNPACK(Q2_K) { /* 16 bytes: a scale and a minimum of 4 bits for 16 weights; 64 of bit pairs, a byte column carries four groups; f16 d, dmin */
    Ints h[4]; (void)e; head(0, h); Reals d = takeh(80), dmin = K(fmul)(takeh(82), K(fset)(-1.f));
    DSM__HALVES {
        Chunk c[2]; c[0] = take(16 + 32 * u); c[1] = take(32 + 32 * u);
        UNROLL for (int z = 0; z < 8; z++) {
            scale(16 * z, sum1(16 * z, bits(c[z % 2], z / 2 * 2, 2)), K(fmul)(d, K(ubyte)(K(field)(h[z / 4], 0, 4, 0), z % 4)));
            least(16 * z, K(fmul)(dmin, K(ubyte)(K(field)(h[z / 4], 4, 4, 0), z % 4))); }
        h[0] = h[2]; h[1] = h[3]; step(); } }

DSM__UNPACK(Q3_K) { /* 32 bytes of third bits, bit g for group g of 32; 64 of bit pairs as in Q2_K; 16 scales of 6 bits in 12 bytes; f16 d. The weight is
                       (pair | bit << 2) - 4; 28 more, and it shares Q6_K's tile */
    Ints h[4], s[4]; Reals d; Chunk p = take(0), q = take(16); (void)e;
    head(94, h); d = K(hihalf)(h[3]); /* from 94, as a head at 96 would end behind the block */
    for (int i = 0; i < 3; i++) h[i] = K(splice)(h[i], h[i + 1]);
    s[0] = K(field)(h[0], 0, 4, 0) | K(field)(h[2], 0, 2, 4); s[1] = K(field)(h[1], 0, 4, 0) | K(field)(h[2], 2, 2, 4);
    s[2] = K(field)(h[0], 4, 4, 0) | K(field)(h[2], 4, 2, 4); s[3] = K(field)(h[1], 4, 4, 0) | K(field)(h[2], 6, 2, 4);
    DSM__HALVES {
        Chunk c[2]; c[0] = take(32 + 32 * u); c[1] = take(48 + 32 * u);
        UNROLL for (int z = 0; z < 8; z++)
            scale(16 * z, sum1(16 * z, plus(join(c[z % 2], z / 2 * 2, 2, z % 2 ? q : p, z / 2, 1), 28)),
                  K(fmul)(d, K(fsub)(K(ubyte)(s[z / 4], z % 4), K(fset)(32.f))));
        s[0] = s[2]; s[1] = s[3]; p = bits(p, 4, 4); q = bits(q, 4, 4); step(); } }

DSM__UNPACK(IQ4_XS) { /* f16 d; 8 scales of 6 bits, the high pairs in 2 bytes, the low nibbles in 4; 8 x 16 bytes as in IQ4_NL */
    Ints h[4], low[2]; Reals d, s[8]; (void)e; head(0, h); d = K(lohalf)(h[0]); low[0] = K(field)(h[1], 0, 4, 0); low[1] = K(field)(h[1], 4, 4, 0);
    UNROLL for (int g = 0; g < 8; g++)
        s[g] = K(fmul)(d, K(fsub)(K(ubyte)(low[g % 2], g / 2), K(fsub)(K(fset)(32.f), K(ubyte)(K(field)(h[0], g % 4 * 2, 2, 4), 2 + g / 4))));
    DSM__HALVES {
        UNROLL for (int g = 0; g < 4; g++) {
            Chunk c = take(8 + 64 * u + 16 * g);
            scale(32 * g, sum2(32 * g, look(bits(c, 0, 4), dsm__fmt_iq4), look(bits(c, 4, 4), dsm__fmt_iq4)), s[g]); }
        UNROLL for (int g = 0; g < 4; g++) s[g] = s[g + 4];
        step(); } }

/* ---------------------------------------------------- drivers: one per shape ---------------------------------------------------- */
FN void K(start)(Sink *k, const uint8_t *w, size_t stride) { k->stride = stride; UNROLL for (int i = 0; i < DSM__CURSORS; i++) k->row[i] = w + (size_t)i * stride; }
FN void K(next)(Sink *k, const int bytes) { UNROLL for (int i = 0; i < DSM__CURSORS; i++) k->row[i] += bytes; }
OUT void K(pad)(uint8_t *to, const uint8_t *w, size_t stride, int bytes) {
    for (int r = 0; r < ROWS; r++, to += 2 * bytes) { memcpy(to, w + (size_t)r * stride, (size_t)bytes); memset(to + bytes, 0, (size_t)bytes); } }
/* Blocks in order. Where K % 64 = 32 a last block goes through a buffer with zeros behind it: nothing is read past a row, and zero times zero adds nothing.
   DSM__WALK is the statement for both parts: e .. z of len at w. */
#define DSM__WALK(name, n) \
    K(start)(&k, w + (size_t)(e / FORMAT.unit * FORMAT.bytes), stride); z = len - len % 64; \
    if (FORMAT.unit == 32 && z == e) { K(pad)(pad, k.row[0], stride, FORMAT.bytes); K(start)(&k, pad, (size_t)(2 * FORMAT.bytes)); z = len; } \
    for (int i = e; i < z; i += FORMAT.unit == 32 ? 64 : FORMAT.unit) { \
        K(un_##name)(&k, n, f, 0); \
        if (FORMAT.unit == 32) { K(un_##name)(&k, n, f, 32); K(step)(&k, n, f); } \
        K(next)(&k, FORMAT.unit == 32 ? 2 * FORMAT.bytes : FORMAT.bytes); }
#define DSM__PAD uint8_t pad[ROWS * 2 * DSM__K_MOST] /* of super-blocks there is no last half */

/* mat-vec: panels of ROWS rows (at least that many), the last overlaps the one before: same values. next: what this thread reads afterwards. */
#define DSM__MATVEC(name, n) case n: \
        for (int r = 0, z; r < rows; r += ROWS) { \
            if (r + ROWS > rows) r = rows - ROWS; \
            for (int e = 0; e < len; e = z) { \
                const uint8_t *w = from + (size_t)r * stride; Sink k; k.x = x + e / 64; k.ldx = ldx; k.ahead = r + 2 * ROWS <= rows ? w + ROWS * stride : next; \
                UNROLL for (int t = 0; t < n; t++) { k.p[t] = K(fset)(0); k.acc[t] = e ? K(fld)(y + t * ldy + r) : K(fset)(0); } \
                DSM__WALK(name, n) \
                UNROLL for (int t = 0; t < n; t++) K(fst)(y + t * ldy + r, k.acc[t]); } } break;

/* prompts: a tile's rows are unpacked once (chunk: 16 * ROWS bytes; a tile is DSM__PANEL of them side by side; scales DSM__PANEL * ROWS floats) ... */
#define DSM__UNPACKED(name) OUT void K(unpack_##name)(const uint8_t *w, size_t stride, int len, dsm__k_scratch to) { \
        const int f = DSM__FMT_##name; DSM__PAD; \
        for (int v = 0, z; v < DSM__PANEL; v++, w += ROWS * stride) for (int e = 0; e < len; e = z) { \
            Sink k; k.w = to.w + (v * 16 + e * DSM__PANEL) * ROWS; k.s = to.s + (v + e / FORMAT.width * DSM__PANEL) * ROWS; k.m = to.m + (v + e / FORMAT.width * DSM__PANEL) * ROWS; \
            DSM__WALK(name, 0) } }
#if DSM__LANES /* ... and multiplied DSM__PANEL vectors of rows x DSM__TOKENS tokens at a time. p is in registers, acc in L1 (sums). */
#define DSM__ALL UNROLL for (int t = 0; t < n; t++) UNROLL for (int v = 0; v < DSM__PANEL; v++)
FN void K(tile64)(const uint8_t *w, const float *s, const float *m, const dsm__x64 *x, long ldx, float *y, long ldy, const int from, const int n, const int f) {
    Reals p[DSM__TOKENS][DSM__PANEL]; const int width = FORMAT.width; DSM__OPAQUE (void)from;
    UNROLL for (int e = 0; e < 64; e += width) {
        Ints c[DSM__TOKENS][DSM__PANEL], h[DSM__TOKENS][DSM__PANEL], a[DSM__PANEL]; Reals d[DSM__PANEL]; Act q[DSM__TOKENS];
        UNROLL for (int i = 0; i < width / 4; i++) {
            if (i % 4 == 0) UNROLL for (int t = 0; t < n; t++) q[t] = K(act)(x[t * ldx].q + e + 4 * i);
            DSM__ORDER;
            UNROLL for (int v = 0; v < DSM__PANEL; v++) a[v] = K(ldw)(w + ((e / 16 + i / 4) * DSM__PANEL + v) * 16 * ROWS + i % 4 * 4 * ROWS);
            DSM__ALL K(mac)(&c[t][v], &h[t][v], a[v], q[t], i, width / 4, DSM__START(x + t * ldx, e, t * DSM__PANEL + v), f); }
        UNROLL for (int v = 0; v < DSM__PANEL; v++) d[v] = K(fld)(s + (e / width * DSM__PANEL + v) * ROWS);
        DSM__ALL p[t][v] = e ? K(fma)(K(real)(c[t][v]), d[v], p[t][v]) : K(fmul)(K(real)(c[t][v]), d[v]);
        if (FORMAT.mins) {
            UNROLL for (int v = 0; v < DSM__PANEL; v++) d[v] = K(fld)(m + (e / width * DSM__PANEL + v) * ROWS);
            DSM__ALL p[t][v] = K(fma)(K(fset)(K(least_sum)(x + t * ldx, e, f)), d[v], p[t][v]); } }
    DSM__ALL { float *o = y + t * ldy + v * ROWS; DSM__ORDER; K(fst)(o, K(fma)(p[t][v], K(fset)(x[t * ldx].dx), K(fld)(o))); } }
FN void K(tiles)(dsm__k_scratch k, const dsm__x64 *x, long ldx, float *y, long ldy, int add, int len, dsm__k_fetch *pf, const int from,
                 const int n, const int f) {
    const int per = 64 / FORMAT.width * DSM__PANEL * ROWS; float *sums = k.sums; const long lds = DSM__PANEL * ROWS;
    DSM__ALL K(fst)(sums + t * lds + v * ROWS, add ? K(fld)(y + t * ldy + v * ROWS) : K(fset)(0));
    for (; len > 0; len -= 64, x++, k.w += 64 * DSM__PANEL * ROWS, k.s += per, k.m += per) {
        for (int i = 0; i < pf->per; i++) {
            DSM__PREFETCH(pf->p); pf->p += 64;
            if (pf->p >= pf->end) { pf->p += pf->stride - pf->run; pf->end += pf->stride; } }
        K(tile64)(k.w, k.s, k.m, x, ldx, sums, lds, from, n, f); }
    DSM__ALL K(fst)(y + t * ldy + v * ROWS, K(fld)(sums + t * lds + v * ROWS)); }
#undef DSM__ALL
#else /* ... and read again as a mat-vec reads the file: natural order is what these passes multiply */
FN void K(tiles)(dsm__k_scratch w, const dsm__x64 *x, long ldx, float *y, long ldy, int add, int len, dsm__k_fetch *pf, const int from,
                 const int n, const int f) {
    const int per = 64 / FORMAT.width * ROWS; Sink k; k.x = x; k.ldx = ldx; (void)pf; (void)from;
    UNROLL for (int t = 0; t < n; t++) { k.p[t] = K(fset)(0); k.acc[t] = add ? K(fld)(y + t * ldy) : K(fset)(0); }
    for (; len > 0; len -= 64, k.x++, w.w += 64 * ROWS, w.s += per, w.m += per)
        UNROLL for (int e = 0; e < 64; e += FORMAT.width) {
            Chunk c[2]; c[0] = K(get)(w.w + e * ROWS); c[1] = FORMAT.width == 32 ? K(get)(w.w + (e + 16) * ROWS) : c[0];
            K(scale)(&k, n, f, e, K(sums)(&k, n, f, e, c, FORMAT.width / 16), K(fld)(w.s + e / FORMAT.width * ROWS));
            if (FORMAT.mins) K(least)(&k, n, f, e, K(fld)(w.m + e / FORMAT.width * ROWS)); }
    UNROLL for (int t = 0; t < n; t++) K(fst)(y + t * ldy, k.acc[t]); }
#endif

/* ---- activations: the contract's first half ---- */
#if DSM__FLOATS_HERE
OUT int K(quantize)(const float *x, int len, dsm__x64 *o) {
    for (int n; len > 0; len -= n, x += n, o++) {
        uint32_t top; float a; int s[4]; n = len < 64 ? len : 64;
        top = K(top)(x, n);
        if (top >= 0x7f800000u) return 0;
        a = dsm__num_bits(top); a = a < 5.42101086242752217e-20f ? 0 : a; o->dx = a / 127.f;
        if (n < 64) memset(o->q, 0, 64);
        if (a > 0) { const float up = 127.f / a; for (int i = 0; i < n; i += 16) K(round)(x + i, up, o->q + i); }
        else memset(o->q, 0, 64);
        for (int i = 0; i < 4; i++) { s[i] = K(sum16)(o->q + 16 * i); o->from32[i] = DSM__MAGIC - 32 * s[i]; }
        o->from0 = DSM__MAGIC;
        for (int i = 0; i < 2; i++) {
            const int t = s[2 * i] + s[2 * i + 1]; o->sum[i] = (float)t; o->from8[i] = DSM__MAGIC - 8 * t; o->from128[i] = DSM__MAGIC - 128 * t; } }
    return 1; }
#endif

/* ================================================ the float half of the room ================================================ */
#define DSM__NV (16 / ROWS)   /* vectors of 16 lanes */
#if DSM__BITS == 0
FN Ints K(iset)(int32_t a) { return (Ints)a; }
FN Ints K(ild)(const uint8_t *p) { Ints a; memcpy(&a, p, 4); return a; }
FN Ints K(dot)(Ints c, Ints a, const uint8_t *w, const int rows) { /* c += four products of a lane; rows: it is w that is biased where there is a bias */
    (void)rows; for (int j = 0; j < 4; j++) c += (Ints)((int)(int8_t)(a >> 8 * j & 255) * (int)*((const int8_t *)w + j));
    return c; }
FN void K(turn)(const float *from, long ldf, float scale, float *to, long ldt) { /* 4 x 4, transposed and scaled */
    for (int i = 0; i < 4; i++) for (int j = 0; j < 4; j++) to[j * ldt + i] = from[i * ldf + j] * scale; }
#elif DSM__BITS >= 256
FN Ints K(iset)(int32_t a) { return DSM__MM(set1_epi32)(a); }
FN Ints K(ild)(const uint8_t *p) { return DSM__SI(loadu)((const Ints *)(const void *)p); }
#if DSM__DOT
FN Ints K(dot)(Ints c, Ints a, const uint8_t *w, const int rows) {
    return rows ? DSM__DOT4(c, K(set4)(w), a) : DSM__DOT4(c, DSM__SI(xor)(a, DSM__MM(set1_epi32)((int)0x80808080u)), K(set4)(w)); }
#else
FN Ints K(dot)(Ints c, Ints a, const uint8_t *w, const int rows) { (void)rows;
    return DSM__MM(add_epi32)(c, DSM__MM(madd_epi16)(DSM__MM(maddubs_epi16)(DSM__MM(abs_epi8)(a), DSM__MM(sign_epi8)(K(set4)(w), a)), DSM__MM(set1_epi16)(1))); }
#endif
FN void K(turn)(const float *from, long ldf, float scale, float *to, long ldt) {
    const __m128 m = _mm_set1_ps(scale);
    __m128 a = _mm_mul_ps(_mm_loadu_ps(from), m), b = _mm_mul_ps(_mm_loadu_ps(from + ldf), m), c = _mm_mul_ps(_mm_loadu_ps(from + 2 * ldf), m);
    __m128 d = _mm_mul_ps(_mm_loadu_ps(from + 3 * ldf), m), e = _mm_unpacklo_ps(a, b), f = _mm_unpackhi_ps(a, b), g = _mm_unpacklo_ps(c, d), h = _mm_unpackhi_ps(c, d);
    _mm_storeu_ps(to, _mm_movelh_ps(e, g)); _mm_storeu_ps(to + ldt, _mm_movehl_ps(g, e));
    _mm_storeu_ps(to + 2 * ldt, _mm_movelh_ps(f, h)); _mm_storeu_ps(to + 3 * ldt, _mm_movehl_ps(h, f)); }
#else
FN Ints K(iset)(int32_t a) { return vdupq_n_u32((uint32_t)a); }
FN Ints K(ild)(const uint8_t *p) { return vreinterpretq_u32_u8(vld1q_u8(p)); }
FN Ints K(dot)(Ints c, Ints a, const uint8_t *w, const int rows) {
    uint32_t u; (void)rows; memcpy(&u, w, 4);
    {
        const int8x16_t v = vreinterpretq_s8_u32(a), x = vreinterpretq_s8_u32(vdupq_n_u32(u));
#if DSM__DOT
        return vreinterpretq_u32_s32(vdotq_s32(vreinterpretq_s32_u32(c), v, x));
#else /* two products fit 16 bits: 2 * 127 * 127 */
        return vreinterpretq_u32_s32(vpadalq_s16(vreinterpretq_s32_u32(c), vpaddq_s16(vmull_s8(vget_low_s8(v), vget_low_s8(x)), vmull_high_s8(v, x))));
#endif
    } }
FN void K(turn)(const float *from, long ldf, float scale, float *to, long ldt) {
    float32x4_t a = vmulq_n_f32(vld1q_f32(from), scale), b = vmulq_n_f32(vld1q_f32(from + ldf), scale), c = vmulq_n_f32(vld1q_f32(from + 2 * ldf), scale);
    float32x4_t d = vmulq_n_f32(vld1q_f32(from + 3 * ldf), scale), e = vtrn1q_f32(a, b), f = vtrn2q_f32(a, b), g = vtrn1q_f32(c, d), h = vtrn2q_f32(c, d);
#define PAIR(i, x, y) vreinterpretq_f32_f64(vtrn##i##q_f64(vreinterpretq_f64_f32(x), vreinterpretq_f64_f32(y)))
    vst1q_f32(to, PAIR(1, e, g)); vst1q_f32(to + ldt, PAIR(1, f, h)); vst1q_f32(to + 2 * ldt, PAIR(2, e, g)); vst1q_f32(to + 3 * ldt, PAIR(2, f, h));
#undef PAIR
}
#endif
/* n tokens x n_lanes of a tile, to s[lane][token] */
FN void K(turned)(const float *from, long ldf, int n, int n_lanes, float scale, float *s, long lds) {
    const int nn = n / 4 * 4, ll = n_lanes / 4 * 4;
    for (int l = 0; l < ll; l += 4) for (int i = 0; i < nn; i += 4) K(turn)(from + i * ldf + l, ldf, scale, s + l * lds + i, lds);
    for (int l = 0; l < n_lanes; l++) for (int i = l < ll ? nn : 0; i < n; i++) s[l * lds + i] = from[i * ldf + l] * scale; }

#if DSM__FLOATS_HERE /* ------------------------- passes that have floats of their own ------------------------- */
#if DSM__BITS == 0
#define DSM__DOT_ROWS 1       /* products: rows x tokens at once; tokens of a single row */
#define DSM__DOT_TOKENS 1
#define DSM__DOT_SINGLE 1
#define DSM__COLUMNS 1        /* vectors */
#define DSM__UNITS 1          /* core: units of 16 lanes */
#define DSM__GROUP 1          /* most rows */
#define DSM__PIN(v) (void)0
FN Reals K(fh)(const uint8_t *p) { return dsm__num_half(dsm__load16(p)); }
FN Reals K(fb)(const uint8_t *p) { return dsm__num_bf16(dsm__load16(p)); }
FN Reals K(f8)(const uint8_t *p) { return (float)*(const int8_t *)p; }
FN Reals K(byte4)(const uint8_t *p, const int j) { return (float)*((const int8_t *)p + j); } /* byte j of every lane's four */
FN void K(sth)(uint8_t *p, Reals a) { uint16_t h = dsm__num_to_half_saturating(a); memcpy(p, &h, 2); }
FN Reals K(fmax)(Reals a, Reals b) { return a > b ? a : b; }
FN Reals K(vexp)(Reals x) { return dsm__num_exp(x); }
FN float K(stripes)(const Reals *a) {
    float b[8]; for (int i = 0; i < 8; i++) b[i] = a[i] + a[i + 8];
    for (int i = 0; i < 4; i++) b[i] = b[i] + b[i + 4];
    for (int i = 0; i < 2; i++) b[i] = b[i] + b[i + 2];
    return b[0] + b[1]; }
#elif DSM__BITS >= 256
FN float K(stripes8)(__m256 b) {
    __m128 c = _mm_add_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1)), d = _mm_add_ps(c, _mm_movehl_ps(c, c));
    return _mm_cvtss_f32(_mm_add_ss(d, _mm_movehdup_ps(d))); }
#if DSM__BITS == 512
#define DSM__S32 __v16si
#define DSM__DOT_ROWS 4
#define DSM__DOT_TOKENS 4
#define DSM__DOT_SINGLE 8
#define DSM__COLUMNS 2
#define DSM__UNITS 4
#define DSM__GROUP 6
#define DSM__HALF(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define DSM__PIN(v) __asm__("" : "+v"(v)) /* or the broadcast is repeated in each of its products */
FN void K(sth1)(uint8_t *p, Reals a) { _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtps_ph(a, 0)); }
FN Reals K(f8)(const uint8_t *p) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p))); }
FN Reals K(valid)(Reals v, Reals x) { /* v; 0 where x is below the least; x where it is NaN */
    v = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, K(fset)(DSM__EXP_MIN), _CMP_GE_OQ), v);
    return _mm512_mask_mov_ps(v, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), x); }
FN float K(stripes)(const Reals *a) {
    return K(stripes8)(_mm256_add_ps(_mm512_castps512_ps256(a[0]), _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a[0]), 1)))); }
#else
#define DSM__S32 __v8si
#define DSM__DOT_ROWS 2
#define DSM__DOT_TOKENS 2
#define DSM__DOT_SINGLE 4
#define DSM__COLUMNS 1
#define DSM__UNITS 1
#define DSM__GROUP 6
#define DSM__HALF(p) _mm_loadu_si128((const __m128i *)(const void *)(p))
#define DSM__PIN(v) (void)0
FN void K(sth1)(uint8_t *p, Reals a) { _mm_storeu_si128((__m128i *)(void *)p, _mm256_cvtps_ph(a, 0)); }
FN Reals K(f8)(const uint8_t *p) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p))); }
FN Reals K(valid)(Reals v, Reals x) {
    return _mm256_or_ps(_mm256_and_ps(v, _mm256_cmp_ps(x, K(fset)(DSM__EXP_MIN), _CMP_GE_OQ)), _mm256_and_ps(x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q))); }
FN float K(stripes)(const Reals *a) { return K(stripes8)(_mm256_add_ps(a[0], a[1])); }
#endif
FN Reals K(fh)(const uint8_t *p) { return DSM__MM(cvtph_ps)(DSM__HALF(p)); }
FN Reals K(fb)(const uint8_t *p) { return DSM__REALS((Ints)((DSM__U32)DSM__MM(cvtepu16_epi32)(DSM__HALF(p)) << 16)); }
FN Reals K(byte4)(const uint8_t *p, const int j) { return DSM__MM(cvtepi32_ps)((Ints)((DSM__S32)((DSM__U32)K(ild)(p) << (24 - 8 * j)) >> 24)); }
FN void K(sth)(uint8_t *p, Reals a) { K(sth1)(p, DSM__MM(min_ps)(K(fset)(65504.f), DSM__MM(max_ps)(K(fset)(-65504.f), a))); } /* second operands: NaN stays */
FN Reals K(fmax)(Reals a, Reals b) { return DSM__MM(max_ps)(a, b); }
FN Reals K(fless)(Reals a, Reals b) { return DSM__MM(min_ps)(a, b); }
FN Reals K(raise)(Reals p, Reals k) { /* p * 2^k, k as its shifted bits have it */
    return DSM__REALS((Ints)((DSM__U32)DSM__SI(castps)(p) + ((DSM__U32)DSM__SI(castps)(k) << 23))); }
#else
#define DSM__DOT_ROWS 2
#define DSM__DOT_TOKENS 2
#define DSM__DOT_SINGLE 4
#define DSM__COLUMNS 2
#define DSM__UNITS 1
#define DSM__GROUP 4
#define DSM__PIN(v) (void)0
FN Reals K(fh)(const uint8_t *p) { return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p))); }
FN Reals K(fb)(const uint8_t *p) { return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(p)), 16)); }
FN Reals K(f8)(const uint8_t *p) { uint32_t u; memcpy(&u, p, 4); return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(u))))); }
FN Reals K(byte4)(const uint8_t *p, const int j) { return vcvtq_f32_s32((vreinterpretq_s32_u32(K(ild)(p)) << (24 - 8 * j)) >> 24); }
FN void K(sth)(uint8_t *p, Reals a) { vst1_u8(p, vreinterpret_u8_f16(vcvt_f16_f32(vminq_f32(vmaxq_f32(a, vdupq_n_f32(-65504.f)), vdupq_n_f32(65504.f))))); }
FN Reals K(fma_lane)(Reals a, Reals b, const int j, Reals c) { /* a * b[j] + c */
    switch (j) { case 0: return vfmaq_laneq_f32(c, a, b, 0); case 1: return vfmaq_laneq_f32(c, a, b, 1); case 2: return vfmaq_laneq_f32(c, a, b, 2);
    default: return vfmaq_laneq_f32(c, a, b, 3); } }
FN Reals K(fmax)(Reals a, Reals b) { return vmaxq_f32(a, b); }
FN Reals K(fless)(Reals a, Reals b) { return vminq_f32(a, b); }
FN Reals K(raise)(Reals p, Reals k) { return vreinterpretq_f32_u32(vreinterpretq_u32_f32(p) + (vreinterpretq_u32_f32(k) << 23)); }
FN Reals K(valid)(Reals v, Reals x) {
    v = vreinterpretq_f32_u32(vreinterpretq_u32_f32(v) & vcgeq_f32(x, vdupq_n_f32(DSM__EXP_MIN)));
    return vbslq_f32(vceqq_f32(x, x), v, x); }
FN float K(stripes)(const Reals *a) {
    const Reals c = (a[0] + a[2]) + (a[1] + a[3]); const float32x2_t d = vget_low_f32(c) + vget_high_f32(c);
    return vget_lane_f32(d, 0) + vget_lane_f32(d, 1); }
#endif
#if DSM__BITS
FN Reals K(vexp)(Reals x) { /* dsm__num_exp, step by step */
    const Reals y = K(fless)(K(fset)(DSM__EXP_MAX), x), shifted = K(fma)(y, K(fset)(DSM__EXP_LOG2E), K(fset)(DSM__EXP_SHIFT)), k = shifted - K(fset)(DSM__EXP_SHIFT);
    const Reals r = K(fma)(k, K(fset)(-DSM__EXP_LO), K(fma)(k, K(fset)(-DSM__EXP_HI), y)); Reals p = K(fset)(dsm__num_exp_poly[0]);
    UNROLL for (int i = 1; i < 6; i++) p = K(fma)(p, r, K(fset)(dsm__num_exp_poly[i]));
    p = K(fma)(p, r * r, r) + K(fset)(1);
    return K(valid)(K(raise)(p, shifted), x); }
#endif
#define DSM__SIZE (type == DSM__K_F32 ? 4 : 2)
FN Reals K(wide)(const uint8_t *p, const int type) {
    Reals a; if (type == DSM__K_F16) return K(fh)(p);
    if (type == DSM__K_BF16) return K(fb)(p);
    memcpy(&a, p, sizeof a); return a; }
FN float K(single)(const uint8_t *p, const int type) {
    float a; if (type == DSM__K_F16) return dsm__num_half(dsm__load16(p));
    if (type == DSM__K_BF16) return dsm__num_bf16(dsm__load16(p));
    memcpy(&a, p, 4); return a; }

/* ---------------------------------------------------------- products of rows ---------------------------------------------------------- */
FN void K(dots)(const uint8_t *w, size_t stride, int len, const float *x, long ldx, float *y, long ldy, const int type, const int rows, const int tokens) {
    Reals c[16], a[4], b[8]; const int whole = len & ~15;
#define ALL UNROLL for (int r = 0; r < rows; r++) UNROLL for (int t = 0; t < tokens; t++)
#define AT c[(r * tokens + t) * DSM__NV + v]
    UNROLL for (int i = 0; i < rows * tokens * DSM__NV; i++) c[i] = K(fset)(0);
    for (int k = 0; k < whole; k += 16) {
        const uint8_t *p = w + k * DSM__SIZE;
        UNROLL for (int r = 0; r < rows; r++) if (DSM__AHEAD && tokens == 1 && (DSM__SIZE == 4 || !(k & 16))) DSM__PREFETCH(p + (size_t)(r + rows) * stride);
        UNROLL for (int v = 0; v < DSM__NV; v++) {
            UNROLL for (int r = 0; r < rows; r++) a[r] = K(wide)(p + (size_t)r * stride + v * ROWS * DSM__SIZE, type);
            UNROLL for (int t = 0; t < tokens; t++) b[t] = K(fld)(x + t * ldx + k + v * ROWS);
            ALL AT = K(fma)(a[r], b[t], AT); } }
    ALL {
        const uint8_t *p = w + (size_t)r * stride + whole * DSM__SIZE; float s[16];
        if (whole < len) { /* the last stripes get one more */
            UNROLL for (int v = 0; v < DSM__NV; v++) K(fst)(s + v * ROWS, AT);
            for (int k = 0; k < len - whole; k++) s[k] = fmaf(K(single)(p + k * DSM__SIZE, type), x[t * ldx + whole + k], s[k]);
            UNROLL for (int v = 0; v < DSM__NV; v++) AT = K(fld)(s + v * ROWS); }
        y[t * ldy + r] = K(stripes)(c + (r * tokens + t) * DSM__NV); }
#undef AT
#undef ALL
}
FN void K(rows)(const uint8_t *w, size_t stride, int len, const float *x, long ldx, int n, float *y, long ldy, int r0, int r1, const int type) {
    int r = r0, t;
#if DSM__BITS
    for (; r + 4 <= r1; r += 4) {
        const uint8_t *p = w + (size_t)r * stride;
        for (t = 0; t + DSM__DOT_TOKENS <= n && n > 1; t += DSM__DOT_TOKENS) for (int i = 0; i < 4; i += DSM__DOT_ROWS)
            K(dots)(p + (size_t)i * stride, stride, len, x + t * ldx, ldx, y + t * ldy + r + i, ldy, type, DSM__DOT_ROWS, DSM__DOT_TOKENS);
        for (; t < n; t++) K(dots)(p, stride, len, x + t * ldx, ldx, y + t * ldy + r, ldy, type, 4, 1); }
#endif
    for (; r < r1; r++) {
        const uint8_t *p = w + (size_t)r * stride;
        for (t = 0; t + DSM__DOT_SINGLE <= n && DSM__DOT_SINGLE > 1; t += DSM__DOT_SINGLE)
            K(dots)(p, stride, len, x + t * ldx, ldx, y + t * ldy + r, ldy, type, 1, DSM__DOT_SINGLE);
        for (; t < n; t++) K(dots)(p, stride, len, x + t * ldx, ldx, y + t * ldy + r, ldy, type, 1, 1); } }
OUT void K(mul_rows)(int type, const uint8_t *w, size_t stride, int len, const float *x, long ldx, int n, float *y, long ldy, int r0, int r1) {
    int block = len > 0 ? 98304 / len / 8 * 8 : n, m; /* tokens whose activations stay in L2 */
    for (block = block < 8 || r1 - r0 < 2 ? 8 : block; n > 0; n -= m, x += m * ldx, y += m * ldy) {
        m = n < block ? n : block;
        switch (type) {
        case DSM__K_F32: K(rows)(w, stride, len, x, ldx, m, y, ldy, r0, r1, DSM__K_F32); break;
        case DSM__K_F16: K(rows)(w, stride, len, x, ldx, m, y, ldy, r0, r1, DSM__K_F16); break;
        default: K(rows)(w, stride, len, x, ldx, m, y, ldy, r0, r1, DSM__K_BF16); } } }
/* y[c] = sum over p of w[p][c] * x[p]: lanes are columns. Stripes l and l + 8 are kept for four l at a time, and meet at once, as the tree has it. */
FN void K(down)(const uint8_t *w, size_t stride, int n_rows, const float *x, float *y, const int type) {
    Reals s[8][DSM__COLUMNS];
    UNROLL for (int l = 0; l < 8; l += 4) {
        Reals c[8][DSM__COLUMNS]; const uint8_t *q = w + (size_t)l * stride;
        UNROLL for (int i = 0; i < 8; i++) UNROLL for (int v = 0; v < DSM__COLUMNS; v++) c[i][v] = K(fset)(0);
        for (int p = l; p < n_rows; p += 16, q += 16 * stride)
            UNROLL for (int i = 0; i < 8; i++) {
                const int at = i < 4 ? i : i + 4;
                if (p + at < n_rows) {
                    Reals b = K(fset)(x[p + at]);
                    if (!l) DSM__PREFETCH(q + (size_t)at * stride + 64);
                    UNROLL for (int v = 0; v < DSM__COLUMNS; v++)
                        c[i][v] = K(fma)(K(wide)(q + (size_t)at * stride + v * ROWS * DSM__SIZE, type), b, c[i][v]); } }
        UNROLL for (int i = 0; i < 4; i++) UNROLL for (int v = 0; v < DSM__COLUMNS; v++) s[l + i][v] = c[i][v] + c[i + 4][v]; }
    UNROLL for (int v = 0; v < DSM__COLUMNS; v++) { /* (written out: gcc 12 warns about the loop) */
        const Reals a = (s[0][v] + s[4][v]) + (s[2][v] + s[6][v]), b = (s[1][v] + s[5][v]) + (s[3][v] + s[7][v]); K(fst)(y + v * ROWS, a + b); } }
FN void K(downs)(const uint8_t *w, size_t stride, int n_rows, const float *x, long ldx, int n_tokens, float *y, long ldy, int n, const int type) {
    int c = 0;
    for (; c + DSM__COLUMNS * ROWS <= n; c += DSM__COLUMNS * ROWS)
        for (int t = 0; t < n_tokens; t++) K(down)(w + c * DSM__SIZE, stride, n_rows, x + t * ldx, y + t * ldy + c, type);
    for (; c < n; c++) for (int t = 0; t < n_tokens; t++) { /* the last ones one by one */
        float s[16]; const float *z = x + t * ldx;
        for (int l = 0; l < 16; l++) s[l] = 0;
        for (int p = 0; p < n_rows; p++) s[p % 16] = fmaf(K(single)(w + (size_t)p * stride + c * DSM__SIZE, type), z[p], s[p % 16]);
        for (int h = 8; h; h /= 2) for (int l = 0; l < h; l++) s[l] = s[l] + s[l + h];
        y[t * ldy + c] = s[0]; } }
OUT void K(mul_down)(int type, const uint8_t *w, size_t stride, int n_rows, const float *x, long ldx, int n_tokens, float *y, long ldy, int n) {
    switch (type) {
    case DSM__K_F32: K(downs)(w, stride, n_rows, x, ldx, n_tokens, y, ldy, n, DSM__K_F32); break;
    case DSM__K_F16: K(downs)(w, stride, n_rows, x, ldx, n_tokens, y, ldy, n, DSM__K_F16); break;
    default: K(downs)(w, stride, n_rows, x, ldx, n_tokens, y, ldy, n, DSM__K_BF16); } }

/* ------------------------------------------------- norms, activations, elementwise ------------------------------------------------- */
/* e for every full vector at x + i; the rest, fewer than ROWS, through a padded copy */
#define DSM__EACH1(x, n, e) { int i = 0; for (; i + ROWS <= (n); i += ROWS) { const Reals a = K(fld)(x + i); K(fst)(x + i, e); } \
    if (i < (n)) { float z[16]; K(filled)(z, x + i, (n) - i, 0); { const Reals a = K(fld)(z); K(fst)(z, e); } memcpy(x + i, z, (size_t)((n) - i) * 4); } }
FN void K(filled)(float *z, const float *x, int n, float a) { for (int i = 0; i < 16; i++) z[i] = a; memcpy(z, x, (size_t)n * 4); }
FN Reals K(silu)(Reals g, Reals u) { return g / (K(fset)(1) + K(vexp)(-g)) * u; }
OUT void K(rmsnorm)(const float *x, const float *w, int n, float eps, float *y) {
    float r; int i = 0;
    K(dots)((const uint8_t *)(const void *)x, 0, n, x, 0, &r, 0, DSM__K_F32, 1, 1);
    r = 1.f / sqrtf(r / (float)n + eps);
    for (; i + ROWS <= n; i += ROWS) K(fst)(y + i, K(fmul)(K(fmul)(K(fld)(x + i), K(fset)(r)), K(fld)(w + i)));
    for (; i < n; i++) y[i] = x[i] * r * w[i]; }
OUT void K(swiglu)(const float *gate, const float *up, int n, float *y) {
    int i = 0; float g[16], u[16];
    for (; i + ROWS <= n; i += ROWS) K(fst)(y + i, K(silu)(K(fld)(gate + i), K(fld)(up + i)));
    if (i < n) {
        K(filled)(g, gate + i, n - i, 0); K(filled)(u, up + i, n - i, 0); K(fst)(g, K(silu)(K(fld)(g), K(fld)(u))); memcpy(y + i, g, (size_t)(n - i) * 4); } }
OUT void K(sigmoid)(float *x, int n) { DSM__EACH1(x, n, K(fset)(1) / (K(fset)(1) + K(vexp)(-a))) }
OUT void K(exps)(float *x, int n) { DSM__EACH1(x, n, K(vexp)(a)) }
OUT void K(times)(float *x, float by, int n) { DSM__EACH1(x, n, K(fmul)(a, K(fset)(by))) }
OUT void K(add)(float *y, const float *x, int n) {
    int i = 0; for (; i + ROWS <= n; i += ROWS) K(fst)(y + i, K(fld)(y + i) + K(fld)(x + i));
    for (; i < n; i++) y[i] = y[i] + x[i]; }
OUT void K(axpy)(float *y, float a, const float *x, int n) {
    int i = 0; for (; i + ROWS <= n; i += ROWS) K(fst)(y + i, K(fma)(K(fset)(a), K(fld)(x + i), K(fld)(y + i)));
    for (; i < n; i++) y[i] = fmaf(a, x[i], y[i]); }
FN float K(most)(const Reals *m) {
    float z[16]; UNROLL for (int v = 0; v < DSM__NV; v++) K(fst)(z + v * ROWS, m[v]);
    for (int i = 1; i < 16; i++) if (z[i] > z[0]) z[0] = z[i];
    return z[0]; }
OUT float K(softmax)(float *s, int n) {
    Reals m[DSM__NV], c[DSM__NV]; float z[16]; int i; const int whole = n & ~15;
    if (n <= 0) return 0;
    UNROLL for (int v = 0; v < DSM__NV; v++) { m[v] = K(fset)(s[0]); c[v] = K(fset)(0); }
    for (i = 0; i < whole; i += 16) UNROLL for (int v = 0; v < DSM__NV; v++) m[v] = K(fmax)(m[v], K(fld)(s + i + v * ROWS));
    K(filled)(z, s + whole, n - whole, s[0]);
    UNROLL for (int v = 0; v < DSM__NV; v++) m[v] = K(fmax)(m[v], K(fld)(z + v * ROWS));
    z[0] = K(most)(m); UNROLL for (int v = 0; v < DSM__NV; v++) m[v] = K(fset)(z[0]);
    for (i = 0; i < whole; i += 16) UNROLL for (int v = 0; v < DSM__NV; v++) {
        const Reals e = K(vexp)(K(fld)(s + i + v * ROWS) - m[v]); K(fst)(s + i + v * ROWS, e); c[v] = c[v] + e; }
    if (i < n) { /* what is padded becomes +0, which changes no sum of theirs */
        K(filled)(z, s + i, n - i, -3.0e38f);
        UNROLL for (int v = 0; v < DSM__NV; v++) { const Reals e = K(vexp)(K(fld)(z + v * ROWS) - m[v]); K(fst)(z + v * ROWS, e); }
        for (int j = n - i; j < 16; j++) z[j] = 0;
        UNROLL for (int v = 0; v < DSM__NV; v++) c[v] = c[v] + K(fld)(z + v * ROWS);
        memcpy(s + i, z, (size_t)(n - i) * 4); }
    return K(stripes)(c); }
OUT void K(rope)(float *x, int n_rot, int neox, const float *cos_sin) {
    const int half = n_rot / 2; const float *c = cos_sin, *s = cos_sin + half; int i = 0;
    if (neox) for (; i + ROWS <= half; i += ROWS) {
        const Reals u = K(fld)(x + i), w = K(fld)(x + half + i), a = K(fld)(c + i), b = K(fld)(s + i);
        K(fst)(x + i, K(fma)(u, a, -K(fmul)(w, b))); K(fst)(x + half + i, K(fma)(u, b, K(fmul)(w, a))); }
    for (; i < half; i++) {
        float *u = neox ? x + i : x + 2 * i, *w = neox ? x + half + i : u + 1; const float p = *u, q = *w, t = q * s[i], z = q * c[i];
        *u = fmaf(p, c[i], -t); *w = fmaf(p, s[i], z); } }
OUT int K(all_finite)(const float *x, int n) { /* x * 0 is 0 or NaN */
    Reals c[4]; float z[16]; int i = 0; UNROLL for (int v = 0; v < 4; v++) c[v] = K(fset)(0);
    for (; i + 4 * ROWS <= n; i += 4 * ROWS) UNROLL for (int v = 0; v < 4; v++) c[v] = K(fma)(K(fld)(x + i + v * ROWS), K(fset)(0), c[v]);
    c[0] = (c[0] + c[1]) + (c[2] + c[3]); K(fst)(z, c[0]);
    for (int v = 1; v < ROWS; v++) z[0] += z[v];
    for (; i < n; i++) z[0] += x[i] * 0;
    return z[0] == 0; }
OUT float K(absmax)(const float *x, int n) {
    Reals m[DSM__NV]; float top; int i = 0; UNROLL for (int v = 0; v < DSM__NV; v++) m[v] = K(fset)(0);
    for (; i + 16 <= n; i += 16) UNROLL for (int v = 0; v < DSM__NV; v++) { const Reals a = K(fld)(x + i + v * ROWS); m[v] = K(fmax)(K(fmax)(m[v], a), -a); }
    for (top = K(most)(m); i < n; i++) { const float a = x[i] < 0 ? -x[i] : x[i]; if (a > top) top = a; }
    return top; }
OUT void K(to_half)(const float *x, int n, uint8_t *to) {
    int i = 0; for (; i + ROWS <= n; i += ROWS) K(sth)(to + 2 * i, K(fld)(x + i));
    for (; i < n; i++) { const uint16_t h = dsm__num_to_half_saturating(x[i]); memcpy(to + 2 * i, &h, 2); } }
FN void K(floats)(const uint8_t *from, int n, float *to, const int type) {
    int i = 0; for (; i + ROWS <= n; i += ROWS) K(fst)(to + i, K(wide)(from + i * DSM__SIZE, type));
    for (; i < n; i++) to[i] = K(single)(from + i * DSM__SIZE, type); }
OUT void K(to_float)(int type, const uint8_t *from, int n, float *to) {
    if (type == DSM__K_F32) memcpy(to, from, (size_t)n * 4); else if (type == DSM__K_F16) K(floats)(from, n, to, DSM__K_F16); else K(floats)(from, n, to, DSM__K_BF16); }

/* ------------------------------------------------------------ attention ------------------------------------------------------------ */
/* core: out[row][unit][16] (+)= sum over i < n of w[row][i] * a[i][unit][16], one chain each. step: bytes from a[i] to a[i+1]; unit: to the next 16 lanes. */
FN void K(core)(const uint8_t *a, size_t step_, size_t unit, int n, const float *w, long ldw, float *out, long ldo, const int add, const int type,
                const int rows, const int units) {
    Reals c[DSM__BITS ? 24 : 16], x[DSM__BITS ? 4 : 16]; int i = 0; const int nv = units * DSM__NV;
#define DSM__X(v) (a + (size_t)((v) / DSM__NV) * unit + (v) % DSM__NV * ROWS * DSM__SIZE)
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < nv; v++) c[r * nv + v] = add ? K(fld)(out + r * ldo + v * ROWS) : K(fset)(0);
#if DSM__BITS == 128 /* four weights in one register, taken by lane */
    for (; i + 4 <= n; i += 4) {
        Reals b[4];
        UNROLL for (int r = 0; r < rows; r++) b[r] = K(fld)(w + r * ldw + i);
        UNROLL for (int j = 0; j < 4; j++) {
            UNROLL for (int v = 0; v < nv; v++) x[v] = K(wide)(DSM__X(v), type);
            a += step_;
            UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < nv; v++) c[r * nv + v] = K(fma_lane)(x[v], b[r], j, c[r * nv + v]); } }
#endif
    for (; i < n; i++, a += step_) {
        UNROLL for (int v = 0; v < nv; v++) x[v] = K(wide)(DSM__X(v), type);
        UNROLL for (int r = 0; r < rows; r++) {
            Reals b = K(fset)(w[r * ldw + i]); if (nv > 1) DSM__PIN(b);
            UNROLL for (int v = 0; v < nv; v++) c[r * nv + v] = K(fma)(x[v], b, c[r * nv + v]); } }
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < nv; v++) K(fst)(out + r * ldo + v * ROWS, c[r * nv + v]); }
#undef DSM__X
/* its variants: rows 1, 2, 3, 4, 6 by one unit or DSM__UNITS, and 24 by one */
#define DSM__CASE(r, u) case 8 * (r) + (u): K(core)(a, step_, unit, n, w, ldw, out, ldo, add, type, r, u); break;
#define DSM__CASES(r) DSM__CASE(r, 1) DSM__CASE_(r)
#if DSM__UNITS > 1
#define DSM__CASE_(r) DSM__CASE(r, DSM__UNITS)
#else
#define DSM__CASE_(r)
#endif
#if DSM__GROUP == 1
#define DSM__CORE_CASES DSM__CASES(1)
#else
#define DSM__CORE_CASES DSM__CASES(1) DSM__CASES(2) DSM__CASES(3) DSM__CASES(4) DSM__CASE6
#endif
#if DSM__GROUP == 6
#define DSM__CASE6 DSM__CASES(6)
#else
#define DSM__CASE6
#endif
#define DSM__CORE_ARGUMENTS (int shape, const uint8_t *a, size_t step_, size_t unit, int n, const float *w, long ldw, float *out, long ldo, int add)
OUT void K(core_f32) DSM__CORE_ARGUMENTS {
    const int type = DSM__K_F32;
    switch (shape) {
    DSM__CORE_CASES
#if DSM__UNITS > 1 /* (turned rows: ldw is 64) */
    case 8 * 24 + 1: K(core)(a, step_, unit, n, w, 64, out, ldo, add, type, 24, 1); break;
#endif
    default: break; } }
OUT void K(core_f16) DSM__CORE_ARGUMENTS { const int type = DSM__K_F16; switch (shape) { DSM__CORE_CASES default: break; } }
/* all of a product: n_rows x n_units, in the largest variants that fit */
FN int K(fit)(int left, int units, int turn) {
    if (turn && units == 1 && DSM__GROUP == 6 && DSM__UNITS > 1 && left >= 24) return 24;
    if (DSM__GROUP >= 6 && left >= 6 && left != 7 && left != 8) return 6;
    return left >= 4 && DSM__GROUP >= 4 ? 4 : left == 3 && DSM__GROUP >= 3 ? 3 : left >= 2 && DSM__GROUP >= 2 ? 2 : 1; }
FN void K(product)(int half, const uint8_t *a, size_t step_, size_t unit, int n, const float *w, long ldw, int n_rows, float *out, long ldo, int n_units, int add, int turn) {
    for (int u = 0, m; u < n_units; u += m) {
        m = n_units - u >= DSM__UNITS ? DSM__UNITS : 1;
        for (int r = 0, k; r < n_rows; r += k) {
            k = K(fit)(n_rows - r, m, turn);
            (half ? K(core_f16) : K(core_f32))(8 * k + m, a + (size_t)u * unit, step_, unit, n, w + r * ldw, ldw, out + r * ldo + 16 * u, ldo, add); } } }
/* int8 of q8_0 to floats; rows of them, or a block of keys whose four bytes lie together */
FN void K(row8)(const uint8_t *q, const uint8_t *scales, int c0, int n, float *to) { /* columns c0 .. of one row; n a multiple of 16, all in one block of 64 */
    float s; memcpy(&s, scales + c0 / 64 * 4, 4);
    for (int i = 0; i < n; i += ROWS) K(fst)(to + i, K(fmul)(K(f8)(q + c0 + i), K(fset)(s))); }

OUT void K(gqa_scores)(int kv, const uint8_t *keys, int dims, int t0, int t1, const float *q, long ldq, int n, float by, float *s, long lds) {
    const size_t block = dsm__k_key_block_bytes(kv, dims); const int step_ = kv == DSM_KV_F32 ? 64 : 32;
    for (int t = t0 & ~15, m; t < t1; t += m) {
        const uint8_t *p = keys + (size_t)(t / 16) * block; int units = t1 - t > 16 * (DSM__UNITS - 1) ? DSM__UNITS : 1; m = units * 16;
        if (kv == DSM_KV_Q8_0) {
            float a[64 * 16]; const uint8_t *scales = p + dsm__k_16(dims) * 16; m = 16;
            for (int c = 0; c < dims; c += 64) {
                const int z = dims - c < 64 ? dims - c : 64;
                for (int v = 0; v < DSM__NV; v++) {
                    Reals d; memcpy(&d, scales + c + v * ROWS * 4, sizeof d);
                    for (int i = 0; i < z; i += 4) UNROLL for (int j = 0; j < 4; j++)
                        K(fst)(a + (i + j) * 16 + v * ROWS, K(fmul)(K(byte4)(p + (c + i) * 16 + v * ROWS * 4, j), d)); }
                K(product)(0, (const uint8_t *)a, 64, 0, z, q + c, ldq, n, s + t, lds, 1, c > 0, 0); } }
        else K(product)(kv == DSM_KV_F16, p, (size_t)step_, block, dims, q, ldq, n, s + t, lds, units, 0, 0);
        for (int i = 0; i < n; i++) for (int j = 0; j < m; j += ROWS) K(fst)(s + i * lds + t + j, K(fmul)(K(fld)(s + i * lds + t + j), K(fset)(by))); } }
/* Lanes are queries. 24 tokens at a time: 64 columns of their rows become floats, and those weigh the queries' columns. */
OUT void K(mla_scores)(int kv, const uint8_t *rows, int latent, int rope, int t0, int t1, const float *q, int lanes, int n, float by, float *s, long lds) {
    const size_t stride = dsm__k_latent_row_bytes(kv, latent, rope), at = dsm__k_value_row_bytes(kv, latent); float a[DSM__K_TURN * 64], c[DSM__K_TURN * DSM__K_LANES];
    for (int t = t0, m; t < t1; t += m) {
        const uint8_t *p = rows + (size_t)t * stride; m = t1 - t < DSM__K_TURN ? t1 - t : DSM__K_TURN;
        for (int l = 0, z; l < n; l += z) {
            z = n - l < DSM__K_LANES ? n - l : DSM__K_LANES;
            for (int part = 0; part < 2; part++) for (int e = 0, y; e < (part ? rope : latent); e += y) {
                y = (part ? rope : latent) - e < 64 ? (part ? rope : latent) - e : 64;
                for (int i = 0; i < m; i++) {
                    const uint8_t *r = p + (size_t)i * stride;
                    if (kv == DSM_KV_Q8_0 && !part) K(row8)(r, r + dsm__k_16(latent), e, dsm__k_16(y), a + 64 * i);
                    else if (kv == DSM_KV_F32) K(floats)(r + (part ? at : 0) + e * 4, y, a + 64 * i, DSM__K_F32);
                    else K(floats)(r + (part ? at : 0) + e * 2, y, a + 64 * i, DSM__K_F16); }
                K(product)(0, (const uint8_t *)(q + (part ? latent + e : e) * (long)lanes + l), (size_t)lanes * 4, 64, y, a, 64, m, c, DSM__K_LANES,
                           dsm__k_16(z) / 16, part || e, 1); }
            K(turned)(c, DSM__K_LANES, m, z, by, s + l * lds + t, lds); } } }
/* the rope part of a q8_0 row, which goes on where the rounded part ended: c[token][lane] */
OUT void K(rope_scores)(const uint8_t *rows, size_t stride, int rope, int n_tokens, const float *q, int lanes, int n, float *c) {
    float a[DSM__K_TURN * 64];
    for (int e = 0, y; e < rope; e += y) {
        y = rope - e < 64 ? rope - e : 64;
        for (int i = 0; i < n_tokens; i++) K(floats)(rows + (size_t)i * stride + e * 2, y, a + 64 * i, DSM__K_F16);
        K(product)(0, (const uint8_t *)(q + e * (long)lanes), (size_t)lanes * 4, 64, y, a, 64, n_tokens, c, DSM__K_LANES, dsm__k_16(n) / 16, 1, 1); } }
/* o[i][d0 .. d1-1] = the chains over tokens t0 .. t1-1, continued where t0 > 0. */
OUT void K(values)(int kv, const uint8_t *rows, size_t stride, int dims, int t0, int t1, const float *p, long ldp, int n, float *o, long ldo, int d0, int d1) {
    float a[DSM__K_ROW_BLOCK * 64], rest[16];
    for (int t = t0, m; t < t1; t += m) {
        const uint8_t *w = rows + (size_t)t * stride; m = t1 - t < DSM__K_ROW_BLOCK ? t1 - t : DSM__K_ROW_BLOCK;
        for (int d = d0, y; d < d1; d += y) {
            const uint8_t *from = w + (size_t)d * (kv == DSM_KV_F32 ? 4u : 2u); size_t between = stride; int units;
            y = d1 - d < 64 ? d1 - d : 64;
            if (kv == DSM_KV_Q8_0) { /* not across a block of 64 */
                if (y > 64 - d % 64) y = 64 - d % 64;
                for (int i = 0; i < m; i++) K(row8)(w + (size_t)i * stride, w + (size_t)i * stride + dsm__k_16(dims), d, dsm__k_16(y), a + 64 * i);
                from = (const uint8_t *)a; between = 256; }
            units = y / 16;
            K(product)(kv == DSM_KV_F16, from, between, kv == DSM_KV_F16 ? 32 : 64, m, p + t, ldp, n, o + d, ldo, units, t > 0, 0);
            if (y % 16) for (int i = 0; i < n; i++) { /* lanes that are not there */
                float *r = o + i * ldo + d + 16 * units; const size_t z = (size_t)(y % 16) * 4;
                memset(rest, 0, sizeof rest); if (t > 0) memcpy(rest, r, z);
                K(product)(kv == DSM_KV_F16, from + units * (kv == DSM_KV_F16 ? 32 : 64), between, 0, m, p + i * ldp + t, ldp, 1, rest, 16, 1, t > 0, 0);
                memcpy(r, rest, z); } } } }
#undef DSM__CASE
#undef DSM__CASES
#undef DSM__CASE_
#undef DSM__CASE6
#undef DSM__CORE_CASES
#undef DSM__CORE_ARGUMENTS
#undef DSM__EACH1
#undef DSM__SIZE
#undef DSM__DOT_ROWS
#undef DSM__DOT_TOKENS
#undef DSM__DOT_SINGLE
#undef DSM__COLUMNS
#undef DSM__UNITS
#undef DSM__GROUP
#undef DSM__PIN
#undef DSM__S32
#undef DSM__HALF
#endif /* DSM__FLOATS_HERE */

/* ------------------------------------------- scores over q8_0 by rounded queries: every pass ------------------------------------------- */
#if DSM__BITS == 0
#define DSM__EIGHT 1
#elif DSM__BITS == 512
#define DSM__EIGHT 8
#else
#define DSM__EIGHT 4
#endif
#define DSM__BIASED (DSM__BITS >= 256 && DSM__DOT)
/* out[row][16] (+)= over one block of at most 64: (float)S * row's scale, * query's scale. Lanes are cached tokens (w: queries), or queries (turn; w: cached
   rows). a[i/4][lane][4] lies step_ bytes apart. lane: the lanes' scales; each: the rows'; from: what their sums start with. */
FN void K(block8)(const uint8_t *a, size_t step_, int n, const uint8_t *w, size_t ldw, const int32_t *from, const float *lane, const float *each, float *out, long ldo,
                  int add, const int rows, const int turn) {
    Ints c[(DSM__EIGHT > 1 ? DSM__EIGHT : 1) * DSM__NV];
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < DSM__NV; v++)
        c[r * DSM__NV + v] = !DSM__BIASED ? K(iset)(DSM__MAGIC) : turn ? K(ild)((const uint8_t *)(from + v * ROWS)) : K(iset)(from[r]);
    for (int i = 0; i < n; i += 4, a += step_) UNROLL for (int v = 0; v < DSM__NV; v++) {
        const Ints x = K(ild)(a + v * ROWS * 4);
        UNROLL for (int r = 0; r < rows; r++) c[r * DSM__NV + v] = K(dot)(c[r * DSM__NV + v], x, w + (size_t)r * ldw + i, turn); }
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < DSM__NV; v++) {
        const Reals l = K(fld)(lane + v * ROWS), e = K(fset)(each[r]), p = K(fmul)(K(real)(c[r * DSM__NV + v]), turn ? e : l);
        float *y = out + r * ldo + v * ROWS;
        K(fst)(y, K(fma)(p, turn ? l : e, add ? K(fld)(y) : K(fset)(0))); } }
FN void K(blocks8)(const uint8_t *a, size_t step_, int n, const uint8_t *w, size_t ldw, const int32_t *from, const float *lane, const float *each, int n_rows,
                   float *out, long ldo, int add, const int turn) {
    int r = 0;
    for (; r + DSM__EIGHT <= n_rows; r += DSM__EIGHT)
        K(block8)(a, step_, n, w + (size_t)r * ldw, ldw, turn ? from : from + r, lane, each + r, out + r * ldo, ldo, add, DSM__EIGHT, turn);
    if (DSM__EIGHT > 1) for (; r < n_rows; r++)
        K(block8)(a, step_, n, w + (size_t)r * ldw, ldw, turn ? from : from + r, lane, each + r, out + r * ldo, ldo, add, 1, turn); }
OUT void K(gqa_scores8)(const uint8_t *keys, int dims, int t0, int t1, const dsm__x64 *q, long ldq, int n, float by, float *s, long lds) {
    const size_t block = dsm__k_key_block_bytes(DSM_KV_Q8_0, dims); const int n16 = dsm__k_16(dims); float each[64]; int32_t from[64];
    for (int g = 0, m; g < n; g += m) {
        m = n - g < 64 ? n - g : 64;
        for (int c = 0; c < n16; c += 64) {
            const dsm__x64 *x = q + g * ldq + c / 64;
            for (int i = 0; i < m; i++) { each[i] = x[i * ldq].dx; from[i] = x[i * ldq].from128[0] + x[i * ldq].from128[1] - DSM__MAGIC; }
            for (int t = t0 & ~15; t < t1; t += 16) {
                const uint8_t *p = keys + (size_t)(t / 16) * block; float d[16]; memcpy(d, p + n16 * 16 + c, 64);
                K(blocks8)(p + c * 16, 64, n16 - c < 64 ? n16 - c : 64, (const uint8_t *)x->q, (size_t)ldq * sizeof *x, from, d, each, m, s + g * lds + t, lds, c > 0, 0); } }
        for (int i = g; i < g + m; i++) for (int t = t0 & ~15; t < t1; t += 16) UNROLL for (int v = 0; v < DSM__NV; v++) {
            float *y = s + i * lds + t + v * ROWS; K(fst)(y, K(fmul)(K(fld)(y), K(fset)(by))); } } }
OUT void K(mla_scores8)(const uint8_t *rows, int latent, int rope, int t0, int t1, const void *query, int lanes, int n, float by, float *s, long lds) {
    const dsm__k_turned q = dsm__k_turned_at((void *)(uintptr_t)query, latent, lanes);
    const size_t stride = dsm__k_latent_row_bytes(DSM_KV_Q8_0, latent, rope), at = dsm__k_value_row_bytes(DSM_KV_Q8_0, latent);
    float c[DSM__K_TURN * DSM__K_LANES], each[DSM__K_TURN]; uint8_t w[DSM__K_TURN * 64]; const int n16 = dsm__k_16(latent);
    for (int t = t0, m; t < t1; t += m) {
        const uint8_t *p = rows + (size_t)t * stride; m = t1 - t < DSM__K_TURN ? t1 - t : DSM__K_TURN;
        for (int l = 0, z; l < n; l += z) {
            z = n - l < DSM__K_LANES ? n - l : DSM__K_LANES;
            for (int e = 0, y; e < n16; e += y) {
                y = n16 - e < 64 ? n16 - e : 64;
                for (int i = 0; i < m; i++) {
                    const uint8_t *r = p + (size_t)i * stride; memcpy(each + i, r + n16 + e / 16, 4);
                    if (DSM__BIASED) for (int j = 0; j < y; j++) w[64 * i + j] = (uint8_t)(r[e + j] ^ 128); else memcpy(w + 64 * i, r + e, (size_t)y); }
                for (int u = 0; u < z; u += 16)
                    K(blocks8)((const uint8_t *)q.q + ((size_t)e / 4 * (size_t)lanes + (size_t)(l + u)) * 4, (size_t)lanes * 4, y, w, 64, q.from + e / 64 * lanes + l + u,
                               q.dx + e / 64 * lanes + l + u, each, m, c + u, DSM__K_LANES, e > 0, 1); }
            DSM__CAT(dsm__k_rope_scores, DSM__FLOATS)(p + at, stride, rope, m, q.rope + l, lanes, z, c);
            K(turned)(c, DSM__K_LANES, m, z, by, s + l * lds + t, lds); } } }
#undef DSM__EIGHT
#undef DSM__BIASED
#undef DSM__NV

/* ------------------------------------------------- every format into every shape ------------------------------------------------- */
/* Tokens are taken 6, 4, 2 or 1 at a time, so these are the only variants. */
#if DSM__TOKENS == 6
#define DSM__STAMP(M, f) M(f, 1) M(f, 2) M(f, 4) M(f, 6)
#elif DSM__TOKENS == 4
#define DSM__STAMP(M, f) M(f, 1) M(f, 2) M(f, 4)
#else
#define DSM__STAMP(M, f) M(f, 1)
#endif
#if DSM__TOKENS >= 4
#define DSM__STAMP4(M, f) M(f, 1) M(f, 2) M(f, 4)
#else
#define DSM__STAMP4(M, f) M(f, 1)
#endif
#define DSM__X2(name, ggml, unit, bytes, width, mins, wmax, bias, tile) DSM__UNPACKED(name)
#define DSM__X1(name, ggml, unit, bytes, width, mins, wmax, bias, tile) \
    DSM__UNPACKED(name) \
    OUT void K(matvec_##name)(const uint8_t *from, size_t stride, int len, const dsm__x64 *x, long ldx, int tokens, float *y, long ldy, \
                              int rows, const uint8_t *next) { \
        const int f = DSM__FMT_##name; DSM__PAD; switch (tokens) { DSM__STAMP4(DSM__MATVEC, name) default: break; } }
DSM__FMT_LIST(DSM__FMT_NONE, DSM__X1, DSM__X2)
#undef DSM__X1
#undef DSM__X2
#define DSM__TILE(f, n) case n: K(tiles)(k, x, ldx, y, ldy, add, len, pf, from, n, DSM__FMT_##f); break;
#define DSM__X(name, f) \
    OUT void K(tile_##name)(dsm__k_scratch k, const dsm__x64 *x, long ldx, int tokens, float *y, long ldy, int add, int len, dsm__k_fetch *pf, int from) { \
        switch (tokens) { DSM__STAMP(DSM__TILE, f) default: break; } }
DSM__K_TILES(DSM__X)
#undef DSM__X
static const dsm__kernels K(kernels) = { DSM__STR(DSM__PASS), ROWS, DSM__TOKENS < 4 ? DSM__TOKENS : 4, DSM__PANEL * ROWS, DSM__TOKENS, DSM__NARROWER, {
#define DSM__X(name, ggml, bytes) { NULL, NULL, NULL, 0 },
#define DSM__X1(name, ggml, unit, bytes, width, mins, wmax, bias, tile) { K(matvec_##name), K(unpack_##name), K(tile_##tile), DSM__FROM(width, bias) },
#define DSM__X2(name, ggml, unit, bytes, width, mins, wmax, bias, tile) { NULL, K(unpack_##name), K(tile_##tile), DSM__FROM(width, bias) },
    DSM__FMT_LIST(DSM__X, DSM__X1, DSM__X2) },
#undef DSM__X
#undef DSM__X1
#undef DSM__X2
#define DSM__X(result, name, arguments) DSM__CAT(dsm__k_##name, DSM__FLOATS),
    DSM__K_FUNCTIONS(DSM__X)
#undef DSM__X
#define DSM__X(result, name, arguments) K(name),
    DSM__K_INT_SCORES(DSM__X) };
#undef DSM__X

/* all of it is gone again */
#undef DSM__SINK
#undef DSM__CURSORS
#undef DSM__PANEL
#undef DSM__LANES
#undef DSM__PREFETCH
#undef DSM__AHEAD
#undef DSM__TOKENS
#undef DSM__U32
#undef DSM__MM
#undef DSM__SI
#undef DSM__REALS
#undef DSM__EACH
#undef DSM__DOT4
#undef DSM__MOST
#undef DSM__FIT
#undef DSM__START
#undef DSM__ORDER
#undef DSM__OPAQUE
#undef DSM__S8
#undef DSM__M8
#undef DSM__FITS
#undef DSM__LO
#undef DSM__SIGNED
#undef DSM__FROM
#undef DSM__STEP
#undef DSM__UNPACK
#undef DSM__HERE
#undef DSM__HALVES
#undef DSM__WALK
#undef DSM__PAD
#undef DSM__MATVEC
#undef DSM__UNPACKED
#undef DSM__STAMP
#undef DSM__STAMP4
#undef DSM__TILE
#undef DSM__PASS
#undef DSM__ATTR
#undef DSM__BITS
#undef DSM__DOT
#undef DSM__FLOATS
#undef DSM__FLOATS_HERE
#undef DSM__NARROWER
_Pragma("pop_macro(\"K\")") _Pragma("pop_macro(\"FN\")") _Pragma("pop_macro(\"OUT\")") _Pragma("pop_macro(\"UNROLL\")") _Pragma("pop_macro(\"ROWS\")")
_Pragma("pop_macro(\"Chunk\")") _Pragma("pop_macro(\"Sink\")") _Pragma("pop_macro(\"Sums\")") _Pragma("pop_macro(\"Chain\")") _Pragma("pop_macro(\"Ints\")")
_Pragma("pop_macro(\"Reals\")") _Pragma("pop_macro(\"Act\")") _Pragma("pop_macro(\"FORMAT\")") _Pragma("pop_macro(\"take\")") _Pragma("pop_macro(\"head\")")
_Pragma("pop_macro(\"takeh\")") _Pragma("pop_macro(\"takee\")") _Pragma("pop_macro(\"spread\")") _Pragma("pop_macro(\"bits\")") _Pragma("pop_macro(\"join\")")
_Pragma("pop_macro(\"look\")") _Pragma("pop_macro(\"sgn\")") _Pragma("pop_macro(\"plus\")") _Pragma("pop_macro(\"sum1\")") _Pragma("pop_macro(\"sum2\")")
_Pragma("pop_macro(\"scale\")") _Pragma("pop_macro(\"least\")") _Pragma("pop_macro(\"step\")")
#endif /* DSM__PASS */

#if defined(DSMOE_IMPLEMENTATION) && !defined(DSM__PASS) /* kern goes on: its passes, and its door */
#ifndef DSMOE_IMPLEMENTED_REST
#define DSMOE_IMPLEMENTED_REST 1
#define DSM__PASS scalar
#define DSM__ATTR
#define DSM__BITS 0
#define DSM__DOT 0
#define DSM__FLOATS scalar
#define DSM__FLOATS_HERE 1
#define DSM__NARROWER NULL
#include DSMOE_HEADER_NAME
#if defined(__x86_64__) && !DSMOE_NO_AVX2
#define DSM__PASS avx2
#define DSM__ATTR __attribute__((target("avx2,fma,f16c")))
#define DSM__BITS 256
#define DSM__DOT 0
#define DSM__FLOATS avx2
#define DSM__FLOATS_HERE 1
#define DSM__NARROWER &dsm__k_kernels_scalar
#include DSMOE_HEADER_NAME
#define DSM__PASS avxvnni       /* 256 bits, 16 registers: client processors since 2021 */
#define DSM__ATTR __attribute__((target("avx2,fma,f16c,avxvnni")))
#define DSM__BITS 256
#define DSM__DOT 2
#define DSM__FLOATS avx2
#define DSM__FLOATS_HERE 0
#define DSM__NARROWER &dsm__k_kernels_scalar
#include DSMOE_HEADER_NAME
#if !DSMOE_NO_AVX512
#define DSM__PASS vnni256       /* the same in the AVX-512 encoding */
#define DSM__ATTR __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")))
#define DSM__BITS 256
#define DSM__DOT 1
#define DSM__FLOATS avx2
#define DSM__FLOATS_HERE 0
#define DSM__NARROWER &dsm__k_kernels_scalar
#include DSMOE_HEADER_NAME
#define DSM__PASS avx512
#define DSM__ATTR __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")))
#define DSM__BITS 512
#define DSM__DOT 1
#define DSM__FLOATS avx512
#define DSM__FLOATS_HERE 1
#define DSM__NARROWER &dsm__k_kernels_vnni256
#include DSMOE_HEADER_NAME
#endif
#endif
#if defined(__aarch64__) && !DSMOE_NO_NEON
#define DSM__PASS neon
#define DSM__ATTR
#define DSM__BITS 128
#define DSM__DOT 0
#define DSM__FLOATS neon
#define DSM__FLOATS_HERE 1
#define DSM__NARROWER &dsm__k_kernels_scalar
#include DSMOE_HEADER_NAME
#if !DSMOE_NO_DOTPROD && (defined(__ARM_FEATURE_DOTPROD) || !defined(__clang__) || __clang_major__ >= 16) /* before, clang has vdotq only where the base has it */
#define DSM__K_DOTPROD 1
#define DSM__PASS dotprod
#if defined(__ARM_FEATURE_DOTPROD)
#define DSM__ATTR
#elif defined(__clang__)
#define DSM__ATTR __attribute__((target("dotprod")))
#elif __GNUC__ >= 14
#define DSM__ATTR __attribute__((target("+dotprod")))
#else
#define DSM__ATTR __attribute__((target("arch=armv8.2-a+dotprod")))
#endif
#define DSM__BITS 128
#define DSM__DOT 1
#define DSM__FLOATS neon
#define DSM__FLOATS_HERE 0
#define DSM__NARROWER &dsm__k_kernels_neon
#include DSMOE_HEADER_NAME
#endif
#endif
#ifndef DSM__K_DOTPROD
#define DSM__K_DOTPROD 0
#endif

/* ---- the levels, worst first, and the feature each one needs ---- */
#if defined(__x86_64__) && !DSMOE_NO_AVX2 && !DSMOE_NO_AVX512
#define DSM__K_LEVELS(X) X(scalar, 0) X(avx2, DSM__CPU_AVX2) X(avxvnni, DSM__CPU_AVXVNNI) X(vnni256, DSM__CPU_AVX512) X(avx512, DSM__CPU_AVX512)
#elif defined(__x86_64__) && !DSMOE_NO_AVX2
#define DSM__K_LEVELS(X) X(scalar, 0) X(avx2, DSM__CPU_AVX2) X(avxvnni, DSM__CPU_AVXVNNI)
#elif defined(__aarch64__) && !DSMOE_NO_NEON && DSM__K_DOTPROD
#define DSM__K_LEVELS(X) X(scalar, 0) X(neon, 0) X(dotprod, DSM__CPU_DOTPROD)
#elif defined(__aarch64__) && !DSMOE_NO_NEON
#define DSM__K_LEVELS(X) X(scalar, 0) X(neon, 0)
#else
#define DSM__K_LEVELS(X) X(scalar, 0)
#endif
#define DSM__X(pass, needs) { needs, &dsm__k_kernels_##pass },
static const struct { uint32_t needs; const dsm__kernels *k; } dsm__k_levels[] = { DSM__K_LEVELS(DSM__X) };
#undef DSM__X
DSM__FN const dsm__kernels *dsm__k_select(const char *isa) { /* NULL: the best one. NULL comes back for a name that is not known, or not usable here */
    const uint32_t have = dsm__cpu_features(); const dsm__kernels *best = NULL;
    for (size_t i = 0; i < DSM__COUNT(dsm__k_levels); i++)
        if (!(dsm__k_levels[i].needs & ~have) && (!isa || !strcmp(isa, dsm__k_levels[i].k->isa))) best = dsm__k_levels[i].k;
    return best;
}
DSM__FN const char *dsm__k_isa_name(int n) { /* of the n-th usable level, worst first; NULL: no such n */
    const uint32_t have = dsm__cpu_features();
    for (size_t i = 0; i < DSM__COUNT(dsm__k_levels); i++) if (!(dsm__k_levels[i].needs & ~have) && n-- == 0) return dsm__k_levels[i].k->isa;
    return NULL;
}

/* ---- the room's door to products: y[token][row] = w[row] . x[token] for rows r0 .. r1-1 and n_tokens. Up to 4 tokens of formats that have one are a
        mat-vec, everything else is unpacked and multiplied in tiles; too few rows for one level are done by the next narrower one. next: what this thread
        reads after r1 (any mapped address; it is only prefetched). ---- */
DSM__FN int dsm__k_tokens(int left, int most) { return left >= most && left != 8 ? most : left >= 4 && most >= 4 ? 4 : left >= 2 && most >= 2 ? 2 : 1; } /* 8: 4 and 4, not 6 and 2 */
/* K is cut so that the activations of a cut stay in L2 and the unpacked rows in 64 KB; the sums wait in y meanwhile, so the order of additions stays the
   contract's. The tile prefetches the next panel while it multiplies. */
DSM__FN void dsm__k_panels(const dsm__kernels *k, int fmt, const uint8_t *w, size_t stride, int len, const dsm__x64 *x, long ldx, int n, float *y, long ldy,
                           int r0, int r1, int most, const dsm__k_scratch *to, const uint8_t *next) {
    const dsm__fmt *f = dsm__fmts + fmt; const int rows = k->tile_rows, cuts = (len + most - 1) / most, cut = ((len + cuts - 1) / cuts + 255) / 256 * 256;
    for (int e = 0; e < len; e += cut) {
        const int q = len - e < cut ? len - e : cut; const size_t run = (size_t)(q / f->unit) * (size_t)f->bytes, at = (size_t)(e / f->unit) * (size_t)f->bytes;
        for (int r = r0; r < r1; r += rows) {
            const int rr = r + rows > r1 ? r1 - rows : r; int lines = (int)((run + 126) / 64) * rows, groups = 0;
            float *o = rr < r ? to->spare : y + rr; const long ldo = rr < r ? rows : ldy; /* the last panel overlaps the one before: its own sums */
            dsm__k_fetch pf;
            for (int t = 0; t < n; t += dsm__k_tokens(n - t, k->tile_tokens)) groups++;
            pf.run = (run + 63) / 64 * 64; pf.stride = stride; pf.per = 1 + (int)((int64_t)lines * 64 / ((int64_t)groups * q));
            pf.p = r + rows < r1 ? w + (size_t)(r + rows) * stride + at : e + cut < len ? w + (size_t)r0 * stride + at + run : next; pf.end = pf.p + run;
            k->f[fmt].unpack(w + (size_t)rr * stride + at, stride, q, *to);
            for (int t = 0, m; t < n; t += m) {
                m = dsm__k_tokens(n - t, k->tile_tokens); if (lines <= 0) pf.per = 0;
                k->f[fmt].tile(*to, x + t * ldx + e / 64, ldx, m, o + t * ldo, ldo, e > 0, q, &pf, k->f[fmt].from); lines -= pf.per * (q / 64); }
            if (rr < r && e + cut >= len) for (int i = 0; i < n; i++) memcpy(y + i * ldy + r, o + i * rows + (r - rr), (size_t)(r1 - r) * 4); } }
}
DSM__FN void dsm__k_mul(const dsm__kernels *k, int fmt, const uint8_t *w, size_t stride, int len, const dsm__x64 *x, long ldx, int n_tokens, float *y, long ldy,
                        int r0, int r1, const dsm__k_scratch *scratch, const uint8_t *next) {
    const int rows = r1 - r0;
    if (rows <= 0 || n_tokens <= 0) return;
    while (k->narrower && rows < (k->f[fmt].matvec && (n_tokens <= 4 || rows < k->tile_rows) ? k->rows : k->tile_rows)) k = k->narrower;
    if (k->f[fmt].matvec && (n_tokens <= 4 || rows < k->tile_rows))
        for (int t = 0, m; t < n_tokens; t += m) {
            m = dsm__k_tokens(n_tokens - t, k->tokens);
            k->f[fmt].matvec(w + (size_t)r0 * stride, stride, len, x + t * ldx, ldx, m, y + t * ldy + r0, ldy, rows, t + m < n_tokens ? w + (size_t)r0 * stride : next); }
    else if (n_tokens <= 4) /* panel by panel, so that the rows are read in their order */
        for (int r = r0, z; r < r1; r = z) {
            z = r1 - r < 2 * k->tile_rows ? r1 : r + k->tile_rows;
            dsm__k_panels(k, fmt, w, stride, len, x, ldx, n_tokens, y, ldy, r, z, 1024, scratch, z < r1 ? w + (size_t)z * stride : next); }
    else for (int t = 0, m; t < n_tokens; t += m) { /* more tokens than L2 holds: unpacking twice is cheaper than sums that travel */
        int parts = (n_tokens - t + DSM__K_BATCH - 1) / DSM__K_BATCH, most;
        m = (n_tokens - t + parts - 1) / parts; most = (int)(700000 / ((size_t)m * sizeof(dsm__x64))) * 64;
        dsm__k_panels(k, fmt, w, stride, len, x + t * ldx, ldx, m, y + t * ldy, ldy, r0, r1, most > DSM__K_CUT ? DSM__K_CUT : most < 256 ? 256 : most, scratch,
                      t + m < n_tokens ? w + (size_t)r0 * stride : next); }
}

/* ---- the room's door to floats. Any format: F32, F16 and BF16 rows as they are, the others dequantised exactly, row by row, into scratch. ---- */
DSM__FN int dsm__k_row_type(int fmt) { return fmt == DSM__FMT_F32 ? DSM__K_F32 : fmt == DSM__FMT_F16 ? DSM__K_F16 : fmt == DSM__FMT_BF16 ? DSM__K_BF16 : -1; }
/* y[t*ldy + r] = row r . x[t] for r0 <= r < r1. row: len floats, used for quantised formats only */
DSM__FN void dsm__k_mul_float(const dsm__kernels *k, int fmt, const uint8_t *w, size_t stride, int len, const float *x, long ldx, int n_tokens, float *y, long ldy,
                              int r0, int r1, float *row) {
    const int type = dsm__k_row_type(fmt);
    if (type >= 0) { k->mul_rows(type, w, stride, len, x, ldx, n_tokens, y, ldy, r0, r1); return; }
    for (int r = r0; r < r1; r++) {
        dsm__fmt_dequantize(fmt, w + (size_t)r * stride, row, (size_t)len);
        k->mul_rows(DSM__K_F32, (const uint8_t *)row, 0, len, x, ldx, n_tokens, y + r, ldy, 0, 1); }
}
/* y[t*ldy + c] = sum over p of w[p][c] * x[t*ldx + p] for c0 <= c < c1. scratch: dsm__k_columns_floats(n_rows) floats */
DSM__FN size_t dsm__k_columns_floats(int n_rows) { return (size_t)n_rows * DSM__K_SLAB; }
DSM__FN void dsm__k_mul_columns(const dsm__kernels *k, int fmt, const uint8_t *w, size_t stride, int n_rows, int len, const float *x, long ldx, int n_tokens,
                                float *y, long ldy, int c0, int c1, float *scratch) {
    const int type = dsm__k_row_type(fmt); const size_t size = type == DSM__K_F32 ? 4 : 2;
    if (type >= 0 && (n_tokens < 4 || c0 % 256)) { k->mul_down(type, w + (size_t)c0 * size, stride, n_rows, x, ldx, n_tokens, y + c0, ldy, c1 - c0); return; }
    for (int c = c0 / 256 * 256; c < c1; c += 256) { /* 256 columns as floats; rows of scratch do not meet in one set of a cache */
        const int n = len - c < 256 ? len - c : 256, a = c < c0 ? c0 - c : 0, z = c1 - c < n ? c1 - c : n;
        for (int p = 0; p < n_rows; p++) {
            const uint8_t *from = w + (size_t)p * stride; float *to = scratch + (size_t)p * DSM__K_SLAB;
            if (type >= 0) k->to_float(type, from + (size_t)c * size, n, to);
            else dsm__fmt_dequantize(fmt, from + dsm__fmt_row_bytes(fmt, (size_t)c), to, (size_t)n); }
        k->mul_down(DSM__K_F32, (const uint8_t *)(scratch + a), DSM__K_SLAB * 4, n_rows, x, ldx, n_tokens, y + c + a, ldy, z - a); }
}
/* k->quantize for rows of any length: the last block is what remains. For caches of q8_0 and their queries. 0: NaN or infinity */
DSM__FN int dsm__k_quantize_any(const dsm__kernels *k, const float *x, int len, dsm__x64 *out) {
    const int whole = len / 64 * 64; float rest[64];
    if (whole && !k->quantize(x, whole, out)) return 0;
    if (whole == len) return 1;
    memset(rest, 0, sizeof rest); memcpy(rest, x + whole, (size_t)(len - whole) * 4);
    return k->quantize(rest, 64, out + whole / 64);
}
/* Scores of one query, or of the n queries of one KV head, with its cached keys: s[i*lds + t] = (key t . query i) * scale for t0 <= t < t1, t0 a multiple of 16.
   Whole blocks of 16 tokens are written: a row of s has room for 16(t1), and so have the keys. form: DSM__K_SCORE_*. q: ldq floats from one query to the
   next; with _INT8 dsm__x64 records, made by dsm__k_quantize_any, ldq records apart. */
DSM__FN void dsm__k_gqa_scores(const dsm__kernels *k, int form, const uint8_t *keys, int dims, int t0, int t1, const void *q, long ldq, int n, float scale, float *s, long lds) {
    if (form == DSM__K_SCORE_Q8_INT8) k->gqa_scores8(keys, dims, t0, t1, (const dsm__x64 *)q, ldq, n, scale, s, lds);
    else k->gqa_scores(form, keys, dims, t0, t1, (const float *)q, ldq, n, scale, s, lds);
}
/* MLA. n queries (heads, or heads of several tokens) are made ready once: turned, so that lanes are queries; lanes: n rounded up to 16. The memory is aligned
   to 64. qa: [n][latent], qr: [n][rope], lda and ldr floats apart. 0: NaN or infinity (of _INT8 only) */
DSM__FN size_t dsm__k_mla_query_bytes(int form, int latent, int rope, int lanes) {
    const size_t n = (size_t)lanes;
    return form == DSM__K_SCORE_Q8_INT8 ? n * ((size_t)dsm__k_16(latent) + (size_t)dsm__k_64s(latent) * 8 + (size_t)rope * 4) : n * (size_t)(latent + rope) * 4;
}
DSM__FN void dsm__k_turn(const float *from, long ld, int n, int width, float *to, int lanes) { /* to[c][lane]; lanes that are not there are 0 */
    for (int l = 0; l < lanes; l += 16) for (int c = 0; c < width; c++) for (int i = l; i < l + 16; i++) to[(long)c * lanes + i] = i < n ? from[i * ld + c] : 0;
}
DSM__FN int dsm__k_mla_query(const dsm__kernels *k, int form, int latent, int rope, int lanes, int n, const float *qa, long lda, const float *qr, long ldr, void *to) {
    dsm__k_turned q; const int blocks = dsm__k_64s(latent), n16 = dsm__k_16(latent);
    if (form != DSM__K_SCORE_Q8_INT8) {
        float *z = (float *)to;
        dsm__k_turn(qa, lda, n, latent, z, lanes); dsm__k_turn(qr, ldr, n, rope, z + (long)latent * lanes, lanes); return 1; }
    q = dsm__k_turned_at(to, latent, lanes); memset(to, 0, dsm__k_mla_query_bytes(form, latent, rope, lanes));
    for (int b = 0; b < blocks; b++) for (int i = 0; i < lanes; i++) {
        dsm__x64 x; const int width = latent - 64 * b < 64 ? latent - 64 * b : 64, n4 = (n16 - 64 * b < 64 ? n16 - 64 * b : 64) / 4;
        q.from[b * lanes + i] = DSM__MAGIC;
        if (i >= n) continue;
        if (!dsm__k_quantize_any(k, qa + i * lda + 64 * b, width, &x)) return 0;
        q.dx[b * lanes + i] = x.dx; q.from[b * lanes + i] = x.from128[0] + x.from128[1] - DSM__MAGIC;
        for (int j = 0; j < n4; j++) memcpy(q.q + ((long)(16 * b + j) * lanes + i) * 4, x.q + 4 * j, 4); }
    dsm__k_turn(qr, ldr, n, rope, q.rope, lanes); return 1;
}
/* s[i*lds + t] for t0 <= t < t1, any range, and i < n; q: what dsm__k_mla_query made. rows: token 0's */
DSM__FN void dsm__k_mla_scores(const dsm__kernels *k, int form, const uint8_t *rows, int latent, int rope, int t0, int t1, const void *q, int lanes, int n, float scale, float *s, long lds) {
    if (form == DSM__K_SCORE_Q8_INT8) k->mla_scores8(rows, latent, rope, t0, t1, q, lanes, n, scale, s, lds);
    else k->mla_scores(form, rows, latent, rope, t0, t1, (const float *)q, lanes, n, scale, s, lds);
}
DSM__FN long dsm__k_score_stride(int n_tokens) { return ((long)n_tokens + 15) / 16 * 16 + 16; } /* of rows of scores: never a power of two, which would share sets of a cache */

/* ---- the floating-point state of this thread: nearest, subnormals kept, no traps. leave restores the caller's. ---- */
DSM__FN uint64_t dsm__k_float_enter(void) {
#if defined(__x86_64__) && !DSMOE_SCALAR_ONLY
    const unsigned old = _mm_getcsr(); if ((old & 0xffc0u) != 0x1f80u) _mm_setcsr(0x1f80u | (old & 0x3fu));
    return old;
#elif defined(__x86_64__)
    unsigned old, set; __asm__ volatile("stmxcsr %0" : "=m"(old)); set = 0x1f80u | (old & 0x3fu); __asm__ volatile("ldmxcsr %0" : : "m"(set));
    return old;
#elif defined(__aarch64__)
    uint64_t old, set = 0; __asm__ volatile("mrs %0, fpcr" : "=r"(old)); if (old) __asm__ volatile("msr fpcr, %0" : : "r"(set));
    return old;
#else
    return 0;
#endif
}
DSM__FN void dsm__k_float_leave(uint64_t old) {
#if defined(__x86_64__)
    unsigned set = (unsigned)old; __asm__ volatile("ldmxcsr %0" : : "m"(set));
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(old));
#else
    (void)old;
#endif
}

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
/* The cache. Its layout is in the room kern, whose kernels read it ("The caches"); here are the rows: written, and read back. Test: tests/floats.c */
DSM__FN int dsm__kv_form(dsm_kv kv, dsm_activations activations) { /* DSM__K_SCORE_*: how scores are computed */
    return kv == DSM_KV_Q8_0 && activations == DSM_ACTIVATIONS_INT8 ? DSM__K_SCORE_Q8_INT8 : (int)kv; }
/* Bytes of one KV head's keys or values, or of MLA's rows, for n tokens; keys come in whole blocks of 16. */
DSM__FN uint64_t dsm__kv_key_bytes(int kv, int dims, uint64_t n) { return (n + 15) / 16 * dsm__k_key_block_bytes(kv, dims); }
DSM__FN uint64_t dsm__kv_value_bytes(int kv, int dims, uint64_t n) { return n * dsm__k_value_row_bytes(kv, dims); }
DSM__FN uint64_t dsm__kv_latent_bytes(int kv, int latent, int rope, uint64_t n) { return n * dsm__k_latent_row_bytes(kv, latent, rope); }
/* Writers and readers of token t's row, from and to dims floats. A writer returns 0 for NaN or infinity where it rounds to int8; f16 saturates. */
DSM__FN int dsm__kv_write_key(const dsm__kernels *k, int kv, uint8_t *keys, int dims, int t, const float *from) {
    uint8_t *p = keys + (size_t)(t / 16) * dsm__k_key_block_bytes(kv, dims); const int lane = t % 16;
    for (int c = 0; c < dims; c += 64) {
        const int n = dims - c < 64 ? dims - c : 64;
        if (kv == DSM_KV_Q8_0) {
            dsm__x64 x;
            if (!dsm__k_quantize_any(k, from + c, n, &x)) return 0;
            for (int i = 0; i < dsm__k_16(n); i += 4) memcpy(p + (c + i) * 16 + 4 * lane, x.q + i, 4);
            memcpy(p + dsm__k_16(dims) * 16 + c + 4 * lane, &x.dx, 4); }
        else if (kv == DSM_KV_F32) for (int i = 0; i < n; i++) memcpy(p + ((c + i) * 16 + lane) * 4, from + c + i, 4);
        else {
            uint8_t h[128]; k->to_half(from + c, n, h);
            for (int i = 0; i < n; i++) memcpy(p + ((c + i) * 16 + lane) * 2, h + 2 * i, 2); } }
    return 1;
}
DSM__FN void dsm__kv_read_key(int kv, const uint8_t *keys, int dims, int t, float *to) {
    const uint8_t *p = keys + (size_t)(t / 16) * dsm__k_key_block_bytes(kv, dims); const int lane = t % 16;
    for (int c = 0; c < dims; c++)
        if (kv == DSM_KV_Q8_0) {
            float s; memcpy(&s, p + dsm__k_16(dims) * 16 + c / 64 * 64 + 4 * lane, 4); to[c] = (float)*((const int8_t *)p + c / 4 * 64 + 4 * lane + c % 4) * s; }
        else if (kv == DSM_KV_F32) memcpy(to + c, p + (c * 16 + lane) * 4, 4);
        else to[c] = dsm__num_half(dsm__load16(p + (c * 16 + lane) * 2));
}
DSM__FN int dsm__kv_write_row(const dsm__kernels *k, int kv, uint8_t *row, int dims, const float *from) { /* a value, or a latent */
    const int n16 = dsm__k_16(dims);
    if (kv == DSM_KV_F32) { memset(row + (size_t)dims * 4, 0, (size_t)(n16 - dims) * 4); memcpy(row, from, (size_t)dims * 4); }
    else if (kv == DSM_KV_F16) { memset(row + (size_t)dims * 2, 0, (size_t)(n16 - dims) * 2); k->to_half(from, dims, row); }
    else for (int c = 0; c < dims; c += 64) {
        dsm__x64 x; const int n = dims - c < 64 ? dims - c : 64;
        if (!dsm__k_quantize_any(k, from + c, n, &x)) return 0;
        memcpy(row + c, x.q, (size_t)dsm__k_16(n)); memcpy(row + n16 + c / 16, &x.dx, 4); }
    return 1;
}
DSM__FN void dsm__kv_read_row(int kv, const uint8_t *row, int dims, float *to) {
    for (int c = 0; c < dims; c++)
        if (kv == DSM_KV_Q8_0) { float s; memcpy(&s, row + dsm__k_16(dims) + c / 64 * 4, 4); to[c] = (float)*((const int8_t *)row + c) * s; }
        else if (kv == DSM_KV_F32) memcpy(to + c, row + c * 4, 4);
        else to[c] = dsm__num_half(dsm__load16(row + c * 2));
}
DSM__FN int dsm__kv_write_value(const dsm__kernels *k, int kv, uint8_t *values, int dims, int t, const float *from) {
    return dsm__kv_write_row(k, kv, values + (size_t)t * dsm__k_value_row_bytes(kv, dims), dims, from); }
DSM__FN void dsm__kv_read_value(int kv, const uint8_t *values, int dims, int t, float *to) {
    dsm__kv_read_row(kv, values + (size_t)t * dsm__k_value_row_bytes(kv, dims), dims, to); }
DSM__FN int dsm__kv_write_latent(const dsm__kernels *k, int kv, uint8_t *rows, int latent, int rope, int t, const float *from, const float *from_rope) {
    uint8_t *p = rows + (size_t)t * dsm__k_latent_row_bytes(kv, latent, rope);
    return dsm__kv_write_row(k, kv, p, latent, from) &
           dsm__kv_write_row(k, kv == DSM_KV_Q8_0 ? DSM_KV_F16 : kv, p + dsm__k_value_row_bytes(kv, latent), rope, from_rope); }
DSM__FN void dsm__kv_read_latent(int kv, const uint8_t *rows, int latent, int rope, int t, float *to, float *to_rope) {
    const uint8_t *p = rows + (size_t)t * dsm__k_latent_row_bytes(kv, latent, rope);
    dsm__kv_read_row(kv, p, latent, to); dsm__kv_read_row(kv == DSM_KV_Q8_0 ? DSM_KV_F16 : kv, p + dsm__k_value_row_bytes(kv, latent), rope, to_rope); }
/* (the cache of a session: being built) */

// >>nn
/* (being built) */

// >>backend
/* (being built) */

// >>run
/* (being built) */

// >>pick
/* (being built) */

// >>desk
/* (being built) */

#ifdef __cplusplus
}
#endif
#if !defined(__clang__)
#pragma GCC pop_options
#endif
#endif /* DSMOE_IMPLEMENTED_REST */
#endif /* DSMOE_IMPLEMENTATION */
