/* What agentd processes write: each its own file, DIR/log/agentd-AGENT-INSTANCE.log, so that the last
 * lines are known even after hostd has restarted. When the process has ended, its last lines go to
 * the end of DIR/log/agentd-AGENT.log, and its own file goes. All are bounded. */
#ifndef AF_HOSTD_OUTPUT_H
#define AF_HOSTD_OUTPUT_H

#include "base/buf.h"
#include "base/run.h"

char *output_path(const struct run_paths *paths, const char *agent, const char *instance);
/* Cuts a file that has grown past LIMIT_INSTANCE_LOG_BYTES to its tail. */
void output_trim(const char *path);
/* Appends the last LIMIT_STDERR_TAIL_LINES lines, at most LIMIT_STDERR_TAIL_BYTES, as valid UTF-8
 * without NULs. Nothing when there is no such file. */
void output_tail(const char *path, struct buf *out);
/* Moves the tail to the agent's own log, below a line that says what became of the instance, and
 * removes the instance's file. */
void output_archive(const struct run_paths *paths, const char *agent, const char *instance,
                    const char *what, const char *tail);

#endif
