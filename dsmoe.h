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
DSM__FN void *dsm__mem_alloc_raw(const dsm_allocator *a, size_t n) { /* for what is overwritten as a whole anyway */
    return a->alloc ? a->alloc(a->user, n ? n : 1, DSM__ALIGN) : dsm__os_alloc(n ? n : 1, DSM__ALIGN);
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
    X(READER, DSM_E_IO, "the reader failed at % bytes from offset %") \
    X(FILE_RANGE, DSM_E_ARGUMENT, "% bytes from offset % are not inside the file, which has %") \
    X(FILE_MAGIC, DSM_E_FORMAT, "%: not a GGUF file: %") \
    X(FILE_BIG_ENDIAN, DSM_E_UNSUPPORTED, "%: a big-endian GGUF file, made for other machines: convert it") \
    X(FILE_VERSION, DSM_E_UNSUPPORTED, "%: GGUF version %; versions 2 and 3 run") \
    X(FILE_SHORT, DSM_E_FORMAT, "%: % % '%' wants % bytes where the file has % left: cut short or damaged") \
    X(FILE_LONG, DSM_E_FORMAT, "%: % % '%': a name or text of % bytes; % are allowed") \
    X(FILE_COUNT, DSM_E_FORMAT, "%: % % '%': % items do not fit into the % bytes left: cut short or damaged") \
    X(FILE_LIMIT, DSM_E_UNSUPPORTED, "%: % %, this version takes at most %") \
    X(FILE_VALUE_TYPE, DSM_E_FORMAT, "%: key % '%' has value type %, which does not exist") \
    X(FILE_NESTED, DSM_E_UNSUPPORTED, "%: key % '%' is an array of arrays, which no model uses") \
    X(FILE_INTEGER, DSM_E_FORMAT, "%: % must be a whole number, not negative, of an integer type") \
    X(FILE_ALIGNMENT, DSM_E_FORMAT, "%: general.alignment is %; it must be a power of two, at most 2^24") \
    X(FILE_DIMS, DSM_E_FORMAT, "%: tensor % has % dimensions; 1 to 4 exist") \
    X(FILE_ZERO_DIM, DSM_E_FORMAT, "%: tensor %: dimension % is 0") \
    X(FILE_HUGE, DSM_E_FORMAT, "%: tensor %: its size does not fit into 63 bits") \
    X(FILE_BLOCKS, DSM_E_FORMAT, "%: tensor % of type % has rows of % weights, which are not whole blocks of %") \
    X(FILE_UNALIGNED, DSM_E_FORMAT, "%: tensor %: its offset % is not a multiple of the alignment %") \
    X(FILE_PAST_END, DSM_E_FORMAT, "%: tensor %: its % bytes go past the end of the file (% bytes): cut short or damaged") \
    X(FILE_OVERLAP, DSM_E_FORMAT, "%: the tensors % and % overlap") \
    X(FILE_TWICE, DSM_E_FORMAT, "the % % is there twice") \
    X(FILE_CHANGED, DSM_E_IO, "%: changed while it was being opened") \
    X(TENSOR_TYPE, DSM_E_UNSUPPORTED, "%: % has type % (%), which this version does not run") \
    X(SPLIT_COUNT, DSM_E_FORMAT, "%: split.count is %; 65535 is the most") \
    X(SPLIT_SOURCE, DSM_E_UNSUPPORTED, "the model is split into % files: open the first one by its path, or merge them") \
    X(SPLIT_NAME, DSM_E_FORMAT, "%: shard % of %, but its name does not end so (-00001-of-00003.gguf): the others can't be found") \
    X(SPLIT_FIRST, DSM_E_ARGUMENT, "this is shard % of %: open the first one, %") \
    X(SPLIT_OPEN, DSM_E_IO, "%: can't be opened: %. The first shard says that there are %") \
    X(SPLIT_WRONG, DSM_E_FORMAT, "%: says that it is shard % of %, where % of % belongs") \
    X(SPLIT_TENSORS, DSM_E_FORMAT, "%: split.tensors.count is %, the % shards have % tensors") \
    X(KEY_MISSING, DSM_E_FORMAT, "the key % is missing") \
    X(KEY_TYPE, DSM_E_FORMAT, "the key % is %, it must be %") \
    X(KEY_WHOLE, DSM_E_FORMAT, "the key % must be a whole number, not negative") \
    X(KEY_VARIES, DSM_E_UNSUPPORTED, "the key % differs between layers (first at %), which this version does not run") \
    /* tok */ \
    /* arch */ \
    X(ARCH, DSM_E_UNSUPPORTED, "the architecture '%' does not run; llama, qwen2, qwen3, deepseek and deepseek2 do") \
    X(ARCH_KEY, DSM_E_UNSUPPORTED, "the key % changes the model in a way that this version does not run") \
    X(ARCH_EXPERTS, DSM_E_UNSUPPORTED, "% is set, but models with experts run only as deepseek and deepseek2") \
    X(KEY_RANGE, DSM_E_FORMAT, "the key % is %; % to % make sense here") \
    X(KEY_FINITE, DSM_E_FORMAT, "the key % must be a finite number%") \
    X(KEY_LAYERS, DSM_E_FORMAT, "the key % has % entries for % layers") \
    X(KEY_GATING, DSM_E_UNSUPPORTED, "% is %; only 1 (softmax) and 2 (sigmoid) run") \
    X(ROPE_TYPE, DSM_E_UNSUPPORTED, "the key % is '%'; none, linear and yarn run") \
    X(ROPE_TABLE, DSM_E_FORMAT, "%: pair % would turn by an angle that is no sensible number: check the rope keys and rope_freqs.weight") \
    X(HEADS_DIVIDE, DSM_E_FORMAT, "the key % is %, which does not divide % = %") \
    X(MLA_ROPE, DSM_E_FORMAT, "attention.key_length is %, it must be above rope.dimension_count, %") \
    X(GROUPS, DSM_E_FORMAT, "% experts in % groups, % of them used, can't give % experts a token") \
    X(TENSOR_MISSING, DSM_E_FORMAT, "the tensor % is missing") \
    X(TENSOR_SHAPE, DSM_E_FORMAT, "%: the shape is [%], the metadata says [%]") \
    X(TENSOR_FLOAT, DSM_E_UNSUPPORTED, "% has type %; it must be F32, F16 or BF16") \
    X(TENSOR_UNKNOWN, DSM_E_UNSUPPORTED, "the tensor % belongs to no part of a % model that this version runs") \
    X(TENSOR_SOME, DSM_E_FORMAT, "% is not there although other layers have it") \
    X(TENSOR_PAIR, DSM_E_FORMAT, "% is there, % is not: half of a pair") \
    X(VOCABULARY, DSM_E_FORMAT, "the vocabulary has % tokens, token_embd.weight only % rows") \
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
/* The GGUF container, from a path, a file descriptor, memory or callbacks; shards; values of keys. Every byte is untrusted: nothing is believed before it is
   checked against what is left of the file. Knows no key but general.alignment and split.*, does no arithmetic on weights. Test: tests/file.c */
typedef struct dsm__key_ref { dsm__str key; uint32_t type, element; uint64_t count, size; const uint8_t *at; } dsm__key_ref; /* at: the text of a string, the first element of an array, the number; size: bytes there */
typedef struct dsm__tensor_ref {
    dsm__str name; uint32_t ggml; int fmt /* -1: not run */, n_dims, shard;
    uint64_t ne[4], n_rows, bytes /* 0: of a type that nobody knows */, offset /* in its shard's file */; size_t stride;
    const uint8_t *data; /* any alignment; NULL: header_only */
} dsm__tensor_ref;
typedef struct dsm__file_shard { dsm__str name; uint64_t offset, size, header, data; dsm__os_map map; uint8_t *copy; const uint8_t *window; uint64_t n_tensors; uint32_t alignment; int fd; } dsm__file_shard; /* offset: of the file in the descriptor; header: its bytes; data: where tensors begin; window: the header in memory */
typedef struct dsm__file {
    dsm__key_ref *keys; uint32_t *key_order; size_t n_keys;          /* order: sorted by name */
    dsm__tensor_ref *tensors; uint32_t *tensor_order; size_t n_tensors; /* of all shards, in file order */
    dsm__file_shard *shards; int n_shards, header_only;
    char *names; size_t names_size;      /* the path; dsm__file_name puts a shard's number into it */
    int n_open, owns_fd, split; uint8_t *block; size_t block_size, shards_size;
    uint8_t *copied; uint64_t copied_size; /* the weights, where they are not used in place */
    uint64_t file_bytes, weight_bytes;
    uint64_t bytes; /* allocated beside the weights; header_only: as an ordinary open by path would */
    dsm_allocator allocator;
} dsm__file;

#define DSM__REQUIRED UINT64_MAX    /* as a fallback: the key must be there */
#define DSM__REQUIRED_F64 HUGE_VAL
enum { DSM__FILE_KEYS = 1 << 16, DSM__FILE_TENSORS = 1 << 18, DSM__FILE_SHARDS = 65535, DSM__FILE_PIECE = 8 << 20 };
enum { DSM__GGUF_U8 = 0, DSM__GGUF_I8, DSM__GGUF_U16, DSM__GGUF_I16, DSM__GGUF_U32, DSM__GGUF_I32, DSM__GGUF_F32, DSM__GGUF_BOOL, DSM__GGUF_STRING, DSM__GGUF_ARRAY, DSM__GGUF_U64, DSM__GGUF_I64, DSM__GGUF_F64 };
DSM__FN unsigned dsm__file_width(uint32_t type) { /* bytes of a number; 0: not a number */
    static const uint8_t width[13] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };
    return type < 13 ? width[type] : 0;
}

