/* What agentctl shows: results on standard output, progress and hints on standard error, colours only
 * on a terminal without NO_COLOR. */
#ifndef AF_TOOLS_OUTPUT_H
#define AF_TOOLS_OUTPUT_H

#include "base/value.h"
#include "tools/options.h"

#include <stdio.h>

enum tone { TONE_PLAIN, TONE_BOLD, TONE_DIM, TONE_GOOD, TONE_BAD, TONE_WARN };
/* Escape sequences for stream (stdout or stderr), or "" where colours are off. */
const char *tone_on(FILE *stream, enum tone tone);
const char *tone_off(FILE *stream);
/* Columns of the terminal that stream is; 0 when it is none. */
size_t stream_width(FILE *stream);

/* One JSON document, indented on a terminal, and a newline. */
void print_json(const value_t *document);
/* The same on one line: for NDJSON. */
void print_json_line(const value_t *document);
/* On standard output what others wrote: as it is, but for control characters on a terminal. */
void print_shown(const char *text, size_t size);
/* An output for a person: a text as it is, everything else as indented JSON. */
void print_output(const value_t *output);
/* "agentctl: what (where)\n  fix" on standard error; with --json a document on standard output too.
 * Returns the exit status for the error. */
int show_error(const struct options *options, const struct err *err);
/* A line on standard error unless --quiet. */
void print_hint(const struct options *options, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A table with aligned columns: header, then rows of `columns` cells. Cells are copied. */
typedef struct table table_t;
table_t *table_new(size_t columns, const char *const *titles);
void table_cell(table_t *self, const char *text); /* in reading order */
void table_cut_last(table_t *self); /* on a terminal the last cells are cut to fit the line */
void table_print(table_t **self_p, FILE *stream); /* consumes */

/* "1.2 s", "340 ms", "2 min 05 s". Returns text. */
const char *print_duration(int64_t us, char text[32]);
/* The length in microseconds between two RFC 3339 times of a document; -1 when one is absent. */
int64_t time_between(const char *from, const char *to);
const char *status_mark(const char *status); /* a symbol: beside it stands the word */
enum tone status_tone(const char *status);

#endif
