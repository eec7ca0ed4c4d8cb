/* Suggestions for misspelt words. Pure. */
#ifndef AF_BASE_SUGGEST_H
#define AF_BASE_SUGGEST_H

#include <stddef.h>

/* The word nearest to one that isn't known: start with SUGGESTION(word), offer all candidates, read
 * nearest (borrowed; NULL when none is near). The first of equally near ones wins. */
struct suggestion {
    const char *word;
    size_t size;
    unsigned distance;
    const char *nearest;
};
#define SUGGESTION(the_word) ((struct suggestion){.word = (the_word), .size = strlen(the_word)})
void suggestion_offer(struct suggestion *self, const char *candidate);
/* `did you mean "x"?` in buffer, or "" */
const char *suggestion_text(const struct suggestion *self, char *buffer, size_t size);

#endif