/* --- values of keys --- */
typedef struct dsm__file_number { uint64_t u; double d; int whole; } dsm__file_number; /* whole: u is exactly the value */
DSM__FN dsm__file_number dsm__file_number_at(uint32_t type, const uint8_t *at) {
    dsm__file_number v; int64_t i = 0; float f; int is_signed = 0, floating = 0;
    memset(&v, 0, sizeof v);
    switch (type) {
    case DSM__GGUF_U8: v.u = *at; break;
    case DSM__GGUF_BOOL: v.u = *at != 0; break;
    case DSM__GGUF_U16: v.u = dsm__load16(at); break;
    case DSM__GGUF_U32: v.u = dsm__load32(at); break;
    case DSM__GGUF_U64: v.u = dsm__load64(at); break;
    case DSM__GGUF_I8: i = (int8_t)*at; is_signed = 1; break;
    case DSM__GGUF_I16: i = (int16_t)dsm__load16(at); is_signed = 1; break;
    case DSM__GGUF_I32: i = (int32_t)dsm__load32(at); is_signed = 1; break;
    case DSM__GGUF_I64: i = (int64_t)dsm__load64(at); is_signed = 1; break;
    case DSM__GGUF_F32: memcpy(&f, at, 4); v.d = (double)f; floating = 1; break;
    case DSM__GGUF_F64: memcpy(&v.d, at, 8); floating = 1; break;
    default: return v;
    }
    if (floating) {
        if (v.d >= 0 && v.d < 18446744073709551616.0) { v.u = (uint64_t)v.d; v.whole = (double)v.u == v.d; }
    } else if (is_signed) { v.u = (uint64_t)i; v.d = (double)i; v.whole = i >= 0; }
    else { v.d = (double)v.u; v.whole = 1; }
    return v;
}
DSM__FN int dsm__file_order(dsm__str a, dsm__str b) { /* < 0: a comes first */
    size_t n = a.n < b.n ? a.n : b.n; int d = n ? memcmp(a.at, b.at, n) : 0;
    return d ? d : a.n < b.n ? -1 : a.n > b.n;
}
DSM__FN const dsm__key_ref *dsm__file_key_str(const dsm__file *f, dsm__str key) {
    size_t lo = 0, hi = f->n_keys;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2; const dsm__key_ref *k = f->keys + f->key_order[mid]; int d = dsm__file_order(key, k->key);
        if (!d) return k;
        if (d < 0) hi = mid; else lo = mid + 1;
    }
    return NULL;
}
DSM__FN const dsm__key_ref *dsm__file_key(const dsm__file *f, const char *key) { return dsm__file_key_str(f, dsm__str_of(key)); } /* NULL: not there */
DSM__FN const dsm__tensor_ref *dsm__file_tensor(const dsm__file *f, const char *name) {
    dsm__str s = dsm__str_of(name); size_t lo = 0, hi = f->n_tensors;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2; const dsm__tensor_ref *t = f->tensors + f->tensor_order[mid]; int d = dsm__file_order(s, t->name);
        if (!d) return t;
        if (d < 0) hi = mid; else lo = mid + 1;
    }
    return NULL;
}
/* A number, or an array of equal numbers (per-layer keys). *found 0: the key is not there. */
DSM__FN dsm_status dsm__file_scalar(const dsm__file *f, const char *key, dsm__file_number *v, int *found, dsm_error *error) {
    const dsm__key_ref *k = dsm__file_key(f, key); uint32_t type; unsigned width;
    *found = k != NULL;
    if (!k) return DSM_OK;
    type = k->type == DSM__GGUF_ARRAY ? k->element : k->type; width = dsm__file_width(type);
    if (!width) return dsm__err(error, DSM__ERR_KEY_TYPE, dsm__s(key), dsm__s(type == DSM__GGUF_STRING ? "a string" : "no number"), dsm__s("a number"));
    if (!k->count) return dsm__err(error, DSM__ERR_KEY_TYPE, dsm__s(key), dsm__s("an empty array"), dsm__s("a number"));
    for (uint64_t i = 1; i < k->count; i++)
        if (memcmp(k->at, k->at + i * width, width)) return dsm__err(error, DSM__ERR_KEY_VARIES, dsm__s(key), dsm__u(i));
    *v = dsm__file_number_at(type, k->at);
    return DSM_OK;
}
DSM__FN dsm_status dsm__file_u64(const dsm__file *f, const char *key, uint64_t fallback, uint64_t *out, dsm_error *error) {
    dsm__file_number v; int found; dsm_status status = dsm__file_scalar(f, key, &v, &found, error);
    if (status) return status;
    if (!found && fallback == DSM__REQUIRED) return dsm__err(error, DSM__ERR_KEY_MISSING, dsm__s(key));
    if (found && !v.whole) return dsm__err(error, DSM__ERR_KEY_WHOLE, dsm__s(key));
    *out = found ? v.u : fallback; return DSM_OK;
}
DSM__FN dsm_status dsm__file_f64(const dsm__file *f, const char *key, double fallback, double *out, dsm_error *error) { /* may be NaN or infinite, as the file has it */
    dsm__file_number v; int found; dsm_status status = dsm__file_scalar(f, key, &v, &found, error);
    if (status) return status;
    if (!found && fallback >= DSM__REQUIRED_F64) return dsm__err(error, DSM__ERR_KEY_MISSING, dsm__s(key));
    *out = found ? v.d : fallback; return DSM_OK;
}
DSM__FN dsm_status dsm__file_bool(const dsm__file *f, const char *key, int fallback, int *out, dsm_error *error) {
    dsm__file_number v; int found; dsm_status status = dsm__file_scalar(f, key, &v, &found, error);
    if (!status) *out = found ? v.d != 0 : fallback;
    return status;
}
DSM__FN dsm_status dsm__file_str(const dsm__file *f, const char *key, const char *fallback, dsm__str *out, dsm_error *error) { /* fallback NULL: required */
    const dsm__key_ref *k = dsm__file_key(f, key);
    if (!k && !fallback) return dsm__err(error, DSM__ERR_KEY_MISSING, dsm__s(key));
    if (k && k->type != DSM__GGUF_STRING) return dsm__err(error, DSM__ERR_KEY_TYPE, dsm__s(key), dsm__s(k->type == DSM__GGUF_ARRAY ? "an array" : "a number"), dsm__s("a string"));
    *out = k ? dsm__str_n((const char *)k->at, (size_t)k->size) : dsm__str_of(fallback); return DSM_OK;
}
/* Walks an array of strings. Its bounds are checked again at every step, since a mapped file may change. */
typedef struct dsm__strings { const uint8_t *at, *end; uint64_t left; } dsm__strings; /* left: strings still to come */
DSM__FN dsm__strings dsm__file_strings(const dsm__key_ref *k) { /* none where k is NULL or no array of strings */
    dsm__strings s; memset(&s, 0, sizeof s);
    if (k && k->type == DSM__GGUF_ARRAY && k->element == DSM__GGUF_STRING) { s.at = k->at; s.end = k->at + k->size; s.left = k->count; }
    return s;
}
DSM__FN int dsm__file_next_string(dsm__strings *s, dsm__str *out) { /* 0: there is no more */
    uint64_t n;
    if (!s->left || s->end - s->at < 8) return 0;
    n = dsm__load64(s->at);
    if (n > (uint64_t)(s->end - s->at) - 8) { s->left = 0; return 0; }
    *out = dsm__str_n((const char *)s->at + 8, (size_t)n); s->at += 8 + n; s->left--; return 1;
}
/* The i-th number of an array of numbers, or the only one where it is none. The caller knows k->count. */
DSM__FN dsm__file_number dsm__file_element(const dsm__key_ref *k, uint64_t i) {
    uint32_t type = k->type == DSM__GGUF_ARRAY ? k->element : k->type;
    return dsm__file_number_at(type, k->at + i * dsm__file_width(type));
}

/* --- the header --- */
typedef struct dsm__file_cursor {
    const uint8_t *window; uint64_t n, size, at; /* n bytes of the file's `size` are in memory */
    int more;                                    /* not the file ended but the window */
    dsm__str file, thing; const char *kind; uint64_t item; /* for messages: key 3 'general.name' of m.gguf */
    dsm_status status; dsm_error *error;
} dsm__file_cursor;
typedef struct dsm__file_head { uint64_t n_keys, n_tensors, alignment, end, split_no, split_count, split_tensors; int has_split_tensors; } dsm__file_head;
DSM__FN const uint8_t *dsm__file_take(dsm__file_cursor *c, uint64_t n) { /* NULL: `more`, or an error */
    const uint8_t *p = c->window + c->at;
    if (n > c->size - c->at) {
        c->status = dsm__err(c->error, DSM__ERR_FILE_SHORT, dsm__t(c->file), dsm__s(c->kind), dsm__u(c->item), dsm__t(c->thing), dsm__u(n), dsm__u(c->size - c->at));
        return NULL; }
    if (n > c->n - c->at) { c->more = 1; return NULL; }
    c->at += n; return p;
}
DSM__FN int dsm__file_take_str(dsm__file_cursor *c, uint64_t limit, dsm__str *out) {
    const uint8_t *p = dsm__file_take(c, 8); uint64_t n;
    if (!p) return 0;
    n = dsm__load64(p);
    if (n <= c->size - c->at && n > limit) {
        c->status = dsm__err(c->error, DSM__ERR_FILE_LONG, dsm__t(c->file), dsm__s(c->kind), dsm__u(c->item), dsm__t(c->thing), dsm__u(n), dsm__u(limit));
        return 0; }
    p = dsm__file_take(c, n);
    if (!p) return 0;
    *out = dsm__str_n((const char *)p, (size_t)n); return 1;
}
DSM__FN int dsm__file_skip_value(dsm__file_cursor *c, dsm__key_ref *k) {
    const uint8_t *p; unsigned width; uint64_t start; dsm__str s;
    k->count = 1;
    if (k->type == DSM__GGUF_STRING) {
        if (!dsm__file_take_str(c, 1u << 30, &s)) return 0;
        k->at = (const uint8_t *)s.at; k->size = s.n; return 1; }
    if (k->type != DSM__GGUF_ARRAY) {
        k->size = dsm__file_width(k->type);
        if (!k->size) { c->status = dsm__err(c->error, DSM__ERR_FILE_VALUE_TYPE, dsm__t(c->file), dsm__u(c->item), dsm__t(c->thing), dsm__u(k->type)); return 0; }
        return (k->at = dsm__file_take(c, k->size)) != NULL; }
    p = dsm__file_take(c, 12);
    if (!p) return 0;
    k->element = dsm__load32(p); k->count = dsm__load64(p + 4); width = dsm__file_width(k->element);
    if (k->element == DSM__GGUF_ARRAY) { c->status = dsm__err(c->error, DSM__ERR_FILE_NESTED, dsm__t(c->file), dsm__u(c->item), dsm__t(c->thing)); return 0; }
    if (!width && k->element != DSM__GGUF_STRING) { c->status = dsm__err(c->error, DSM__ERR_FILE_VALUE_TYPE, dsm__t(c->file), dsm__u(c->item), dsm__t(c->thing), dsm__u(k->element)); return 0; }
    if (k->count > 1u << 30 || k->count > (c->size - c->at) / (width ? width : 8)) {
        c->status = dsm__err(c->error, DSM__ERR_FILE_COUNT, dsm__t(c->file), dsm__s("key"), dsm__u(c->item), dsm__t(c->thing), dsm__u(k->count), dsm__u(c->size - c->at));
        return 0; }
    if (width) { k->size = k->count * width; return (k->at = dsm__file_take(c, k->size)) != NULL; }
    start = c->at; k->at = c->window + start;
    for (uint64_t i = 0; i < k->count; i++) if (!dsm__file_take_str(c, 1u << 30, &s)) return 0;
    k->size = c->at - start; return 1;
}
DSM__FN int dsm__file_small_key(dsm__file_cursor *c, const dsm__key_ref *k, uint64_t *out) { /* the container's own keys must be integers */
    dsm__file_number v = dsm__file_number_at(k->type, k->at);
    if (!dsm__file_width(k->type) || k->type == DSM__GGUF_F32 || k->type == DSM__GGUF_F64 || k->type == DSM__GGUF_BOOL || !v.whole) {
        c->status = dsm__err(c->error, DSM__ERR_FILE_INTEGER, dsm__t(c->file), dsm__t(k->key)); return 0; }
    *out = v.u; return 1;
}
DSM__FN int dsm__file_take_key(dsm__file_cursor *c, dsm__file_head *h, dsm__key_ref *k) {
    const uint8_t *p;
    memset(k, 0, sizeof *k); c->thing = dsm__str_of(NULL);
    if (!dsm__file_take_str(c, 65535, &k->key)) return 0;
    c->thing = k->key;
    if (!(p = dsm__file_take(c, 4))) return 0;
    k->type = dsm__load32(p);
    if (!dsm__file_skip_value(c, k)) return 0;
    if (dsm__str_is(k->key, "general.alignment")) {
        if (!dsm__file_small_key(c, k, &h->alignment)) return 0;
        if (!h->alignment || h->alignment > 1u << 24 || (h->alignment & (h->alignment - 1))) {
            c->status = dsm__err(c->error, DSM__ERR_FILE_ALIGNMENT, dsm__t(c->file), dsm__u(h->alignment)); return 0; }
    } else if (dsm__str_is(k->key, "split.no")) return dsm__file_small_key(c, k, &h->split_no);
    else if (dsm__str_is(k->key, "split.count")) return dsm__file_small_key(c, k, &h->split_count);
    else if (dsm__str_is(k->key, "split.tensors.count")) { h->has_split_tensors = 1; return dsm__file_small_key(c, k, &h->split_tensors); }
    return 1;
}
DSM__FN int dsm__file_take_tensor(dsm__file_cursor *c, dsm__tensor_ref *t, int any_type) {
    const uint8_t *p; uint32_t n_dims; uint64_t count = 1; int unit, bytes;
    memset(t, 0, sizeof *t); c->thing = dsm__str_of(NULL);
    if (!dsm__file_take_str(c, 63, &t->name)) return 0;
    c->thing = t->name;
    if (!(p = dsm__file_take(c, 4))) return 0;
    n_dims = dsm__load32(p);
    if (n_dims < 1 || n_dims > 4) { c->status = dsm__err(c->error, DSM__ERR_FILE_DIMS, dsm__t(c->file), dsm__t(t->name), dsm__u(n_dims)); return 0; }
    t->n_dims = (int)n_dims;
    if (!(p = dsm__file_take(c, 8 * n_dims + 12))) return 0;
    for (uint32_t i = 0; i < 4; i++) {
        t->ne[i] = i < n_dims ? dsm__load64(p + 8 * i) : 1;
        if (!t->ne[i]) { c->status = dsm__err(c->error, DSM__ERR_FILE_ZERO_DIM, dsm__t(c->file), dsm__t(t->name), dsm__u(i)); return 0; }
        if (!dsm__mul64(count, t->ne[i], &count) || count > (uint64_t)INT64_MAX) { c->status = dsm__err(c->error, DSM__ERR_FILE_HUGE, dsm__t(c->file), dsm__t(t->name)); return 0; }
    }
    p += 8 * n_dims;
    t->ggml = dsm__load32(p); t->offset = dsm__load64(p + 4); t->fmt = dsm__fmt_of_ggml(t->ggml); t->n_rows = count / t->ne[0];
    if (t->fmt < 0 && !any_type) {
        const char *name = dsm__fmt_ggml_name(t->ggml);
        c->status = dsm__err(c->error, DSM__ERR_TENSOR_TYPE, dsm__t(c->file), dsm__t(t->name), dsm__u(t->ggml), dsm__s(*name == '?' ? "unknown" : name)); return 0; }
    if (!dsm__fmt_ggml_block(t->ggml, &unit, &bytes)) return 1; /* nobody knows its size */
    if (t->ne[0] % (uint64_t)unit) {
        c->status = dsm__err(c->error, DSM__ERR_FILE_BLOCKS, dsm__t(c->file), dsm__t(t->name), dsm__s(dsm__fmt_ggml_name(t->ggml)), dsm__u(t->ne[0]), dsm__i(unit)); return 0; }
    if (!dsm__mul64(count / (uint64_t)unit, (uint64_t)bytes, &t->bytes) || t->bytes > (uint64_t)INT64_MAX || !dsm__to_size(t->ne[0] / (uint64_t)unit * (uint64_t)bytes, &t->stride)) {
        c->status = dsm__err(c->error, DSM__ERR_FILE_HUGE, dsm__t(c->file), dsm__t(t->name)); return 0; }
    return 1;
}
DSM__FN int dsm__file_take_magic(dsm__file_cursor *c, dsm__file_head *h) {
    const uint8_t *p; uint32_t version; uint64_t head = c->n < 24 ? c->n : 24; dsm__str first = dsm__str_n((const char *)c->window, (size_t)head);
    const char *guess = dsm__str_has(first, "version https://git-lfs") ? "it is a pointer of Git LFS, not the model: fetch it with `git lfs pull`"
                      : head && (*c->window == '<' || *c->window == '{') ? "it looks like a web page or an error message, not like a model: download it again"
                      : head >= 4 && !memcmp(c->window, "PK\3\4", 4) ? "it is a zip archive, perhaps of PyTorch: convert it" : "it does not begin with GGUF";
    if (head < 4 || memcmp(c->window, "GGUF", 4)) { c->status = dsm__err(c->error, DSM__ERR_FILE_MAGIC, dsm__t(c->file), dsm__s(guess)); return 0; }
    if (!(p = dsm__file_take(c, 24))) return 0;
    version = dsm__load32(p + 4); h->n_tensors = dsm__load64(p + 8); h->n_keys = dsm__load64(p + 16);
    if (version && !(version & 0xffffu)) { c->status = dsm__err(c->error, DSM__ERR_FILE_BIG_ENDIAN, dsm__t(c->file)); return 0; }
    if (version != 2 && version != 3) { c->status = dsm__err(c->error, DSM__ERR_FILE_VERSION, dsm__t(c->file), dsm__u(version)); return 0; }
    c->thing = dsm__str_of("tensor_count");
    if (h->n_tensors > (c->size - 24) / 24) { c->status = dsm__err(c->error, DSM__ERR_FILE_COUNT, dsm__t(c->file), dsm__s("header"), dsm__u(0), dsm__t(c->thing), dsm__u(h->n_tensors), dsm__u(c->size - 24)); return 0; }
    if (h->n_tensors > DSM__FILE_TENSORS) { c->status = dsm__err(c->error, DSM__ERR_FILE_LIMIT, dsm__t(c->file), dsm__u(h->n_tensors), dsm__s("tensors"), dsm__i(DSM__FILE_TENSORS)); return 0; }
    c->thing = dsm__str_of("metadata_kv_count");
    if (h->n_keys > (c->size - 24) / 13) { c->status = dsm__err(c->error, DSM__ERR_FILE_COUNT, dsm__t(c->file), dsm__s("header"), dsm__u(0), dsm__t(c->thing), dsm__u(h->n_keys), dsm__u(c->size - 24)); return 0; }
    if (h->n_keys > DSM__FILE_KEYS) { c->status = dsm__err(c->error, DSM__ERR_FILE_LIMIT, dsm__t(c->file), dsm__u(h->n_keys), dsm__s("keys"), dsm__i(DSM__FILE_KEYS)); return 0; }
    return 1;
}
/* Goes through a whole header. keys, tensors NULL: only checks and counts; else there is room for as many as *h says. 0: c->more, or c->status. */
DSM__FN int dsm__file_walk(dsm__file_cursor *c, dsm__file_head *h, dsm__key_ref *keys, dsm__tensor_ref *tensors, int shard, int any_type) {
    dsm__key_ref key; dsm__tensor_ref tensor; uint64_t n_keys = h->n_keys, n_tensors = h->n_tensors;
    memset(h, 0, sizeof *h); h->alignment = 32; c->at = 0; c->more = 0; c->status = DSM_OK; c->kind = "header"; c->item = 0; c->thing = dsm__str_of("magic and counts");
    if (!dsm__file_take_magic(c, h)) return 0;
    if ((keys && h->n_keys != n_keys) || (tensors && h->n_tensors != n_tensors)) { c->status = dsm__err(c->error, DSM__ERR_FILE_CHANGED, dsm__t(c->file)); return 0; }
    c->kind = "key";
    for (uint64_t i = 0; i < h->n_keys; i++) {
        c->item = i;
        if (!dsm__file_take_key(c, h, keys ? keys + i : &key)) return 0; }
    c->kind = "tensor";
    for (uint64_t i = 0; i < h->n_tensors; i++) {
        c->item = i;
        if (!dsm__file_take_tensor(c, tensors ? tensors + i : &tensor, any_type)) return 0;
        if (tensors) tensors[i].shard = shard; }
    h->end = c->at; return 1;
}

