/* Texts for a terminal: what others wrote (models, commands) may hold line breaks and escape
 * sequences, which must neither break a line in two nor reach the terminal. Pure. */
#ifndef AF_TOOLS_TEXT_H
#define AF_TOOLS_TEXT_H

#include "base/value.h"

/* Columns that a terminal gives a text of printable characters: two for those of East Asia and
 * pictures, none for marks that are put onto the character before. */
size_t text_width(const char *text, size_t size);

/* Appends valid UTF-8 as one line of `width` columns at most: white space and control characters
 * become one blank between words; what is too long is cut between two characters and ends with "…". */
void text_excerpt(struct buf *out, const char *text, size_t size, size_t width);

/* Appends a text of many lines as a terminal may get it: a control character that is neither a line
 * break nor a tab would be obeyed there, and stands as U+FFFD. */
void text_shown(struct buf *out, const char *text, size_t size);
/* The same of JSON, which stays JSON: they stand as \u009b. */
void text_shown_json(struct buf *out, const char *json, size_t size);

/* The first words of a message: a text in “quotes”, anything else as JSON. Of what was delegated
 * with a context the message alone. */
void text_message(struct buf *out, const value_t *message, size_t width);

/* A sum in US dollars: "$0.0012". */
void text_money(struct buf *out, int64_t microusd);
/* "1 turn", "3 turns" */
void text_count(struct buf *out, int64_t count, const char *one);

/* Tokens in a document: a number, or {input, output} together. */
int64_t text_tokens(const value_t *tokens);

#endif
