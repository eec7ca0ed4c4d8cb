/* Errors: one list of codes, and a caller-owned detail that says what, where and what to do.
 *
 * Functions return 0 or a negative ERR_… code. What comes from outside is never asserted; CHECK()
 * is for mistakes of the programmer and for memory that ran out: it prints a backtrace and aborts. */
#ifndef AF_BASE_ERR_H
#define AF_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>

/* code, number, name on the wire and in JSON, default text */
#define ERR_MAP(X)                                                                                 \
    X(INVALID, 1, "invalid", "the input is not valid")                                             \
    X(MALFORMED, 2, "malformed", "the bytes do not follow the format")                             \
    X(NOT_FOUND, 3, "not_found", "no such thing")                                                  \
    X(NOT_ALLOWED, 4, "not_allowed", "not allowed")                                                \
    X(CONFLICT, 5, "conflict", "the present state forbids it")                                     \
    X(EXISTS, 6, "exists", "it exists already")                                                    \
    X(TOO_LARGE, 7, "too_large", "larger than the limit")                                          \
    X(TOO_DEEP, 8, "too_deep", "nested deeper than the limit")                                     \
    X(LIMIT, 9, "limit", "a limit is reached")                                                     \
    X(BUSY, 10, "busy", "too much is waiting; try again later")                                    \
    X(FULL, 11, "full", "no room left on the disk or in the store")                                \
    X(IO, 12, "io", "input or output failed")                                                      \
    X(CORRUPT, 13, "corrupt", "a record fails its checksum")                                       \
    X(VERSION, 14, "version", "versions do not fit")                                               \
    X(TIMEOUT, 15, "timeout", "the time is up")                                                    \
    X(UNREACHABLE, 16, "unreachable", "not reachable")                                             \
    X(CANCELLED, 17, "cancelled", "it was cancelled")                                              \
    X(UNSUPPORTED, 18, "unsupported", "not supported")                                             \
    X(AGAIN, 19, "again", "not now; call again")                                                   \
    X(FAILED, 20, "failed", "it failed")                                                           \
    X(LOST, 21, "lost", "the instance was lost")                                                   \
    X(INTERNAL, 22, "internal", "a defect of this program")

enum err_code {
    ERR_OK = 0,
#define ERR_ENUM(code, number, name, text) ERR_##code = -(number),
    ERR_MAP(ERR_ENUM)
#undef ERR_ENUM
};

#define MUST_CHECK __attribute__((warn_unused_result))

/* The detail of one error. Every field may be empty; text is cut, never overrun. A caller that
 * does not want the detail passes NULL. */
struct err {
    int code;
    char what[320];  /* what was wrong, one sentence without a full stop */
    char where[192]; /* field path, key, file or address */
    char fix[192];   /* what to do */
    unsigned line;   /* from 1; 0: none */
    unsigned column; /* from 1; 0: none */
};

/* Fills *self (when not NULL), clearing where, fix, line and column; returns code. */
int err_set(struct err *self, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void err_where(struct err *self, const char *format, ...) __attribute__((format(printf, 2, 3)));
void err_fix(struct err *self, const char *format, ...) __attribute__((format(printf, 2, 3)));

const char *err_name(int code); /* "not_found"; "ok" for 0; "internal" for an unknown code */
const char *err_text(int code);
/* Whether a request that was refused so may be good by and by, as it is. */
bool err_is_passing(int code);
int err_from_name(const char *name); /* ERR_INTERNAL for an unknown name */
/* "what (where): fix" in one line, cut to size. Returns buffer. */
const char *err_format(const struct err *self, char *buffer, size_t size);

_Noreturn void check_failed(const char *file, int line, const char *function, const char *what);
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            check_failed(__FILE__, __LINE__, __func__, #condition);                                \
    } while (0)

/* Memory: these never return NULL; when memory runs out the process aborts with a message (a crash
 * is what the journal is for). Freed with free(). */
void *xcalloc(size_t count, size_t size);
void *xmalloc(size_t size);
void *xrealloc(void *pointer, size_t size);
char *xstrdup(const char *text);
char *xstrndup(const char *text, size_t size);
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