/* --- sources --- */
DSM__FN dsm__str dsm__file_tail(dsm__str s) { /* the end of a path, for messages */
    size_t from = s.n > 100 ? s.n - 100 : 0;
    if (from) for (size_t i = from; i < s.n; i++) if (s.at[i] == '/') { from = i + 1; break; }
    while (from && from < s.n && (s.at[from] & 0xC0) == 0x80) from++;
    return dsm__str_n(s.at + from, s.n - from);
}
enum { DSM__FILE_SUFFIX = 20 }; /* -00001-of-00003.gguf */
DSM__FN int dsm__file_split_name(dsm__str path, uint64_t *no, uint64_t *count) { /* 1-based, as in the name */
    static const char form[] = "-#####-of-#####.gguf"; const char *p; uint64_t v[2] = { 0, 0 };
    if (path.n < DSM__FILE_SUFFIX) return 0;
    p = path.at + path.n - DSM__FILE_SUFFIX;
    for (int i = 0; i < DSM__FILE_SUFFIX; i++) {
        if (form[i] != '#') { if (p[i] != form[i]) return 0; }
        else { if (p[i] < '0' || p[i] > '9') return 0;
            v[i > 6] = v[i > 6] * 10 + (uint64_t)(p[i] - '0'); }
    }
    *no = v[0]; *count = v[1]; return 1;
}
DSM__FN dsm__str dsm__file_name(const dsm__file *f, int shard) { /* of a shard: the first one's with another number; valid until the next call */
    uint64_t no, count;
    if (f->split && dsm__file_split_name(dsm__str_of(f->names), &no, &count)) {
        char *p = f->names + strlen(f->names) - DSM__FILE_SUFFIX + 5;
        for (int v = shard + 1, i = 0; i < 5; i++, v /= 10) *p-- = (char)('0' + v % 10);
    }
    return dsm__file_tail(dsm__str_of(f->names));
}
DSM__FN int dsm__file_cancelled(const dsm_model_desc *d, uint64_t done, uint64_t total, const char *what) { return d->progress.progress && d->progress.progress(d->progress.user, done, total, what); }
DSM__FN dsm_status dsm__file_read(const dsm__file *f, int shard, const dsm_model_desc *d, uint64_t at, void *to, size_t n, dsm_error *error) {
    const dsm__file_shard *s = f->shards + shard; int e;
    if (!n) return DSM_OK;
    if (d->data) { memcpy(to, (const uint8_t *)d->data + at, n); return DSM_OK; }
    if (d->reader.read_at) return d->reader.read_at(d->reader.user, at, to, n) ? dsm__err(error, DSM__ERR_READER, dsm__u(n), dsm__u(at)) : DSM_OK;
    e = dsm__os_read_at(s->fd, s->offset + at, to, n);
    return e ? dsm__err(error, DSM__ERR_READ, dsm__t(dsm__file_name(f, shard)), dsm__s(dsm__os_why(e))) : DSM_OK;
}
/* The header of a shard that is not in memory as a whole: a private copy that grows until it is all there. */
DSM__FN dsm_status dsm__file_read_header(dsm__file *f, int shard, const dsm_model_desc *d, dsm__file_cursor *c, dsm__file_head *h, dsm_error *error) {
    dsm__file_shard *s = f->shards + shard; uint64_t cap = s->size < 1 << 20 ? s->size : 1 << 20, have = 0; uint8_t *old = NULL; dsm_status status = DSM_OK;
    for (;;) {
        size_t n; uint8_t *p = dsm__to_size(cap, &n) ? (uint8_t *)dsm__mem_alloc(&f->allocator, n) : NULL;
        if (!p) status = dsm__err(error, DSM__ERR_NO_MEMORY, dsm__u(cap), dsm__s("the file's header"));
        else {
            if (have) memcpy(p, old, (size_t)have);
            if (dsm__file_cancelled(d, have, cap, "reading the header")) status = dsm__err(error, DSM__ERR_CANCELLED, dsm__s("opening the model"));
            else status = dsm__file_read(f, shard, d, have, p + have, (size_t)(cap - have), error);
        }
        dsm__mem_free(&f->allocator, old, (size_t)have);
        if (status) { dsm__mem_free(&f->allocator, p, n); return status; }
        old = p; have = cap; c->window = p; c->n = cap;
        if (dsm__file_walk(c, h, NULL, NULL, shard, f->header_only)) break;
        if (!c->more) { dsm__mem_free(&f->allocator, old, (size_t)have); return c->status; }
        cap = cap > s->size / 2 ? s->size : cap * 2;
    }
    s->copy = (uint8_t *)dsm__mem_alloc(&f->allocator, (size_t)h->end); s->header = h->end; /* what was read beyond it goes back */
    if (s->copy) memcpy(s->copy, old, (size_t)h->end); else status = dsm__err(error, DSM__ERR_NO_MEMORY, dsm__u(h->end), dsm__s("the file's header"));
    dsm__mem_free(&f->allocator, old, (size_t)have);
    if (!status && !f->header_only) f->bytes += h->end;
    s->window = s->copy; return status;
}
DSM__FN void dsm__file_close_fd(dsm__file *f, int shard) {
    if (f->owns_fd && f->shards[shard].fd >= 0) { dsm__os_close(f->shards[shard].fd); f->shards[shard].fd = -1; }
}
DSM__FN dsm_status dsm__file_open_shard(dsm__file *f, int shard, const dsm_model_desc *d, dsm__file_head *h, dsm_error *error) {
    dsm__file_shard *s = f->shards + shard; dsm__file_cursor c; int e = 0, in_place = d->data != NULL; dsm_status status;
    memset(&c, 0, sizeof c); c.error = error; s->fd = -1;
    if (d->data || d->reader.read_at) s->size = d->data ? d->size : d->reader.size;
    else {
        uint64_t size = 0; size_t n;
        dsm__file_name(f, shard);
        if (d->use_fd) s->fd = d->fd; else e = dsm__os_open(f->names, &s->fd);
        if (e) {
            s->fd = -1;
            return shard ? dsm__err(error, DSM__ERR_SPLIT_OPEN, dsm__t(dsm__file_name(f, shard)), dsm__s(dsm__os_why(e)), dsm__i(f->n_shards))
                         : dsm__err(error, DSM__ERR_OPEN, dsm__t(dsm__file_name(f, shard)), dsm__s(dsm__os_why(e))); }
        if (0 != (e = dsm__os_size(s->fd, &size))) return dsm__err(error, DSM__ERR_READ, dsm__t(dsm__file_name(f, shard)), dsm__s(dsm__os_why(e)));
        s->offset = d->use_fd ? d->offset : 0;
        if (s->offset > size || (d->use_fd && d->size > size - s->offset)) return dsm__err(error, DSM__ERR_FILE_RANGE, dsm__u(d->size), dsm__u(d->offset), dsm__u(size));
        s->size = d->use_fd && d->size ? d->size : size - s->offset;
        if (s->size && !f->header_only && !d->copy) {
            if (!dsm__to_size(s->size, &n) || n > SIZE_MAX - (1u << 24)) return dsm__err(error, DSM__ERR_TOO_LARGE, dsm__t(dsm__file_name(f, shard)));
            if (0 != (e = dsm__os_map_file(s->fd, s->offset, n, &s->map))) return dsm__err(error, DSM__ERR_MAP, dsm__t(dsm__file_name(f, shard)), dsm__s(dsm__os_why(e)));
            in_place = 1; }
    }
    c.file = dsm__file_name(f, shard); c.size = s->size;
    if (!s->size) return dsm__err(error, DSM__ERR_FILE_MAGIC, dsm__t(c.file), dsm__s("it is empty"));
    if (in_place) {
        c.window = s->window = d->data ? (const uint8_t *)d->data : s->map.at; c.n = s->size;
        if (!dsm__file_walk(&c, h, NULL, NULL, shard, f->header_only)) return c.status;
        s->header = h->end;
    } else if (0 != (status = dsm__file_read_header(f, shard, d, &c, h, error))) return status;
    s->n_tensors = h->n_tensors; s->data = dsm__round_up(h->end, h->alignment); s->alignment = (uint32_t)h->alignment;
    if (f->owns_fd && s->fd >= 0 && (in_place || f->header_only || shard)) dsm__file_close_fd(f, shard);
    return DSM_OK;
}
DSM__FN void dsm__file_close(dsm__file *f) {
    dsm_allocator a = f->allocator;
    for (int i = 0; i < f->n_open; i++) {
        dsm__os_unmap(&f->shards[i].map);
        dsm__file_close_fd(f, i);
        dsm__mem_free(&a, f->shards[i].copy, (size_t)f->shards[i].header);
    }
    dsm__mem_free(&a, f->shards, f->shards_size);
    dsm__mem_free(&a, f->names, f->names_size);
    dsm__mem_free(&a, f->block, f->block_size);
    dsm__mem_free(&a, f->copied, (size_t)f->copied_size);
    memset(f, 0, sizeof *f);
}

