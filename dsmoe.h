/* dsmoe.h - v0.1.0 - DeepSeek-family language models on small machines, from one C header - MIT or public domain

   WHAT IT IS
   One file that opens a GGUF model, tokenises, runs the exact forward pass and holds a conversation: DeepSeek LLM, Coder, Math, MoE-16B, V2, V2-Lite, V3,
   R1 and R1's distillations, on laptops, Raspberry Pis and embedded Linux. No packages, no second copy of the weights, no surprise: the same file, tokens
   and options give the same bits on every processor and with any number of threads; memory is known to the byte before anything is allocated; every call
   can be cut into slices of time and cancelled.

   HOW TO USE IT
   In exactly one C or C++ file:           #define DSMOE_IMPLEMENTATION
                                           #include "dsmoe.h"              (before system headers, if you compile with -std=c99 or -std=c11)
   In all others:                          #include "dsmoe.h"
   Compile with:                           cc -O3 program.c -lm -lpthread  (instruction sets are chosen at run time: no -march is needed)
   To make it private to that file, also:  #define DSMOE_API static

   A COMPLETE PROGRAM
   --- minimal program ---
   #define DSMOE_IMPLEMENTATION
   #include "dsmoe.h"
   #include <stdio.h>

   int main(int argc, char **argv) {
       dsm_model_desc file = {0};
       dsm_session_desc room = {0};
       dsm_message message = {DSM_USER, argc > 2 ? argv[2] : "Hello", 0};
       dsm_turn_desc turn = {0};
       dsm_model *model = NULL;
       dsm_session *session = NULL;
       dsm_piece piece;
       dsm_error error;
       file.path = argc > 1 ? argv[1] : "examples/pocket.gguf";
       turn.messages = &message;
       turn.n_messages = 1;
       dsm_status status = dsm_model_open(&model, &file, &error);
       if (status >= 0) status = dsm_session_open(&session, model, &room, &error);
       if (status >= 0) status = dsm_turn_begin(session, &turn, &error);
       while (status >= 0 && (status = dsm_turn_next(session, 0, &piece, &error)) == DSM_MORE)
           if (piece.kind == DSM_PIECE_TEXT) fwrite(piece.text, 1, piece.size, stdout);
       if (status < 0) fprintf(stderr, "%s\n", error.text);
       else printf("\n");
       dsm_session_close(&session, NULL);
       dsm_model_close(&model, NULL);
       return status < 0;
   }
   --- end ---

   WHAT IT DOES NOT DO
   - It does not train, convert or download models, and does not read Jinja: it knows the chat templates of these families by sight.
   - It runs no other families (Mistral, Gemma, ...), no images, no embeddings, no several sequences in one batch; DeepSeek V3.2 and V4 are refused by name.
   - It does not print, exit, abort, read the environment, or start threads that you did not ask for.
   - MTP layers are checked and kept, but not used for drafting yet. GPU backends plug in (Part IIb); none is part of this file.
   - A mapped file that another program shortens raises SIGBUS: where that can happen, set `copy` in the model's descriptor.
   - POSIX only so far (Linux, macOS, the BSDs), little-endian, gcc or clang.

   MODELS                  architecture in the file     what is special
   LLM, Math               llama                        plain
   Coder                   llama                        linear RoPE scaling, fill in the middle
   R1-Distill-Llama        llama                        rope_freqs
   R1-Distill-Qwen         qwen2                        biases
   R1-0528-Qwen3           qwen3                        norms of queries and keys, YaRN
   MoE-16B                 deepseek                     64 experts, softmax routing
   V2, V2-Lite, Coder-V2   deepseek2                    MLA (latent cache, absorbed), groups by their best expert
   V3, R1, V3.1            deepseek2                    MLA, sigmoid routing with bias, groups by their two best, MTP layer kept
   Any mix of these tensor types: F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS MXFP4; one file or shards.
   Tokenisers: byte-level BPE (deepseek-llm, deepseek-coder, deepseek-v3, qwen2, llama-bpe, gpt-2) and SentencePiece.

   BUILD SWITCHES (define to 1 before the include)                              x86-64, gcc 12, -O2: seconds to compile, text
   (none)                                                                       24 s, 714 KB
   DSMOE_SCALAR_ONLY   no SIMD                                                   9 s, 270 KB; many times slower
   DSMOE_NO_AVX2       x86: plain C only                                         9 s, 270 KB
   DSMOE_NO_AVX512     x86: nothing beyond AVX2 and AVX-VNNI                    17 s, 520 KB
   DSMOE_NO_NEON       aarch64: plain C only
   DSMOE_NO_DOTPROD    aarch64: plain NEON only
   DSMOE_NO_THREADS    no pool, no pthread; the host's jobs still work
   DSMOE_HEADER_NAME   not a switch: "the name of this file", if you renamed it (the kernels include it again, once per instruction set)
   Processors without a fused multiply-add (x86 before 2013) run the plain C pass through libm's fmaf: the same bits, very slowly.

   THE CONTRACT
    1. Every failure is a dsm_status and a sentence that names the thing. Nothing is printed, nothing exits.
    2. Descriptors start as zero; zero is the default; where zero would be a choice of its own the choice has a name (DSM_OFF, DSM_GREEDY).
    3. dsm_plan gives the exact bytes of a session from the file's header and the descriptor; the caller may hand in the memory; after dsm_session_open
       nothing is allocated.
    4. Files, descriptors, memory and readers are untrusted: checked before use, with overflow-safe arithmetic.
    5. Several sessions on one model may run on several threads. A session belongs to one thread at a time; cancelling it may come from any.
    6. The caller states the whole token prefix (dsm_session_sync); the session keeps what it can. A full context is a status, never a crash.
    7. Bit-identical logits on every instruction set, with any number of threads and any time budget; with `exact` also for a prompt in pieces of any size.
    8. No mutable globals but the cached word of processor features. Compiles as C99 to C23 and C++11 to C++20 without a warning.

   THE MAP: search for the anchor. A room calls only rooms above it; there are no forward declarations, so the compiler keeps it so.
   >>base      compiler macros, build switches, checked arithmetic
   >>os        files, mappings, threads, clock: the only room with system headers
   >>mem       the only room that calls the allocator; the arena
   >>err       every message; the log
   >>num       f16 and the like; exp, log, sin of our own; the random hash
   >>fmt       THE list of tensor formats; dequantise, quantise
   >>cpu       processor features
   >>kern      the kernels, once per instruction set: the only room with intrinsics
   >>pool      workers, parallel-for, the host's jobs
   >>file      GGUF, shards (untrusted bytes)
   >>tok       BPE, SPM, special tokens, chat templates
   >>arch      hyper-parameters, tensor binding, shape checks: the only room with model names
   >>kv        the cache: layouts, rows, snapshots' rows
   >>nn        norm, RoPE, attention, MLA, router, experts, in stages
   >>backend   the seam, the CPU backend, the tracing backend
   >>run       a session's engine: prefill and decode, rewind, fork, snapshots
   >>pick      sampling
   >>turn      a turn: which bytes may be said, and as what
   >>desk      every public function
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
/* SPECIAL: text of control tokens becomes those tokens. Without it only that of tokens which the file calls user-defined does, as in training; in some files <think> is
   one of those, so what a user typed belongs into a message (dsm_chat_format, turns), where no special token comes out of it. BOS: one first, at most one. */
enum { DSM_TOKENIZE_SPECIAL = 1, DSM_TOKENIZE_BOS = 2 };
/* Ids of n bytes of text into ids[0 .. cap-1]; *count is how many there are, also where cap is too small (then DSM_MORE). Any bytes are valid
   input. Near-linear in n. Thread-safe; needs temporary memory from the model's allocator for words (SentencePiece: texts) of over 800 bytes only. */
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
    int chunk;                   /* tokens of a prompt computed together, at most 4096; 0: 256 */
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
/* Chooses the next token from the last logits, appends it and computes it, under the same kind of budget: MORE, or DONE. The token is chosen in the first call
   and *token set by every one. CONTEXT: full; nothing changed. sampling NULL: greedy. ARGUMENT: no logits; step comes first. */
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
DSMOE_API dsm_status dsm_session_fork(dsm_session *to, dsm_session *from, size_t n, dsm_error *error);
/* Snapshots: tokens and cache, checksummed, portable between machines, refused by fingerprint for another model, cache or activation type.
   load is whole or leaves the session unchanged. Errors: IO, SNAPSHOT, CONTEXT. */
DSMOE_API dsm_status dsm_session_save(dsm_session *session, const dsm_writer *writer, dsm_error *error);
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
    const char *const *stop; int n_stop; /* strings that end the answer (not the reasoning) and are not part of it; at most 16 of at most 64 bytes */
    int n_top;              /* the likeliest alternatives of every token, at most 20; 0: no log-probabilities */
} dsm_turn_desc; /* everything it points to must stay until dsm_turn_end */

typedef enum dsm_piece_kind { DSM_PIECE_NONE = 0, DSM_PIECE_THINK, DSM_PIECE_TEXT, DSM_PIECE_END } dsm_piece_kind;
typedef enum dsm_reason { DSM_REASON_NONE = 0, DSM_REASON_END_TOKEN, DSM_REASON_STOP, DSM_REASON_LENGTH, DSM_REASON_CONTEXT, DSM_REASON_CANCELLED } dsm_reason;
typedef struct dsm_piece {
    dsm_piece_kind kind;
    const char *text; size_t size; /* whole characters; the session's, until the next call. Newlines around reasoning are left out */
    int32_t id; float logprob;     /* the newest token, or -1; with n_top each token comes in a piece, if need be one of size 0 */
    const dsm_choice *top; int n_top; /* the likeliest first; id -1 where the token was not chosen but forced */
    dsm_reason reason;             /* with DSM_PIECE_END */
} dsm_piece;
/* Tokenises, and syncs the session; a turn left open is ended first. CONTEXT: the prompt does not fit. ARGUMENT: no messages, or too many stop strings. After an
   error nothing has changed. Allocates nothing: a message of over 12 bytes for each token of context (and 4 KB) is taken for too long without being counted. */
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
/* importance: n factors, one for the squared error of each weight, or NULL. Every format can be written. NUMBER: something is not finite; nothing is written. */
DSMOE_API dsm_status dsm_quantize_row(const char *format, const float *from, const float *importance, void *to, size_t n, dsm_error *error);

/* ---- Part IIb: backends. You may stop reading here unless you write one. ----
   A backend computes layers of a model for one session at a time: it holds the weights where it computes, and the cache. Its unit is a RANGE OF LAYERS for some
   tokens, not an operation, because a GPU records whole steps. The library keeps the timeline, the logits and everything else. Every function gets `user` first;
   memory that `plan` asks for is part of the session's one block. What a backend needs to know of a model it asks with dsm_model_describe, _key and _tensor. */
#define DSM_BACKEND_VERSION 1
typedef struct dsm_limit {
    void *user;
    int timed;                /* 1: the caller has a budget. Do a little at a time (0.5 ms) and poll between */
    int (*poll)(void *user);  /* 0: go on; 1: the time is up, return DSM_MORE; 2: cancelled, return DSM_E_CANCELLED */
} dsm_limit;
typedef struct dsm_backend {
    uint32_t version;         /* DSM_BACKEND_VERSION */
    const char *name;
    void *user;
    /* Adds the session's bytes to memory->cache, scratch, tables (host) and device, and sets per_token. desc has its defaults filled in. */
    dsm_status (*plan)(void *user, const dsm_model *model, const dsm_session_desc *desc, dsm_memory *memory, dsm_error *error);
    dsm_status (*load)(void *user, const dsm_model *model, void **weights, dsm_error *error); /* once a model */
    void (*unload)(void *user, void *weights);
    /* host: the planned bytes, aligned to 64. Must not allocate after it has returned. */
    dsm_status (*open)(void *user, void *weights, const dsm_session_desc *desc, void *host, void **session, dsm_error *error);
    void (*close)(void *user, void *session);
    /* Layers first .. last-1 for n tokens (at most desc->chunk) at position and on; first = 0 looks the tokens up. hidden [n][width]: what goes in (first > 0)
       and comes out; NULL: both stay in the backend. MORE and CANCELLED suspend: the same call again goes on. Sets of positions grow one after the other. */
    dsm_status (*forward)(void *user, void *session, int first, int last, const int32_t *tokens, int position, int n, float *hidden, const dsm_limit *limit, dsm_error *error);
    /* logits [n_rows][n_vocab] of rows first_row and on of the last forward. Suspends in the same way. */
    dsm_status (*logits)(void *user, void *session, int first_row, int n_rows, float *logits, const dsm_limit *limit, dsm_error *error);
    void (*rewind)(void *user, void *session, int n);  /* positions n and on are forgotten, and what was suspended */
    dsm_status (*copy)(void *user, void *to, void *from, int n, dsm_error *error); /* the cache of positions below n, from another session of the same model and type */
    /* One layer's cache row of one position in its portable form (little-endian, the same on every machine), row_bytes long; for snapshots. */
    size_t (*row_bytes)(void *user, const dsm_model *model, const dsm_session_desc *desc);
    void (*get_row)(void *user, void *session, int layer, int position, void *row);
    void (*put_row)(void *user, void *session, int layer, int position, const void *row);
} dsm_backend;

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
   Test: tests/num.c */
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
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function" /* with DSMOE_API static an application calls only some of the functions */
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
#define DSMOE_NO_AVX2 DSMOE_SCALAR_ONLY /* all of x86's SIMD */
#endif
#ifndef DSMOE_NO_AVX512
#define DSMOE_NO_AVX512 DSMOE_NO_AVX2 /* AVX-512 with VNNI */
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
    do *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); while (*fd < 0 && errno == EINTR); /* a pipe without a writer must not wait */
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
DSM__FN void dsm__os_map_shrink(dsm__os_map *map, size_t size) { /* keeps the first size bytes */
    size_t page = (size_t)sysconf(_SC_PAGESIZE), keep = ((size_t)(map->at - map->base) + size + page - 1) / page * page;
    if (size >= map->size) return;
    if (keep < map->base_size) { munmap(map->base + keep, map->base_size - keep); map->base_size = keep; }
    map->size = size;
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
   with it, so that a plan cannot differ from the use. Test: tests/turns.c, tests/oom.c */
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
    X(NO_WEIGHTS, DSM_E_UNSUPPORTED, "this file has a vocabulary and no weights: it can tokenise, but no session can run on it") \
    X(SESSIONS_OPEN, DSM_E_BUSY, "the model has % open session(s): close them first") \
    X(SESSION_BUSY, DSM_E_BUSY, "the session is being used by another thread") \
    X(THREAD, DSM_E_THREAD, "worker thread % can't be started: %") \
    X(ISA, DSM_E_ARGUMENT, "instruction set '%' is not known here; usable: %") \
    /* os */ \
    X(OPEN, DSM_E_IO, "%: can't be opened: %") \
    X(READ, DSM_E_IO, "%: can't be read: %") \
    X(MAP, DSM_E_IO, "%: can't be mapped: %") \
    X(ROW, DSM_E_ARGUMENT, "a row of % weights is not a whole number of % blocks of %") \
    X(FORMAT_NAME, DSM_E_ARGUMENT, "there is no tensor format '%'") \
    X(NO_WRITER, DSM_E_NUMBER, "a row of % can't be made: a weight or an importance is NaN or infinite, or an importance is negative") \
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
    X(TOK_NONE, DSM_E_UNSUPPORTED, "the file has no vocabulary: only token ids can go in and out") \
    X(TOK_MODEL, DSM_E_UNSUPPORTED, "tokenizer.ggml.model is '%'; known are gpt2 and llama") \
    X(TOK_PRE, DSM_E_UNSUPPORTED, "tokenizer.ggml.pre is '%'; known are deepseek-llm, deepseek-coder, deepseek-v3, deepseek-r1-qwen, qwen2, llama-bpe, gpt-2 and default") \
    X(TOK_MISSING, DSM_E_FORMAT, "%: missing or empty; this kind of vocabulary needs it") \
    X(TOK_TYPE, DSM_E_FORMAT, "%: an array of another type than this list has") \
    X(TOK_COUNT, DSM_E_FORMAT, "% has % entries, the vocabulary has %") \
    X(TOK_MANY, DSM_E_FORMAT, "%: % is more than a vocabulary can have") \
    X(TOK_COLLIDE, DSM_E_FORMAT, "tokenizer.ggml.%: its entries are chosen to collide; a real vocabulary does not") \
    X(TOK_ROLE, DSM_E_ARGUMENT, "message %: the role is %, which is none of DSM_SYSTEM, DSM_USER and DSM_ASSISTANT") \
    X(TOK_TEXT, DSM_E_ARGUMENT, "message %: the text is NULL, its size is %") \
    X(TOK_FIM, DSM_E_UNSUPPORTED, "the vocabulary has no tokens for filling in the middle") \
    X(TOK_LONG, DSM_E_CONTEXT, "a text of % bytes is longer than the session's context can hold: it takes at most % bytes at once") \
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
    X(CONTEXT, DSM_E_CONTEXT, "% tokens do not fit into the session's context of %") \
    X(TOKEN, DSM_E_ARGUMENT, "token % of the sequence has id %, the model knows ids below %") \
    X(REWIND, DSM_E_ARGUMENT, "% positions were asked for, there are %") \
    X(NUMBER, DSM_E_NUMBER, "NaN or infinity in layer % at position % or soon after it: the weights are broken") \
    X(NUMBER_OUT, DSM_E_NUMBER, "NaN or infinity in the logits of position %: the weights are broken") \
    X(WRITE, DSM_E_IO, "the snapshot can't be written: the writer failed") \
    X(SNAPSHOT_READ, DSM_E_IO, "the snapshot can't be read: the reader failed") \
    X(SNAPSHOT, DSM_E_SNAPSHOT, "the snapshot %") \
    /* pick, turn */ \
    X(SAMPLING, DSM_E_ARGUMENT, "sampling: % %") \
    X(BIAS_ID, DSM_E_ARGUMENT, "sampling: bias % is for id %, the vocabulary has ids 0 to below %") \
    X(BIAS_ADD, DSM_E_ARGUMENT, "sampling: bias %, for id %, adds NaN or infinity") \
    X(TURN, DSM_E_ARGUMENT, "turn: % %") \
    X(NO_LOGITS, DSM_E_ARGUMENT, "there are no logits to choose from: dsm_session_sync and dsm_session_step come first") \
    X(NO_CHOICE, DSM_E_NUMBER, "not one of % logits is a finite number: the weights are broken, or a mask forbids every token")
#define DSM__X(name, status, text) DSM__ERR_##name,
typedef enum dsm__err_id { DSM__ERR_LIST(DSM__X) DSM__ERR_COUNT } dsm__err_id;
#undef DSM__X
DSM__FN size_t dsm__err_whole(const char *text, size_t n) { /* without the half character at the end of n bytes, where more follow */
    size_t z = n;
    while (z && ((unsigned char)text[z] & 0xC0) == 0x80 && n - z < 4) z--;
    return z;
}
DSM__FN void dsm__err_text(char *to, size_t cap, const char *format, va_list args) { /* always zero-terminated */
    size_t n = 0;
    for (; *format; format++) {
        char digits[24]; const char *p = format; size_t z = 1, most = cap - 1 - n;
        if (*format == '%') {
            dsm__arg a = va_arg(args, dsm__arg);
            if (a.kind) {
                char *d = digits + sizeof digits; int minus = a.kind == 1 && a.value < 0;
                uint64_t v = minus ? 0 - (uint64_t)a.value : (uint64_t)a.value;
                do *--d = (char)('0' + v % 10); while (v /= 10);
                if (minus) *--d = '-';
                p = d; z = (size_t)(digits + sizeof digits - d);
            } else { p = a.at; z = a.n > 120 ? dsm__err_whole(a.at, 120) : a.n; }
        }
        if (z > most) z = dsm__err_whole(p, most);
        for (size_t i = 0; i < z; i++) to[n++] = (unsigned char)p[i] < 32 || p[i] == 127 ? '?' : p[i]; /* nobody's file name drives a terminal */
    }
    to[n] = 0;
}
/* Fills the error and returns its status. Every further argument is a dsm__arg. */
DSM__FN dsm_status dsm__err(dsm_error *error, int id /* dsm__err_id; an int, because C++ promotes it */, ...) {
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
    (log->log)(log->user, level, text); /* tgmath.h has a macro of that name */
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
    r = fma(-k, 3.5215598651832e-27, fma(-k, 6.077100506506192e-11, fma(-k, 1.57079632673412561417e+00, x)));
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
   own: has mat-vecs for 1, 2 and, where it pays, 4 tokens; shared: carries few models' bytes, so only one token is a mat-vec and two are unpacked and share a tile already,
   which saves code and compile time. */
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
    shared(Q5_K,    13, 256, 176, 32, 1,  31,  0, u5m) \
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
        for (int g = 0; g < 4; g++) { to[4 + g] = (uint8_t)(s[g] | s[g + 4] >> 4 << 6); to[8 + g] = (uint8_t)(m[g] | m[g + 4] >> 4 << 6);
                                      to[12 + g] = (uint8_t)((s[g + 4] & 15) | (m[g + 4] & 15) << 4); }
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
/* A row of n weights, n a multiple of the unit. importance: one factor for the squared error of each weight, or NULL. 1: done. 0: a number is not
   finite, or an importance negative: nothing is written. Every format of the list has a writer. */
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
    for (size_t i = 0; i < n; i++) if (!dsm__num_finite(from[i]) || (importance && !(dsm__num_finite(importance[i]) && importance[i] >= 0))) return 0;
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
     a SHAPE  is one driver: mat-vec of 1, 2 or 4 tokens straight from the file, or unpack + tile for more.

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
#define DSM__K_TILES(X) X(s8, Q8_0) X(u5m, Q5_K) X(u6, Q6_K) X(u2m, Q2_K) /* and u4, Q4_0 */
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
    X(void, mul_down, (int type /* F32 or F16 */, const uint8_t *w, size_t stride, int n_rows, const float *x, long ldx, int n_tokens, float *y, long ldy, int n)) \
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
    int rows, tile_rows, tile_tokens;                   /* of a mat-vec panel; of a tile */
    const struct dsm__kernels *narrower;                /* does what is too few rows for this one */
    struct { dsm__k_matvec *matvec; dsm__k_unpack *unpack; dsm__k_tile *tile; int from, tokens; } f[DSM__FMT_COUNT]; /* from: where start values are; tokens: most of a mat-vec */
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
     DSM__FLOATS  the pass whose float functions it has: itself, or one with the same registers (then DSM__FLOATS_HERE is 0)
     DSM__UNPACKS the same for unpackers
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
    __m128i a = _mm_setzero_si128(); int16_t t;
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
FN Ints K(ldw)(const uint8_t *p, const int f) { /* AVX2's unpackers leave signed bytes as they are */
    const Ints a = DSM__SI(load)((const Ints *)(const void *)p); return DSM__DOT == 2 && FORMAT.bias < 0 ? DSM__SI(xor)(a, K(all)(128)) : a; }
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
FN Ints K(ldw)(const uint8_t *p, const int f) { (void)f; return vreinterpretq_u32_u8(vld1q_u8(p)); }
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
FN Sums K(sum1)(Sink *k, const int n, const int f, const int e, const int turn, Chunk a) { /* turn: which call of its step this is; lines come in their order */
    if (n) K(ahead)(k, f, 16 * turn);
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
#define sum1(e, turn, a) K(sum1)(k, n, f, e, turn, a)   /* exact sums over the 16 weights from e on */
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
            UNROLL for (int g = 0; g < 4; g++) s[2 * g + l] = sum1(32 * g + 16 * l, 4 * l + g, join(g % 2 ? b : a, g / 2 * 4, 4, c, 2 * g, 2)); }
        UNROLL for (int z = 0; z < 8; z++) scale(16 * z, s[z], K(fmul)(d, K(sbyte)(h[z / 4], z % 4)));
        h[0] = h[2]; h[1] = h[3]; step(); } }

DSM__UNPACK(Q2_K) { /* 16 bytes: a scale and a minimum of 4 bits for 16 weights; 64 of bit pairs, a byte column carries four groups; f16 d, dmin */
    Ints h[4]; (void)e; head(0, h); Reals d = takeh(80), dmin = K(fmul)(takeh(82), K(fset)(-1.f));
    DSM__HALVES {
        Chunk c[2]; c[0] = take(16 + 32 * u); c[1] = take(32 + 32 * u);
        UNROLL for (int z = 0; z < 8; z++) {
            scale(16 * z, sum1(16 * z, z, bits(c[z % 2], z / 2 * 2, 2)), K(fmul)(d, K(ubyte)(K(field)(h[z / 4], 0, 4, 0), z % 4)));
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
            scale(16 * z, sum1(16 * z, z, plus(join(c[z % 2], z / 2 * 2, 2, z % 2 ? q : p, z / 2, 1), 28)),
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
#if DSM__UNPACKS_HERE
#define DSM__UNPACKED(name) OUT void K(unpack_##name)(const uint8_t *w, size_t stride, int len, dsm__k_scratch to) { \
        const int f = DSM__FMT_##name; DSM__PAD; \
        for (int v = 0, z; v < DSM__PANEL; v++, w += ROWS * stride) for (int e = 0; e < len; e = z) { \
            Sink k; k.w = to.w + (v * 16 + e * DSM__PANEL) * ROWS; k.s = to.s + (v + e / FORMAT.width * DSM__PANEL) * ROWS; k.m = to.m + (v + e / FORMAT.width * DSM__PANEL) * ROWS; \
            DSM__WALK(name, 0) } }
#else
#define DSM__UNPACKED(name)
#endif
#if DSM__LANES /* ... and multiplied DSM__PANEL vectors of rows x DSM__TOKENS tokens at a time. p is in registers, acc in L1 (sums). */
#define DSM__ALL UNROLL for (int t = 0; t < n; t++) UNROLL for (int v = 0; v < DSM__PANEL; v++)
FN void K(tile64)(const uint8_t *w, const float *s, const float *m, const dsm__x64 *x, long ldx, float *y, long ldy, const int from, const int n, const int f) {
    Reals p[DSM__TOKENS][DSM__PANEL]; const int width = FORMAT.width; DSM__OPAQUE (void)from;
    UNROLL for (int e = 0; e < 64; e += width) {
        Ints c[DSM__TOKENS][DSM__PANEL], h[DSM__TOKENS][DSM__PANEL], a[DSM__PANEL]; Reals d[DSM__PANEL]; Act q[DSM__TOKENS];
        UNROLL for (int i = 0; i < width / 4; i++) {
            if (i % 4 == 0) UNROLL for (int t = 0; t < n; t++) q[t] = K(act)(x[t * ldx].q + e + 4 * i);
            DSM__ORDER;
            UNROLL for (int v = 0; v < DSM__PANEL; v++) a[v] = K(ldw)(w + ((e / 16 + i / 4) * DSM__PANEL + v) * 16 * ROWS + i % 4 * 4 * ROWS, f);
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
FN void K(sth1)(uint8_t *p, Reals a) { _mm256_storeu_si256((__m256i *)(void *)p, _mm512_maskz_cvtps_ph((__mmask16)0xffff, a, 0)); } /* (the plain one warns without optimisation) */
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
    Reals c[16], a[4], b[8]; const int rest = len & 15, whole = len - rest; float s[256];
#define DSM__SUM c[(r * tokens + t) * DSM__NV + v]
    UNROLL for (int i = 0; i < rows * tokens * DSM__NV; i++) c[i] = K(fset)(0);
    for (int k = 0; k < whole; k += 16) {
        const uint8_t *p = w + k * DSM__SIZE;
        UNROLL for (int r = 0; r < rows; r++) if (DSM__AHEAD && tokens == 1 && (DSM__SIZE == 4 || !(k & 16))) DSM__PREFETCH(p + (size_t)(r + rows) * stride);
        UNROLL for (int v = 0; v < DSM__NV; v++) {
            UNROLL for (int r = 0; r < rows; r++) a[r] = K(wide)(p + (size_t)r * stride + v * ROWS * DSM__SIZE, type);
            UNROLL for (int t = 0; t < tokens; t++) b[t] = K(fld)(x + t * ldx + k + v * ROWS);
            UNROLL for (int r = 0; r < rows; r++) UNROLL for (int t = 0; t < tokens; t++) DSM__SUM = K(fma)(a[r], b[t], DSM__SUM); } }
    UNROLL for (int i = 0; i < rows * tokens * DSM__NV; i++) K(fst)(s + i * ROWS, c[i]);
    for (int r = 0, i = 0; r < rows; r++) for (int t = 0; t < tokens; t++, i++) { /* the last stripes may get one more; then the tree */
        const uint8_t *p = w + (size_t)r * stride + whole * DSM__SIZE;
        for (int k = 0; k < rest; k++) s[16 * i + k] = fmaf(K(single)(p + k * DSM__SIZE, type), x[t * ldx + whole + k], s[16 * i + k]);
        UNROLL for (int v = 0; v < DSM__NV; v++) c[v] = K(fld)(s + 16 * i + v * ROWS);
        y[t * ldy + r] = K(stripes)(c); }
}
#undef DSM__SUM
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
        int p = l;
#define DSM__ROW(c) { const Reals b = K(fset)(x[p + at]); \
        UNROLL for (int v = 0; v < DSM__COLUMNS; v++) c[i][v] = K(fma)(K(wide)(q + v * ROWS * DSM__SIZE, type), b, c[i][v]); }
        for (; p + 12 <= n_rows; p += 16, q += 4 * stride) /* (q walks, as products of the stride would fill the registers) */
            UNROLL for (int i = 0; i < 8; i++, q += i == 4 ? 5 * stride : stride) {
                const int at = i < 4 ? i : i + 4;
                if (type != DSM__K_F32 && !l) __builtin_prefetch(q + 64);
                DSM__ROW(c) }
        if (p < n_rows) { /* what is left of the last 16 rows */
            Reals d[8][DSM__COLUMNS];
            UNROLL for (int i = 0; i < 8; i++) UNROLL for (int v = 0; v < DSM__COLUMNS; v++) d[i][v] = c[i][v];
            for (int i = 0; i < 8; i++, q += i == 4 ? 5 * stride : stride) { const int at = i < 4 ? i : i + 4; if (p + at < n_rows) DSM__ROW(d) }
            UNROLL for (int i = 0; i < 8; i++) UNROLL for (int v = 0; v < DSM__COLUMNS; v++) c[i][v] = d[i][v]; }
#undef DSM__ROW
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
    if (type == DSM__K_F32) K(downs)(w, stride, n_rows, x, ldx, n_tokens, y, ldy, n, DSM__K_F32);
    else K(downs)(w, stride, n_rows, x, ldx, n_tokens, y, ldy, n, DSM__K_F16); }

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
    int i = 0;
    if (n == 64) { UNROLL for (int v = 0; v < 64; v += ROWS) K(fst)(to + v, K(wide)(from + v * DSM__SIZE, type)); return; }
    for (; i + ROWS <= n; i += ROWS) K(fst)(to + i, K(wide)(from + i * DSM__SIZE, type));
    for (; i < n; i++) to[i] = K(single)(from + i * DSM__SIZE, type); }
OUT void K(to_float)(int type, const uint8_t *from, int n, float *to) {
    if (type == DSM__K_F32) memcpy(to, from, (size_t)n * 4); else if (type == DSM__K_F16) K(floats)(from, n, to, DSM__K_F16); else K(floats)(from, n, to, DSM__K_BF16); }

/* ------------------------------------------------------------ attention ------------------------------------------------------------ */
/* core: out[row][unit][16] (+)= sum over i < n of w[row][i] * a[i][unit][16], one chain each. step: bytes from a[i] to a[i+1]; unit: to the next 16 lanes.
   ahead: what is prefetched meanwhile, `skip` bytes further at each i, as much as is read at it; or NULL. */
FN void K(core)(const uint8_t *a, size_t step_, size_t unit, int n, const float *w, long ldw, float *out, long ldo, int add,
                const uint8_t *ahead, size_t skip, const int type, const int rows, const int units) {
    Reals c[DSM__BITS ? 24 : 16], x[DSM__BITS ? 4 : 16]; int i = 0; const int nv = units * DSM__NV;
#define DSM__FETCH if (rows < 24 && ahead) { \
        __builtin_prefetch(ahead, 0, 2); if (units * DSM__SIZE > 4) __builtin_prefetch(ahead + 64, 0, 2); \
        if (units * DSM__SIZE > 8) { __builtin_prefetch(ahead + 128, 0, 2); __builtin_prefetch(ahead + 192, 0, 2); } \
        ahead += skip; }
#define DSM__X(v) (a + (size_t)((v) / DSM__NV) * unit + (v) % DSM__NV * ROWS * DSM__SIZE)
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < nv; v++) c[r * nv + v] = add ? K(fld)(out + r * ldo + v * ROWS) : K(fset)(0);
#if DSM__BITS == 128 /* four weights in one register, taken by lane */
    for (; i + 4 <= n; i += 4) {
        Reals b[4];
        UNROLL for (int r = 0; r < rows; r++) b[r] = K(fld)(w + r * ldw + i);
        UNROLL for (int j = 0; j < 4; j++) {
            DSM__FETCH;
            UNROLL for (int v = 0; v < nv; v++) x[v] = K(wide)(DSM__X(v), type);
            a += step_;
            UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < nv; v++) c[r * nv + v] = K(fma_lane)(x[v], b[r], j, c[r * nv + v]); } }
#endif
    for (; i < n; i++, a += step_) {
        DSM__FETCH;
        UNROLL for (int v = 0; v < nv; v++) x[v] = K(wide)(DSM__X(v), type);
        UNROLL for (int r = 0; r < rows; r++) {
            Reals b = K(fset)(w[r * ldw + i]); if (nv > 1) DSM__PIN(b);
            UNROLL for (int v = 0; v < nv; v++) c[r * nv + v] = K(fma)(x[v], b, c[r * nv + v]); } }
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < nv; v++) K(fst)(out + r * ldo + v * ROWS, c[r * nv + v]); }
#undef DSM__X
#undef DSM__FETCH
/* its variants: rows 1, 2, 3, 4, 6 by one unit or DSM__UNITS, and 24 by one */
#define DSM__CASE(r, u) case 8 * (r) + (u): K(core)(a, step_, unit, n, w, ldw, out, ldo, add, ahead, skip, type, r, u); break;
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
#define DSM__CORE_ARGUMENTS (int shape, const uint8_t *a, size_t step_, size_t unit, int n, const float *w, long ldw, float *out, long ldo, int add, \
                              const uint8_t *ahead, size_t skip)
OUT void K(core_f32) DSM__CORE_ARGUMENTS {
    const int type = DSM__K_F32;
    switch (shape) {
    DSM__CORE_CASES
#if DSM__UNITS > 1 /* (turned rows: ldw is 64) */
    case 8 * 24 + 1: K(core)(a, step_, unit, n, w, 64, out, ldo, add, ahead, skip, type, 24, 1); break;
#endif
    default: break; } }
OUT void K(core_f16) DSM__CORE_ARGUMENTS { const int type = DSM__K_F16; switch (shape) { DSM__CORE_CASES default: break; } }
/* all of a product: n_rows x n_units, in the largest variants that fit */
FN int K(fit)(int left, int units, int turn) {
    if (turn && units == 1 && DSM__GROUP == 6 && DSM__UNITS > 1 && left >= 24) return 24;
    if (DSM__GROUP >= 6 && left >= 6 && left != 7 && left != 8) return 6;
    return left >= 4 && DSM__GROUP >= 4 ? 4 : left == 3 && DSM__GROUP >= 3 ? 3 : left >= 2 && DSM__GROUP >= 2 ? 2 : 1; }
FN void K(product)(int half, const uint8_t *a, size_t step_, size_t unit, int n, const float *w, long ldw, int n_rows, float *out, long ldo, int n_units, int add, int turn,
                   const uint8_t *ahead, size_t skip) {
    for (int u = 0, m; u < n_units; u += m) {
        m = n_units - u >= DSM__UNITS ? DSM__UNITS : 1;
        for (int r = 0, k; r < n_rows; r += k) {
            k = K(fit)(n_rows - r, m, turn);
            (half ? K(core_f16) : K(core_f32))(8 * k + m, a + (size_t)u * unit, step_, unit, n, w + r * ldw, ldw, out + r * ldo + 16 * u, ldo, add,
                                                  r || !ahead ? NULL : ahead + (size_t)u * unit, skip); } } }
/* int8 of q8_0 to floats; rows of them, or a block of keys whose four bytes lie together */
FN void K(row8)(const uint8_t *q, const uint8_t *scales, int c0, int n, float *to) { /* columns c0 .. of one row; n a multiple of 16, all in one block of 64 */
    float s; memcpy(&s, scales + c0 / 64 * 4, 4);
    if (n == 64) { UNROLL for (int i = 0; i < 64; i += ROWS) K(fst)(to + i, K(fmul)(K(f8)(q + c0 + i), K(fset)(s))); return; }
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
                K(product)(0, (const uint8_t *)a, 64, 0, z, q + c, ldq, n, s + t, lds, 1, c > 0, 0, NULL, 0); } }
        else K(product)(kv == DSM_KV_F16, p, (size_t)step_, block, dims, q, ldq, n, s + t, lds, units, 0, 0, p + (size_t)units * block, (size_t)(step_ * units));
        for (int i = 0; i < n; i++) for (int j = 0; j < m; j += ROWS) K(fst)(s + i * lds + t + j, K(fmul)(K(fld)(s + i * lds + t + j), K(fset)(by))); } }
#if DSM__UNITS > 1
/* 16 lanes, f16 rows of whole 64s: while 64 columns of 24 rows are multiplied, the next ones (from `next`) become floats in `b` */
OUT void K(mla_step)(const float *q, int lanes, const float *w, float *out, int add, const uint8_t *next, size_t stride, float *b) {
    Reals c[DSM__K_TURN];
    UNROLL for (int r = 0; r < 24; r++) c[r] = add ? K(fld)(out + r * 16) : K(fset)(0);
    for (int i = 0; i < 64; i += 2) { /* 24 x 64 floats are 96 vectors: 3 in 2 steps */
        K(fst)(b + 16 * i, K(fh)(next + (size_t)(i / 4) * stride + i % 4 * 32)); K(fst)(b + 16 * i + 16, K(fh)(next + (size_t)(i / 4) * stride + i % 4 * 32 + 32));
        K(fst)(b + 1024 + 8 * i, K(fh)(next + (size_t)(16 + i / 8) * stride + i / 2 % 4 * 32));
        UNROLL for (int j = 0; j < 2; j++, q += lanes) {
            const Reals x = K(fld)(q); UNROLL for (int r = 0; r < 24; r++) c[r] = K(fma)(x, K(fset)(w[64 * r + i + j]), c[r]); } }
    UNROLL for (int r = 0; r < 24; r++) K(fst)(out + r * 16, c[r]); }
/* all whole groups of 24 tokens; returns where the rest begins */
OUT int K(mla_run)(const uint8_t *rows, size_t stride, int both, int t0, int t1, const float *q, int lanes, int n, float by, float *s, long lds) {
    float a[2][DSM__K_TURN * 64], c[DSM__K_TURN * 16]; int now = 0, t = t0;
    if (t1 - t0 >= 24) for (int i = 0; i < 24; i++) K(floats)(rows + (size_t)(t + i) * stride, 64, a[0] + 64 * i, DSM__K_F16);
    for (; t1 - t >= 24; t += 24) {
        const uint8_t *p = rows + (size_t)t * stride;
        for (int e = 0; e < both; e += 64, now ^= 1) { /* (after the last group: its own first columns again) */
            const uint8_t *next = e + 64 < both ? p + (e + 64) * 2 : t1 - t >= 48 ? p + 24 * stride : p;
            for (int i = 0; i < 24; i++) { const uint8_t *z = p + (size_t)(24 + i) * stride + e * 2; __builtin_prefetch(z, 0, 2); __builtin_prefetch(z + 64, 0, 2); }
            K(mla_step)(q + e * (long)lanes, lanes, a[now], c, e > 0, next, stride, a[now ^ 1]); }
        K(turned)(c, 16, 24, n, by, s + t, lds); }
    return t; }
#endif
/* Lanes are queries. 24 tokens at a time: 64 columns of their rows become floats, and those weigh the queries' columns. */
OUT void K(mla_scores)(int kv, const uint8_t *rows, int latent, int rope, int t0, int t1, const float *q, int lanes, int n, float by, float *s, long lds) {
    const size_t stride = dsm__k_latent_row_bytes(kv, latent, rope), at = dsm__k_value_row_bytes(kv, latent); float a[DSM__K_TURN * 64], c[DSM__K_TURN * DSM__K_LANES];
#if DSM__UNITS > 1
    if (kv == DSM_KV_F16 && n <= 16 && latent % 64 == 0 && rope % 64 == 0) t0 = K(mla_run)(rows, stride, latent + rope, t0, t1, q, lanes, n, by, s, lds);
#endif
    for (int t = t0, m; t < t1; t += m) {
        const uint8_t *p = rows + (size_t)t * stride; m = t1 - t < DSM__K_TURN ? t1 - t : DSM__K_TURN;
        for (int l = 0, z; l < n; l += z) {
            z = n - l < DSM__K_LANES ? n - l : DSM__K_LANES;
            for (int part = 0; part < 2; part++) for (int e = 0, y; e < (part ? rope : latent); e += y) {
                y = (part ? rope : latent) - e < 64 ? (part ? rope : latent) - e : 64;
                for (int i = 0; i < m; i++) {
                    const uint8_t *r = p + (size_t)i * stride; const int size = kv == DSM_KV_F32 ? 4 : kv == DSM_KV_F16 || part ? 2 : 1;
                    if (!l) for (int b = 0; b < y * size; b += 64) __builtin_prefetch(r + DSM__K_TURN * stride + (part ? at : 0) + (size_t)(e * size + b), 0, 2);
                    if (kv == DSM_KV_Q8_0 && !part) K(row8)(r, r + dsm__k_16(latent), e, dsm__k_16(y), a + 64 * i);
                    else if (kv == DSM_KV_F32) K(floats)(r + (part ? at : 0) + e * 4, y, a + 64 * i, DSM__K_F32);
                    else K(floats)(r + (part ? at : 0) + e * 2, y, a + 64 * i, DSM__K_F16); }
                K(product)(0, (const uint8_t *)(q + (part ? latent + e : e) * (long)lanes + l), (size_t)lanes * 4, 64, y, a, 64, m, c, DSM__K_LANES,
                           dsm__k_16(z) / 16, part || e, 1, NULL, 0); }
            K(turned)(c, DSM__K_LANES, m, z, by, s + l * lds + t, lds); } } }
/* the rope part of a q8_0 row, which goes on where the rounded part ended: c[token][lane] */
OUT void K(rope_scores)(const uint8_t *rows, size_t stride, int rope, int n_tokens, const float *q, int lanes, int n, float *c) {
    float a[DSM__K_TURN * 64];
    for (int e = 0, y; e < rope; e += y) {
        y = rope - e < 64 ? rope - e : 64;
        for (int i = 0; i < n_tokens; i++) K(floats)(rows + (size_t)i * stride + e * 2, y, a + 64 * i, DSM__K_F16);
        K(product)(0, (const uint8_t *)(q + e * (long)lanes), (size_t)lanes * 4, 64, y, a, 64, n_tokens, c, DSM__K_LANES, dsm__k_16(n) / 16, 1, 1, NULL, 0); } }
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
            K(product)(kv == DSM_KV_F16, from, between, kv == DSM_KV_F16 ? 32 : 64, m, p + t, ldp, n, o + d, ldo, units, t > 0, 0,
                       kv == DSM_KV_Q8_0 ? NULL : from + DSM__K_ROW_BLOCK * stride, stride);
            if (y % 16) for (int i = 0; i < n; i++) { /* lanes that are not there */
                float *r = o + i * ldo + d + 16 * units; const size_t z = (size_t)(y % 16) * 4;
                memset(rest, 0, sizeof rest); if (t > 0) memcpy(rest, r, z);
                K(product)(kv == DSM_KV_F16, from + units * (kv == DSM_KV_F16 ? 32 : 64), between, 0, m, p + i * ldp + t, ldp, 1, rest, 16, 1, t > 0, 0, NULL, 0);
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
            for (int i = 0; i < m; i++) { each[i] = x[i * ldq].dx; from[i] = x[i * ldq].from128[0] - DSM__MAGIC + x[i * ldq].from128[1]; }
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
#define DSM__STAMP1(M, f) M(f, 1)
#if DSM__BITS == 0
#define DSM__MOST_OWN 1
#define DSM__STAMP4(M, f) M(f, 1)
#else /* four tokens are nearly as fast in a tile */
#define DSM__MOST_OWN 2
#define DSM__STAMP4(M, f) M(f, 1) M(f, 2)
#endif
#define DSM__FORMAT(name, STAMP) \
    DSM__UNPACKED(name) \
    OUT void K(matvec_##name)(const uint8_t *from, size_t stride, int len, const dsm__x64 *x, long ldx, int tokens, float *y, long ldy, \
                              int rows, const uint8_t *next) { \
        const int f = DSM__FMT_##name; DSM__PAD; switch (tokens) { STAMP(DSM__MATVEC, name) default: break; } }
#define DSM__X1(name, ggml, unit, bytes, width, mins, wmax, bias, tile) DSM__FORMAT(name, DSM__STAMP4)
#define DSM__X2(name, ggml, unit, bytes, width, mins, wmax, bias, tile) DSM__FORMAT(name, DSM__STAMP1)
DSM__FMT_LIST(DSM__FMT_NONE, DSM__X1, DSM__X2)
#undef DSM__X1
#undef DSM__X2
#define DSM__TILE(f, n) case n: K(tiles)(k, x, ldx, y, ldy, add, len, pf, from, n, DSM__FMT_##f); break;
#define DSM__X(name, f) \
    OUT void K(tile_##name)(dsm__k_scratch k, const dsm__x64 *x, long ldx, int tokens, float *y, long ldy, int add, int len, dsm__k_fetch *pf, int from) { \
        switch (tokens) { DSM__STAMP(DSM__TILE, f) default: break; } }
DSM__K_TILES(DSM__X)
#if DSM__DOT == 1 /* differs from s8 in the start values only, which are an argument */
#define DSM__TILE_u4 K(tile_s8)
#else
#define DSM__TILE_u4 K(tile_u4)
DSM__X(u4, Q4_0)
#endif
#define DSM__TILE_s8 K(tile_s8)
#define DSM__TILE_u5m K(tile_u5m)
#define DSM__TILE_u6 K(tile_u6)
#define DSM__TILE_u2m K(tile_u2m)
#undef DSM__X
static const dsm__kernels K(kernels) = { DSM__STR(DSM__PASS), ROWS, DSM__PANEL * ROWS, DSM__TOKENS, DSM__NARROWER, {
#define DSM__X(name, ggml, bytes) { NULL, NULL, NULL, 0, 0 },
#define DSM__X1(name, ggml, unit, bytes, width, mins, wmax, bias, tile) { K(matvec_##name), DSM__CAT(dsm__k_unpack_##name, DSM__UNPACKS), DSM__TILE_##tile, DSM__FROM(width, bias), DSM__MOST_OWN },
#define DSM__X2(name, ggml, unit, bytes, width, mins, wmax, bias, tile) { K(matvec_##name), DSM__CAT(dsm__k_unpack_##name, DSM__UNPACKS), DSM__TILE_##tile, DSM__FROM(width, bias), 1 },
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
#undef DSM__STAMP1
#undef DSM__MOST_OWN
#undef DSM__FORMAT
#undef DSM__TILE
#undef DSM__TILE_u4
#undef DSM__TILE_s8
#undef DSM__TILE_u5m
#undef DSM__TILE_u6
#undef DSM__TILE_u2m
#undef DSM__PASS
#undef DSM__ATTR
#undef DSM__BITS
#undef DSM__DOT
#undef DSM__FLOATS
#undef DSM__FLOATS_HERE
#undef DSM__UNPACKS
#undef DSM__UNPACKS_HERE
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
#define DSM__UNPACKS scalar
#define DSM__FLOATS_HERE 1
#define DSM__UNPACKS_HERE 1
#define DSM__NARROWER NULL
#include DSMOE_HEADER_NAME
#if defined(__x86_64__) && !DSMOE_NO_AVX2
#define DSM__PASS avx2
#define DSM__ATTR __attribute__((target("avx2,fma,f16c")))
#define DSM__BITS 256
#define DSM__DOT 0
#define DSM__FLOATS avx2
#define DSM__UNPACKS avx2
#define DSM__FLOATS_HERE 1
#define DSM__UNPACKS_HERE 1
#define DSM__NARROWER &dsm__k_kernels_scalar
#include DSMOE_HEADER_NAME
#define DSM__PASS avxvnni       /* 256 bits, 16 registers: client processors since 2021 */
#define DSM__ATTR __attribute__((target("avx2,fma,f16c,avxvnni")))
#define DSM__BITS 256
#define DSM__DOT 2
#define DSM__FLOATS avx2
#define DSM__UNPACKS avx2
#define DSM__FLOATS_HERE 0
#define DSM__UNPACKS_HERE 0
#define DSM__NARROWER &dsm__k_kernels_scalar
#include DSMOE_HEADER_NAME
#if !DSMOE_NO_AVX512
#if !defined(__clang__) && defined(__cplusplus) /* g++ 12 takes the undefined lanes of its own intrinsics for a mistake */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#define DSM__PASS avx512
#define DSM__ATTR __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")))
#define DSM__BITS 512
#define DSM__DOT 1
#define DSM__FLOATS avx512
#define DSM__UNPACKS avx512
#define DSM__FLOATS_HERE 1
#define DSM__UNPACKS_HERE 1
#define DSM__NARROWER &dsm__k_kernels_avx2
#include DSMOE_HEADER_NAME
#if !defined(__clang__) && defined(__cplusplus)
#pragma GCC diagnostic pop
#endif
#endif
#endif
#if defined(__aarch64__) && !DSMOE_NO_NEON
#define DSM__PASS neon
#define DSM__ATTR
#define DSM__BITS 128
#define DSM__DOT 0
#define DSM__FLOATS neon
#define DSM__UNPACKS neon
#define DSM__FLOATS_HERE 1
#define DSM__UNPACKS_HERE 1
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
#define DSM__UNPACKS dotprod
#define DSM__FLOATS_HERE 0
#define DSM__UNPACKS_HERE 1
#define DSM__NARROWER &dsm__k_kernels_neon
#include DSMOE_HEADER_NAME
#endif
#endif
#ifndef DSM__K_DOTPROD
#define DSM__K_DOTPROD 0
#endif

/* ---- the levels, worst first, and the feature each one needs ---- */
#if defined(__x86_64__) && !DSMOE_NO_AVX2 && !DSMOE_NO_AVX512
#define DSM__K_LEVELS(X) X(scalar, 0) X(avx2, DSM__CPU_AVX2) X(avxvnni, DSM__CPU_AVXVNNI) X(avx512, DSM__CPU_AVX512)
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

/* ---- the room's door to products: y[token][row] = w[row] . x[token] for rows r0 .. r1-1 and n_tokens. A few tokens are a mat-vec, more are unpacked
        and multiplied in tiles; too few rows for a tile are mat-vecs, for a mat-vec the next narrower level does them. next: what this thread reads
        after r1 (any address; it is only prefetched). ---- */
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
    while (k->narrower && rows < k->rows) k = k->narrower;
    if (n_tokens <= k->f[fmt].tokens || rows < k->tile_rows)
        for (int t = 0, m; t < n_tokens; t += m) {
            m = dsm__k_tokens(n_tokens - t, k->f[fmt].tokens);
            k->f[fmt].matvec(w + (size_t)r0 * stride, stride, len, x + t * ldx, ldx, m, y + t * ldy + r0, ldy, rows, t + m < n_tokens ? w + (size_t)r0 * stride : next); }
    else if (n_tokens <= 4) /* panel by panel, so that the rows are read in their order */
        for (int r = r0, z; r < r1; r = z) {
            z = r1 - r < 2 * k->tile_rows ? r1 : r + k->tile_rows;
            dsm__k_panels(k, fmt, w, stride, len, x, ldx, n_tokens, y, ldy, r, z, DSM__K_CUT, scratch, z < r1 ? w + (size_t)z * stride : next); }
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
    if (type == DSM__K_F32 || (type == DSM__K_F16 && n_tokens < 4)) { k->mul_down(type, w + (size_t)c0 * size, stride, n_rows, x, ldx, n_tokens, y + c0, ldy, c1 - c0); return; }
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
        q.dx[b * lanes + i] = x.dx; q.from[b * lanes + i] = x.from128[0] - DSM__MAGIC + x.from128[1];
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
#if defined(__x86_64__)
    unsigned old, set; __asm__ volatile("stmxcsr %0" : "=m"(old)); set = 0x1f80u | (old & 0x3fu); __asm__ volatile("ldmxcsr %0" : : "m"(set) : "memory");
    return old;
#elif defined(__aarch64__)
    uint64_t old, set = 0; __asm__ volatile("mrs %0, fpcr" : "=r"(old)); if (old) __asm__ volatile("msr fpcr, %0" : : "r"(set) : "memory");
    return old;
#else
    return 0;
#endif
}
DSM__FN void dsm__k_float_leave(uint64_t old) {
#if defined(__x86_64__)
    unsigned set = (unsigned)old; __asm__ volatile("ldmxcsr %0" : : "m"(set) : "memory");
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(old) : "memory");
#else
    (void)old;
#endif
}

// >>pool
/* Workers that sleep when idle, and parallel-for over them or over the host's own jobs. A job is n slices; which thread runs a slice never matters to the
   results. One job at a time: sessions on several threads take turns between their stages. Knows nothing of what it runs. Test: tests/pool.c */
enum { DSM__POOL_MOST = 256, DSM__POOL_SPIN = 2000 }; /* looks before a thread goes to sleep, about 20 to 50 us */
typedef struct dsm__pool {
    dsm_jobs jobs;              /* the host's, where parallel_for is set */
    int workers;                /* the caller included */
    uint64_t stack_bytes;       /* of the threads */
#if !DSMOE_NO_THREADS
    int ready;                  /* the mutexes and conditions exist */
    int n_threads;              /* started */
    dsm__os_mutex turn, lock;   /* turn: held while a job runs */
    dsm__os_cond work, done;
    dsm__os_thread threads[DSM__POOL_MOST];
    void (*fn)(void *arg, int i); void *arg;
    uint32_t claim;             /* n << 16 | next: whoever adds 1 while next < n owns that slice, and fn and arg stand still until it is finished */
    uint32_t finished;
    int sleeping, waiting, stop;
#endif
} dsm__pool;
DSM__FN int dsm__pool_workers(const dsm__pool *pool) { return pool->workers; }
#if !DSMOE_NO_THREADS
DSM__FN void dsm__pool_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}
DSM__FN int dsm__pool_has_work(dsm__pool *pool) {
    uint32_t c = __atomic_load_n(&pool->claim, __ATOMIC_SEQ_CST);
    return (c & 0xffffu) < c >> 16 || __atomic_load_n(&pool->stop, __ATOMIC_SEQ_CST);
}
DSM__FN void dsm__pool_help(dsm__pool *pool) { /* takes slices until none is left */
    for (;;) {
        uint32_t c = __atomic_load_n(&pool->claim, __ATOMIC_SEQ_CST), n = c >> 16, i = c & 0xffffu;
        if (i >= n) return;
        if (!__atomic_compare_exchange_n(&pool->claim, &c, c + 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) continue;
        pool->fn(pool->arg, (int)i);
        if (__atomic_add_fetch(&pool->finished, 1, __ATOMIC_SEQ_CST) == n && __atomic_load_n(&pool->waiting, __ATOMIC_SEQ_CST)) {
            pthread_mutex_lock(&pool->lock); pthread_cond_signal(&pool->done); pthread_mutex_unlock(&pool->lock); }
    }
}
DSM__FN void *dsm__pool_thread(void *arg) {
    dsm__pool *pool = (dsm__pool *)arg;
    (void)dsm__k_float_enter();
    while (!__atomic_load_n(&pool->stop, __ATOMIC_SEQ_CST)) {
        int looks = 0;
        while (looks < DSM__POOL_SPIN && !dsm__pool_has_work(pool)) { dsm__pool_pause(); looks++; }
        if (looks == DSM__POOL_SPIN) {
            pthread_mutex_lock(&pool->lock);
            __atomic_add_fetch(&pool->sleeping, 1, __ATOMIC_SEQ_CST);
            while (!dsm__pool_has_work(pool)) pthread_cond_wait(&pool->work, &pool->lock);
            __atomic_sub_fetch(&pool->sleeping, 1, __ATOMIC_SEQ_CST);
            pthread_mutex_unlock(&pool->lock); }
        dsm__pool_help(pool);
    }
    return NULL;
}
#endif
DSM__FN void dsm__pool_close(dsm__pool *pool) {
#if !DSMOE_NO_THREADS
    if (!pool->ready) return;
    pthread_mutex_lock(&pool->lock);
    __atomic_store_n(&pool->stop, 1, __ATOMIC_SEQ_CST);
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->n_threads; i++) pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->work); pthread_cond_destroy(&pool->done);
    pthread_mutex_destroy(&pool->turn); pthread_mutex_destroy(&pool->lock);
    pool->ready = 0; pool->n_threads = 0;
#else
    (void)pool;
#endif
}
/* threads 0: one for each fast core. start 0: only the numbers, for plans. */
DSM__FN dsm_status dsm__pool_open(dsm__pool *pool, const dsm_jobs *jobs, int threads, int start, dsm_error *error) {
    memset(pool, 0, sizeof *pool);
    pool->jobs = *jobs;
    if (jobs->parallel_for) {
        if (jobs->workers < 1) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("jobs.workers"), dsm__s("must be 1 or more"));
        pool->workers = jobs->workers < DSM__POOL_MOST ? jobs->workers : DSM__POOL_MOST; return DSM_OK; }
    pool->workers = 1;
    if (threads < 0 || threads > DSM__POOL_MOST) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("threads"), dsm__s("must be 0 (one for each fast core) to 256"));
#if DSMOE_NO_THREADS
    (void)start;
#else
    if (!threads) threads = dsm__os_fast_cores();
    if (threads == 1) return DSM_OK;
    if (!start) { pool->workers = threads; pool->stack_bytes = (uint64_t)(threads - 1) * DSM__OS_STACK; return DSM_OK; }
    if (pthread_mutex_init(&pool->turn, NULL)) return dsm__err(error, DSM__ERR_THREAD, dsm__i(0), dsm__s(dsm__os_why(ENOMEM)));
    if (pthread_mutex_init(&pool->lock, NULL)) { pthread_mutex_destroy(&pool->turn); return dsm__err(error, DSM__ERR_THREAD, dsm__i(0), dsm__s(dsm__os_why(ENOMEM))); }
    pthread_cond_init(&pool->work, NULL); pthread_cond_init(&pool->done, NULL); /* cannot fail without attributes where this runs */
    pool->ready = 1;
    for (; pool->workers < threads; pool->workers++) {
        int e = dsm__os_thread_start(&pool->threads[pool->n_threads], dsm__pool_thread, pool);
        if (e) { int which = pool->n_threads + 1; dsm__pool_close(pool); return dsm__err(error, DSM__ERR_THREAD, dsm__i(which), dsm__s(dsm__os_why(e))); }
        pool->n_threads++; pool->stack_bytes += DSM__OS_STACK; }
#endif
    return DSM_OK;
}
typedef struct dsm__pool_call { void (*fn)(void *arg, int i); void *arg; } dsm__pool_call;
DSM__FN void dsm__pool_guest(void *arg, int i) { /* a slice on a thread of the host's: its floating-point mode is the host's business */
    const dsm__pool_call *call = (const dsm__pool_call *)arg; uint64_t mode = dsm__k_float_enter();
    call->fn(call->arg, i);
    dsm__k_float_leave(mode);
}
/* fn(arg, i) once for each 0 <= i < n, n at most 65535; returns when all are done. The caller's thread has entered the float mode. */
DSM__FN void dsm__pool_run(dsm__pool *pool, int n, void (*fn)(void *arg, int i), void *arg) {
    if (pool->workers > 1 && n > 1) {
        if (pool->jobs.parallel_for) {
            dsm__pool_call call; call.fn = fn; call.arg = arg;
            pool->jobs.parallel_for(pool->jobs.user, n, dsm__pool_guest, &call); return; }
#if !DSMOE_NO_THREADS
        pthread_mutex_lock(&pool->turn);
        pool->fn = fn; pool->arg = arg;
        __atomic_store_n(&pool->finished, 0, __ATOMIC_SEQ_CST);
        __atomic_store_n(&pool->claim, (uint32_t)n << 16, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&pool->sleeping, __ATOMIC_SEQ_CST)) { pthread_mutex_lock(&pool->lock); pthread_cond_broadcast(&pool->work); pthread_mutex_unlock(&pool->lock); }
        dsm__pool_help(pool);
        for (int looks = 0; looks < DSM__POOL_SPIN && __atomic_load_n(&pool->finished, __ATOMIC_SEQ_CST) < (uint32_t)n; looks++) dsm__pool_pause();
        if (__atomic_load_n(&pool->finished, __ATOMIC_SEQ_CST) < (uint32_t)n) {
            pthread_mutex_lock(&pool->lock);
            __atomic_store_n(&pool->waiting, 1, __ATOMIC_SEQ_CST);
            while (__atomic_load_n(&pool->finished, __ATOMIC_SEQ_CST) < (uint32_t)n) pthread_cond_wait(&pool->done, &pool->lock);
            __atomic_store_n(&pool->waiting, 0, __ATOMIC_SEQ_CST);
            pthread_mutex_unlock(&pool->lock); }
        pthread_mutex_unlock(&pool->turn);
        return;
#endif
    }
    for (int i = 0; i < n; i++) fn(arg, i);
}

// >>file
/* The GGUF container, from a path, a file descriptor, memory or callbacks; shards; values of keys. Every byte is untrusted: nothing is believed before it is
   checked against what is left of the file. Knows no key but general.alignment and split.*, does no arithmetic on weights. Test: tests/file.c */
/* at: the text of a string, the first element of an array, the number; size: bytes there */
typedef struct dsm__key_ref { dsm__str key; uint32_t type, element; uint64_t count, size; const uint8_t *at; } dsm__key_ref;
typedef struct dsm__tensor_ref {
    dsm__str name; uint32_t ggml; int fmt /* -1: not run */, n_dims, shard;
    uint64_t ne[4], n_rows, bytes /* 0: of a type that nobody knows */, offset /* in its shard's file */; size_t stride;
    const uint8_t *data; /* any alignment; NULL: header_only */
} dsm__tensor_ref;
/* offset: of the file in the descriptor; header: its bytes; data: where tensors begin; window: the header in memory */
typedef struct dsm__file_shard { dsm__str name; uint64_t offset, size, header, data; dsm__os_map map; uint8_t *copy; const uint8_t *window; uint64_t n_tensors;
    uint32_t alignment; int fd; } dsm__file_shard;
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
enum { DSM__GGUF_U8 = 0, DSM__GGUF_I8, DSM__GGUF_U16, DSM__GGUF_I16, DSM__GGUF_U32, DSM__GGUF_I32, DSM__GGUF_F32, DSM__GGUF_BOOL, DSM__GGUF_STRING,
    DSM__GGUF_ARRAY, DSM__GGUF_U64, DSM__GGUF_I64, DSM__GGUF_F64 };
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
/* may be NaN or infinite, as the file has it */
DSM__FN dsm_status dsm__file_f64(const dsm__file *f, const char *key, double fallback, double *out, dsm_error *error) {
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
    if (k && k->type != DSM__GGUF_STRING) return dsm__err(error, DSM__ERR_KEY_TYPE, dsm__s(key), dsm__s(k->type == DSM__GGUF_ARRAY ? "an array" : "a number"),
        dsm__s("a string"));
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
DSM__FN int dsm__file_fail(dsm__file_cursor *c, dsm_status status) { c->status = status; return 0; }
DSM__FN const uint8_t *dsm__file_take(dsm__file_cursor *c, uint64_t n) { /* NULL: `more`, or an error */
    const uint8_t *p = c->window + c->at;
    if (n > c->size - c->at) {
        c->status = dsm__err(c->error, DSM__ERR_FILE_SHORT, dsm__t(c->file), dsm__s(c->kind), dsm__u(c->item), dsm__t(c->thing), dsm__u(n),
            dsm__u(c->size - c->at));
        return NULL; }
    if (n > c->n - c->at) { c->more = 1; return NULL; }
    c->at += n; return p;
}
DSM__FN int dsm__file_take_str(dsm__file_cursor *c, uint64_t limit, dsm__str *out) {
    const uint8_t *p = dsm__file_take(c, 8); uint64_t n;
    if (!p) return 0;
    n = dsm__load64(p);
    if (n <= c->size - c->at && n > limit) return dsm__file_fail(c,
        dsm__err(c->error, DSM__ERR_FILE_LONG, dsm__t(c->file), dsm__s(c->kind), dsm__u(c->item), dsm__t(c->thing), dsm__u(n), dsm__u(limit)));
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
        if (!k->size) return dsm__file_fail(c, dsm__err(c->error, DSM__ERR_FILE_VALUE_TYPE, dsm__t(c->file), dsm__u(c->item), dsm__t(c->thing), dsm__u(k->type)));
        return (k->at = dsm__file_take(c, k->size)) != NULL; }
    p = dsm__file_take(c, 12);
    if (!p) return 0;
    k->element = dsm__load32(p); k->count = dsm__load64(p + 4); width = dsm__file_width(k->element);
    if (k->element == DSM__GGUF_ARRAY) return dsm__file_fail(c, dsm__err(c->error, DSM__ERR_FILE_NESTED, dsm__t(c->file), dsm__u(c->item), dsm__t(c->thing)));
    if (!width && k->element != DSM__GGUF_STRING)
        return dsm__file_fail(c, dsm__err(c->error, DSM__ERR_FILE_VALUE_TYPE, dsm__t(c->file), dsm__u(c->item), dsm__t(c->thing), dsm__u(k->element)));
    if (k->count > 1u << 30 || k->count > (c->size - c->at) / (width ? width : 8))
        return dsm__file_fail(c, dsm__err(c->error, DSM__ERR_FILE_COUNT, dsm__t(c->file), dsm__s("key"), dsm__u(c->item), dsm__t(c->thing), dsm__u(k->count),
        dsm__u(c->size - c->at)));
    if (width) { k->size = k->count * width; return (k->at = dsm__file_take(c, k->size)) != NULL; }
    start = c->at; k->at = c->window + start;
    for (uint64_t i = 0; i < k->count; i++) if (!dsm__file_take_str(c, 1u << 30, &s)) return 0;
    k->size = c->at - start; return 1;
}
DSM__FN int dsm__file_small_key(dsm__file_cursor *c, const dsm__key_ref *k, uint64_t *out) { /* the container's own keys must be integers */
    dsm__file_number v = dsm__file_number_at(k->type, k->at);
    if (!dsm__file_width(k->type) || k->type == DSM__GGUF_F32 || k->type == DSM__GGUF_F64 || k->type == DSM__GGUF_BOOL || !v.whole)
        return dsm__file_fail(c, dsm__err(c->error, DSM__ERR_FILE_INTEGER, dsm__t(c->file), dsm__t(k->key)));
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
        if (!h->alignment || h->alignment > 1u << 24 || (h->alignment & (h->alignment - 1)))
            return dsm__file_fail(c, dsm__err(c->error, DSM__ERR_FILE_ALIGNMENT, dsm__t(c->file), dsm__u(h->alignment)));
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
    if (n_dims < 1 || n_dims > 4) return dsm__file_fail(c, dsm__err(c->error, DSM__ERR_FILE_DIMS, dsm__t(c->file), dsm__t(t->name), dsm__u(n_dims)));
    t->n_dims = (int)n_dims;
    if (!(p = dsm__file_take(c, 8 * n_dims + 12))) return 0;
    for (uint32_t i = 0; i < 4; i++) {
        t->ne[i] = i < n_dims ? dsm__load64(p + 8 * i) : 1;
        if (!t->ne[i]) return dsm__file_fail(c, dsm__err(c->error, DSM__ERR_FILE_ZERO_DIM, dsm__t(c->file), dsm__t(t->name), dsm__u(i)));
        if (!dsm__mul64(count, t->ne[i], &count) || count > (uint64_t)INT64_MAX)
            return dsm__file_fail(c, dsm__err(c->error, DSM__ERR_FILE_HUGE, dsm__t(c->file), dsm__t(t->name)));
    }
    p += 8 * n_dims;
    t->ggml = dsm__load32(p); t->offset = dsm__load64(p + 4); t->fmt = dsm__fmt_of_ggml(t->ggml); t->n_rows = count / t->ne[0];
    if (t->fmt < 0 && !any_type) {
        const char *name = dsm__fmt_ggml_name(t->ggml);
        return dsm__file_fail(c, dsm__err(c->error, DSM__ERR_TENSOR_TYPE, dsm__t(c->file), dsm__t(t->name), dsm__u(t->ggml),
            dsm__s(*name == '?' ? "unknown" : name))); }
    if (!dsm__fmt_ggml_block(t->ggml, &unit, &bytes)) return 1; /* nobody knows its size */
    if (t->ne[0] % (uint64_t)unit) return dsm__file_fail(c,
        dsm__err(c->error, DSM__ERR_FILE_BLOCKS, dsm__t(c->file), dsm__t(t->name), dsm__s(dsm__fmt_ggml_name(t->ggml)), dsm__u(t->ne[0]), dsm__i(unit)));
    if (!dsm__mul64(count / (uint64_t)unit, (uint64_t)bytes, &t->bytes) || t->bytes > (uint64_t)INT64_MAX
        || !dsm__to_size(t->ne[0] / (uint64_t)unit * (uint64_t)bytes, &t->stride))
        return dsm__file_fail(c, dsm__err(c->error, DSM__ERR_FILE_HUGE, dsm__t(c->file), dsm__t(t->name)));
    return 1;
}
DSM__FN int dsm__file_take_magic(dsm__file_cursor *c, dsm__file_head *h) {
    const uint8_t *p; uint32_t version; uint64_t head = c->n < 24 ? c->n : 24; dsm__str first = dsm__str_n((const char *)c->window, (size_t)head);
    const char *guess = dsm__str_has(first, "version https://git-lfs") ? "it is a pointer of Git LFS, not the model: fetch it with `git lfs pull`"
                      : head && (*c->window == '<' || *c->window == '{') ? "it looks like a web page or an error message, not like a model: download it again"
                      : head >= 4 && !memcmp(c->window, "PK\3\4", 4) ? "it is a zip archive, perhaps of PyTorch: convert it" : "it does not begin with GGUF";
    if (head < 4 || memcmp(c->window, "GGUF", 4)) return dsm__file_fail(c, dsm__err(c->error, DSM__ERR_FILE_MAGIC, dsm__t(c->file), dsm__s(guess)));
    if (!(p = dsm__file_take(c, 24))) return 0;
    version = dsm__load32(p + 4); h->n_tensors = dsm__load64(p + 8); h->n_keys = dsm__load64(p + 16);
    if (version && !(version & 0xffffu)) return dsm__file_fail(c, dsm__err(c->error, DSM__ERR_FILE_BIG_ENDIAN, dsm__t(c->file)));
    if (version != 2 && version != 3) return dsm__file_fail(c, dsm__err(c->error, DSM__ERR_FILE_VERSION, dsm__t(c->file), dsm__u(version)));
    c->thing = dsm__str_of("tensor_count");
    if (h->n_tensors > (c->size - 24) / 24) return dsm__file_fail(c,
        dsm__err(c->error, DSM__ERR_FILE_COUNT, dsm__t(c->file), dsm__s("header"), dsm__u(0), dsm__t(c->thing), dsm__u(h->n_tensors), dsm__u(c->size - 24)));
    if (h->n_tensors > DSM__FILE_TENSORS) return dsm__file_fail(c,
        dsm__err(c->error, DSM__ERR_FILE_LIMIT, dsm__t(c->file), dsm__u(h->n_tensors), dsm__s("tensors"), dsm__i(DSM__FILE_TENSORS)));
    c->thing = dsm__str_of("metadata_kv_count");
    if (h->n_keys > (c->size - 24) / 13) return dsm__file_fail(c,
        dsm__err(c->error, DSM__ERR_FILE_COUNT, dsm__t(c->file), dsm__s("header"), dsm__u(0), dsm__t(c->thing), dsm__u(h->n_keys), dsm__u(c->size - 24)));
    if (h->n_keys > DSM__FILE_KEYS) return dsm__file_fail(c,
        dsm__err(c->error, DSM__ERR_FILE_LIMIT, dsm__t(c->file), dsm__u(h->n_keys), dsm__s("keys"), dsm__i(DSM__FILE_KEYS)));
    return 1;
}
/* Goes through a whole header. keys, tensors NULL: only checks and counts; else there is room for as many as *h says. 0: c->more, or c->status. */
DSM__FN int dsm__file_walk(dsm__file_cursor *c, dsm__file_head *h, dsm__key_ref *keys, dsm__tensor_ref *tensors, int shard, int any_type) {
    dsm__key_ref key; dsm__tensor_ref tensor; uint64_t n_keys = h->n_keys, n_tensors = h->n_tensors;
    memset(h, 0, sizeof *h); h->alignment = 32; c->at = 0; c->more = 0; c->status = DSM_OK; c->kind = "header"; c->item = 0;
    c->thing = dsm__str_of("magic and counts");
    if (!dsm__file_take_magic(c, h)) return 0;
    if ((keys && h->n_keys != n_keys) || (tensors && h->n_tensors != n_tensors))
        return dsm__file_fail(c, dsm__err(c->error, DSM__ERR_FILE_CHANGED, dsm__t(c->file)));
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
DSM__FN int dsm__file_cancelled(const dsm_model_desc *d, uint64_t done, uint64_t total, const char *what) {
    return d->progress.progress && d->progress.progress(d->progress.user, done, total, what); }
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
        size_t n = 0; uint8_t *p = dsm__to_size(cap, &n) ? (uint8_t *)dsm__mem_alloc_raw(&f->allocator, n) : NULL;
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
        cap = cap > s->size / 4 ? s->size : cap * 4;
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
        if (s->offset > size || (d->use_fd && d->size > size - s->offset))
            return dsm__err(error, DSM__ERR_FILE_RANGE, dsm__u(d->size), dsm__u(d->offset), dsm__u(size));
        s->size = d->use_fd && d->size ? d->size : size - s->offset;
        if (s->size && (f->header_only || !d->copy)) {
            e = !dsm__to_size(s->size, &n) || n > SIZE_MAX - (1u << 24) ? ENOMEM : dsm__os_map_file(s->fd, s->offset, n, &s->map);
            in_place = !e;
            if (e && !f->header_only) /* which can still be read */
                return e == ENOMEM ? dsm__err(error, DSM__ERR_TOO_LARGE, dsm__t(dsm__file_name(f, shard)))
                                   : dsm__err(error, DSM__ERR_MAP, dsm__t(dsm__file_name(f, shard)), dsm__s(dsm__os_why(e))); }
    }
    c.file = dsm__file_name(f, shard); c.size = s->size;
    if (!s->size) return dsm__err(error, DSM__ERR_FILE_MAGIC, dsm__t(c.file), dsm__s("it is empty"));
    if (in_place) {
        c.window = s->window = d->data ? (const uint8_t *)d->data : s->map.at; c.n = s->size;
        if (!dsm__file_walk(&c, h, NULL, NULL, shard, f->header_only)) return c.status;
        s->header = h->end;
        if (f->header_only && s->map.base) dsm__os_map_shrink(&s->map, (size_t)h->end);
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
        if (t->offset % s->alignment) return dsm__err(error, DSM__ERR_FILE_UNALIGNED, dsm__t(dsm__file_name(f, t->shard)), dsm__t(t->name), dsm__u(t->offset),
            dsm__u(s->alignment));
        if (!dsm__add64(s->data, t->offset, &t->offset) || !dsm__add64(t->offset, t->bytes, &end) || end > s->size)
            return dsm__err(error, DSM__ERR_FILE_PAST_END, dsm__t(dsm__file_name(f, t->shard)), dsm__t(t->name), dsm__u(t->bytes), dsm__u(s->size));
        if (i && t[-1].shard == t->shard && t[-1].offset + t[-1].bytes > t->offset) sorted = 0;
        f->weight_bytes += t->bytes; /* each is at most its file, and there are few enough */
    }
    if (!sorted) {
        dsm__file_sort(f, DSM__FILE_BY_OFFSET, f->tensor_order, f->n_tensors);
        for (size_t i = 1; i < f->n_tensors; i++) {
            const dsm__tensor_ref *s = f->tensors + f->tensor_order[i - 1], *t = f->tensors + f->tensor_order[i];
            if (s->shard == t->shard && s->offset + s->bytes > t->offset)
                return dsm__err(error, DSM__ERR_FILE_OVERLAP, dsm__t(dsm__file_name(f, t->shard)), dsm__t(s->name), dsm__t(t->name)); }
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
    if (!dsm__to_size(total, &n)) return dsm__err(error, DSM__ERR_TOO_LARGE, dsm__t(dsm__file_name(f, 0)));
    if (n && !(f->copied = (uint8_t *)dsm__mem_alloc_raw(&f->allocator, n))) return dsm__err(error, DSM__ERR_NO_MEMORY, dsm__u(total), dsm__s("the weights"));
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
    if (!dsm__file_split_name(dsm__str_of(d->path), &no, &count))
        return dsm__err(error, DSM__ERR_SPLIT_NAME, dsm__t(dsm__file_name(f, 0)), dsm__u(first->split_no + 1), dsm__u(first->split_count));
    f->split = 1; /* from here on a shard has a name */
    if (first->split_no) return dsm__err(error, DSM__ERR_SPLIT_FIRST, dsm__u(first->split_no + 1), dsm__u(first->split_count), dsm__t(dsm__file_name(f, 0)));
    if (no != 1 || count != first->split_count) return dsm__err(error, DSM__ERR_SPLIT_NAME, dsm__t(dsm__file_name(f, 0)), dsm__u(1), dsm__u(first->split_count));
    n = (size_t)count * sizeof *f->shards;
    if (!(f->shards = (dsm__file_shard *)dsm__mem_alloc(&f->allocator, n))) {
        f->shards = old;
        return dsm__err(error, DSM__ERR_NO_MEMORY, dsm__u(n), dsm__s("the list of shards")); }
    f->shards[0] = *old; dsm__mem_free(&f->allocator, old, f->shards_size);
    f->bytes += n - f->shards_size; f->shards_size = n; f->n_shards = (int)count;
    for (int i = 1; i < f->n_shards; i++) {
        if (dsm__file_cancelled(d, (uint64_t)i, count, "opening the shards")) return dsm__err(error, DSM__ERR_CANCELLED, dsm__s("opening the model"));
        f->n_open = i + 1;
        if (0 != (status = dsm__file_open_shard(f, i, d, &h, error))) return status;
        if (h.split_no != (uint64_t)i || h.split_count != count)
            return dsm__err(error, DSM__ERR_SPLIT_WRONG, dsm__t(dsm__file_name(f, i)), dsm__u(h.split_no + 1), dsm__u(h.split_count), dsm__i(i + 1),
                dsm__u(count));
        total += h.n_tensors;
    }
    if (total > DSM__FILE_TENSORS) return dsm__err(error, DSM__ERR_FILE_LIMIT, dsm__t(dsm__file_name(f, 0)), dsm__u(total), dsm__s("tensors"),
        dsm__i(DSM__FILE_TENSORS));
    if (first->has_split_tensors && first->split_tensors != total)
        return dsm__err(error, DSM__ERR_SPLIT_TENSORS, dsm__t(dsm__file_name(f, 0)), dsm__u(first->split_tensors), dsm__u(count), dsm__u(total));
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
        if (!(f->block = m.base = (uint8_t *)dsm__mem_alloc(&f->allocator, f->block_size)))
            return dsm__err(error, DSM__ERR_NO_MEMORY, dsm__u(m.used), dsm__s("the lists of keys and tensors"));
    }
    f->bytes += f->block_size;
    for (int i = 0; i < f->n_shards; i++) {
        dsm__file_shard *s = f->shards + i; dsm__file_cursor c;
        memset(&c, 0, sizeof c); h = first; h.n_tensors = s->n_tensors;
        c.error = error; c.window = s->window; c.n = c.size = s->copy || f->header_only ? s->header : s->size; c.file = dsm__file_name(f, i);
        if (!dsm__file_walk(&c, &h, i ? NULL : f->keys, f->tensors + total, i, f->header_only))
            return c.status ? c.status : dsm__err(error, DSM__ERR_FILE_CHANGED, dsm__t(c.file));
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
    if (n_sources != 1) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("dsm_model_open"),
        dsm__s(n_sources ? "more than one source: set one of path, data, use_fd, reader" : "no source: set one of path, data, use_fd, reader"));
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
/* Text to ids and back: byte-level BPE (gpt2) and SentencePiece-style scores (llama), the pre-tokenisers as passes over pieces instead of regular expressions,
   special tokens, conversations. Everything about a vocabulary is worked out once, at open, into one block. Every loop is linear in the text, but for
   the merges of one piece, which are n log n. Invalid UTF-8 is a class of its own, byte by byte, and its bytes survive. No NFC, no clean-up of spaces.
   A vocabulary that lacks a token for a byte (deepseek-llm and -coder lack those that UTF-8 never has) gives the letter of that number, as the
   reference does. Test: tests/tok.c */
#define DSM__TOK_BAR "\xEF\xBD\x9C" /* U+FF5C, looks like | */
#define DSM__TOK_LOW "\xE2\x96\x81" /* U+2581, looks like _ */
#define DSM__TOK_NO_RANK 0xffffffffu

/* Classes of characters. The first eight are bits of the table, the others are ranges of the deepseek pre-tokenisers. */
enum {
    DSM__TOK_LETTER = 1, DSM__TOK_MARK = 2, DSM__TOK_NUMBER = 4, DSM__TOK_PUNCT = 8, DSM__TOK_SYMBOL = 16, DSM__TOK_SPACE = 32, DSM__TOK_CASED = 64, DSM__TOK_NEWLINE = 128,
    DSM__TOK_SIGNS = 256 /* ASCII and wide punctuation, and what stands between */, DSM__TOK_EAST = 512 /* 0800 to 9FA5 and Hangul */,
    DSM__TOK_KANA = 1024 /* CJK, Hiragana, Katakana */, DSM__TOK_ODD = 2048 /* $ + < = > ^ ~ | */
};
enum { DSM__TOK_BAD = 0x110000, DSM__TOK_NO_CHAR = 0x110001 }; /* a byte that is no UTF-8; the end of a piece */
/* unicode: written by tools/unicode.py */
static const char *const dsm__tok_unicode[] = {
    "eCm4(9(R(@r,18-r<9()%r<)()!L!m<()I),()!)@1%(1'$('8%s9%sB%v!$/%<=v!$<%n=s4<s.n0JU)$)p3w!#7<)%*,%8%!B-(%2%!%l6%sw%{!#S&Vt!#o%lI,(MrL*12&rP&(&0&0&!",
    "^l=<A*s381(1.r-!(4pNq7r,<.$z!#*$&S)&M.1&</n,9,(l0,&$pAl=,p}n-!q0n,pDf1(4!.),p8<&f&4&C0l1$p;20!$l-Es:$Kh^pMl:&nDpY4&n4&Up,0/r,$p22$[,*,l8$S$!4:.$",
    "&S.*.4!`!<*$6*/n,1/R,(&!.2$K<*,l8$S$*$*$*.!&C>*.26!U:$!Xp,,6(!p,2$d$2$l8$S$*$C.$&[&2&2,!n1.*/r,)!U&K&2$[,*,l8$S$*$C.$&S.*.2W2<*$6*/s,$'Kp,$!$K42",
    "$:4*$!$*4*424l.>C62&:,!O!q0s/[GE[$2$l9$l2.$&S&2&:W*$2,!,.*/l,Y'Z$&8$[$2$l9$l,$C.$&S&2&:W*M*$.*/l,$.!p.<d$2$pL,&S&2&<)!<6'U6*/s5$K&2$l44l:$d$!,S6",
    "!>K&!&[Pl,.0!n.pS$.SB$Wb'r,*nH*$!$C$l:$!$p,$.f!,C$!&S'l,,:nC)8s1()61Ps6&)&)&(>,[$lG>r6&,Gl-&lG)`)K)0JA*nHpNn6'r,MO<>4&4.U6<p/n.&'p,B-lI$!E!,rN$",
    "t!%`$:,S$!$:,lL$:,lD$:,S$!$:,l1$l]$:,lg.8il64s2l,Nlz-K0${!(n($m3$r<*4ro74[Up4:fp58*fp4*n.l/$2&*n.pWrC4(9$&!/l,Pl,Qp-2&'l,Ml}UG,pE$!Eljn,lB&l.>l.",
    "B!8/n,lA,Cn-lO<l<Pl-9nEp9C0,pXl,&l@.'l,Pl,QU(K.lBpTEpRn3[7r,Zp,kj*&4pAn//n,pOl0b<pGl68Hl,47n,rG,dVlN-8[`8&n7>$O$.4!FnOocn/%nEpHodt!%'-K-lI-K-[%!",
    "%!%!%lB-lX%Z%)52%Z5:-K)5s/2-2%Z*#l-Im:*D(s6(s/(m.!q2$!/R8,'s,8*$l/9lDp1lDs1-)=)-s,%)5JN)%)%)%B%M=)-BFJ=)'oV/J*Bz!&.Br@1t!$js;l-q7s`qrs8z!(jq0sA",
    "rT1rBs,z!&Js8rcBrC1t!&,1lC)w!#0v!#D-{!#.N>5*I@(,lI$!E!,l[U(!p0$l9fS$S$S$S$S$S$S$S&rCnR(sC0l.sEl<)l}s.t!$Cs<m2(9$/(s,0s.'hQ$J/40)*$lz.1,8$r~$:ElN",
    "$t!#%)/Bn,sClGs-$s2lB's,qAc's1qCs,qJs1v!%R{!lKndt$aO9lZfrQ,z!${4q2n,*o6nQ&A&r,$%n>.,qjp,0Kcn9k-nr%n9)-<l`E*$!$Cn:p2$6$>$p9J>!7R:MrW:`,pUl4b/l,O",
    "n4Q4($.'n,p>b,p9l/r-$l@6<pRr0l/$'l,A,G$q,n,C$pLl0f6$`*/l,0<s94&4pU$&4.,G,&$!n:8,p-I,6*n,K,K,KfS$S$sN$s0*=ntpFb&*/l,Mt#Bjn.l9<lTv##tt!&$,t!#1oIS",
    "o.CE&$s,$l/$C$!$*$*${!#3l3n2z!%~1n2ld,lYZ!nCs.>r2l,Or2lF(s0()2()(*<C$t!#OA9(R(@r,18-r<9()%r<)()(Ul}4K,K,K,29S)Ss/*,l.$l<$l5$*$l1,l0nEt!#CI2@lP9i",
    "s]q312)l/9!sRpP!v!#Jl@4lTp1'l=<qC:fq6$a!EpICElA($lG<b'CoMntlr/l,NlG=lG<lK^lWr-$l-$l1$S$*$l-$l1$S$*ngt!%Ifl8n,[n:K$lM$dniK,!$lO$*4!,l9('^s9/UlBad",
    "nSl5$*HEq8K8$l<I!ndl[@,/l2/nQ&2&*G<:$2$l@.2>'dYdUq@0$q@2nCc$p>*@ISflY8Ul8/^l5H^l4Y:q.SntlmoZlVo/lVXMpG:al,y!%7lB$lM&0!,*po4q@n,!^p8q-ACn8p4A:nI",
    "q7Sn6l9h4pXr1S@pA$.,!h<pPr-*(>!n/l;Xl,O4pGl0'r,<&,!^pF(,!h4pSn0A>A&/n,($(2'l6n-l4$p;r.O$.!nbS$!$:$l1$r,!MpRl.Hl,O:$[,*,l8$S$*$C&,&S.*.2,!O!EG*.S",
    "6Cv!#SpXn4AHr,*(&$2nApSn60$!al,v!#opRS.jn9>*nEpSr34!q-l,Ql/n5pNn/(!Pl,nYl=.l1@r.9$Sv!$%pOr1!w!#+qdl5n.[,!,[$*$p:K&*.<&$&02il,nj[,pJS.U($&!n=&n,",
    "pKU&A`!^&n-pQr24(Cn/lmYl,v!$dd$pH[&^(Cq,l@8,lA.l8&l0nmS$*$pIK6!&*&U&!al,MK$*$pCC&*&E!Xl,v!%Hp5A*W,&$l/$pES6Iq/l,nz!q1s7l@r/$t!,.y!#-t!#6(Cn-t!$0",
    "v!>|z!#(*n/t!-kp2$Ol1v!O(t!(Hv#%st!(9UlB'l,A,ls'l,MlA.I!n,pSYJ<A)!q,l,'S$l7El5v!)Vqdr9:v!#,lo>$&lZW<l/nd0$&!p-*n0t!gJ^t!/ZnMdv#)3:$S$*$t!%4n1!n@",
    "2,!n0:^t!&Cv!;Dt!#2El/4dUl,1&0!x!VclQ.l9kt!#;s`t!$ds,lJ1p`J6K`c.ZpABlas7pf9!y!#Bl6q.l6s.l{il;v!#Oly$lk$*,!,*,:$l.$!$S$le$:,[$S$l>$:$C$!4S$t!%g,",
    "s;$s;$sB$s;$sB$s;$sB$s;$sB$s;$[/sUx!']sZ>sU`)p0)0Cp1C&l1v!..lBMKx!$BS&l3.S&*&CElbpD!v!#7lP6US/l,<)!v!%RpA!n3pO@l,J!v!'+p>@l,v!*0S$:$*$l1$t!$1/hS",
    "oLphU!@l,A*y!*]s_'9':qpsP'l1v!$.:$l=$*$!,!$l,$:$!$!M!<!$!$!$2$*$!,!$!$!$!$!$*$!,:$S$:$:$!$l,$l3E2$C$l3sW*{!$|lOBt!#+s.l11l1)l1)lHq,s/t!#js[l@s/",
    "lOBdZ*s0K{!#ct!,nBl39l/9t!#>Bt!#&Rl.B!s1l.Bl[cl,RlKclA1*srt!%gs.l01l/9dZlQ)Scl0BdZdZt!#[)lZqHl,v!-@t'0LnCt!P_Mt!$K,t!c@n0t!v-n1t!(pv!=+t!'{v!2U",
    "t!Y;Et!Q(xy}Ct!$^" };
/* end of unicode */

/* kind[id]: the kind in three bits, and these. */
enum { DSM__TOK_KIND = 7, DSM__TOK_GUARDED = 8 /* never comes out of a message */, DSM__TOK_END = 16 /* ends an answer */, DSM__TOK_MERGES = 32 /* comes out of merges */ };
enum { DSM__TOK_MESSAGE = 256 }; /* a flag beside DSM_TOKENIZE_*: the text of a message */
enum { DSM__TOK_NONE = -1, DSM__TOK_PROBES = 1024, DSM__TOK_ADDED_MAX = 512, DSM__TOK_LINE = 4096,
       DSM__TOK_BATCH = 32 /* hash entries asked for together, so that the waits for memory overlap */ };

typedef struct dsm__tok_slot { uint32_t tag, id1; } dsm__tok_slot;          /* of the hash of texts; id1: id + 1, 0: free */
typedef struct dsm__tok_pair { uint32_t left, right, rank1; } dsm__tok_pair; /* of the hash of merges; rank1: rank + 1, 0: free */
typedef struct dsm__tok {
    int n_tokens;                        /* 0: the file has no vocabulary */
    int spm, pre, whole_first, add_bos, add_eos, add_space, reasons /* earlier answers lose their reasoning */;
    dsm_template family;
    int32_t bos, eos, pad, unknown, think, end_think, fim_prefix, fim_suffix, fim_middle; /* or -1 */
    int32_t byte_id[256], byte_instead;  /* the token of a byte, or -1; what stands for a byte without one, or -1 */
    uint32_t *offset;                    /* [n_tokens + 1] into text */
    char *text;                          /* the bytes of every token, ready for output; llama: with spaces */
    uint8_t *kind;                       /* [n_tokens] */
    dsm__tok_slot *slots; uint32_t n_slots;
    dsm__tok_pair *pairs; uint32_t n_pairs;
    uint32_t *merged;                    /* [rank]: the id of a merge */
    uint32_t *score;                     /* llama: [n_tokens], ascending for falling scores */
    uint32_t *added; uint32_t n_added;   /* tokens that are looked for in the text, sorted by their bytes */
    uint8_t first[256];                  /* the first bytes of those: bit 0 in messages, 1 in text, 2 in text with special tokens */
    uint8_t *classes; uint32_t *far_classes; uint32_t n_far; /* [65536]; beyond: transitions, code point * 256 + class */
    size_t longest;                      /* of the tokens that come out of merges */
    uint64_t bytes;                      /* allocated, one block */
    uint8_t *block; dsm_allocator allocator;
} dsm__tok;

/* ---- characters ---- */
DSM__FN size_t dsm__tok_utf8(const uint8_t *s, size_t n, uint32_t *cp) { /* bytes of the first character, n >= 1; 1 and BAD for a byte that is part of none */
    uint32_t c = s[0], v;
    *cp = c;
    if (c < 0x80) return 1;
    if (c >= 0xC2 && c < 0xE0 && n > 1 && (s[1] & 0xC0) == 0x80) { *cp = (c & 31) << 6 | (s[1] & 63u); return 2; }
    if ((c & 0xF0) == 0xE0 && n > 2 && (s[1] & 0xC0) == 0x80 && (s[2] & 0xC0) == 0x80) {
        v = (c & 15) << 12 | (s[1] & 63u) << 6 | (s[2] & 63u);
        if (v >= 0x800 && (v < 0xD800 || v > 0xDFFF)) { *cp = v; return 3; }
    }
    if ((c & 0xF8) == 0xF0 && n > 3 && (s[1] & 0xC0) == 0x80 && (s[2] & 0xC0) == 0x80 && (s[3] & 0xC0) == 0x80) {
        v = (c & 7) << 18 | (s[1] & 63u) << 12 | (s[2] & 63u) << 6 | (s[3] & 63u);
        if (v >= 0x10000 && v < 0x110000) { *cp = v; return 4; }
    }
    *cp = DSM__TOK_BAD; return 1;
}
DSM__FN size_t dsm__tok_unfinished(const uint8_t *s, size_t n) { /* bytes at the end that may become a character with more of them: 0 to 3 */
    for (size_t k = 1; k <= 3 && k <= n; k++) {
        uint32_t c = s[n - k], d = k > 1 ? s[n - k + 1] : 0x80;
        if ((c & 0xC0) == 0x80) continue;
        if (c < 0xC2 || c > 0xF4 || k >= (c < 0xE0 ? 2u : c < 0xF0 ? 3u : 4u)) return 0;
        if (k > 1 && ((c == 0xE0 && d < 0xA0) || (c == 0xED && d > 0x9F) || (c == 0xF0 && d < 0x90) || (c == 0xF4 && d > 0x8F))) return 0;
        return k;
    }
    return 0;
}
/* The table of classes: unpacked at open (see tools/unicode.py). Counts the transitions beyond the table where classes is NULL. */
DSM__FN uint32_t dsm__tok_unpack_classes(uint8_t *classes, uint32_t *far_classes) {
    static const uint8_t bits[8] = { 0, DSM__TOK_SPACE, DSM__TOK_LETTER, DSM__TOK_LETTER | DSM__TOK_CASED, DSM__TOK_MARK, DSM__TOK_NUMBER, DSM__TOK_PUNCT, DSM__TOK_SYMBOL };
    uint32_t at = 0, state = 0, n_far = 0;
    for (size_t i = 0; i < DSM__COUNT(dsm__tok_unicode); i++) for (const char *p = dsm__tok_unicode[i]; *p;) {
        uint32_t digit[4], from = at, more = 0;
        for (uint32_t k = 0; k <= more; k++) {
            uint32_t c = (uint32_t)(unsigned char)*p++;
            digit[k] = c - 33 - (c > 34) - (c > 63) - (c > 92);
            if (!k) more = digit[0] < 72 ? 0 : digit[0] < 80 ? 1 : 3;
        }
        at += more == 0 ? digit[0] / 8 + 1 : more == 1 ? digit[1] : (digit[1] * 91 + digit[2]) * 91 + digit[3];
        for (; classes && from < at && from < 65536; from++) classes[from] = bits[state];
        state = digit[0] & 7;
        if (at >= 65536) { if (far_classes) far_classes[n_far] = at << 8 | bits[state]; n_far++; }
    }
    if (classes) classes[10] |= DSM__TOK_NEWLINE, classes[13] |= DSM__TOK_NEWLINE;
    return n_far;
}
typedef struct dsm__tok_char { uint32_t cp; unsigned set; size_t end; } dsm__tok_char;
DSM__FN dsm__tok_char dsm__tok_at(const dsm__tok *t, const uint8_t *s, size_t i, size_t end) { /* the character at i; nothing beyond end is read */
    dsm__tok_char c;
    if (i >= end) { c.cp = DSM__TOK_NO_CHAR; c.set = 0; c.end = i; return c; }
    c.end = i + dsm__tok_utf8(s + i, end - i, &c.cp);
    if (c.cp < 65536) c.set = t->classes[c.cp];
    else {
        uint32_t low = 0, high = t->n_far; /* the last transition at or before it */
        while (low < high) { uint32_t mid = low + (high - low) / 2; if (t->far_classes[mid] >> 8 <= c.cp) low = mid + 1; else high = mid; }
        c.set = low && c.cp < DSM__TOK_BAD ? t->far_classes[low - 1] & 255u : 0;
    }
    return c;
}
DSM__FN int dsm__tok_in(dsm__tok_char c, unsigned set) {
    uint32_t p = c.cp;
    if (c.set & set & 255u) return 1;
    if (set < 256) return 0;
    if (set & DSM__TOK_EAST) return (p >= 0x800 && p <= 0x9FA5) || (p >= 0xAC00 && p <= 0xD7FF);
    if (set & DSM__TOK_KANA) return (p >= 0x4E00 && p <= 0x9FA5) || (p >= 0x3040 && p <= 0x30FF);
    if (set & DSM__TOK_SIGNS) return (p >= 0x21 && p <= 0x2F) || (p >= 0x3A && p <= 0x7E) || (p >= 0xFF01 && p <= 0xFF0F) || (p >= 0xFF1A && p <= 0xFF5E) ||
                                     (p >= 0x2018 && p <= 0x201F) || (p >= 0x3000 && p <= 0x3002);
    return (set & DSM__TOK_ODD) && p < 128 && p && strchr("$+<=>^~|", (int)p) != NULL;
}

/* ---- pre-tokenisers: passes, each of which cuts the pieces that the one before has left ---- */
typedef enum dsm__tok_pass_kind { DSM__TOK_LAST, DSM__TOK_EACH, DSM__TOK_RUN, DSM__TOK_OPTW /* a space that may be missing, then a run */, DSM__TOK_TRAIL,
    DSM__TOK_UP_TO_3, DSM__TOK_THREE_DIGITS, DSM__TOK_V3, DSM__TOK_QWEN, DSM__TOK_GPT2 } dsm__tok_pass_kind;
typedef struct dsm__tok_pass { int kind; unsigned set; } dsm__tok_pass;
enum { DSM__TOK_PRE_DEFAULT, DSM__TOK_PRE_LLM, DSM__TOK_PRE_CODER, DSM__TOK_PRE_V3, DSM__TOK_PRE_QWEN2, DSM__TOK_PRE_R1_QWEN, DSM__TOK_PRE_LLAMA3, DSM__TOK_PRE_GPT2 };
static const struct { const char *name; int pre; } dsm__tok_pres[] = {
    { "default", DSM__TOK_PRE_DEFAULT }, { "deepseek-llm", DSM__TOK_PRE_LLM }, { "deepseek-coder", DSM__TOK_PRE_CODER }, { "deepseek-v3", DSM__TOK_PRE_V3 },
    { "qwen2", DSM__TOK_PRE_QWEN2 }, { "deepseek-r1-qwen", DSM__TOK_PRE_R1_QWEN }, { "llama-bpe", DSM__TOK_PRE_LLAMA3 }, { "llama3", DSM__TOK_PRE_LLAMA3 },
    { "llama-v3", DSM__TOK_PRE_LLAMA3 }, { "gpt-2", DSM__TOK_PRE_GPT2 } };
static const dsm__tok_pass dsm__tok_passes[][7] = {
    { { DSM__TOK_RUN, DSM__TOK_PUNCT | DSM__TOK_ODD }, { DSM__TOK_GPT2, 0 }, { DSM__TOK_RUN, DSM__TOK_NUMBER }, { DSM__TOK_THREE_DIGITS, 0 }, { DSM__TOK_LAST, 0 } },
    { { DSM__TOK_EACH, DSM__TOK_NEWLINE }, { DSM__TOK_OPTW, DSM__TOK_CASED }, { DSM__TOK_OPTW, DSM__TOK_SIGNS }, { DSM__TOK_TRAIL, 0 }, { DSM__TOK_RUN, DSM__TOK_EAST },
      { DSM__TOK_EACH, DSM__TOK_NUMBER }, { DSM__TOK_LAST, 0 } },
    { { DSM__TOK_EACH, DSM__TOK_NEWLINE }, { DSM__TOK_OPTW, DSM__TOK_LETTER }, { DSM__TOK_OPTW, DSM__TOK_PUNCT }, { DSM__TOK_RUN, DSM__TOK_EAST }, { DSM__TOK_EACH, DSM__TOK_NUMBER },
      { DSM__TOK_LAST, 0 } },
    { { DSM__TOK_UP_TO_3, 0 }, { DSM__TOK_RUN, DSM__TOK_KANA }, { DSM__TOK_V3, 0 }, { DSM__TOK_LAST, 0 } },
    { { DSM__TOK_QWEN, 1 }, { DSM__TOK_LAST, 0 } }, { { DSM__TOK_QWEN, 1 }, { DSM__TOK_LAST, 0 } }, { { DSM__TOK_QWEN, 3 }, { DSM__TOK_LAST, 0 } },
    { { DSM__TOK_GPT2, 0 }, { DSM__TOK_LAST, 0 } } };

DSM__FN size_t dsm__tok_run_end(const dsm__tok *t, const uint8_t *s, size_t i, size_t end, unsigned set, int in) { /* where characters in (or, in = 0, not in) the set end */
    while (i < end) { dsm__tok_char c = dsm__tok_at(t, s, i, end); if (dsm__tok_in(c, set) != in) break; i = c.end; }
    return i;
}
DSM__FN size_t dsm__tok_number_end(const dsm__tok *t, const uint8_t *s, size_t i, size_t end, unsigned most) {
    for (; most; most--) { dsm__tok_char c = dsm__tok_at(t, s, i, end); if (!(c.set & DSM__TOK_NUMBER)) break; i = c.end; }
    return i;
}
/* A white-space run: up to its last newline; else, before something else, without its last character, which goes with the next word; else all. */
DSM__FN size_t dsm__tok_space_end(const dsm__tok *t, const uint8_t *s, size_t i, size_t end, int newlines) {
    size_t from = i, last = i, newline = 0;
    while (i < end) {
        dsm__tok_char c = dsm__tok_at(t, s, i, end);
        if (!(c.set & DSM__TOK_SPACE)) break;
        last = i; i = c.end;
        if (c.set & DSM__TOK_NEWLINE) newline = i;
    }
    return newline && newlines ? newline : last > from && i < end ? last : i;
}
DSM__FN size_t dsm__tok_contraction(const uint8_t *s, size_t i, size_t end, int any_case) { /* bytes of 's 't 'm 'd 're 've 'll at i, or 0 */
    unsigned a, b, fold = any_case ? 32 : 0;
    if (s[i] != '\'' || end - i < 2) return 0;
    a = s[i + 1]; if (a >= 'A' && a <= 'Z') a |= fold;
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    if (end - i < 3) return 0;
    b = s[i + 2]; if (b >= 'A' && b <= 'Z') b |= fold;
    return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}
/* 1: [i, *to) is a match; 0: there is none that starts before *to. */
DSM__FN int dsm__tok_match(const dsm__tok *t, const dsm__tok_pass *pass, const uint8_t *s, size_t i, size_t end, size_t *to) {
    enum { word = DSM__TOK_LETTER | DSM__TOK_MARK, sign = DSM__TOK_PUNCT | DSM__TOK_SYMBOL, plain = DSM__TOK_SPACE | DSM__TOK_LETTER | DSM__TOK_NUMBER };
    dsm__tok_char c = dsm__tok_at(t, s, i, end), d;
    size_t z;
    *to = c.end;
    switch (pass->kind) {
    case DSM__TOK_EACH: return dsm__tok_in(c, pass->set);
    case DSM__TOK_RUN:
        if (!dsm__tok_in(c, pass->set)) return 0;
        *to = dsm__tok_run_end(t, s, c.end, end, pass->set, 1); return 1;
    case DSM__TOK_OPTW:
        if (c.set & DSM__TOK_SPACE) {
            d = dsm__tok_at(t, s, c.end, end);
            if (dsm__tok_in(d, pass->set)) { *to = dsm__tok_run_end(t, s, d.end, end, pass->set, 1); return 1; }
        }
        if (!dsm__tok_in(c, pass->set)) return 0;
        *to = dsm__tok_run_end(t, s, c.end, end, pass->set, 1); return 1;
    case DSM__TOK_TRAIL:
        if (!(c.set & DSM__TOK_SPACE)) return 0;
        *to = dsm__tok_run_end(t, s, c.end, end, DSM__TOK_SPACE, 1); return *to == end;
    case DSM__TOK_UP_TO_3:
        if (!(c.set & DSM__TOK_NUMBER)) return 0;
        *to = dsm__tok_number_end(t, s, c.end, end, 2); return 1;
    case DSM__TOK_THREE_DIGITS:
        for (z = i; z < end && z < i + 3 && s[z] >= '0' && s[z] <= '9'; z++) {}
        if (z < i + 3) return 0;
        *to = z; return 1;
    case DSM__TOK_V3:
        d = dsm__tok_at(t, s, c.end, end);
        if (c.cp < 128 && (c.set & sign) && d.cp < 128 && (d.set & DSM__TOK_LETTER)) { /* a sign and ASCII letters */
            for (z = d.end; z < end && s[z] < 128 && (t->classes[s[z]] & DSM__TOK_LETTER); z++) {}
            *to = z; return 1;
        }
        if ((c.set & word) || (!(c.set & ((int)DSM__TOK_NEWLINE | (int)sign)) && (d.set & word))) { *to = dsm__tok_run_end(t, s, c.end, end, word, 1); return 1; }
        if ((c.set & sign) || (c.cp == ' ' && (d.set & sign))) {
            z = dsm__tok_run_end(t, s, c.end, end, sign, 1);
            *to = dsm__tok_run_end(t, s, z, end, DSM__TOK_NEWLINE, 1); return 1;
        }
        if (!(c.set & DSM__TOK_SPACE)) return 0;
        *to = dsm__tok_space_end(t, s, i, end, 1); return 1;
    case DSM__TOK_QWEN: /* pass->set: digits of a number */
        z = dsm__tok_contraction(s, i, end, 1);
        if (z) { *to = i + z; return 1; }
        d = dsm__tok_at(t, s, c.end, end);
        if ((c.set & DSM__TOK_LETTER) || (!(c.set & (DSM__TOK_NEWLINE | DSM__TOK_NUMBER)) && (d.set & DSM__TOK_LETTER))) {
            *to = dsm__tok_run_end(t, s, c.end, end, DSM__TOK_LETTER, 1); return 1; }
        if (c.set & DSM__TOK_NUMBER) { *to = dsm__tok_number_end(t, s, c.end, end, pass->set - 1); return 1; }
        if (!(c.set & plain) || (c.cp == ' ' && d.end > c.end && !(d.set & plain))) {
            z = dsm__tok_run_end(t, s, c.end, end, plain, 0);
            *to = dsm__tok_run_end(t, s, z, end, DSM__TOK_NEWLINE, 1); return 1;
        }
        *to = dsm__tok_space_end(t, s, i, end, 1); return 1;
    case DSM__TOK_GPT2:
        z = dsm__tok_contraction(s, i, end, 0);
        if (z) { *to = i + z; return 1; }
        d = dsm__tok_at(t, s, c.end, end);
        if (c.cp == ' ' && d.end > c.end && !(d.set & DSM__TOK_SPACE)) c = d; /* the space goes with what follows */
        if (c.set & DSM__TOK_SPACE) *to = dsm__tok_space_end(t, s, i, end, 0);
        else if (c.set & DSM__TOK_LETTER) *to = dsm__tok_run_end(t, s, c.end, end, DSM__TOK_LETTER, 1);
        else if (c.set & DSM__TOK_NUMBER) *to = dsm__tok_run_end(t, s, c.end, end, DSM__TOK_NUMBER, 1);
        else *to = dsm__tok_run_end(t, s, c.end, end, plain, 0);
        return 1;
    default: return 0;
    }
}

/* ---- tables ---- */
DSM__FN dsm__str dsm__tok_str(const dsm__tok *t, uint32_t id) { return dsm__str_n(t->text + t->offset[id], t->offset[id + 1] - t->offset[id]); }
DSM__FN uint64_t dsm__tok_hash(const char *at, size_t n) { return dsm__hash(at, n, 1); }
DSM__FN uint32_t dsm__tok_slot_at(const dsm__tok *t, uint64_t hash) { return (uint32_t)((hash & 0xffffffffu) * t->n_slots >> 32); }
DSM__FN int32_t dsm__tok_find_hashed(const dsm__tok *t, const char *at, size_t n, uint64_t hash) {
    uint32_t tag = (uint32_t)(hash >> 32), i = dsm__tok_slot_at(t, hash);
    for (; t->slots[i].id1; i = i + 1 == t->n_slots ? 0 : i + 1)
        if (t->slots[i].tag == tag && dsm__str_same(dsm__tok_str(t, t->slots[i].id1 - 1), dsm__str_n(at, n))) return (int32_t)(t->slots[i].id1 - 1);
    return DSM__TOK_NONE;
}
DSM__FN int32_t dsm__tok_find(const dsm__tok *t, const char *at, size_t n) { return dsm__tok_find_hashed(t, at, n, dsm__tok_hash(at, n)); } /* a token that comes out of merges, or -1 */
DSM__FN int dsm__tok_put(dsm__tok *t, uint32_t id, uint64_t hash) { /* the first of equal texts stays. 0: too many collisions */
    uint32_t tag = (uint32_t)(hash >> 32), i = dsm__tok_slot_at(t, hash);
    for (int probes = 0; t->slots[i].id1; i = i + 1 == t->n_slots ? 0 : i + 1) {
        if (t->slots[i].tag == tag && dsm__str_same(dsm__tok_str(t, t->slots[i].id1 - 1), dsm__tok_str(t, id))) return 1;
        if (++probes > DSM__TOK_PROBES) return 0;
    }
    t->slots[i].tag = tag; t->slots[i].id1 = id + 1; return 1;
}
DSM__FN uint32_t dsm__tok_pair_at(const dsm__tok *t, uint32_t left, uint32_t right) {
    uint64_t h = ((uint64_t)left << 32 | right) * 0x9E3779B97F4A7C15u;
    h = (h ^ h >> 32) * 0xD1342543DE82EF95u;
    return (uint32_t)((h >> 32) * t->n_pairs >> 32);
}
DSM__FN uint32_t dsm__tok_rank(const dsm__tok *t, uint32_t left, uint32_t right) {
    uint32_t i = dsm__tok_pair_at(t, left, right);
    for (; t->pairs[i].rank1; i = i + 1 == t->n_pairs ? 0 : i + 1) if (t->pairs[i].left == left && t->pairs[i].right == right) return t->pairs[i].rank1 - 1;
    return DSM__TOK_NO_RANK;
}
DSM__FN int dsm__tok_put_pair(dsm__tok *t, uint32_t left, uint32_t right, uint32_t rank) { /* the first of equal pairs stays. 0: too many collisions */
    uint32_t i = dsm__tok_pair_at(t, left, right);
    for (int probes = 0; t->pairs[i].rank1; i = i + 1 == t->n_pairs ? 0 : i + 1) {
        if (t->pairs[i].left == left && t->pairs[i].right == right) return 1;
        if (++probes > DSM__TOK_PROBES) return 0;
    }
    t->pairs[i].left = left; t->pairs[i].right = right; t->pairs[i].rank1 = rank + 1; return 1;
}
/* Added tokens: the longest one that starts at s (n bytes left) and counts in this mode (a bit of `first`); its bytes, or 0. */
DSM__FN int dsm__tok_mode_bits(const dsm__tok *t, uint32_t id) {
    int user = (t->kind[id] & DSM__TOK_KIND) == DSM_TOKEN_USER;
    return 4 | (user ? 2 : 0) | (user && !(t->kind[id] & DSM__TOK_GUARDED) ? 1 : 0);
}
DSM__FN size_t dsm__tok_added_at(const dsm__tok *t, const uint8_t *s, size_t n, int mode, int32_t *id) {
    uint32_t low = 0, high = t->n_added; size_t best = 0;
    for (size_t d = 0; low < high; d++) { /* [low, high): those that agree with the text in d bytes */
        dsm__str a = dsm__tok_str(t, t->added[low]), z;
        if (a.n == d) {
            if (d && (dsm__tok_mode_bits(t, t->added[low]) & mode)) { best = d; *id = (int32_t)t->added[low]; }
            if (++low == high) break;
            a = dsm__tok_str(t, t->added[low]);
        }
        if (d >= n) break;
        z = dsm__tok_str(t, t->added[high - 1]);
        if ((uint8_t)a.at[d] == s[d] && (uint8_t)z.at[d] == s[d]) continue;
        for (int upper = 0; upper < 2; upper++) { /* narrow it to those with the text's next byte */
            uint32_t from = low, to = high;
            while (from < to) {
                uint32_t mid = from + (to - from) / 2; uint8_t c = (uint8_t)t->text[t->offset[t->added[mid]] + d];
                if (upper ? c <= s[d] : c < s[d]) from = mid + 1; else to = mid;
            }
            if (upper) high = from; else low = from;
        }
    }
    return best;
}
DSM__FN int32_t dsm__tok_special(const dsm__tok *t, const char *text) { /* an added token by its text, or by the text with spaces that converters leave; or -1 */
    char other[64]; size_t n = strlen(text), m = 0; int32_t id = DSM__TOK_NONE;
    if (dsm__tok_added_at(t, (const uint8_t *)text, n, 4, &id) == n) return id;
    for (size_t i = 0; i < n && m + 1 < sizeof other; i++)
        if (n - i >= 3 && !memcmp(text + i, DSM__TOK_LOW, 3)) { other[m++] = ' '; i += 2; } else other[m++] = text[i];
    return m != n && dsm__tok_added_at(t, (const uint8_t *)other, m, 4, &id) == m ? id : DSM__TOK_NONE;
}

/* ---- open ---- */
DSM__FN int dsm__tok_looks_special(dsm__str s) { /* <|...|>, <think>, </s>, [PAD7], [INST] */
    if (s.n < 3) return 0;
    if (s.at[0] == '<' && s.at[s.n - 1] == '>') return 1;
    return s.at[0] == '[' && s.at[s.n - 1] == ']' && ((s.at[1] >= 'A' && s.at[1] <= 'Z') || s.at[1] == '/');
}
DSM__FN int dsm__tok_hex(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }
DSM__FN int dsm__tok_byte_of(dsm__str s) { /* of <0x0A>, or -1 */
    int a, b;
    if (s.n != 6 || memcmp(s.at, "<0x", 3) || s.at[5] != '>') return -1;
    a = dsm__tok_hex(s.at[3]); b = dsm__tok_hex(s.at[4]);
    return a < 0 || b < 0 ? -1 : a << 4 | b;
}
/* The characters of byte-level vocabularies: printable Latin-1 stands for itself, the other 68 bytes are U+0100 and what follows. */
DSM__FN void dsm__tok_alphabet(int16_t byte_of[324]) {
    int next = 256;
    for (int i = 0; i < 324; i++) byte_of[i] = -1;
    for (int b = 0; b < 256; b++) byte_of[(b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE ? b : next++] = (int16_t)b;
}
DSM__FN size_t dsm__tok_unmap(const int16_t *byte_of, const char *at, size_t n, char *to) { /* bytes written; SIZE_MAX: not of that alphabet */
    const uint8_t *s = (const uint8_t *)at; size_t m = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned c = s[i];
        if (c >= 0x80) {
            if (c < 0xC2 || c > 0xC5 || i + 1 >= n || (s[i + 1] & 0xC0) != 0x80) return SIZE_MAX;
            c = (c & 31u) << 6 | (s[++i] & 63u);
        }
        if (c >= 324 || byte_of[c] < 0) return SIZE_MAX;
        to[m++] = (char)byte_of[c];
    }
    return m;
}
DSM__FN uint32_t dsm__tok_score_key(uint32_t bits) { /* of a float: higher scores first, NaN last */
    uint32_t up = bits & 0x80000000u ? ~bits : bits | 0x80000000u; /* ascending with the number */
    if ((bits & 0x7fffffffu) > 0x7f800000u) return DSM__TOK_NO_RANK - 1;
    if (bits == 0x80000000u) up = 0x80000000u; /* -0 is 0 */
    return ~up < DSM__TOK_NO_RANK ? ~up : DSM__TOK_NO_RANK - 1;
}
typedef struct dsm__tok_keys { const dsm__key_ref *tokens, *kinds, *scores, *merges; uint64_t text; uint32_t n_added, n_far; } dsm__tok_keys;
DSM__FN void dsm__tok_layout(dsm__tok *t, const dsm__tok_keys *k, dsm__arena *m) {
    uint64_t n = (uint64_t)t->n_tokens, n_merges = k->merges ? k->merges->count : 0;
    t->slots = (dsm__tok_slot *)dsm__mem_take(m, t->n_slots, sizeof *t->slots);
    t->pairs = (dsm__tok_pair *)dsm__mem_take(m, t->n_pairs, sizeof *t->pairs);
    t->merged = (uint32_t *)dsm__mem_take(m, n_merges, 4);
    t->offset = (uint32_t *)dsm__mem_take(m, n + 1, 4);
    t->text = (char *)dsm__mem_take(m, k->text, 1);
    t->kind = (uint8_t *)dsm__mem_take(m, n, 1);
    t->score = (uint32_t *)dsm__mem_take(m, t->spm ? n : 0, 4);
    t->added = (uint32_t *)dsm__mem_take(m, k->n_added, 4);
    t->classes = (uint8_t *)dsm__mem_take(m, 65536, 1);
    t->far_classes = (uint32_t *)dsm__mem_take(m, k->n_far, 4);
}
DSM__FN int dsm__tok_kind_of(const dsm__tok_keys *k, uint64_t i, dsm__str text) { /* as the file has it; without a list the names must do */
    dsm__file_number v;
    if (!k->kinds) return dsm__tok_byte_of(text) >= 0 ? DSM_TOKEN_BYTE : dsm__str_is(text, "<unk>") ? DSM_TOKEN_UNKNOWN :
                          dsm__tok_looks_special(text) && text.n > 3 ? DSM_TOKEN_CONTROL : DSM_TOKEN_NORMAL;
    v = dsm__file_element(k->kinds, i);
    return v.whole && v.u >= DSM_TOKEN_NORMAL && v.u <= DSM_TOKEN_BYTE ? (int)v.u : DSM_TOKEN_NORMAL;
}
DSM__FN int dsm__tok_before(const dsm__tok *t, uint32_t a, uint32_t b) { /* by bytes, then control before user-defined, then by id */
    dsm__str p = dsm__tok_str(t, a), q = dsm__tok_str(t, b); int c = memcmp(p.at, q.at, p.n < q.n ? p.n : q.n);
    if (c || p.n != q.n) return c ? c < 0 : p.n < q.n;
    if (t->kind[a] != t->kind[b]) return t->kind[a] < t->kind[b];
    return a < b;
}
DSM__FN void dsm__tok_sort_added(dsm__tok *t) { /* heap sort, then equal texts go */
    uint32_t *v = t->added, n = t->n_added, m = 0;
    for (uint32_t start = n / 2, end = n; end > 1;) {
        uint32_t at, x;
        if (start) x = v[--start]; else { x = v[--end]; v[end] = v[0]; }
        for (at = start; ; ) {
            uint32_t child = at * 2 + 1;
            if (child >= end) break;
            if (child + 1 < end && dsm__tok_before(t, v[child], v[child + 1])) child++;
            if (!dsm__tok_before(t, x, v[child])) break;
            v[at] = v[child]; at = child;
        }
        v[at] = x;
    }
    for (uint32_t i = 0; i < n; i++) if (!m || !dsm__str_same(dsm__tok_str(t, v[m - 1]), dsm__tok_str(t, v[i]))) v[m++] = v[i];
    t->n_added = m;
}
/* Copies the texts of all tokens in the form of the output, finds out what can come out of merges, and fills the hash of those. */
DSM__FN dsm_status dsm__tok_read_tokens(dsm__tok *t, const dsm__tok_keys *k, const int16_t *byte_of, dsm_error *error) {
    dsm__strings it = dsm__file_strings(k->tokens); dsm__str s; uint32_t used = 0, id = 0, hashed[DSM__TOK_BATCH]; uint64_t hash[DSM__TOK_BATCH]; int n_hashed = 0;
    for (; id < (uint32_t)t->n_tokens && dsm__file_next_string(&it, &s); id++) {
        char *to = t->text + used; int kind = dsm__tok_kind_of(k, id, s), byte = -1; size_t n = s.n;
        if (s.n > k->text - used) break; /* a mapped file that changes while it is read */
        if (kind == DSM_TOKEN_BYTE) { byte = dsm__tok_byte_of(s); if (byte < 0) kind = DSM_TOKEN_NORMAL; }
        t->kind[id] = (uint8_t)kind; t->offset[id] = used;
        if (byte >= 0) { *to = (char)byte; n = 1; if (t->byte_id[byte] < 0) t->byte_id[byte] = (int32_t)id; }
        else if (!t->spm && (kind == DSM_TOKEN_NORMAL || kind == DSM_TOKEN_UNUSED) && (n = dsm__tok_unmap(byte_of, s.at, s.n, to)) != SIZE_MAX) t->kind[id] |= DSM__TOK_MERGES;
        else if (t->spm && (kind == DSM_TOKEN_NORMAL || kind == DSM_TOKEN_UNUSED)) {
            n = 0; t->kind[id] |= DSM__TOK_MERGES;
            for (size_t i = 0; i < s.n; i++) if (s.n - i >= 3 && !memcmp(s.at + i, DSM__TOK_LOW, 3)) { to[n++] = ' '; i += 2; } else to[n++] = s.at[i];
        } else { n = s.n; memcpy(to, s.at, n); }
        if (kind >= DSM_TOKEN_UNKNOWN && kind <= DSM_TOKEN_USER) {
            if (dsm__tok_looks_special(s) || kind != DSM_TOKEN_USER) t->kind[id] |= DSM__TOK_GUARDED;
            if (n && n <= DSM__TOK_ADDED_MAX && t->n_added < k->n_added) t->added[t->n_added++] = id;
        }
        used += (uint32_t)n; t->offset[id + 1] = used;
        if ((t->kind[id] & DSM__TOK_MERGES) && n) {
            if (n > t->longest) t->longest = n;
            hash[n_hashed] = dsm__tok_hash(to, n); hashed[n_hashed] = id;
            __builtin_prefetch(t->slots + dsm__tok_slot_at(t, hash[n_hashed++]), 1);
        }
        if (n_hashed == DSM__TOK_BATCH || id + 1 == (uint32_t)t->n_tokens) {
            for (int i = 0; i < n_hashed; i++) if (!dsm__tok_put(t, hashed[i], hash[i])) return dsm__err(error, DSM__ERR_TOK_COLLIDE, dsm__s("tokens"));
            n_hashed = 0;
        }
        if (t->spm) t->score[id] = k->scores ? dsm__tok_score_key(dsm__load32(k->scores->at + (size_t)id * 4)) : id;
    }
    if (id < (uint32_t)t->n_tokens) return dsm__err(error, DSM__ERR_TOK_COUNT, dsm__s("tokenizer.ggml.tokens"), dsm__u(id), dsm__u((uint64_t)t->n_tokens));
    return DSM_OK;
}
/* User-defined tokens that merges give too, where no ordinary token has their text: that is how the odd letters of deepseek-llm stand for bytes. They
   are kept as text, so they are looked up by the bytes that their letters stand for: a slot can't do that, only single bytes are kept. */
DSM__FN void dsm__tok_read_bytes(dsm__tok *t, const int16_t *byte_of) {
    if (!t->spm) for (uint32_t i = 0; i < t->n_added; i++) {
        dsm__str s = dsm__tok_str(t, t->added[i]); char b[2];
        if ((t->kind[t->added[i]] & (DSM__TOK_KIND | DSM__TOK_GUARDED)) != DSM_TOKEN_USER || s.n > 2 || dsm__tok_unmap(byte_of, s.at, s.n, b) != 1) continue;
        if (t->byte_id[(uint8_t)b[0]] < 0) t->byte_id[(uint8_t)b[0]] = (int32_t)t->added[i];
    }
}
typedef struct dsm__tok_part { const char *at; size_t n; uint64_t hash; int32_t id; } dsm__tok_part; /* id -1: not found yet */
typedef struct dsm__tok_batch { dsm__tok_part part[DSM__TOK_BATCH][3]; /* left, right, both */ uint32_t rank[DSM__TOK_BATCH]; int n; size_t used; char line[DSM__TOK_LINE]; } dsm__tok_batch;
DSM__FN void dsm__tok_part_ask(const dsm__tok *t, dsm__tok_part *p, const char *at, size_t n, int32_t id) {
    p->at = at; p->n = n; p->id = n == 1 ? t->byte_id[*(const uint8_t *)at] : id; p->hash = 0;
    if (p->id < 0) { p->hash = dsm__tok_hash(at, n); __builtin_prefetch(t->slots + dsm__tok_slot_at(t, p->hash)); }
}
/* Finds the parts of some merges, step by step for all of them, and enters the pairs. 0: too many collisions. */
DSM__FN int dsm__tok_enter_merges(dsm__tok *t, dsm__tok_batch *b, int32_t *guess, uint64_t *skipped) {
    for (int step = 0; step < 2; step++) for (int i = 0; i < b->n; i++) for (int k = 0; k < 3; k++) {
        uint32_t id1 = b->part[i][k].id < 0 ? t->slots[dsm__tok_slot_at(t, b->part[i][k].hash)].id1 : 0;
        if (id1) __builtin_prefetch(step ? (const void *)(t->text + t->offset[id1 - 1]) : (const void *)(t->offset + id1 - 1));
    }
    for (int i = 0; i < b->n; i++) {
        dsm__tok_part *p = b->part[i];
        for (int k = 0; k < 3; k++) if (p[k].id < 0) { p[k].id = dsm__tok_find_hashed(t, p[k].at, p[k].n, p[k].hash); if (k == 2 && p[k].id > *guess) *guess = p[k].id + 1; }
        if (p[0].id >= 0 && p[1].id >= 0) __builtin_prefetch(t->pairs + dsm__tok_pair_at(t, (uint32_t)p[0].id, (uint32_t)p[1].id), 1);
    }
    for (int i = 0; i < b->n; i++) {
        const dsm__tok_part *p = b->part[i];
        if (p[0].id < 0 || p[1].id < 0 || p[2].id < 0) { ++*skipped; continue; }
        t->merged[b->rank[i]] = (uint32_t)p[2].id;
        if (!dsm__tok_put_pair(t, (uint32_t)p[0].id, (uint32_t)p[1].id, b->rank[i])) return 0;
    }
    b->n = 0; b->used = 0; return 1;
}
DSM__FN dsm_status dsm__tok_read_merges(dsm__tok *t, const dsm__key_ref *merges, const int16_t *byte_of, uint64_t *skipped, dsm_error *error) {
    dsm__strings it = dsm__file_strings(merges); dsm__str s; int32_t guess = 0; dsm__tok_batch b;
    b.n = 0; b.used = 0;
    for (uint32_t rank = 0; rank < merges->count && dsm__file_next_string(&it, &s); rank++) {
        const char *space = s.n > 1 ? (const char *)memchr(s.at + 1, ' ', s.n - 1) : NULL; char *line; size_t n, m; int known;
        if (!space || s.n > DSM__TOK_LINE) { ++*skipped; continue; }
        if ((b.n == DSM__TOK_BATCH || s.n > DSM__TOK_LINE - b.used) && !dsm__tok_enter_merges(t, &b, &guess, skipped)) return dsm__err(error, DSM__ERR_TOK_COLLIDE, dsm__s("merges"));
        line = b.line + b.used;
        n = dsm__tok_unmap(byte_of, s.at, (size_t)(space - s.at), line);
        m = n == SIZE_MAX ? n : dsm__tok_unmap(byte_of, space + 1, (size_t)(s.at + s.n - space - 1), line + n);
        if (m == SIZE_MAX || !m) { ++*skipped; continue; }
        /* results mostly come in the order of ids */
        known = guess < t->n_tokens && (t->kind[guess] & DSM__TOK_MERGES) && dsm__str_same(dsm__tok_str(t, (uint32_t)guess), dsm__str_n(line, n + m));
        dsm__tok_part_ask(t, &b.part[b.n][0], line, n, DSM__TOK_NONE);
        dsm__tok_part_ask(t, &b.part[b.n][1], line + n, m, DSM__TOK_NONE);
        dsm__tok_part_ask(t, &b.part[b.n][2], line, n + m, known ? guess : DSM__TOK_NONE);
        guess += known; b.rank[b.n++] = rank; b.used += n + m;
    }
    return dsm__tok_enter_merges(t, &b, &guess, skipped) ? DSM_OK : dsm__err(error, DSM__ERR_TOK_COLLIDE, dsm__s("merges"));
}
DSM__FN int32_t dsm__tok_key_id(const dsm__tok *t, const dsm__file *f, const char *key, const dsm_log *log) { /* -1: absent, or (a warning) out of range */
    uint64_t id;
    if (!dsm__file_key(f, key)) return DSM__TOK_NONE;
    if (dsm__file_u64(f, key, 0, &id, NULL) == DSM_OK && id < (uint64_t)t->n_tokens) return (int32_t)id;
    dsm__err_log(log, DSM_LOG_WARNING, "%: no token has this id; it is not used", dsm__s(key));
    return DSM__TOK_NONE;
}
DSM__FN int32_t dsm__tok_first_of(const dsm__tok *t, int32_t id, const char *const *texts) { /* id, or the first of the texts that is a token */
    for (; id < 0 && *texts; texts++) id = dsm__tok_special(t, *texts);
    return id;
}
DSM__FN void dsm__tok_read_specials(dsm__tok *t, const dsm__file *f, const dsm_log *log) {
#define DSM__TOK_DEEP(name) "<" DSM__TOK_BAR name DSM__TOK_BAR ">"
    static const char *const bos[] = { DSM__TOK_DEEP("begin" DSM__TOK_LOW "of" DSM__TOK_LOW "sentence"), "<|begin_of_text|>", "<s>", NULL };
    static const char *const eos[] = { DSM__TOK_DEEP("end" DSM__TOK_LOW "of" DSM__TOK_LOW "sentence"), "<|eot_id|>", "<|im_end|>", "</s>", "<|endoftext|>", NULL };
    static const char *const pad[] = { DSM__TOK_DEEP(DSM__TOK_LOW "pad" DSM__TOK_LOW), "<pad>", NULL };
    static const char *const think[] = { "<think>", NULL }, *const end_think[] = { "</think>", NULL };
    static const char *const prefix[] = { DSM__TOK_DEEP("fim" DSM__TOK_LOW "begin"), "<|fim_prefix|>", "<fim_prefix>", NULL };
    static const char *const suffix[] = { DSM__TOK_DEEP("fim" DSM__TOK_LOW "hole"), "<|fim_suffix|>", "<fim_suffix>", NULL };
    static const char *const middle[] = { DSM__TOK_DEEP("fim" DSM__TOK_LOW "end"), "<|fim_middle|>", "<fim_middle>", NULL };
    static const char *const ends[] = { DSM__TOK_DEEP("end" DSM__TOK_LOW "of" DSM__TOK_LOW "sentence"), DSM__TOK_DEEP("User") /* a net for models that run on */, "<|EOT|>",
        "<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<EOT>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>" };
    static const char *const end_keys[] = { "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id", "tokenizer.ggml.fim_pad_token_id", "tokenizer.ggml.fim_rep_token_id",
        "tokenizer.ggml.fim_sep_token_id" };
    int32_t *const guarded[] = { &t->bos, &t->eos, &t->pad, &t->think, &t->end_think, &t->fim_prefix, &t->fim_suffix, &t->fim_middle };
    int32_t id;
    t->bos = dsm__tok_first_of(t, dsm__tok_key_id(t, f, "tokenizer.ggml.bos_token_id", log), bos);
    t->eos = dsm__tok_first_of(t, dsm__tok_key_id(t, f, "tokenizer.ggml.eos_token_id", log), eos);
    t->pad = dsm__tok_first_of(t, dsm__tok_key_id(t, f, "tokenizer.ggml.padding_token_id", log), pad);
    t->unknown = dsm__tok_key_id(t, f, "tokenizer.ggml.unknown_token_id", log);
    t->think = dsm__tok_first_of(t, DSM__TOK_NONE, think);
    t->end_think = dsm__tok_first_of(t, DSM__TOK_NONE, end_think);
    id = dsm__tok_key_id(t, f, "tokenizer.ggml.fim_pre_token_id", log);
    t->fim_prefix = dsm__tok_first_of(t, id < 0 ? dsm__tok_key_id(t, f, "tokenizer.ggml.prefix_token_id", log) : id, prefix);
    id = dsm__tok_key_id(t, f, "tokenizer.ggml.fim_suf_token_id", log);
    t->fim_suffix = dsm__tok_first_of(t, id < 0 ? dsm__tok_key_id(t, f, "tokenizer.ggml.suffix_token_id", log) : id, suffix);
    id = dsm__tok_key_id(t, f, "tokenizer.ggml.fim_mid_token_id", log);
    t->fim_middle = dsm__tok_first_of(t, id < 0 ? dsm__tok_key_id(t, f, "tokenizer.ggml.middle_token_id", log) : id, middle);
#undef DSM__TOK_DEEP
    if (t->eos >= 0) t->kind[t->eos] |= DSM__TOK_END;
    for (size_t i = 0; i < DSM__COUNT(ends); i++) { id = dsm__tok_special(t, ends[i]); if (id >= 0) t->kind[id] |= DSM__TOK_END; }
    for (size_t i = 0; i < DSM__COUNT(end_keys); i++) { id = dsm__tok_key_id(t, f, end_keys[i], log); if (id >= 0) t->kind[id] |= DSM__TOK_END; }
    for (size_t i = 0; i < DSM__COUNT(guarded); i++) if (*guarded[i] >= 0) t->kind[*guarded[i]] |= DSM__TOK_GUARDED;
    for (int i = 0; i < t->n_tokens; i++) if (t->kind[i] & DSM__TOK_END) t->kind[i] |= DSM__TOK_GUARDED;
}
DSM__FN void dsm__tok_choose_template(dsm__tok *t, const dsm__file *f, const dsm_log *log) {
#define DSM__TOK_ASSISTANT "<" DSM__TOK_BAR "Assistant" DSM__TOK_BAR ">"
    static const char *const names[] = { "", "plain text", "User: / Assistant:", "Coder", "V3", "R1", "V3.1", "ChatML", "Llama-3" };
    static const char user[] = "<" DSM__TOK_BAR "User" DSM__TOK_BAR ">", end[] = "<" DSM__TOK_BAR "end" DSM__TOK_LOW "of" DSM__TOK_LOW "sentence" DSM__TOK_BAR ">";
    dsm__str s = dsm__str_n("", 0);
    if (dsm__file_key(f, "tokenizer.chat_template") && dsm__file_str(f, "tokenizer.chat_template", "", &s, NULL) != DSM_OK) s = dsm__str_n("", 0);
    t->reasons = dsm__str_has(s, "</think>");
    t->family = (dsm_template)0;
    if (dsm__str_has(s, "### Instruction:") && dsm__str_has(s, "<|EOT|>")) t->family = DSM_TEMPLATE_CODER;
    else if (dsm__str_has(s, "'Assistant: ' + message['content'] + eos_token")) t->family = DSM_TEMPLATE_LLM;
    else if (dsm__str_has(s, DSM__TOK_ASSISTANT) && dsm__str_has(s, user) && dsm__str_has(s, end))
        t->family = dsm__str_has(s, DSM__TOK_ASSISTANT "<think>\\n") || dsm__str_has(s, DSM__TOK_ASSISTANT "<think>\n") ? DSM_TEMPLATE_R1 :
                    t->reasons && dsm__str_has(s, "thinking") ? DSM_TEMPLATE_V31 : DSM_TEMPLATE_V3;
    else if (dsm__str_has(s, "<|im_start|>")) t->family = DSM_TEMPLATE_CHATML;
    else if (dsm__str_has(s, "<|start_header_id|>")) t->family = DSM_TEMPLATE_LLAMA3;
    if (t->family) { t->reasons |= t->family == DSM_TEMPLATE_R1 || t->family == DSM_TEMPLATE_V31; return; }
    /* no template: what the vocabulary tells. A distilled model has its own <think>, a V3 or R1 can't be told apart */
    if (dsm__tok_special(t, user) >= 0 && dsm__tok_special(t, DSM__TOK_ASSISTANT) >= 0) t->family = t->pre == DSM__TOK_PRE_V3 || t->think < 0 ? DSM_TEMPLATE_V3 : DSM_TEMPLATE_R1;
    else t->family = t->spm ? DSM_TEMPLATE_RAW : t->pre == DSM__TOK_PRE_LLM ? DSM_TEMPLATE_LLM : t->pre == DSM__TOK_PRE_CODER ? DSM_TEMPLATE_CODER :
                     t->pre == DSM__TOK_PRE_V3 ? DSM_TEMPLATE_V3 : DSM_TEMPLATE_RAW;
    t->reasons |= t->family == DSM_TEMPLATE_R1;
    dsm__err_log(log, t->family == DSM_TEMPLATE_RAW ? DSM_LOG_WARNING : DSM_LOG_INFO, "%; conversations are written as %",
        dsm__s(s.n ? "tokenizer.chat_template is none that is known" : "the file has no chat template"),
        dsm__s(names[t->family]));
#undef DSM__TOK_ASSISTANT
}
DSM__FN void dsm__tok_close(dsm__tok *t) { dsm__mem_free(&t->allocator, t->block, (size_t)t->bytes); memset(t, 0, sizeof *t); }
/* An optional array, with as many entries as there are tokens, where that counts. */
DSM__FN dsm_status dsm__tok_list(const dsm__file *f, const char *name, int strings, uint64_t n_tokens, const dsm__key_ref **key, dsm_error *error) {
    const dsm__key_ref *k = dsm__file_key(f, name);
    int good = k && k->type == 9 && (strings ? k->element == 8 : k->element != 8 && k->element != 9 && k->element != 12);
    *key = NULL;
    if (!k) return DSM_OK;
    if (!good) return dsm__err(error, DSM__ERR_TOK_TYPE, dsm__s(name));
    if (n_tokens && k->count != n_tokens) return dsm__err(error, DSM__ERR_TOK_COUNT, dsm__s(name), dsm__u(k->count), dsm__u(n_tokens));
    if (k->count > INT32_MAX / 4) return dsm__err(error, DSM__ERR_TOK_MANY, dsm__s(name), dsm__u(k->count));
    *key = k; return DSM_OK;
}
DSM__FN dsm_status dsm__tok_open_parts(dsm__tok *t, const dsm__file *f, const dsm_log *log, dsm_error *error) {
    dsm__tok_keys k; dsm__arena m; dsm__str model, pre, s; int16_t byte_of[324]; dsm_status e; uint64_t skipped = 0; uint32_t missing = 0; int v;
    memset(&k, 0, sizeof k); memset(&m, 0, sizeof m);
    model = dsm__str_n("", 0); pre = model;
    if (dsm__file_key(f, "tokenizer.ggml.model") && (e = dsm__file_str(f, "tokenizer.ggml.model", "", &model, error)) != DSM_OK) return e;
    if ((e = dsm__tok_list(f, "tokenizer.ggml.tokens", 1, 0, &k.tokens, error)) != DSM_OK) return e;
    if (dsm__str_is(model, "none") || dsm__str_is(model, "no_vocab") || (!model.n && !k.tokens)) {
        dsm__err_log(log, DSM_LOG_WARNING, "the file has no vocabulary: only token ids can go in and out"); t->family = DSM_TEMPLATE_RAW; return DSM_OK; }
    t->spm = dsm__str_is(model, "llama");
    if (!t->spm && !dsm__str_is(model, "gpt2")) return dsm__err(error, DSM__ERR_TOK_MODEL, dsm__t(model));
    if (!k.tokens || !k.tokens->count) return dsm__err(error, DSM__ERR_TOK_MISSING, dsm__s("tokenizer.ggml.tokens"));
    if ((e = dsm__tok_list(f, "tokenizer.ggml.token_type", 0, k.tokens->count, &k.kinds, error)) != DSM_OK) return e;
    if (k.kinds && k.kinds->element == 6) return dsm__err(error, DSM__ERR_TOK_TYPE, dsm__s("tokenizer.ggml.token_type"));
    if (t->spm) {
        if ((e = dsm__tok_list(f, "tokenizer.ggml.scores", 0, k.tokens->count, &k.scores, error)) != DSM_OK) return e;
        if (k.scores && k.scores->element != 6) return dsm__err(error, DSM__ERR_TOK_TYPE, dsm__s("tokenizer.ggml.scores"));
    } else {
        size_t i = 0;
        if ((e = dsm__tok_list(f, "tokenizer.ggml.merges", 1, 0, &k.merges, error)) != DSM_OK) return e;
        if (!k.merges) return dsm__err(error, DSM__ERR_TOK_MISSING, dsm__s("tokenizer.ggml.merges"));
        if (dsm__file_key(f, "tokenizer.ggml.pre") && (e = dsm__file_str(f, "tokenizer.ggml.pre", "", &pre, error)) != DSM_OK) return e;
        if (!pre.n) pre = dsm__str_of("default");
        for (; i < DSM__COUNT(dsm__tok_pres) && !dsm__str_is(pre, dsm__tok_pres[i].name); i++) {}
        if (i == DSM__COUNT(dsm__tok_pres)) return dsm__err(error, DSM__ERR_TOK_PRE, dsm__t(pre));
        t->pre = dsm__tok_pres[i].pre;
        if (t->pre == DSM__TOK_PRE_DEFAULT) dsm__err_log(log, DSM_LOG_WARNING,
            "tokenizer.ggml.pre is missing or 'default': text may be cut in other places than in training, and answers get worse; convert the model anew");
        t->whole_first = t->pre == DSM__TOK_PRE_LLAMA3;
    }
    t->n_tokens = (int)k.tokens->count;
    t->n_slots = (uint32_t)t->n_tokens + (uint32_t)t->n_tokens / 2 + 16;
    t->n_pairs = k.merges ? (uint32_t)k.merges->count + (uint32_t)k.merges->count / 2 + 16 : 0;
    { /* sizes */
        dsm__strings it = dsm__file_strings(k.tokens);
        for (uint64_t i = 0; dsm__file_next_string(&it, &s) && i < k.tokens->count; i++) {
            int kind = dsm__tok_kind_of(&k, i, s);
            k.text += s.n; k.n_added += kind >= DSM_TOKEN_UNKNOWN && kind <= DSM_TOKEN_USER;
        }
        k.n_far = dsm__tok_unpack_classes(NULL, NULL);
        if (k.text > UINT32_MAX / 2) return dsm__err(error, DSM__ERR_TOK_MANY, dsm__s("tokenizer.ggml.tokens"), dsm__u(k.text));
    }
    dsm__tok_layout(t, &k, &m);
    if (m.wrapped || m.used > SIZE_MAX) return dsm__err(error, DSM__ERR_TOO_LARGE, dsm__s("the vocabulary"));
    t->block = m.base = (uint8_t *)dsm__mem_alloc(&t->allocator, (size_t)m.used);
    if (!t->block) return dsm__err(error, DSM__ERR_NO_MEMORY, dsm__u(m.used), dsm__s("the vocabulary"));
    t->bytes = m.size = m.used; m.used = 0;
    dsm__tok_layout(t, &k, &m);
    for (int i = 0; i < 256; i++) t->byte_id[i] = DSM__TOK_NONE;
    dsm__tok_alphabet(byte_of);
    t->n_far = dsm__tok_unpack_classes(t->classes, t->far_classes);
    if ((e = dsm__tok_read_tokens(t, &k, byte_of, error)) != DSM_OK) return e;
    dsm__tok_sort_added(t);
    if (!t->spm) for (int b = 0; b < 256; b++) { char c = (char)b; if (t->byte_id[b] < 0) t->byte_id[b] = dsm__tok_find(t, &c, 1); }
    dsm__tok_read_bytes(t, byte_of);
    if (k.merges && (e = dsm__tok_read_merges(t, k.merges, byte_of, &skipped, error)) != DSM_OK) return e;
    if (skipped) dsm__err_log(log, DSM_LOG_WARNING, "tokenizer.ggml.merges: % of % join no known tokens and are not used", dsm__u(skipped), dsm__u(k.merges->count));
    dsm__tok_read_specials(t, f, log);
    for (uint32_t i = 0; i < t->n_added; i++) t->first[(uint8_t)t->text[t->offset[t->added[i]]]] |= (uint8_t)dsm__tok_mode_bits(t, t->added[i]);
    for (int b = 0; b < 256; b++) missing += t->byte_id[b] < 0;
    t->byte_instead = t->unknown >= 0 ? t->unknown : t->byte_id[63 /* ? */];
    if (missing) dsm__err_log(log, DSM_LOG_WARNING, "% of the 256 bytes have no token; text with them is not kept as it is", dsm__u(missing));
    v = t->spm || t->pre == DSM__TOK_PRE_LLAMA3;
    if ((e = dsm__file_bool(f, "tokenizer.ggml.add_bos_token", v, &t->add_bos, error)) != DSM_OK) return e;
    if ((e = dsm__file_bool(f, "tokenizer.ggml.add_eos_token", 0, &t->add_eos, error)) != DSM_OK) return e;
    if ((e = dsm__file_bool(f, "tokenizer.ggml.add_space_prefix", t->spm, &t->add_space, error)) != DSM_OK) return e;
    dsm__tok_choose_template(t, f, log);
    return DSM_OK;
}
/* Everything that a vocabulary needs; one allocation. A file without a vocabulary is fine: n_tokens is 0. */
DSM__FN dsm_status dsm__tok_open(dsm__tok *t, const dsm__file *f, const dsm_allocator *a, const dsm_log *log, dsm_error *error) {
    dsm_status e;
    memset(t, 0, sizeof *t);
    t->allocator = *a;
    t->bos = t->eos = t->pad = t->unknown = t->think = t->end_think = t->fim_prefix = t->fim_suffix = t->fim_middle = t->byte_instead = DSM__TOK_NONE;
    e = dsm__tok_open_parts(t, f, log, error);
    if (e != DSM_OK) dsm__tok_close(t);
    return e;
}

/* ---- text to ids ---- */
/* The merges of one piece. A symbol is a range of bytes; sym[first byte] is its id. The other bytes of it are marked: the last one holds where it starts,
   the second one (of three or more) where the next one starts. rank[first byte] is the rank of the merge with the next symbol; above it, a tree of the least of 16. */
enum { DSM__TOK_LEVELS = 8, DSM__TOK_STACK = 2048 /* words: pieces of up to 960 bytes need no memory */, DSM__TOK_WORK = 11 /* bytes that always do for a byte of text */ };
#define DSM__TOK_INNER 0x80000000u
#define DSM__TOK_NO_ID 0x7fffffffu
typedef struct dsm__tok_piece { const dsm__tok *t; const uint8_t *s; uint32_t n, *sym, *level[DSM__TOK_LEVELS], size[DSM__TOK_LEVELS]; int top; } dsm__tok_piece;
DSM__FN uint64_t dsm__tok_piece_words(uint64_t n) { /* of memory for a piece of n bytes */
    uint64_t words = n, m = n;
    do { m = (m + 15) / 16 * 16; words += m; m /= 16; } while (m > 1);
    return words;
}
DSM__FN void dsm__tok_piece_place(dsm__tok_piece *p, uint32_t *words) {
    uint32_t m = p->n;
    p->sym = words; words += p->n;
    for (p->top = 0; ; p->top++) {
        p->level[p->top] = words; p->size[p->top] = m;
        if (m <= 16) break;
        words += (m + 15) / 16 * 16; m = (m + 15) / 16;
    }
}
DSM__FN uint32_t dsm__tok_next_symbol(const dsm__tok_piece *p, uint32_t at) {
    uint32_t v;
    if (at + 1 == p->n || !(p->sym[at + 1] & DSM__TOK_INNER)) return at + 1;
    v = p->sym[at + 1] & ~DSM__TOK_INNER;
    return v > at ? v : at + 2;
}
DSM__FN uint32_t dsm__tok_symbol_before(const dsm__tok_piece *p, uint32_t at) { /* at > 0 */
    uint32_t v = p->sym[at - 1];
    return v & DSM__TOK_INNER ? v & ~DSM__TOK_INNER : at - 1;
}
DSM__FN void dsm__tok_set_symbol(dsm__tok_piece *p, uint32_t at, uint32_t next, uint32_t id) {
    p->sym[at] = id;
    if (next - at > 1) { p->sym[at + 1] = next | DSM__TOK_INNER; p->sym[next - 1] = at | DSM__TOK_INNER; }
}
DSM__FN uint32_t dsm__tok_pair_rank(const dsm__tok_piece *p, uint32_t at, uint32_t second, uint32_t end) { /* of the symbols [at, second) and [second, end) */
    const dsm__tok *t = p->t; int32_t id;
    if (!t->spm) return dsm__tok_rank(t, p->sym[at], p->sym[second]);
    if (end - at > t->longest) return DSM__TOK_NO_RANK;
    id = dsm__tok_find(t, (const char *)p->s + at, end - at);
    return id < 0 ? DSM__TOK_NO_RANK : t->score[id];
}
DSM__FN uint32_t dsm__tok_least(const uint32_t *v, uint32_t n) { uint32_t least = v[0]; for (uint32_t i = 1; i < n; i++) if (v[i] < least) least = v[i]; return least; }
DSM__FN void dsm__tok_set_rank(dsm__tok_piece *p, uint32_t at, uint32_t rank) {
    p->level[0][at] = rank;
    for (int k = 0; k < p->top; k++) {
        uint32_t block = at / 16, n = p->size[k] - block * 16, least = dsm__tok_least(p->level[k] + block * 16, n < 16 ? n : 16);
        if (p->level[k + 1][block] == least) break;
        p->level[k + 1][block] = least; at = block;
    }
}
DSM__FN void dsm__tok_merge(dsm__tok_piece *p) { /* until no pair has a rank: the lowest one, leftmost among equals */
    uint32_t at, second, end;
    for (at = 0; at < p->n; at = second) { /* ranks of all neighbours */
        second = dsm__tok_next_symbol(p, at);
        p->level[0][at] = second < p->n ? dsm__tok_pair_rank(p, at, second, dsm__tok_next_symbol(p, second)) : DSM__TOK_NO_RANK;
        for (uint32_t i = at + 1; i < second; i++) p->level[0][i] = DSM__TOK_NO_RANK;
    }
    for (int k = 0; k < p->top; k++) for (uint32_t i = 0; i < p->size[k + 1]; i++) {
        uint32_t n = p->size[k] - i * 16;
        p->level[k + 1][i] = dsm__tok_least(p->level[k] + i * 16, n < 16 ? n : 16);
    }
    for (;;) {
        uint32_t rank = dsm__tok_least(p->level[p->top], p->size[p->top]);
        if (rank == DSM__TOK_NO_RANK) return;
        at = 0;
        for (int k = p->top; k >= 0; k--) for (at *= 16; p->level[k][at] != rank;) at++;
        second = dsm__tok_next_symbol(p, at); end = dsm__tok_next_symbol(p, second);
        dsm__tok_set_symbol(p, at, end, p->t->spm ? 0 : p->t->merged[rank]);
        dsm__tok_set_rank(p, second, DSM__TOK_NO_RANK);
        dsm__tok_set_rank(p, at, end < p->n ? dsm__tok_pair_rank(p, at, end, dsm__tok_next_symbol(p, end)) : DSM__TOK_NO_RANK);
        if (at) { uint32_t before = dsm__tok_symbol_before(p, at); dsm__tok_set_rank(p, before, dsm__tok_pair_rank(p, before, at, end)); }
    }
}

/* One encoding: where the ids go, and memory for long pieces. */
typedef struct dsm__tok_run {
    const dsm__tok *t; int32_t *ids; size_t cap, count; /* count goes on beyond cap */
    int bos; /* a BOS was written first: no other follows it */
    void *work; size_t work_bytes, work_only; void *taken; size_t taken_bytes; /* the caller's, of which so much is free; its size, and then nothing is allocated; what was allocated */
    uint32_t *stack; dsm_status status; dsm_error *error;
} dsm__tok_run;
DSM__FN void dsm__tok_push(dsm__tok_run *r, int32_t id) {
    if (id < 0 || (r->bos && r->count == 1 && id == r->t->bos)) return;
    if (r->count < r->cap) r->ids[r->count] = id;
    r->count++;
}
DSM__FN void dsm__tok_push_byte(dsm__tok_run *r, uint8_t byte) { int32_t id = r->t->byte_id[byte]; dsm__tok_push(r, id < 0 ? r->t->byte_instead : id); }
DSM__FN void dsm__tok_push_symbol(dsm__tok_run *r, int32_t id, const uint8_t *s, size_t n) { /* bytes instead of no token, or of one that no text may become */
    if (id >= 0 && !(r->t->kind[id] & DSM__TOK_GUARDED)) dsm__tok_push(r, id);
    else for (size_t i = 0; i < n; i++) dsm__tok_push_byte(r, s[i]);
}
DSM__FN void *dsm__tok_memory(dsm__tok_run *r, uint64_t bytes) { /* valid until the next call; NULL: none, and the status says so */
    if (bytes <= DSM__TOK_STACK * 4) return r->stack;
    if (bytes <= r->work_bytes) return r->work;
    if (r->work_only) { r->status = dsm__err(r->error, DSM__ERR_TOK_LONG, dsm__u(bytes / DSM__TOK_WORK), dsm__u(r->work_only / DSM__TOK_WORK)); return NULL; }
    if (bytes <= r->taken_bytes) return r->taken;
    dsm__mem_free(&r->t->allocator, r->taken, r->taken_bytes);
    r->taken = bytes > SIZE_MAX / 2 ? NULL : dsm__mem_alloc(&r->t->allocator, (size_t)bytes);
    r->taken_bytes = r->taken ? (size_t)bytes : 0;
    if (!r->taken) r->status = dsm__err(r->error, DSM__ERR_NO_MEMORY, dsm__u(bytes), dsm__s("a long word"));
    return r->taken;
}
DSM__FN void dsm__tok_bpe(dsm__tok_run *r, const uint8_t *s, size_t n) { /* one piece */
    const dsm__tok *t = r->t; dsm__tok_piece p; uint32_t *words;
    if (n == 1) { dsm__tok_push_byte(r, *s); return; }
    if (t->whole_first && n <= t->longest) { int32_t id = dsm__tok_find(t, (const char *)s, n); if (id >= 0) { dsm__tok_push_symbol(r, id, s, n); return; } }
    if (n >= DSM__TOK_NO_ID) { r->status = dsm__err(r->error, DSM__ERR_TOO_LARGE, dsm__s("a word of 2 GB")); return; }
    words = (uint32_t *)dsm__tok_memory(r, dsm__tok_piece_words(n) * 4);
    if (!words) return;
    p.t = t; p.s = s; p.n = (uint32_t)n;
    dsm__tok_piece_place(&p, words);
    for (size_t i = 0; i < n; i++) p.sym[i] = t->byte_id[s[i]] < 0 ? DSM__TOK_NO_ID : (uint32_t)t->byte_id[s[i]];
    dsm__tok_merge(&p);
    for (uint32_t at = 0, next; at < p.n; at = next) {
        next = dsm__tok_next_symbol(&p, at);
        dsm__tok_push_symbol(r, p.sym[at] == DSM__TOK_NO_ID ? DSM__TOK_NONE : (int32_t)p.sym[at], s + at, next - at);
    }
}
DSM__FN void dsm__tok_split(dsm__tok_run *r, const dsm__tok_pass *pass, const uint8_t *s, size_t from, size_t end) { /* as deep as there are passes: at most 7 */
    size_t gap = from, to;
    if (from == end || r->status < 0) return;
    if (pass->kind == DSM__TOK_LAST || end - from == 1) { dsm__tok_bpe(r, s + from, end - from); return; }
    while (from < end) {
        if (dsm__tok_match(r->t, pass, s, from, end, &to)) {
            dsm__tok_split(r, pass + 1, s, gap, from);
            dsm__tok_split(r, pass + 1, s, from, to);
            gap = to;
        }
        from = to;
    }
    dsm__tok_split(r, pass + 1, s, gap, end);
}
DSM__FN void dsm__tok_spm(dsm__tok_run *r, const uint8_t *from, size_t n) { /* a whole fragment, with a space before it */
    const dsm__tok *t = r->t; dsm__tok_piece p; uint32_t *words, at, next; uint8_t *s; uint32_t cp; uint64_t n_words;
    if (n >= DSM__TOK_NO_ID) { r->status = dsm__err(r->error, DSM__ERR_TOO_LARGE, dsm__s("a text of 2 GB")); return; }
    p.t = t; p.n = (uint32_t)n + (t->add_space ? 1 : 0);
    n_words = dsm__tok_piece_words(p.n);
    words = (uint32_t *)dsm__tok_memory(r, n_words * 4 + p.n);
    if (!words) return;
    s = (uint8_t *)(words + n_words); p.s = s;
    s[0] = ' '; memcpy(s + p.n - n, from, n);
    dsm__tok_piece_place(&p, words);
    for (at = 0; at < p.n; at = next) { next = at + (uint32_t)dsm__tok_utf8(s + at, p.n - at, &cp); dsm__tok_set_symbol(&p, at, next, 0); }
    dsm__tok_merge(&p);
    for (at = 0; at < p.n; at = next) {
        int32_t id;
        next = dsm__tok_next_symbol(&p, at);
        id = next - at <= t->longest ? dsm__tok_find(t, (const char *)s + at, next - at) : DSM__TOK_NONE;
        dsm__tok_push_symbol(r, id, s + at, next - at);
    }
}
DSM__FN void dsm__tok_fragment(dsm__tok_run *r, const uint8_t *s, size_t n) { /* between added tokens */
    if (!n || r->status < 0) return;
    if (r->t->spm) dsm__tok_spm(r, s, n); else dsm__tok_split(r, dsm__tok_passes[r->t->pre], s, 0, n);
}
DSM__FN void dsm__tok_text(dsm__tok_run *r, const char *text, size_t n, int flags) {
    const dsm__tok *t = r->t; const uint8_t *s = (const uint8_t *)text; size_t from = 0, i = 0, z; int32_t id = 0; int mode;
    if (!n) return;
    mode = flags & DSM_TOKENIZE_SPECIAL ? 4 : flags & DSM__TOK_MESSAGE ? 1 : 2;
    while (i < n && r->status >= 0)
        if ((t->first[s[i]] & mode) && (z = dsm__tok_added_at(t, s + i, n - i, mode, &id)) > 0) {
            dsm__tok_fragment(r, s + from, i - from);
            dsm__tok_push(r, id); i += z; from = i;
        } else i++;
    dsm__tok_fragment(r, s + from, n - from);
}
DSM__FN dsm_status dsm__tok_start(dsm__tok_run *r, const dsm__tok *t, uint32_t *stack, int32_t *ids, size_t cap, void *work, size_t work_bytes, dsm_error *error) {
    memset(r, 0, sizeof *r);
    r->t = t; r->stack = stack; r->ids = ids; r->cap = cap; r->work = work; r->work_bytes = r->work_only = work ? work_bytes : 0; r->error = error;
    return t->n_tokens ? DSM_OK : (r->status = dsm__err(error, DSM__ERR_TOK_NONE));
}
DSM__FN dsm_status dsm__tok_finish(dsm__tok_run *r, size_t *count) {
    dsm__mem_free(&r->t->allocator, r->taken, r->taken_bytes);
    *count = r->count;
    return r->status < 0 ? r->status : r->count > r->cap ? DSM_MORE : DSM_OK;
}
DSM__FN void dsm__tok_begin(dsm__tok_run *r) { if (r->t->bos >= 0 && !r->count) { dsm__tok_push(r, r->t->bos); r->bos = 1; } }
/* flags: DSM_TOKENIZE_*, DSM__TOK_MESSAGE. MORE: there are *count ids, more than cap. work (aligned to 4; may be NULL) is for pieces of more than 960 bytes and takes
   about 8.3 times their length (llama: 9.3 times the text); without one the allocator is asked; one that is too small is an error. Thread-safe. */
DSM__FN dsm_status dsm__tok_encode(const dsm__tok *t, const char *text, size_t n, int flags, int32_t *ids, size_t cap, size_t *count,
                                   void *work, size_t work_bytes, dsm_error *error) {
    uint32_t stack[DSM__TOK_STACK]; dsm__tok_run r;
    if (dsm__tok_start(&r, t, stack, ids, cap, work, work_bytes, error) == DSM_OK) {
        if (flags & DSM_TOKENIZE_BOS) dsm__tok_begin(&r);
        dsm__tok_text(&r, text, n, flags);
    }
    return dsm__tok_finish(&r, count);
}

/* ---- ids to text ---- */
DSM__FN dsm_token_kind dsm__tok_kind(const dsm__tok *t, int32_t id) {
    return id < 0 || id >= t->n_tokens ? DSM_TOKEN_UNUSED : (dsm_token_kind)(t->kind[id] & DSM__TOK_KIND);
}
DSM__FN int dsm__tok_is_padding(const dsm__tok *t, int32_t id) { /* no answer has it: unused, [PAD7] as older converters type it, or the special token that pads */
    dsm_token_kind kind = dsm__tok_kind(t, id); dsm__str s;
    if (kind == DSM_TOKEN_UNUSED) return 1;
    if (t->kind[id] & DSM__TOK_END) return 0;
    s = dsm__tok_str(t, (uint32_t)id);
    if (kind != DSM_TOKEN_USER || s.n < 6 || memcmp(s.at, "[PAD", 4) || s.at[s.n - 1] != ']') return (kind == DSM_TOKEN_CONTROL || kind == DSM_TOKEN_USER) && id == t->pad;
    for (size_t i = 4; i + 1 < s.n; i++) if (s.at[i] < '0' || s.at[i] > '9') return 0;
    return 1;
}
DSM__FN int dsm__tok_is_end(const dsm__tok *t, int32_t id) { return id >= 0 && id < t->n_tokens && (t->kind[id] & DSM__TOK_END) != 0; }
DSM__FN dsm__str dsm__tok_bytes(const dsm__tok *t, int32_t id, int special) {
    dsm_token_kind kind = dsm__tok_kind(t, id);
    if (kind == DSM_TOKEN_UNUSED || ((kind == DSM_TOKEN_CONTROL || kind == DSM_TOKEN_UNKNOWN) && !special)) return dsm__str_n("", 0);
    return dsm__tok_str(t, (uint32_t)id);
}
DSM__FN size_t dsm__tok_decode_one(const dsm__tok *t, int32_t id, int special, char *out, size_t cap) { /* the length needed; as much of it as fits is written */
    dsm__str s = dsm__tok_bytes(t, id, special); size_t n = s.n < cap ? s.n : cap;
    if (n) memcpy(out, s.at, n);
    return s.n;
}
/* The bytes of a whole text. llama vocabularies: the space that encoding puts first is taken off; dsm__tok_stream, which goes on in a text, leaves it. */
DSM__FN size_t dsm__tok_decode(const dsm__tok *t, const int32_t *ids, size_t n, int special, char *out, size_t cap) {
    size_t size = 0; int first = t->spm && t->add_space;
    for (size_t i = 0; i < n; i++) {
        dsm__str s = dsm__tok_bytes(t, ids[i], special);
        if (first && s.n) { first = 0; if (s.at[0] == ' ') { s.at++; s.n--; } }
        if (size < cap && s.n) memcpy(out + size, s.at, s.n < cap - size ? s.n : cap - size);
        size += s.n;
    }
    return size;
}
/* Whole characters; id -1: what is held. Gives how many bytes, or -1: cap is too small, nothing changed. */
DSM__FN int dsm__tok_stream(const dsm__tok *t, dsm_stream *stream, int32_t id, char *out, size_t cap) {
    dsm__str s = id < 0 ? dsm__str_n("", 0) : dsm__tok_bytes(t, id, 0);
    size_t held = stream->n_held > 0 && stream->n_held < 4 ? (size_t)stream->n_held : 0, n = held + s.n, keep;
    if (n > cap || n > INT_MAX) return -1;
    if (held) memcpy(out, stream->held, held);
    if (s.n) memcpy(out + held, s.at, s.n);
    keep = id < 0 ? 0 : dsm__tok_unfinished((const uint8_t *)out, n);
    if (keep) memcpy(stream->held, out + n - keep, keep);
    stream->n_held = (int)keep;
    return (int)(n - keep);
}

/* ---- conversations ---- */
/* A page is written twice, first to find the longest run of text between two special tokens. A run is the template's own words and messages together, as the
   model saw them in training (" Hi" after "User:" is one token), encoded as a message: no special token can come out of it. */
typedef struct dsm__tok_page { dsm__tok_run *r; char *run; size_t n, longest; int counting; } dsm__tok_page;
DSM__FN void dsm__tok_page_text(dsm__tok_page *p, const char *at, size_t n) {
    if (n > SIZE_MAX / 4 - p->n) { p->r->status = dsm__err(p->r->error, DSM__ERR_TOO_LARGE, dsm__s("the conversation")); return; }
    if (!p->counting && n) memcpy(p->run + p->n, at, n);
    p->n += n;
    if (p->n > p->longest) p->longest = p->n;
}
DSM__FN void dsm__tok_page_words(dsm__tok_page *p, const char *z) { dsm__tok_page_text(p, z, strlen(z)); }
DSM__FN void dsm__tok_page_id(dsm__tok_page *p, int32_t id) {
    if (!p->counting) { dsm__tok_text(p->r, p->run, p->n, DSM__TOK_MESSAGE); dsm__tok_push(p->r, id); }
    p->n = 0;
}
DSM__FN void dsm__tok_page_special(dsm__tok_page *p, const char *text) { /* as words where the vocabulary has no such token */
    int32_t id = dsm__tok_special(p->r->t, text);
    if (id >= 0) dsm__tok_page_id(p, id); else dsm__tok_page_words(p, text);
}
DSM__FN void dsm__tok_page_end(dsm__tok_page *p, const char *text) { /* the end of an answer: by its text, else the file's EOS */
    if (dsm__tok_special(p->r->t, text) >= 0 || p->r->t->eos < 0) dsm__tok_page_special(p, text);
    else dsm__tok_page_id(p, p->r->t->eos);
}
DSM__FN void dsm__tok_page_message(dsm__tok_page *p, const dsm_message *m) { /* an earlier answer without its reasoning, where the model wants that */
    size_t n = m->size || !m->text ? m->size : strlen(m->text), from = 0;
    if (!n) return;
    if (m->role == DSM_ASSISTANT && p->r->t->reasons)
        for (size_t i = n; i >= 8; i--) if (m->text[i - 1] == '>' && !memcmp(m->text + i - 8, "</think>", 8)) { from = i; break; }
    dsm__tok_page_text(p, m->text + from, n - from);
}
DSM__FN int dsm__tok_page_systems(dsm__tok_page *p, const dsm_message *m, size_t n) { /* all of them, a blank line between; how many */
    int found = 0;
    for (size_t i = 0; i < n; i++) if (m[i].role == DSM_SYSTEM) { if (found++) dsm__tok_page_words(p, "\n\n"); dsm__tok_page_message(p, m + i); }
    return found;
}
#define DSM__TOK_DEEP(name) "<" DSM__TOK_BAR name DSM__TOK_BAR ">"
/* The whole conversation; 1: what follows is reasoning. */
DSM__FN int dsm__tok_page_write(dsm__tok_page *p, const dsm_message *m, size_t n, dsm_think think) {
    static const char end[] = DSM__TOK_DEEP("end" DSM__TOK_LOW "of" DSM__TOK_LOW "sentence");
    static const char *const roles[] = { "", "system", "user", "assistant" };
    const dsm__tok *t = p->r->t; int inside = 0, has_think = t->think >= 0 && t->end_think >= 0;
    int by_default = t->family == DSM_TEMPLATE_CHATML || t->family == DSM_TEMPLATE_RAW ? t->add_bos : 1; /* these templates print no BOS */
    if (by_default && !p->counting) dsm__tok_begin(p->r);
    switch (t->family) {
    case DSM_TEMPLATE_LLM:
        for (size_t i = 0; i < n; i++) {
            if (m[i].role == DSM_USER) dsm__tok_page_words(p, "User: ");
            if (m[i].role == DSM_ASSISTANT) dsm__tok_page_words(p, "Assistant: ");
            dsm__tok_page_message(p, m + i);
            if (m[i].role == DSM_ASSISTANT) dsm__tok_page_end(p, end); else dsm__tok_page_words(p, "\n\n");
        }
        dsm__tok_page_words(p, "Assistant:");
        break;
    case DSM_TEMPLATE_CODER:
        if (!dsm__tok_page_systems(p, m, n)) dsm__tok_page_words(p, "You are an AI programming assistant, utilizing the Deepseek Coder model, developed by Deepseek Company, "
            "and you only answer questions related to computer science. For politically sensitive questions, security and privacy issues, "
            "and other non-computer science questions, you will refuse to answer\n");
        for (size_t i = 0; i < n; i++) {
            if (m[i].role == DSM_SYSTEM) continue;
            dsm__tok_page_words(p, m[i].role == DSM_USER ? "### Instruction:\n" : "### Response:\n");
            dsm__tok_page_message(p, m + i);
            dsm__tok_page_words(p, "\n");
            if (m[i].role == DSM_ASSISTANT) { dsm__tok_page_special(p, "<|EOT|>"); dsm__tok_page_words(p, "\n"); }
        }
        dsm__tok_page_words(p, "### Response:\n");
        break;
    case DSM_TEMPLATE_V3: case DSM_TEMPLATE_R1: case DSM_TEMPLATE_V31:
        dsm__tok_page_systems(p, m, n);
        for (size_t i = 0; i < n; i++) {
            if (m[i].role == DSM_SYSTEM) continue;
            if (m[i].role == DSM_USER) dsm__tok_page_special(p, DSM__TOK_DEEP("User"));
            else { dsm__tok_page_special(p, DSM__TOK_DEEP("Assistant")); if (t->family == DSM_TEMPLATE_V31) dsm__tok_page_special(p, "</think>"); }
            dsm__tok_page_message(p, m + i);
            if (m[i].role == DSM_ASSISTANT) dsm__tok_page_end(p, end);
        }
        dsm__tok_page_special(p, DSM__TOK_DEEP("Assistant"));
        break;
    case DSM_TEMPLATE_CHATML: case DSM_TEMPLATE_LLAMA3:
        for (size_t i = 0; i <= n; i++) {
            const char *role = roles[i < n ? m[i].role : DSM_ASSISTANT]; int chatml = t->family == DSM_TEMPLATE_CHATML;
            dsm__tok_page_special(p, chatml ? "<|im_start|>" : "<|start_header_id|>");
            dsm__tok_page_words(p, role);
            if (!chatml) dsm__tok_page_special(p, "<|end_header_id|>");
            dsm__tok_page_words(p, chatml ? "\n" : "\n\n");
            if (i == n) break;
            dsm__tok_page_message(p, m + i);
            dsm__tok_page_special(p, chatml ? "<|im_end|>" : "<|eot_id|>");
            if (chatml) dsm__tok_page_words(p, "\n");
        }
        break;
    case DSM_TEMPLATE_RAW: default:
        for (size_t i = 0; i < n; i++) dsm__tok_page_message(p, m + i);
    }
    if (t->family == DSM_TEMPLATE_V31) {
        inside = think == DSM_THINK_ON;
        dsm__tok_page_special(p, inside ? "<think>" : "</think>");
    } else if (t->family == DSM_TEMPLATE_R1 || (has_think && think != DSM_THINK_FREE && (t->reasons || think == DSM_THINK_ON))) {
        inside = think != DSM_THINK_OFF;
        dsm__tok_page_special(p, "<think>");
        dsm__tok_page_words(p, inside ? "\n" : "\n\n");
        if (!inside) { dsm__tok_page_special(p, "</think>"); dsm__tok_page_words(p, "\n\n"); }
    }
    dsm__tok_page_id(p, DSM__TOK_NONE); /* the last run */
    return inside;
}
/* Memory for the longest run, the caller's or the allocator's. */
DSM__FN dsm_status dsm__tok_page_open(dsm__tok_page *p, void **text, size_t *bytes) {
    dsm__tok_run *r = p->r;
    *text = NULL; *bytes = 0;
    if (r->status < 0) return r->status;
    if (p->longest <= r->work_bytes / DSM__TOK_WORK) { /* a run of one word of that length still has room for its merges */
        size_t used = (size_t)dsm__round_up(p->longest, 64);
        p->run = (char *)r->work;
        if (used < r->work_bytes) { r->work = (uint8_t *)r->work + used; r->work_bytes -= used; } else r->work_bytes = 0;
    } else if (r->work_only) {
        return r->status = dsm__err(r->error, DSM__ERR_TOK_LONG, dsm__u(p->longest), dsm__u(r->work_only / DSM__TOK_WORK));
    } else {
        *text = dsm__mem_alloc(&r->t->allocator, p->longest); *bytes = p->longest; p->run = (char *)*text;
        if (!*text) return r->status = dsm__err(r->error, DSM__ERR_NO_MEMORY, dsm__u(p->longest), dsm__s("the text of a conversation"));
    }
    p->counting = 0; p->n = 0;
    return DSM_OK;
}
/* Ids of a conversation up to where the assistant speaks. *inside (may be NULL): 1: what it says first is reasoning. Otherwise like dsm__tok_encode; work takes
   the longest text between two special tokens too. */
DSM__FN dsm_status dsm__tok_chat(const dsm__tok *t, const dsm_message *messages, size_t n, dsm_think think, int32_t *ids, size_t cap, size_t *count, int *inside,
                                 void *work, size_t work_bytes, dsm_error *error) {
    uint32_t stack[DSM__TOK_STACK]; dsm__tok_run r; dsm__tok_page p; void *text = NULL; size_t bytes = 0; int in = 0;
    memset(&p, 0, sizeof p); p.r = &r; p.counting = 1;
    if (dsm__tok_start(&r, t, stack, ids, cap, work, work_bytes, error) == DSM_OK) {
        for (size_t i = 0; i < n; i++) {
            if (messages[i].role != DSM_SYSTEM && messages[i].role != DSM_USER && messages[i].role != DSM_ASSISTANT)
                r.status = dsm__err(error, DSM__ERR_TOK_ROLE, dsm__u(i), dsm__i((int64_t)messages[i].role));
            else if (!messages[i].text && messages[i].size) r.status = dsm__err(error, DSM__ERR_TOK_TEXT, dsm__u(i), dsm__u(messages[i].size));
        }
        if (r.status == DSM_OK) {
            dsm__tok_page_write(&p, messages, n, think);
            if (dsm__tok_page_open(&p, &text, &bytes) == DSM_OK) in = dsm__tok_page_write(&p, messages, n, think);
        }
        dsm__mem_free(&t->allocator, text, bytes);
    }
    if (inside) *inside = in;
    return dsm__tok_finish(&r, count);
}
#undef DSM__TOK_DEEP
/* Fill in the middle: what stands between prefix and suffix comes next. */
DSM__FN dsm_status dsm__tok_fim(const dsm__tok *t, const char *prefix, size_t n_prefix, const char *suffix, size_t n_suffix, int32_t *ids, size_t cap, size_t *count,
                                void *work, size_t work_bytes, dsm_error *error) {
    uint32_t stack[DSM__TOK_STACK]; dsm__tok_run r;
    if (dsm__tok_start(&r, t, stack, ids, cap, work, work_bytes, error) == DSM_OK) {
        if (t->fim_prefix < 0 || t->fim_suffix < 0 || t->fim_middle < 0) r.status = dsm__err(error, DSM__ERR_TOK_FIM);
        else {
            if (t->add_bos || t->pre == DSM__TOK_PRE_CODER || t->pre == DSM__TOK_PRE_LLM || t->pre == DSM__TOK_PRE_V3) dsm__tok_begin(&r);
            dsm__tok_push(&r, t->fim_prefix); dsm__tok_text(&r, prefix, n_prefix, DSM__TOK_MESSAGE);
            dsm__tok_push(&r, t->fim_suffix); dsm__tok_text(&r, suffix, n_suffix, DSM__TOK_MESSAGE);
            dsm__tok_push(&r, t->fim_middle);
        }
    }
    return dsm__tok_finish(&r, count);
}

// >>arch
/* Hyper-parameters and tensors of the models that run: llama, qwen2, qwen3, deepseek, deepseek2. The only room that knows model names. Every shape is
   checked against the metadata, so that nobody after it has to. Test: tests/arch.c */
typedef enum dsm__arch_family { DSM__ARCH_NONE = 0, DSM__ARCH_LLAMA, DSM__ARCH_QWEN2, DSM__ARCH_QWEN3, DSM__ARCH_DEEPSEEK, DSM__ARCH_DEEPSEEK2 } dsm__arch_family;
/* n_rows rows of n_cols, stride bytes apart, any alignment; header_only: data NULL, the rest right */
typedef struct dsm__mat { const uint8_t *data; size_t stride; int fmt, n_rows, n_cols, present; } dsm__mat;
typedef struct dsm__layer {
    const float *attn_norm, *ffn_norm;                                                 /* [width] */
    /* biases and per-head norms: NULL where the model has none. q also for MLA without q_a */
    dsm__mat q, k, v, o; const float *q_bias, *k_bias, *v_bias, *q_norm, *k_norm;
    dsm__mat q_a, q_b, kv_a; const float *q_a_norm, *kv_a_norm;                        /* MLA; q_a absent: q is direct */
    /* 1: k_b and v_b are tensors; 0: kv_b is, v_b is a view of it, k_b absent */
    int split;
    /* kv_b: [heads * (nope + head_v)][latent]; k_b: [heads * latent][nope]; v_b: head_v rows of [latent] for each head */
    dsm__mat kv_b, k_b, v_b;
    size_t kv_b_head_stride, k_b_head_stride, v_b_head_stride;                         /* bytes from one head's first row to the next head's */
    int moe; dsm__mat gate, up, down;                                                  /* dense, or absent */
    dsm__mat router; const float *router_bias;                                         /* [n_experts][width]: F32, F16 or BF16; bias: NULL or [n_experts] */
    /* expert e: rows e * expert_width ..; down: e * width ..; fused: gate_exps has 2 * expert_width rows an expert, gate first, up_exps absent */
    int fused_gate_up; dsm__mat gate_exps, up_exps, down_exps;
    dsm__mat gate_shared, up_shared, down_shared;                                      /* absent: no shared expert */
    /* MTP layers; embed, head: absent where the model's are used; mtp_norm is never NULL */
    dsm__mat eh_proj, mtp_embed, mtp_head; const float *enorm, *hnorm, *mtp_norm;
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

DSM__FN void dsm__arch_fail(dsm__arch_reader *r, dsm_status status) { r->status = status; }

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
    if (!r->status && k && k->type == DSM__GGUF_ARRAY && k->count < (uint64_t)r->n_blocks)
        dsm__arch_fail(r, dsm__err(r->error, DSM__ERR_KEY_LAYERS, dsm__s(r->key), dsm__u(k->count), dsm__i(r->n_blocks)));
    if (!r->status && (k || fallback > most) && (v < least || v > most))
        dsm__arch_fail(r, dsm__err(r->error, DSM__ERR_KEY_RANGE, dsm__s(r->key), dsm__u(v), dsm__u(least), dsm__u(most)));
    return r->status ? least : v;
}
DSM__FN int dsm__arch_int(dsm__arch_reader *r, const char *name, uint64_t fallback, int least, int most) {
    return (int)dsm__arch_uint(r, name, fallback, (uint64_t)least, (uint64_t)most); }
DSM__FN double dsm__arch_float(dsm__arch_reader *r, const char *name, double fallback) {
    double v = 1;
    if (r->status) return 1;
    r->status = dsm__file_f64(r->f, dsm__arch_key(r, name), fallback, &v, r->error);
    if (!r->status && !(v > -3e38 && v < 3e38)) dsm__arch_fail(r, dsm__err(r->error, DSM__ERR_KEY_FINITE, dsm__s(r->key), dsm__s("")));
    return r->status ? 1 : v;
}
DSM__FN double dsm__arch_above(dsm__arch_reader *r, const char *name, double fallback, double limit, const char *limit_name) { /* finite, above a limit */
    double v = dsm__arch_float(r, name, fallback);
    if (!r->status && !(v > limit)) dsm__arch_fail(r, dsm__err(r->error, DSM__ERR_KEY_FINITE, dsm__s(r->key), dsm__s(limit_name)));
    return r->status ? 2 : v;
}
/* Keys that change the mathematics, with the value that changes nothing (0 never does): better no answer than a wrong one. */
DSM__FN void dsm__arch_refuse(dsm__arch_reader *r) {
    static const struct { const char *key; double neutral; } list[] = {
        { "logit_scale", 1 }, { "attention.scale", 0 }, { "attention.temperature_scale", 0 }, { "attention.temperature_length", 0 },
        { "final_logit_softcapping", 0 }, { "attn_logit_softcapping", 0 }, { "router_logit_softcapping", 0 }, { "residual_scale", 1 },
        { "embedding_scale", 1 }, { "swiglu_clamp_exp", 0 }, { "swiglu_clamp_shexp", 0 }, { "attention.max_alibi_bias", 0 },
        { "attention.clamp_kqv", 0 }, { "use_parallel_residual", 0 }, { "attention.layer_norm_epsilon", 0 },
        { "attention.indexer.head_count", 0 }, { "moe_every_n_layers", 1 }, { "interleave_moe_layer_step", 1 }, { "expert_group_scale", 1 },
        { "rope.dimension_sections", 0 }, { "rope.freq_base_swa", 0 }, { "pooling_type", 0 } };
    for (size_t i = 0; i < DSM__COUNT(list) && !r->status; i++) {
        const dsm__key_ref *k = dsm__file_key(r->f, dsm__arch_key(r, list[i].key));
        if (!k || !dsm__file_width(k->type == DSM__GGUF_ARRAY ? k->element : k->type)) continue;
        for (uint64_t j = 0; j < k->count && !r->status; j++) {
            double v = dsm__file_element(k, j).d;
            if (!(v >= 0 && v <= 0) && !(v >= list[i].neutral && v <= list[i].neutral))
                dsm__arch_fail(r, dsm__err(r->error, DSM__ERR_ARCH_KEY, dsm__s(r->key))); }
    }
    if (!r->status) { /* a window that the context never leaves is none */
        uint64_t window = dsm__arch_uint(r, "attention.sliding_window", 0, 0, UINT64_MAX - 1),
            context = dsm__arch_uint(r, "context_length", 0, 0, UINT64_MAX - 1);
        if (!r->status && window && window < context)
            dsm__arch_fail(r, dsm__err(r->error, DSM__ERR_ARCH_KEY, dsm__s(dsm__arch_key(r, "attention.sliding_window")))); }
    if (!r->status && dsm__file_key(r->f, dsm__arch_key(r, "attention.causal"))) {
        int causal = 1;
        r->status = dsm__file_bool(r->f, r->key, 1, &causal, r->error);
        if (!r->status && !causal) dsm__arch_fail(r, dsm__err(r->error, DSM__ERR_ARCH_KEY, dsm__s(r->key))); }
}
DSM__FN void dsm__arch_experts(dsm__arch_reader *r) {
    dsm__arch *m = r->m; int gating, has_groups, experts;
    if (m->family != DSM__ARCH_DEEPSEEK && m->family != DSM__ARCH_DEEPSEEK2) {
        if (dsm__arch_int(r, "expert_count", 0, 0, INT_MAX) && !r->status) dsm__arch_fail(r, dsm__err(r->error, DSM__ERR_ARCH_EXPERTS, dsm__s(r->key)));
        m->n_dense = m->n_layers + m->n_mtp; return; }
    m->n_experts = experts = dsm__arch_int(r, "expert_count", DSM__REQUIRED, 1, DSM__ARCH_EXPERTS);
    m->n_used = dsm__arch_int(r, "expert_used_count", DSM__REQUIRED, 1, experts);
    m->expert_width = dsm__arch_int(r, "expert_feed_forward_length", DSM__REQUIRED, 1, DSM__ARCH_WIDTH);
    m->n_dense = dsm__arch_int(r, "leading_dense_block_count", 0, 0, m->n_layers + m->n_mtp);
    m->n_shared = -1; /* as many as the tensors say */
    if (dsm__arch_has(r, "expert_shared_count")) m->n_shared = dsm__arch_int(r, "expert_shared_count", 0, 0, 1024);
    m->expert_scale = (float)dsm__arch_float(r, "expert_weights_scale", 0);
    if (!(m->expert_scale < 0 || m->expert_scale > 0)) m->expert_scale = 1;
    if (!r->status) r->status = dsm__file_bool(r->f, dsm__arch_key(r, "expert_weights_norm"), 0, &m->normalize, r->error);
    gating = dsm__arch_int(r, "expert_gating_func", 0, 0, 255);
    if (!r->status && gating > 2) dsm__arch_fail(r,
        dsm__err(r->error, gating > 4 ? DSM__ERR_KEY_RANGE : DSM__ERR_KEY_GATING, dsm__s(r->key), dsm__i(gating), dsm__i(0), dsm__i(4)));
    m->sigmoid = gating == 2;
    has_groups = dsm__arch_has(r, "expert_group_count");
    if (has_groups) m->n_groups = dsm__arch_int(r, "expert_group_count", 0, 0, DSM__ARCH_EXPERTS);
    /* V3 and V2 files from before the key existed */
    else if ((experts == 256 && m->sigmoid) || experts == 160) { m->n_groups = 8; m->n_groups_used = experts == 256 ? 4 : 3; }
    if (m->n_groups <= 1) m->n_groups = m->n_groups_used = 0;
    else {
        if (has_groups) m->n_groups_used = dsm__arch_int(r, "expert_group_used_count", DSM__REQUIRED, 1, m->n_groups);
        if (!r->status && (experts % m->n_groups || experts / m->n_groups < 2 || experts / m->n_groups * m->n_groups_used < m->n_used))
            dsm__arch_fail(r, dsm__err(r->error, DSM__ERR_GROUPS, dsm__i(experts), dsm__i(m->n_groups), dsm__i(m->n_groups_used), dsm__i(m->n_used))); }
}
DSM__FN void dsm__arch_heads(dsm__arch_reader *r) {
    dsm__arch *m = r->m; uint64_t by_head; int key = 0;
    m->n_heads = dsm__arch_int(r, "attention.head_count", DSM__REQUIRED, 1, 1 << 14);
    if (m->mla) {
        m->latent = dsm__arch_int(r, "attention.kv_lora_rank", DSM__REQUIRED, 1, 1 << 16);
        m->q_rank = dsm__arch_int(r, "attention.q_lora_rank", 0, 0, 1 << 16);
        m->n_rot = dsm__arch_int(r, "rope.dimension_count", DSM__REQUIRED, 1, 1 << 16);
        m->head_k = dsm__arch_has(r, "attention.key_length_mla") ? dsm__arch_int(r, "attention.key_length_mla", 0, 1, 1 << 16)
            : dsm__arch_int(r, "attention.key_length", DSM__REQUIRED, 1, 1 << 16);
        m->head_v = dsm__arch_has(r, "attention.value_length_mla") ? dsm__arch_int(r, "attention.value_length_mla", 0, 1, 1 << 16)
            : dsm__arch_int(r, "attention.value_length", DSM__REQUIRED, 1, 1 << 16);
        if (!r->status && m->head_k <= m->n_rot) dsm__arch_fail(r, dsm__err(r->error, DSM__ERR_MLA_ROPE, dsm__i(m->head_k), dsm__i(m->n_rot)));
        m->nope = m->head_k - m->n_rot; m->n_kv_heads = 1;
    } else {
        m->n_kv_heads = dsm__arch_int(r, "attention.head_count_kv", (uint64_t)m->n_heads, 1, m->n_heads);
        if (!r->status && m->n_heads % m->n_kv_heads)
            dsm__arch_fail(r, dsm__err(r->error, DSM__ERR_HEADS_DIVIDE, dsm__s(r->key), dsm__i(m->n_kv_heads), dsm__s("attention.head_count"),
            dsm__i(m->n_heads)));
        by_head = (uint64_t)(m->width / m->n_heads);
        for (int i = 0; i < 2; i++) if (!dsm__arch_has(r, i ? "attention.value_length" : "attention.key_length") && m->width % m->n_heads && !r->status) {
            dsm__arch_key(r, "attention.head_count");
            dsm__arch_fail(r, dsm__err(r->error, DSM__ERR_HEADS_DIVIDE, dsm__s(r->key), dsm__i(m->n_heads), dsm__s("embedding_length"), dsm__i(m->width))); }
        m->head_k = dsm__arch_int(r, "attention.key_length", by_head, 1, 1 << 16);
        m->head_v = dsm__arch_int(r, "attention.value_length", by_head, 1, 1 << 16);
        key = dsm__arch_int(r, "rope.dimension_count", 0, 0, 1 << 16);
        m->n_rot = key ? key : m->head_k;
    }
    dsm__arch_key(r, "rope.dimension_count");
    if (!r->status && (m->n_rot > m->head_k || m->n_rot % 2))
        dsm__arch_fail(r, dsm__err(r->error, DSM__ERR_KEY_RANGE, dsm__s(r->key), dsm__i(m->n_rot), dsm__s("even numbers up"), dsm__i(m->head_k)));
}
DSM__FN void dsm__arch_numbers(dsm__arch_reader *r) {
    dsm__arch *m = r->m; double eps;
    r->n_blocks = dsm__arch_int(r, "block_count", DSM__REQUIRED, 1, DSM__ARCH_LAYERS);
    m->n_mtp = dsm__arch_int(r, "nextn_predict_layers", 0, 0, r->n_blocks - 1);
    m->n_layers = r->n_blocks - m->n_mtp;
    if (m->n_mtp && m->family != DSM__ARCH_DEEPSEEK2 && !r->status)
        dsm__arch_fail(r, dsm__err(r->error, DSM__ERR_ARCH_KEY, dsm__s(dsm__arch_key(r, "nextn_predict_layers"))));
    m->width = dsm__arch_int(r, "embedding_length", DSM__REQUIRED, 1, DSM__ARCH_WIDTH);
    { uint64_t context = dsm__arch_uint(r, "context_length", DSM__REQUIRED, 1, UINT64_MAX - 1);
        m->context = context > DSM__ARCH_CONTEXT ? (int)DSM__ARCH_CONTEXT : (int)context; }
    m->ffn_width = dsm__arch_int(r, "feed_forward_length", DSM__REQUIRED, 1, DSM__ARCH_WIDTH);
    eps = dsm__arch_float(r, "attention.layer_norm_rms_epsilon", DSM__REQUIRED_F64); m->eps = (float)eps;
    if (!r->status && !(m->eps >= 0)) dsm__arch_fail(r, dsm__err(r->error, DSM__ERR_KEY_FINITE, dsm__s(r->key), dsm__s(", not negative")));
    dsm__arch_heads(r);
    dsm__arch_experts(r);
    dsm__arch_refuse(r);
}

/* --- rotary embedding --- */
/* The dimension that turns so many times within the original context. */
DSM__FN double dsm__arch_turns(int n_rot, double context, double turns, double base) {
    return n_rot * dsm__num_log64(context / (turns * 6.283185307179586476925)) / (2 * dsm__num_log64(base)); }
DSM__FN void dsm__arch_rope(dsm__arch_reader *r, const float *freqs /* [n_rot/2] or NULL */) {
    dsm__arch *m = r->m; dsm__str kind; int yarn, none, half = m->n_rot / 2; double base, factor, ext, log_factor, log_mul, amplitude, scale, low = 0, high = 0;
    if (r->status) return;
    if (0 != (r->status = dsm__file_str(r->f, dsm__arch_key(r, "rope.scaling.type"), "linear", &kind, r->error))) return;
    yarn = dsm__str_is(kind, "yarn"); none = dsm__str_is(kind, "none");
    if (!yarn && !none && !dsm__str_is(kind, "linear")) { dsm__arch_fail(r, dsm__err(r->error, DSM__ERR_ROPE_TYPE, dsm__s(r->key), dsm__t(kind))); return; }
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
        double fast = dsm__arch_above(r, "rope.scaling.yarn_beta_fast", 32, 0, " above 0"),
            slow = dsm__arch_above(r, "rope.scaling.yarn_beta_slow", 1, 0, " above 0");
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
    if (!r->status && (!dsm__num_finite(m->rope_amplitude) || !dsm__num_finite(m->attn_scale)))
        dsm__arch_fail(r, dsm__err(r->error, DSM__ERR_KEY_FINITE, dsm__s(dsm__arch_key(r, "rope.scaling.attn_factor")), dsm__s(" of a sensible size")));
    for (int i = 0; i < half && !r->status; i++) {
        double theta = dsm__num_pow64(base, -2.0 * i / m->n_rot), slow, keep = (i - low) / high;
        if (freqs) theta /= (double)freqs[i];
        slow = theta / factor; keep = ext < 0 || ext > 0 ? (1 - (keep < 0 ? 0 : keep > 1 ? 1 : keep)) * ext : 0;
        theta = keep < 0 || keep > 0 ? slow * (1 - keep) + theta * keep : slow;
        if (!(theta > -64 && theta < 64)) dsm__arch_fail(r, dsm__err(r->error, DSM__ERR_ROPE_TABLE, dsm__t(m->architecture), dsm__i(i)));
        if (m->rope_theta) m->rope_theta[i] = theta;
    }
}

/* --- tensors --- */
DSM__FN char *dsm__arch_digits(char *to, uint64_t v) {
    char d[20]; int n = 0;
    do d[n++] = (char)('0' + v % 10); while (v /= 10);
    while (n) *to++ = d[--n];
    *to = 0; return to;
}
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
    if (!t) { if (required) dsm__arch_fail(r, dsm__err(r->error, DSM__ERR_TENSOR_MISSING, dsm__s(r->name))); return NULL; }
    r->used[t - r->f->tensors] = 1;
    if (memcmp(t->ne, want, sizeof want) && !(flat && t->ne[0] == ne0 && t->ne[1] == ne1 * ne2 && t->ne[2] == 1 && t->ne[3] == 1)) {
        char is[96], should[96];
        dsm__arch_shape_text(is, t->ne, t->n_dims); dsm__arch_shape_text(should, want, n_want);
        dsm__arch_fail(r, dsm__err(r->error, DSM__ERR_TENSOR_SHAPE, dsm__s(r->name), dsm__s(is), dsm__s(should))); return NULL; }
    if (t->fmt < 0) { /* only header_only lets them come this far */
        const char *type = dsm__fmt_ggml_name(t->ggml);
        dsm__arch_fail(r, dsm__err(r->error, DSM__ERR_TENSOR_TYPE, dsm__t(r->m->architecture), dsm__t(t->name), dsm__u(t->ggml),
            dsm__s(*type == '?' ? "unknown" : type))); return NULL; }
    if (t->n_rows > INT_MAX || t->ne[0] > INT_MAX) { dsm__arch_fail(r, dsm__err(r->error, DSM__ERR_TOO_LARGE, dsm__s(r->name))); return NULL; }
    if (r->layer < r->m->n_layers) {
        uint64_t n = t->n_rows * t->ne[0]; const dsm__arch *m = r->m;
        r->m->parameters += n; r->m->active += m->n_experts && ne2 == (uint64_t)m->n_experts
            && dsm__str_has(t->name, "_exps.") ? n / (uint64_t)m->n_experts * (uint64_t)m->n_used : n; }
    return t;
}
/* count matrices of rows x cols */
DSM__FN dsm__mat dsm__arch_mat(dsm__arch_reader *r, const char *name, int required, uint64_t cols, uint64_t rows, uint64_t count, int flat) {
    const dsm__tensor_ref *t = dsm__arch_tensor(r, name, required, cols, rows, count, flat); dsm__mat a;
    memset(&a, 0, sizeof a);
    if (t) { a.data = t->data; a.stride = t->stride; a.fmt = t->fmt; a.n_rows = (int)t->n_rows; a.n_cols = (int)t->ne[0]; a.present = 1; }
    return a;
}
DSM__FN const float *dsm__arch_vector(dsm__arch_reader *r, const char *name, int required, uint64_t n) { /* as aligned F32 */
    const dsm__tensor_ref *t = dsm__arch_tensor(r, name, required, n, 1, 1, 0); float *to; unsigned off;
    if (!t) return NULL;
    if (t->fmt != DSM__FMT_F32 && t->fmt != DSM__FMT_F16 && t->fmt != DSM__FMT_BF16) {
        dsm__arch_fail(r, dsm__err(r->error, DSM__ERR_TENSOR_FLOAT, dsm__s(r->name), dsm__s(dsm__fmt_ggml_name(t->ggml)))); return NULL; }
    off = (unsigned)((t->data ? (uint64_t)(uintptr_t)t->data : t->offset) & 3u);
    if (t->fmt == DSM__FMT_F32 && !off) return t->data ? (const float *)(const void *)t->data : dsm__arch_nowhere;
    to = (float *)dsm__mem_take(&r->vectors, n, sizeof *to);
    if (!t->data || !to) return dsm__arch_nowhere;
    for (uint64_t i = 0; i < n; i++) to[i] = t->fmt == DSM__FMT_F32 ? dsm__num_bits(dsm__load32(t->data + 4 * i)) : t->fmt == DSM__FMT_F16
        ? dsm__num_half(dsm__load16(t->data + 2 * i)) : dsm__num_bf16(dsm__load16(t->data + 2 * i));
    return to;
}
DSM__FN void dsm__arch_bind_mla(dsm__arch_reader *r, dsm__layer *y) {
    const dsm__arch *m = r->m; uint64_t width = (uint64_t)m->width, heads = (uint64_t)m->n_heads, nope = (uint64_t)m->nope, rot = (uint64_t)m->n_rot,
        value = (uint64_t)m->head_v, latent = (uint64_t)m->latent, rank = (uint64_t)m->q_rank;
    int k_b, v_b, kv_b;
    if (dsm__arch_present(r, "attn_q.weight")) y->q = dsm__arch_mat(r, "attn_q.weight", 1, width, heads * (nope + rot), 1, 0);
    else {
        if (!r->status && !rank) dsm__arch_fail(r,
            dsm__err(r->error, dsm__arch_present(r, "attn_q_a.weight") ? DSM__ERR_KEY_MISSING : DSM__ERR_TENSOR_MISSING,
            dsm__s(dsm__arch_present(r, "attn_q_a.weight") ? dsm__arch_key(r, "attention.q_lora_rank") : dsm__arch_name(r, "attn_q.weight"))));
        y->q_a = dsm__arch_mat(r, "attn_q_a.weight", 1, width, rank, 1, 0);
        y->q_a_norm = dsm__arch_vector(r, "attn_q_a_norm.weight", 1, rank);
        y->q_b = dsm__arch_mat(r, "attn_q_b.weight", 1, rank, heads * (nope + rot), 1, 0); }
    y->kv_a = dsm__arch_mat(r, "attn_kv_a_mqa.weight", 1, width, latent + rot, 1, 0);
    y->kv_a_norm = dsm__arch_vector(r, "attn_kv_a_norm.weight", 1, latent);
    k_b = dsm__arch_present(r, "attn_k_b.weight"); v_b = dsm__arch_present(r, "attn_v_b.weight"); kv_b = dsm__arch_present(r, "attn_kv_b.weight");
    if (!r->status && k_b != v_b && !kv_b) dsm__arch_fail(r,
        dsm__err(r->error, DSM__ERR_TENSOR_PAIR, dsm__s(k_b ? "attn_k_b.weight" : "attn_v_b.weight"),
        dsm__s(dsm__arch_name(r, k_b ? "attn_v_b.weight" : "attn_k_b.weight"))));
    if (!r->status && k_b != v_b) dsm__arch_fail(r,
        dsm__err(r->error, DSM__ERR_TENSOR_MISSING, dsm__s(dsm__arch_name(r, k_b ? "attn_v_b.weight" : "attn_k_b.weight"))));
    y->split = k_b && v_b;
    if (y->split) {
        y->k_b = dsm__arch_mat(r, "attn_k_b.weight", 1, nope, latent, heads, 1); y->v_b = dsm__arch_mat(r, "attn_v_b.weight", 1, latent, value, heads, 1);
        y->k_b_head_stride = y->k_b.stride * (size_t)latent; y->v_b_head_stride = y->v_b.stride * (size_t)value;
        if (kv_b && !r->status) { /* the same weights once more, not used */
            uint64_t all = r->m->parameters, active = r->m->active;
            dsm__arch_mat(r, "attn_kv_b.weight", 1, latent, heads * (nope + value), 1, 0); r->m->parameters = all; r->m->active = active; }
    } else {
        y->kv_b = dsm__arch_mat(r, "attn_kv_b.weight", 1, latent, heads * (nope + value), 1, 0);
        y->v_b = y->kv_b; y->v_b.n_rows = (int)(heads * value); y->kv_b_head_stride = y->v_b_head_stride = y->kv_b.stride * (size_t)(nope + value);
        if (y->v_b.data) y->v_b.data += y->kv_b.stride * (size_t)nope; }
    y->o = dsm__arch_mat(r, "attn_output.weight", 1, heads * value, width, 1, 0);
}
DSM__FN void dsm__arch_bind_heads(dsm__arch_reader *r, dsm__layer *y) {
    const dsm__arch *m = r->m; uint64_t width = (uint64_t)m->width, heads = (uint64_t)m->n_heads, kv_heads = (uint64_t)m->n_kv_heads, d_k = (uint64_t)m->head_k,
        d_v = (uint64_t)m->head_v; int bias = m->family == DSM__ARCH_QWEN2;
    y->q = dsm__arch_mat(r, "attn_q.weight", 1, width, heads * d_k, 1, 0); y->q_bias = dsm__arch_vector(r, "attn_q.bias", bias, heads * d_k);
    y->k = dsm__arch_mat(r, "attn_k.weight", 1, width, kv_heads * d_k, 1, 0); y->k_bias = dsm__arch_vector(r, "attn_k.bias", bias, kv_heads * d_k);
    y->v = dsm__arch_mat(r, "attn_v.weight", 1, width, kv_heads * d_v, 1, 0); y->v_bias = dsm__arch_vector(r, "attn_v.bias", bias, kv_heads * d_v);
    y->o = dsm__arch_mat(r, "attn_output.weight", 1, heads * d_v, width, 1, 0);
    if (m->family == DSM__ARCH_QWEN3) { y->q_norm = dsm__arch_vector(r, "attn_q_norm.weight", 1, d_k);
        y->k_norm = dsm__arch_vector(r, "attn_k_norm.weight", 1, d_k); }
}
DSM__FN void dsm__arch_bind_experts(dsm__arch_reader *r, dsm__layer *y) {
    dsm__arch *m = r->m; uint64_t width = (uint64_t)m->width, hidden = (uint64_t)m->expert_width, experts = (uint64_t)m->n_experts, shared;
    const dsm__tensor_ref *t; int top2;
    y->moe = 1;
    y->router = dsm__arch_mat(r, "ffn_gate_inp.weight", 1, width, experts, 1, 0);
    if (!r->status && y->router.fmt != DSM__FMT_F32 && y->router.fmt != DSM__FMT_F16 && y->router.fmt != DSM__FMT_BF16) {
        t = dsm__file_tensor(r->f, r->name); dsm__arch_fail(r, dsm__err(r->error, DSM__ERR_TENSOR_FLOAT, dsm__s(r->name), dsm__s(dsm__fmt_ggml_name(t->ggml)))); }
    y->router_bias = dsm__arch_vector(r, "exp_probs_b.bias", 0, experts);
    top2 = y->router_bias != NULL;
    if (m->group_top2 < 0) m->group_top2 = top2;
    else if (m->group_top2 != top2 && !r->status) dsm__arch_fail(r, dsm__err(r->error, DSM__ERR_TENSOR_SOME, dsm__s(dsm__arch_name(r, "exp_probs_b.bias"))));
    y->fused_gate_up = dsm__arch_present(r, "ffn_gate_up_exps.weight");
    if (y->fused_gate_up) y->gate_exps = dsm__arch_mat(r, "ffn_gate_up_exps.weight", 1, width, 2 * hidden, experts, 0);
    else { y->gate_exps = dsm__arch_mat(r, "ffn_gate_exps.weight", 1, width, hidden, experts, 0);
        y->up_exps = dsm__arch_mat(r, "ffn_up_exps.weight", 1, width, hidden, experts, 0); }
    y->down_exps = dsm__arch_mat(r, "ffn_down_exps.weight", 1, hidden, width, experts, 0);
    if (!r->status && m->n_shared < 0) { t = dsm__file_tensor(r->f, dsm__arch_name(r, "ffn_gate_shexp.weight"));
        m->n_shared = t && t->ne[1] / hidden <= 1024 ? (int)(t->ne[1] / hidden) : 0; }
    if (m->n_shared > 0) {
        shared = hidden * (uint64_t)m->n_shared;
        y->gate_shared = dsm__arch_mat(r, "ffn_gate_shexp.weight", 1, width, shared, 1, 0);
        y->up_shared = dsm__arch_mat(r, "ffn_up_shexp.weight", 1, width, shared, 1, 0);
        y->down_shared = dsm__arch_mat(r, "ffn_down_shexp.weight", 1, shared, width, 1, 0); }
}
DSM__FN void dsm__arch_bind(dsm__arch_reader *r) { /* runs twice: to check and count, then with memory */
    dsm__arch *m = r->m; uint64_t width = (uint64_t)m->width, hidden = (uint64_t)m->ffn_width, vocab = 0; const dsm__tensor_ref *t; dsm__layer scratch;
    const float *freqs;
    m->parameters = m->active = 0; m->group_top2 = -1; r->layer = -1;
    t = dsm__file_tensor(r->f, "token_embd.weight");
    if (t) vocab = t->ne[1];
    m->embed = dsm__arch_mat(r, "token_embd.weight", 1, width, vocab, 1, 0); m->n_vocab = m->embed.n_rows;
    m->output = dsm__arch_mat(r, "output.weight", 0, width, vocab, 1, 0);
    if (!m->output.present) m->output = m->embed;
    m->output_norm = dsm__arch_vector(r, "output_norm.weight", 1, width);
    freqs = dsm__arch_vector(r, "rope_freqs.weight", 0, (uint64_t)m->n_rot / 2);
    dsm__arch_rope(r, r->f->header_only || !m->layers ? NULL : freqs);
    for (r->layer = 0; r->layer < r->n_blocks && !r->status; r->layer++) {
        dsm__layer *y = m->layers ? m->layers + r->layer : &scratch;
        memset(y, 0, sizeof *y);
        y->attn_norm = dsm__arch_vector(r, "attn_norm.weight", 1, width); y->ffn_norm = dsm__arch_vector(r, "ffn_norm.weight", 1, width);
        if (m->mla) dsm__arch_bind_mla(r, y); else dsm__arch_bind_heads(r, y);
        if (r->layer >= m->n_dense) dsm__arch_bind_experts(r, y);
        else { y->gate = dsm__arch_mat(r, "ffn_gate.weight", 1, width, hidden, 1, 0); y->up = dsm__arch_mat(r, "ffn_up.weight", 1, width, hidden, 1, 0);
            y->down = dsm__arch_mat(r, "ffn_down.weight", 1, hidden, width, 1, 0); }
        if (r->layer < m->n_layers) continue;
        y->eh_proj = dsm__arch_mat(r, "nextn.eh_proj.weight", 1, 2 * width, width, 1, 0);
        y->enorm = dsm__arch_vector(r, "nextn.enorm.weight", 1, width); y->hnorm = dsm__arch_vector(r, "nextn.hnorm.weight", 1, width);
        y->mtp_embed = dsm__arch_mat(r, "nextn.embed_tokens.weight", 0, width, vocab, 1, 0);
        y->mtp_head = dsm__arch_mat(r, "nextn.shared_head_head.weight", 0, width, vocab, 1, 0);
        y->mtp_norm = dsm__arch_vector(r, "nextn.shared_head_norm.weight", 0, width);
        if (!y->mtp_norm) y->mtp_norm = m->output_norm;
    }
    if (m->group_top2 < 0) m->group_top2 = 0;
    if (m->n_shared < 0) m->n_shared = 0;
}
/* what a snapshot must agree with. Reads a few bytes of a few tensors only: each costs a page from a disk */
DSM__FN uint64_t dsm__arch_print(const dsm__arch *m, const dsm__file *f) {
    const int numbers[] = { m->family, m->n_layers, m->n_mtp, m->width, m->n_heads, m->n_kv_heads, m->head_k, m->head_v, m->n_rot, m->n_vocab, m->latent,
        m->q_rank,
        m->n_experts, m->n_used, m->n_shared, m->expert_width, m->n_dense, m->ffn_width, m->sigmoid, m->normalize, m->n_groups, m->n_groups_used, m->group_top2,
            m->nope };
    const float scales[] = { m->eps, m->attn_scale, m->expert_scale, m->rope_amplitude };
    uint64_t h = 1; size_t step = f->n_tensors / 16 + 1;
    h = dsm__hash(numbers, sizeof numbers, h); h = dsm__hash(scales, sizeof scales, h);
    for (int i = 0; i < m->n_rot / 2; i++) { float theta = (float)m->rope_theta[i]; h = dsm__hash(&theta, sizeof theta, h); }
    for (size_t i = 0; i < f->n_tensors; i++) {
        const dsm__tensor_ref *t = f->tensors + f->tensor_order[i]; uint64_t n = t->bytes < 256 ? t->bytes : 256;
        h = dsm__hash(t->name.at, t->name.n, h + t->ggml); h = dsm__hash(t->ne, sizeof t->ne, h);
        if (i % step == 0) h = dsm__hash(t->data + (t->bytes - n) / 2, (size_t)n, h); }
    return h ? h : 1;
}
DSM__FN void dsm__arch_close(dsm__arch *m) { dsm_allocator a = m->allocator; dsm__mem_free(&a, m->block, m->block_size); memset(m, 0, sizeof *m); }
DSM__FN dsm_status dsm__arch_load(dsm__arch_reader *r, int n_token_list) {
    static const struct { const char *name; dsm__arch_family family; } known[] = {
        { "llama", DSM__ARCH_LLAMA }, { "qwen2", DSM__ARCH_QWEN2 }, { "qwen3", DSM__ARCH_QWEN3 }, { "deepseek", DSM__ARCH_DEEPSEEK },
            { "deepseek2", DSM__ARCH_DEEPSEEK2 } };
    dsm__arch *m = r->m; const dsm__file *f = r->f; dsm__arena a; uint64_t vectors;
    for (size_t i = 0; i < DSM__COUNT(known); i++) if (dsm__str_is(m->architecture, known[i].name)) m->family = (int)known[i].family;
    if (!m->family) return dsm__err(r->error, DSM__ERR_ARCH, dsm__t(m->architecture));
    m->neox = m->family == DSM__ARCH_QWEN2 || m->family == DSM__ARCH_QWEN3; m->mla = m->family == DSM__ARCH_DEEPSEEK2;
    dsm__arch_numbers(r);
    dsm__arch_bind(r);
    if (r->status) return r->status;
    for (size_t i = 0; i < f->n_tensors; i++) /* a tensor without a place would mean other mathematics */
        if (!r->used[i] && !dsm__str_has(f->tensors[i].name, ".attn_rot_embd"))
            return dsm__err(r->error, DSM__ERR_TENSOR_UNKNOWN, dsm__t(f->tensors[i].name), dsm__t(m->architecture));
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
        if (!dsm__to_size(a.used, &m->block_size) || !(m->block = a.base = (uint8_t *)dsm__mem_alloc(&m->allocator, m->block_size))) { m->block_size = 0;
            return dsm__err(r->error, DSM__ERR_NO_MEMORY, dsm__u(a.used), dsm__s("the model's tables")); }
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
        if (k && k->count && dsm__file_width(k->type)) {
            dsm__file_number v = dsm__file_element(k, 0);
            m->context = v.whole && v.u <= DSM__ARCH_CONTEXT ? (int)v.u : 0; }
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
/* The cache. Its layout is in the room kern, whose kernels read it ("The caches"); here are the rows: written, and read back. Test: tests/floats.c */
DSM__FN int dsm__kv_form(dsm_kv kv, dsm_activations activations) { /* DSM__K_SCORE_*: how scores are computed */
    return kv == DSM_KV_Q8_0 && activations == DSM_ACTIVATIONS_INT8 ? DSM__K_SCORE_Q8_INT8 : (int)kv; }
/* Bytes of one KV head's keys for n tokens, in whole blocks of 16. */
DSM__FN uint64_t dsm__kv_key_bytes(int kv, int dims, uint64_t n) { return (n + 15) / 16 * dsm__k_key_block_bytes(kv, dims); }
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
/* ---- the cache of a session: where a layer's keys and values (or MLA's latents) lie, and a token's row in a form that no layout can be seen in, for snapshots.
   Forgetting needs no work: what lies behind the timeline's end is written before it is read. ---- */
typedef struct dsm__kv {
    int type, mla, n_layers, n_heads, key, value, rope, blocks; /* key, value: widths of a head; MLA: of the latent, and rope; blocks of 16 tokens */
    size_t key_block, value_row, layer_bytes;                   /* MLA: value_row is the whole row */
    uint64_t per_token;                                         /* bytes, of all layers */
    uint8_t *base;
} dsm__kv;
DSM__FN void dsm__kv_layout(dsm__kv *kv, dsm__arena *m, const dsm__arch *arch, const dsm_session_desc *desc) {
    uint64_t tokens = dsm__round_up((uint64_t)desc->context, 16), token_bytes;
    kv->type = (int)desc->kv; kv->mla = arch->mla; kv->n_layers = arch->n_layers; kv->blocks = (int)(tokens / 16);
    if (kv->mla) {
        kv->n_heads = 1; kv->key = kv->value = arch->latent; kv->rope = arch->n_rot;
        kv->key_block = 0; kv->value_row = dsm__k_latent_row_bytes(kv->type, arch->latent, arch->n_rot);
    } else {
        kv->n_heads = arch->n_kv_heads; kv->key = arch->head_k; kv->value = arch->head_v; kv->rope = 0;
        kv->key_block = dsm__k_key_block_bytes(kv->type, kv->key); kv->value_row = dsm__k_value_row_bytes(kv->type, kv->value); }
    token_bytes = (uint64_t)kv->n_heads * (kv->key_block / 16 + kv->value_row);
    kv->per_token = token_bytes * (uint64_t)kv->n_layers;
    kv->layer_bytes = (size_t)(token_bytes * tokens);
    kv->base = (uint8_t *)dsm__mem_take(m, token_bytes * tokens, (uint64_t)kv->n_layers);
}
DSM__FN uint8_t *dsm__kv_keys(const dsm__kv *kv, int layer, int head) { return kv->base + (size_t)layer * kv->layer_bytes + (size_t)head * (size_t)kv->blocks * kv->key_block; }
DSM__FN uint8_t *dsm__kv_values(const dsm__kv *kv, int layer, int head) { /* MLA: the rows */
    return kv->base + (size_t)layer * kv->layer_bytes + (size_t)kv->n_heads * (size_t)kv->blocks * kv->key_block + (size_t)head * (size_t)kv->blocks * 16 * kv->value_row;
}
/* Bytes of a row of n numbers in the portable form: f16, f32, or int8 and then a scale for each 64 of them. */
DSM__FN size_t dsm__kv_natural(int type, int n) { return type == DSM_KV_F32 ? (size_t)n * 4 : type == DSM_KV_F16 ? (size_t)n * 2 : (size_t)n + (size_t)dsm__k_64s(n) * 4; }
/* One key's row in its block: to == 1 into it, else out of it. */
DSM__FN void dsm__kv_key_row(const dsm__kv *kv, uint8_t *block, int slot, uint8_t *row, int to) {
    int n = kv->key; uint8_t *p;
    if (kv->type == DSM_KV_Q8_0) {
        for (int d = 0; d < n; d++) { p = block + (d / 4 * 16 + slot) * 4 + d % 4; if (to) *p = row[d]; else row[d] = *p; }
        for (int e = 0; e < dsm__k_64s(n); e++) { p = block + dsm__k_16(n) * 16 + (e * 16 + slot) * 4; if (to) memcpy(p, row + n + e * 4, 4); else memcpy(row + n + e * 4, p, 4); }
    } else {
        size_t size = kv->type == DSM_KV_F32 ? 4 : 2;
        for (int d = 0; d < n; d++) { p = block + (size_t)(d * 16 + slot) * size; if (to) memcpy(p, row + (size_t)d * size, size); else memcpy(row + (size_t)d * size, p, size); } }
}
DSM__FN void dsm__kv_value_row(int type, int n, uint8_t *at, uint8_t *row, int to) { /* rows are padded to 16 numbers */
    if (type == DSM_KV_Q8_0) {
        if (to) { memcpy(at, row, (size_t)n); memset(at + n, 0, (size_t)(dsm__k_16(n) - n)); memcpy(at + dsm__k_16(n), row + n, (size_t)dsm__k_64s(n) * 4); }
        else { memcpy(row, at, (size_t)n); memcpy(row + n, at + dsm__k_16(n), (size_t)dsm__k_64s(n) * 4); }
    } else {
        size_t size = type == DSM_KV_F32 ? 4 : 2;
        if (to) { memcpy(at, row, (size_t)n * size); memset(at + (size_t)n * size, 0, (size_t)(dsm__k_16(n) - n) * size); } else memcpy(row, at, (size_t)n * size); }
}
/* A token's row. GQA: key [K*d], value [K*d]; MLA: key is [C+R], the latent and the rope part, value NULL. 0: NaN or infinity. */
DSM__FN int dsm__kv_put(const dsm__kv *kv, const dsm__kernels *k, int layer, int position, const float *key, const float *value) {
    int good = 1;
    if (kv->mla) return dsm__kv_write_latent(k, kv->type, dsm__kv_values(kv, layer, 0), kv->key, kv->rope, position, key, key + kv->key);
    for (int h = 0; h < kv->n_heads; h++) {
        good &= dsm__kv_write_key(k, kv->type, dsm__kv_keys(kv, layer, h), kv->key, position, key + h * kv->key);
        good &= dsm__kv_write_value(k, kv->type, dsm__kv_values(kv, layer, h), kv->value, position, value + h * kv->value); }
    return good;
}
DSM__FN size_t dsm__kv_row_bytes(const dsm__kv *kv) { /* of one layer and position, in the portable form */
    return kv->mla ? dsm__kv_natural(kv->type, kv->key) + dsm__kv_natural(kv->type == DSM_KV_F32 ? (int)DSM_KV_F32 : (int)DSM_KV_F16, kv->rope)
                   : (size_t)kv->n_heads * (dsm__kv_natural(kv->type, kv->key) + dsm__kv_natural(kv->type, kv->value));
}
DSM__FN void dsm__kv_move(const dsm__kv *kv, int layer, int position, uint8_t *row, int to) { /* to == 1: from the portable form into the cache, else out of it */
    if (kv->mla) {
        uint8_t *at = dsm__kv_values(kv, layer, 0) + (size_t)position * kv->value_row;
        dsm__kv_value_row(kv->type, kv->key, at, row, to);
        dsm__kv_value_row(kv->type == DSM_KV_F32 ? (int)DSM_KV_F32 : (int)DSM_KV_F16, kv->rope, at + dsm__k_value_row_bytes(kv->type, kv->key), row + dsm__kv_natural(kv->type, kv->key), to);
    } else for (int h = 0; h < kv->n_heads; h++) {
        dsm__kv_key_row(kv, dsm__kv_keys(kv, layer, h) + (size_t)(position / 16) * kv->key_block, position % 16, row, to); row += dsm__kv_natural(kv->type, kv->key);
        dsm__kv_value_row(kv->type, kv->value, dsm__kv_values(kv, layer, h) + (size_t)position * kv->value_row, row, to); row += dsm__kv_natural(kv->type, kv->value); }
}
DSM__FN void dsm__kv_copy(const dsm__kv *to, const dsm__kv *from, int n) { /* the first n positions; the contexts may differ. A block's later tokens come along, unread */
    for (int l = 0; l < to->n_layers; l++) for (int h = 0; h < to->n_heads; h++) {
        if (!to->mla) memcpy(dsm__kv_keys(to, l, h), dsm__kv_keys(from, l, h), (size_t)((n + 15) / 16) * to->key_block);
        memcpy(dsm__kv_values(to, l, h), dsm__kv_values(from, l, h), (size_t)n * to->value_row); }
}

// >>nn
/* The forward pass: norm, RoPE, attention, MLA, router, experts, as the papers write them. It is a list of stages; a stage is one product of one layer, or
   what lies between two products. Stages can be cut anywhere: every number is made by one thread, from inputs that are complete, in an order of its own, so
   neither the threads, nor the chunk, nor the clock can change a bit. Knows arch, kv and kernels; knows no file, no session. Test: tests/golden.c, tests/same.c

   Letters for shapes: T tokens, D width, H heads, K KV heads, d head width (of keys, of values), P nope and R rope dims of an MLA head, C latent, Q query
   latent, F FFN width, E experts, N experts used, V vocabulary, G heads that one item of attention takes. */
typedef struct dsm__nn_in { const float *x; const dsm__x64 *q; long ldx, ldq; int n_tokens; } dsm__nn_in; /* rows as floats and rounded (NULL: no rounding here) */
typedef struct dsm__nn_mul { /* y[token][row] = row . x[token], and what follows in the same rows */
    const uint8_t *w, *w2; size_t stride, stride2; int fmt, fmt2, n_rows, len; /* w2: an up matrix beside its gate: y = silu(gate) * up */
    int columns;                  /* > 0: w has so many rows of n_rows columns and is used down its columns */
    dsm__nn_in in; float *y, *y2; long ldy;
    const float *bias;            /* y += bias */
    float *add; long ld_add;      /* add += y: the residual stream */
    uint64_t each;                /* multiply-adds of a row */
} dsm__nn_mul;

typedef struct dsm__nn dsm__nn;
typedef void dsm__nn_work(dsm__nn *n, uint64_t from, uint64_t to, int slice); /* a part of a stage's cost; slice: whose scratch */
typedef struct dsm__nn_rounding { const float *from; dsm__x64 *to; int len, n_rows; } dsm__nn_rounding;
enum { DSM__NN_IDLE = 0, DSM__NN_EMBED, DSM__NN_ATTENTION, DSM__NN_FFN, DSM__NN_HEAD, DSM__NN_ROOMS, DSM__NN_STAGES = 16, DSM__NN_GRAIN = 16384 /* multiply-adds that are worth a thread */ };
struct dsm__nn {
    const dsm__arch *arch; const dsm__kernels *k; dsm__pool *pool; int workers;
    int most, group_most;         /* tokens of a chunk; of a group in MLA */
    int float_only;               /* no product rounds its activations: DSM_ACTIVATIONS_F32, or no quantised weights */
    dsm__kv kv; int form;         /* DSM__K_SCORE_* */
    /* Activations of a chunk. Those of attention and of the FFN share their memory. Pointers to rounded rows are NULL where nothing rounds. */
    float *x;                     /* [T][D] the residual stream */
    float *h; dsm__x64 *hq;       /* [T][D] its norm */
    float *out;                   /* [T][D] a product before it is added to x */
    float *rope;                  /* [T][R] of a position: cosines, then sines */
    float *q, *key, *value;       /* [T][H*d], [T][K*d], [T][K*d]; MLA: q [T][H*(P+R)], key [T][C+R] */
    float *q_low; dsm__x64 *q_low_q; /* [T][Q] */
    dsm__x64 *qq;                 /* rounded queries: [T][H][d] for a q8_0 cache; [T][H][P] for a split W_UK */
    float *qa, *ol; dsm__x64 *olq; /* [G][H][C] absorbed queries and latent outputs of a group of tokens */
    uint8_t *qt; size_t item_bytes; /* [G][items] queries in the order that the scores want */
    float *heads; dsm__x64 *heads_q; /* [T][H*d] */
    float *gate, *up; dsm__x64 *act_q; /* [T][F] or [T*N][F of an expert] */
    float *gate_s, *up_s; dsm__x64 *act_sq; /* [T][F of the shared experts] */
    float *router;                /* [T][E] */
    int32_t *chosen; float *weight; /* [T][N] best first */
    int32_t *row_of, *first;      /* [T][N] its row in the experts' batches; [E+1] where an expert's rows begin */
    float *xg; dsm__x64 *xgq;     /* [T*N][D] inputs in that order */
    float *out_e;                 /* [T*N][D] */
    float *scores, *sums; long ld_scores; /* [rows][context], [rows] */
    float *row; size_t ld_row;    /* [worker] a row of weights as floats, and the like */
    uint8_t *worker; size_t worker_bytes; /* [worker] scratch of the quantised products */
    dsm__nn_mul *muls; int n_muls;
    /* Where it stands. */
    int first_layer, last_layer, position, n_tokens; const int32_t *tokens;
    int room, stage, layer, group, group_size, phase, token, attend_from, attend_n, timed;
    dsm__nn_work *work; uint64_t at, total, each;
    const dsm__layer *w; const float *norm, *norm_from; dsm__nn_rounding round[2];
    const float *logits_from; float *logits;
    int broken;                   /* NaN or infinity seen: atomic */
    float rate[DSM__NN_ROOMS][DSM__NN_STAGES + 1]; /* multiply-adds in a microsecond, as measured: only cuts depend on it */
};
/* ---- the machine ---- */
DSM__FN int dsm__nn_rounded(const dsm__nn *n, int fmt) { return !n->float_only && fmt > DSM__FMT_BF16; }
DSM__FN int dsm__nn_records(int len) { return (len + 63) / 64; } /* of a row, rounded */
DSM__FN int dsm__nn_unit(const dsm__nn *n, uint64_t at) { return (int)((at + n->each - 1) / n->each); } /* the first unit that begins at or after a cost */
DSM__FN void dsm__nn_break(dsm__nn *n) { __atomic_store_n(&n->broken, 1, __ATOMIC_RELAXED); }
DSM__FN int dsm__nn_units(dsm__nn *n, dsm__nn_work *work, int n_units, uint64_t each) { /* a stage of units that cost the same */
    n->work = work; n->each = each ? each : 1; n->total = n->each * (uint64_t)n_units;
    return 1;
}
DSM__FN dsm__nn_in dsm__nn_rows(const float *x, const dsm__x64 *q, int len, int n_tokens) {
    dsm__nn_in in; in.x = x; in.q = q; in.ldx = len; in.ldq = dsm__nn_records(len); in.n_tokens = n_tokens;
    return in;
}

/* Products. The cost of a stage is its multiply-adds; a part of it is cut at multiples of 16 rows (256 columns), whoever cuts. */
DSM__FN int dsm__nn_row(const dsm__nn_mul *m, uint64_t cost) {
    uint64_t r = (cost + m->each - 1) / m->each, cut = m->columns ? 256 : 16; r = (r + cut - 1) / cut * cut;
    return r < (uint64_t)m->n_rows ? (int)r : m->n_rows;
}
DSM__FN void dsm__nn_one(dsm__nn *n, const uint8_t *w, size_t stride, int fmt, const dsm__nn_mul *m, float *y, int r0, int r1, int slice, const uint8_t *next) {
    const dsm__nn_in *in = &m->in;
    if (m->columns) dsm__k_mul_columns(n->k, fmt, w, stride, m->columns, m->n_rows, in->x, in->ldx, in->n_tokens, y, m->ldy, r0, r1, n->row + (size_t)slice * n->ld_row);
    else if (in->q && dsm__nn_rounded(n, fmt)) {
        dsm__k_scratch scratch = dsm__k_scratch_at(n->worker + (size_t)slice * n->worker_bytes);
        dsm__k_mul(n->k, fmt, w, stride, m->len, in->q, in->ldq, in->n_tokens, y, m->ldy, r0, r1, &scratch, next); }
    else dsm__k_mul_float(n->k, fmt, w, stride, m->len, in->x, in->ldx, in->n_tokens, y, m->ldy, r0, r1, n->row + (size_t)slice * n->ld_row);
}
DSM__FN void dsm__nn_multiply(dsm__nn *n, uint64_t from, uint64_t to, int slice) {
    for (int i = 0; i < n->n_muls; i++) {
        const dsm__nn_mul *m = &n->muls[i]; uint64_t cost = m->each * (uint64_t)m->n_rows;
        int r0 = from ? dsm__nn_row(m, from) : 0, r1 = dsm__nn_row(m, to);
        if (r0 < r1) {
            const uint8_t *next = i + 1 < n->n_muls && to > cost ? m[1].w : m->w + (size_t)r0 * m->stride; /* what to prefetch */
            dsm__nn_one(n, m->w, m->stride, m->fmt, m, m->y, r0, r1, slice, m->w2 ? m->w2 + (size_t)r0 * m->stride2 : next);
            if (m->w2) dsm__nn_one(n, m->w2, m->stride2, m->fmt2, m, m->y2, r0, r1, slice, next);
            for (int t = 0; t < m->in.n_tokens; t++) {
                float *y = m->y + t * m->ldy + r0;
                if (m->w2) n->k->swiglu(y, m->y2 + t * m->ldy + r0, r1 - r0, y);
                if (m->bias) n->k->add(y, m->bias + r0, r1 - r0);
                if (m->add) n->k->add(m->add + t * m->ld_add + r0, y, r1 - r0); } }
        from = from > cost ? from - cost : 0;
        if (to <= cost) return;
        to -= cost;
    }
}
DSM__FN dsm__nn_mul *dsm__nn_product(dsm__nn *n, const uint8_t *w, size_t stride, int fmt, int n_rows, int len, dsm__nn_in in, float *y, long ldy) {
    dsm__nn_mul *m = &n->muls[n->n_muls++];
    memset(m, 0, sizeof *m);
    m->w = w; m->stride = stride; m->fmt = fmt; m->n_rows = n_rows; m->len = len; m->in = in; m->y = y; m->ldy = ldy; m->each = (uint64_t)len * (uint64_t)in.n_tokens;
    n->work = dsm__nn_multiply; n->total += m->each * (uint64_t)n_rows;
    return m;
}
DSM__FN dsm__nn_mul *dsm__nn_matrix(dsm__nn *n, const dsm__mat *w, dsm__nn_in in, float *y) { return dsm__nn_product(n, w->data, w->stride, w->fmt, w->n_rows, w->n_cols, in, y, w->n_rows); }
DSM__FN void dsm__nn_with_up(dsm__nn *n, dsm__nn_mul *m, const uint8_t *w, size_t stride, int fmt, float *y) {
    n->total += m->each * (uint64_t)m->n_rows; m->each *= 2; m->w2 = w; m->stride2 = stride; m->fmt2 = fmt; m->y2 = y;
}

/* Norms and roundings, one row at a time. */
DSM__FN void dsm__nn_round_row(dsm__nn *n, const float *x, dsm__x64 *to, int len) { if (to && !n->k->quantize(x, len, to)) dsm__nn_break(n); }
DSM__FN void dsm__nn_norm_part(dsm__nn *n, uint64_t from, uint64_t to, int slice) {
    int width = n->arch->width, end = dsm__nn_unit(n, to);
    (void)slice;
    for (int t = dsm__nn_unit(n, from); t < end; t++) {
        float *h = n->h + (size_t)t * (size_t)width;
        n->k->rmsnorm(n->norm_from + (size_t)t * (size_t)width, n->norm, width, n->arch->eps, h);
        if (!n->k->all_finite(h, width)) dsm__nn_break(n);
        else if (n->hq) dsm__nn_round_row(n, h, n->hq + (size_t)t * (size_t)dsm__nn_records(width), width);
    }
}
DSM__FN int dsm__nn_norm(dsm__nn *n, const float *x, const float *weight, int n_tokens) { /* h = RMSNorm(x) */
    n->norm_from = x; n->norm = weight;
    return dsm__nn_units(n, dsm__nn_norm_part, n_tokens, (uint64_t)n->arch->width * 4);
}
DSM__FN void dsm__nn_round_part(dsm__nn *n, uint64_t from, uint64_t to, int slice) {
    int end = dsm__nn_unit(n, to);
    (void)slice;
    for (int i = dsm__nn_unit(n, from); i < end; i++) {
        int set = i >= n->round[0].n_rows; size_t row = (size_t)(i - (set ? n->round[0].n_rows : 0)); int len = n->round[set].len;
        dsm__nn_round_row(n, n->round[set].from + row * (size_t)len, n->round[set].to + row * (size_t)dsm__nn_records(len), len);
    }
}
/* Rounds rows for the products that follow; the second set may be empty. Returns 0, no stage, where nothing rounds. */
DSM__FN int dsm__nn_round(dsm__nn *n, const float *x, dsm__x64 *to, int len, int n_rows) {
    n->round[0].from = x; n->round[0].to = to; n->round[0].len = len; n->round[0].n_rows = to ? n_rows : 0; n->round[1].n_rows = 0;
    return to ? dsm__nn_units(n, dsm__nn_round_part, n_rows, (uint64_t)len * 2) : 0;
}
DSM__FN const float *dsm__nn_angles(const dsm__nn *n, int t) { return n->rope + (size_t)t * (size_t)n->arch->n_rot; }

/* ---- attention over the cache. An item is what one call of the kernels takes: the query heads of one KV head, or 16 heads of MLA, for one token. Many items are
   spread over the threads whole. Few, or against the clock: token by token, first the scores by cached tokens, then the softmax, then the values by dimensions. ---- */
DSM__FN int dsm__nn_items(const dsm__nn *n) { return n->arch->mla ? (n->arch->n_heads + 15) / 16 : n->arch->n_kv_heads; }
DSM__FN int dsm__nn_lanes(const dsm__nn *n) { return n->arch->mla ? 16 : n->arch->n_heads / n->arch->n_kv_heads; }
DSM__FN int dsm__nn_dims(const dsm__nn *n) { return n->arch->mla ? n->arch->latent : n->arch->head_v; }
DSM__FN int dsm__nn_lanes_of(const dsm__nn *n, int item) { int left = n->arch->n_heads - item * dsm__nn_lanes(n); return left < dsm__nn_lanes(n) ? left : dsm__nn_lanes(n); }
DSM__FN void dsm__nn_scores(dsm__nn *n, int token, int item, int t0, int t1, float *scores) {
    const dsm__arch *m = n->arch;
    if (m->mla) dsm__k_mla_scores(n->k, n->form, dsm__kv_values(&n->kv, n->layer, 0), m->latent, m->n_rot, t0, t1, n->qt + (size_t)((token - n->attend_from) * dsm__nn_items(n) + item) * n->item_bytes,
                                  16, dsm__nn_lanes_of(n, item), m->attn_scale, scores, n->ld_scores);
    else {
        int lanes = dsm__nn_lanes(n), head = token * m->n_heads + item * lanes;
        const void *q = n->form == DSM__K_SCORE_Q8_INT8 ? (const void *)(n->qq + (size_t)head * (size_t)dsm__nn_records(m->head_k)) : (const void *)(n->q + (size_t)head * (size_t)m->head_k);
        dsm__k_gqa_scores(n->k, n->form, dsm__kv_keys(&n->kv, n->layer, item), m->head_k, t0, t1, q, n->form == DSM__K_SCORE_Q8_INT8 ? dsm__nn_records(m->head_k) : m->head_k,
                          lanes, m->attn_scale, scores, n->ld_scores); }
}
DSM__FN void dsm__nn_values(dsm__nn *n, int token, int item, int d0, int d1, const float *scores, const float *sums) { /* and the division by the sum */
    const dsm__arch *m = n->arch; int lanes = dsm__nn_lanes(n), n_rows = dsm__nn_lanes_of(n, item), dims = dsm__nn_dims(n);
    float *o = m->mla ? n->ol + (size_t)((token - n->attend_from) * m->n_heads + item * lanes) * (size_t)dims : n->heads + (size_t)(token * m->n_heads + item * lanes) * (size_t)dims;
    n->k->values(n->kv.type, dsm__kv_values(&n->kv, n->layer, m->mla ? 0 : item), n->kv.value_row, dims, 0, n->position + token + 1, scores, n->ld_scores, n_rows, o, dims, d0, d1);
    for (int i = 0; i < n_rows; i++) n->k->times(o + i * dims + d0, 1.f / sums[i], d1 - d0);
}
DSM__FN void dsm__nn_soft(dsm__nn *n, float *scores, float *sums, int n_rows, int len) {
    for (int i = 0; i < n_rows; i++) { sums[i] = n->k->softmax(scores + i * n->ld_scores, len); }
}
DSM__FN void dsm__nn_items_part(dsm__nn *n, uint64_t from, uint64_t to, int slice) { /* unit: item * tokens + token */
    int end = dsm__nn_unit(n, to), lanes = dsm__nn_lanes(n); float *scores = n->scores + (long)(slice * lanes) * n->ld_scores, *sums = n->sums + slice * lanes;
    for (int i = dsm__nn_unit(n, from); i < end; i++) {
        int item = i / n->attend_n, token = n->attend_from + i % n->attend_n, len = n->position + token + 1;
        dsm__nn_scores(n, token, item, 0, len, scores);
        dsm__nn_soft(n, scores, sums, dsm__nn_lanes_of(n, item), len);
        dsm__nn_values(n, token, item, 0, dsm__nn_dims(n), scores, sums); }
}
DSM__FN void dsm__nn_scores_part(dsm__nn *n, uint64_t from, uint64_t to, int slice) { /* unit: item * blocks + block of 16 cached tokens */
    int at = dsm__nn_unit(n, from), end = dsm__nn_unit(n, to), len = n->position + n->token + 1, blocks = (len + 15) / 16;
    (void)slice;
    while (at < end) {
        int item = at / blocks, t0 = at % blocks, t1 = t0 + end - at < blocks ? t0 + end - at : blocks;
        dsm__nn_scores(n, n->token, item, t0 * 16, t1 * 16 < len ? t1 * 16 : len, n->scores + (long)(item * dsm__nn_lanes(n)) * n->ld_scores);
        at += t1 - t0; }
}
DSM__FN void dsm__nn_soft_part(dsm__nn *n, uint64_t from, uint64_t to, int slice) { /* unit: head */
    int at = dsm__nn_unit(n, from), end = dsm__nn_unit(n, to);
    (void)slice;
    if (at < end) dsm__nn_soft(n, n->scores + at * n->ld_scores, n->sums + at, end - at, n->position + n->token + 1);
}
DSM__FN void dsm__nn_values_part(dsm__nn *n, uint64_t from, uint64_t to, int slice) { /* unit: item * blocks + block of 16 dimensions */
    int at = dsm__nn_unit(n, from), end = dsm__nn_unit(n, to), dims = dsm__nn_dims(n), blocks = (dims + 15) / 16;
    (void)slice;
    while (at < end) {
        int item = at / blocks, d0 = at % blocks, d1 = d0 + end - at < blocks ? d0 + end - at : blocks, first = item * dsm__nn_lanes(n);
        dsm__nn_values(n, n->token, item, d0 * 16, d1 * 16 < dims ? d1 * 16 : dims, n->scores + first * n->ld_scores, n->sums + first);
        at += d1 - d0; }
}
DSM__FN int dsm__nn_attend(dsm__nn *n, int first, int count) { /* sets up the next stage for these tokens of the chunk; 0: done */
    const dsm__arch *m = n->arch; const int items = dsm__nn_items(n);
    const uint64_t lanes = (uint64_t)dsm__nn_lanes(n), dims = (uint64_t)dsm__nn_dims(n), key = (uint64_t)(m->mla ? m->latent + m->n_rot : m->head_k);
    if (n->phase == 0) {
        n->token = n->attend_from = first; n->attend_n = count;
        if (!n->timed && items * count >= 2 * n->workers) {
            n->phase = 4;
            return dsm__nn_units(n, dsm__nn_items_part, items * count, (uint64_t)(n->position + first + count / 2 + 1) * lanes * (key + dims)); } }
    if (n->phase == 4 || (n->phase == 3 && ++n->token == first + count)) { n->phase = 0; return 0; }
    { uint64_t len = (uint64_t)(n->position + n->token + 1);
      n->phase = n->phase % 3 + 1;
      if (n->phase == 1) return dsm__nn_units(n, dsm__nn_scores_part, items * (int)((len + 15) / 16), 16 * lanes * key);
      if (n->phase == 2) return dsm__nn_units(n, dsm__nn_soft_part, m->n_heads, len * 8);
      return dsm__nn_units(n, dsm__nn_values_part, items * (int)((dims + 15) / 16), 16 * lanes * len); }
}

/* ---- attention of llama, qwen2, qwen3 and deepseek (v1): grouped queries ---- */
DSM__FN void dsm__nn_rotate_part(dsm__nn *n, uint64_t from, uint64_t to, int slice) { /* norms of heads, RoPE, the cache's new rows */
    const dsm__arch *m = n->arch; int end = dsm__nn_unit(n, to);
    (void)slice;
    for (int t = dsm__nn_unit(n, from); t < end; t++) {
        float *q = n->q + (size_t)t * (size_t)(m->n_heads * m->head_k), *key = n->key + (size_t)t * (size_t)(m->n_kv_heads * m->head_k);
        for (int h = 0; h < m->n_heads + m->n_kv_heads; h++) {
            float *x = h < m->n_heads ? q + (size_t)h * (size_t)m->head_k : key + (size_t)(h - m->n_heads) * (size_t)m->head_k;
            const float *norm = h < m->n_heads ? n->w->q_norm : n->w->k_norm;
            if (norm) n->k->rmsnorm(x, norm, m->head_k, m->eps, x);
            n->k->rope(x, m->n_rot, m->neox, dsm__nn_angles(n, t)); }
        if (!n->k->all_finite(q, m->n_heads * m->head_k) || !n->k->all_finite(key, m->n_kv_heads * m->head_k) ||
            !n->k->all_finite(n->value + (size_t)t * (size_t)(m->n_kv_heads * m->head_v), m->n_kv_heads * m->head_v)) { dsm__nn_break(n); continue; }
        if (n->form == DSM__K_SCORE_Q8_INT8) for (int h = 0; h < m->n_heads; h++)
            if (!dsm__k_quantize_any(n->k, q + (size_t)h * (size_t)m->head_k, m->head_k, n->qq + (size_t)(t * m->n_heads + h) * (size_t)dsm__nn_records(m->head_k))) dsm__nn_break(n);
        if (!dsm__kv_put(&n->kv, n->k, n->layer, n->position + t, key, n->value + (size_t)t * (size_t)(m->n_kv_heads * m->head_v))) dsm__nn_break(n);
    }
}
DSM__FN int dsm__nn_gqa(dsm__nn *n) { /* sets up the next stage of n->layer; 0: there is none */
    const dsm__arch *m = n->arch; const dsm__layer *w = n->w; const int n_tokens = n->n_tokens;
    dsm__nn_in h = dsm__nn_rows(n->h, n->hq, m->width, n_tokens), heads = dsm__nn_rows(n->heads, n->heads_q, m->n_heads * m->head_v, n_tokens);
    for (;;) switch (n->stage++) {
    case 0: /* h [T][D] = RMSNorm(x) */
        return dsm__nn_norm(n, n->x, w->attn_norm, n_tokens);
    case 1: /* q [T][H*d] = W_Q h + b_Q, k [T][K*d] = W_K h + b_K, v [T][K*d] = W_V h + b_V */
        dsm__nn_matrix(n, &w->q, h, n->q)->bias = w->q_bias;
        dsm__nn_matrix(n, &w->k, h, n->key)->bias = w->k_bias;
        dsm__nn_matrix(n, &w->v, h, n->value)->bias = w->v_bias;
        return 1;
    case 2: /* q, k = RoPE(q, k), qwen3: after a norm of each head; k and v go into the cache */
        return dsm__nn_units(n, dsm__nn_rotate_part, n_tokens, (uint64_t)((m->n_heads + m->n_kv_heads) * m->head_k) * 8);
    case 3: /* heads [T][H*d] = softmax(q . k / sqrt(d)) v */
        if (dsm__nn_attend(n, 0, n_tokens)) { n->stage--; return 1; }
        continue;
    case 4:
        if (dsm__nn_round(n, n->heads, n->heads_q, m->n_heads * m->head_v, n_tokens)) return 1;
        continue;
    case 5: { /* x += W_O heads */
        dsm__nn_mul *o = dsm__nn_matrix(n, &w->o, heads, n->out); o->add = n->x; o->ld_add = m->width;
        return 1; }
    default: return 0;
    }
}

/* ---- Multi-head latent attention, in its absorbed form ----
   The papers write, for every head h and cached token t,
       k_ht = [ W_UK_h c_t ; r_t ]       c_t [C]: the latent, r_t [R]: the rotated key that all heads share; W_UK_h is [P][C]
       v_ht = W_UV_h c_t                 W_UV_h is [d][C]
       s_ht = (q_h . W_UK_h c_t + qr_h . r_t) * scale,   o_h = sum over t of softmax(s_h)_t v_ht
   which would make keys and values of all heads from every latent, for every new token. But q_h . (W_UK_h c_t) = (W_UK_h^T q_h) . c_t, and the sum over t can be
   taken before W_UV is applied, because both are linear:
       qa_h [C] = W_UK_h^T q_h           once for a new token
       s_ht     = (qa_h . c_t + qr_h . r_t) * scale
       ol_h [C] = sum over t of softmax(s_h)_t c_t
       o_h  [d] = W_UV_h ol_h            once for a new token
   So the cache holds C + R numbers a token for all heads together: attention with one KV head, whose values are the first C numbers of its keys. */
DSM__FN void dsm__nn_latent_part(dsm__nn *n, uint64_t from, uint64_t to, int slice) { /* c = RMSNorm(a), r = RoPE(a), into the cache; the query latent's norm */
    const dsm__arch *m = n->arch; int end = dsm__nn_unit(n, to);
    (void)slice;
    for (int t = dsm__nn_unit(n, from); t < end; t++) {
        float *a = n->key + (size_t)t * (size_t)(m->latent + m->n_rot);
        n->k->rmsnorm(a, n->w->kv_a_norm, m->latent, m->eps, a);
        n->k->rope(a + m->latent, m->n_rot, 0, dsm__nn_angles(n, t));
        if (!n->k->all_finite(a, m->latent + m->n_rot)) { dsm__nn_break(n); continue; }
        if (!dsm__kv_put(&n->kv, n->k, n->layer, n->position + t, a, NULL)) dsm__nn_break(n);
        if (n->w->q_a.present) {
            float *q = n->q_low + (size_t)t * (size_t)m->q_rank;
            n->k->rmsnorm(q, n->w->q_a_norm, m->q_rank, m->eps, q);
            if (!n->k->all_finite(q, m->q_rank)) dsm__nn_break(n);
            else if (n->q_low_q) dsm__nn_round_row(n, q, n->q_low_q + (size_t)t * (size_t)dsm__nn_records(m->q_rank), m->q_rank); }
    }
}
DSM__FN void dsm__nn_query_part(dsm__nn *n, uint64_t from, uint64_t to, int slice) { /* RoPE of the heads' rope part; the nope part rounded for a split W_UK */
    const dsm__arch *m = n->arch; int end = dsm__nn_unit(n, to);
    (void)slice;
    for (int t = dsm__nn_unit(n, from); t < end; t++) {
        float *q = n->q + (size_t)t * (size_t)(m->n_heads * m->head_k);
        if (!n->k->all_finite(q, m->n_heads * m->head_k)) { dsm__nn_break(n); continue; }
        for (int h = 0; h < m->n_heads; h++, q += m->head_k) {
            n->k->rope(q + m->nope, m->n_rot, 0, dsm__nn_angles(n, t));
            if (n->qq) dsm__nn_round_row(n, q, n->qq + (size_t)(t * m->n_heads + h) * (size_t)dsm__nn_records(m->nope), m->nope); }
    }
}
DSM__FN void dsm__nn_arrange_part(dsm__nn *n, uint64_t from, uint64_t to, int slice) { /* unit: token of the group * items + item */
    const dsm__arch *m = n->arch; int end = dsm__nn_unit(n, to), items = dsm__nn_items(n);
    (void)slice;
    for (int i = dsm__nn_unit(n, from); i < end; i++) {
        size_t head = (size_t)(i / items * m->n_heads + i % items * 16), at = (size_t)(n->group * m->n_heads) + head; int lanes = dsm__nn_lanes_of(n, i % items);
        if (!dsm__k_mla_query(n->k, n->form, m->latent, m->n_rot, 16, lanes, n->qa + head * (size_t)m->latent, m->latent, n->q + at * (size_t)m->head_k + m->nope, m->head_k,
                              n->qt + (size_t)i * n->item_bytes)) dsm__nn_break(n); }
}
DSM__FN int dsm__nn_mla(dsm__nn *n) {
    const dsm__arch *m = n->arch; const dsm__layer *w = n->w; const int n_tokens = n->n_tokens, n_heads = m->n_heads, nb_nope = dsm__nn_records(m->nope), nb_latent = dsm__nn_records(m->latent);
    dsm__nn_in h = dsm__nn_rows(n->h, n->hq, m->width, n_tokens), low = dsm__nn_rows(n->q_low, n->q_low_q, m->q_rank, n_tokens);
    dsm__nn_in heads = dsm__nn_rows(n->heads, n->heads_q, n_heads * m->head_v, n_tokens);
    for (;;) switch (n->stage++) {
    case 0: /* h [T][D] = RMSNorm(x) */
        return dsm__nn_norm(n, n->x, w->attn_norm, n_tokens);
    case 1: /* a [T][C+R] = W_DKV h; q [T][H*(P+R)] = W_Q h, or its latent [T][Q] = W_DQ h */
        if (w->q_a.present) dsm__nn_matrix(n, &w->q_a, h, n->q_low); else dsm__nn_matrix(n, &w->q, h, n->q);
        dsm__nn_matrix(n, &w->kv_a, h, n->key);
        return 1;
    case 2: /* c [T][C] = RMSNorm(a[0..C)), r [T][R] = RoPE(a[C..C+R)): the cache's new rows */
        return dsm__nn_units(n, dsm__nn_latent_part, n_tokens, (uint64_t)(m->latent + m->n_rot + m->q_rank) * 6);
    case 3: /* q [T][H*(P+R)] = W_UQ RMSNorm(its latent) */
        if (!w->q_a.present) continue;
        dsm__nn_matrix(n, &w->q_b, low, n->q);
        return 1;
    case 4: n->group = 0;
        return dsm__nn_units(n, dsm__nn_query_part, n_tokens, (uint64_t)(n_heads * m->head_k) * 4);
    case 5: { /* From here to W_UV a group of tokens at a time, which bounds the memory of 128 heads. qa_h [C] = W_UK_h^T q_h */
        int group = n_tokens - n->group < n->group_most ? n_tokens - n->group : n->group_most;
        for (int i = 0; i < n_heads; i++) {
            dsm__nn_in q; dsm__nn_mul *mul; float *qa = n->qa + (size_t)i * (size_t)m->latent;
            q.x = n->q + (size_t)n->group * (size_t)(n_heads * m->head_k) + (size_t)(i * m->head_k); q.ldx = (long)n_heads * m->head_k; q.n_tokens = group;
            q.q = n->qq ? n->qq + (size_t)(n->group * n_heads + i) * (size_t)nb_nope : NULL; q.ldq = (long)n_heads * nb_nope;
            if (w->split) mul = dsm__nn_product(n, w->k_b.data + (size_t)i * w->k_b_head_stride, w->k_b.stride, w->k_b.fmt, m->latent, m->nope, q, qa, (long)n_heads * m->latent);
            else mul = dsm__nn_product(n, w->kv_b.data + (size_t)i * w->kv_b_head_stride, w->kv_b.stride, w->kv_b.fmt, m->latent, m->nope, q, qa, (long)n_heads * m->latent);
            mul->columns = w->split ? 0 : m->nope; }
        n->group_size = group;
        return 1; }
    case 6: /* the order that the scores want */
        return dsm__nn_units(n, dsm__nn_arrange_part, n->group_size * dsm__nn_items(n), (uint64_t)(m->latent + m->n_rot) * 64);
    case 7: /* ol [G][H][C] = softmax((qa . c + qr . r) * scale) c */
        if (dsm__nn_attend(n, n->group, n->group_size)) { n->stage--; return 1; }
        continue;
    case 8:
        if (dsm__nn_round(n, n->ol, n->olq, m->latent, n->group_size * n_heads)) return 1;
        continue;
    case 9: /* o_h [d] = W_UV_h ol_h */
        for (int i = 0; i < n_heads; i++) {
            dsm__nn_in ol;
            ol.x = n->ol + (size_t)i * (size_t)m->latent; ol.ldx = (long)n_heads * m->latent; ol.n_tokens = n->group_size;
            ol.q = n->olq ? n->olq + (size_t)i * (size_t)nb_latent : NULL; ol.ldq = (long)n_heads * nb_latent;
            dsm__nn_product(n, w->v_b.data + (size_t)i * w->v_b_head_stride, w->v_b.stride, w->v_b.fmt, m->head_v, m->latent, ol,
                n->heads + ((size_t)n->group * (size_t)n_heads + (size_t)i) * (size_t)m->head_v, (long)n_heads * m->head_v); }
        return 1;
    case 10:
        n->group += n->group_size;
        if (n->group < n_tokens) { n->stage = 5; continue; }
        if (dsm__nn_round(n, n->heads, n->heads_q, n_heads * m->head_v, n_tokens)) return 1;
        continue;
    case 11: { /* x += W_O [o_1 ... o_H] */
        dsm__nn_mul *o = dsm__nn_matrix(n, &w->o, heads, n->out); o->add = n->x; o->ld_add = m->width;
        return 1; }
    default: return 0;
    }
}

/* ---- the feed-forward network, dense or of experts ---- */
DSM__FN int dsm__nn_dense(dsm__nn *n) {
    const dsm__layer *w = n->w; const int width = n->arch->width, n_tokens = n->n_tokens, n_act = w->gate.n_rows;
    dsm__x64 *act_q = n_act % 32 ? NULL : n->act_q; dsm__nn_mul *m;
    for (;;) switch (n->stage++) {
    case 0: /* h [T][D] = RMSNorm(x) */
        return dsm__nn_norm(n, n->x, w->ffn_norm, n_tokens);
    case 1: /* a [T][F] = silu(W_gate h) * W_up h */
        m = dsm__nn_matrix(n, &w->gate, dsm__nn_rows(n->h, n->hq, width, n_tokens), n->gate);
        dsm__nn_with_up(n, m, w->up.data, w->up.stride, w->up.fmt, n->up);
        return 1;
    case 2:
        if (dsm__nn_round(n, n->gate, act_q, n_act, n_tokens)) return 1;
        continue;
    case 3: /* x += W_down a */
        m = dsm__nn_matrix(n, &w->down, dsm__nn_rows(n->gate, act_q, n_act, n_tokens), n->out);
        m->add = n->x; m->ld_add = width;
        return 1;
    default: return 0;
    }
}

/* Chooses the experts of one token from its router logits g [E], which become scores. room: 2 * E floats. Whatever g holds, NaN too, the ids are valid and distinct. */
DSM__FN void dsm__nn_choose(const dsm__arch *m, const dsm__kernels *k, const float *bias, float *g, float *room, int32_t *chosen, float *weight) {
    const int n_experts = m->n_experts, n_groups = m->n_groups; float sum = 0, *choice = room, *score = room + n_experts;
    if (m->sigmoid) k->sigmoid(g, n_experts);
    else { float total = k->softmax(g, n_experts); for (int e = 0; e < n_experts; e++) g[e] /= total; }
    for (int e = 0; e < n_experts; e++) { /* the bias counts for the choice only */
        float c = bias ? g[e] + bias[e] : g[e];
        choice[e] = c == c ? c : -INFINITY; }
    if (n_groups > 1 && m->n_groups_used < n_groups) {
        int each = n_experts / n_groups;
        for (int j = 0; j < n_groups; j++) { /* V2: a group counts as its best expert, V3: as its two best together */
            float first = -INFINITY, second = -INFINITY;
            for (int i = 0; i < each; i++) {
                float c = choice[j * each + i];
                if (c > first) { second = first; first = c; } else if (c > second) second = c; }
            score[j] = m->group_top2 && each > 1 ? first + second : first;
            if (score[j] != score[j]) score[j] = -INFINITY; }
        for (int j = 0; j < n_groups; j++) {
            int better = 0;
            for (int i = 0; i < n_groups; i++) better += score[i] > score[j] || (score[i] == score[j] && i < j);
            if (better >= m->n_groups_used) for (int i = 0; i < each; i++) choice[j * each + i] = -INFINITY; }
    }
    for (int i = 0; i < m->n_used; i++) { /* the best first, the lower id first among equals; NaN marks what is taken */
        int best = -1;
        for (int e = 0; e < n_experts; e++) if (choice[e] == choice[e] && (best < 0 || choice[e] > choice[best])) best = e;
        chosen[i] = best; weight[i] = g[best]; sum += g[best]; choice[best] = NAN; }
    for (int i = 0; i < m->n_used; i++) {
        if (m->normalize) weight[i] = weight[i] / (sum + 1e-20f);
        weight[i] *= m->expert_scale; }
}
DSM__FN void dsm__nn_choose_part(dsm__nn *n, uint64_t from, uint64_t to, int slice) {
    const dsm__arch *m = n->arch; int end = dsm__nn_unit(n, to);
    for (int t = dsm__nn_unit(n, from); t < end; t++) {
        size_t at = (size_t)t * (size_t)m->n_used;
        dsm__nn_choose(m, n->k, n->w->router_bias, n->router + (size_t)t * (size_t)m->n_experts, n->row + (size_t)slice * n->ld_row, n->chosen + at, n->weight + at); }
}
DSM__FN void dsm__nn_gather_part(dsm__nn *n, uint64_t from, uint64_t to, int slice) { /* inputs in the order of experts */
    const dsm__arch *m = n->arch; size_t width = (size_t)m->width, records = (size_t)dsm__nn_records(m->width); int end = dsm__nn_unit(n, to);
    (void)slice;
    for (int i = dsm__nn_unit(n, from); i < end; i++) {
        size_t row = (size_t)n->row_of[i], t = (size_t)(i / m->n_used);
        if (n->xg) memcpy(n->xg + row * width, n->h + t * width, width * sizeof(float));
        if (n->xgq) memcpy(n->xgq + row * records, n->hq + t * records, records * sizeof(dsm__x64)); }
}
DSM__FN void dsm__nn_combine_part(dsm__nn *n, uint64_t from, uint64_t to, int slice) { /* x += the shared experts' output, then expert by expert, best first */
    const dsm__arch *m = n->arch; int width = m->width, end = dsm__nn_unit(n, to);
    (void)slice;
    for (int t = dsm__nn_unit(n, from); t < end; t++) {
        float *y = n->out + (size_t)t * (size_t)width;
        if (!n->w->down_shared.present) memset(y, 0, (size_t)width * sizeof *y);
        for (int i = 0; i < m->n_used; i++) {
            size_t at = (size_t)(t * m->n_used + i);
            n->k->axpy(y, n->weight[at], n->out_e + (size_t)n->row_of[at] * (size_t)width, width); }
        n->k->add(n->x + (size_t)t * (size_t)width, y, width); }
}
DSM__FN void dsm__nn_batches(dsm__nn *n) { /* the rows of each expert: first[e] .. first[e+1]-1, in order of tokens */
    const dsm__arch *m = n->arch; int rows = n->n_tokens * m->n_used, at = 0;
    memset(n->first, 0, (size_t)(m->n_experts + 1) * sizeof *n->first);
    for (int i = 0; i < rows; i++) n->first[n->chosen[i]]++;
    for (int e = 0; e <= m->n_experts; e++) { int count = n->first[e]; n->first[e] = at; at += count; }
    for (int i = 0; i < rows; i++) n->row_of[i] = n->first[n->chosen[i]]++; /* first[e] becomes the end of e ... */
    for (int e = m->n_experts; e > 0; e--) n->first[e] = n->first[e - 1];   /* ... which is the beginning of the next */
    n->first[0] = 0;
}
DSM__FN int dsm__nn_moe(dsm__nn *n) {
    const dsm__arch *m = n->arch; const dsm__layer *w = n->w; const int width = m->width, n_tokens = n->n_tokens, f = m->expert_width, shared = w->gate_shared.present, n_rows = n_tokens * m->n_used;
    const size_t records = (size_t)dsm__nn_records(width), act_records = (size_t)dsm__nn_records(f); dsm__x64 *act_q = f % 32 ? NULL : n->act_q; dsm__nn_mul *mul;
    dsm__nn_in h = dsm__nn_rows(n->h, n->hq, width, n_tokens);
    for (;;) switch (n->stage++) {
    case 0: /* h [T][D] = RMSNorm(x) */
        return dsm__nn_norm(n, n->x, w->ffn_norm, n_tokens);
    case 1: /* g [T][E] = W_g h, in floats */
        dsm__nn_matrix(n, &w->router, h, n->router);
        return 1;
    case 2: /* N experts and their weights for every token */
        return dsm__nn_units(n, dsm__nn_choose_part, n_tokens, (uint64_t)m->n_experts * (uint64_t)(m->n_used + 8) * 2);
    case 3: /* each expert's tokens become one batch, so that its weights are read once */
        dsm__nn_batches(n);
        if (n_tokens == 1) continue; /* all read the same row */
        return dsm__nn_units(n, dsm__nn_gather_part, n_rows, (uint64_t)width);
    case 4: /* a_e [F] = silu(W_gate_e h) * W_up_e h for every expert and its tokens, the shared ones too */
        if (shared) {
            mul = dsm__nn_matrix(n, &w->gate_shared, h, n->gate_s);
            dsm__nn_with_up(n, mul, w->up_shared.data, w->up_shared.stride, w->up_shared.fmt, n->up_s); }
        for (int e = 0; e < m->n_experts; e++) {
            int rows = n->first[e + 1] - n->first[e]; size_t first = (size_t)n->first[e], each = (size_t)f * (size_t)(w->fused_gate_up ? 2 : 1); dsm__nn_in in = h;
            const uint8_t *gate = w->gate_exps.data + (size_t)e * each * w->gate_exps.stride; const dsm__mat *up = w->fused_gate_up ? &w->gate_exps : &w->up_exps;
            if (!rows) continue;
            in.n_tokens = rows;
            if (n_tokens > 1) { in.x = n->xg ? n->xg + first * (size_t)width : NULL; in.q = n->xgq ? n->xgq + first * records : NULL; }
            mul = dsm__nn_product(n, gate, w->gate_exps.stride, w->gate_exps.fmt, f, width, in, n->gate + first * (size_t)f, f);
            dsm__nn_with_up(n, mul, w->fused_gate_up ? gate + (size_t)f * up->stride : up->data + (size_t)e * (size_t)f * up->stride, up->stride, up->fmt, n->up + first * (size_t)f); }
        return 1;
    case 5:
        if (!dsm__nn_round(n, n->gate, act_q, f, n_rows) && !n->act_sq) continue;
        if (shared && n->act_sq) { n->round[1].from = n->gate_s; n->round[1].to = n->act_sq; n->round[1].len = w->gate_shared.n_rows; n->round[1].n_rows = n_tokens; }
        return dsm__nn_units(n, dsm__nn_round_part, n->round[0].n_rows + n->round[1].n_rows, (uint64_t)f * 2);
    case 6: /* y_e [D] = W_down_e a_e */
        if (shared) dsm__nn_matrix(n, &w->down_shared, dsm__nn_rows(n->gate_s, n->act_sq, w->gate_shared.n_rows, n_tokens), n->out);
        for (int e = 0; e < m->n_experts; e++) {
            int rows = n->first[e + 1] - n->first[e]; size_t first = (size_t)n->first[e];
            if (!rows) continue;
            dsm__nn_product(n, w->down_exps.data + (size_t)e * (size_t)width * w->down_exps.stride, w->down_exps.stride, w->down_exps.fmt, width, f,
                dsm__nn_rows(n->gate + first * (size_t)f, act_q ? act_q + first * act_records : NULL, f, rows), n->out_e + first * (size_t)width, width); }
        return 1;
    case 7: /* x += sum of w_e y_e + y_shared */
        return dsm__nn_units(n, dsm__nn_combine_part, n_tokens, (uint64_t)width * (uint64_t)(m->n_used + 1));
    default: return 0;
    }
}

/* ---- a chunk: embedding, layers, and apart from it the logits ---- */
DSM__FN void dsm__nn_embed_part(dsm__nn *n, uint64_t from, uint64_t to, int slice) { /* x [T][D] = rows of the embedding; cosines and sines of the positions */
    const dsm__arch *m = n->arch; int half = m->n_rot / 2, end = dsm__nn_unit(n, to);
    (void)slice;
    for (int t = dsm__nn_unit(n, from); t < end; t++) {
        float *angles = n->rope + (size_t)t * (size_t)m->n_rot;
        if (!n->first_layer) dsm__fmt_dequantize(m->embed.fmt, m->embed.data + (size_t)n->tokens[t] * m->embed.stride, n->x + (size_t)t * (size_t)m->width, (size_t)m->width);
        for (int i = 0; i < half; i++) {
            double s, c;
            dsm__num_sincos64((double)(n->position + t) * m->rope_theta[i], &s, &c);
            angles[i] = (float)(c * (double)m->rope_amplitude); angles[half + i] = (float)(s * (double)m->rope_amplitude); } }
}
DSM__FN void dsm__nn_check_part(dsm__nn *n, uint64_t from, uint64_t to, int slice) {
    int end = dsm__nn_unit(n, to);
    (void)slice;
    for (int t = dsm__nn_unit(n, from); t < end; t++) if (!n->k->all_finite(n->logits + (size_t)t * (size_t)n->arch->n_vocab, n->arch->n_vocab)) dsm__nn_break(n);
}
DSM__FN int dsm__nn_head(dsm__nn *n) { /* logits [T][V] = W_out RMSNorm(x) */
    const dsm__arch *m = n->arch; int n_tokens = n->n_tokens;
    switch (n->stage++) {
    case 0: return dsm__nn_norm(n, n->logits_from, m->output_norm, n_tokens);
    case 1: dsm__nn_matrix(n, &m->output, dsm__nn_rows(n->h, n->hq, m->width, n_tokens), n->logits); return 1;
    case 2: return dsm__nn_units(n, dsm__nn_check_part, n_tokens, (uint64_t)m->n_vocab);
    default: return 0; }
}
DSM__FN int dsm__nn_next(dsm__nn *n) { /* sets up the next stage; 0: done */
    n->at = n->total = 0; n->n_muls = 0;
    for (;;) switch (n->room) {
    case DSM__NN_EMBED:
        if (!n->stage++) return dsm__nn_units(n, dsm__nn_embed_part, n->n_tokens, (uint64_t)(n->arch->width + 64 * n->arch->n_rot));
        n->layer = n->first_layer; n->room = DSM__NN_ATTENTION; n->stage = 0; continue;
    case DSM__NN_ATTENTION:
        if (n->layer >= n->last_layer) return 0;
        n->w = &n->arch->layers[n->layer];
        if (n->arch->mla ? dsm__nn_mla(n) : dsm__nn_gqa(n)) return 1;
        n->room = DSM__NN_FFN; n->stage = 0; continue;
    case DSM__NN_FFN:
        if (n->w->moe ? dsm__nn_moe(n) : dsm__nn_dense(n)) return 1;
        n->layer++; n->room = DSM__NN_ATTENTION; n->stage = 0; continue;
    case DSM__NN_HEAD: return dsm__nn_head(n);
    default: return 0;
    }
}
DSM__FN void dsm__nn_begin(dsm__nn *n, int first, int last, const int32_t *tokens, int position, int n_tokens) {
    n->first_layer = first; n->last_layer = last; n->tokens = tokens; n->position = position; n->n_tokens = n_tokens;
    n->room = DSM__NN_EMBED; n->stage = n->phase = n->broken = 0; n->at = n->total = 0;
}
DSM__FN void dsm__nn_begin_logits(dsm__nn *n, int first_row, int n_rows, float *logits) { /* of the chunk that is done */
    n->position += first_row; n->n_tokens = n_rows; n->logits = logits; n->logits_from = n->x + (size_t)first_row * (size_t)n->arch->width;
    n->room = DSM__NN_HEAD; n->stage = n->broken = 0; n->at = n->total = 0;
}
typedef struct dsm__nn_piece { dsm__nn *n; uint64_t from, to; int n_slices; } dsm__nn_piece;
DSM__FN void dsm__nn_slice(void *arg, int i) {
    const dsm__nn_piece *p = (const dsm__nn_piece *)arg; uint64_t size = p->to - p->from, slices = (uint64_t)p->n_slices, each = size / slices, rest = size % slices, k = (uint64_t)i;
    uint64_t from = p->from + each * k + (k < rest ? k : rest), to = from + each + (k < rest);
    if (from < to) p->n->work(p->n, from, to, i);
}
/* Works until the limit's poll says stop, at least one piece. A piece is a whole stage; where time is limited, no more of it than takes about 0.4 ms by what the
   same stage took before. Call again with the same state to go on. */
DSM__FN dsm_status dsm__nn_run(dsm__nn *n, const struct dsm_limit *limit, dsm_error *error) {
    for (;;) {
        dsm__nn_piece p; uint64_t begin = 0, us; float *rate; int stop;
        if (n->at >= n->total && !dsm__nn_next(n)) { n->room = DSM__NN_IDLE; return DSM_OK; }
        rate = &n->rate[n->room][n->stage];
        n->timed = limit->timed;
        p.n = n; p.from = n->at; p.to = n->total;
        if (limit->timed) {
            uint64_t most = (uint64_t)(*rate * 400.f);
            if (p.to - p.from > most + most / 4) p.to = p.from + most;
            begin = dsm__os_clock_us(); }
        p.n_slices = (p.to - p.from) / DSM__NN_GRAIN < (uint64_t)n->workers ? 1 + (int)((p.to - p.from) / DSM__NN_GRAIN) : n->workers;
        dsm__pool_run(n->pool, p.n_slices, dsm__nn_slice, &p);
        n->at = p.to;
        if (__atomic_load_n(&n->broken, __ATOMIC_RELAXED)) {
            int head = n->room == DSM__NN_HEAD;
            n->room = DSM__NN_IDLE; n->broken = 0;
            return head ? dsm__err(error, DSM__ERR_NUMBER_OUT, dsm__i(n->position)) : dsm__err(error, DSM__ERR_NUMBER, dsm__i(n->layer), dsm__i(n->position)); }
        if (limit->timed) { /* a rate falls at once, and grows at most twofold */
            float seen;
            us = dsm__os_clock_us() - begin; seen = (float)(p.to - p.from) / (float)(us ? us : 1);
            *rate = us > 20 && seen < *rate * 2 ? seen : *rate * 2;
            if (*rate < 10.f) *rate = 10.f;
            if (*rate > 1e7f) *rate = 1e7f; }
        stop = limit->poll ? limit->poll(limit->user) : 0;
        if (stop == 1) return DSM_MORE;
        if (stop) return dsm__err(error, DSM__ERR_CANCELLED, dsm__s("the computation"));
    }
}

/* ---- memory of a session: the same code counts and lays out ---- */
DSM__FN int dsm__nn_larger(int a, int b) { return a > b ? a : b; }
DSM__FN float *dsm__nn_floats(dsm__arena *m, uint64_t rows, int len) { return (float *)dsm__mem_take(m, rows * (uint64_t)len, sizeof(float)); }
DSM__FN dsm__x64 *dsm__nn_roundings(const dsm__nn *n, dsm__arena *m, uint64_t rows, int len) { /* NULL where nothing rounds: rows of quantised weights are multiples of 32 */
    return n->float_only || len % 32 ? NULL : (dsm__x64 *)dsm__mem_take(m, rows * (uint64_t)dsm__nn_records(len), sizeof(dsm__x64));
}
DSM__FN int dsm__nn_any_rounded(const dsm__arch *m) { /* a quantised tensor that tokens meet */
    int any = m->output.present && m->output.fmt > DSM__FMT_BF16;
    for (int i = 0; i < m->n_layers; i++) {
        const dsm__layer *w = &m->layers[i]; const dsm__mat *mats[18] = { &w->q, &w->k, &w->v, &w->o, &w->q_a, &w->q_b, &w->kv_a, &w->k_b, &w->v_b, &w->gate, &w->up, &w->down,
            &w->gate_exps, &w->up_exps, &w->down_exps, &w->gate_shared, &w->up_shared, &w->down_shared };
        for (int j = 0; j < 18; j++) any |= mats[j]->present && mats[j]->fmt > DSM__FMT_BF16; }
    return any;
}
DSM__FN void dsm__nn_layout(dsm__nn *n, dsm__arena *m, const dsm__arch *arch, int workers, const dsm_session_desc *desc, dsm_memory *memory) {
    const int width = arch->width, heads = arch->n_heads, e = arch->n_experts, f = arch->expert_width; const uint64_t t = (uint64_t)desc->chunk, used = e ? t * (uint64_t)arch->n_used : 0;
    int ffn = 0, shared = 0, longest; uint64_t begin = m->used, mark, attention, rows, records;
    for (int i = 0; i < arch->n_layers; i++) {
        ffn = dsm__nn_larger(ffn, arch->layers[i].gate.n_rows); shared = dsm__nn_larger(shared, arch->layers[i].gate_shared.n_rows); }
    n->arch = arch; n->workers = workers > 0 ? workers : 1; n->most = desc->chunk;
    n->float_only = desc->activations == DSM_ACTIVATIONS_F32 || !dsm__nn_any_rounded(arch);
    n->form = dsm__kv_form(desc->kv, desc->activations);
    n->group_most = dsm__nn_larger(32, 4096 / heads);
    if (n->group_most > n->most) n->group_most = n->most;
    dsm__kv_layout(&n->kv, m, arch, desc);
    memory->cache += m->used - begin; memory->per_token += n->kv.per_token; begin = m->used;

    n->x = dsm__nn_floats(m, t, width); n->h = dsm__nn_floats(m, t, width); n->hq = dsm__nn_roundings(n, m, t, width); n->out = dsm__nn_floats(m, t, width);
    n->rope = dsm__nn_floats(m, t, arch->n_rot);
    mark = m->used; /* attention ... */
    n->q = dsm__nn_floats(m, t, heads * arch->head_k); n->heads = dsm__nn_floats(m, t, heads * arch->head_v); n->heads_q = dsm__nn_roundings(n, m, t, heads * arch->head_v);
    if (arch->mla) {
        n->key = dsm__nn_floats(m, t, arch->latent + arch->n_rot);
        if (arch->q_rank) { n->q_low = dsm__nn_floats(m, t, arch->q_rank); n->q_low_q = dsm__nn_roundings(n, m, t, arch->q_rank); }
        n->qq = dsm__nn_roundings(n, m, t * (uint64_t)heads, arch->nope); rows = (uint64_t)n->group_most * (uint64_t)heads;
        n->qa = dsm__nn_floats(m, rows, arch->latent); n->ol = dsm__nn_floats(m, rows, arch->latent);
        n->olq = dsm__nn_roundings(n, m, rows, arch->latent);
        n->item_bytes = (size_t)dsm__round_up(dsm__k_mla_query_bytes(n->form, arch->latent, arch->n_rot, 16), DSM__ALIGN);
        n->qt = (uint8_t *)dsm__mem_take(m, (uint64_t)n->group_most * (uint64_t)dsm__nn_items(n), n->item_bytes);
    } else {
        n->key = dsm__nn_floats(m, t, arch->n_kv_heads * arch->head_k); n->value = dsm__nn_floats(m, t, arch->n_kv_heads * arch->head_v);
        n->qq = n->form == DSM__K_SCORE_Q8_INT8 ? (dsm__x64 *)dsm__mem_take(m, t * (uint64_t)heads * (uint64_t)dsm__nn_records(arch->head_k), sizeof(dsm__x64)) : NULL; }
    rows = (uint64_t)dsm__nn_larger(dsm__nn_items(n), n->workers) * (uint64_t)dsm__nn_lanes(n);
    n->ld_scores = dsm__k_score_stride(desc->context);
    n->scores = (float *)dsm__mem_take(m, rows * (uint64_t)n->ld_scores, sizeof(float)); n->sums = dsm__nn_floats(m, rows, 1);
    attention = m->used; m->used = mark; /* ... and FFN take turns */
    rows = t * (uint64_t)ffn > used * (uint64_t)f ? t * (uint64_t)ffn : used * (uint64_t)f;
    n->gate = dsm__nn_floats(m, rows, 1); n->up = dsm__nn_floats(m, rows, 1);
    rows = ffn % 32 ? 0 : t * (uint64_t)dsm__nn_records(ffn); records = f % 32 ? 0 : used * (uint64_t)dsm__nn_records(f);
    if (!n->float_only) n->act_q = (dsm__x64 *)dsm__mem_take(m, rows > records ? rows : records, sizeof(dsm__x64));
    if (e) {
        if (shared) { n->gate_s = dsm__nn_floats(m, t, shared); n->up_s = dsm__nn_floats(m, t, shared); n->act_sq = dsm__nn_roundings(n, m, t, shared); }
        n->router = dsm__nn_floats(m, t, e); n->weight = dsm__nn_floats(m, used, 1); n->out_e = dsm__nn_floats(m, used, width);
        n->chosen = (int32_t *)dsm__mem_take(m, used, sizeof(int32_t)); n->row_of = (int32_t *)dsm__mem_take(m, used, sizeof(int32_t));
        n->first = (int32_t *)dsm__mem_take(m, (uint64_t)e + 1, sizeof(int32_t));
        if (t > 1) { /* an expert's product takes its tokens rounded, or as floats */
            int rounded = 0, plain = n->hq == NULL;
            for (int i = 0; i < arch->n_layers; i++) {
                const dsm__layer *w = &arch->layers[i];
                if (w->moe && n->hq) { int g = dsm__nn_rounded(n, w->gate_exps.fmt), u = w->fused_gate_up ? g : dsm__nn_rounded(n, w->up_exps.fmt); rounded |= g | u; plain |= !g | !u; } }
            if (plain) n->xg = dsm__nn_floats(m, used, width);
            if (rounded) n->xgq = dsm__nn_roundings(n, m, used, width); } }
    if (m->used < attention) m->used = attention;
    longest = dsm__nn_larger(dsm__nn_larger(width, heads * arch->head_v), dsm__nn_larger(ffn, f));
    longest = dsm__nn_larger(longest, dsm__nn_larger(dsm__nn_larger(shared, 2 * e), dsm__nn_larger(arch->q_rank, arch->latent)));
    n->ld_row = (size_t)dsm__round_up((uint64_t)longest + 16, 16) + (arch->mla ? dsm__k_columns_floats(arch->nope) : 0);
    n->row = (float *)dsm__mem_take(m, (uint64_t)n->workers * n->ld_row, sizeof(float));
    n->worker_bytes = n->float_only ? 0 : (size_t)dsm__round_up(dsm__k_scratch_bytes(), DSM__ALIGN);
    n->worker = (uint8_t *)dsm__mem_take(m, (uint64_t)n->workers, n->worker_bytes);
    n->muls = (dsm__nn_mul *)dsm__mem_take(m, (uint64_t)dsm__nn_larger(e + 2, heads + 2), sizeof *n->muls);
    memory->scratch += m->used - begin;
    for (int i = 0; i < DSM__NN_ROOMS; i++) for (int j = 0; j <= DSM__NN_STAGES; j++) n->rate[i][j] = 200.f;
}
/* What one more token reads, and multiplies: bytes of weights, multiply-adds without the output matrix. */
DSM__FN void dsm__nn_cost(const dsm__arch *m, uint64_t *bytes, uint64_t *macs) {
    *macs = 0; *bytes = m->output.stride * (uint64_t)m->output.n_rows;
    for (int i = 0; i < m->n_layers; i++) {
        const dsm__layer *w = &m->layers[i]; const dsm__mat *mats[20] = { &w->q, &w->k, &w->v, &w->o, &w->q_a, &w->q_b, &w->kv_a, w->split ? &w->k_b : &w->kv_b,
            w->split ? &w->v_b : NULL, &w->gate, &w->up, &w->down, &w->router, &w->gate_shared, &w->up_shared, &w->down_shared, &w->gate_exps, &w->up_exps, &w->down_exps, NULL };
        for (int j = 0; j < 20; j++) if (mats[j] && mats[j]->present) {
            uint64_t rows = (uint64_t)mats[j]->n_rows;
            if (j >= 16) rows = rows / (uint64_t)m->n_experts * (uint64_t)m->n_used;
            *bytes += rows * mats[j]->stride; *macs += rows * (uint64_t)mats[j]->n_cols; } }
}

// >>backend
/* The seam behind which layers are computed: Part IIb, the CPU as one instance of it, and one that records the calls on their way to another.
   Test: tests/backend.c */
struct dsm_model { /* desk fills it in */
    dsm_allocator allocator; dsm_log log; dsm_progress progress;
    dsm__file file; dsm__tok tok; dsm__arch arch; dsm__pool pool;
    const dsm__kernels *kernels;
    const dsm_backend *backend; void *weights; int loaded; /* what its load returned, once it has */
    int header_only;
    int sessions;            /* open ones; atomic */
    uint64_t warmed;         /* bytes that dsm_model_warm has touched */
    char name[128], architecture[64], formats[160];
};

/* The CPU: a session is a dsm__nn at the beginning of its host memory. */
DSM__FN dsm_status dsm__be_cpu_plan(void *user, const dsm_model *model, const dsm_session_desc *desc, dsm_memory *memory, dsm_error *error) {
    dsm__arena count; dsm__nn n;
    (void)user;
    memset(&count, 0, sizeof count); memset(&n, 0, sizeof n);
    dsm__mem_take(&count, 1, sizeof n); memory->tables += count.used;
    dsm__nn_layout(&n, &count, &model->arch, model->pool.workers, desc, memory);
    if (count.wrapped) return dsm__err(error, DSM__ERR_TOO_LARGE, dsm__s("a session with this context"));
    return DSM_OK;
}
DSM__FN dsm_status dsm__be_cpu_load(void *user, const dsm_model *model, void **weights, dsm_error *error) {
    (void)user; (void)error;
    memcpy(weights, &model, sizeof model); /* used in place */
    return DSM_OK;
}
DSM__FN void dsm__be_cpu_unload(void *user, void *weights) { (void)user; (void)weights; }
DSM__FN dsm_status dsm__be_cpu_open(void *user, void *weights, const dsm_session_desc *desc, void *host, void **session, dsm_error *error) {
    dsm_model *model = (dsm_model *)weights; dsm__arena m; dsm__nn *n; dsm_memory memory;
    (void)user; (void)error;
    memset(&m, 0, sizeof m); memset(&memory, 0, sizeof memory);
    m.base = (uint8_t *)host; m.size = UINT64_MAX / 8; /* as planned */
    n = (dsm__nn *)dsm__mem_take(&m, 1, sizeof *n);
    memset(n, 0, sizeof *n);
    n->k = model->kernels; n->pool = &model->pool;
    dsm__nn_layout(n, &m, &model->arch, model->pool.workers, desc, &memory);
    *session = n;
    return DSM_OK;
}
DSM__FN void dsm__be_cpu_close(void *user, void *session) { (void)user; (void)session; }
DSM__FN dsm_status dsm__be_cpu_forward(void *user, void *session, int first, int last, const int32_t *tokens, int position, int count, float *hidden, const dsm_limit *limit, dsm_error *error) {
    dsm__nn *n = (dsm__nn *)session; size_t bytes = (size_t)count * (size_t)n->arch->width * sizeof(float); dsm_status status;
    (void)user;
    if (n->room == DSM__NN_IDLE || n->room == DSM__NN_HEAD) {
        if (hidden && first) memcpy(n->x, hidden, bytes);
        dsm__nn_begin(n, first, last, tokens, position, count); }
    status = dsm__nn_run(n, limit, error);
    if (hidden && status == DSM_OK) memcpy(hidden, n->x, bytes);
    return status;
}
DSM__FN dsm_status dsm__be_cpu_logits(void *user, void *session, int first_row, int n_rows, float *logits, const dsm_limit *limit, dsm_error *error) {
    dsm__nn *n = (dsm__nn *)session;
    (void)user;
    if (n->room != DSM__NN_HEAD) dsm__nn_begin_logits(n, first_row, n_rows, logits);
    return dsm__nn_run(n, limit, error);
}
DSM__FN void dsm__be_cpu_rewind(void *user, void *session, int count) { (void)user; (void)count; ((dsm__nn *)session)->room = DSM__NN_IDLE; } /* what lies behind is written before it is read */
DSM__FN dsm_status dsm__be_cpu_copy(void *user, void *to, void *from, int count, dsm_error *error) {
    (void)user; (void)error;
    dsm__kv_copy(&((dsm__nn *)to)->kv, &((dsm__nn *)from)->kv, count);
    return DSM_OK;
}
DSM__FN size_t dsm__be_cpu_row_bytes(void *user, const dsm_model *model, const dsm_session_desc *desc) {
    dsm__kv kv; dsm__arena count;
    (void)user;
    memset(&kv, 0, sizeof kv); memset(&count, 0, sizeof count);
    dsm__kv_layout(&kv, &count, &model->arch, desc);
    return dsm__kv_row_bytes(&kv);
}
DSM__FN void dsm__be_cpu_get_row(void *user, void *session, int layer, int position, void *row) { (void)user; dsm__kv_move(&((dsm__nn *)session)->kv, layer, position, (uint8_t *)row, 0); }
DSM__FN void dsm__be_cpu_put_row(void *user, void *session, int layer, int position, const void *row) {
    uint8_t *p; (void)user; memcpy(&p, &row, sizeof p); /* it is only read */
    dsm__kv_move(&((dsm__nn *)session)->kv, layer, position, p, 1);
}
static const dsm_backend dsm__be_cpu = {
    DSM_BACKEND_VERSION, "cpu", NULL, dsm__be_cpu_plan, dsm__be_cpu_load, dsm__be_cpu_unload, dsm__be_cpu_open, dsm__be_cpu_close, dsm__be_cpu_forward, dsm__be_cpu_logits,
    dsm__be_cpu_rewind, dsm__be_cpu_copy, dsm__be_cpu_row_bytes, dsm__be_cpu_get_row, dsm__be_cpu_put_row };

/* A backend that passes every call on and notes it: for tests of what the library asks of one. */
typedef struct dsm__be_call { const char *name; int first, last, position, n; dsm_status status; } dsm__be_call;
typedef struct dsm__be_trace { const dsm_backend *to; dsm__be_call calls[256]; int n_calls; /* all; the newest 256 are kept */ dsm_backend backend; } dsm__be_trace;
DSM__FN dsm_status dsm__be_note(void *user, const char *name, int first, int last, int position, int n, dsm_status status) {
    dsm__be_trace *t = (dsm__be_trace *)user; dsm__be_call *c = &t->calls[t->n_calls++ % 256];
    c->name = name; c->first = first; c->last = last; c->position = position; c->n = n; c->status = status;
    return status;
}
#define DSM__BE_TO(function, arguments) ((dsm__be_trace *)user)->to->function arguments
#define DSM__BE_INNER ((dsm__be_trace *)user)->to->user
DSM__FN dsm_status dsm__be_trace_plan(void *user, const dsm_model *model, const dsm_session_desc *desc, dsm_memory *memory, dsm_error *error) {
    return dsm__be_note(user, "plan", 0, 0, 0, desc->context, DSM__BE_TO(plan, (DSM__BE_INNER, model, desc, memory, error)));
}
DSM__FN dsm_status dsm__be_trace_load(void *user, const dsm_model *model, void **weights, dsm_error *error) {
    return dsm__be_note(user, "load", 0, 0, 0, 0, DSM__BE_TO(load, (DSM__BE_INNER, model, weights, error)));
}
DSM__FN void dsm__be_trace_unload(void *user, void *weights) {
    DSM__BE_TO(unload, (DSM__BE_INNER, weights)); dsm__be_note(user, "unload", 0, 0, 0, 0, DSM_OK);
}
DSM__FN dsm_status dsm__be_trace_open(void *user, void *weights, const dsm_session_desc *desc, void *host, void **session, dsm_error *error) {
    return dsm__be_note(user, "open", 0, 0, 0, desc->context, DSM__BE_TO(open, (DSM__BE_INNER, weights, desc, host, session, error)));
}
DSM__FN void dsm__be_trace_close(void *user, void *session) {
    DSM__BE_TO(close, (DSM__BE_INNER, session)); dsm__be_note(user, "close", 0, 0, 0, 0, DSM_OK);
}
DSM__FN dsm_status dsm__be_trace_forward(void *user, void *session, int first, int last, const int32_t *tokens, int position, int n, float *hidden, const dsm_limit *limit, dsm_error *error) {
    dsm_status status = DSM__BE_TO(forward, (DSM__BE_INNER, session, first, last, tokens, position, n, hidden, limit, error));
    return dsm__be_note(user, "forward", first, last, position, n, status);
}
DSM__FN dsm_status dsm__be_trace_logits(void *user, void *session, int first_row, int n_rows, float *logits, const dsm_limit *limit, dsm_error *error) {
    return dsm__be_note(user, "logits", first_row, 0, 0, n_rows, DSM__BE_TO(logits, (DSM__BE_INNER, session, first_row, n_rows, logits, limit, error)));
}
DSM__FN void dsm__be_trace_rewind(void *user, void *session, int n) {
    DSM__BE_TO(rewind, (DSM__BE_INNER, session, n)); dsm__be_note(user, "rewind", 0, 0, 0, n, DSM_OK);
}
DSM__FN dsm_status dsm__be_trace_copy(void *user, void *to, void *from, int n, dsm_error *error) {
    return dsm__be_note(user, "copy", 0, 0, 0, n, DSM__BE_TO(copy, (DSM__BE_INNER, to, from, n, error)));
}
DSM__FN size_t dsm__be_trace_row_bytes(void *user, const dsm_model *model, const dsm_session_desc *desc) { return DSM__BE_TO(row_bytes, (DSM__BE_INNER, model, desc)); }
DSM__FN void dsm__be_trace_get_row(void *user, void *session, int layer, int position, void *row) {
    DSM__BE_TO(get_row, (DSM__BE_INNER, session, layer, position, row)); dsm__be_note(user, "get_row", layer, 0, position, 1, DSM_OK);
}
DSM__FN void dsm__be_trace_put_row(void *user, void *session, int layer, int position, const void *row) {
    DSM__BE_TO(put_row, (DSM__BE_INNER, session, layer, position, row)); dsm__be_note(user, "put_row", layer, 0, position, 1, DSM_OK);
}
DSM__FN const dsm_backend *dsm__be_trace_open_on(dsm__be_trace *t, const dsm_backend *to) { /* t stays where it is while the backend is in use */
    const dsm_backend b = { DSM_BACKEND_VERSION, "trace", NULL, dsm__be_trace_plan, dsm__be_trace_load, dsm__be_trace_unload, dsm__be_trace_open, dsm__be_trace_close, dsm__be_trace_forward,
        dsm__be_trace_logits, dsm__be_trace_rewind, dsm__be_trace_copy, dsm__be_trace_row_bytes, dsm__be_trace_get_row, dsm__be_trace_put_row };
    memset(t, 0, sizeof *t); t->to = to ? to : &dsm__be_cpu; t->backend = b; t->backend.user = t;
    return &t->backend;
}
#undef DSM__BE_TO
#undef DSM__BE_INNER

// >>run
/* The engine of a session: one timeline of tokens, how much of it the cache holds, and the chunk that is being computed. Prompt and decoding are the same
   thing here: compute what the timeline says. Knows backends only by their seam. Test: tests/same.c */
enum { DSM__RUN_CHUNK = 256, DSM__RUN_TIMED_CHUNK = 16, DSM__RUN_CONTEXT = 1 << 24 };
struct dsm_session {
    dsm_model *model; const dsm_backend *be; void *inner; /* the backend's part */
    dsm_session_desc desc;         /* defaults filled in */
    dsm_memory memory;
    void *block; uint64_t block_size; /* where the model's allocator gave it */
    int32_t *tokens; int n_tokens, n_done; /* [context] the timeline; how many of them the cache holds */
    int chunk, chunk_at_logits, logits_row, logits_rows; /* tokens being computed behind n_done; 1: their layers are done; rows whose logits are wanted */
    float *logits;                 /* [V], or [context][V] */
    int logits_from, logits_to;    /* positions whose logits are there */
    int logits_spent;              /* a choice has overwritten those of the last position: the next sync wants them anew */
    uint8_t *row; size_t row_bytes; /* of a snapshot */
    void *turn; uint64_t turn_bytes; void *work; uint64_t work_bytes; /* for a turn; for the tokeniser */
    int next_running; int32_t next_token; /* dsm_session_next has chosen, and is computing */
    dsm_stats stats;
    int busy, cancelled;           /* atomic, as are the next two */
    uint32_t progress_done, progress_wanted;
    uint64_t mode;                 /* the caller's floating-point mode */
    uint64_t deadline, looked;     /* 0: none; the last look at the clock */
};

/* Fills in defaults and checks them. */
DSM__FN dsm_status dsm__run_defaults(const dsm_model *model, const dsm_session_desc *from, dsm_session_desc *desc, dsm_error *error) {
    if (from) *desc = *from; else memset(desc, 0, sizeof *desc);
    if (!desc->context) desc->context = model->arch.context > 0 && model->arch.context < 4096 ? model->arch.context : 4096;
    if (!desc->chunk) desc->chunk = DSM__RUN_CHUNK;
    if (desc->context < 1 || desc->context > DSM__RUN_CONTEXT) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("context"), dsm__s("must be 0 (the default) to 16777216"));
    if (desc->chunk < 1 || desc->chunk > 4096) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("chunk"), dsm__s("must be 0 (the default) to 4096"));
    if (desc->chunk > desc->context) desc->chunk = desc->context;
    if ((int)desc->kv < 0 || (int)desc->kv > DSM_KV_Q8_0) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("kv"), dsm__s("is not a cache type"));
    if ((int)desc->activations < 0 || (int)desc->activations > DSM_ACTIVATIONS_F32) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("activations"), dsm__s("is not an activation type"));
    return DSM_OK;
}
/* Lays a session out in one block. The same function plans (m->base NULL, s a scratch) and opens. turn_bytes, work_bytes: what later rooms ask for. */
DSM__FN dsm_status dsm__run_layout(dsm_session *s, dsm__arena *m, const dsm_model *model, const dsm_session_desc *desc, uint64_t turn_bytes, uint64_t work_bytes,
                                   void **host, dsm_memory *memory, dsm_error *error) {
    const dsm_backend *be = model->backend; dsm_memory of_backend; dsm_status status; uint64_t tables, scratch;
    size_t row_bytes = be->row_bytes(be->user, model, desc);
    memset(memory, 0, sizeof *memory); memset(&of_backend, 0, sizeof of_backend);
    dsm__mem_take(m, 1, sizeof *s); /* s itself */
    s->row_bytes = row_bytes; s->turn_bytes = turn_bytes; s->work_bytes = work_bytes;
    s->tokens = (int32_t *)dsm__mem_take(m, (uint64_t)desc->context, sizeof(int32_t));
    s->turn = dsm__mem_take(m, turn_bytes, 1);
    tables = m->used;
    s->logits = (float *)dsm__mem_take(m, (uint64_t)model->arch.n_vocab * (uint64_t)(desc->all_logits ? desc->context : 1), sizeof(float));
    s->row = (uint8_t *)dsm__mem_take(m, row_bytes, 1);
    s->work = dsm__mem_take(m, work_bytes, 1);
    scratch = m->used - tables;
    status = be->plan(be->user, model, desc, &of_backend, error);
    if (status != DSM_OK) return status;
    *host = dsm__mem_take(m, 1, of_backend.cache + of_backend.scratch + of_backend.tables);
    if (m->wrapped || m->used > SIZE_MAX) return dsm__err(error, DSM__ERR_TOO_LARGE, dsm__s("a session with this context"));
    memory->cache = of_backend.cache; memory->tables = of_backend.tables + tables; memory->scratch = of_backend.scratch + scratch;
    memory->device = of_backend.device; memory->per_token = of_backend.per_token;
    memory->session_bytes = m->used;
    memory->weights = model->file.weight_bytes; memory->thread_stacks = model->pool.stack_bytes;
    return DSM_OK;
}
DSM__FN dsm_status dsm__run_plan(const dsm_model *model, const dsm_session_desc *from, uint64_t turn_bytes, uint64_t work_bytes, dsm_memory *memory, dsm_error *error) {
    dsm_session s; dsm__arena count; dsm_session_desc desc; void *host; dsm_status status;
    memset(&s, 0, sizeof s); memset(&count, 0, sizeof count);
    status = dsm__run_defaults(model, from, &desc, error);
    return status == DSM_OK ? dsm__run_layout(&s, &count, model, &desc, turn_bytes, work_bytes, &host, memory, error) : status;
}
DSM__FN dsm_status dsm__run_open(dsm_session **session, dsm_model *model, const dsm_session_desc *from, uint64_t turn_bytes, uint64_t work_bytes, dsm_error *error) {
    dsm_session *s; dsm__arena m; dsm_session_desc desc; dsm_memory memory; void *host, *block; dsm_status status;
    status = dsm__run_defaults(model, from, &desc, error);
    if (status == DSM_OK) status = dsm__run_plan(model, &desc, turn_bytes, work_bytes, &memory, error);
    if (status != DSM_OK) return status;
    if (desc.arena && ((uintptr_t)desc.arena & (DSM__ALIGN - 1))) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("arena"), dsm__s("must be aligned to 64 bytes"));
    if (desc.arena && desc.arena_size < memory.session_bytes) return dsm__err(error, DSM__ERR_ARENA, dsm__u(desc.arena_size), dsm__u(memory.session_bytes));
    block = desc.arena ? desc.arena : dsm__mem_alloc(&model->allocator, (size_t)memory.session_bytes);
    if (!block) return dsm__err(error, DSM__ERR_NO_MEMORY, dsm__u(memory.session_bytes), dsm__s("the session"));
    memset(&m, 0, sizeof m); m.base = (uint8_t *)block; m.size = memory.session_bytes;
    s = (dsm_session *)block; memset(s, 0, sizeof *s);
    status = dsm__run_layout(s, &m, model, &desc, turn_bytes, work_bytes, &host, &memory, error);
    s->model = model; s->be = model->backend; s->desc = desc; s->memory = memory;
    s->block = desc.arena ? NULL : block; s->block_size = memory.session_bytes;
    if (s->turn && turn_bytes) memset(s->turn, 0, (size_t)turn_bytes);
    if (status == DSM_OK) status = s->be->open(s->be->user, model->weights, &s->desc, host, &s->inner, error);
    if (status != DSM_OK) { if (!desc.arena) dsm__mem_free(&model->allocator, block, (size_t)memory.session_bytes); return status; }
    __atomic_add_fetch(&model->sessions, 1, __ATOMIC_SEQ_CST);
    *session = s;
    return DSM_OK;
}
DSM__FN void dsm__run_close(dsm_session *s) {
    dsm_model *model = s->model; void *block = s->block; uint64_t size = s->block_size;
    s->be->close(s->be->user, s->inner);
    dsm__mem_free(&model->allocator, block, (size_t)size);
    __atomic_sub_fetch(&model->sessions, 1, __ATOMIC_SEQ_CST);
}
/* Every call on a session is between these two: one thread at a time, in the float mode of the contract. */
DSM__FN dsm_status dsm__run_enter(dsm_session *s, dsm_error *error) {
    if (__atomic_exchange_n(&s->busy, 1, __ATOMIC_ACQUIRE)) return dsm__err(error, DSM__ERR_SESSION_BUSY);
    s->mode = dsm__k_float_enter();
    return DSM_OK;
}
DSM__FN void dsm__run_leave(dsm_session *s) { dsm__k_float_leave(s->mode); __atomic_store_n(&s->busy, 0, __ATOMIC_RELEASE); }
DSM__FN void dsm__run_show(dsm_session *s) { /* progress, for other threads */
    __atomic_store_n(&s->progress_done, (uint32_t)s->n_done, __ATOMIC_RELAXED);
    __atomic_store_n(&s->progress_wanted, (uint32_t)s->n_tokens, __ATOMIC_RELAXED);
}
DSM__FN void dsm__run_drop(dsm_session *s, int n) { /* positions n and on, and what is being computed */
    s->be->rewind(s->be->user, s->inner, n);
    s->chunk = s->chunk_at_logits = 0; s->next_running = 0;
    if (s->n_done > n) s->n_done = n;
}
DSM__FN int dsm__run_has_logits(const dsm_session *s) { return s->n_tokens > 0 && s->n_done == s->n_tokens && s->logits_to == s->n_tokens && s->logits_from < s->n_tokens; } /* of the last position */
/* Where nothing is left to compute but the last logits are gone, the last token is computed again: the same cache row, the same bits. */
DSM__FN int dsm__run_needed(const dsm_session *s) { return s->n_done < s->n_tokens ? s->n_done : !s->n_tokens || dsm__run_has_logits(s) ? s->n_tokens : s->n_tokens - 1; }
DSM__FN dsm_status dsm__run_check(const dsm_session *s, const int32_t *tokens, size_t n, dsm_error *error) {
    int limit = s->model->arch.embed.n_rows;
    for (size_t i = 0; i < n; i++) if (tokens[i] < 0 || tokens[i] >= limit) return dsm__err(error, DSM__ERR_TOKEN, dsm__u(i), dsm__i(tokens[i]), dsm__i(limit));
    return DSM_OK;
}
DSM__FN dsm_status dsm__run_rewind(dsm_session *s, size_t n, dsm_error *error) {
    if (n > (size_t)s->n_tokens) return dsm__err(error, DSM__ERR_REWIND, dsm__u(n), dsm__i(s->n_tokens));
    dsm__run_drop(s, (int)n);
    s->n_tokens = (int)n; s->logits_from = s->logits_to = 0;
    dsm__run_show(s);
    return DSM_OK;
}
DSM__FN dsm_status dsm__run_sync(dsm_session *s, const int32_t *tokens, size_t n, size_t *kept, dsm_error *error) {
    int same = 0, busy_to = s->n_done + s->chunk; dsm_status status;
    if (n > (size_t)s->desc.context) return dsm__err(error, DSM__ERR_CONTEXT, dsm__u(n), dsm__i(s->desc.context));
    status = dsm__run_check(s, tokens, n, error);
    if (status != DSM_OK) return status;
    while (same < s->n_tokens && (size_t)same < n && s->tokens[same] == tokens[same]) same++;
    if (same < s->n_tokens || (size_t)same < n) { /* not the timeline that stands already */
        if (same < busy_to || s->chunk_at_logits) dsm__run_drop(s, same);
        if (n > (size_t)same) memmove(s->tokens + same, tokens + same, (n - (size_t)same) * sizeof *tokens); /* tokens may be the timeline itself */
        s->n_tokens = (int)n; s->logits_from = s->logits_to = 0; }
    else if (s->logits_spent && dsm__run_has_logits(s)) s->logits_to--; /* penalties would count twice */
    s->logits_spent = s->next_running = 0;
    if (s->logits_from < s->n_done && s->desc.all_logits && !dsm__run_has_logits(s)) s->logits_from = s->logits_to = 0; /* rows are those of the last sync */
    dsm__run_show(s);
    if (kept) *kept = (size_t)dsm__run_needed(s);
    return DSM_OK;
}
DSM__FN dsm_status dsm__run_append(dsm_session *s, int32_t token, dsm_error *error) {
    dsm_status status = dsm__run_check(s, &token, 1, error);
    if (status != DSM_OK) return status;
    if (s->n_tokens >= s->desc.context) return dsm__err(error, DSM__ERR_CONTEXT, dsm__i(s->n_tokens + 1), dsm__i(s->desc.context));
    s->tokens[s->n_tokens++] = token;
    dsm__run_show(s);
    return DSM_OK;
}
DSM__FN int dsm__run_poll(void *user) {
    dsm_session *s = (dsm_session *)user; uint64_t now = dsm__os_clock_us();
    if (now - s->looked > s->stats.longest_stage_us) s->stats.longest_stage_us = now - s->looked;
    s->looked = now;
    if (__atomic_exchange_n(&s->cancelled, 0, __ATOMIC_RELAXED)) return 2;
    return s->deadline && now >= s->deadline;
}
DSM__FN dsm_status dsm__run_chunk(dsm_session *s, const dsm_limit *limit, dsm_error *error) { /* begins or goes on with one */
    const dsm_backend *be = s->be; dsm_status status = DSM_OK; size_t n_vocab = (size_t)s->model->arch.n_vocab;
    if (!s->chunk) {
        int most = limit->timed && s->desc.chunk > DSM__RUN_TIMED_CHUNK ? DSM__RUN_TIMED_CHUNK : s->desc.chunk, n = s->n_tokens - s->n_done;
        s->chunk = n < most ? n : most; s->chunk_at_logits = 0; }
    if (!s->chunk_at_logits) {
        int end = s->n_done + s->chunk;
        status = be->forward(be->user, s->inner, 0, s->model->arch.n_layers, s->tokens + s->n_done, s->n_done, s->chunk, NULL, limit, error);
        if (status == DSM_OK) {
            s->chunk_at_logits = 1;
            s->logits_rows = s->desc.all_logits ? s->chunk : end == s->n_tokens; s->logits_row = s->chunk - s->logits_rows; } }
    if (status == DSM_OK && s->logits_rows) {
        int first = s->n_done + s->logits_row;
        status = be->logits(be->user, s->inner, s->logits_row, s->logits_rows, s->logits + (s->desc.all_logits ? (size_t)first * n_vocab : 0), limit, error);
        if (status == DSM_OK) { if (!s->desc.all_logits || s->logits_to != first) s->logits_from = first; s->logits_to = first + s->logits_rows; s->logits_spent = 0; } }
    if (status == DSM_MORE || status == DSM_E_CANCELLED) return status;
    if (status != DSM_OK) { dsm__run_drop(s, s->n_done); s->logits_from = s->logits_to = 0; return status; }
    s->n_done += s->chunk; s->chunk = s->chunk_at_logits = 0;
    dsm__run_show(s);
    return DSM_OK;
}
/* Computes what the timeline says, for at most budget_us (0: all of it): MORE or DONE. */
DSM__FN dsm_status dsm__run_step(dsm_session *s, uint64_t budget_us, int decode, dsm_error *error) {
    dsm_limit limit; dsm_status status = DSM_OK; uint64_t begin = dsm__os_clock_us(), spent; int before;
    if (__atomic_exchange_n(&s->cancelled, 0, __ATOMIC_RELAXED)) return dsm__err(error, DSM__ERR_CANCELLED, dsm__s("the computation"));
    limit.user = s; limit.timed = budget_us != 0; limit.poll = dsm__run_poll;
    s->deadline = budget_us ? begin + budget_us : 0; s->looked = begin;
    s->n_done = dsm__run_needed(s); before = s->n_done;
    while (s->n_done < s->n_tokens && status == DSM_OK) {
        status = dsm__run_chunk(s, &limit, error);
        if (status == DSM_OK && s->n_done < s->n_tokens && s->deadline && dsm__os_clock_us() >= s->deadline) status = DSM_MORE; }
    spent = dsm__os_clock_us() - begin;
    if (decode) { s->stats.decode_tokens += (uint64_t)(s->n_done - before); s->stats.decode_us += spent; }
    else { s->stats.prompt_tokens += (uint64_t)(s->n_done - before); s->stats.prompt_us += spent; }
    return status == DSM_OK ? DSM_DONE : status;
}
DSM__FN float *dsm__run_logits(dsm_session *s, int64_t i) { /* i < 0: of the last position */
    if (i < 0) { if (!dsm__run_has_logits(s)) return NULL; i = s->n_tokens - 1; }
    if (i < s->logits_from || i >= s->logits_to) return NULL;
    return s->logits + (s->desc.all_logits ? (size_t)i * (size_t)s->model->arch.n_vocab : 0);
}
DSM__FN int dsm__run_same_type(const dsm_session *a, const dsm_session *b) { return a->model == b->model && a->desc.kv == b->desc.kv && a->desc.activations == b->desc.activations; }
DSM__FN dsm_status dsm__run_fork(dsm_session *to, dsm_session *from, size_t n, dsm_error *error) { /* both entered */
    dsm_status status; const float *last;
    if (!dsm__run_same_type(to, from)) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("fork"), dsm__s("the sessions are not of the same model, cache and activation type"));
    if (n > (size_t)from->n_done) return dsm__err(error, DSM__ERR_REWIND, dsm__u(n), dsm__i(from->n_done));
    if (n > (size_t)to->desc.context) return dsm__err(error, DSM__ERR_CONTEXT, dsm__u(n), dsm__i(to->desc.context));
    dsm__run_rewind(to, 0, NULL);
    status = to->be->copy(to->be->user, to->inner, from->inner, (int)n, error);
    if (status != DSM_OK) return status;
    if (n) memcpy(to->tokens, from->tokens, n * sizeof *to->tokens);
    to->n_tokens = to->n_done = (int)n;
    last = n == (size_t)from->n_tokens && !from->logits_spent ? dsm__run_logits(from, -1) : NULL;
    if (last) {
        to->logits_from = (int)n - 1; to->logits_to = (int)n;
        memcpy(dsm__run_logits(to, -1), last, (size_t)to->model->arch.n_vocab * sizeof *last); }
    dsm__run_show(to);
    return DSM_OK;
}

/* ---- Snapshots: a head of 64 bytes, the tokens, the cache's rows layer by layer, and a checksum of all that in blocks. Little-endian; rows in the backend's
   portable form. Reading checks everything before it touches the session. ---- */
enum { DSM__RUN_HEAD = 64, DSM__RUN_BLOCK = 4096 };
typedef struct dsm__run_pipe { const dsm_writer *to; const dsm_reader *from; uint64_t at, hash; size_t n; int failed; uint8_t block[DSM__RUN_BLOCK]; } dsm__run_pipe;
DSM__FN void dsm__run_flush(dsm__run_pipe *p) {
    p->hash = dsm__hash(p->block, p->n, p->hash);
    if (p->to && !p->failed && p->n && p->to->write(p->to->user, p->block, p->n)) p->failed = 1;
    p->n = 0;
}
DSM__FN void dsm__run_write(dsm__run_pipe *p, const void *from, size_t n) {
    const uint8_t *at = (const uint8_t *)from;
    while (n) {
        size_t part = sizeof p->block - p->n < n ? sizeof p->block - p->n : n;
        memcpy(p->block + p->n, at, part); p->n += part; at += part; n -= part;
        if (p->n == sizeof p->block) dsm__run_flush(p); }
}
DSM__FN void dsm__run_read(dsm__run_pipe *p, void *to, size_t n) { /* and hashes as the writer did */
    if (p->failed) return;
    if (n && p->from->read_at(p->from->user, p->at, to, n)) { p->failed = 1; return; }
    p->at += n;
    dsm__run_write(p, to, n);
}
DSM__FN void dsm__run_head(const dsm_session *s, uint64_t n, uint8_t head[DSM__RUN_HEAD]) {
    uint32_t u32[4]; uint64_t u64[5];
    memset(head, 0, DSM__RUN_HEAD);
    memcpy(head, "dsmsnap", 8);
    u32[0] = 1; u32[1] = (uint32_t)s->desc.kv; u32[2] = (uint32_t)s->desc.activations; u32[3] = (uint32_t)s->model->arch.n_layers;
    u64[0] = s->model->arch.fingerprint; u64[1] = s->row_bytes; u64[2] = n; u64[3] = u64[4] = 0;
    memcpy(head + 8, u32, sizeof u32); memcpy(head + 24, u64, sizeof u64);
}
DSM__FN dsm_status dsm__run_save(dsm_session *s, const dsm_writer *writer, dsm_error *error) { /* what is computed */
    dsm__run_pipe p; uint8_t head[DSM__RUN_HEAD]; uint64_t hash; int n = s->n_done;
    memset(&p, 0, sizeof p); p.to = writer;
    dsm__run_head(s, (uint64_t)n, head);
    dsm__run_write(&p, head, sizeof head);
    dsm__run_write(&p, s->tokens, (size_t)n * sizeof *s->tokens);
    for (int l = 0; l < s->model->arch.n_layers && !p.failed; l++) for (int i = 0; i < n && !p.failed; i++) {
        s->be->get_row(s->be->user, s->inner, l, i, s->row);
        dsm__run_write(&p, s->row, s->row_bytes); }
    dsm__run_flush(&p);
    hash = p.hash;
    if (!p.failed && writer->write(writer->user, &hash, sizeof hash)) p.failed = 1;
    return p.failed ? dsm__err(error, DSM__ERR_WRITE) : DSM_OK;
}
DSM__FN dsm_status dsm__run_load(dsm_session *s, const dsm_reader *reader, dsm_error *error) {
    dsm__run_pipe p; uint8_t head[DSM__RUN_HEAD], mine[DSM__RUN_HEAD]; uint64_t n, size, rows, stored = 0;
    if (reader->size < DSM__RUN_HEAD + 8) return dsm__err(error, DSM__ERR_SNAPSHOT, dsm__s("is too short to be one"));
    if (reader->read_at(reader->user, 0, head, sizeof head)) return dsm__err(error, DSM__ERR_SNAPSHOT_READ);
    if (memcmp(head, "dsmsnap", 8)) return dsm__err(error, DSM__ERR_SNAPSHOT, dsm__s("is not one"));
    if (dsm__load32(head + 8) != 1) return dsm__err(error, DSM__ERR_SNAPSHOT, dsm__s("is of a version that this library does not read"));
    n = dsm__load64(head + 40);
    dsm__run_head(s, n, mine);
    if (memcmp(head + 24, mine + 24, 8) || memcmp(head + 20, mine + 20, 4)) return dsm__err(error, DSM__ERR_SNAPSHOT, dsm__s("is of another model"));
    if (memcmp(head, mine, sizeof head)) return dsm__err(error, DSM__ERR_SNAPSHOT, dsm__s("is of another cache or activation type"));
    if (n > (uint64_t)s->desc.context) return dsm__err(error, DSM__ERR_CONTEXT, dsm__u(n), dsm__i(s->desc.context));
    if (!dsm__mul64((uint64_t)s->model->arch.n_layers * n, s->row_bytes, &rows) || !dsm__add64(rows, DSM__RUN_HEAD + 4 * n + 8, &size) || size != reader->size)
        return dsm__err(error, DSM__ERR_SNAPSHOT, dsm__s("is damaged: its size is not what its head says"));
    for (int pass = 0; pass < 2; pass++) {
        memset(&p, 0, sizeof p); p.from = reader;
        if (pass) dsm__run_rewind(s, 0, NULL);
        dsm__run_read(&p, head, sizeof head);
        for (uint64_t i = 0; i < n && !p.failed; i++) {
            int32_t id = 0;
            dsm__run_read(&p, &id, sizeof id);
            if (!p.failed && dsm__run_check(s, &id, 1, NULL) != DSM_OK) return dsm__err(error, DSM__ERR_SNAPSHOT, dsm__s("is damaged: it has a token that the model has not"));
            if (pass) s->tokens[i] = id; }
        for (int l = 0; l < s->model->arch.n_layers && !p.failed; l++) for (int i = 0; i < (int)n && !p.failed; i++) {
            dsm__run_read(&p, s->row, s->row_bytes);
            if (pass && !p.failed) s->be->put_row(s->be->user, s->inner, l, i, s->row); }
        if (p.failed) return dsm__err(error, DSM__ERR_SNAPSHOT_READ); /* in the second pass, by a reader that could read all of it before: the session is empty then */
        dsm__run_flush(&p);
        if (reader->read_at(reader->user, p.at, &stored, sizeof stored)) return dsm__err(error, DSM__ERR_SNAPSHOT_READ);
        if (stored != p.hash) return dsm__err(error, DSM__ERR_SNAPSHOT, dsm__s("is damaged: its checksum is wrong")); }
    s->n_tokens = s->n_done = (int)n;
    dsm__run_show(s);
    return DSM_OK;
}

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
    if (!(s->temperature >= 0 && s->temperature <= DSM__PICK_HIGHEST) && s->temperature != DSM_GREEDY) {
        field = "temperature"; why = "must be a number above 0, or DSM_GREEDY, or 0 for the model's own"; }
    else if (s->top_k < DSM_OFF) { field = "top_k"; why = "must be 1 or more, or DSM_OFF, or 0 for the model's own"; }
    else if (!(s->top_p >= 0 && s->top_p <= 1) && s->top_p != off) { field = "top_p"; why = "must be above 0 and at most 1, or DSM_OFF, or 0 for the model's own"; }
    else if (!(s->min_p >= 0 && s->min_p <= 1) && s->min_p != off) { field = "min_p"; why = "must be above 0 and at most 1, or DSM_OFF, or 0 for the model's own"; }
    else if (!(s->repetition_penalty >= 0 && s->repetition_penalty <= DSM__PICK_HIGHEST) && s->repetition_penalty != off) {
        field = "repetition_penalty"; why = "must be a number above 0, or DSM_OFF, or 0 for the model's own"; }
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
        log_all = (double)best + dsm__num_log64((double)total) - (double)DSM__PICK_BITS * 0.69314718055994531;
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
    int trim, strip;               /* newlines at the front of the buffer go; one space at the front of the answer goes ("Assistant:" is followed by " Hello") */
    int32_t think, end_think, user; /* ids, or -1 */
    int letters;                   /* the vocabulary has no such tokens: look for the letters */
    int32_t closing[16]; int n_closing, at_closing; /* what closes the reasoning by force */
    int forced;                    /* at_closing counts */
    uint64_t n_chosen, n_thought;  /* tokens */
    size_t start, keep;            /* on the timeline: where the answer begins; what stays after the turn, SIZE_MAX: all */
    size_t length;                 /* of the timeline as this turn knows it */
    char *bytes; size_t cap, from, to; /* the buffer: bytes[from .. to-1] are not said yet */
    int32_t *ids;                  /* [context] of the prompt */
    uint8_t *unused;               /* a bit for each id that no token uses, or only padding */
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
            else if (t->event || (n > i && !hold) || i > DSM__TURN_HELD) {
                t->mode = DSM__TURN_TEXT;
                if (t->strip && n && *at == ' ' && (!t->event || t->event_at)) { t->from++; at++; n--; if (t->event) t->event_at--; } }
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

/* ---- Turns of a session. The timeline holds what was fed: an end token never, a chosen token at once; it is computed in the next call. ---- */
enum { DSM__TURN_TEXT_BYTES = 12 }; /* of one message, for each token of context: longer ones are taken for too long, uncounted, because nothing may be allocated to count them */
DSM__FN dsm__turn *dsm__turn_layout(dsm__arena *m, const dsm_model *model, int context) {
    const dsm__tok *tok = &model->tok; size_t longest = 0; dsm__turn parts, *t;
    for (int i = 0; i < tok->n_tokens; i++) { size_t n = tok->offset[i + 1] - tok->offset[i]; if (n > longest) longest = n; }
    memset(&parts, 0, sizeof parts);
    t = (dsm__turn *)dsm__mem_take(m, 1, sizeof *t);
    parts.cap = longest + DSM__TURN_SPARE;
    parts.ids = (int32_t *)dsm__mem_take(m, (uint64_t)context, sizeof(int32_t));
    parts.unused = (uint8_t *)dsm__mem_take(m, ((uint64_t)model->arch.n_vocab + 7) / 8, 1);
    parts.bytes = (char *)dsm__mem_take(m, parts.cap, 1);
    if (t) *t = parts;
    return t;
}
/* What dsm__run_plan and dsm__run_open must be told, for a context that has its default filled in. */
DSM__FN void dsm__turn_sizes(const dsm_model *model, int context, uint64_t *turn_bytes, uint64_t *work_bytes) {
    dsm__arena m;
    memset(&m, 0, sizeof m);
    dsm__turn_layout(&m, model, context);
    *turn_bytes = m.used; *work_bytes = DSM__TOK_WORK * ((uint64_t)context * DSM__TURN_TEXT_BYTES + 4096);
}
DSM__FN dsm__turn *dsm__turn_of(dsm_session *s) { /* laid out at the first use; until then the memory is zero */
    const dsm_model *model = s->model; dsm__turn *t = (dsm__turn *)s->turn; dsm__arena m;
    if (t->bytes) return t;
    memset(&m, 0, sizeof m); m.base = (uint8_t *)s->turn; m.size = s->turn_bytes;
    t = dsm__turn_layout(&m, model, s->desc.context);
    memset(t->unused, 0, ((size_t)model->arch.n_vocab + 7) / 8);
    for (int i = 0; model->tok.n_tokens && i < model->arch.n_vocab; i++)
        if (dsm__tok_is_padding(&model->tok, i)) t->unused[i >> 3] = (uint8_t)(t->unused[i >> 3] | 1u << (i & 7));
    return t;
}
/* The model's own values: the file's general.sampling.* where it has them, else the family's. */
DSM__FN void dsm__turn_defaults(const dsm_model *model, dsm_sampling *s) {
    const dsm__file *f = &model->file; double v = 0; uint64_t n = 0; dsm_sampling own;
    dsm__pick_defaults(s, model->tok.family, model->arch.mla);
    own = *s;
    if (dsm__file_f64(f, "general.sampling.temp", -2, &v, NULL) == DSM_OK && v >= 0 && v < 1e6) own.temperature = v > 0 ? (float)v : DSM_GREEDY;
    if (dsm__file_u64(f, "general.sampling.top_k", INT_MAX, &n, NULL) == DSM_OK && n < INT_MAX) own.top_k = n ? (int)n : DSM_OFF;
    if (dsm__file_f64(f, "general.sampling.top_p", -2, &v, NULL) == DSM_OK && v > 0) own.top_p = v < 1 ? (float)v : (float)DSM_OFF;
    if (dsm__file_f64(f, "general.sampling.min_p", -2, &v, NULL) == DSM_OK && v >= 0 && v <= 1) own.min_p = v > 0 ? (float)v : (float)DSM_OFF;
    if (dsm__file_f64(f, "general.sampling.penalty_repeat", -2, &v, NULL) == DSM_OK && v > 0 && v < 1e6) own.repetition_penalty = (float)v;
    if (dsm__file_u64(f, "general.sampling.penalty_last_n", INT_MAX, &n, NULL) == DSM_OK && n < INT_MAX) own.repetition_window = n ? (int)n : DSM_OFF;
    if (dsm__pick_check(&own, model->arch.n_vocab, NULL) == DSM_OK && own.temperature != 0) *s = own;
}
DSM__FN dsm_status dsm__turn_sampling(const dsm_model *model, const dsm_sampling *from, dsm_sampling *to, dsm_error *error) { /* checked and complete; NULL: greedy */
    dsm_sampling own; dsm_status status;
    memset(to, 0, sizeof *to); to->temperature = DSM_GREEDY;
    if (from) *to = *from;
    if ((status = dsm__pick_check(to, model->arch.n_vocab, error)) != DSM_OK) return status;
    dsm__turn_defaults(model, &own); dsm__pick_complete(to, &own);
    return DSM_OK;
}

DSM__FN void dsm__turn_end(dsm_session *s) {
    dsm__turn *t = dsm__turn_of(s);
    if (t->mode && (size_t)s->n_tokens == t->length && t->keep < t->length) dsm__run_rewind(s, t->keep, NULL);
    t->mode = DSM__TURN_IDLE;
}
DSM__FN dsm_status dsm__turn_check(const dsm_turn_desc *desc, dsm_error *error) {
    const char *field = NULL, *why = NULL;
    if ((desc->messages != NULL) == (desc->prompt != NULL)) { field = "messages, prompt"; why = "a turn needs one of them, and not both"; }
    else if (desc->messages ? !desc->n_messages : !desc->n_prompt) { field = desc->messages ? "n_messages" : "n_prompt"; why = "is 0: there is nothing to answer"; }
    else if ((int)desc->think < -1 || (int)desc->think > 1) { field = "think"; why = "must be DSM_THINK_FREE, _ON or _OFF"; }
    else if (desc->think_budget < DSM_OFF) { field = "think_budget"; why = "must be 1 or more, or 0 or DSM_OFF for none"; }
    else if (desc->max_tokens < DSM_OFF) { field = "max_tokens"; why = "must be 1 or more, or 0 or DSM_OFF for no limit"; }
    else if (desc->n_top < 0 || desc->n_top > DSM__TURN_TOP) { field = "n_top"; why = "must be 0 to 20"; }
    else if (desc->n_stop < 0 || desc->n_stop > DSM__TURN_STOPS || (desc->n_stop && !desc->stop)) { field = "n_stop"; why = "must be 0 to 16, with a list"; }
    for (int i = 0; !field && i < desc->n_stop; i++)
        if (!desc->stop[i] || !desc->stop[i][0] || strlen(desc->stop[i]) > DSM__TURN_STOP_BYTES) { field = "stop"; why = "a stop string must have 1 to 64 bytes"; }
    return field ? dsm__err(error, DSM__ERR_TURN, dsm__s(field), dsm__s(why)) : DSM_OK;
}
DSM__FN dsm_status dsm__turn_begin(dsm_session *s, const dsm_turn_desc *desc, dsm_error *error) {
    dsm__turn *t = dsm__turn_of(s); const dsm__tok *tok = &s->model->tok; const int32_t *ids = desc->prompt; int32_t closing[DSM__COUNT(t->closing)];
    dsm_sampling sampling; dsm_status status; size_t n = desc->n_prompt, n_closing = 0; int inside = 0, closed = 0;
    status = dsm__turn_check(desc, error);
    if (status == DSM_OK) status = dsm__turn_sampling(s->model, &desc->sampling, &sampling, error);
    if (status == DSM_OK && desc->messages) {
        ids = t->ids;
        status = dsm__tok_chat(tok, desc->messages, desc->n_messages, desc->think, t->ids, (size_t)s->desc.context, &n, &inside, s->work, (size_t)s->work_bytes, error);
        if (status == DSM_MORE) status = dsm__err(error, DSM__ERR_CONTEXT, dsm__u(n), dsm__i(s->desc.context));
        if (status == DSM_OK && !n) status = dsm__err(error, DSM__ERR_TURN, dsm__s("messages"), dsm__s("become no tokens: there is nothing to answer")); }
    if (status == DSM_OK && desc->think_budget > 0) {
        status = dsm__tok_encode(tok, "\n</think>\n\n", 11, DSM_TOKENIZE_SPECIAL, closing, DSM__COUNT(closing), &n_closing, s->work, (size_t)s->work_bytes, error);
        if (status == DSM_MORE || status == DSM_DONE) { status = DSM_OK; n_closing = 0; } } /* a vocabulary that needs more tokens than that can't be closed */
    if (status == DSM_OK) dsm__turn_end(s); /* one that the caller left open */
    if (status == DSM_OK) status = dsm__run_sync(s, ids, n, NULL, error);
    if (status != DSM_OK) return status;
    __atomic_store_n(&s->cancelled, 0, __ATOMIC_RELAXED); /* that was for something before */
    t->desc = *desc; t->sampling = sampling;
    t->event = DSM__TURN_NOTHING; t->reason = t->last = DSM_REASON_NONE; t->event_at = t->event_skip = t->from = t->to = 0; t->n_chosen = t->n_thought = 0; t->trim = t->forced = t->unreported = 0;
    t->think = tok->think; t->end_think = tok->end_think; t->letters = t->think < 0 || t->end_think < 0; t->user = dsm__tok_special(tok, "<\xEF\xBD\x9CUser\xEF\xBD\x9C>");
    memcpy(t->closing, closing, n_closing * sizeof *closing); t->n_closing = (int)n_closing; t->at_closing = 0;
    t->id = -1; t->logprob = 0; t->start = t->length = n; t->keep = SIZE_MAX;
    /* is the prompt inside reasoning? Its last tag says so */
    for (size_t i = n; !t->letters && i > 0; i--) {
        int32_t id = s->tokens[i - 1];
        if (id == t->think) { t->keep = i - 1; inside = !closed; break; }
        if (id == t->end_think) { closed = 1; inside = 0; }
        if ((id == t->user && id >= 0) || dsm__tok_is_end(tok, id)) break; }
    t->mode = inside ? DSM__TURN_THINK : closed ? DSM__TURN_TEXT : DSM__TURN_START;
    t->trim = inside || closed; t->strip = desc->messages && tok->family == DSM_TEMPLATE_LLM;
    return DSM_OK;
}
/* Chooses a token and puts it on the timeline, or finds out why there is none. */
DSM__FN dsm_status dsm__turn_choose(dsm_session *s, dsm__turn *t, dsm_error *error) {
    const dsm__tok *tok = &s->model->tok; dsm_choice choice; dsm_status status; size_t room, n; char *to; int is_end;
    if (t->forced && t->at_closing < t->n_closing) {
        choice.id = t->closing[t->at_closing++]; choice.logprob = 0;
        for (int i = 0; i < DSM__TURN_TOP; i++) { t->top[i].id = -1; t->top[i].logprob = -INFINITY; }
    } else {
        float *logits = dsm__run_logits(s, DSM_OFF);
        if (!logits) return dsm__err(error, DSM__ERR_NO_LOGITS);
        s->logits_spent = 1;
        status = dsm__pick_choose(logits, s->model->arch.n_vocab, &t->sampling, t->unused, s->tokens, (size_t)s->n_tokens, (uint64_t)s->n_tokens, &choice, t->top,
                                  t->desc.n_top ? t->desc.n_top : DSM_OFF, error);
        if (status != DSM_OK) return status;
    }
    is_end = dsm__tok_is_end(tok, choice.id);
    if (!is_end && s->n_tokens >= s->desc.context) { t->last = DSM_REASON_CONTEXT; return DSM_OK; } /* an answer that is just complete has ended by itself */
    t->logprob = choice.logprob; t->unreported = 1;
    to = dsm__turn_room(t, &room); n = dsm__tok_decode_one(tok, choice.id, 0, to, room);
    dsm__turn_feed(t, choice.id, is_end, n < room ? n : room, (size_t)s->n_tokens);
    if (t->event == DSM__TURN_END) return DSM_OK;
    status = dsm__run_append(s, choice.id, error);
    t->length = (size_t)s->n_tokens;
    if (t->desc.max_tokens > 0 && t->n_chosen >= (uint64_t)t->desc.max_tokens) t->last = DSM_REASON_LENGTH;
    return status;
}
DSM__FN dsm_status dsm__turn_next(dsm_session *s, uint64_t budget_us, dsm_piece *piece, dsm_error *error) {
    dsm__turn *t = dsm__turn_of(s); uint64_t begin = dsm__os_clock_us(), spent = 0; dsm_status status; int work;
    memset(piece, 0, sizeof *piece); piece->id = -1;
    if (!t->mode) return dsm__err(error, DSM__ERR_TURN, dsm__s("none"), dsm__s("is open: call dsm_turn_begin first"));
    if (t->mode == DSM__TURN_OVER) { piece->kind = DSM_PIECE_END; piece->reason = t->reason; return DSM_DONE; }
    for (;;) {
        int said = dsm__turn_take(t, piece);
        if (!said && !t->last && t->unreported && t->desc.n_top) { said = 1; piece->kind = t->mode == DSM__TURN_THINK ? DSM_PIECE_THINK : DSM_PIECE_TEXT; piece->text = ""; }
        if (said) {
            if (piece->kind == DSM_PIECE_END) return DSM_DONE;
            piece->id = t->id; piece->logprob = t->logprob; piece->n_top = t->desc.n_top; piece->top = t->desc.n_top ? t->top : NULL; t->unreported = 0;
            return DSM_MORE; }
        if (t->last) { t->reason = t->last; dsm__turn_happens(t, DSM__TURN_END); continue; }
        if ((size_t)s->n_tokens != t->length) return dsm__err(error, DSM__ERR_TURN, dsm__s("the session's timeline"), dsm__s("was changed by other calls: call dsm_turn_end"));
        if (budget_us && spent >= budget_us) return DSM_MORE;
        work = dsm__run_needed(s) < s->n_tokens;
        status = dsm__run_step(s, budget_us ? budget_us - spent : 0, t->n_chosen > 0, error);
        if (status == DSM_E_CANCELLED) { t->last = DSM_REASON_CANCELLED; continue; }
        if (status != DSM_DONE) return status;
        if (work && budget_us && dsm__os_clock_us() - begin >= budget_us) return DSM_MORE; /* choosing waits for the next call */
        status = dsm__turn_choose(s, t, error);
        if (status != DSM_OK) return status;
        spent = dsm__os_clock_us() - begin;
    }
}

// >>desk
/* Every public function: check the arguments, fill in defaults, call down, report. No other room calls a public function. Test: tests/misuse.c, tests/turns.c */
DSMOE_API const char *dsm_version(void) { return DSM_VERSION; }
DSMOE_API const char *dsm_status_name(dsm_status status) {
    switch (status) {
    case DSM_OK: return "DSM_OK"; case DSM_MORE: return "DSM_MORE"; case DSM_DONE: return "DSM_DONE";
    case DSM_E_ARGUMENT: return "DSM_E_ARGUMENT"; case DSM_E_MEMORY: return "DSM_E_MEMORY"; case DSM_E_IO: return "DSM_E_IO";
    case DSM_E_FORMAT: return "DSM_E_FORMAT"; case DSM_E_UNSUPPORTED: return "DSM_E_UNSUPPORTED"; case DSM_E_CONTEXT: return "DSM_E_CONTEXT";
    case DSM_E_CANCELLED: return "DSM_E_CANCELLED"; case DSM_E_BUSY: return "DSM_E_BUSY"; case DSM_E_NUMBER: return "DSM_E_NUMBER";
    case DSM_E_SNAPSHOT: return "DSM_E_SNAPSHOT"; case DSM_E_THREAD: return "DSM_E_THREAD"; }
    return "?";
}
DSMOE_API const char *dsm_isa_name(int i) { return dsm__k_isa_name(i); }

/* ---- models ---- */
DSM__FN void dsm__desk_printable(char *to, size_t cap, dsm__str from) { /* cut, and printable */
    size_t n = from.n < cap - 1 ? from.n : cap - 1;
    for (size_t i = 0; i < n; i++) to[i] = (unsigned char)from.at[i] < 32 ? '?' : from.at[i];
    while (n && n < from.n && ((unsigned char)from.at[n] & 0xC0) == 0x80) n--; /* no half character */
    to[n] = 0;
}
DSM__FN void dsm__desk_formats(const dsm__file *f, char *to, size_t cap) { /* the tensors' types, most bytes first */
    uint64_t bytes[64]; size_t used = 0; to[0] = 0;
    memset(bytes, 0, sizeof bytes);
    for (size_t i = 0; i < f->n_tensors; i++) bytes[f->tensors[i].ggml < 64 ? f->tensors[i].ggml : 63] += f->tensors[i].bytes;
    for (;;) {
        uint32_t best = 0; size_t n;
        for (uint32_t t = 1; t < 64; t++) if (bytes[t] > bytes[best]) best = t;
        if (!bytes[best]) return;
        { const char *name = dsm__fmt_ggml_name(best); n = strlen(name);
          if (used + n + 3 > cap) return;
          if (used) { memcpy(to + used, ", ", 2); used += 2; }
          memcpy(to + used, name, n + 1); used += n; }
        bytes[best] = 0;
    }
}
DSM__FN void dsm__desk_free(dsm_model *m) {
    dsm_allocator a = m->allocator;
    if (m->loaded) m->backend->unload(m->backend->user, m->weights);
    dsm__pool_close(&m->pool); dsm__arch_close(&m->arch); dsm__tok_close(&m->tok); dsm__file_close(&m->file);
    dsm__mem_free(&a, m, sizeof *m);
}
DSMOE_API dsm_status dsm_model_open(dsm_model **model, const dsm_model_desc *desc, dsm_error *error) {
    dsm_model *m; dsm_status status; int sources;
    if (!model) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("model"), dsm__s("is NULL: where should the model go?"));
    *model = NULL;
    if (!desc) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("desc"), dsm__s("is NULL"));
    sources = (desc->path != NULL) + (desc->data != NULL) + (desc->use_fd != 0) + (desc->reader.read_at != NULL);
    if (sources != 1)
        return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("model descriptor"),
                        dsm__s(sources ? "has more than one of path, data, fd and reader" : "has no source: set path, data, use_fd or reader"));
    if (!desc->allocator.alloc != !desc->allocator.free) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("allocator"), dsm__s("needs both alloc and free, or neither"));
    if (!(m = (dsm_model *)dsm__mem_alloc(&desc->allocator, sizeof *m))) return dsm__err(error, DSM__ERR_NO_MEMORY, dsm__u(sizeof *m), dsm__s("the model"));
    m->allocator = desc->allocator; m->log = desc->log; m->progress = desc->progress; m->header_only = desc->header_only;
    m->backend = desc->backend ? desc->backend : &dsm__be_cpu;
    if (m->backend->version != DSM_BACKEND_VERSION) {
        dsm__mem_free(&desc->allocator, m, sizeof *m);
        return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("backend"), dsm__s("was made for another version of dsmoe.h")); }
    m->kernels = dsm__k_select(desc->isa);
    if (!m->kernels) {
        char names[160]; size_t n = 0;
        for (int i = 0; dsm__k_isa_name(i); i++) {
            const char *name = dsm__k_isa_name(i); size_t z = strlen(name);
            if (n + z + 2 < sizeof names) { if (n) names[n++] = ' '; memcpy(names + n, name, z); n += z; } }
        status = dsm__err(error, DSM__ERR_ISA, dsm__s(desc->isa), dsm__t(dsm__str_n(names, n)));
        dsm__mem_free(&desc->allocator, m, sizeof *m); return status; }
    status = dsm__file_open(&m->file, desc, &m->allocator, error);
    if (status == DSM_OK) status = dsm__tok_open(&m->tok, &m->file, &m->allocator, &m->log, error);
    if (status == DSM_OK) status = dsm__arch_open(&m->arch, &m->file, &m->allocator, &m->log, m->tok.n_tokens, error);
    if (status == DSM_OK) status = dsm__pool_open(&m->pool, &desc->jobs, desc->threads, !desc->header_only, error);
    if (status == DSM_OK && !desc->header_only && !m->arch.vocabulary_only) {
        status = m->backend->load(m->backend->user, m, &m->weights, error);
        m->loaded = status == DSM_OK; }
    if (status != DSM_OK) { dsm__desk_free(m); return status; }
    dsm__desk_printable(m->name, sizeof m->name, m->arch.name);
    dsm__desk_printable(m->architecture, sizeof m->architecture, m->arch.architecture);
    dsm__desk_formats(&m->file, m->formats, sizeof m->formats);
    *model = m;
    return DSM_OK;
}
DSMOE_API dsm_status dsm_model_close(dsm_model **model, dsm_error *error) {
    int open;
    if (!model || !*model) return DSM_OK;
    open = __atomic_load_n(&(*model)->sessions, __ATOMIC_SEQ_CST);
    if (open) return dsm__err(error, DSM__ERR_SESSIONS_OPEN, dsm__i(open));
    dsm__desk_free(*model); *model = NULL;
    return DSM_OK;
}
#define DSM__DESK_MODEL(model) if (!(model)) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("model"), dsm__s("is NULL"))
DSMOE_API dsm_status dsm_model_warm(dsm_model *model, uint64_t budget_us, dsm_error *error) {
    uint64_t begin = dsm__os_clock_us(), total = 0, at = 0;
    DSM__DESK_MODEL(model);
    for (int s = 0; s < model->file.n_shards; s++) total += model->file.shards[s].map.size;
    for (int s = 0; s < model->file.n_shards; s++) {
        const dsm__os_map *map = &model->file.shards[s].map;
        for (size_t i = 0, step = 1u << 22; i < map->size; i += step, at += step) {
            size_t n = map->size - i < step ? map->size - i : step; volatile uint8_t sink = 0;
            if (n < step) { step = n; }
            if (at < model->warmed) continue;
            dsm__os_advise(map->at + i, n, DSM__OS_WILL_NEED);
            for (size_t j = 0; j < n; j += 4096) sink = (uint8_t)(sink + map->at[i + j]);
            (void)sink; model->warmed = at + n;
            if (model->progress.progress && model->progress.progress(model->progress.user, model->warmed, total, "paging the weights in"))
                return dsm__err(error, DSM__ERR_CANCELLED, dsm__s("paging in"));
            if (budget_us && dsm__os_clock_us() - begin >= budget_us && model->warmed < total) return DSM_MORE;
        }
    }
    model->warmed = 0; /* the next call starts again */
    return DSM_DONE;
}
DSMOE_API dsm_status dsm_model_trim(dsm_model *model, dsm_error *error) {
    DSM__DESK_MODEL(model);
    for (int s = 0; s < model->file.n_shards; s++)
        if (model->file.shards[s].map.size) dsm__os_advise(model->file.shards[s].map.base, model->file.shards[s].map.base_size, DSM__OS_DONT_NEED);
    return DSM_OK;
}
DSMOE_API dsm_status dsm_model_describe(const dsm_model *model, dsm_model_info *info, dsm_error *error) {
    const dsm__arch *a;
    DSM__DESK_MODEL(model);
    if (!info) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("info"), dsm__s("is NULL"));
    memset(info, 0, sizeof *info); a = &model->arch;
    info->name = model->name; info->architecture = model->architecture; info->formats = model->formats;
    info->file_bytes = model->file.file_bytes; info->weight_bytes = model->file.weight_bytes;
    info->parameters = a->parameters; info->active = a->active;
    info->n_layers = a->n_layers; info->n_mtp_layers = a->n_mtp; info->width = a->width; info->n_heads = a->n_heads; info->n_kv_heads = a->n_kv_heads;
    info->n_vocab = a->n_vocab ? a->n_vocab : model->tok.n_tokens; info->latent = a->latent; info->n_rot = a->n_rot;
    info->n_experts = a->n_experts; info->n_experts_used = a->n_used; info->n_shared = a->n_shared;
    info->trained_context = a->context; info->vocabulary_only = a->vocabulary_only; info->fingerprint = a->fingerprint;
    info->chat = model->tok.family; info->has_think = model->tok.think >= 0 && model->tok.end_think >= 0;
    return DSM_OK;
}
DSM__FN double dsm__desk_number(uint32_t type, const uint8_t *p) {
    double d = 0; float f; int64_t i;
    switch (type) {
    case 0: case 7: return *p; case 1: return (int8_t)*p; case 2: return dsm__load16(p); case 3: return (int16_t)dsm__load16(p);
    case 4: return dsm__load32(p); case 5: return (int32_t)dsm__load32(p); case 6: memcpy(&f, p, 4); return (double)f;
    case 10: return (double)dsm__load64(p); case 11: i = (int64_t)dsm__load64(p); return (double)i; case 12: memcpy(&d, p, 8); return d; default: return 0; }
}
DSMOE_API dsm_status dsm_model_key(const dsm_model *model, size_t i, dsm_key *key) {
    const dsm__key_ref *k;
    if (!model || !key) return DSM_E_ARGUMENT;
    memset(key, 0, sizeof *key);
    if (i >= model->file.n_keys) return DSM_DONE;
    k = &model->file.keys[i];
    key->name = k->key.at; key->name_size = k->key.n; key->type = (int)k->type; key->element = (int)k->element; key->count = k->count;
    if (k->type == 8) { key->text = (const char *)k->at; key->text_size = (size_t)k->size; }
    else if (k->type != 9) key->number = dsm__desk_number(k->type, k->at);
    return DSM_OK;
}
DSMOE_API dsm_status dsm_model_tensor(const dsm_model *model, size_t i, dsm_tensor *tensor) {
    const dsm__tensor_ref *t;
    if (!model || !tensor) return DSM_E_ARGUMENT;
    memset(tensor, 0, sizeof *tensor);
    if (i >= model->file.n_tensors) return DSM_DONE;
    t = &model->file.tensors[i];
    tensor->name = t->name.at; tensor->name_size = t->name.n; tensor->format = dsm__fmt_ggml_name(t->ggml); tensor->n_dims = t->n_dims;
    for (int d = 0; d < 4; d++) tensor->shape[d] = t->ne[d];
    tensor->bytes = t->bytes; tensor->data = t->data;
    return DSM_OK;
}
DSMOE_API const char *dsm_model_isa(const dsm_model *model) { return model ? model->kernels->isa : ""; }
DSMOE_API int dsm_model_threads(const dsm_model *model) { return model && !model->header_only ? dsm__pool_workers(&model->pool) : 0; }

/* ---- sessions ---- */
DSM__FN dsm_status dsm__desk_runs(const dsm_model *model, dsm_error *error) { /* is this a model that a session can be of? */
    if (model->arch.vocabulary_only) return dsm__err(error, DSM__ERR_NO_WEIGHTS);
    if (model->arch.refused.status) { if (error) *error = model->arch.refused; return model->arch.refused.status; }
    return DSM_OK;
}
DSM__FN dsm_status dsm__desk_plan(const dsm_model *model, const dsm_session_desc *desc, dsm_session_desc *full, uint64_t *turn_bytes, uint64_t *work_bytes, dsm_memory *memory, dsm_error *error) {
    dsm_status status = dsm__desk_runs(model, error);
    if (status == DSM_OK) status = dsm__run_defaults(model, desc, full, error);
    if (status != DSM_OK) return status;
    dsm__turn_sizes(model, full->context, turn_bytes, work_bytes);
    return dsm__run_plan(model, full, *turn_bytes, *work_bytes, memory, error);
}
DSMOE_API dsm_status dsm_plan(const dsm_model *model, const dsm_session_desc *desc, dsm_memory *memory, dsm_error *error) {
    dsm_session_desc full; uint64_t turn_bytes, work_bytes; dsm_memory found; dsm_status status;
    DSM__DESK_MODEL(model);
    if (!memory) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("memory"), dsm__s("is NULL"));
    status = dsm__desk_plan(model, desc, &full, &turn_bytes, &work_bytes, &found, error);
    if (status != DSM_OK) return status;
    found.model_bytes = sizeof *model + model->file.bytes + model->tok.bytes + model->arch.bytes;
    *memory = found;
    return DSM_OK;
}
DSMOE_API dsm_status dsm_plan_context(const dsm_model *model, const dsm_session_desc *desc, uint64_t bytes, int *context, dsm_error *error) {
    dsm_session_desc d; dsm_memory memory; dsm_status status; int low = 0, high = DSM__RUN_CONTEXT; /* low fits (0: nothing does), high + 1 does not */
    DSM__DESK_MODEL(model);
    if (!context) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("context"), dsm__s("is NULL"));
    *context = 0;
    memset(&d, 0, sizeof d);
    if (desc) d = *desc;
    d.context = 1;
    if ((status = dsm_plan(model, &d, &memory, error)) != DSM_OK) return status; /* errors that no context changes */
    while (low < high) {
        d.context = low + (high - low + 1) / 2;
        if (dsm_plan(model, &d, &memory, NULL) == DSM_OK && memory.session_bytes <= bytes) low = d.context; else high = d.context - 1; }
    *context = low;
    return DSM_OK;
}
DSMOE_API dsm_status dsm_session_open(dsm_session **session, dsm_model *model, const dsm_session_desc *desc, dsm_error *error) {
    dsm_session_desc full; uint64_t turn_bytes, work_bytes; dsm_memory memory; dsm_status status;
    if (!session) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("session"), dsm__s("is NULL: where should the session go?"));
    *session = NULL;
    DSM__DESK_MODEL(model);
    if (model->header_only && !model->arch.vocabulary_only) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("model"), dsm__s("was opened with header_only: it has no weights to run"));
    status = dsm__desk_plan(model, desc, &full, &turn_bytes, &work_bytes, &memory, error);
    if (status != DSM_OK) return status;
    if (model->arch.context > 0 && full.context > model->arch.context)
        dsm__err_log(&model->log, DSM_LOG_WARNING, "a context of % tokens exceeds the % that the model was trained for: answers may get worse beyond them", dsm__i(full.context),
            dsm__i(model->arch.context));
    return dsm__run_open(session, model, &full, turn_bytes, work_bytes, error);
}
DSMOE_API dsm_status dsm_session_close(dsm_session **session, dsm_error *error) {
    dsm_status status;
    if (!session || !*session) return DSM_OK;
    if ((status = dsm__run_enter(*session, error)) != DSM_OK) return status;
    dsm__k_float_leave((*session)->mode);
    dsm__run_close(*session);
    *session = NULL;
    return DSM_OK;
}
#define DSM__DESK_SESSION(session) do { dsm_status entered; \
    if (!(session)) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("session"), dsm__s("is NULL")); \
    if ((entered = dsm__run_enter(session, error)) != DSM_OK) return entered; } while (0)
DSMOE_API dsm_status dsm_session_sync(dsm_session *session, const int32_t *tokens, size_t n, size_t *kept, dsm_error *error) {
    dsm_status status;
    if (n && !tokens) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("tokens"), dsm__s("is NULL, n is not 0"));
    DSM__DESK_SESSION(session);
    status = dsm__run_sync(session, tokens, n, kept, error);
    dsm__run_leave(session);
    return status;
}
DSMOE_API dsm_status dsm_session_step(dsm_session *session, uint64_t budget_us, dsm_error *error) {
    dsm_status status;
    DSM__DESK_SESSION(session);
    status = dsm__run_step(session, budget_us, 0, error);
    dsm__run_leave(session);
    return status;
}
DSMOE_API void dsm_session_cancel(dsm_session *session) { if (session) __atomic_store_n(&session->cancelled, 1, __ATOMIC_RELAXED); }
DSMOE_API dsm_status dsm_session_progress(const dsm_session *session, uint64_t *done, uint64_t *wanted) {
    if (!session) return DSM_E_ARGUMENT;
    if (done) *done = __atomic_load_n(&session->progress_done, __ATOMIC_RELAXED);
    if (wanted) *wanted = __atomic_load_n(&session->progress_wanted, __ATOMIC_RELAXED);
    return DSM_OK;
}
DSMOE_API float *dsm_session_logits(dsm_session *session, int64_t i) { return session ? dsm__run_logits(session, i) : NULL; }
DSMOE_API dsm_status dsm_session_rewind(dsm_session *session, size_t n, dsm_error *error) {
    dsm_status status;
    DSM__DESK_SESSION(session);
    status = dsm__run_rewind(session, n, error);
    dsm__run_leave(session);
    return status;
}
DSMOE_API size_t dsm_session_length(const dsm_session *session) { return session ? (size_t)session->n_tokens : 0; }
DSMOE_API const int32_t *dsm_session_tokens(const dsm_session *session) { return session ? session->tokens : NULL; }
DSMOE_API size_t dsm_session_context(const dsm_session *session) { return session ? (size_t)session->desc.context : 0; }
DSMOE_API dsm_status dsm_session_fork(dsm_session *to, dsm_session *from, size_t n, dsm_error *error) {
    dsm_status status;
    if (!from || to == from) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("from"), dsm__s("must be another session"));
    DSM__DESK_SESSION(to);
    status = dsm__run_enter(from, error);
    if (status == DSM_OK) { status = dsm__run_fork(to, from, n, error); dsm__run_leave(from); }
    dsm__run_leave(to);
    return status;
}
DSMOE_API dsm_status dsm_session_save(dsm_session *session, const dsm_writer *writer, dsm_error *error) {
    dsm_status status;
    if (!writer || !writer->write) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("writer"), dsm__s("has no write function"));
    DSM__DESK_SESSION(session);
    status = dsm__run_save(session, writer, error);
    dsm__run_leave(session);
    return status;
}
DSMOE_API dsm_status dsm_session_load(dsm_session *session, const dsm_reader *reader, dsm_error *error) {
    dsm_status status;
    if (!reader || !reader->read_at) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("reader"), dsm__s("has no read_at function"));
    DSM__DESK_SESSION(session);
    status = dsm__run_load(session, reader, error);
    dsm__run_leave(session);
    return status;
}
DSMOE_API dsm_status dsm_session_stats(const dsm_session *session, dsm_stats *stats) {
    uint64_t weights, macs;
    if (!session || !stats) return DSM_E_ARGUMENT;
    *stats = session->stats;
    dsm__nn_cost(&session->model->arch, &weights, &macs);
    stats->bytes_per_token = weights + (uint64_t)session->n_done * session->memory.per_token; stats->macs_per_prompt_token = macs;
    return DSM_OK;
}
DSMOE_API void dsm_session_stats_reset(dsm_session *session) { if (session) memset(&session->stats, 0, sizeof session->stats); }

/* ---- formats ---- */
DSMOE_API const char *dsm_format_name(int i) { return i >= 0 && i < DSM__FMT_COUNT ? dsm__fmts[i].name : NULL; }
DSM__FN dsm_status dsm__desk_format(const char *name, size_t n, int *fmt, dsm_error *error) {
    if (!name) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("format"), dsm__s("is NULL"));
    if ((*fmt = dsm__fmt_of_name(name)) < 0) return dsm__err(error, DSM__ERR_FORMAT_NAME, dsm__s(name));
    if (n % (size_t)dsm__fmts[*fmt].unit) return dsm__err(error, DSM__ERR_ROW, dsm__u(n), dsm__s(name), dsm__i(dsm__fmts[*fmt].unit));
    return DSM_OK;
}
DSMOE_API dsm_status dsm_format_bytes(const char *format, size_t n, size_t *bytes, dsm_error *error) {
    int fmt; dsm_status status = dsm__desk_format(format, n, &fmt, error);
    if (status != DSM_OK) return status;
    if (!bytes) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("bytes"), dsm__s("is NULL"));
    *bytes = dsm__fmt_row_bytes(fmt, n);
    return DSM_OK;
}
DSMOE_API dsm_status dsm_dequantize_row(const char *format, const void *from, float *to, size_t n, dsm_error *error) {
    int fmt; dsm_status status = dsm__desk_format(format, n, &fmt, error);
    if (status != DSM_OK) return status;
    if (n && (!from || !to)) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("from, to"), dsm__s("must not be NULL"));
    dsm__fmt_dequantize(fmt, (const uint8_t *)from, to, n);
    return DSM_OK;
}
DSMOE_API dsm_status dsm_quantize_row(const char *format, const float *from, const float *importance, void *to, size_t n, dsm_error *error) {
    int fmt; dsm_status status = dsm__desk_format(format, n, &fmt, error);
    if (status != DSM_OK) return status;
    if (n && (!from || !to)) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("from, to"), dsm__s("must not be NULL"));
    if (!dsm__fmt_quantize(fmt, from, importance, (uint8_t *)to, n)) return dsm__err(error, DSM__ERR_NO_WRITER, dsm__s(format));
    return DSM_OK;
}

/* -- tok -- */
DSM__FN dsm_status dsm__desk_text(const dsm_model *model, const char *what, int bad, const void *ids, size_t cap, const size_t *count, dsm_error *error) {
    if (!model) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s(what), dsm__s("there is no model"));
    if (bad) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s(what), dsm__s("the text or the messages are NULL, their number is not 0"));
    if ((!ids && cap) || !count) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s(what), dsm__s("there is no place for the result, or for its size"));
    return DSM_OK;
}
DSMOE_API dsm_status dsm_tokenize(const dsm_model *model, const char *text, size_t n, int flags, int32_t *ids, size_t cap, size_t *count, dsm_error *error) {
    dsm_status e = dsm__desk_text(model, "dsm_tokenize", !text && n, ids, cap, count, error);
    if (!e && (flags & ~(DSM_TOKENIZE_SPECIAL | DSM_TOKENIZE_BOS))) e = dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("dsm_tokenize"), dsm__s("unknown flags"));
    return e ? e : dsm__tok_encode(&model->tok, text, n, flags, ids, cap, count, NULL, 0, error);
}
DSMOE_API dsm_status dsm_detokenize(const dsm_model *model, const int32_t *ids, size_t n, int special, char *text, size_t cap, size_t *size, dsm_error *error) {
    dsm_status e = dsm__desk_text(model, "dsm_detokenize", !ids && n, text, cap, size, error);
    if (e) return e;
    *size = dsm__tok_decode(&model->tok, ids, n, special, text, cap);
    return *size > cap ? DSM_MORE : DSM_OK;
}
DSMOE_API dsm_token_kind dsm_token_get_kind(const dsm_model *model, int32_t id) { return model ? dsm__tok_kind(&model->tok, id) : DSM_TOKEN_UNUSED; }
DSMOE_API int32_t dsm_token_special(const dsm_model *model, dsm_special which) {
    const dsm__tok *t = model ? &model->tok : NULL;
    if (t) switch (which) {
    case DSM_BOS: return t->bos;
    case DSM_EOS: return t->eos;
    case DSM_PAD: return t->pad;
    case DSM_THINK: return t->think;
    case DSM_END_THINK: return t->end_think;
    case DSM_FIM_PREFIX: return t->fim_prefix;
    case DSM_FIM_SUFFIX: return t->fim_suffix;
    case DSM_FIM_MIDDLE: return t->fim_middle;
    default: break; }
    return -1;
}
DSMOE_API int dsm_token_is_end(const dsm_model *model, int32_t id) { return model ? dsm__tok_is_end(&model->tok, id) : 0; }
DSMOE_API int dsm_stream_push(const dsm_model *model, dsm_stream *stream, int32_t id, char *out, size_t cap) {
    return model && stream && (out || !cap) ? dsm__tok_stream(&model->tok, stream, id, out, cap) : -1;
}
DSMOE_API dsm_status dsm_chat_format(const dsm_model *model, const dsm_message *messages, size_t n, dsm_think think, int32_t *ids, size_t cap, size_t *count, dsm_error *error) {
    dsm_status e = dsm__desk_text(model, "dsm_chat_format", !messages && n, ids, cap, count, error);
    return e ? e : dsm__tok_chat(&model->tok, messages, n, think, ids, cap, count, NULL, NULL, 0, error);
}
DSMOE_API dsm_status dsm_fim_format(const dsm_model *model, const char *prefix, size_t n_prefix, const char *suffix, size_t n_suffix, int32_t *ids, size_t cap, size_t *count, dsm_error *error) {
    dsm_status e = dsm__desk_text(model, "dsm_fim_format", (!prefix && n_prefix) || (!suffix && n_suffix), ids, cap, count, error);
    return e ? e : dsm__tok_fim(&model->tok, prefix, n_prefix, suffix, n_suffix, ids, cap, count, NULL, 0, error);
}
/* -- end of tok -- */

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
DSMOE_API dsm_status dsm_sampling_default(const dsm_model *model, dsm_sampling *sampling, dsm_error *error) {
    if (!model || !sampling) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("dsm_sampling_default"), dsm__s("model and sampling must not be NULL"));
    dsm__turn_defaults(model, sampling);
    return DSM_OK;
}
DSMOE_API dsm_status dsm_session_next(dsm_session *session, const dsm_sampling *sampling, uint64_t budget_us, int32_t *token, dsm_error *error) {
    dsm_session *s = session; dsm_status status; dsm_sampling full; dsm_choice choice; float *logits;
    if (!s || !token) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("dsm_session_next"), dsm__s("session and token must not be NULL"));
    *token = -1;
    if ((status = dsm__run_enter(s, error)) != DSM_OK) return status;
    if (!s->next_running) {
        status = dsm__turn_sampling(s->model, sampling, &full, error);
        logits = dsm__run_logits(s, DSM_OFF); s->logits_spent = 1;
        if (status == DSM_OK && !logits) status = dsm__err(error, DSM__ERR_NO_LOGITS);
        if (status == DSM_OK && s->n_tokens >= s->desc.context) status = dsm__err(error, DSM__ERR_CONTEXT, dsm__i(s->n_tokens + 1), dsm__i(s->desc.context));
        if (status == DSM_OK) status = dsm__pick_choose(logits, s->model->arch.n_vocab, &full, dsm__turn_of(s)->unused, s->tokens, (size_t)s->n_tokens,
                                                        (uint64_t)s->n_tokens, &choice, NULL, DSM_OFF, error);
        if (status == DSM_OK) status = dsm__run_append(s, choice.id, error);
        if (status == DSM_OK) { s->next_running = 1; s->next_token = choice.id; }
    }
    if (status == DSM_OK) {
        *token = s->next_token;
        status = dsm__run_step(s, budget_us, 1, error);
        if (status == DSM_DONE) s->next_running = 0;
    }
    dsm__run_leave(s);
    return status;
}

/* ---- turns ---- */
DSMOE_API dsm_status dsm_turn_begin(dsm_session *session, const dsm_turn_desc *desc, dsm_error *error) {
    dsm_status status;
    if (!session || !desc) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("dsm_turn_begin"), dsm__s("session and desc must not be NULL"));
    if ((status = dsm__run_enter(session, error)) != DSM_OK) return status;
    status = dsm__turn_begin(session, desc, error);
    dsm__run_leave(session);
    return status;
}
DSMOE_API dsm_status dsm_turn_next(dsm_session *session, uint64_t budget_us, dsm_piece *piece, dsm_error *error) {
    dsm_status status;
    if (!session || !piece) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("dsm_turn_next"), dsm__s("session and piece must not be NULL"));
    if ((status = dsm__run_enter(session, error)) != DSM_OK) return status;
    status = dsm__turn_next(session, budget_us, piece, error);
    dsm__run_leave(session);
    return status;
}
DSMOE_API dsm_status dsm_turn_end(dsm_session *session, dsm_error *error) {
    dsm_status status;
    if (!session) return dsm__err(error, DSM__ERR_ARGUMENT, dsm__s("dsm_turn_end"), dsm__s("session must not be NULL"));
    if ((status = dsm__run_enter(session, error)) != DSM_OK) return status;
    dsm__turn_end(session);
    dsm__run_leave(session);
    return DSM_OK;
}
/* -- end of talk -- */

#ifdef __cplusplus
}
#endif
#if !defined(__clang__)
#pragma GCC pop_options
#endif
#pragma GCC diagnostic pop
#endif /* DSMOE_IMPLEMENTED_REST */
#endif /* DSMOE_IMPLEMENTATION */
