#include "base/suggest.h"

#include <stdio.h>
#include <string.h>

#define WORD_MAX 64 /* LIMIT_NAME_BYTES; longer words get no suggestion */

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Edits from one word to the other: insert, delete, replace, swap two neighbours. */
static unsigned edit_distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
    unsigned rows[3][WORD_MAX + 1];
    unsigned *before = rows[0], *last = rows[1], *now = rows[2];
    for (unsigned j = 0; j <= b_size; j++)
        last[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b_size; j++) {
            unsigned cost = a[i - 1] == b[j - 1] ? 0 : 1;
            now[j] = least(least(last[j] + 1, now[j - 1] + 1), last[j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], before[j - 2] + 1);
        }
        unsigned *free_row = before;
        before = last;
        last = now;
        now = free_row;
    }
    return last[b_size];
}

/* As many edits as still let one recognise the word. */
static unsigned tolerance(size_t size)
{
    return size <= 2 ? 1 : size <= 5 ? 2 : 3;
}

void suggestion_offer(struct suggestion *self, const char *candidate)
{
    size_t size = strlen(candidate);
    size_t difference = size > self->size ? size - self->size : self->size - size;
    unsigned most = self->nearest ? self->distance - 1 : tolerance(self->size);
    if (self->size == 0 || size == 0 || self->size > WORD_MAX || size > WORD_MAX ||
        difference > most || (self->nearest && self->distance == 0))
        return;
    unsigned distance = edit_distance(self->word, self->size, candidate, size);
    if (distance > most || distance >= size)
        return;
    self->nearest = candidate;
    self->distance = distance;
}

const char *suggestion_text(const struct suggestion *self, char *buffer, size_t size)
{
    buffer[0] = '\0';
    if (self->nearest)
        snprintf(buffer, size, "did you mean \"%s\"?", self->nearest);
    return buffer;
}