/* --- the tables --- */
typedef enum dsm__file_by { DSM__FILE_BY_KEY = 1, DSM__FILE_BY_NAME, DSM__FILE_BY_OFFSET } dsm__file_by;
DSM__FN int dsm__file_compare(const dsm__file *f, dsm__file_by by, uint32_t a, uint32_t b) {
    const dsm__tensor_ref *s = f->tensors + a, *t = f->tensors + b;
    if (by == DSM__FILE_BY_KEY) return dsm__file_order(f->keys[a].key, f->keys[b].key);
    if (by == DSM__FILE_BY_NAME) return dsm__file_order(s->name, t->name);
    return s->shard != t->shard ? (s->shard < t->shard ? -1 : 1) : s->offset < t->offset ? -1 : s->offset > t->offset;
}
DSM__FN void dsm__file_sort(const dsm__file *f, dsm__file_by by, uint32_t *order, size_t n) { /* heapsort: no input makes it slow */
    for (size_t i = 0; i < n; i++) order[i] = (uint32_t)i;
    for (size_t start = n / 2, end = n; end > 1;) {
        size_t root; uint32_t v;
        if (start) v = order[--start]; else { end--; v = order[end]; order[end] = order[0]; }
        for (root = start;;) {
            size_t child = 2 * root + 1;
            if (child >= end) break;
            if (child + 1 < end && dsm__file_compare(f, by, order[child], order[child + 1]) < 0) child++;
            if (dsm__file_compare(f, by, v, order[child]) >= 0) break;
            order[root] = order[child]; root = child;
        }
        order[root] = v;
    }
}
DSM__FN dsm_status dsm__file_check_keys(dsm__file *f, dsm_error *error) {
    dsm__file_sort(f, DSM__FILE_BY_KEY, f->key_order, f->n_keys);
    for (size_t i = 1; i < f->n_keys; i++)
        if (!dsm__file_compare(f, DSM__FILE_BY_KEY, f->key_order[i - 1], f->key_order[i]))
            return dsm__err(error, DSM__ERR_FILE_TWICE, dsm__s("key"), dsm__t(f->keys[f->key_order[i]].key));
    return DSM_OK;
}
DSM__FN dsm_status dsm__file_check_tensors(dsm__file *f, dsm_error *error) {
    int sorted = 1;
    for (size_t i = 0; i < f->n_tensors; i++) {
        dsm__tensor_ref *t = f->tensors + i; const dsm__file_shard *s = f->shards + t->shard; uint64_t end;
        if (t->offset % s->alignment) return dsm__err(error, DSM__ERR_FILE_UNALIGNED, dsm__t(dsm__file_name(f, t->shard)), dsm__t(t->name), dsm__u(t->offset), dsm__u(s->alignment));
        if (!dsm__add64(s->data, t->offset, &t->offset) || !dsm__add64(t->offset, t->bytes, &end) || end > s->size)
            return dsm__err(error, DSM__ERR_FILE_PAST_END, dsm__t(dsm__file_name(f, t->shard)), dsm__t(t->name), dsm__u(t->bytes), dsm__u(s->size));
        if (i && t[-1].shard == t->shard && t[-1].offset + t[-1].bytes > t->offset) sorted = 0;
        f->weight_bytes += t->bytes; /* each is at most its file, and there are few enough */
    }
    if (!sorted) {
        dsm__file_sort(f, DSM__FILE_BY_OFFSET, f->tensor_order, f->n_tensors);
        for (size_t i = 1; i < f->n_tensors; i++) {
            const dsm__tensor_ref *s = f->tensors + f->tensor_order[i - 1], *t = f->tensors + f->tensor_order[i];
            if (s->shard == t->shard && s->offset + s->bytes > t->offset) return dsm__err(error, DSM__ERR_FILE_OVERLAP, dsm__t(dsm__file_name(f, t->shard)), dsm__t(s->name), dsm__t(t->name)); }
    }
    dsm__file_sort(f, DSM__FILE_BY_NAME, f->tensor_order, f->n_tensors);
    for (size_t i = 1; i < f->n_tensors; i++)
        if (!dsm__file_compare(f, DSM__FILE_BY_NAME, f->tensor_order[i - 1], f->tensor_order[i]))
            return dsm__err(error, DSM__ERR_FILE_TWICE, dsm__s("tensor"), dsm__t(f->tensors[f->tensor_order[i]].name));
    return DSM_OK;
}
DSM__FN dsm_status dsm__file_copy_weights(dsm__file *f, const dsm_model_desc *d, dsm_error *error) { /* all tensors, each aligned, into one block */
    uint64_t total = 0, done = 0, at = 0; size_t n;
    for (size_t i = 0; i < f->n_tensors; i++) total += dsm__round_up(f->tensors[i].bytes, DSM__ALIGN);
    if (!total) return DSM_OK;
    if (!dsm__to_size(total, &n)) return dsm__err(error, DSM__ERR_TOO_LARGE, dsm__t(dsm__file_name(f, 0)));
    if (!(f->copied = (uint8_t *)dsm__mem_alloc_raw(&f->allocator, n))) return dsm__err(error, DSM__ERR_NO_MEMORY, dsm__u(total), dsm__s("the weights"));
    f->copied_size = total;
    for (size_t i = 0; i < f->n_tensors; i++) {
        dsm__tensor_ref *t = f->tensors + i;
        if (f->owns_fd && f->shards[t->shard].fd < 0) { /* later shards were closed after their headers: there may be thousands */
            dsm__str name = dsm__file_name(f, t->shard); int e;
            if (i && f->tensors[i - 1].shard != t->shard) dsm__file_close_fd(f, f->tensors[i - 1].shard);
            e = dsm__os_open(f->names, &f->shards[t->shard].fd);
            if (e) { f->shards[t->shard].fd = -1; return dsm__err(error, DSM__ERR_OPEN, dsm__t(name), dsm__s(dsm__os_why(e))); }
        }
        for (uint64_t from = 0; from < t->bytes;) {
            uint64_t left = t->bytes - from, piece = left < (uint64_t)DSM__FILE_PIECE ? left : (uint64_t)DSM__FILE_PIECE; dsm_status status;
            if (dsm__file_cancelled(d, done, f->weight_bytes, "reading the weights")) return dsm__err(error, DSM__ERR_CANCELLED, dsm__s("opening the model"));
            if (0 != (status = dsm__file_read(f, t->shard, d, t->offset + from, f->copied + at + from, (size_t)piece, error))) return status;
            from += piece; done += piece; }
        t->data = f->copied + at; at += dsm__round_up(t->bytes, DSM__ALIGN);
    }
    for (int i = 0; i < f->n_open; i++) dsm__file_close_fd(f, i);
    return DSM_OK;
}
DSM__FN dsm_status dsm__file_open_rest(dsm__file *f, const dsm_model_desc *d, dsm__file_head *first, dsm_error *error) { /* shards 1 .. */
    uint64_t no, count, total = first->n_tensors; dsm__file_head h; dsm__file_shard *old = f->shards; dsm_status status; size_t n;
    if (first->split_count > DSM__FILE_SHARDS) return dsm__err(error, DSM__ERR_SPLIT_COUNT, dsm__t(dsm__file_name(f, 0)), dsm__u(first->split_count));
    if (d->data || d->use_fd || d->reader.read_at) return dsm__err(error, DSM__ERR_SPLIT_SOURCE, dsm__u(first->split_count));
    if (!dsm__file_split_name(dsm__str_of(d->path), &no, &count)) return dsm__err(error, DSM__ERR_SPLIT_NAME, dsm__t(dsm__file_name(f, 0)), dsm__u(first->split_no + 1), dsm__u(first->split_count));
    f->split = 1; /* from here on a shard has a name */
    if (first->split_no) return dsm__err(error, DSM__ERR_SPLIT_FIRST, dsm__u(first->split_no + 1), dsm__u(first->split_count), dsm__t(dsm__file_name(f, 0)));
    if (no != 1 || count != first->split_count) return dsm__err(error, DSM__ERR_SPLIT_NAME, dsm__t(dsm__file_name(f, 0)), dsm__u(1), dsm__u(first->split_count));
    n = (size_t)count * sizeof *f->shards;
    if (!(f->shards = (dsm__file_shard *)dsm__mem_alloc(&f->allocator, n))) { f->shards = old; return dsm__err(error, DSM__ERR_NO_MEMORY, dsm__u(n), dsm__s("the list of shards")); }
    f->shards[0] = *old; dsm__mem_free(&f->allocator, old, f->shards_size);
    f->bytes += n - f->shards_size; f->shards_size = n; f->n_shards = (int)count;
    for (int i = 1; i < f->n_shards; i++) {
        if (dsm__file_cancelled(d, (uint64_t)i, count, "opening the shards")) return dsm__err(error, DSM__ERR_CANCELLED, dsm__s("opening the model"));
        f->n_open = i + 1;
        if (0 != (status = dsm__file_open_shard(f, i, d, &h, error))) return status;
        if (h.split_no != (uint64_t)i || h.split_count != count)
            return dsm__err(error, DSM__ERR_SPLIT_WRONG, dsm__t(dsm__file_name(f, i)), dsm__u(h.split_no + 1), dsm__u(h.split_count), dsm__i(i + 1), dsm__u(count));
        total += h.n_tensors;
    }
    if (total > DSM__FILE_TENSORS) return dsm__err(error, DSM__ERR_FILE_LIMIT, dsm__t(dsm__file_name(f, 0)), dsm__u(total), dsm__s("tensors"), dsm__i(DSM__FILE_TENSORS));
    if (first->has_split_tensors && first->split_tensors != total) return dsm__err(error, DSM__ERR_SPLIT_TENSORS, dsm__t(dsm__file_name(f, 0)), dsm__u(first->split_tensors), dsm__u(count), dsm__u(total));
    return DSM_OK;
}
DSM__FN dsm_status dsm__file_load(dsm__file *f, const dsm_model_desc *d, dsm_error *error) {
    dsm__file_head first, h; dsm__arena m; dsm_status status; uint64_t total = 0; size_t n = 0;
    memset(&first, 0, sizeof first); memset(&m, 0, sizeof m);
    if (0 != (status = dsm__file_open_shard(f, 0, d, &first, error))) return status;
    if (first.split_count > 1) {
        if (0 != (status = dsm__file_open_rest(f, d, &first, error))) return status; }
    for (int i = 0; i < f->n_shards; i++) { f->file_bytes += f->shards[i].size; n += (size_t)f->shards[i].n_tensors; }
    f->n_keys = (size_t)first.n_keys; f->n_tensors = n;
    for (int pass = 0; pass < 2; pass++) { /* first to count, then to lay out */
        m.used = 0;
        f->keys = (dsm__key_ref *)dsm__mem_take(&m, f->n_keys, sizeof *f->keys);
        f->tensors = (dsm__tensor_ref *)dsm__mem_take(&m, n + 1, sizeof *f->tensors);
        f->key_order = (uint32_t *)dsm__mem_take(&m, f->n_keys, sizeof *f->key_order);
        f->tensor_order = (uint32_t *)dsm__mem_take(&m, n, sizeof *f->tensor_order);
        if (pass) break;
        f->block_size = (size_t)m.used; m.size = m.used;
        if (!(f->block = m.base = (uint8_t *)dsm__mem_alloc(&f->allocator, f->block_size))) return dsm__err(error, DSM__ERR_NO_MEMORY, dsm__u(m.used), dsm__s("the lists of keys and tensors"));
    }
    f->bytes += f->block_size;
    for (int i = 0; i < f->n_shards; i++) {
        dsm__file_shard *s = f->shards + i; dsm__file_cursor c;
        memset(&c, 0, sizeof c); h = first; h.n_tensors = s->n_tensors;
        c.error = error; c.window = s->window; c.n = c.size = s->copy ? s->header : s->size; c.file = dsm__file_name(f, i);
        if (!dsm__file_walk(&c, &h, i ? NULL : f->keys, f->tensors + total, i, f->header_only)) return c.status ? c.status : dsm__err(error, DSM__ERR_FILE_CHANGED, dsm__t(c.file));
        total += s->n_tensors;
    }
    if (0 != (status = dsm__file_check_keys(f, error)) || 0 != (status = dsm__file_check_tensors(f, error))) return status;
    if (f->header_only) return DSM_OK;
    if (d->reader.read_at || d->copy) return dsm__file_copy_weights(f, d, error);
    for (size_t i = 0; i < n; i++) f->tensors[i].data = f->shards[f->tensors[i].shard].window + f->tensors[i].offset;
    return DSM_OK;
}
/* Opens any source. After an error *f is empty, all is released. */
DSM__FN dsm_status dsm__file_open(dsm__file *f, const dsm_model_desc *d, const dsm_allocator *a, dsm_error *error) {
    int n_sources = (d->path != NULL) + (d->data != NULL) + (d->use_fd != 0) + (d->reader.read_at != NULL); dsm_status status; const char *name;
    memset(f, 0, sizeof *f);
    if (n_sources != 1) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("dsm_model_open"), dsm__s(n_sources ? "more than one source: set one of path, data, use_fd, reader" : "no source: set one of path, data, use_fd, reader"));
    name = d->path ? d->path : d->data ? "the memory block" : d->use_fd ? "the file descriptor" : "the reader";
    f->allocator = *a; f->header_only = d->header_only != 0; f->owns_fd = d->path != NULL;
    f->names_size = strlen(name) + 1; f->shards_size = sizeof *f->shards; f->bytes = f->names_size + f->shards_size;
    f->names = (char *)dsm__mem_alloc(a, f->names_size);
    f->shards = (dsm__file_shard *)dsm__mem_alloc(a, f->shards_size);
    if (!f->names || !f->shards) status = dsm__err(error, DSM__ERR_NO_MEMORY, dsm__u(f->bytes), dsm__s("the file's name"));
    else {
        memcpy(f->names, name, f->names_size); f->n_shards = f->n_open = 1;
        status = dsm__file_load(f, d, error);
    }
    if (status) dsm__file_close(f);
    return status;
}

