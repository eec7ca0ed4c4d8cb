/* Logging of daemons (libraries don't log): a stable message id, one sentence, fields. Goes to the
 * systemd journal with fields when its socket is our standard error, else one line on stderr:
 *   2026-01-02T03:04:05.678901Z WARN COORD-TASK-LOST the instance fell silent execution=… task=…
 * Prompts, answers and keys are never logged. */
#ifndef AF_BASE_LOG_H
#define AF_BASE_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_open(const char *program, enum log_level level);
/* As log_open, with a journal that listens elsewhere. */
void log_open_journal(const char *program, enum log_level level, const char *socket_path);
/* Fields are pairs of name and text, closed by NULL: log_warn("X-Y", "text", "agent", name, NULL). */
void log_error(const char *id, const char *sentence, ...) __attribute__((sentinel));
void log_warn(const char *id, const char *sentence, ...) __attribute__((sentinel));
void log_info(const char *id, const char *sentence, ...) __attribute__((sentinel));
void log_debug(const char *id, const char *sentence, ...) __attribute__((sentinel));

#endif
