/* Conversations that nobody works on, kept for the next dispatch of their tasks: as many as the
 * bounds allow, those used last. What is lost here is fetched again. Pure. */
#ifndef AF_AGENTD_PARKED_H
#define AF_AGENTD_PARKED_H

#include "agentd/conversation.h"

struct parked_one {
    struct parked_one *next, *prev;
    struct uuid execution;
    char *path;
    conversation_t *conversation;
    size_t bytes;
    int64_t since_us;
};

/* {0} is valid and empty. */
struct parked {
    struct parked_one *first, *last; /* the oldest first */
    size_t count, bytes;
};

void parked_release(struct parked *self);
/* Consumes the conversation. */
void parked_put(struct parked *self, struct uuid execution, const char *path,
                conversation_t **conversation_p, int64_t now_us);
conversation_t *parked_take(struct parked *self, struct uuid execution, const char *path); /* NULL */
/* Forgets those that were put there before. */
void parked_expire(struct parked *self, int64_t before_us);

#endif