// >>tok
/* (being built) */

// >>arch
/* Hyper-parameters and tensors of the models that run: llama, qwen2, qwen3, deepseek, deepseek2. The only room that knows model names. Every shape is
   checked against the metadata, so that nobody after it has to. Test: tests/arch.c */
typedef enum dsm__arch_family { DSM__ARCH_NONE = 0, DSM__ARCH_LLAMA, DSM__ARCH_QWEN2, DSM__ARCH_QWEN3, DSM__ARCH_DEEPSEEK, DSM__ARCH_DEEPSEEK2 } dsm__arch_family;
typedef struct dsm__mat { const uint8_t *data; size_t stride; int fmt, n_rows, n_cols, present; } dsm__mat; /* n_rows rows of n_cols, stride bytes apart, any alignment; header_only: data NULL, the rest right */
typedef struct dsm__layer {
    const float *attn_norm, *ffn_norm;                                                 /* [width] */
    dsm__mat q, k, v, o; const float *q_bias, *k_bias, *v_bias, *q_norm, *k_norm;      /* biases and per-head norms: NULL where the model has none. q also for MLA without q_a */
    dsm__mat q_a, q_b, kv_a; const float *q_a_norm, *kv_a_norm;                        /* MLA; q_a absent: q is direct */
    int split;                                                                         /* 1: k_b and v_b are tensors; 0: kv_b is, v_b is a view of it, k_b absent */
    dsm__mat kv_b, k_b, v_b;                                                           /* kv_b: [heads * (nope + head_v)][latent]; k_b: [heads * latent][nope]; v_b: head_v rows of [latent] for each head */
    size_t kv_b_head_stride, k_b_head_stride, v_b_head_stride;                         /* bytes from one head's first row to the next head's */
    int moe; dsm__mat gate, up, down;                                                  /* dense, or absent */
    dsm__mat router; const float *router_bias;                                         /* [n_experts][width]: F32, F16 or BF16; bias: NULL or [n_experts] */
    int fused_gate_up; dsm__mat gate_exps, up_exps, down_exps;                         /* expert e: rows e * expert_width ..; down: e * width ..; fused: gate_exps has 2 * expert_width rows an expert, gate first, up_exps absent */
    dsm__mat gate_shared, up_shared, down_shared;                                      /* absent: no shared expert */
    dsm__mat eh_proj, mtp_embed, mtp_head; const float *enorm, *hnorm, *mtp_norm;      /* MTP layers; embed, head: absent where the model's are used; mtp_norm is never NULL */
} dsm__layer;
typedef struct dsm__arch {
    int family, vocabulary_only; dsm__str name, architecture;
    dsm_error refused; /* header_only: why it would not run; status 0: it would */
    int n_layers, n_mtp, width, n_heads, n_kv_heads, head_k, head_v, n_rot, neox, n_vocab /* rows of the output */, context;
    int mla, latent, q_rank, nope; float eps, attn_scale;
    int n_experts, n_used, n_shared, expert_width, n_dense, ffn_width, sigmoid, normalize, n_groups /* 0: none */, n_groups_used, group_top2; float expert_scale;
    double *rope_theta /* [n_rot/2]: angle per position of each pair; scaling and rope_freqs are in it */; float rope_amplitude; /* of cos and sin */
    dsm__mat embed, output; const float *output_norm; dsm__layer *layers; /* n_layers + n_mtp; output may be embed */
    uint64_t parameters, active; /* of the trunk */
    uint64_t fingerprint; /* the same for every source and sharding of a model; 0: header_only */
    uint64_t bytes; /* allocated; header_only: as an ordinary open would */
    uint8_t *block; size_t block_size; dsm_allocator allocator;
} dsm__arch;
enum { DSM__ARCH_LAYERS = 512, DSM__ARCH_WIDTH = 1 << 20, DSM__ARCH_EXPERTS = 1 << 16, DSM__ARCH_CONTEXT = 1 << 24 }; /* the most */

/* Whoever reads a model holds this; after an error nothing more happens, so that only the end has to ask. */
typedef struct dsm__arch_reader {
    dsm__arch *m; const dsm__file *f; const dsm_log *log; dsm_error *error; dsm_status status;
    char key[96], name[96]; int layer, n_blocks;
    dsm__arena vectors; uint8_t *used; /* [n_tensors] */
} dsm__arch_reader;
static const float dsm__arch_nowhere[1] = { 0 }; /* a vector of a header_only model: present, not to be read */

