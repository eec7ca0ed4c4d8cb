/* What the coordinator is told of processes: kept until it has acknowledged it, said anew on each new
 * link. An exit that is never acknowledged outlives hostd by its record (hostd/record.h). Owned by
 * the loop of hostd. */
#ifndef AF_HOSTD_REPORTS_H
#define AF_HOSTD_REPORTS_H

#include "hostd/process.h"
#include "proto/link.h"

typedef struct reports reports_t;

reports_t *reports_new(const struct run_paths *paths);
void reports_destroy(reports_t **self_p);

void reports_up(reports_t *self, const struct record *record);
/* tail and stopped (NULL: it isn't) are copied. Past LIMIT_HOST_REPORTS the oldest report goes. */
void reports_down(reports_t *self, const struct record *record, const struct process_end *end,
                  const char *tail, const char *stopped);

/* A new link: exits that were sent under the old one are to be sent again, and nothing is up that is
 * not said to be so by reports_up from now on. */
void reports_restart(reports_t *self);
/* Sends what was not sent, as far as the link takes it. */
void reports_send(reports_t *self, link_t *link, int64_t now_us);
/* All up to this number of the link has arrived. */
void reports_acknowledged(reports_t *self, uint64_t sequence);
size_t reports_pending(const reports_t *self);

#endif