/* --- keys --- */
DSM__FN const char *dsm__arch_key(dsm__arch_reader *r, const char *name) { /* with the architecture before it */
    size_t n = r->m->architecture.n;
    memcpy(r->key, r->m->architecture.at, n); r->key[n] = '.'; strcpy(r->key + n + 1, name); return r->key;
}
DSM__FN int dsm__arch_has(dsm__arch_reader *r, const char *name) { return dsm__file_key(r->f, dsm__arch_key(r, name)) != NULL; }
DSM__FN uint64_t dsm__arch_uint(dsm__arch_reader *r, const char *name, uint64_t fallback, uint64_t least, uint64_t most) {
    uint64_t v = least; const dsm__key_ref *k;
    if (r->status) return least;
    k = dsm__file_key(r->f, dsm__arch_key(r, name));
    r->status = dsm__file_u64(r->f, r->key, fallback, &v, r->error);
    if (!r->status && k && k->type == DSM__GGUF_ARRAY && k->count < (uint64_t)r->n_blocks) r->status = dsm__err(r->error, DSM__ERR_KEY_LAYERS, dsm__s(r->key), dsm__u(k->count), dsm__i(r->n_blocks));
    if (!r->status && (k || fallback > most) && (v < least || v > most)) r->status = dsm__err(r->error, DSM__ERR_KEY_RANGE, dsm__s(r->key), dsm__u(v), dsm__u(least), dsm__u(most));
    return r->status ? least : v;
}
DSM__FN int dsm__arch_int(dsm__arch_reader *r, const char *name, uint64_t fallback, int least, int most) { return (int)dsm__arch_uint(r, name, fallback, (uint64_t)least, (uint64_t)most); }
DSM__FN double dsm__arch_float(dsm__arch_reader *r, const char *name, double fallback) {
    double v = 1;
    if (r->status) return 1;
    r->status = dsm__file_f64(r->f, dsm__arch_key(r, name), fallback, &v, r->error);
    if (!r->status && !(v > -3e38 && v < 3e38)) r->status = dsm__err(r->error, DSM__ERR_KEY_FINITE, dsm__s(r->key), dsm__s(""));
    return r->status ? 1 : v;
}
DSM__FN double dsm__arch_above(dsm__arch_reader *r, const char *name, double fallback, double limit, const char *limit_name) { /* finite, above a limit */
    double v = dsm__arch_float(r, name, fallback);
    if (!r->status && !(v > limit)) r->status = dsm__err(r->error, DSM__ERR_KEY_FINITE, dsm__s(r->key), dsm__s(limit_name));
    return r->status ? 2 : v;
}
/* Keys that change the mathematics, with the value that changes nothing (0 never does): better no answer than a wrong one. */
DSM__FN void dsm__arch_refuse(dsm__arch_reader *r) {
    static const struct { const char *key; double neutral; } list[] = {
        { "logit_scale", 1 }, { "attention.scale", 0 }, { "attention.temperature_scale", 0 }, { "attention.temperature_length", 0 }, { "final_logit_softcapping", 0 },
        { "attn_logit_softcapping", 0 }, { "router_logit_softcapping", 0 }, { "residual_scale", 1 }, { "embedding_scale", 1 }, { "swiglu_clamp_exp", 0 }, { "swiglu_clamp_shexp", 0 },
        { "attention.max_alibi_bias", 0 }, { "attention.clamp_kqv", 0 }, { "use_parallel_residual", 0 }, { "attention.layer_norm_epsilon", 0 }, { "attention.indexer.head_count", 0 },
        { "moe_every_n_layers", 1 }, { "interleave_moe_layer_step", 1 }, { "expert_group_scale", 1 }, { "rope.dimension_sections", 0 }, { "rope.freq_base_swa", 0 }, { "pooling_type", 0 } };
    for (size_t i = 0; i < DSM__COUNT(list) && !r->status; i++) {
        const dsm__key_ref *k = dsm__file_key(r->f, dsm__arch_key(r, list[i].key));
        if (!k || !dsm__file_width(k->type == DSM__GGUF_ARRAY ? k->element : k->type)) continue;
        for (uint64_t j = 0; j < k->count && !r->status; j++) {
            double v = dsm__file_element(k, j).d;
            if (!(v >= 0 && v <= 0) && !(v >= list[i].neutral && v <= list[i].neutral)) r->status = dsm__err(r->error, DSM__ERR_ARCH_KEY, dsm__s(r->key)); }
    }
    if (!r->status) { /* a window that the context never leaves is none */
        uint64_t window = dsm__arch_uint(r, "attention.sliding_window", 0, 0, UINT64_MAX - 1), context = dsm__arch_uint(r, "context_length", 0, 0, UINT64_MAX - 1);
        if (!r->status && window && window < context) r->status = dsm__err(r->error, DSM__ERR_ARCH_KEY, dsm__s(dsm__arch_key(r, "attention.sliding_window"))); }
    if (!r->status && dsm__file_key(r->f, dsm__arch_key(r, "attention.causal"))) {
        int causal = 1;
        r->status = dsm__file_bool(r->f, r->key, 1, &causal, r->error);
        if (!r->status && !causal) r->status = dsm__err(r->error, DSM__ERR_ARCH_KEY, dsm__s(r->key)); }
}
DSM__FN void dsm__arch_experts(dsm__arch_reader *r) {
    dsm__arch *m = r->m; int gating, has_groups, E;
    if (m->family != DSM__ARCH_DEEPSEEK && m->family != DSM__ARCH_DEEPSEEK2) {
        if (dsm__arch_int(r, "expert_count", 0, 0, INT_MAX) && !r->status) r->status = dsm__err(r->error, DSM__ERR_ARCH_EXPERTS, dsm__s(r->key));
        m->n_dense = m->n_layers + m->n_mtp; return; }
    m->n_experts = E = dsm__arch_int(r, "expert_count", DSM__REQUIRED, 1, DSM__ARCH_EXPERTS);
    m->n_used = dsm__arch_int(r, "expert_used_count", DSM__REQUIRED, 1, E);
    m->expert_width = dsm__arch_int(r, "expert_feed_forward_length", DSM__REQUIRED, 1, DSM__ARCH_WIDTH);
    m->n_dense = dsm__arch_int(r, "leading_dense_block_count", 0, 0, m->n_layers + m->n_mtp);
    m->n_shared = -1; /* as many as the tensors say */
    if (dsm__arch_has(r, "expert_shared_count")) m->n_shared = dsm__arch_int(r, "expert_shared_count", 0, 0, 1024);
    m->expert_scale = (float)dsm__arch_float(r, "expert_weights_scale", 0);
    if (!(m->expert_scale < 0 || m->expert_scale > 0)) m->expert_scale = 1;
    if (!r->status) r->status = dsm__file_bool(r->f, dsm__arch_key(r, "expert_weights_norm"), 0, &m->normalize, r->error);
    gating = dsm__arch_int(r, "expert_gating_func", 0, 0, 255);
    if (!r->status && gating > 2) r->status = dsm__err(r->error, gating > 4 ? DSM__ERR_KEY_RANGE : DSM__ERR_KEY_GATING, dsm__s(r->key), dsm__i(gating), dsm__i(0), dsm__i(4));
    m->sigmoid = gating == 2;
    has_groups = dsm__arch_has(r, "expert_group_count");
    if (has_groups) m->n_groups = dsm__arch_int(r, "expert_group_count", 0, 0, DSM__ARCH_EXPERTS);
    else if ((E == 256 && m->sigmoid) || E == 160) { m->n_groups = 8; m->n_groups_used = E == 256 ? 4 : 3; } /* V3 and V2 files from before the key existed */
    if (m->n_groups <= 1) m->n_groups = m->n_groups_used = 0;
    else {
        if (has_groups) m->n_groups_used = dsm__arch_int(r, "expert_group_used_count", DSM__REQUIRED, 1, m->n_groups);
        if (!r->status && (E % m->n_groups || E / m->n_groups < 2 || E / m->n_groups * m->n_groups_used < m->n_used))
            r->status = dsm__err(r->error, DSM__ERR_GROUPS, dsm__i(E), dsm__i(m->n_groups), dsm__i(m->n_groups_used), dsm__i(m->n_used)); }
}
DSM__FN void dsm__arch_heads(dsm__arch_reader *r) {
    dsm__arch *m = r->m; uint64_t by_head; int key = 0;
    m->n_heads = dsm__arch_int(r, "attention.head_count", DSM__REQUIRED, 1, 1 << 14);
    if (m->mla) {
        m->latent = dsm__arch_int(r, "attention.kv_lora_rank", DSM__REQUIRED, 1, 1 << 16);
        m->q_rank = dsm__arch_int(r, "attention.q_lora_rank", 0, 0, 1 << 16);
        m->n_rot = dsm__arch_int(r, "rope.dimension_count", DSM__REQUIRED, 1, 1 << 16);
        m->head_k = dsm__arch_has(r, "attention.key_length_mla") ? dsm__arch_int(r, "attention.key_length_mla", 0, 1, 1 << 16) : dsm__arch_int(r, "attention.key_length", DSM__REQUIRED, 1, 1 << 16);
        m->head_v = dsm__arch_has(r, "attention.value_length_mla") ? dsm__arch_int(r, "attention.value_length_mla", 0, 1, 1 << 16) : dsm__arch_int(r, "attention.value_length", DSM__REQUIRED, 1, 1 << 16);
        if (!r->status && m->head_k <= m->n_rot) r->status = dsm__err(r->error, DSM__ERR_MLA_ROPE, dsm__i(m->head_k), dsm__i(m->n_rot));
        m->nope = m->head_k - m->n_rot; m->n_kv_heads = 1;
    } else {
        m->n_kv_heads = dsm__arch_int(r, "attention.head_count_kv", (uint64_t)m->n_heads, 1, m->n_heads);
        if (!r->status && m->n_heads % m->n_kv_heads) r->status = dsm__err(r->error, DSM__ERR_HEADS_DIVIDE, dsm__s(r->key), dsm__i(m->n_kv_heads), dsm__s("attention.head_count"), dsm__i(m->n_heads));
        by_head = (uint64_t)(m->width / m->n_heads);
        for (int i = 0; i < 2; i++) if (!dsm__arch_has(r, i ? "attention.value_length" : "attention.key_length") && m->width % m->n_heads && !r->status) {
            dsm__arch_key(r, "attention.head_count");
            r->status = dsm__err(r->error, DSM__ERR_HEADS_DIVIDE, dsm__s(r->key), dsm__i(m->n_heads), dsm__s("embedding_length"), dsm__i(m->width)); }
        m->head_k = dsm__arch_int(r, "attention.key_length", by_head, 1, 1 << 16);
        m->head_v = dsm__arch_int(r, "attention.value_length", by_head, 1, 1 << 16);
        key = dsm__arch_int(r, "rope.dimension_count", 0, 0, 1 << 16);
        m->n_rot = key ? key : m->head_k;
    }
    dsm__arch_key(r, "rope.dimension_count");
    if (!r->status && (m->n_rot > m->head_k || m->n_rot % 2)) r->status = dsm__err(r->error, DSM__ERR_KEY_RANGE, dsm__s(r->key), dsm__i(m->n_rot), dsm__s("even numbers up"), dsm__i(m->head_k));
}
DSM__FN void dsm__arch_numbers(dsm__arch_reader *r) {
    dsm__arch *m = r->m; double eps;
    r->n_blocks = dsm__arch_int(r, "block_count", DSM__REQUIRED, 1, DSM__ARCH_LAYERS);
    m->n_mtp = dsm__arch_int(r, "nextn_predict_layers", 0, 0, r->n_blocks - 1);
    m->n_layers = r->n_blocks - m->n_mtp;
    if (m->n_mtp && m->family != DSM__ARCH_DEEPSEEK2 && !r->status) r->status = dsm__err(r->error, DSM__ERR_ARCH_KEY, dsm__s(dsm__arch_key(r, "nextn_predict_layers")));
    m->width = dsm__arch_int(r, "embedding_length", DSM__REQUIRED, 1, DSM__ARCH_WIDTH);
    { uint64_t context = dsm__arch_uint(r, "context_length", DSM__REQUIRED, 1, UINT64_MAX - 1); m->context = context > DSM__ARCH_CONTEXT ? (int)DSM__ARCH_CONTEXT : (int)context; }
    m->ffn_width = dsm__arch_int(r, "feed_forward_length", DSM__REQUIRED, 1, DSM__ARCH_WIDTH);
    eps = dsm__arch_float(r, "attention.layer_norm_rms_epsilon", DSM__REQUIRED_F64); m->eps = (float)eps;
    if (!r->status && !(m->eps >= 0)) r->status = dsm__err(r->error, DSM__ERR_KEY_FINITE, dsm__s(r->key), dsm__s(", not negative"));
    dsm__arch_heads(r);
    dsm__arch_experts(r);
    dsm__arch_refuse(r);
}

/* --- rotary embedding --- */
/* The dimension that turns so many times within the original context. */
DSM__FN double dsm__arch_turns(int n_rot, double context, double turns, double base) { return n_rot * dsm__num_log64(context / (turns * 6.283185307179586476925)) / (2 * dsm__num_log64(base)); }
DSM__FN void dsm__arch_rope(dsm__arch_reader *r, const float *freqs /* [n_rot/2] or NULL */) {
    dsm__arch *m = r->m; dsm__str kind; int yarn, none, half = m->n_rot / 2; double base, factor, ext, log_factor, log_mul, amplitude, scale, low = 0, high = 0;
    if (r->status) return;
    if (0 != (r->status = dsm__file_str(r->f, dsm__arch_key(r, "rope.scaling.type"), "linear", &kind, r->error))) return;
    yarn = dsm__str_is(kind, "yarn"); none = dsm__str_is(kind, "none");
    if (!yarn && !none && !dsm__str_is(kind, "linear")) { r->status = dsm__err(r->error, DSM__ERR_ROPE_TYPE, dsm__s(r->key), dsm__t(kind)); return; }
    factor = dsm__arch_above(r, "rope.scaling.factor", 0, -1e-30, ", not negative");
    if (!(factor > 0)) factor = dsm__arch_above(r, "rope.scale_linear", 0, -1e-30, ", not negative");
    if (!(factor > 0) || none) factor = 1;
    base = dsm__arch_above(r, "rope.freq_base", 10000, 1, " above 1");
    ext = dsm__arch_float(r, "rope.scaling.yarn_ext_factor", 1);
    if (!yarn) ext = 0;
    log_factor = factor > 1 ? dsm__num_log64(factor) : 0;
    log_mul = dsm__arch_float(r, "rope.scaling.yarn_log_multiplier", 0) / .1;
    amplitude = dsm__arch_float(r, "rope.scaling.attn_factor", 1) * dsm__arch_float(r, "rope.scaling.yarn_attn_factor", 1);
    if (ext < 0 || ext > 0) {
        uint64_t original = dsm__arch_uint(r, "rope.scaling.original_context_length", 0, 0, UINT64_MAX - 1);
        double fast = dsm__arch_above(r, "rope.scaling.yarn_beta_fast", 32, 0, " above 0"), slow = dsm__arch_above(r, "rope.scaling.yarn_beta_slow", 1, 0, " above 0");
        if (!original) original = dsm__arch_uint(r, "context_length", DSM__REQUIRED, 1, UINT64_MAX - 1);
        if (r->status) return;
        low = floor(dsm__arch_turns(m->n_rot, (double)original, fast, base)); high = ceil(dsm__arch_turns(m->n_rot, (double)original, slow, base));
        if (!(low > 0)) low = 0;
        if (!(high < m->n_rot - 1)) high = m->n_rot - 1;
        high = high - low > .001 ? high - low : .001;
        if (!(log_mul < 0 || log_mul > 0)) amplitude *= 1 + .1 * log_factor;
    }
    scale = 1 / sqrt((double)m->head_k);
    if (m->mla) { /* DeepSeek scales the scores instead of cos and sin */
        double whole = (ext < 0 || ext > 0 ? amplitude : amplitude * (1 + .1 * log_factor)) * (1 + .1 * log_mul * log_factor);
        scale *= whole * whole; }
    m->rope_amplitude = (float)amplitude; m->attn_scale = (float)scale;
    if (!r->status && (!dsm__num_finite(m->rope_amplitude) || !dsm__num_finite(m->attn_scale))) r->status = dsm__err(r->error, DSM__ERR_KEY_FINITE, dsm__s(dsm__arch_key(r, "rope.scaling.attn_factor")), dsm__s(" of a sensible size"));
    for (int i = 0; i < half && !r->status; i++) {
        double theta = dsm__num_pow64(base, -2.0 * i / m->n_rot), slow, keep = (i - low) / high;
        if (freqs) theta /= (double)freqs[i];
        slow = theta / factor; keep = ext < 0 || ext > 0 ? (1 - (keep < 0 ? 0 : keep > 1 ? 1 : keep)) * ext : 0;
        theta = keep < 0 || keep > 0 ? slow * (1 - keep) + theta * keep : slow;
        if (!(theta > -64 && theta < 64)) r->status = dsm__err(r->error, DSM__ERR_ROPE_TABLE, dsm__t(m->architecture), dsm__i(i));
        if (m->rope_theta) m->rope_theta[i] = theta;
    }
}

/* --- tensors --- */
DSM__FN char *dsm__arch_digits(char *to, uint64_t v) { char d[20]; int n = 0; do d[n++] = (char)('0' + v % 10); while (v /= 10); while (n) *to++ = d[--n]; *to = 0; return to; }
DSM__FN const char *dsm__arch_name(dsm__arch_reader *r, const char *name) { /* "attn_q.weight" -> "blk.3.attn_q.weight" inside a layer */
    char *p = r->name;
    if (r->layer >= 0) { memcpy(p, "blk.", 4); p = dsm__arch_digits(p + 4, (uint64_t)r->layer); *p++ = '.'; }
    strcpy(p, name); return r->name;
}
DSM__FN int dsm__arch_present(dsm__arch_reader *r, const char *name) { return dsm__file_tensor(r->f, dsm__arch_name(r, name)) != NULL; }
DSM__FN void dsm__arch_shape_text(char *to, const uint64_t *ne, int n) { /* to: 96 bytes */
    for (int i = 0; i < n; i++) { if (i) { *to++ = ','; *to++ = ' '; } to = dsm__arch_digits(to, ne[i]); }
}
/* The tensor of that name, if its shape is right: ne0 x ne1 x ne2. flat: stored as ne0 x (ne1 * ne2) will do as well. */
DSM__FN const dsm__tensor_ref *dsm__arch_tensor(dsm__arch_reader *r, const char *name, int required, uint64_t ne0, uint64_t ne1, uint64_t ne2, int flat) {
    const dsm__tensor_ref *t; uint64_t want[4]; int n_want = ne2 != 1 ? 3 : ne1 != 1 ? 2 : 1;
    if (r->status) return NULL;
    t = dsm__file_tensor(r->f, dsm__arch_name(r, name)); want[0] = ne0; want[1] = ne1; want[2] = ne2; want[3] = 1;
    if (!t) { if (required) r->status = dsm__err(r->error, DSM__ERR_TENSOR_MISSING, dsm__s(r->name)); return NULL; }
    r->used[t - r->f->tensors] = 1;
    if (memcmp(t->ne, want, sizeof want) && !(flat && t->ne[0] == ne0 && t->ne[1] == ne1 * ne2 && t->ne[2] == 1 && t->ne[3] == 1)) {
        char is[96], should[96];
        dsm__arch_shape_text(is, t->ne, t->n_dims); dsm__arch_shape_text(should, want, n_want);
        r->status = dsm__err(r->error, DSM__ERR_TENSOR_SHAPE, dsm__s(r->name), dsm__s(is), dsm__s(should)); return NULL; }
    if (t->fmt < 0) { /* only header_only lets them come this far */
        const char *type = dsm__fmt_ggml_name(t->ggml);
        r->status = dsm__err(r->error, DSM__ERR_TENSOR_TYPE, dsm__t(r->m->architecture), dsm__t(t->name), dsm__u(t->ggml), dsm__s(*type == '?' ? "unknown" : type)); return NULL; }
    if (t->n_rows > INT_MAX || t->ne[0] > INT_MAX) { r->status = dsm__err(r->error, DSM__ERR_TOO_LARGE, dsm__s(r->name)); return NULL; }
    if (r->layer < r->m->n_layers) {
        uint64_t n = t->n_rows * t->ne[0]; const dsm__arch *m = r->m;
        r->m->parameters += n; r->m->active += m->n_experts && ne2 == (uint64_t)m->n_experts && dsm__str_has(t->name, "_exps.") ? n / (uint64_t)m->n_experts * (uint64_t)m->n_used : n; }
    return t;
}
DSM__FN dsm__mat dsm__arch_mat(dsm__arch_reader *r, const char *name, int required, uint64_t cols, uint64_t rows, uint64_t count, int flat) { /* count matrices of rows x cols */
    const dsm__tensor_ref *t = dsm__arch_tensor(r, name, required, cols, rows, count, flat); dsm__mat a;
    memset(&a, 0, sizeof a);
    if (t) { a.data = t->data; a.stride = t->stride; a.fmt = t->fmt; a.n_rows = (int)t->n_rows; a.n_cols = (int)t->ne[0]; a.present = 1; }
    return a;
}
DSM__FN const float *dsm__arch_vector(dsm__arch_reader *r, const char *name, int required, uint64_t n) { /* as aligned F32 */
    const dsm__tensor_ref *t = dsm__arch_tensor(r, name, required, n, 1, 1, 0); float *to; unsigned off;
    if (!t) return NULL;
    if (t->fmt != DSM__FMT_F32 && t->fmt != DSM__FMT_F16 && t->fmt != DSM__FMT_BF16) { r->status = dsm__err(r->error, DSM__ERR_TENSOR_FLOAT, dsm__s(r->name), dsm__s(dsm__fmt_ggml_name(t->ggml))); return NULL; }
    off = (unsigned)((t->data ? (uint64_t)(uintptr_t)t->data : t->offset) & 3u);
    if (t->fmt == DSM__FMT_F32 && !off) return t->data ? (const float *)(const void *)t->data : dsm__arch_nowhere;
    to = (float *)dsm__mem_take(&r->vectors, n, sizeof *to);
    if (!t->data || !to) return dsm__arch_nowhere;
    for (uint64_t i = 0; i < n; i++) to[i] = t->fmt == DSM__FMT_F32 ? dsm__num_bits(dsm__load32(t->data + 4 * i)) : t->fmt == DSM__FMT_F16 ? dsm__num_half(dsm__load16(t->data + 2 * i)) : dsm__num_bf16(dsm__load16(t->data + 2 * i));
    return to;
}
DSM__FN void dsm__arch_bind_mla(dsm__arch_reader *r, dsm__layer *y) {
    const dsm__arch *m = r->m; uint64_t D = (uint64_t)m->width, H = (uint64_t)m->n_heads, P = (uint64_t)m->nope, R = (uint64_t)m->n_rot, V = (uint64_t)m->head_v, latent = (uint64_t)m->latent, Q = (uint64_t)m->q_rank;
    int k_b, v_b, kv_b;
    if (dsm__arch_present(r, "attn_q.weight")) y->q = dsm__arch_mat(r, "attn_q.weight", 1, D, H * (P + R), 1, 0);
    else {
        if (!r->status && !Q) r->status = dsm__err(r->error, dsm__arch_present(r, "attn_q_a.weight") ? DSM__ERR_KEY_MISSING : DSM__ERR_TENSOR_MISSING, dsm__s(dsm__arch_present(r, "attn_q_a.weight") ? dsm__arch_key(r, "attention.q_lora_rank") : dsm__arch_name(r, "attn_q.weight")));
        y->q_a = dsm__arch_mat(r, "attn_q_a.weight", 1, D, Q, 1, 0);
        y->q_a_norm = dsm__arch_vector(r, "attn_q_a_norm.weight", 1, Q);
        y->q_b = dsm__arch_mat(r, "attn_q_b.weight", 1, Q, H * (P + R), 1, 0); }
    y->kv_a = dsm__arch_mat(r, "attn_kv_a_mqa.weight", 1, D, latent + R, 1, 0);
    y->kv_a_norm = dsm__arch_vector(r, "attn_kv_a_norm.weight", 1, latent);
    k_b = dsm__arch_present(r, "attn_k_b.weight"); v_b = dsm__arch_present(r, "attn_v_b.weight"); kv_b = dsm__arch_present(r, "attn_kv_b.weight");
    if (!r->status && k_b != v_b && !kv_b) r->status = dsm__err(r->error, DSM__ERR_TENSOR_PAIR, dsm__s(k_b ? "attn_k_b.weight" : "attn_v_b.weight"), dsm__s(dsm__arch_name(r, k_b ? "attn_v_b.weight" : "attn_k_b.weight")));
    if (!r->status && k_b != v_b) r->status = dsm__err(r->error, DSM__ERR_TENSOR_MISSING, dsm__s(dsm__arch_name(r, k_b ? "attn_v_b.weight" : "attn_k_b.weight")));
    y->split = k_b && v_b;
    if (y->split) {
        y->k_b = dsm__arch_mat(r, "attn_k_b.weight", 1, P, latent, H, 1); y->v_b = dsm__arch_mat(r, "attn_v_b.weight", 1, latent, V, H, 1);
        y->k_b_head_stride = y->k_b.stride * (size_t)latent; y->v_b_head_stride = y->v_b.stride * (size_t)V;
        if (kv_b && !r->status) { /* the same weights once more, not used */
            uint64_t all = r->m->parameters, active = r->m->active;
            dsm__arch_mat(r, "attn_kv_b.weight", 1, latent, H * (P + V), 1, 0); r->m->parameters = all; r->m->active = active; }
    } else {
        y->kv_b = dsm__arch_mat(r, "attn_kv_b.weight", 1, latent, H * (P + V), 1, 0);
        y->v_b = y->kv_b; y->v_b.n_rows = (int)(H * V); y->kv_b_head_stride = y->v_b_head_stride = y->kv_b.stride * (size_t)(P + V);
        if (y->v_b.data) y->v_b.data += y->kv_b.stride * (size_t)P; }
    y->o = dsm__arch_mat(r, "attn_output.weight", 1, H * V, D, 1, 0);
}
DSM__FN void dsm__arch_bind_heads(dsm__arch_reader *r, dsm__layer *y) {
    const dsm__arch *m = r->m; uint64_t D = (uint64_t)m->width, H = (uint64_t)m->n_heads, K = (uint64_t)m->n_kv_heads, d_k = (uint64_t)m->head_k, d_v = (uint64_t)m->head_v; int bias = m->family == DSM__ARCH_QWEN2;
    y->q = dsm__arch_mat(r, "attn_q.weight", 1, D, H * d_k, 1, 0); y->q_bias = dsm__arch_vector(r, "attn_q.bias", bias, H * d_k);
    y->k = dsm__arch_mat(r, "attn_k.weight", 1, D, K * d_k, 1, 0); y->k_bias = dsm__arch_vector(r, "attn_k.bias", bias, K * d_k);
    y->v = dsm__arch_mat(r, "attn_v.weight", 1, D, K * d_v, 1, 0); y->v_bias = dsm__arch_vector(r, "attn_v.bias", bias, K * d_v);
    y->o = dsm__arch_mat(r, "attn_output.weight", 1, H * d_v, D, 1, 0);
    if (m->family == DSM__ARCH_QWEN3) { y->q_norm = dsm__arch_vector(r, "attn_q_norm.weight", 1, d_k); y->k_norm = dsm__arch_vector(r, "attn_k_norm.weight", 1, d_k); }
}
DSM__FN void dsm__arch_bind_experts(dsm__arch_reader *r, dsm__layer *y) {
    dsm__arch *m = r->m; uint64_t D = (uint64_t)m->width, F = (uint64_t)m->expert_width, E = (uint64_t)m->n_experts, S; const dsm__tensor_ref *t; int top2;
    y->moe = 1;
    y->router = dsm__arch_mat(r, "ffn_gate_inp.weight", 1, D, E, 1, 0);
    if (!r->status && y->router.fmt != DSM__FMT_F32 && y->router.fmt != DSM__FMT_F16 && y->router.fmt != DSM__FMT_BF16) {
        t = dsm__file_tensor(r->f, r->name); r->status = dsm__err(r->error, DSM__ERR_TENSOR_FLOAT, dsm__s(r->name), dsm__s(dsm__fmt_ggml_name(t->ggml))); }
    y->router_bias = dsm__arch_vector(r, "exp_probs_b.bias", 0, E);
    top2 = y->router_bias != NULL;
    if (m->group_top2 < 0) m->group_top2 = top2;
    else if (m->group_top2 != top2 && !r->status) r->status = dsm__err(r->error, DSM__ERR_TENSOR_SOME, dsm__s(dsm__arch_name(r, "exp_probs_b.bias")));
    y->fused_gate_up = dsm__arch_present(r, "ffn_gate_up_exps.weight");
    if (y->fused_gate_up) y->gate_exps = dsm__arch_mat(r, "ffn_gate_up_exps.weight", 1, D, 2 * F, E, 0);
    else { y->gate_exps = dsm__arch_mat(r, "ffn_gate_exps.weight", 1, D, F, E, 0); y->up_exps = dsm__arch_mat(r, "ffn_up_exps.weight", 1, D, F, E, 0); }
    y->down_exps = dsm__arch_mat(r, "ffn_down_exps.weight", 1, F, D, E, 0);
    if (!r->status && m->n_shared < 0) { t = dsm__file_tensor(r->f, dsm__arch_name(r, "ffn_gate_shexp.weight")); m->n_shared = t && t->ne[1] / F <= 1024 ? (int)(t->ne[1] / F) : 0; }
    if (m->n_shared > 0) {
        S = F * (uint64_t)m->n_shared;
        y->gate_shared = dsm__arch_mat(r, "ffn_gate_shexp.weight", 1, D, S, 1, 0); y->up_shared = dsm__arch_mat(r, "ffn_up_shexp.weight", 1, D, S, 1, 0);
        y->down_shared = dsm__arch_mat(r, "ffn_down_shexp.weight", 1, S, D, 1, 0); }
}
DSM__FN void dsm__arch_bind(dsm__arch_reader *r) { /* runs twice: to check and count, then with memory */
    dsm__arch *m = r->m; uint64_t D = (uint64_t)m->width, F = (uint64_t)m->ffn_width, vocab = 0; const dsm__tensor_ref *t; dsm__layer scratch; const float *freqs;
    m->parameters = m->active = 0; m->group_top2 = -1; r->layer = -1;
    t = dsm__file_tensor(r->f, "token_embd.weight");
    if (t) vocab = t->ne[1];
    m->embed = dsm__arch_mat(r, "token_embd.weight", 1, D, vocab, 1, 0); m->n_vocab = m->embed.n_rows;
    m->output = dsm__arch_mat(r, "output.weight", 0, D, vocab, 1, 0);
    if (!m->output.present) m->output = m->embed;
    m->output_norm = dsm__arch_vector(r, "output_norm.weight", 1, D);
    freqs = dsm__arch_vector(r, "rope_freqs.weight", 0, (uint64_t)m->n_rot / 2);
    dsm__arch_rope(r, r->f->header_only || !m->layers ? NULL : freqs);
    for (r->layer = 0; r->layer < r->n_blocks && !r->status; r->layer++) {
        dsm__layer *y = m->layers ? m->layers + r->layer : &scratch;
        memset(y, 0, sizeof *y);
        y->attn_norm = dsm__arch_vector(r, "attn_norm.weight", 1, D); y->ffn_norm = dsm__arch_vector(r, "ffn_norm.weight", 1, D);
        if (m->mla) dsm__arch_bind_mla(r, y); else dsm__arch_bind_heads(r, y);
        if (r->layer >= m->n_dense) dsm__arch_bind_experts(r, y);
        else { y->gate = dsm__arch_mat(r, "ffn_gate.weight", 1, D, F, 1, 0); y->up = dsm__arch_mat(r, "ffn_up.weight", 1, D, F, 1, 0); y->down = dsm__arch_mat(r, "ffn_down.weight", 1, F, D, 1, 0); }
        if (r->layer < m->n_layers) continue;
        y->eh_proj = dsm__arch_mat(r, "nextn.eh_proj.weight", 1, 2 * D, D, 1, 0);
        y->enorm = dsm__arch_vector(r, "nextn.enorm.weight", 1, D); y->hnorm = dsm__arch_vector(r, "nextn.hnorm.weight", 1, D);
        y->mtp_embed = dsm__arch_mat(r, "nextn.embed_tokens.weight", 0, D, vocab, 1, 0); y->mtp_head = dsm__arch_mat(r, "nextn.shared_head_head.weight", 0, D, vocab, 1, 0);
        y->mtp_norm = dsm__arch_vector(r, "nextn.shared_head_norm.weight", 0, D);
        if (!y->mtp_norm) y->mtp_norm = m->output_norm;
    }
    if (m->group_top2 < 0) m->group_top2 = 0;
    if (m->n_shared < 0) m->n_shared = 0;
}
DSM__FN uint64_t dsm__arch_print(const dsm__arch *m, const dsm__file *f) { /* what a snapshot must agree with. Reads a few bytes of a few tensors only: each costs a page from a disk */
    int numbers[24]; uint64_t h = 1; size_t step = f->n_tensors / 16 + 1; uint32_t bits[4];
    numbers[0] = m->family; numbers[1] = m->n_layers; numbers[2] = m->n_mtp; numbers[3] = m->width; numbers[4] = m->n_heads; numbers[5] = m->n_kv_heads; numbers[6] = m->head_k; numbers[7] = m->head_v;
    numbers[8] = m->n_rot; numbers[9] = m->n_vocab; numbers[10] = m->latent; numbers[11] = m->q_rank; numbers[12] = m->n_experts; numbers[13] = m->n_used; numbers[14] = m->n_shared; numbers[15] = m->expert_width;
    numbers[16] = m->n_dense; numbers[17] = m->ffn_width; numbers[18] = m->sigmoid; numbers[19] = m->normalize; numbers[20] = m->n_groups; numbers[21] = m->n_groups_used; numbers[22] = m->group_top2; numbers[23] = m->nope;
    bits[0] = dsm__num_as_bits(m->eps); bits[1] = dsm__num_as_bits(m->attn_scale); bits[2] = dsm__num_as_bits(m->expert_scale); bits[3] = dsm__num_as_bits(m->rope_amplitude);
    h = dsm__hash(numbers, sizeof numbers, h); h = dsm__hash(bits, sizeof bits, h);
    for (int i = 0; i < m->n_rot / 2; i++) { float theta = (float)m->rope_theta[i]; h = dsm__hash(&theta, sizeof theta, h); }
    for (size_t i = 0; i < f->n_tensors; i++) {
        const dsm__tensor_ref *t = f->tensors + f->tensor_order[i]; uint64_t n = t->bytes < 256 ? t->bytes : 256;
        h = dsm__hash(t->name.at, t->name.n, h + t->ggml); h = dsm__hash(t->ne, sizeof t->ne, h);
        if (i % step == 0) h = dsm__hash(t->data + (t->bytes - n) / 2, (size_t)n, h); }
    return h ? h : 1;
}
DSM__FN void dsm__arch_close(dsm__arch *m) { dsm_allocator a = m->allocator; dsm__mem_free(&a, m->block, m->block_size); memset(m, 0, sizeof *m); }
DSM__FN dsm_status dsm__arch_load(dsm__arch_reader *r, int n_token_list) {
    static const struct { const char *name; dsm__arch_family family; } known[] = { { "llama", DSM__ARCH_LLAMA }, { "qwen2", DSM__ARCH_QWEN2 }, { "qwen3", DSM__ARCH_QWEN3 }, { "deepseek", DSM__ARCH_DEEPSEEK }, { "deepseek2", DSM__ARCH_DEEPSEEK2 } };
    dsm__arch *m = r->m; const dsm__file *f = r->f; dsm__arena a; uint64_t vectors;
    for (size_t i = 0; i < DSM__COUNT(known); i++) if (dsm__str_is(m->architecture, known[i].name)) m->family = (int)known[i].family;
    if (!m->family) return dsm__err(r->error, DSM__ERR_ARCH, dsm__t(m->architecture));
    m->neox = m->family == DSM__ARCH_QWEN2 || m->family == DSM__ARCH_QWEN3; m->mla = m->family == DSM__ARCH_DEEPSEEK2;
    dsm__arch_numbers(r);
    dsm__arch_bind(r);
    if (r->status) return r->status;
    for (size_t i = 0; i < f->n_tensors; i++) /* a tensor without a place would mean other mathematics */
        if (!r->used[i] && !dsm__str_has(f->tensors[i].name, ".attn_rot_embd")) return dsm__err(r->error, DSM__ERR_TENSOR_UNKNOWN, dsm__t(f->tensors[i].name), dsm__t(m->architecture));
    { uint64_t size = dsm__arch_uint(r, "vocab_size", 0, 0, UINT64_MAX - 1);
      if (r->status) return r->status;
      if (n_token_list > 0 && (uint64_t)n_token_list > size) size = (uint64_t)n_token_list;
      if (size > (uint64_t)m->n_vocab) return dsm__err(r->error, DSM__ERR_VOCABULARY, dsm__u(size), dsm__i(m->n_vocab)); }
    memset(&a, 0, sizeof a); vectors = r->vectors.used;
    for (int pass = 0; pass < 2; pass++) { /* first to count, then to lay out */
        a.used = 0;
        m->layers = (dsm__layer *)dsm__mem_take(&a, (uint64_t)r->n_blocks, sizeof *m->layers);
        m->rope_theta = (double *)dsm__mem_take(&a, (uint64_t)m->n_rot / 2, sizeof *m->rope_theta);
        r->vectors.base = (uint8_t *)dsm__mem_take(&a, vectors, 1); r->vectors.size = vectors; r->vectors.used = 0;
        if (pass) break;
        if (!dsm__to_size(a.used, &m->block_size) || !(m->block = a.base = (uint8_t *)dsm__mem_alloc(&m->allocator, m->block_size))) { m->block_size = 0; return dsm__err(r->error, DSM__ERR_NO_MEMORY, dsm__u(a.used), dsm__s("the model's tables")); }
        a.size = a.used;
    }
    m->bytes = m->block_size;
    dsm__arch_bind(r);
    if (r->status) return r->status;
    if (!f->header_only) m->fingerprint = dsm__arch_print(m, f);
    return DSM_OK;
}
/* Binds a file's tensors. n_token_list: tokens in its vocabulary, 0: none. A header_only file of a model that does not run opens too: m->refused says why. */
DSM__FN dsm_status dsm__arch_open(dsm__arch *m, const dsm__file *f, const dsm_allocator *a, const dsm_log *log, int n_token_list, dsm_error *error) {
    dsm__arch_reader r; dsm_error why; dsm_status status;
    memset(m, 0, sizeof *m); memset(&r, 0, sizeof r); memset(&why, 0, sizeof why);
    r.m = m; r.f = f; r.log = log; r.error = &why; m->allocator = *a;
    status = dsm__file_str(f, "general.architecture", f->n_tensors ? NULL : "", &m->architecture, &why);
    if (!status) status = dsm__file_str(f, "general.name", "", &m->name, &why);
    if (!status && !f->n_tensors) { /* a vocabulary */
        const dsm__key_ref *k;
        m->vocabulary_only = 1; m->n_vocab = n_token_list;
        k = m->architecture.n < 32 ? dsm__file_key(f, dsm__arch_key(&r, "context_length")) : NULL;
        if (k && k->count && dsm__file_width(k->type)) { dsm__file_number v = dsm__file_element(k, 0); m->context = v.whole && v.u <= DSM__ARCH_CONTEXT ? (int)v.u : 0; }
        return DSM_OK; }
    if (!status) {
        r.used = (uint8_t *)dsm__mem_alloc(a, f->n_tensors);
        status = r.used ? dsm__arch_load(&r, n_token_list) : dsm__err(&why, DSM__ERR_NO_MEMORY, dsm__u(f->n_tensors), dsm__s("the list of tensors"));
        dsm__mem_free(a, r.used, f->n_tensors); }
    if (!status) return DSM_OK;
    if (f->header_only && status != DSM_E_MEMORY) {
        dsm__str name = m->name, architecture = m->architecture;
        dsm__arch_close(m); m->name = name; m->architecture = architecture; m->refused = why; m->allocator = *a;
        return DSM_OK; }
    dsm__arch_close(m);
    if (error) *error = why;
    return status;
}

// >>kv
/* (being built) */

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
#endif /* DSMOE_IMPLEMENTED */
#endif /* DSMOE_IMPLEMENTATION */
